"""Margins in exact arithmetic: every float is a fraction."""

from fractions import Fraction

import numpy as np

__all__ = ["exact_margin", "exact_patch_margin", "points_of_the_ball"]


def exact_margin(network, x, y, delta):
    """``y f(x + delta)`` of a SymmetricReLU as a Fraction; delta holds Fractions or floats."""
    b = Fraction(network.bias)
    x = [Fraction(float(a)) + Fraction(c) for a, c in zip(x, delta)]
    total = Fraction(0)
    for w in network.weights:
        u = sum(Fraction(float(a)) * c for a, c in zip(w, x))
        total += u - b if u > b else u + b if u < -b else 0
    return Fraction(float(y)) * total


def exact_patch_margin(weights, X, label, q, rho, deltas):
    """Least ``F_y - F_j`` of a patch network as a Fraction, q an integer, deltas one a patch."""
    rho = Fraction(rho)

    def activation(z):
        if z <= 0:
            return Fraction(0)
        return z**q / (q * rho**(q - 1)) if z <= rho else z - (1 - Fraction(1, q)) * rho

    patches = [[Fraction(float(a)) + Fraction(c) for a, c in zip(x, delta)]
               for x, delta in zip(X, deltas)]
    F = [sum(activation(sum(Fraction(float(a)) * c for a, c in zip(w, patch)))
             for w in neurons for patch in patches) for neurons in weights]
    return min(F[label] - F[j] for j in range(len(F)) if j != label)


def points_of_the_ball(ball, d, rng, count, hints=()):
    """Perturbations as Fractions, exactly in the ball: its centre, its ends, and near ``hints``."""
    radius = Fraction(ball.radius)
    points = [np.zeros(d), *(sign * unit for unit in np.eye(d) for sign in (-1.0, 1.0)),
              *rng.standard_normal((count, d)), *(np.asarray(hint) for hint in hints)]
    return [_inside([Fraction(float(a)) for a in point], radius, ball) for point in points]


def _inside(point, radius, ball):
    """Scale a point onto the ball's surface from inside, exactly."""
    if type(ball).__name__ == "LinfBall":
        largest = max(abs(a) for a in point)
        return [a * radius / largest for a in point] if largest else point
    square = sum(a * a for a in point)
    if not square:
        return point
    # a rational root from above: the float root of the quotient, and one ulp more
    root = Fraction(np.nextafter(float(np.sqrt(float(square / max(square, 1)))) * float(
        max(square, 1)) ** 0.5, np.inf)) * (1 + Fraction(1, 2**40))
    assert root * root >= square
    return [a * radius / root for a in point]
