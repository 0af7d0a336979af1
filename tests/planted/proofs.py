"""Proofs with arbitrary multipliers and cuts: each bounds the margin, most of them badly."""

import numpy as np

from simulator.balls import L2Ball
from simulator.certificates.proofs import Leaf, Proof

NO_CLAIM = -1e300  # a lower bound that every proof proves


def leaf(slopes, curvatures, lam, point, cuts=(), empty=-1, core_slopes=()):
    """A leaf whose cuts are (neuron, side, limit)."""
    neurons, sides, limits = (list(column) for column in zip(*cuts)) if cuts else ([], [], [])
    return Leaf(np.array(neurons, int), np.array(sides, float), np.array(limits, float),
                np.asarray(slopes, float), np.asarray(curvatures, float),
                np.asarray(lam, float), np.asarray(point, float), empty,
                np.asarray(core_slopes, float))


def random_cuts(rng, W, radius, depth):
    """The paths to the leaves of a random tree."""
    if depth == 0 or rng.random() < 0.3:
        return [()]
    neuron = int(rng.integers(len(W)))
    limit = float(rng.uniform(-1.0, 1.0) * radius * np.linalg.norm(W[neuron]))
    return [((neuron, side, limit), *path) for side in (1.0, -1.0)
            for path in random_cuts(rng, W, radius, depth - 1)]


def random_proof(rng, W, ball, depth=2, wild=1.0):
    """A proof that claims nothing, with random multipliers; also negative curvatures."""
    m, d = W.shape
    order = rng.permutation(m)
    q = int(rng.integers(0, m + 1))
    neurons, linear = order[:q], order[q:q + int(rng.integers(0, 2))]
    is_split = rng.integers(0, 3)  # no weights; some; some, and the same slopes for both parts
    cores = np.flatnonzero(rng.integers(0, 2, q * d)) if is_split else np.zeros(0, int)
    lams = 1 if isinstance(ball, L2Ball) else d

    def one(cuts):
        sign = rng.choice([-1.0, 0.0, 1.0, 1.0], q)
        return leaf(rng.uniform(-0.5, 1.5, q), wild * sign * rng.uniform(0.0, 1.0, q),
                    rng.uniform(0.0, 3.0, lams) * rng.integers(0, 2),
                    ball.project(rng.standard_normal((1, d)))[0], cuts,
                    core_slopes=rng.uniform(-0.5, 1.5, q) if is_split == 1 else ())
    leaves = tuple(one(cuts) for cuts in random_cuts(rng, W, ball.radius, depth))
    return Proof("branching", NO_CLAIM, linear, neurons, leaves, cores=cores)
