"""What the edges between the time steps of a loop carry: h, c, a running sum."""

from __future__ import annotations

from .indices import with_index
from .repeats import Loops, Run
from .structure import Edge, Graph

States = dict[tuple[int, int, str], str]

NO_STATE = (-1, -1, "")


def names_of_states(graph: Graph, loops: Loops) -> States:
    """For a loop, a place in its steps and an output there that later steps read: its name.

    A kernel names its outputs. Of two states in one cluster, h is the one that is computed from the
    other, c; one alone is h. A sum that only goes on is a "sum". Any other state is called as the
    operand that reads it.
    """
    runs = loops.runs
    run_of = {node: number for number, run in enumerate(runs) for node in run.steps[0]}
    leaving: list[dict[int, list[Edge]]] = [{} for _ in runs]
    for edge in graph.edges:
        number = run_of.get(edge.source, -1)
        if number >= 0:
            leaving[number].setdefault(edge.source, []).append(edge)
    states: States = {}
    for run, edges in zip(runs, leaving, strict=True):
        loop = loops.loop_of[loops.step_of[run.steps[0][0]]]
        for (state, output), name in _states(graph, run, edges, loops.place_of).items():
            states[loop, loops.place_of[state], output] = name
    return states


def _states(
    graph: Graph, run: Run, leaving: dict[int, list[Edge]], place_of: list[int]
) -> dict[tuple[int, str], str]:
    """For a node of the newest step and an output of it that the next step reads: its name.

    leaving : the edges that lead from each of that step's nodes
    place_of : what each node is in its step
    """
    here: dict[int, int] = {}  # for a node of an older step the one at its place in the newest
    for step in run.steps[1:]:
        here.update(zip(step, run.steps[0], strict=True))
    found: dict[tuple[int, str], str] = {}
    unnamed: dict[int | None, list[int]] = {}  # by the cluster that they lie in
    for edges in leaving.values():
        for edge in edges:
            state = here.get(edge.target)
            if state is None or edge.kind != "gradient" or (state, edge.output) in found:
                continue
            name = edge.output or _passed_on(leaving.get(state, []))
            if not name or with_index(name)[0] != name:
                name = edge.operand
                if place_of[state] != place_of[edge.source]:
                    unnamed.setdefault(graph.nodes[state].cluster, []).append(state)
                elif graph.nodes[state].name == "add":
                    name = "sum"
            found[state, edge.output] = name
    for alike in unnamed.values():
        for state, name in _h_and_c(alike, leaving).items():
            found[state, ""] = name
    return found


def _passed_on(edges: list[Edge]) -> str:
    """The output that a node with one input only hands on, in another shape."""
    return edges[0].output if len(edges) == 1 else ""


def _h_and_c(states: list[int], leaving: dict[int, list[Edge]]) -> dict[int, str]:
    """Names for the states of one cluster; none if they are not those of an RNN, GRU or LSTM."""
    if len(states) == 1:
        return {states[0]: "h"}
    if len(states) == 2:
        first, second = states
        if _leads_to(first, second, leaving):
            return {first: "h", second: "c"}
        if _leads_to(second, first, leaving):
            return {first: "c", second: "h"}
    return {}


def _leads_to(start: int, end: int, leaving: dict[int, list[Edge]]) -> bool:
    """Whether the gradient gets from one node to another within the step."""
    stack, seen = [start], {start}
    while stack:
        for edge in leaving.get(stack.pop(), ()):
            if edge.target not in seen:
                seen.add(edge.target)
                stack.append(edge.target)
    return end in seen
