"""Greedy swaps: improve a ticket one pair of weights at a time, gates and all.

A proposal drops one kept weight and keeps one dropped weight, of the same neuron or of two. It is
accepted if the objective of :mod:`simulator.tickets.dynamics` falls,

    J(mask) = output_weight ||f_mask - f||^2 / n + (gamma / n)^2 ||K_mask - K||_F^2,

computed anew for the neurons it touches, with the gates they have after the swap: no derivative
and no straight-through, so J on the examples never rises. A neuron changes the kernel only where
two samples open it, so one proposal costs a few microseconds.
"""

import numpy as np

from simulator.checks import require_real
from simulator.heartbeat import beat
from simulator.jit import kernel
from simulator.networks.masked import require_mask
from simulator.tickets.dynamics import Dynamics

__all__ = ["greedy_swaps", "propose_neuron_swaps", "propose_swaps"]

HEARD = 100  # swaps between two signs of life: a few microseconds to a millisecond each


def propose_swaps(mask: np.ndarray, count: int, rng: np.random.Generator,
                  within: float = 0.5) -> np.ndarray:
    """Draw pairs of weights, one kept and one dropped where the mask is ``mask``.

    Parameters
    ----------
    mask : ndarray of bool, shape (m, d)
    count : int
    rng : Generator
    within : float
        Share of the proposals that stay within a neuron (where it has weights of both kinds).

    Returns
    -------
    swaps : ndarray of int, shape (count, 4)
        Row and column of the one, row and column of the other; none if all or no weights are
        kept.
    """
    kept, dropped = np.flatnonzero(mask), np.flatnonzero(~mask)
    if len(kept) == 0 or len(dropped) == 0:
        return np.zeros((0, 4), np.int64)
    d = mask.shape[1]
    one, other = (which[rng.integers(0, len(which), count)] for which in (kept, dropped))
    same = rng.random(count) < within
    candidates = one // d * d + rng.integers(0, d, count)  # a random weight of the same neuron
    other = np.where(same & ~mask.ravel()[candidates], candidates, other)
    return np.column_stack([one // d, one % d, other // d, other % d])


def propose_neuron_swaps(mask: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw pairs of neurons, one with weights and one without; as :func:`propose_swaps`.

    The columns are -1: all weights of the one neuron for all of the other.
    """
    kept = mask.any(axis=1)
    if kept.all() or not kept.any():
        return np.zeros((0, 4), np.int64)
    one, other = (which[rng.integers(0, len(which), count)]
                  for which in (np.flatnonzero(kept), np.flatnonzero(~kept)))
    return np.column_stack([one, np.full(count, -1), other, np.full(count, -1)])


def greedy_swaps(dynamics: Dynamics, mask: np.ndarray, swaps: np.ndarray, scale: float = 1.0,
                 bias: float | None = None, gamma: float = 1.0,
                 output_weight: float = 1.0) -> tuple[np.ndarray, int]:
    """Try swaps in order and keep those that lower the objective.

    Parameters
    ----------
    dynamics : Dynamics
        Target outputs and kernel at the examples.
    mask : ndarray of bool, shape (m, d)
        Where to begin; not changed.
    swaps : ndarray of int, shape (count, 4)
        Of :func:`propose_swaps` or :func:`propose_neuron_swaps`. One whose weights are by then
        both kept or both dropped is passed over.
    scale : float
        s.
    bias : float or None
        Threshold of the masked network; None: that of the dense one.
    gamma, output_weight : float
        Factors of the two parts.

    Returns
    -------
    mask : ndarray of bool, shape (m, d)
        As many kept weights as before.
    accepted : int
    """
    mask = require_mask(mask, dynamics.weights.shape).copy()
    require_real("gamma", gamma, low=0.0)
    require_real("output_weight", output_weight, low=0.0)
    bias = dynamics.bias if bias is None else bias
    swaps = np.require(swaps, np.int64, ["C", "W"]).reshape(-1, 4)  # writable: see `Dynamics`
    m, d = mask.shape
    if len(swaps) and ((swaps < [0, -1, 0, -1]).any() or (swaps >= [m, d, m, d]).any()):
        raise ValueError(f"swaps: expected rows below {m} and columns below {d}, got others")
    n, X = len(dynamics.X), scale * dynamics.X
    f, K = dynamics.outputs_and_kernel(mask, scale, bias)
    errors = np.vstack([K - dynamics.target, f - dynamics.outputs])
    factors = np.array([output_weight / n, (gamma / n) ** 2])
    accepted = 0
    for start in range(0, len(swaps), HEARD):
        beat()
        accepted += int(_swap(dynamics.weights, mask, swaps[start:start + HEARD], X, bias, errors,
                              factors))
    return mask, accepted


# In the kernels X is scaled, K_mask = sum_i g_i g'_i <mask_i o s x, mask_i o s x'>; ``errors``
# (n + 1, n) holds K_mask - K, of which the upper half alone is read, and below it f_mask - f;
# ``factors`` are those of the squared errors of outputs and kernel; ``room`` (d + 1, n) is scratch.


@kernel
def _swap(W: np.ndarray, mask: np.ndarray, swaps: np.ndarray, X: np.ndarray, b: float,
          errors: np.ndarray, factors: np.ndarray) -> int:
    """Try swaps in order, in place; return how many were kept."""
    n, d = X.shape
    room, opened = np.empty((d + 1, n), X.dtype), np.empty(n, np.int64)
    accepted = 0
    for t in range(len(swaps)):
        i, j, k, l = swaps[t]
        if _keeps(mask, i, j) == _keeps(mask, k, l):
            continue
        if _exchange(W, mask, swaps[t], X, b, room, opened, errors, factors) < 0.0:
            accepted += 1
        else:  # and back
            _exchange(W, mask, swaps[t], X, b, room, opened, errors, factors)
    return accepted


@kernel
def _exchange(W: np.ndarray, mask: np.ndarray, swap: np.ndarray, X: np.ndarray, b: float,
              room: np.ndarray, opened: np.ndarray, errors: np.ndarray,
              factors: np.ndarray) -> float:
    """Exchange two entries of the mask, or two neurons, and return the change of J."""
    i, j, k, l = swap
    change = _put(W, mask, i, X, b, -1.0, room, opened, errors, factors)
    if k != i:
        change += _put(W, mask, k, X, b, -1.0, room, opened, errors, factors)
    if j >= 0:
        mask[i, j], mask[k, l] = mask[k, l], mask[i, j]
    else:
        for q in range(mask.shape[1]):
            mask[i, q], mask[k, q] = mask[k, q], mask[i, q]
    change += _put(W, mask, i, X, b, 1.0, room, opened, errors, factors)
    if k != i:
        change += _put(W, mask, k, X, b, 1.0, room, opened, errors, factors)
    return change


@kernel
def _put(W: np.ndarray, mask: np.ndarray, i: int, X: np.ndarray, b: float, sign: float,
         room: np.ndarray, opened: np.ndarray, errors: np.ndarray, factors: np.ndarray) -> float:
    """Add (sign 1) or take away (-1) neuron i in the errors; return the change of J."""
    n, d = X.shape
    u = room[d]
    if not _pre_activations(W[i], mask[i], X, u):
        return 0.0
    change, count = 0.0, 0
    e = errors[n]
    for row in range(n):
        if abs(u[row]) > b:
            add = sign * (u[row] - b if u[row] > 0.0 else u[row] + b)
            change += factors[0] * add * (2.0 * e[row] + add)
            e[row] += add
            opened[count] = row
            count += 1
    if factors[1] == 0.0:
        return change
    return _put_kernel(mask[i], X, sign, room, opened[:count], errors, factors[1], change)


@kernel
def _pre_activations(w: np.ndarray, kept: np.ndarray, X: np.ndarray, u: np.ndarray) -> bool:
    """``u_n = <kept o w, x_n>``; False if no weight is kept."""
    some = False
    for j in range(len(w)):
        if kept[j]:
            for row in range(len(u)):
                if some:
                    u[row] += w[j] * X[row, j]
                else:
                    u[row] = w[j] * X[row, j]
            some = True
    return some


@kernel
def _put_kernel(kept: np.ndarray, X: np.ndarray, sign: float, room: np.ndarray, opened: np.ndarray,
                errors: np.ndarray, factor: float, change: float) -> float:
    """Add the pairs of samples that open a neuron to K_mask - K, and to the change of J."""
    d, count, size = X.shape[1], len(opened), 0
    for j in range(d):
        if kept[j]:
            for p in range(count):
                room[size, p] = X[opened[p], j]
            size += 1
    sums = room[d]
    for p in range(count):
        sums[p:count] = 0.0
        for q in range(size):
            z, z_p = room[q], room[q, p]
            for r in range(p, count):
                sums[r] += z_p * z[r]
        line = errors[opened[p]]
        for r in range(p, count):
            add = sign * sums[r]
            twice = 1.0 if r == p else 2.0
            change += twice * factor * add * (2.0 * line[opened[r]] + add)
            line[opened[r]] += add
    return change


@kernel
def _keeps(mask: np.ndarray, i: int, j: int) -> bool:
    """Whether a weight is kept; for j = -1 whether any of the neuron is."""
    if j >= 0:
        return mask[i, j]
    for q in range(mask.shape[1]):
        if mask[i, q]:
            return True
    return False
