"""`page`: the backward pass as one HTML file to step through, which needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from ..autograd.node import Node as Recorded
from ..io.whole import write_whole
from ..tensor import Tensor
from .cuts import with_cuts
from .dot import to_text
from .engine import lay_out
from .extract import extract_with_sources
from .fold import Collapse, Passes
from .limit import check_types
from .page_blocks import Frames, unfolded_blocks
from .page_data import Data, page_data
from .page_svg import for_page
from .parameters import drawn_parameters
from .recorded import before_backward
from .structure import Graph

# Put together into one, in this order.
_SCRIPTS = ("page.js", "page_panel.js", "page_drawing.js", "page_blocks.js", "page_steps.js")


def page(
    outputs: Any,
    path: str | os.PathLike[str] = "backward.html",
    *,
    gradient: Any = None,
    inputs: Mapping[str, Tensor] | None = None,
    direction: str = "TB",
    max_nodes: int = 4000,
    title: str | None = None,
    collapse: Collapse = "auto",
    parameters: str = "once",
) -> str:
    """Write the backward pass of some tensors as a page that walks it node by node, and return its
    path.

    The page is one file that opens in any browser, offline. Next and Previous visit the nodes in
    the order in which the gradient really does, and show what arrives, the local derivative with
    its numbers, what is passed on to which input, and the sum there so far. Small tensors are
    tables, large ones statistics. Identical time steps are folded into blocks; each unfolds by
    itself, a long one into a few steps at a time that follow the walk, or all of them at once.

    Call it before `backward()`, or after `backward(retain_graph=True)`: it follows the same pass by
    itself and touches no `.grad`. Record the forward pass under `viz.keep_values()` to see every
    value, under `tinytensor.unrolled()` to see every gate.

    outputs, inputs, direction, title, collapse, parameters : as for `viz.graph`
    path : the file, which is written whole or not at all
    gradient : of each output, as for `backward`, or by their names in a dict; 1 for a single number
    max_nodes : the most nodes to be drawn; of a graph that has more when it is unfolded, the page
        does not unfold all steps at once, and still walks every node. The drawings of the blocks
        that unfold by themselves have as many together; only blocks beyond that, of very large
        steps or very many layers, do not
    Raises ValueError as `viz.graph`, RuntimeError as `backward`, LayoutError without a layout
    engine.

    >>> import tempfile
    >>> import tinytensor as tt
    >>> x = tt.tensor([1.0, 2.0], requires_grad=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = tt.viz.page((x * x).sum(), f"{folder}/backward.html", inputs={"x": x})
    """
    check_types("page", title, max_nodes)
    graph, sources = extract_with_sources(outputs, inputs=inputs)
    graph = with_cuts(graph, sources)
    sources += [None] * (len(graph.nodes) - len(sources))  # states from elsewhere
    passes = Passes(graph, collapse)
    folded = passes.graph
    count = len(drawn_parameters(folded, parameters)[0].nodes)
    if count > max_nodes:
        raise ValueError(
            f"page: expected at most {max_nodes:,} nodes, got {count:,}; walk fewer "
            'time steps, fold them with collapse="auto", record without tt.unrolled(), or raise '
            "max_nodes"
        )
    recorded = (source for source in sources if isinstance(source, Recorded))
    with before_backward("page", recorded):
        data = page_data(graph, sources, folded, gradient)
    marked, frames, blocks = unfolded_blocks(graph, passes, collapse, max_nodes)
    data["blocks"] = [block.data for block in blocks]

    def svg(shown: Graph, within: Frames) -> str:
        """A graph laid out, as an `<svg>` element."""
        text = to_text(shown, direction=direction, parameters=parameters)
        shown, originals = drawn_parameters(shown, parameters)
        name = f"Backward graph of {len(shown.nodes):,} nodes"
        return for_page(lay_out(text, "svg"), shown, name, within, originals)

    drawing = svg(marked, frames)
    opened = "".join(svg(block.graph, block.frames) for block in blocks)
    whole = folded is not graph and len(graph.nodes) <= max_nodes
    unfolded = svg(graph, {}) if whole else ""
    name = "The backward pass" if title is None else title
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, _document(name, data, drawing, opened, unfolded).encode(), "page")
    return str(path)


def _document(title: str, data: Data, drawing: str, opened: str, unfolded: str) -> str:
    """The whole page. The browser runs and styles it by the two texts of these hashes only."""
    folder = resources.files(__package__)
    style, frame, *scripts = (
        folder.joinpath(name).read_text("utf-8") for name in ("page.css", "page.html", *_SCRIPTS)
    )
    script = "\n".join(scripts)
    steps = len(data["steps"])
    return Template(frame).substitute(
        title=_escaped(title),
        summary=_escaped(f"{len(data['nodes']):,} nodes, {steps:,} steps back"),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        drawing=drawing,
        opened=opened,
        unfolded=unfolded,
        data=_json(data),
    )


def _hash(text: str) -> str:
    """What a content security policy calls a text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _escaped(text: str) -> str:
    """Anybody's text as text of HTML; what does not print shows as an escape."""
    return html.escape("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))


def _json(data: Data) -> str:
    """JSON that can't end the element that it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
