"""The empirical neural tangent kernels of the patch network (Li & Li, arXiv 2410.08503).

``grad_{w_ir} F_i = sum_p sigma'(z_irp) X[p]`` with ``z_irp = <w_ir, X[p]>``, and the weights of
different classes are different ones: one kernel for each class, and zero between classes,

    K_i(X, X') = sum_r sum_{p,p'} sigma'(z_irp) sigma'(z'_irp') <X[p], X'[p']>.

A neuron's gradient is one vector of R^d for a sample, so a kernel costs n^2 d a neuron and never
the pairs of patches.
"""

import numpy as np

from simulator.checks import require_array, require_int
from simulator.jit import kernel
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN, smoothed_relu_slope

__all__ = ["class_kernels"]


def class_kernels(network: SmoothedReLUCNN, X: np.ndarray, other: np.ndarray | None = None,
                  block: int = 8) -> np.ndarray:
    """Return the kernel of each output of the patch network; between outputs it is zero.

    Parameters
    ----------
    network : SmoothedReLUCNN
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
    for neurons, K in zip(W, kernels):
        for first in range(0, len(neurons), block):
            few = neurons[first:first + block]
            J = _gradients(few, network, X)
            K += J @ (J if other is None else _gradients(few, network, rows)).T
        if other is None:
            _mirror(K)
    return kernels


def _patches(name: str, X: np.ndarray, d: int) -> np.ndarray:
    return require_array(name, X, (None, None, d), why=f"the network reads patches of R^{d}",
                         dtype=np.dtype(np.float64))


def _gradients(weights: np.ndarray, network: SmoothedReLUCNN, X: np.ndarray) -> np.ndarray:
    """Return ``sum_p sigma'(<w_r, X[p]>) X[p]`` for a few neurons, shape (n, block * d)."""
    n, P, d = X.shape
    Z = (X.reshape(n * P, d) @ weights.T).reshape(n, P, len(weights))
    slopes = smoothed_relu_slope(Z, network.q, network.rho)
    return (slopes.transpose(0, 2, 1) @ X).reshape(n, -1)


@kernel
def _mirror(K: np.ndarray) -> None:
    for row in range(len(K)):
        for column in range(row):
            K[row, column] = K[column, row]
