"""The options of `tinytensor`, and what `--help` says about them."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any, NoReturn

from . import texts
from .values import collapse, count, one_of, seed, several_of, sizes

_Group = argparse._ArgumentGroup  # what add_argument_group gives; it has no public name


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without all the options before it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **given
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nsee: {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The options of all commands; `.action` does the one that was asked for, None if none was."""
    whole = _Parser(
        prog="tinytensor",
        usage="%(prog)s COMMAND [options]",
        description=texts.DESCRIPTION,
        epilog=texts.EXAMPLES,
    )
    whole.set_defaults(action=None)
    commands = whole.add_subparsers(
        prog="tinytensor", metavar="COMMAND", dest="command", help=argparse.SUPPRESS
    )
    for name, description, examples, action, steps, add_options in (
        ("draw", texts.DRAW, texts.DRAW_EXAMPLES, "written:draw", 4, _add_draw),
        ("page", texts.PAGE, texts.PAGE_EXAMPLES, "written:page", 4, _add_page),
        ("report", texts.REPORT, texts.REPORT_EXAMPLES, "written:report", 30, _add_report),
        ("check", texts.CHECK, texts.CHECK_EXAMPLES, "checked:check", 4, _add_check),
    ):
        command = commands.add_parser(
            name,
            usage="%(prog)s [options]",
            description=description,
            epilog=f"{texts.FILE}\n{examples}",
        )
        command.set_defaults(action=_lazily(action), default_steps=steps)
        _add_model(command, steps)
        add_options(command)
    return whole


def _lazily(action: str) -> Callable[[argparse.Namespace], int]:
    """A function of this package, whose file is imported when it is called."""
    file, name = action.split(":")

    def act(options: argparse.Namespace) -> int:
        act_now: Callable[[argparse.Namespace], int]
        act_now = getattr(importlib.import_module(f"{__package__}.{file}"), name)
        return act_now(options)

    return act


# -- groups of options


def _add_model(to: argparse.ArgumentParser, steps: int) -> None:
    group = to.add_argument_group("the model", texts.MODEL)
    kind = group.add_mutually_exclusive_group()
    for name in ("lstm", "gru", "rnn"):
        default = "; the default is --lstm 3,4" if name == "lstm" else ""
        kind.add_argument(
            f"--{name}",
            type=sizes,
            metavar="I,H",
            help=f"nn.{name.upper()} with these sizes of input and hidden state{default}",
        )
    kind.add_argument("--file", metavar="FILE.py", help="RUN this file, which defines the model")
    group.add_argument("--layers", type=count, metavar="L", help="default: 1")
    group.add_argument(
        "--bidirectional", action="store_true", default=None, help="both directions of time"
    )
    group.add_argument("--steps", type=count, metavar="T", help=f"time steps; default: {steps}")
    group.add_argument("--batch", type=count, metavar="N", help="sequences; default: 1")
    group.add_argument("--outputs", type=count, metavar="O", help="of the readout; default: 1")
    group.add_argument(
        "--last",
        action="store_true",
        default=None,
        help="the loss sees the last time step only; by default it sees all",
    )
    group.add_argument(
        "--seed", type=seed, default=0, metavar="S", help="of the random numbers; default: 0"
    )


def _add_draw(to: argparse.ArgumentParser) -> None:
    group = to.add_argument_group("the picture")
    group.add_argument(
        "--detail",
        type=one_of("op", "cell", "step", "layer", "module"),
        default="op",
        metavar="op|cell|step|layer|module",
        help="what one node stands for; default: op, an operation",
    )
    group.add_argument(
        "--view",
        type=one_of("backward", "forward", "overlaid", "both"),
        default="backward",
        metavar="backward|forward|overlaid|both",
        help="which pass the arrows follow: one, both of them over each other, or both, each with "
        "operations of its own; default: backward",
    )
    group.add_argument(
        "--show",
        type=several_of("values", "gradients", "norms", "formulas"),
        default=(),
        metavar="WHAT,WHAT",
        help="write on the nodes any of: values, gradients, norms, formulas",
    )
    group.add_argument(
        "--color",
        type=one_of("norm"),
        metavar="norm",
        help="colour the nodes by the norm of their gradient",
    )
    _add_graph(group, 2000)
    _add_written(group, "backward.svg", "FILE", ", or .png, .pdf, .dot, .gv")


def _add_page(to: argparse.ArgumentParser) -> None:
    group = to.add_argument_group("the page")
    _add_graph(group, 4000)
    _add_written(group, "backward.html", "FILE.html")


def _add_report(to: argparse.ArgumentParser) -> None:
    _add_written(to.add_argument_group("the report"), "bptt.html", "FILE.html")


def _add_check(to: argparse.ArgumentParser) -> None:
    _add_unrolled(to.add_argument_group("the check"), False)


def _add_graph(group: _Group, most: int) -> None:
    _add_unrolled(group, True)
    group.add_argument(
        "--collapse",
        type=collapse,
        default="auto",
        metavar="auto|off|K",
        help="fold identical time steps into one block: where it helps (the default), never, or "
        "K and more of them",
    )
    group.add_argument(
        "--parameters",
        type=one_of("once", "cluster"),
        default="once",
        metavar="once|cluster",
        help="draw each parameter once (the default), or in each frame that uses it",
    )
    group.add_argument(
        "--direction",
        type=one_of("TB", "BT", "LR", "RL"),
        default="TB",
        metavar="TB|BT|LR|RL",
        help="where the arrows lead: down (the default), up, right, left",
    )
    group.add_argument(
        "--max-nodes",
        type=count,
        default=most,
        metavar="K",
        help=f"refuse a graph of more; default: {most:,}",
    )


def _add_unrolled(group: _Group, default: bool) -> None:
    group.add_argument(
        "--unrolled",
        action=argparse.BooleanOptionalAction,
        default=default,
        help="every gate of every step, not the layer as one node; default: "
        + ("yes" if default else "no"),
    )


def _add_written(group: _Group, name: str, form: str, others: str = "") -> None:
    group.add_argument(
        "--title", metavar="TEXT", help="the heading; by default it says what the model is"
    )
    group.add_argument(
        "--out", default=name, metavar=form, help=f"the file to write; default: {name}{others}"
    )
    group.add_argument("--open", action="store_true", help="show it in the browser afterwards")
