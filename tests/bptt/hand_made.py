"""A `Scan` filled in by brute force, to hold to it what is computed from a scan in one go.

Each sequence runs by itself, cell by cell, with weights of its own for each step. The gradient of
what enters at one step by the state, or the weights, of another is then one call of `grad`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tinytensor as tt
from tinytensor.bptt.scans import GATES, Scan
from tinytensor.nn.scan import gru_cell, lstm_cell, rnn_relu_cell, rnn_tanh_cell
from tinytensor.nn.steps import Steps

Array = np.ndarray[Any, Any]

CELLS: dict[str, Any] = {
    "lstm": lstm_cell,
    "gru": gru_cell,
    "rnn_tanh": rnn_tanh_cell,
    "rnn_relu": rnn_relu_cell,
}
ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
INPUTS, CELL_SIZE, OUTPUTS = 2, 4, 3

# name -> kind, direction, projection, recurrent dropout, lengths, what enters beside the outputs
VARIANTS: dict[str, dict[str, Any]] = {
    "lstm": {"kind": "lstm"},
    "lstm reverse": {"kind": "lstm", "reverse": True},
    "lstm projected": {"kind": "lstm", "projected": True},
    "lstm dropped": {"kind": "lstm", "projected": True, "dropped": True},
    "lstm lengths": {"kind": "lstm", "lengths": [3, 6, 0, 5]},
    "lstm lengths reverse": {"kind": "lstm", "lengths": [3, 6, 0, 5], "reverse": True},
    "lstm too long": {"kind": "lstm", "lengths": [4, 2], "length": 6, "reverse": True},
    "lstm all enters": {"kind": "lstm", "lengths": [2, 4, 4], "all_enters": True},
    "gru": {"kind": "gru"},
    "gru reverse": {"kind": "gru", "lengths": [3, 6, 5], "reverse": True},
    "gru all enters": {"kind": "gru", "all_enters": True, "dropped": True},
    "rnn tanh": {"kind": "rnn_tanh", "lengths": [3, 5], "dropped": True},
    "rnn tanh reverse": {"kind": "rnn_tanh", "lengths": [3, 5], "reverse": True},
    "rnn relu": {"kind": "rnn_relu"},
}


class HandMade:
    """A scan and, of the same numbers, the brute force.

    scan : with `order`, rows by falling length
    by_state[n][t][k] : part of the state -> gradient at the state after step k of what enters at t;
        h and c are what step k hands over, "cell" is c where it is made: h comes from it too
    by_weight[n][t][k] : role -> gradient by the weight as used in step k of the same
    k and t are steps of the user's time; pairs that are not there are missing.
    """

    def __init__(
        self,
        kind: str,
        reverse: bool = False,
        projected: bool = False,
        dropped: bool = False,
        lengths: list[int] | None = None,
        length: int | None = None,
        all_enters: bool = False,
    ) -> None:
        self.random = np.random.default_rng(5)
        self.kind = kind
        self.reverse = reverse
        self.lengths = lengths or [6, 6]
        self.parts = "hc" if kind == "lstm" else "h"
        self.output = OUTPUTS if projected else CELL_SIZE
        count = max(1, len(GATES[kind]))
        shapes = [(count * CELL_SIZE, INPUTS), (count * CELL_SIZE, self.output)]
        shapes += [(count * CELL_SIZE,)] * 2 + [(self.output, CELL_SIZE)] * projected
        self.weights = dict(zip(ROLES, map(self.numbers, shapes), strict=False))
        self.factors = None
        if dropped:
            kept = self.random.random((len(self.lengths), self.output)) < 0.6
            self.factors = kept / 0.6
        self.all_enters = all_enters
        self.by_state: list[dict[int, dict[int, dict[str, Array]]]] = []
        self.by_weight: list[dict[int, dict[int, dict[str, Array]]]] = []
        sequences = [self._sequence(n) for n in range(len(self.lengths))]
        self.scan = self._scan(sequences, length or max(self.lengths))

    def numbers(self, shape: tuple[int, ...]) -> Array:
        return self.random.standard_normal(shape) * 0.7

    def _sequence(self, n: int) -> dict[str, Any]:
        """One sequence: each array (its steps, features), or (features) of the first state."""
        steps = self.lengths[n]
        sizes = {"h": self.output, "c": CELL_SIZE}
        x = self.numbers((steps, INPUTS))
        start = {part: self.numbers((sizes[part],)) for part in self.parts}
        state = tuple(tt.tensor(start[part][None], requires_grad=True) for part in self.parts)
        factors = None if self.factors is None else tt.tensor(self.factors[n : n + 1])
        uses: dict[int, dict[str, tt.Tensor]] = {}
        states: dict[int, tuple[tt.Tensor, ...]] = {}
        entering: dict[int, tt.Tensor] = {}
        found: dict[str, Any] = {"x": x, **{f"{part}0": start[part] for part in self.parts}}
        order = range(steps)[::-1] if self.reverse else range(steps)
        for t in order:
            uses[t] = {role: tt.tensor(w, requires_grad=True) for role, w in self.weights.items()}
            own = [uses[t].get(role) for role in ROLES[: 5 if self.kind == "lstm" else 4]]
            before = state[0] if factors is None else state[0] * factors
            q = before @ uses[t]["weight_hh"].T + uses[t]["bias_hh"]
            state, gates = CELLS[self.kind](tt.tensor(x[t : t + 1]), state, [*own, factors])
            made = state[1:]
            state = tuple(part + 0 for part in state)
            states[t] = (*state, *made)
            values = dict(zip(GATES[self.kind], gates, strict=True))
            if self.kind == "gru":
                values["q"] = q[:, 2 * CELL_SIZE :]
            entering[t] = self._entering(t, t == order[-1], state, values, found)
            for name, value in {**dict(zip(self.parts, state, strict=True)), **values}.items():
                found.setdefault(name, {})[t] = value.detach().numpy()[0]
        self._brute_force(uses, states, entering)
        whole: dict[int, dict[str, Array]] = {t: {} for t in uses}
        for by_k in self.by_weight[-1].values():
            for k, by_role in by_k.items():
                for role in ("bias_ih", "bias_hh"):
                    whole[k][role] = whole[k].get(role, 0) + by_role[role]
        found["dz"] = {t: whole[t]["bias_ih"] for t in uses}
        found["du"] = {t: whole[t]["bias_hh"] for t in uses}
        return found

    def _entering(
        self,
        t: int,
        is_last: bool,
        state: tuple[tt.Tensor, ...],
        gates: dict[str, tt.Tensor],
        found: dict[str, Any],
    ) -> tt.Tensor:
        """What enters at step t, as a number whose gradients these are; put down in `found`."""
        terms = {"dy": state[0]}
        if self.all_enters:
            if self.kind == "lstm":
                terms["dc_in"] = state[1]
            terms.update({f"gates_in {name}": gates[name] for name in GATES[self.kind]})
        if self.all_enters and is_last:
            terms.update({f"last {k}": part for k, part in enumerate(state)})
        total: Any = 0
        for name, value in terms.items():
            gradient = self.numbers(value.shape[1:])
            if t % 3 == 1 and not self.all_enters:
                gradient[...] = 0  # nothing enters at some of the steps
            total = total + (value[0] * tt.tensor(gradient)).sum()
            if name.startswith("last"):
                found[name] = gradient
            else:
                found.setdefault(name, {})[t] = gradient
        return total

    def _brute_force(self, uses: Any, states: Any, entering: Any) -> None:
        by_state: Any = {}
        by_weight: Any = {}
        for t, number in entering.items():
            by_state[t], by_weight[t] = {}, {}
            for k in states:
                if (k < t) if self.reverse else (k > t):
                    continue
                roles = list(uses[k])
                gradients = tt.autograd.grad(
                    number, [*states[k], *uses[k].values()], retain_graph=True, allow_unused=True
                )
                values = [
                    np.zeros(leaf.shape) if g is None else g.numpy()
                    for g, leaf in zip(gradients, [*states[k], *uses[k].values()], strict=True)
                ]
                parts = ["h", "c", "cell"] if self.kind == "lstm" else ["h"]
                by_state[t][k] = {p: v[0] for p, v in zip(parts, values, strict=False)}
                by_weight[t][k] = dict(zip(roles, values[len(parts) :], strict=True))
        self.by_state.append(by_state)
        self.by_weight.append(by_weight)

    def _scan(self, sequences: list[dict[str, Any]], length: int) -> Scan:
        batch = len(sequences)
        order = np.argsort([-steps for steps in self.lengths], kind="stable")
        sizes = [sum(n > t for n in self.lengths) for t in range(max(self.lengths))]

        def rows(name: str) -> Array:
            return np.array(
                [sequences[order[n]][name][t] for t, size in enumerate(sizes) for n in range(size)]
            )

        def each(name: str, size: int) -> Array:
            return np.array([sequences[n].get(name, np.zeros(size)) for n in order])

        longest = sequences[order[0]]
        is_lstm = self.kind == "lstm"
        last = [each("last 0", self.output)] + [each("last 1", CELL_SIZE)] * is_lstm
        names = [*GATES[self.kind], *(["q"] if self.kind == "gru" else [])]
        return Scan(
            kind=self.kind,
            path="",
            layer=0,
            direction="reverse" if self.reverse else "forward",
            steps=Steps(tuple(sizes), batch),
            order=order,
            length=length,
            weights={role: self.weights.get(role) for role in ROLES},
            names={f"{role}_l0": role for role in self.weights},
            factors=None if self.factors is None else self.factors[order],
            x=rows("x"),
            h0=each("h0", self.output),
            c0=each("c0", CELL_SIZE) if is_lstm else None,
            h=rows("h"),
            c=rows("c") if is_lstm else None,
            gates={name: rows(name) for name in names},
            dz=rows("dz"),
            du=rows("du"),
            dy=rows("dy"),
            dc_in=rows("dc_in") if "dc_in" in longest else None,
            gates_in={n: rows(f"gates_in {n}") for n in names if f"gates_in {n}" in longest},
            d_last=tuple(last),
        )
