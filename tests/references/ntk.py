"""Loop references of the linearised network and of the kernels: slow and obvious.

NumPy and the standard library only, never the package under test. W has one row a neuron, X one
row a sample, D the changes dW.
"""

import math

import numpy as np

from references.symmetric_relu import dot
from references.symmetric_relu import gate as network_gate
from references.symmetric_relu import logistic, neuron


def rise(t):
    """0 up to -1, 1 from 1 on, and a cubic between."""
    t = min(max(t, -1.0), 1.0)
    return (2.0 + 3.0 * t - t**3) / 4.0


def rise_area(t):
    """The integral of :func:`rise` from -1 to t, by Simpson's rule (exact for a cubic)."""
    if t <= -1.0:
        return 0.0
    if t > 1.0:
        return rise_area(1.0) + t - 1.0
    h = t + 1.0
    return h / 6.0 * (rise(-1.0) + 4.0 * rise((t - 1.0) / 2.0) + rise(t))


def gate(u, b, s):
    if s == 0.0:
        return float(abs(u) > b)
    return rise((u - b) / s) + rise((-u - b) / s)


def output(u, b, s):
    """The soft threshold, or its smoothed version."""
    if s == 0.0:
        return neuron(u, b)
    return s * (rise_area((u - b) / s) - rise_area((-u - b) / s))


def linearised(W, b, D, X, centred, s=0.0):
    """``[f_t(x) +] sum_i g_i(x) <dw_i, x>`` of every sample."""
    f = np.zeros(len(X))
    for n, x in enumerate(X):
        for w, change in zip(W, D, strict=True):
            u = dot(w, x)
            f[n] += gate(u, b, s) * dot(change, x)
            if not centred:
                f[n] += output(u, b, s)
    return f


def ridge_loss(W, b, D, X, y, centred, s=0.0, lam=0.0):
    """``mean log(1 + exp(-y f)) + lam ||dW||^2 / 2``."""
    f = linearised(W, b, D, X, centred, s)
    data = math.fsum(logistic(label * out) for label, out in zip(y, f)) / len(X)
    return data + lam * math.fsum(float(value) ** 2 for value in D.ravel()) / 2.0


def ntk(W, b, X, other, s=0.0):
    """``sum_i g_i(x) g_i(x') <x, x'>``, with the gates of naive.gate."""
    K = np.zeros((len(X), len(other)))
    for n, x in enumerate(X):
        for k, z in enumerate(other):
            shared = math.fsum(network_gate(dot(w, x), b, s) * network_gate(dot(w, z), b, s)
                               for w in W)
            K[n, k] = shared * dot(x, z)
    return K


def class_kernel(W, q, rho, X, other):
    """Kernel of one output: over neurons and pairs of patches."""
    def slope(z):
        return (min(max(z, 0.0), rho) / rho) ** (q - 1)

    K = np.zeros((len(X), len(other)))
    for n, sample in enumerate(X):
        for k, second in enumerate(other):
            K[n, k] = math.fsum(slope(dot(w, x)) * slope(dot(w, z)) * dot(x, z)
                                for w in W for x in sample for z in second)
    return K
