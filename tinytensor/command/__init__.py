"""What `python -m tinytensor` does: pictures and checks of a small model, without code.

arguments.py  the options, and what `--help` says
subject.py    what is drawn, reported or checked: a model and its loss
line.py       a model given in a line: --lstm 3,4 --steps 4
file.py       a model given in a file, which is run
written.py    draw, page and report: what writes a file
checked.py    check: gradients against differences and against torch

A file is imported when its command is asked for, so that `--help` answers at once.
"""

from .errors import CommandError

__all__ = ["CommandError"]
