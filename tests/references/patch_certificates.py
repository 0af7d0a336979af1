"""Loop references for the certificates of the patch network: slow and obvious.

NumPy and the standard library only, never the package under test.
"""

import math

import numpy as np


def sigma(z, q, rho):
    if z <= 0.0:
        return 0.0
    if z <= rho:
        return z ** q / (q * rho ** (q - 1))
    return z - (1.0 - 1.0 / q) * rho


def output(neurons, X, q, rho):
    """One F_i: the sum over its neurons and all patches."""
    return math.fsum(sigma(float(np.dot(w, x)), q, rho) for w in neurons for x in X)


def margin(weights, X, label, q, rho):
    F = [output(neurons, X, q, rho) for neurons in weights]
    return F[label] - max(F[j] for j in range(len(F)) if j != label)


def phi(own, rival, x, q, rho):
    """What one patch adds to ``F_y - F_j``."""
    return output(own, [x], q, rho) - output(rival, [x], q, rho)


def interval(own, rival, x, radius, q, rho):
    total = 0.0
    for neurons, sign in ((own, 1.0), (rival, -1.0)):
        for w in neurons:
            reach = radius * math.sqrt(math.fsum(float(v) ** 2 for v in w))
            total += sign * sigma(float(np.dot(w, x)) - sign * reach, q, rho)
    return total


def least_margin(weights, X, label, q, rho, points):
    """Least margin with every patch moved by any of the ``points``: exact for a sum."""
    totals = []
    for j in range(len(weights)):
        if j != label:
            totals.append(math.fsum(
                min(phi(weights[label], weights[j], x + delta, q, rho) for delta in points)
                for x in X))
    return min(totals)


def dual_value(W, own, t, low, high, q, rho, radius, a, mu, lam, points=20001):
    """The Lagrangian bound with its inner minima on a fine grid and P inverted densely.

    Returns minus infinity where P is not positive definite.
    """
    P = lam * np.eye(W.shape[1])
    total = -lam * radius ** 2
    for k, w in enumerate(W):
        P -= mu[k] * np.outer(w, w)
        sign = 1.0 if k < own else -1.0
        total += min(sign * sigma(t[k] + s, q, rho) - a[k] * s + mu[k] * s * s
                     for s in np.linspace(low[k], high[k], points))
    if np.linalg.eigvalsh(P)[0] <= 0.0:
        return -math.inf
    c = a @ W
    return total - 0.25 * c @ np.linalg.solve(P, c)
