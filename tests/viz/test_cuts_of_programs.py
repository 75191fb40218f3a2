"""The cuts of random programs, against a second account of where each value came from."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytensor as tt
from tinytensor import viz
from tinytensor.viz.cuts import with_cuts
from tinytensor.viz.extract import extract_with_sources

MASK = tt.tensor([[True, False], [False, True]])

# Operations of one node each, from values (2, 2) to another one: how many they read.
OPERATIONS: dict[str, tuple[int, Callable[..., tt.Tensor]]] = {
    "tanh": (1, lambda a, b: a.tanh()),
    "clone": (1, lambda a, b: a.clone()),
    "turned": (1, lambda a, b: a.t()),
    "flipped": (1, lambda a, b: a.flip(0)),
    "summed": (1, lambda a, b: a.cumsum(0)),
    "softmax": (1, lambda a, b: a.softmax(0)),
    "add": (2, lambda a, b: a + b),
    "mul": (2, lambda a, b: a * b),
    "matmul": (2, lambda a, b: a @ b),
    "where": (2, lambda a, b: tt.where(MASK, a, b)),
    "numbers": (1, lambda a, b: a * 2.0),
}
VIEWS = ("turned",)
WAYS_OUT = {"detach": lambda a: a.detach(), "data": lambda a: a.data}
LEAVES = 2

steps = st.tuples(
    st.sampled_from([*OPERATIONS, *[f"no_grad {name}" for name in OPERATIONS], *WAYS_OUT]),
    *[st.integers(0, 20)] * 2,
)


class Account:
    """Runs a program and keeps, for each value, its place in the graph or those it came from."""

    def __init__(self, known: bool) -> None:
        self.known = known
        leaves = [tt.rand(2, 2, requires_grad=True) for _ in range(LEAVES)]
        self.values = [*leaves, tt.rand(2, 2)]
        self.places: list[Any] = [*map(id, leaves), None]  # a place, or a set of them, or None
        self.cuts: set[tuple[Any, Any]] = set()

    def came_from(self, k: int) -> set[Any]:
        place = self.places[k]
        return {place} if isinstance(place, int) else set(place or ())

    def step(self, name: str, picks: list[int]) -> None:
        picks = [k % len(self.values) for k in picks]
        if name in WAYS_OUT:
            self.values.append(WAYS_OUT[name](self.values[picks[0]]))
            self.places.append(self.came_from(picks[0]))
            return
        silent, _, operation = name.rpartition(" ")
        count, function = OPERATIONS[operation]
        read = picks[:count]
        with tt.no_grad() if silent else nullcontext():
            y = function(*[self.values[k] for k in picks])
        self.values.append(y)
        origins = set().union(*map(self.came_from, read))
        if not y.requires_grad:
            if silent and origins and not self.known and operation not in VIEWS:
                origins = {"computed under no_grad"}
            self.places.append(origins)
            return
        self.places.append(id(y.grad_fn))
        for k in read:
            if not isinstance(self.places[k], int):
                self.cuts |= {(id(y.grad_fn), origin) for origin in self.came_from(k)}


@pytest.mark.parametrize("known", [False, True])
@given(st.lists(steps, min_size=1, max_size=15))
def test_the_cuts_are_all_uses_of_values_from_outside_and_nothing_else(known, program):
    account = Account(known)
    with viz.keep_values() if known else nullcontext():
        for name, *picks in program:
            account.step(name, picks)
    expected = set(account.cuts)
    for value, place in zip(account.values, account.places, strict=True):
        if not isinstance(place, int):  # it is an output of the drawing
            expected |= {(id(value), origin) for origin in place or ()}
    graph, sources = extract_with_sources(account.values)
    graph = with_cuts(graph, sources)
    found = {
        (id(sources[edge.source]), _origin(graph.nodes[edge.target], sources))
        for edge in graph.edges
        if edge.kind == "cut"
    }
    assert found == expected


def _origin(node: Any, sources: list[Any]) -> Any:
    return id(sources[node.number]) if node.number < len(sources) else node.note
