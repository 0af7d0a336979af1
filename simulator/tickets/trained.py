"""The ticket whose surviving weights are trained as well as its mask.

The likely ancestor of Shi et al. (arXiv 2202.06488) is Neural Tangent Transfer (Liu & Zenke, ICML
2020), whose student network is trained, without labels, towards outputs and kernel of the dense
one: Adam on the surviving weights, and from time to time the mask anew, by the size of the weights.
Here the same is done on adversarial examples; whether Shi et al. do is not known.

The kernel of a two-layer network moves with its weights only where a gate opens or closes, so its
gradient vanishes almost everywhere. The search follows that of *smoothed* gates,
``h(u) = R((|u| - b)/s)`` with the cubic R of :mod:`simulator.networks.linearized`, and of the soft
threshold ``H`` that has them for its slope (a reading). With ``u_ni = scale <mask_i o w_i, x_n>``,

    f_n = sum_i H(u_ni),    K_nn' = scale^2 sum_i h(u_ni) h(u_n'i) <mask_i o x_n, mask_i o x_n'>,

    J = (output_weight / n) ||f - f_dense||^2 + (gamma / n)^2 ||K - K_dense||_F^2,

    dJ/du_ni = (2 output_weight / n) (f - f_dense)_n h(u_ni)
               + 4 (gamma scale / n)^2 h'(u_ni) sum_n' (K - K_dense)_nn' h(u_n'i) <x_n, x_n'>_mask_i

and ``dJ/dw_ij = scale mask_ij sum_n dJ/du_ni x_nj``. The dense network has its true gates. (Liu &
Zenke match the kernel between two halves of a batch; here its whole matrix.)
"""

from collections.abc import Callable

import numpy as np

from simulator.checks import require_int, require_real
from simulator.heartbeat import beat
from simulator.jit import kernel
from simulator.networks.masked import require_mask
from simulator.tickets.dynamics import Dynamics
from simulator.tickets.masks import kept_count, largest, magnitude_mask

__all__ = ["smoothed_objective", "trained_ticket"]

REPICKED = 100  # steps between two choices of the mask, as Liu & Zenke have it
MOMENTS = (0.9, 0.999)  # of Adam
TINY = 1e-8


