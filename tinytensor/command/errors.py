"""What a command can't do, in words for its user."""


class CommandError(Exception):
    """Said on the terminal without a traceback; the exit code is 2."""
