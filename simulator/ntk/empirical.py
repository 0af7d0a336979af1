"""The empirical neural tangent kernel in closed form, streamed over blocks of neurons.

The kernel of a network at weights W is ``K(x, x') = <grad_W f(x), grad_W f(x')>``. For the
symmetric ReLU network ``grad_{w_i} f = g_i(x) x``, so with the (n, m) gates G

    K = (G G^T) o (X X^T),

and the (n, m d) Jacobian is never formed. Plain gates are 0 or 1: ``G G^T`` counts the neurons
that two samples share, exact in float32 up to 2^24 of them, and by lists of open samples where
few gates are open. Neurons proved dead (:mod:`simulator.networks.screening`) are left out.

For the patch network of Li & Li (arXiv 2410.08503), ``grad_{w_ir} F_i = sum_p sigma'(z_irp) X[p]``
and the weights of different classes are different ones: one kernel for each class, and zero
between classes,

    K_i(X, X') = sum_r sum_{p,p'} sigma'(z_irp) sigma'(z'_irp') <X[p], X'[p']>.

Source of the questions asked of it: Loo, Hasani, Amini & Rus, arXiv 2210.12030.
"""

from typing import Any, Protocol

import numpy as np

from simulator.checks import require_array, require_int
from simulator.jit import kernel
from simulator.networks.screening import Buffers, survey
from simulator.networks.symmetric_relu import SymmetricReLU

__all__ = ["PatchNetwork", "class_kernels", "class_kernels_bytes", "empirical_ntk", "ntk_bytes"]

BLOCK = 512  # neurons at a time: products stay near BLAS speed, their memory small
EXACT = 2**24  # float32 holds every count up to here
SPARSE_GATES = 0.07  # below this share of open gates lists beat a float32 product (measured)


class PatchNetwork(Protocol):
    """What is read of a :class:`simulator.networks.smoothed_relu_cnn.SmoothedReLUCNN`.

    Attributes
    ----------
    weights : ndarray, shape (K, m, d)
    q : int
    rho : float
    """

    weights: np.ndarray
    q: int
    rho: float


def empirical_ntk(network: SymmetricReLU, X: np.ndarray, other: np.ndarray | None = None,
                  block: int = BLOCK) -> np.ndarray:
    """Return the kernel between samples.

    Parameters
    ----------
    network : SymmetricReLU
        With smoothing, the gates are those of the expectation. The kernel of a
        :class:`~simulator.networks.linearized.LinearizedReLU` is that of its checkpoint.
    X : ndarray, shape (n, d)
    other : ndarray, shape (n', d), or None
        The second set of samples. None: X itself, and the kernel is exactly symmetric.
    block : int
        Neurons at a time; it changes memory and, where gates are smoothed, rounding.

    Returns
    -------
    ndarray, shape (n, n'), float64
    """
    require_int("block", block, low=1)
    d = network.weights.shape[1]
    X = require_array("X", X, (None, d), why=f"the network reads d = {d} coordinates")
    rows = X if other is None else require_array(
        "other", other, (None, d), why=f"the network reads d = {d} coordinates")
    found = X.astype(np.float64, copy=False) @ rows.astype(np.float64, copy=False).T
    found *= _shared_gates(network, X, None if other is None else rows, block)
    if other is None:
        _mirror(found)
    return found


def ntk_bytes(n: int, d: int, m: int, other: int | None = None, block: int = BLOCK) -> int:
    """Return a bound on the memory :func:`empirical_ntk` takes, its result included.

    Parameters
    ----------
    n, d, m : int
        Samples, dimension, neurons.
    other : int or None
        n'; None for the symmetric kernel.
    block : int

    Notes
    -----
    Inputs and weights themselves are not counted. For float64 without smoothing; with smoothing
    counts are float64 too, 8 bytes more an entry.
    """
    entries = n * (n if other is None else other)
    samples, block = n + (other or 0), min(block, m)
    # an entry: result 8, counts 4, the block's product 4
    # a gate: pre-activation, its float32 copy, and the same again transposed
    # a screened weight: 8; a sample of the survey: its support
    return int(16 * entries + 24 * samples * block + 8 * m * (d + 4) + 512 * samples + 2**20)


