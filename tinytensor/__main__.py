"""The command: `python -m tinytensor`, installed as `tinytensor`. See its `--help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .command import CommandError
from .command.arguments import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say, by default those of the process.

    Returns 0; 1 if `check` found a wrong gradient; 2, with a message, for what can't be done; 130
    if it was stopped by the keyboard.
    """
    reads = parser()
    options = reads.parse_args(arguments)
    if options.action is None:
        reads.print_help()
        return 0
    try:
        status: int = options.action(options)
    except CommandError as error:
        print(f"tinytensor {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"tinytensor {options.command}: stopped", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
