"""`draw`, `page` and `report`: the commands that write a file."""

from __future__ import annotations

import argparse
import os
import re
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from .. import bptt, viz
from ..autograd import unrolled
from ..io.whole import write_whole
from ..tensor import Tensor
from ..viz.page import page as write_page
from .errors import CommandError
from .subject import Subject, subject_of

_PICTURES = (".svg", ".png", ".pdf")
_AS_TEXT = (".dot", ".gv")
_PAGES = (".html", ".htm")

# What to do with a picture.
_USES = {
    ".svg": "open it in a browser",
    ".png": "open it in a viewer of images",
    ".pdf": "open it in a viewer of PDF",
}

# What a message says of Python's arguments, and how it is said here.
_OPTIONS = (
    (r'\b(collapse|detail|parameters)="(\w+)"', r"--\1 \2"),
    (r"\bwithout tt\.unrolled\(\)", "with --no-unrolled"),
    (r"\bmax_nodes\b", "--max-nodes"),
)


def draw(options: argparse.Namespace) -> int:
    """`viz.graph` of the loss, as a picture or as DOT text."""
    suffix = _suffix(options.out, (*_PICTURES, *_AS_TEXT))
    subject = subject_of(options)
    with _asked("values" in options.show or "norms" in options.show, options.unrolled):
        loss = subject.loss()
    if options.color or {"gradients", "norms"} & set(options.show):
        loss.backward(retain_graph=True)  # for the gradients that the parameters hold
    with _said(options.out):
        drawing = viz.graph(
            {"loss": loss},
            inputs=subject.inputs,
            direction=options.direction,
            max_nodes=options.max_nodes,
            title=options.title or subject.name,
            collapse=options.collapse,
            parameters=options.parameters,
            detail=options.detail,
            view=options.view,
            show=options.show,
            color=options.color,
        )
        if suffix in _AS_TEXT:
            _make_folder(options.out)
            write_whole(options.out, drawing.source.encode(), "draw")
        else:
            drawing.render(outfile=options.out)
    _tell_subject(subject, loss)
    print(_counted(drawing.graph))
    use = f"lay it out with Graphviz, as by: dot -Tsvg -O {options.out}"
    _tell_written(options, _USES.get(suffix, use))
    return 0


def page(options: argparse.Namespace) -> int:
    """`viz.page` of the loss."""
    _suffix(options.out, _PAGES)
    subject = subject_of(options)
    with _asked(True, options.unrolled):
        loss = subject.loss()
    with _said(options.out):
        write_page(
            {"loss": loss},
            options.out,
            inputs=subject.inputs,
            direction=options.direction,
            max_nodes=options.max_nodes,
            title=options.title or f"The backward pass of {subject.name}",
            collapse=options.collapse,
            parameters=options.parameters,
        )
    _tell_subject(subject, loss)
    _tell_written(
        options, "open it in a browser; the keys Right and Left walk the backward pass, ? lists all"
    )
    return 0


def report(options: argparse.Namespace) -> int:
    """`bptt.record` of a forward and a backward pass, and its report."""
    _suffix(options.out, _PAGES)
    subject = subject_of(options)
    with bptt.record(subject.model) as record:
        loss = subject.loss()
        loss.backward()
    if not record.paths:
        raise CommandError(
            "expected loss() to call a recurrent layer or cell of `model`, got none; report needs "
            "an RNN, GRU or LSTM, or a loop over its cell, in the model"
        )
    with _said(options.out):
        _make_folder(options.out)
        record.report(options.out, title=options.title or subject.name)
    _tell_subject(subject, loss)
    _tell_written(options, "open it in a browser; below each picture stands how to read it")
    return 0


# -- before


def _suffix(out: str, allowed: tuple[str, ...]) -> str:
    suffix = Path(out).suffix.lower()
    if suffix not in allowed:
        raise CommandError(
            f"--out: expected a name that ends in {', '.join(allowed)}, got {out!r}"
            f"; write --out {Path(out).stem or 'backward'}{allowed[0]}"
        )
    return suffix


def _make_folder(out: str) -> None:
    Path(out).parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _asked(values: bool, gates: bool) -> Iterator[None]:
    """The forward pass is recorded with every value, with every gate."""
    with viz.keep_values() if values else nullcontext(), unrolled() if gates else nullcontext():
        yield


@contextmanager
def _said(out: str) -> Iterator[None]:
    """What a drawing, a page or a report can't do, or the disk, is said in a line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError(
            f"--out: expected the name of a file that can be written, got {out!r}: {reason}"
        ) from error
    except (ValueError, RuntimeError, ImportError) as error:
        message = str(error)
        for pattern, option in _OPTIONS:
            message = re.sub(pattern, option, message)
        raise CommandError(message) from error


# -- after


def _tell_subject(subject: Subject, loss: Tensor) -> None:
    print(f"{subject.name}: loss {loss.item():.6g}")


def _counted(graph: Any) -> str:
    text = f"{len(graph.nodes):,} nodes, {len(graph.edges):,} edges"
    if graph.full is not None:
        text += f"; identical time steps are folded, of {len(graph.full.nodes):,} nodes in all"
    return text


def _tell_written(options: argparse.Namespace, use: str) -> None:
    out = options.out
    print(f"wrote {out} ({_size(os.path.getsize(out))}): {use}")
    if options.open and not webbrowser.open(Path(out).resolve().as_uri()):
        print(f"found no browser to open {out} in; open it by hand")


def _size(count: int) -> str:
    return f"{count / 1000:,.0f} kB" if count >= 1000 else f"{count} bytes"