def class_kernels(network: PatchNetwork, X: np.ndarray, other: np.ndarray | None = None,
                  block: int = 8) -> np.ndarray:
    """Return the kernel of each output of the patch network; between outputs it is zero.

    Parameters
    ----------
    network : PatchNetwork
    X : ndarray, shape (n, P, d)
    other : ndarray, shape (n', P, d), or None
        None: X itself, and the kernels are exactly symmetric.
    block : int
        Neurons at a time.

    Returns
    -------
    ndarray, shape (K, n, n'), float64
    """
    require_int("block", block, low=1)
    W = np.asarray(network.weights, np.float64)
    X = _patches("X", X, W.shape[2])
    rows = X if other is None else _patches("other", other, W.shape[2])
    kernels = np.zeros((len(W), len(X), len(rows)))
    for weights, found in zip(W, kernels):
        for first in range(0, len(weights), block):
            few = weights[first:first + block]
            here = _gradients(few, network, X)
            there = here if other is None else _gradients(few, network, rows)
            found += here @ there.T
        if other is None:
            _mirror(found)
    return kernels


def class_kernels_bytes(n: int, P: int, d: int, K: int, m: int, other: int | None = None,
                        block: int = 8) -> int:
    """Return the most memory :func:`class_kernels` holds at a time, its result included."""
    block = min(block, m)
    entries = n * (n if other is None else other)
    samples = n + (other or 0)
    gradients = samples * block * (3 * P + d)  # slopes of the patches, gradients
    return int(8 * (entries * (K + 1) + gradients + samples * P * d + K * m * d) + 2**20)


def _patches(name: str, X: np.ndarray, d: int) -> np.ndarray:
    return require_array(name, X, (None, None, d), why=f"the network reads patches of R^{d}",
                         dtype=np.dtype(np.float64))


def _gradients(weights: np.ndarray, network: PatchNetwork, X: np.ndarray) -> np.ndarray:
    """Return ``sum_p sigma'(<w_r, X[p]>) X[p]`` for a few neurons, shape (n, block * d)."""
    n, P, d = X.shape
    slopes = (X.reshape(n * P, d) @ weights.T).reshape(n, P, len(weights))
    np.clip(slopes, 0.0, network.rho, out=slopes)
    slopes /= network.rho
    slopes **= network.q - 1
    return (slopes.transpose(0, 2, 1) @ X).reshape(n, -1)


def _shared_gates(network: SymmetricReLU, X: np.ndarray, other: np.ndarray | None,
                  block: int) -> np.ndarray:
    """Return ``G G'^T``, shape (n, n'); of the symmetric one only the upper triangle counts."""
    W, plain = network.weights, network.smoothing == 0.0
    if plain:
        seen = X if other is None else np.concatenate([X, other])
        W = W[survey(W, network.bias, seen.astype(W.dtype, copy=False), Buffers()).live]
        if len(W) > EXACT:
            raise ValueError(f"neurons: expected at most {EXACT}, got {len(W)}: "
                             "counts are kept in float32")
    kind: Any = np.float32 if plain else np.float64
    total = np.zeros((len(X), len(X) if other is None else len(other)), kind)
    for first in range(0, len(W), block):
        few = SymmetricReLU(W[first:first + block], network.bias, network.smoothing)
        here = few.gates(X).astype(kind, copy=False)
        there = here if other is None else few.gates(other).astype(kind, copy=False)
        if plain and here.mean() * there.mean() < SPARSE_GATES**2:
            _count_shared(here.T.copy(), there.T.copy(), other is None, total)
        else:
            total += here @ there.T
    return total


@kernel
def _count_shared(G, H, symmetric, total):
    """Add 1 for each neuron (a row of G and of H) that is open for both samples."""
    open_there = np.empty(H.shape[1], np.int64)
    for i in range(len(G)):
        found = 0
        for column in range(H.shape[1]):
            if H[i, column] != 0.0:
                open_there[found] = column
                found += 1
        start = 0
        for row in range(G.shape[1]):
            if G[i, row] != 0.0:
                counts = total[row]
                for q in range(start, found):
                    counts[open_there[q]] += 1.0
                if symmetric:
                    start += 1


@kernel
def _mirror(K):
    for row in range(len(K)):
        for column in range(row):
            K[row, column] = K[column, row]
