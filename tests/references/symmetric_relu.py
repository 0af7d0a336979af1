"""Loop references: the formulas of the papers, entry by entry, slow and obvious.

NumPy and the standard library only, never the package under test. W has one row a neuron, X
one row a sample, C = W M are the coefficients in dictionary coordinates.
"""

import math

import numpy as np


def relu(t):
    return t if t > 0.0 else 0.0


def normal_cdf(t):
    return 0.5 * (1.0 + math.erf(t / math.sqrt(2.0)))


def normal_pdf(t):
    return math.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)


def dot(a, b):
    return math.fsum(float(p) * float(q) for p, q in zip(a, b, strict=True))


def norm(a):
    largest = max((abs(float(p)) for p in a), default=0.0)
    if largest == 0.0:
        return 0.0
    return largest * math.sqrt(math.fsum((float(p) / largest) ** 2 for p in a))


def neuron(u, b, s=0.0, rho=0.0):
    """``relu(u - b + rho) - relu(-u - b + rho)``, or its mean over rho ~ N(0, s^2)."""
    if s == 0.0:
        return relu(u - b + rho) - relu(-u - b + rho)
    total = 0.0
    for t, sign in ((u - b, 1.0), (-u - b, -1.0)):
        total += sign * (t * normal_cdf(t / s) + s * normal_pdf(t / s))
    return total


def gate(u, b, s=0.0, rho=0.0):
    """Derivative of :func:`neuron` by u; 0 at a kink."""
    if s == 0.0:
        return float(u - b + rho > 0.0) + float(-u - b + rho > 0.0)
    return normal_cdf((u - b) / s) + normal_cdf((-u - b) / s)


def forward(W, b, X, s=0.0, noise=None):
    """f(x) of every sample; ``noise`` (n, m) replaces the expectation."""
    f = np.zeros(len(X))
    for n, x in enumerate(X):
        for i, w in enumerate(W):
            u = dot(w, x)
            f[n] += neuron(u, b, s) if noise is None else neuron(u, b, rho=noise[n, i])
    return f


def gates(W, b, X, s=0.0, noise=None):
    """df/du, shape (n, m)."""
    G = np.zeros((len(X), len(W)))
    for n, x in enumerate(X):
        for i, w in enumerate(W):
            u = dot(w, x)
            G[n, i] = gate(u, b, s) if noise is None else gate(u, b, rho=noise[n, i])
    return G


def logistic(margin):
    """``log(1 + exp(-margin))`` without overflow."""
    return math.log1p(math.exp(-abs(margin))) + max(-margin, 0.0)


def sigmoid(t):
    return 1.0 / (1.0 + math.exp(-t)) if t > 0.0 else math.exp(t) / (1.0 + math.exp(t))


def loss(W, b, X, y, lam=0.0, s=0.0, noise=None):
    """``mean log(1 + exp(-y f)) + lam sum_i (||w_i||^2 / 2 + ||w_i||^3 / 3)``."""
    f = forward(W, b, X, s, noise)
    data = math.fsum(logistic(label * out) for label, out in zip(y, f)) / len(X)
    return data + lam * math.fsum(norm(w) ** 2 / 2.0 + norm(w) ** 3 / 3.0 for w in W)


def weight_gradient(W, b, X, y, lam=0.0, s=0.0, noise=None):
    """``sum_n (dL/df_n) g_ni x_n + lam (1 + ||w_i||) w_i``."""
    f = forward(W, b, X, s, noise)
    G = gates(W, b, X, s, noise)
    gradient = np.zeros(W.shape)
    for i, w in enumerate(W):
        for j in range(len(w)):
            terms = [-y[n] * sigmoid(-y[n] * f[n]) / len(X) * G[n, i] * X[n, j]
                     for n in range(len(X))]
            gradient[i, j] = math.fsum(terms) + lam * (1.0 + norm(w)) * w[j]
    return gradient


def margin_gradient(W, b, X, y, s=0.0, noise=None):
    """``y sum_i g_i w_i``, shape (n, d)."""
    G = gates(W, b, X, s, noise)
    gradient = np.zeros(X.shape)
    for n in range(len(X)):
        for j in range(X.shape[1]):
            gradient[n, j] = y[n] * math.fsum(G[n, i] * W[i, j] for i in range(len(W)))
    return gradient


def fgm_l2(gradient, radius):
    """``-radius g / ||g||`` for margin gradients g, zero where g is zero."""
    delta = np.zeros(gradient.shape)
    for n, g in enumerate(gradient):
        length = norm(g)
        if length > 0.0:
            for j in range(len(g)):
                delta[n, j] = -radius * (g[j] / length)
    return delta


def fgm_linf(gradient, radius):
    """``-radius sign(g)`` for margin gradients g."""
    delta = np.zeros(gradient.shape)
    for n, g in enumerate(gradient):
        for j in range(len(g)):
            delta[n, j] = -radius * (float(g[j] > 0.0) - float(g[j] < 0.0))
    return delta


def coefficients(W, M):
    """``C = W M``."""
    return np.array([[dot(w, M[:, j]) for j in range(M.shape[1])] for w in W])


def largest(c):
    """Where the largest coefficient is: the feature of a neuron."""
    return max(range(len(c)), key=lambda j: abs(c[j]))


def feature_neurons(C):
    """Neurons whose largest coefficient is at least 0.3 times the largest of all."""
    peaks = [max(abs(value) for value in c) for c in C]
    return [i for i, peak in enumerate(peaks) if peak >= 0.3 * max(peaks) and peak > 0.0]


def feature_metrics(C, labeler):
    """Mixture ratio, norms, alignment, purity and coverage over the feature neurons."""
    d = len(labeler)
    chosen = feature_neurons(C)
    deltas, peaks, norm_ratios, alignments, purities, found = [], [], [], [], [], set()
    for i in chosen:
        j = largest(C[i])
        found.add(j)
        s = math.copysign(1.0, C[i][j] * labeler[j])
        rest = [q for q in range(d) if q != j]
        along = math.fsum(s * labeler[q] * C[i][q] for q in rest)
        mixture = norm([C[i][q] for q in rest])
        pure_norm = abs(C[i][j])
        deltas.append(along / len(rest) if rest else 0.0)
        peaks.append(abs(C[i][j]))
        norm_ratios.append(mixture / pure_norm)
        alignments.append(along / (mixture * norm(labeler)) if mixture else 0.0)
        purities.append(pure_norm**2 / norm(C[i]) ** 2)
    count = len(chosen)
    return {
        "feature_neurons": float(count),
        "coverage": len(found) / d,
        "mixture_ratio": (sum(deltas) / count) / (sum(peaks) / count),
        "mixture_norm_ratio": sum(norm_ratios) / count,
        "mixture_alignment": sum(alignments) / count,
        "purity": sum(purities) / count,
    }


def gate_rate(W, b, X, neurons):
    """Share of (sample, neuron) pairs with |u| > b."""
    fired = [abs(dot(W[i], x)) > b for x in X for i in neurons]
    return sum(fired) / len(fired)


def draw_code(d, k, c_strong, c_weak, low, high, rng):
    """One code z: every coordinate decides by its own uniform number."""
    z = np.zeros(d)
    for j in range(d):
        event = rng.random()
        if event < c_strong / d:
            z[j] = 1.0
        elif event < (c_strong + c_weak * k) / d:
            z[j] = (low + (high - low) * rng.random()) / math.sqrt(k)
        if rng.random() < 0.5:
            z[j] = -z[j]
    return z
