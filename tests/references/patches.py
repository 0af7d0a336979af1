"""Loop references for the patch model, entry by entry. NumPy and the standard library only."""

import math

import numpy as np


def sigma(z, q, rho):
    """The smoothed ReLU."""
    if z <= 0.0:
        return 0.0
    if z <= rho:
        return z**q / (q * rho ** (q - 1))
    return z - (1.0 - 1.0 / q) * rho


def slope(z, q, rho):
    """Derivative of :func:`sigma`."""
    if z <= 0.0:
        return 0.0
    return 1.0 if z >= rho else (z / rho) ** (q - 1)


def dot(a, b):
    return math.fsum(float(p) * float(q) for p, q in zip(a, b, strict=True))


def patch_outputs(W, q, rho, X):
    """What each patch adds to each output, shape (n, P, K)."""
    A = np.zeros((len(X), X.shape[1], len(W)))
    for n, P, K in np.ndindex(A.shape):
        A[n, P, K] = math.fsum(sigma(dot(w, X[n, P]), q, rho) for w in W[K])
    return A


def forward(W, q, rho, X):
    """F, shape (n, K)."""
    A = patch_outputs(W, q, rho, X)
    return np.array([[math.fsum(A[n, :, i]) for i in range(len(W))] for n in range(len(X))])


def softmax(F):
    top = max(F)
    powers = [math.exp(f - top) for f in F]
    return [power / math.fsum(powers) for power in powers]


def margins(F, y):
    return np.array([f[label] - max(f[i] for i in range(len(f)) if i != label)
                     for f, label in zip(F, y)])


def soft_margin(F, label):
    """``F_y - log sum_{i != y} exp F_i``."""
    wrong = [f for i, f in enumerate(F) if i != label]
    top = max(wrong)
    return F[label] - top - math.log(math.fsum(math.exp(f - top) for f in wrong))


def loss(W, q, rho, X, y, lam=0.0):
    """Mean cross-entropy plus ``lam ||W||^2 / 2``."""
    F = forward(W, q, rho, X)
    data = math.fsum(-math.log(softmax(f)[label]) for f, label in zip(F, y)) / len(X)
    return data + 0.5 * lam * math.fsum(float(w) ** 2 for w in W.ravel())


def weight_gradient(W, q, rho, X, y, lam=0.0):
    """``(1/n) sum_n (s_i - 1{y=i}) sum_p sigma'(z) X[p] + lam W``."""
    F = forward(W, q, rho, X)
    G = lam * W
    for i, r in np.ndindex(W.shape[:2]):
        for n, x in enumerate(X):
            error = softmax(F[n])[i] - float(y[n] == i)
            for patch in x:
                G[i, r] += error / len(X) * slope(dot(W[i, r], patch), q, rho) * patch
    return G


def input_gradient(W, q, rho, X, scale):
    """``sum_i scale_ni dF_i/dX``, shape of X."""
    G = np.zeros(X.shape)
    for n, p in np.ndindex(X.shape[:2]):
        for i, r in np.ndindex(W.shape[:2]):
            G[n, p] += scale[n, i] * slope(dot(W[i, r], X[n, p]), q, rho) * W[i, r]
    return G


def soft_margin_scale(F, y):
    """1 at y, minus a softmax over the wrong classes elsewhere."""
    scale = np.zeros(F.shape)
    for n, label in enumerate(y):
        wrong = [i for i in range(F.shape[1]) if i != label]
        scale[n, label] = 1.0
        for i, share in zip(wrong, softmax([F[n, i] for i in wrong])):
            scale[n, i] = -share
    return scale


def norms(D):
    """Length of every patch's perturbation, shape (n, P)."""
    return np.array([[math.sqrt(dot(d, d)) for d in sample] for sample in D])


def steepest(G, radius):
    """Every patch's gradient at length radius; zero where it is zero."""
    D = np.zeros(G.shape)
    for n, p in np.ndindex(G.shape[:2]):
        length = math.sqrt(dot(G[n, p], G[n, p]))
        if length > 0.0:
            D[n, p] = radius * (G[n, p] / length)
    return D


def project(D, radius):
    """Every patch that is too long cut to the radius."""
    P = D.copy()
    for n, p in np.ndindex(D.shape[:2]):
        length = math.sqrt(dot(D[n, p], D[n, p]))
        if length > radius:
            P[n, p] = D[n, p] * (radius / length)
    return P


def best_mixture(W, q, rho, X, y, candidates):
    """Smallest margin over all ways to give each patch one of its candidates: brute force.

    ``candidates`` is a list of arrays, shape of X.
    """
    least = np.full(len(X), np.inf)
    for n in range(len(X)):
        for choice in np.ndindex(*(len(candidates),) * X.shape[1]):
            x = np.array([X[n, p] + candidates[c][n, p] for p, c in enumerate(choice)])
            F = forward(W, q, rho, x[None])
            least[n] = min(least[n], margins(F, y[n:n + 1])[0])
    return least
