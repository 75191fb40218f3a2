"""What a drawing of many time steps costs beside the recording of its graph.

    python -m benchmarks.drawings

A two-layer bidirectional LSTM is recorded operation by operation, its graph taken out, folded, and
written in full as DOT text. Folding is to take no more than twice the time of the recording, the
text a time that is linear in the nodes. Each time is the least of a few, in one process.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any, NamedTuple

import tinytensor as tt
from tinytensor import nn, viz
from tinytensor.viz.fold import fold

LENGTHS = (100, 1000, 10_000)


class Cost(NamedTuple):
    """Numbers of nodes, and seconds."""

    nodes: int
    folded_nodes: int
    record: float
    extract: float
    fold: float
    text: float


def cost(length: int, repeats: int) -> Cost:
    """What the drawing of so many steps costs; the least time of some repeats."""
    model = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    x = tt.rand(length, 1, 3)
    costs = []
    for _ in range(repeats):
        gc.collect()
        output, recorded = _timed(_recorded, model, x)
        graph, extracted = _timed(viz.extract, output, max_nodes=None)
        folded, folding = _timed(fold, graph)
        _, text = _timed(viz.to_dot, graph)
        costs.append((recorded, extracted, folding, text))
    return Cost(len(graph.nodes), len(folded.nodes), *map(min, zip(*costs, strict=True)))


def _recorded(model: nn.Module, x: tt.Tensor) -> tt.Tensor:
    output: tt.Tensor
    with tt.unrolled():
        output, _ = model(x)
    return output


def _timed(function: Callable[..., Any], *inputs: Any, **options: Any) -> tuple[Any, float]:
    start = process_time()
    result = function(*inputs, **options)
    return result, process_time() - start


def main(lengths: Sequence[int] = LENGTHS) -> None:
    print(
        "steps    nodes  folded   record  extract     fold  (extract + fold) / record   text/node"
    )
    for length in lengths:
        found = cost(length, max(1, min(3, 3000 // length)))
        ratio = (found.extract + found.fold) / found.record
        print(
            f"{length:>5,} {found.nodes:>8,} {found.folded_nodes:>7,} {found.record:>7.2f}s "
            f"{found.extract:>7.2f}s {found.fold:>7.2f}s {ratio:>26.2f} "
            f"{found.text / found.nodes * 1e6:>8.1f} us",
            flush=True,
        )


if __name__ == "__main__":
    main()
