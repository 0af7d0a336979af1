"""Loop references of the low-complexity learners: sums over monomials, slow and obvious.

NumPy and the standard library only, never the package under test.
"""

import math

import numpy as np

from references.symmetric_relu import logistic, sigmoid


def monomials(x, degree):
    """Features of one sample, in the order of the package: x, pairs, then x_i times the pairs."""
    d = len(x)
    pairs = [x[j] * x[h] * (1.0 if j == h else math.sqrt(2.0))
             for j in range(d) for h in range(j, d)]
    triples = [x[i] * pair for i in range(d) for pair in pairs] if degree == 3 else []
    return [*x, *pairs, *triples]


def polynomial(weights, x, degree):
    """f(x), term by term."""
    return math.fsum(a * b for a, b in zip(weights, monomials(x, degree), strict=True))


def symmetric_features(x, M, labeler):
    """``s, s^3, s p2, p3`` in the signed dictionary coordinates."""
    t = [labeler[j] * math.fsum(M[i, j] * x[i] for i in range(len(x))) for j in range(len(x))]
    s, p2, p3 = (math.fsum(c**power for c in t) for power in (1, 2, 3))
    return [s, s**3, s * p2, p3]


def symmetric_squares(x, M, labeler):
    """``s, s^2, p2`` in the signed dictionary coordinates."""
    t = [labeler[j] * math.fsum(M[i, j] * x[i] for i in range(len(x))) for j in range(len(x))]
    s = math.fsum(t)
    return [s, s * s, math.fsum(c * c for c in t)]


def loss(features, weights, y, lam):
    """Mean logistic loss of ``<weights, features>`` with weight decay."""
    margins = [label * math.fsum(a * b for a, b in zip(weights, row))
               for row, label in zip(features, y)]
    decay = lam / 2.0 * math.fsum(a * a for a in weights)
    return math.fsum(logistic(margin) for margin in margins) / len(y) + decay


def loss_gradient(features, weights, y, lam):
    """Its gradient, weight by weight."""
    margins = [label * math.fsum(a * b for a, b in zip(weights, row))
               for row, label in zip(features, y)]
    return np.array([math.fsum(-label * sigmoid(-margin) * row[p] / len(y)
                               for row, label, margin in zip(features, y, margins))
                     + lam * weights[p] for p in range(len(weights))])


def robust_risk(w, X, y, tau, dual):
    """``mean log(1 + exp(-(y <w, x> - tau ||w||_dual)))``."""
    norm = (math.sqrt(math.fsum(c * c for c in w)) if dual == 2
            else math.fsum(abs(c) for c in w))
    return math.fsum(logistic(label * math.fsum(a * b for a, b in zip(w, x)) - tau * norm)
                     for x, label in zip(X, y)) / len(y)
