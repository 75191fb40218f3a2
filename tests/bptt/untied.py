"""A recurrent layer by brute force: every step of every sequence has weights of its own.

Each sequence is run alone, for its own length, so there is no padding and no batch; each weight is
a leaf of its own at each step, so its `.grad` is that step's part; each state and gate keeps its
gradient. The formulas are those of the papers, an operation a line.
"""

import numpy as np

import tinytensor as tt

ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def lstm(x, h, c, w):
    z = w["weight_ih"] @ x + w["weight_hh"] @ h
    for bias in ("bias_ih", "bias_hh"):
        if bias in w:
            z = z + w[bias]
    i, f, g, o = z.chunk(4)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    h = o * c.tanh()
    if "weight_hr" in w:
        h = w["weight_hr"] @ h
    return {"h": h, "c": c, "i": i, "f": f, "g": g, "o": o}


def gru(x, h, c, w):
    a, u = w["weight_ih"] @ x, w["weight_hh"] @ h
    if "bias_ih" in w:
        a = a + w["bias_ih"]
    if "bias_hh" in w:
        u = u + w["bias_hh"]
    (a_r, a_z, a_n), (u_r, u_z, u_n) = a.chunk(3), u.chunk(3)
    r, z = (a_r + u_r).sigmoid(), (a_z + u_z).sigmoid()
    n = (a_n + r * u_n).tanh()
    return {"h": (1 - z) * n + z * h, "r": r, "z": z, "n": n}


def rnn(x, h, c, w):
    z = w["weight_ih"] @ x + w["weight_hh"] @ h
    for bias in ("bias_ih", "bias_hh"):
        if bias in w:
            z = z + w[bias]
    return {"h": z.tanh()}


def rnn_relu(x, h, c, w):
    z = w["weight_ih"] @ x + w["weight_hh"] @ h + w["bias_ih"] + w["bias_hh"]
    return {"h": z.relu()}


CELLS = {"LSTM": lstm, "GRU": gru, "RNN_TANH": rnn, "RNN_RELU": rnn_relu}


class Step:
    """One step of one sequence: named tensors with their gradients, and its own weights."""

    def __init__(self, cell, x, h, c, weights, factors):
        self.weights = {
            role: tt.tensor(value, requires_grad=True) for role, value in weights.items()
        }
        self.named = cell(x, h if factors is None else h * tt.tensor(factors), c, self.weights)
        if factors is not None and "z" in self.named:  # what z keeps of h is not dropped
            self.named["h"] = self.named["n"] + self.named["z"] * (h - self.named["n"])
        for tensor in self.named.values():
            tensor.retain_grad()
        # What the outside reads goes through nodes of its own: its gradient is the immediate one.
        self.outside = {name: tensor * 1.0 for name, tensor in self.named.items()}
        for tensor in self.outside.values():
            tensor.retain_grad()


class Scan:
    """One layer in one direction: steps[n] is the list of the steps of sequence n, by time."""

    def __init__(self):
        self.steps = []
        self.last = []

    def array(self, name, length, kind):
        """kind(step)[name], (T, N, ...), zero where there is no step."""
        first = next(step for steps in self.steps for step in steps)
        shape = np.shape(kind(first, name))
        found = np.zeros((length, len(self.steps), *shape))
        for n, steps in enumerate(self.steps):
            for t, step in enumerate(steps):
                found[t, n] = kind(step, name)
        return found


def value(step, name):
    return step.named[name].detach().numpy()


def gradient(step, name):
    return of(step.named[name])


def immediate(step, name):
    return of(step.outside[name])


def weight_gradient(step, role):
    return of(step.weights[role])


def of(tensor):
    return np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy()


def run(module, x, states, lengths, factors=None):
    """Run a module's layers: (scans, outputs[n] of (length, D · P), last h, last c by scan).

    x : (T, N, I) array; states : arrays (scans, N, ·); factors : of each scan (N, P), or None
    """
    cell = CELLS[module.mode]
    directions = 2 if module.bidirectional else 1
    scans = [Scan() for _ in module._scans]
    outputs = []
    for n in range(x.shape[1]):
        inputs = [tt.tensor(x[t, n]) for t in range(lengths[n])]
        for layer in range(module.num_layers):
            sides = []
            for direction in range(directions):
                number = layer * directions + direction
                own = [name for name in module._scans[number] if name is not None]
                weights = {
                    role: getattr(module, name).detach().numpy()
                    for name in own
                    for role in ROLES
                    if name.startswith(role)
                }
                h, c = (tt.tensor(part[number, n]) for part in (states[0], states[-1]))
                order = range(lengths[n])
                steps = [None] * lengths[n]
                for t in reversed(order) if direction else order:
                    kept = None if factors is None else factors[number][n]
                    steps[t] = Step(cell, inputs[t], h, c, weights, kept)
                    h, c = steps[t].named["h"], steps[t].named.get("c", c)
                scans[number].steps.append(steps)
                scans[number].last.append((h, c))
                sides.append([step.outside["h"] for step in steps])
            inputs = [tt.cat(parts) for parts in zip(*sides, strict=True)]
        outputs.append(inputs)
    return scans, outputs
