"""Loop references for masked networks and tickets, entry by entry; NumPy only."""

import math

import numpy as np

from references import ntk


def pre_activation(w, mask, x, scale):
    return scale * math.fsum(float(a) * float(c) for a, keep, c in zip(w, mask, x) if keep)


def forward(W, mask, b, X, scale=1.0):
    """f(x) = sum_i S_b(s <mask_i o w_i, x>)."""
    f = np.zeros(len(X))
    for n, x in enumerate(X):
        for w, row in zip(W, mask):
            u = pre_activation(w, row, x, scale)
            if u > b:
                f[n] += u - b
            elif u < -b:
                f[n] += u + b
    return f


def gate(W, mask, b, x, i, scale=1.0):
    return float(abs(pre_activation(W[i], mask[i], x, scale)) > b)


def kernel(W, mask, b, X, scale=1.0):
    """sum_i g_i g'_i <mask_i o x, mask_i o x'> s^2."""
    K = np.zeros((len(X), len(X)))
    for n, x in enumerate(X):
        for p, other in enumerate(X):
            for i in range(len(W)):
                if gate(W, mask, b, x, i, scale) and gate(W, mask, b, other, i, scale):
                    for j in range(len(x)):
                        if mask[i][j]:
                            K[n, p] += scale**2 * x[j] * other[j]
    return K


def jacobian(W, mask, b, X, scale=1.0):
    """df/dw of the kept weights, zero elsewhere, shape (n, m d)."""
    m, d = W.shape
    J = np.zeros((len(X), m * d))
    for n, x in enumerate(X):
        for i in range(m):
            for j in range(d):
                if mask[i][j]:
                    J[n, i * d + j] = scale * gate(W, mask, b, x, i, scale) * x[j]
    return J


def objective_at_fixed_gates(W, mask, gates, signs, b, X, f, K, scale, gamma, output_weight):
    """J of a real mask: outputs and kernel are linear in it once the gates are given."""
    n, m = gates.shape
    outputs, kernel_of = np.zeros(n), np.zeros((n, n))
    for p in range(n):
        for i in range(m):
            if gates[p, i]:
                u = scale * math.fsum(mask[i, j] * W[i, j] * X[p, j] for j in range(len(X[p])))
                outputs[p] += u - b * signs[p, i]
    for p in range(n):
        for q in range(n):
            for i in range(m):
                if gates[p, i] and gates[q, i]:
                    kernel_of[p, q] += scale**2 * math.fsum(
                        mask[i, j] * X[p, j] * X[q, j] for j in range(len(X[p])))
    return (output_weight * np.sum((outputs - f) ** 2) / n
            + (gamma / n) ** 2 * np.sum((kernel_of - K) ** 2))


def objective(W, mask, bias, b, X, f, K, scale, gamma, output_weight):
    """J of a mask with the gates it has."""
    n = len(X)
    outputs, kernel_of = forward(W, mask, bias, X, scale), kernel(W, mask, bias, X, scale)
    return (output_weight * np.sum((outputs - f) ** 2) / n
            + (gamma / n) ** 2 * np.sum((kernel_of - K) ** 2))


def euler_flow(K, f, y, time, steps):
    """df/dt = -(1/n) K r(f) by many small steps."""
    f = np.array(f, float)
    for _ in range(steps):
        r = np.array([-label / (1.0 + math.exp(label * value)) for label, value in zip(y, f)])
        f = f - time / steps * (K @ r) / len(y)
    return f


def smoothed_objective(W, mask, b, width, X, f, K, scale, gamma, output_weight):
    """J of a masked network whose gates rise over a band; the dense network keeps f and K."""
    n = len(X)
    U = [[pre_activation(w, row, x, scale) for w, row in zip(W, mask)] for x in X]
    outputs = [math.fsum(ntk.output(u, b, width) for u in line) for line in U]
    value = output_weight / n * math.fsum((one - wanted) ** 2 for one, wanted in zip(outputs, f))
    for p in range(n):
        for q in range(n):
            entry = scale**2 * math.fsum(
                ntk.gate(U[p][i], b, width) * ntk.gate(U[q][i], b, width)
                * math.fsum(X[p][j] * X[q][j] for j in range(len(X[p])) if mask[i][j])
                for i in range(len(W)))
            value += (gamma / n) ** 2 * (entry - K[p][q]) ** 2
    return value
