"""Greedy swaps: improve a ticket one pair of weights at a time, gates and all.

A proposal drops one kept weight and keeps one dropped weight, of the same neuron or of two. It is
accepted if the objective of :mod:`simulator.tickets.search` falls,

    J(mask) = output_weight ||f_mask - f||^2 / n + (gamma / n)^2 ||K_mask - K||_F^2,

computed anew for the neurons it touches, with the gates they have after the swap: no derivative
and no straight-through, so J on the examples never rises. A neuron changes the kernel only where
two samples open it, so one proposal costs a few microseconds.
"""

import numpy as np

from simulator.checks import require_real
from simulator.jit import kernel
from simulator.networks.masked import require_mask
from simulator.tickets.search import Dynamics

__all__ = ["greedy_swaps", "propose_neuron_swaps", "propose_swaps"]


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
    swaps = np.ascontiguousarray(swaps, np.int64).reshape(-1, 4)
    m, d = mask.shape
    if len(swaps) and ((swaps < [0, -1, 0, -1]).any() or (swaps >= [m, d, m, d]).any()):
        raise ValueError(f"swaps: expected rows below {m} and columns below {d}, got others")
    n = len(dynamics.X)
    f, K = dynamics.outputs_and_kernel(mask, scale, bias)
    accepted = _swap(dynamics.weights, mask, swaps, scale * dynamics.X, bias,
                     f - dynamics.outputs, K - dynamics.target, output_weight / n,
                     (gamma / n) ** 2)
    return mask, int(accepted)


@kernel
def _swap(W, mask, swaps, X, b, e, E, output_factor, kernel_factor):
    """``X`` is scaled: K_mask = sum_i g_i g'_i <mask_i o s x, mask_i o s x'>."""
    n, d = X.shape
    u, Z = np.empty(n, X.dtype), np.empty((d, n), X.dtype)
    opened = np.empty(n, np.int64)
    accepted = 0
    for t in range(len(swaps)):
        i, j, k, l = swaps[t]
        if _keeps(mask, i, j) == _keeps(mask, k, l):
            continue
        change = 0.0
        for turn in range(2):  # swap, and if that does not help swap back
            for sign in (-1.0, 1.0):
                change += _take(W, mask, i, X, b, sign, u, Z, opened, e, E, output_factor,
                                kernel_factor)
                if k != i:
                    change += _take(W, mask, k, X, b, sign, u, Z, opened, e, E, output_factor,
                                    kernel_factor)
                if sign < 0.0:
                    _exchange(mask, i, j, k, l)
            if turn == 0 and change < 0.0:
                accepted += 1
                break
    return accepted


@kernel
def _keeps(mask, i, j):
    """Whether a weight is kept; for j = -1 whether any of the neuron is."""
    if j >= 0:
        return mask[i, j]
    for q in range(mask.shape[1]):
        if mask[i, q]:
            return True
    return False


@kernel
def _exchange(mask, i, j, k, l):
    if j >= 0:
        mask[i, j], mask[k, l] = mask[k, l], mask[i, j]
    else:
        for q in range(mask.shape[1]):
            mask[i, q], mask[k, q] = mask[k, q], mask[i, q]


@kernel
def _take(W, mask, i, X, b, sign, u, Z, opened, e, E, output_factor, kernel_factor):
    """Add (sign 1) or take away (-1) neuron i in the errors e, E; return the change of J."""
    n, d = X.shape
    kept = 0
    for j in range(d):
        if mask[i, j]:
            u_weight = W[i, j]
            if kept == 0:
                for row in range(n):
                    u[row] = u_weight * X[row, j]
            else:
                for row in range(n):
                    u[row] += u_weight * X[row, j]
            kept += 1
    if kept == 0:
        return 0.0
    change, count = 0.0, 0
    for row in range(n):
        if abs(u[row]) > b:
            add = sign * (u[row] - b if u[row] > 0.0 else u[row] + b)
            change += output_factor * add * (2.0 * e[row] + add)
            e[row] += add
            opened[count] = row
            count += 1
    if kernel_factor == 0.0:
        return change
    q = 0
    for j in range(d):
        if mask[i, j]:
            for p in range(count):
                Z[q, p] = X[opened[p], j]
            q += 1
    for p in range(count):
        u[p:count] = 0.0  # no longer needed
        for q in range(kept):
            z, here = Z[q], Z[q, p]
            for r in range(p, count):
                u[r] += here * z[r]
        line = E[opened[p]]
        for r in range(p, count):
            add = sign * u[r]
            twice = 1.0 if r == p else 2.0
            change += twice * kernel_factor * add * (2.0 * line[opened[r]] + add)
            line[opened[r]] += add  # the upper half of E is all that is read
    return change
