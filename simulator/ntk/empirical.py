"""The empirical neural tangent kernel in closed form, streamed over blocks of neurons.

The kernel of a network at weights W is ``K(x, x') = <grad_W f(x), grad_W f(x')>``. For the
symmetric ReLU network ``grad_{w_i} f = g_i(x) x``, so with the (n, m) gates G

    K = (G G^T) o (X X^T),

and the (n, m d) Jacobian is never formed. Plain gates are 0 or 1: ``G G^T`` counts the neurons
that two samples share, exact in float32 up to 2^24 of them, and by lists of open samples where
few gates are open. Neurons proved dead (:mod:`simulator.networks.screening`) are left out.

The patch network has one kernel for each class: :mod:`simulator.ntk.patches`.
Source of the questions asked of it: Loo, Hasani, Amini & Rus, arXiv 2210.12030.
"""

from typing import Any

import numpy as np

from simulator.checks import require_array, require_int
from simulator.jit import kernel
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.screening import Buffers, survey
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.networks.sparse_passes import DENSE_GATES
from simulator.networks.symmetric_relu import SymmetricReLU, require_symmetric
from simulator.ntk.patches import class_kernels

__all__ = ["empirical_ntk", "ntk_bytes"]

BLOCK = 512  # neurons at a time: products stay near BLAS speed, their memory small
EXACT = 2**24  # float32 holds every count up to here


def empirical_ntk(network: SymmetricReLU | LinearizedReLU | SmoothedReLUCNN, X: np.ndarray,
                  other: np.ndarray | None = None, block: int | None = None) -> np.ndarray:
    """Return the kernel between samples.

    Parameters
    ----------
    network : SymmetricReLU, LinearizedReLU or SmoothedReLUCNN
        With smoothing, the gates are those of the expectation. The kernel of a linearised network
        is that of its checkpoint.
    X : ndarray, shape (n, d), of patches (n, P, d)
    other : ndarray, shape (n', d), of patches (n', P, d), or None
        The second set of samples. None: X itself, and the kernel is exactly symmetric.
    block : int or None
        Neurons at a time; it changes memory and, where gates are smoothed, rounding. None: 512,
        of a patch network 8.

    Returns
    -------
    ndarray, shape (n, n'), of a patch network one for each class, (K, n, n'); float64

    Raises
    ------
    TypeError
        Another network: its gradient by the weights has no closed form here.
    """
    if isinstance(network, SmoothedReLUCNN):
        return class_kernels(network, X, other, 8 if block is None else block)
    if isinstance(network, LinearizedReLU):
        network = SymmetricReLU(network.frozen_weights, network.bias)
    network = require_symmetric("network", network, "its kernel has a closed form")
    block = require_int("block", BLOCK if block is None else block, low=1)
    d = network.weights.shape[1]
    X = require_array("X", X, (None, d), why=f"the network reads d = {d} coordinates")
    rows = X if other is None else require_array(
        "other", other, (None, d), why=f"the network reads d = {d} coordinates")
    K = X.astype(np.float64, copy=False) @ rows.astype(np.float64, copy=False).T
    K *= _shared_gates(network, X, None if other is None else rows, block)
    if other is None:
        _mirror(K)
    return K


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
        G = few.gates(X).astype(kind, copy=False)
        H = G if other is None else few.gates(other).astype(kind, copy=False)
        if plain and G.mean() * H.mean() < DENSE_GATES**2:
            _count_shared(G.T.copy(), H.T.copy(), other is None, total)
        else:
            total += G @ H.T
    return total


@kernel
def _count_shared(G: np.ndarray, H: np.ndarray, symmetric: bool, total: np.ndarray) -> None:
    """Add 1 for each neuron (a row of G and of H) that is open for both samples."""
    columns = np.empty(H.shape[1], np.int64)
    for i in range(len(G)):
        count = 0
        for column in range(H.shape[1]):
            if H[i, column] != 0.0:
                columns[count] = column
                count += 1
        start = 0
        for row in range(G.shape[1]):
            if G[i, row] != 0.0:
                counts = total[row]
                for q in range(start, count):
                    counts[columns[q]] += 1.0
                if symmetric:
                    start += 1


@kernel
def _mirror(K: np.ndarray) -> None:
    for row in range(len(K)):
        for column in range(row):
            K[row, column] = K[column, row]
