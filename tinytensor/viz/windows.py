"""Runs of time steps that do the same, or of windows of several steps, as truncation makes them.

Steps within a window may differ from one another. What is compared is told by `repeats`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Windows = list[list[list[int]]]  # runs of windows of steps, newest first

_LONGEST = 32  # steps of a window

# So many steps are still seen at a glance. Of more, windows that come back are looked for.
_MANY = 24


def find_runs(
    shapes: list[int], moving: list[list[int]], loop_of: list[int], least: int
) -> Windows:
    """Runs of at least so many steps that do the same and move evenly, each a window of one.

    shapes, moving : for each step a number that says what it does, and the numbers that move
    loop_of : for each step the number of its loop, whose first and last step are in no run
    Where many steps are left and windows leave half of them or less, runs of windows.
    """
    single = [
        [[step] for step in run] for run in _single(shapes, moving, loop_of) if len(run) >= least
    ]
    drawn = len(shapes) - _spared(single)
    if drawn < _MANY:
        return single
    longer = _windows(shapes, moving, loop_of, least)
    return longer if 2 * (len(shapes) - _spared(longer)) <= drawn else single


def _spared(runs: Windows) -> int:
    """How many steps need not be drawn."""
    return sum((len(run) - 1) * len(run[0]) for run in runs)


def _single(shapes: list[int], moving: list[list[int]], loop_of: list[int]) -> Iterator[list[int]]:
    """Steps in a row of one shape that move evenly; never the first or the last of a loop."""
    run: list[int] = []
    pace: list[int] = []
    for step in range(1, len(shapes) - 1):
        if not loop_of[step - 1] == loop_of[step] == loop_of[step + 1]:
            yield run
            run = []
            continue
        alike = bool(run) and shapes[step] == shapes[step - 1]
        moved = [b - a for a, b in zip(moving[step - 1], moving[step], strict=False)]
        if alike and (len(run) == 1 or moved == pace):
            run.append(step)
        elif alike and len(run) == 2:  # the first of the two was the odd one
            run = [step - 1, step]
        else:
            yield run
            run = [step]
        pace = moved
    yield run


def _windows(
    shapes: Sequence[int], moving: Sequence[list[int]], loop_of: Sequence[int], least: int
) -> Windows:
    """Runs of windows of one length that do the same and move evenly.

    The length is the one after which the largest part of the steps comes back.
    """

    def again(length: int) -> float:
        pairs = zip(shapes, shapes[length:], strict=False)
        return sum(a == b for a, b in pairs) / (len(shapes) - length)

    lengths = range(2, min(_LONGEST, len(shapes) // least) + 1)
    length = max(lengths, key=again, default=2)
    return _runs(length, shapes, moving, loop_of, least)


def _runs(
    length: int,
    shapes: Sequence[int],
    moving: Sequence[list[int]],
    loop_of: Sequence[int],
    least: int,
) -> Windows:
    found: Windows = []
    start = 1
    while start + length < len(shapes):
        run = [list(range(start, start + length))]
        pace = None
        while True:
            last = run[-1]
            following = [step + length for step in last]
            end = following[-1] + 1
            if end >= len(shapes) or loop_of[start - 1] != loop_of[end]:
                break
            if any(shapes[a] != shapes[b] for a, b in zip(last, following, strict=True)):
                break
            moved = [
                [y - x for x, y in zip(moving[a], moving[b], strict=True)]
                for a, b in zip(last, following, strict=True)
            ]
            if pace is not None and moved != pace:
                break
            pace = moved
            run.append(following)
        if len(run) >= least:
            found.append(run)
            start = run[-1][-1] + 1
        else:
            start += 1
    return found
