"""Where in a graph the steps of LSTMs, GRUs and simple RNNs are, recognised by what they compute.

It goes by the operations, not by the names of modules, so that a cell that somebody wrote in a loop
is found too. What the formulas have in common in all their spellings is their end:

    LSTM    c' = f c + i g,  h' = o tanh(c')          f, i, o a sigmoid, g a tanh
    GRU     h' = n + z (h - n)  or  (1 - z) n + z h      z a sigmoid, n a tanh
    RNN     h' = tanh or relu of a sum of products; in a time step or a module called again

From there the step reaches back through the sums to the products with the weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

from .structure import Diagram, Graph

_PRODUCTS = ("linear", "matmul")

# What may lie between a gate and the products that it is computed from.
_BETWEEN = frozenset((*_PRODUCTS, "add", "mul", "split", "getitem", "sigmoid", "layer_norm"))
_AFTER_C = frozenset([("add", "tanh"), ("tanh", "mul"), ("mul", "linear")])
_FACTORS = frozenset(["mul"])
_RESET = frozenset(["sigmoid"])


class Cell(NamedTuple):
    """One step of a cell.

    name : "LSTM cell", ...
    home : the cluster that it lies in
    nodes : its operations, by their numbers
    outputs : what those are called that others may use: "h", "c", and the gates
    inputs : for those that read from outside what they read: "x", "h", "c"
    """

    name: str
    home: int | None
    nodes: list[int]
    outputs: dict[int, str]
    inputs: dict[int, str]
    diagram: Diagram


def find_cells(graph: Graph) -> list[Cell]:
    """The cell steps of the forward pass, oldest first."""
    finder = _Finder(graph)
    names = [
        node.name if node.kind == "operation" and node.phase == "forward" else ""
        for node in graph.nodes
    ]
    sums = [number for number, name in enumerate(names) if name == "add"]
    for number in reversed(sums):  # of an older step what is its own is known before a newer one
        if not finder.taken[number]:
            _ = finder.lstm(number) or finder.gru(number)
    bends = [number for number, name in enumerate(names) if name in ("tanh", "relu")]
    for number in reversed(bends):
        if not finder.taken[number]:
            finder.rnn(number)
    return finder.cells


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = graph.nodes
        edges = (edge for edge in graph.edges if edge.kind != "caused")
        self.edges = sorted(edges, key=attrgetter("source"))
        self.first = [0] * (len(graph.nodes) + 1)  # for each node where its edges begin in there
        self.users: dict[int, list[int]] = {}  # for what may be c, tanh c or h those who read it
        for edge in self.edges:
            self.first[edge.source + 1] += 1
            reader = (self.nodes[edge.target].name, self.nodes[edge.source].name)
            if reader in _AFTER_C:
                self.users.setdefault(edge.target, []).append(edge.source)
        for number in range(len(graph.nodes)):
            self.first[number + 1] += self.first[number]
        self.taken = bytearray(len(graph.nodes))
        self.outputs: dict[int, str] = {}  # of all cells that were found
        self.cells: list[Cell] = []

    # -- the ends of the formulas

    def lstm(self, c: int) -> bool:
        """Take the step whose new c this sum is."""
        products = self._into(c, "mul")
        if len(products) != 2:
            return False
        for new, kept in (products, products[::-1]):
            i, g = self._into(new, "sigmoid"), self._into(new, "tanh")
            f = self._into(kept, "sigmoid")
            if i and g and f:
                break
        else:
            return False
        gates = {i[0]: "i", f[0]: "f", g[0]: "g"}
        ends = [c, new, kept]
        outputs = {c: "c"}
        for bent in self._from(c, "tanh"):
            for h in self._from(bent, "mul"):
                o = self._into(h, "sigmoid")
                if o:
                    gates[o[0]] = "o"
                    ends += [bent, h]
                    outputs[self._projected(h, ends)] = "h"
        below = self._below(gates, c)
        inputs = {kept: "c"}
        texts = {"i": "i σ", "f": "f σ", "g": "g tanh", "o": "o σ"}
        self._take("LSTM cell", c, [*ends, *gates, *below], outputs, gates, inputs, texts)
        return True

    def gru(self, h: int) -> bool:
        """Take the step whose new h this sum is."""
        found = self._gru_from_difference(h) or self._gru_from_shares(h)
        if found is None:
            return False
        n, z, ends, reader = found
        gates = {z: "z", n: "n"}
        below = self._below(gates, h)
        for gate in (number for number in below if self.nodes[number].name == "sigmoid"):
            gates[gate] = "r"
        texts = {"r": "r σ", "z": "z σ", "n": "n tanh"}
        self._take("GRU cell", h, [*ends, n, z, *below], {h: "h"}, gates, {reader: "h"}, texts)
        return True

    def _gru_from_difference(self, h: int) -> tuple[int, int, list[int], int] | None:
        """h' = n + z (h - n)."""
        n, product = self._into(h, "tanh"), self._into(h, "mul")
        if n and product:
            z, difference = self._into(product[0], "sigmoid"), self._into(product[0], "sub")
            if z and difference and n[0] in self._into(difference[0], "tanh"):
                return n[0], z[0], [h, product[0], difference[0]], difference[0]
        return None

    def _gru_from_shares(self, h: int) -> tuple[int, int, list[int], int] | None:
        """h' = (1 - z) n + z h."""
        products = self._into(h, "mul")
        if len(products) == 2:
            for new, kept in (products, products[::-1]):
                n, share = self._into(new, "tanh"), self._into(new, "sub")
                z = self._into(kept, "sigmoid")
                if n and share and z and z == self._into(share[0], "sigmoid"):
                    return n[0], z[0], [h, new, kept, share[0]], kept
        return None

    def rnn(self, h: int) -> bool:
        """Take the step whose new h this tanh or relu is."""
        if not self._is_recurrent(self.nodes[h].cluster):
            return False
        below = self._below([h], h)
        if not any(self.nodes[number].name in _PRODUCTS for number in below):
            return False
        name = self.nodes[h].name
        self._take("RNN cell", h, [h, *below], {h: "h"}, {}, {}, {"": name})
        return True

    def _is_recurrent(self, cluster: int | None) -> bool:
        """Whether a place is a time step, or a module of which that may be said."""
        for around in self.graph.enclosing(cluster):
            if around.kind == "module":
                return around.module_class.endswith("RNNCell")
            if around.kind == "step":
                return True
        return False

    # -- ways through the graph

    def _targets(self, number: int) -> list[int]:
        """What a node is computed from, or keeps."""
        return [edge.target for edge in self.edges[self.first[number] : self.first[number + 1]]]

    def _into(self, number: int, name: str) -> list[int]:
        """The operations of that name beside this one that it is computed from."""
        home = self.nodes[number].cluster
        found = []
        for target in self._targets(number):
            node = self.nodes[target]
            if node.name == name and node.cluster == home and not self.taken[target]:
                found.append(target)
        return found

    def _from(self, number: int, name: str) -> list[int]:
        """The operations of that name beside this one that are computed from it."""
        home = self.nodes[number].cluster
        return [
            user
            for user in self.users.get(number, ())
            if self.nodes[user].name == name and self.nodes[user].cluster == home
        ]

    def _projected(self, h: int, ends: list[int]) -> int:
        """Where h leaves the step: itself, or its product with W_hr, which then joins `ends`."""
        for user in self._from(h, "linear"):
            for target in self._targets(user):
                if "weight_hr" in self.nodes[target].name:
                    ends.append(user)
                    return user
        return h

    def _below(self, gates: Iterable[int], end: int) -> list[int]:
        """What the gates are computed from, down to the products with the weights."""
        home = self.nodes[end].cluster
        seen = {end, *gates}
        # With each operation which ones may come next.
        stack = [(target, _BETWEEN) for gate in gates for target in self._targets(gate)]
        found = []
        while stack:
            number, allowed = stack.pop()
            node = self.nodes[number]
            if number in seen or node.name not in allowed or node.kind != "operation":
                continue
            if self.taken[number] or node.phase != "forward" or not self._inside(home, number):
                continue
            seen.add(number)
            found.append(number)
            if node.name in _PRODUCTS:  # of h times factors of dropout, or times the reset gate
                follow = _FACTORS
            elif allowed is _FACTORS:
                follow = _RESET
            else:
                follow = _BETWEEN
            stack += [(target, follow) for target in self._targets(number)]
        return found

    def _inside(self, home: int | None, number: int) -> bool:
        cluster = self.nodes[number].cluster
        return (
            cluster == home
            or home is None
            or any(around.number == home for around in self.graph.enclosing(cluster))
        )

    def _take(
        self,
        name: str,
        end: int,
        nodes: list[int],
        outputs: dict[int, str],
        gates: dict[int, str],
        inputs: dict[int, str],
        texts: dict[str, str],
    ) -> None:
        """Note down a step.

        gates : names of the nodes that are gates; texts : how a gate of that name is drawn
        """
        for number in nodes:
            self.taken[number] = 1
        self.outputs.update(outputs)
        for number in nodes:
            if self.nodes[number].name in _PRODUCTS and number not in outputs:
                inputs[number] = self._read_by(number)
            elif self.nodes[number].name == "mul":
                for target in self._targets(number):
                    if target in self.outputs:
                        inputs.setdefault(number, self.outputs[target])
        states = ("h", "c") if name == "LSTM cell" else ("h",)
        found = set(gates.values()) or {""}
        shown = tuple(text for gate, text in texts.items() if gate in found)
        diagram = Diagram(("x", *states), shown, states)
        home = self.nodes[end].cluster
        self.cells.append(Cell(name, home, nodes, {**gates, **outputs}, inputs, diagram))

    def _read_by(self, product: int) -> str:
        """What is multiplied by a weight, x or h; by the weight's name, else by its own origin."""
        targets = self._targets(product)
        weights = [self.nodes[t].name for t in targets if self.nodes[t].kind == "parameter"]
        for name in weights:
            if "_hh" in name or "_ih" in name:
                return "h" if "_hh" in name else "x"
        return "h" if any(self.outputs.get(target) == "h" for target in targets) else "x"