def trained_ticket(examples: Callable[[int], Dynamics], weights: np.ndarray, keep: float,
                   scale: float, bias: float, steps: int, gamma: float = 1.0, rate: float = 0.3,
                   width: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Train weights and mask of a ticket towards outputs and kernel of the dense network.

    Parameters
    ----------
    examples : callable
        Returns the target of a step.
    weights : ndarray, shape (m, d)
        Of the dense network at initialisation; the largest are the first mask.
    keep : float
        Share of the weights to keep.
    scale, bias : float
        Of the masked network; see :class:`~simulator.tickets.masks.Rescaling`.
    steps : int
        Of Adam. A dropped weight stays as it was, and may be chosen again.
    gamma : float
        Factor of the kernel's part.
    rate : float
        Of Adam, in standard deviations of the weights; it falls linearly to zero.
    width : float
        Half-width of the smoothed gates, in units of the bias; at most 1.

    Returns
    -------
    weights : ndarray, shape (m, d)
        Zero outside the mask.
    mask : ndarray of bool, shape (m, d)
    """
    require_int("steps", steps, low=0)
    require_real("rate", rate, low=0.0)
    W = np.array(weights, np.float64)
    mask, count = magnitude_mask(W, keep), kept_count(W.shape, keep)
    size, first, second = rate * float(W.std()), np.zeros_like(W), np.zeros_like(W)
    for step in range(steps):
        if step and step % REPICKED == 0:
            mask = largest(np.abs(W), count)
        gradient = smoothed_objective(examples(step), W, mask, scale, bias, width * bias, gamma)[1]
        for moment, power, decay in ((first, 1, MOMENTS[0]), (second, 2, MOMENTS[1])):
            moment *= decay
            moment += (1.0 - decay) * gradient**power
        ahead = first / (1.0 - MOMENTS[0]**(step + 1))
        spread = np.sqrt(second / (1.0 - MOMENTS[1]**(step + 1)))
        peak = float(spread.max())
        if peak == 0.0:  # nothing more to gain
            break
        W -= np.where(mask, size * (1.0 - step / steps) * ahead / (spread + TINY * peak), 0.0)
    return np.where(mask, W, 0.0), mask


def smoothed_objective(dynamics: Dynamics, weights: np.ndarray, mask: np.ndarray, scale: float,
                       bias: float, width: float, gamma: float = 1.0,
                       output_weight: float = 1.0) -> tuple[float, np.ndarray]:
    """Return J of a network with smoothed gates and its gradient by the kept weights.

    Parameters
    ----------
    dynamics : Dynamics
        Target outputs and kernel at the examples.
    weights : ndarray, shape (m, d)
        Of the masked network.
    mask : ndarray of bool, shape (m, d)
    scale, bias : float
    width : float
        Half-width s of the band in which a gate rises; positive, at most the bias.
    gamma, output_weight : float
        Factors of the two parts.

    Returns
    -------
    value : float
    gradient : ndarray, shape (m, d)
        Zero outside the mask.
    """
    beat()
    mask = require_mask(mask, weights.shape)
    require_real("width", width, low=0.0, high=bias, open_low=True, why="one kink at a time")
    X, n = dynamics.X, len(dynamics.X)
    # gates, their slopes and their area of all neurons, a row a neuron
    U = scale * np.where(mask, weights, 0.0) @ X.T
    gates, bends, outputs = _smoothed(U, bias, width)
    columns, rows = np.nonzero(mask)[1], np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
    # outputs and kernel, held against the dense network's
    K = np.zeros((n, n))
    _kernel(columns, rows, gates, X, K)
    e, E = outputs.sum(axis=0) - dynamics.outputs, scale**2 * K - dynamics.target
    factor = (gamma / n) ** 2
    value = output_weight / n * float(e @ e) + factor * float(np.vdot(E, E))
    # back to the pre-activations, and from there to the weights
    S = np.zeros_like(U)
    _pulls(columns, rows, gates, bends, X, E, S)
    S *= 4.0 * factor * scale**2
    S += (2.0 * output_weight / n) * e * gates
    return value, np.where(mask, scale * (S @ X), 0.0)


def _smoothed(U: np.ndarray, b: float, s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return h, h' and H at pre-activations, for s <= b: one kink at a time."""
    inside = np.clip((np.abs(U) - b) / s, -1.0, 1.0)
    square, sign = inside**2, np.sign(U)
    gates = 0.25 * (2.0 + 3.0 * inside - inside * square)
    area = 0.1875 + 0.5 * inside + 0.375 * square - 0.0625 * square**2
    area += np.maximum((np.abs(U) - b) / s - 1.0, 0.0)  # beyond the band it is a line
    return gates, sign * 0.75 * (1.0 - square) / s, sign * s * area


@kernel
def _kernel(columns: np.ndarray, rows: np.ndarray, gates: np.ndarray, X: np.ndarray,
            K: np.ndarray) -> None:
    """K += sum_i h_i h'_i <mask_i o x, mask_i o x'>: the open samples of a neuron in pairs."""
    n = len(X)
    Z, sums, opened = np.empty((X.shape[1], n)), np.empty(n), np.empty(n, np.int64)
    for i in range(len(rows) - 1):
        first, kept, count = rows[i], rows[i + 1] - rows[i], _list_open(gates[i], opened)
        for q in range(kept):
            for p in range(count):
                Z[q, p] = gates[i, opened[p]] * X[opened[p], columns[first + q]]
        for p in range(count):
            for r in range(p, count):
                sums[r] = 0.0
            for q in range(kept):
                z, z_p = Z[q], Z[q, p]
                for r in range(p, count):
                    sums[r] += z_p * z[r]
            line = K[opened[p]]
            for r in range(p, count):
                line[opened[r]] += sums[r]
    for p in range(n):  # samples are ascending: only the upper half was written
        for r in range(p):
            K[p, r] = K[r, p]


@kernel
def _pulls(columns: np.ndarray, rows: np.ndarray, gates: np.ndarray, bends: np.ndarray,
           X: np.ndarray, E: np.ndarray, S: np.ndarray) -> None:
    """S_in = h'_in sum_n' E_nn' h_in' <x_n, x_n'>_mask_i, where a gate is on its way."""
    n = len(X)
    mixed, opened = np.empty(X.shape[1]), np.empty(n, np.int64)
    for i in range(len(rows) - 1):
        first, kept, count = rows[i], rows[i + 1] - rows[i], _list_open(gates[i], opened)
        for p in range(count):
            sample = opened[p]
            if bends[i, sample] == 0.0:
                continue
            for q in range(kept):
                mixed[q] = 0.0
            for r in range(count):
                other = opened[r]
                weight, x = E[sample, other] * gates[i, other], X[other]
                for q in range(kept):
                    mixed[q] += weight * x[columns[first + q]]
            total = 0.0
            for q in range(kept):
                total += mixed[q] * X[sample, columns[first + q]]
            S[i, sample] = bends[i, sample] * total


@kernel
def _list_open(gates: np.ndarray, opened: np.ndarray) -> int:
    """Write which samples open a neuron; return how many."""
    count = 0
    for p in range(len(gates)):
        if gates[p] != 0.0:
            opened[count] = p
            count += 1
    return count
