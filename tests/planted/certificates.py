"""Random and pure networks, and points that fill a ball, for tests of certificates."""

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.margins import METHODS, certify
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

BALLS = (L2Ball, LinfBall)
ROUND = 1e-9  # a margin is a float64 sum of at most 60 terms of size below 100


def case(seed, m, d, n=3, pure=False, bias=None):
    """A random network, inputs, labels and radius at which many kinks are in the ball."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((m, d)) * rng.uniform(0.2, 2.0, (m, 1))
    if pure:  # one large coefficient a neuron, as after adversarial training
        W = 0.15 * W
        W[np.arange(m), rng.integers(0, d, m)] += rng.choice([-2.0, 2.0], m)
    b = rng.uniform(0.1, 1.5) if bias is None else bias
    X = rng.standard_normal((n, d))
    y = rng.choice([-1.0, 1.0], n)
    return SymmetricReLU(W, b), X, y, rng.uniform(0.1, 1.0), rng


def all_bounds(network, X, y, ball):
    certificates = certify(network, Batch(X, y), ball, methods=METHODS, boxes=8, target=np.inf,
                           steps=40, root_steps=40)
    return certificates.margins_of, certificates


def quadratic_dual(network, batch, ball):
    return certify(network, batch, ball, methods=("quadratic",), target=np.inf).margins


def filling(ball, d, rng, count=4000):
    """Points that fill the ball, many of them on its surface (a fine grid for d = 1, 2)."""
    if d == 1:
        return np.linspace(-ball.radius, ball.radius, count)[:, None]
    if d == 2:
        axis = np.linspace(-ball.radius, ball.radius, 81)
        grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        turn = np.linspace(0.0, 2.0 * np.pi, 721)
        circle = np.stack([np.cos(turn), np.sin(turn)], 1) * ball.radius * 1.5
        return ball.project(np.concatenate([grid, circle]))
    inside = rng.uniform(-ball.radius, ball.radius, (count, d))
    return ball.project(np.concatenate([inside, ball.draw(rng, (count, d))]))
