"""The CTC loss as a kernel: both recursions over time in NumPy, for the whole batch at once.

A target l of S labels is read as l' = blank l_1 blank l_2 ... blank: L = 2 S + 1 places. A path
goes through them in time; from place s it stays, goes on to s + 1, or skips the blank between two
different labels to s + 2. With e_t(s) = ln p_t(l'_s), all in logarithms,

    a_t(s) = ln Σ e^(a_{t-1}(r) + e_{t-1}(r)) over the places r that lead to s    (arrivals)
    b_t(s) = the same from the end backwards                                      (departures)
    loss   = -ln Σ e^(a_T(s) + e_T(s)) over the last label and the last blank
    γ_t(s) = e^(a_t(s) + e_t(s) + b_t(s) + loss), the share of paths that are at s at time t

and ∂loss/∂ln p_t(c) = -Σ γ_t(s) over the places s of label c. Leaving e_t(s) out of both a and b,
where the paper has it in both, spares a division that would be 0 / 0 for a probability of 0.

The gradient given is p_t(c) - Σ γ_t(s), as torch's: that of the loss plus Σ p_t(c), a constant as
long as the probabilities of a time step add up to 1. Through log_softmax both are the same.

Source: Graves et al. 2006, "Connectionist temporal classification", eqs. 6 to 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.kernel import kernel
from ..dtypes import Array
from ..ops import elementwise as e
from ..ops import index as indexing
from ..ops import reduce as reductions
from ..ops import shape as moves
from ..tensor import Tensor, make


def _skips(labels: Array) -> Array:
    """Whether each place (N, L) may be reached from two places before."""
    allowed = np.zeros(labels.shape, np.bool_)
    allowed[:, 2:] = labels[:, 2:] != labels[:, :-2]
    return allowed


def _arrivals(emissions: Array, labels: Array) -> Array:
    """a_t(s), of the shape (T, N, L) of the emissions e_t(s); see above."""
    steps, batch, places = emissions.shape
    barrier = np.where(_skips(labels), 0, -np.inf).astype(emissions.dtype)
    lowest = np.finfo(emissions.dtype).min
    arrivals = np.full_like(emissions, -np.inf)
    arrivals[0, :, :2] = 0
    ways = np.full((3, batch, places), -np.inf, emissions.dtype)
    for t in range(1, steps):
        np.add(arrivals[t - 1], emissions[t - 1], out=ways[0])
        ways[1, :, 1:] = ways[0, :, :-1]
        np.add(ways[0, :, :-2], barrier[:, 2:], out=ways[2, :, 2:])
        # No lower than a finite number: -inf - -inf is none.
        top = np.maximum(ways.max(axis=0), lowest)
        total = np.exp(ways - top).sum(axis=0)
        np.add(np.log(total, out=total), top, out=arrivals[t])
    return arrivals


def _ends(values: Array, input_lengths: Array, target_lengths: Array) -> tuple[Array, Array]:
    """The values (T, N, L) at the last time of each sequence: at its last blank, its last label."""
    last = np.maximum(input_lengths - 1, 0)
    rows = np.arange(len(last))
    places = 2 * target_lengths
    label = values[last, rows, np.maximum(places - 1, 0)]
    return values[last, rows, places], np.where(target_lengths > 0, label, -np.inf)


def _ctc_backward(
    g: tuple[Any, ...],
    saved: tuple[Array, ...],
    arrays: tuple[Array, ...],
    needs: tuple[bool, ...],
    *,
    labels: Array,
    input_lengths: Array,
    target_lengths: Array,
    zero_infinity: bool,
) -> tuple[Array | None]:
    emissions, arrivals, losses = saved
    (log_probs,) = arrays
    steps, batch, classes = log_probs.shape
    places = labels.shape[1]
    # Departures are the arrivals of the sequence and the labels read backwards.
    times = input_lengths - 1 - np.arange(steps)[:, None]
    spots = 2 * target_lengths[:, None] - np.arange(places)
    rows = np.arange(batch)[:, None]
    mirror = (np.maximum(times, 0)[:, :, None], rows, np.maximum(spots, 0))
    reverse = _arrivals(emissions[mirror], labels[rows, mirror[2]])
    departures = np.where((times >= 0)[:, :, None] & (spots >= 0), reverse[mirror], -np.inf)

    shares = np.exp(arrivals + emissions + departures + losses[:, None])
    cells = np.arange(steps * batch).reshape(steps, batch, 1) * classes + labels
    sums = np.bincount(cells.ravel(), shares.ravel(), steps * batch * classes)
    gradient = np.exp(log_probs) - sums.reshape(log_probs.shape)
    gradient *= g[0][:, None]
    impossible = np.isinf(losses)
    gradient[:, impossible] = 0 if zero_infinity else np.nan
    gradient[times < 0] = 0
    return (gradient.astype(log_probs.dtype, copy=False),)


def _ctc_reference(
    log_probs: Tensor,
    *,
    labels: Array,
    input_lengths: Array,
    target_lengths: Array,
    zero_infinity: bool,
) -> tuple[Tensor, ...]:
    """The arrivals step by step, in primitives."""
    steps, batch, _ = log_probs._array.shape
    places = labels.shape[1]
    wide = np.broadcast_to(labels, (steps, *labels.shape))
    emissions = indexing.gather(log_probs, 2, make(np.ascontiguousarray(wide)))
    nowhere = make(np.full((batch, 1), -np.inf, log_probs._array.dtype))
    closed = make(~_skips(labels))
    ahead = make(np.broadcast_to(np.arange(places) > 1, labels.shape))
    alpha: Tensor = e.masked_fill(emissions[0], ahead, -np.inf)
    alphas = [alpha]
    for t in range(1, steps):
        once = moves.cat([nowhere, alpha[:, :-1]], 1)
        twice = moves.cat([nowhere, once[:, :-1]], 1)
        ways = moves.stack([alpha, once, e.masked_fill(twice, closed, -np.inf)])
        alpha = _log_sum(ways) + emissions[t]
        alphas.append(alpha)
    last = np.maximum(input_lengths - 1, 0)
    rows = np.arange(batch)
    every: Tensor = moves.stack(alphas)
    blank = every[last, rows, 2 * target_lengths]
    label = every[last, rows, np.maximum(2 * target_lengths - 1, 0)]
    label = e.masked_fill(label, make(target_lengths == 0), -np.inf)
    # A sequence of no steps has one path for no labels, none for some.
    kind = log_probs._array.dtype
    empty = make(np.where(target_lengths > 0, -np.inf, 0).astype(kind))
    likelihood = _log_sum(moves.stack([blank, label]))
    likelihood = e.where(make(input_lengths == 0), empty, likelihood)

    # Σ p over the sequence: its gradient is the p of the kernel's p - Σ γ, its value is left out.
    over = make(np.arange(steps)[:, None] >= input_lengths)
    mass = e.masked_fill(e.exp(log_probs), over.unsqueeze(-1), 0.0).sum((0, 2))
    losses = mass - mass.detach() - likelihood
    impossible = np.isneginf(likelihood._array)
    if zero_infinity:
        return (e.masked_fill(losses, make(impossible), 0.0),)
    # -ln(0 Σ p): infinite, with a gradient that is no number, as the kernel's.
    infinite = -e.log(mass * make(np.where(impossible, 0, 1).astype(kind)))
    return (e.where(make(impossible), infinite, losses),)


def _log_sum(ways: Tensor) -> Tensor:
    """ln Σ e^ways over dimension 0; where all are -inf that, with gradient 0."""
    dead = make(np.asarray(np.isneginf(ways._array).all(axis=0)))
    total: Tensor = reductions.logsumexp(e.masked_fill(ways, dead, 0.0), 0)
    result: Tensor = e.masked_fill(total, dead, -np.inf)
    return result


@kernel(backward=_ctc_backward, reference=_ctc_reference, outputs=("loss",))
def ctc_loss(
    log_probs: Array,
    *,
    labels: Array,
    input_lengths: Array,
    target_lengths: Array,
    zero_infinity: bool,
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The loss (N) of each sequence.

    log_probs : (T, N, C)
    labels : (N, 2 S + 1) the classes of all places, padded with blanks
    input_lengths, target_lengths : (N), from 0 to T and to S
    zero_infinity : where no path fits, the loss and its gradient are 0 instead of inf and NaN
    """
    rows = np.arange(labels.shape[0])[:, None]
    emissions = log_probs[:, rows, labels]
    arrivals = _arrivals(emissions, labels)
    blank, label = _ends(arrivals + emissions, input_lengths, target_lengths)
    losses = -np.logaddexp(blank, label)
    losses = np.where(input_lengths > 0, losses, np.where(target_lengths > 0, np.inf, 0))
    losses = losses.astype(log_probs.dtype, copy=False)
    outputs = losses.copy()
    if zero_infinity:
        outputs[np.isinf(outputs)] = 0
    return (outputs,), (emissions, arrivals, losses)
