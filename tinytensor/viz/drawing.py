"""`graph`: the backward graph of a tensor as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import graphviz

from ..io.whole import write_whole
from ..tensor import Tensor
from . import dot
from .annotate import annotate
from .cuts import with_cuts
from .detail import at_detail
from .engine import LayoutError, lay_out
from .extract import extract_with_sources
from .fold import Collapse, fold
from .limit import check_size, check_types
from .listing import to_listing
from .parameters import drawn_parameters
from .structure import Graph
from .views import BackwardPass

# A bitmap of more nodes takes gigabytes of memory, and nobody can read it.
BITMAP_LIMIT = 500

_BITMAPS = ("png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "webp")


# graphviz carries no types, so its class is Any to the type checker.
class Drawing(graphviz.Digraph):  # type: ignore[misc]
    """A `graphviz.Digraph` that finds a layout engine, and that a notebook shows even without one.

    .source is the DOT text, .render("graph.svg") writes a file, .pipe("svg") gives its content.
    """

    def __init__(
        self,
        *args: Any,
        graph: Graph | None = None,
        options: dict[str, Any] | None = None,
        **given: Any,
    ) -> None:
        super().__init__(*args, **given)
        self.graph = graph
        self.options = options or {}

    def copy(self) -> Drawing:
        """An independent copy, to be changed."""
        twin: Drawing = super().copy()
        twin.graph = self.graph
        twin.options = self.options
        return twin

    def unfolded(self) -> Drawing:
        """The same drawing with every time step that was folded into a block; as it is if none."""
        if self.graph is None or self.graph.full is None:
            return self.copy()
        return drawn(self.graph.full, self.options)

    def pipe(
        self,
        format: str | None = None,
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = True,
        *,
        engine: str | None = None,
        encoding: str | None = None,
    ) -> Any:
        """The picture as bytes, or as text when an encoding is given.

        format : "svg" (the default), "png", ...; pdf and ps need a system `dot`
        Raises LayoutError if there is no engine or it fails, ValueError for a bitmap of more than
        500 nodes. The other arguments are those of `graphviz.Digraph.pipe`.
        """
        chosen = format or self.format
        self._check_size(chosen)
        source = self.source
        if chosen.lower() in _BITMAPS:  # the fonts of graphviz-pure have no scissors
            source = source.replace("✂", "‖")  # the bars that are drawn there
        picture = lay_out(
            source,
            chosen,
            engine or self.engine,
            renderer=renderer or self.renderer,
            formatter=formatter or self.formatter,
            neato_no_op=neato_no_op,
            quiet=quiet,
        )
        return picture if encoding is None else picture.decode(encoding)

    def _nodes(self) -> int:
        """How many nodes are drawn."""
        if self.graph is None:
            return 0
        shown, _ = drawn_parameters(self.graph, self.options.get("parameters", "once"))
        return len(shown.nodes)

    def _check_size(self, format: str) -> None:
        count = self._nodes()
        if format.lower() in _BITMAPS and count > BITMAP_LIMIT:
            raise ValueError(
                f"render: expected at most {BITMAP_LIMIT} nodes for {format}, got {count:,}; "
                'render to "svg", or draw fewer time steps'
            )

    def render(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = True,
        format: str | None = None,
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = True,
        quiet_view: bool = False,
        *,
        outfile: str | os.PathLike[str] | None = None,
        engine: str | None = None,
    ) -> str:
        """Write the picture into a file and return its path.

        filename : with the suffix of a format ("graph.svg") it names the file; else the format is
            added to it ("graph" gives graph.svg)
        outfile : the file itself, whose suffix says the format unless `format` does; ValueError for
            any other suffix
        cleanup : False also saves the DOT text beside it, with the suffix .gv
        The file is written whole or not at all. Raises as `pipe`. The other arguments are those of
        `graphviz.Digraph.render`.
        """
        path, chosen = self._target(filename, directory, outfile, format)
        picture = self.pipe(chosen, renderer, formatter, neato_no_op, quiet, engine=engine)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cleanup:
            write_whole(path.with_suffix(".gv"), self.source.encode(), "render")
        write_whole(path, picture, "render")
        if view or quiet_view:
            self._view(str(path), format=chosen, quiet=quiet_view)
        return str(path)

    def _target(
        self,
        filename: str | os.PathLike[str] | None,
        directory: str | os.PathLike[str] | None,
        outfile: str | os.PathLike[str] | None,
        format: str | None,
    ) -> tuple[Path, str]:
        """The file to write and its format."""
        given = outfile if outfile is not None else filename
        path = Path(self.filename).with_suffix("") if given is None else Path(given)
        suffix = path.suffix[1:].lower()
        if outfile is not None and format is None and suffix not in graphviz.FORMATS:
            raise ValueError(
                "render: expected outfile to be a name that ends in a format, as .svg, .png or "
                f".pdf, got {str(outfile)!r}; or say it with format="
            )
        chosen = format or (suffix if suffix in graphviz.FORMATS else self.format)
        if outfile is None and suffix != chosen.lower():
            path = path.with_name(f"{path.name}.{chosen}")
        folder = self.directory if directory is None else directory
        return Path(folder) / path, chosen

    def _repr_mimebundle_(
        self,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """For notebooks: the picture as SVG, or as text with the reason where that can't be."""
        try:
            bundle: dict[str, Any] = super()._repr_mimebundle_(include, exclude)
        except (LayoutError, ValueError) as error:
            bundle = {"text/plain": f"{self._listing()}\n\nNo picture: {error}"}
        return bundle

    def _listing(self) -> str:
        return self.source if self.graph is None else to_listing(self.graph)

    def __repr__(self) -> str:
        if self.graph is None:
            return "<Drawing>"
        return f"<Drawing: {self._nodes():,} nodes, {len(self.graph.edges):,} edges>"


def graph(
    outputs: Any,
    *,
    inputs: Mapping[str, Tensor] | None = None,
    show_saved: bool = False,
    show_shapes: bool = True,
    direction: str = "TB",
    max_nodes: int = 2000,
    title: str | None = None,
    collapse: Collapse = "auto",
    detail: str = "op",
    view: str = "backward",
    show: Sequence[str] = (),
    color: str | None = None,
    parameters: str = "once",
) -> Drawing:
    """The backward pass of some tensors as a picture: which operations the gradient goes through.

    It is read from the graph that was recorded; no model is run. Arrows show the way of the
    gradient, from the outputs to parameters and inputs. Nested frames are modules, layers,
    directions and time steps. A kernel, such as the fused LSTM, is one node; record under
    `tinytensor.unrolled()` to see every gate. Time steps that do the same are folded into one block
    ×N; `Drawing.unfolded` gives all.

    outputs : a Tensor, or Tensors in nested tuples, lists and dicts, named by their places and keys
    inputs : names for leaf tensors that are no parameters: {"x": x}. One that requires no grad is
        drawn beside the operations that keep it for their gradient
    show_saved : also draw what each operation keeps for its gradient (freed by `backward()` unless
        it was told to retain the graph)
    show_shapes : write the shapes of the values
    direction : where the arrows lead: "TB" down, "BT" up, "LR" right, "RL" left (so that the time
        steps of a sequence stand from left to right)
    max_nodes : the most nodes to be drawn, after all folding
    title : a first line above the picture
    collapse : from how many identical time steps on they are folded; "auto" for four, "off" for
        never. The first and the last step stay, and every one that differs from its neighbours: in
        an operation, an operand, a shape, a dtype, in what it reads or in who reads it; in a
        constant (`h * 0.5`) as far as the graph still keeps it: one that the gradient needs, until
        `backward()` frees it
    detail : how much is drawn: "op", every operation; "cell", each step of a cell as a diagram of
        its gates; "step", each time step of a direction as one node; "layer", each direction of a
        layer; "module", each call of a module
    view : what arrows show: "backward", the way of the gradient; "forward", that of the values;
        "overlaid", both in one, a solid arrow for each value and a dashed one for its gradient;
        "both", a backward pass that is run for it and recorded as operations of its own, beside
        the forward one; no `.grad` is touched
    show : what to write on the nodes, any of "values", "gradients", "norms" and "formulas" (the
        local derivative). Gradients are the `.grad` of leaves and, for operations, those of a pass
        that is followed for it: "gradient freed" after a plain `backward()`
    color : "norm" colours nodes by the norm of their gradient
    parameters : "once", each parameter is drawn once, outside of the time steps that use it;
        "cluster", once in each innermost frame that uses it, so that no edges to it cross the
        picture. `Drawing.graph` has it once in either case
    Each use of a value that was detached, or computed under `no_grad`, whatever was done with it
    since, is drawn as a cut: to what it came from, or to a node "detached" where that is not part
    of the drawing. See `viz.cuts`.
    Returns a `Drawing`, a `graphviz.Digraph`. The same model gives the same DOT text.
    Raises ValueError if no output requires grad, for an option that is none of the above, or if
    there are more than `max_nodes` nodes, with the options that make them fewer.

    >>> import tinytensor as tt
    >>> x = tt.tensor([1.0, 2.0], requires_grad=True)
    >>> tt.viz.graph((x * x).sum(), inputs={"x": x})
    <Drawing: 4 nodes, 4 edges>
    >>> cell = tt.nn.RNNCell(1, 2)
    >>> h = tt.zeros(1, 2)
    >>> for t in range(100):
    ...     h = cell(tt.ones(1, 1), h)
    >>> drawing = tt.viz.graph(h)
    >>> drawing
    <Drawing: 8 nodes, 16 edges>
    >>> drawing.unfolded()
    <Drawing: 105 nodes, 500 edges>
    """
    check_types("graph", title, max_nodes)
    folds = collapse != "off" or detail != "op"
    run = BackwardPass(outputs, inputs) if view == "both" else None
    if run is not None:
        outputs = run.outputs
    structure, sources = extract_with_sources(
        outputs, inputs=inputs, show_saved=show_saved, max_nodes=max_nodes, folds=folds
    )
    if run is not None:
        structure = run.linked(structure, sources)
    if show or color is not None:
        structure = annotate(structure, sources, show, color)
    structure = with_cuts(structure, sources)
    structure = at_detail(structure, detail)
    structure = fold(structure, collapse)
    shown, copies = drawn_parameters(structure, parameters)
    check_size(
        len(shown.nodes),
        max_nodes,
        saved=show_saved,
        folded=collapse != "off",
        detail=detail,
        copies=bool(copies),
    )
    options = {
        "show_shapes": show_shapes,
        "direction": direction,
        "title": title,
        "view": view,
        "parameters": parameters,
    }
    return drawn(structure, options)


def drawn(structure: Graph, options: dict[str, Any]) -> Drawing:
    """The drawing of a structure, with the options of `dot.body_lines`."""
    lines = dot.body_lines(structure, **options)
    return Drawing(
        body=lines, filename="backward_graph.gv", format="svg", graph=structure, options=options
    )
