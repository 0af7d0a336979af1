"""Small networks, samples that they get right, and the attacks that every law is held against."""

import numpy as np
import pytest

from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.search import RandomSearch
from simulator.balls import L2Ball, LinfBall
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU

D, N = 8, 30
BALLS = (L2Ball, LinfBall)


def fresh():
    return np.random.default_rng(5)


def random_network(m=24, d=D, bias=0.8, smoothing=0.0, seed=0):
    W = 0.5 * np.random.default_rng(seed).standard_normal((m, d))
    return SymmetricReLU(W, bias, smoothing)


def feature_network(mixture=0.1):
    """Each neuron holds one feature and a dense mixture that votes for the label +1."""
    return SymmetricReLU(np.eye(D) + mixture * np.ones((D, D)), 0.3)


def samples(n=N, d=D, seed=1):
    """Inputs with labels that a network gets right (see :func:`right`)."""
    return np.random.default_rng(seed).standard_normal((n, d))


def right(network, X):
    """The labels the network itself would give."""
    return np.where(network.margins(X, np.ones(len(X))) >= 0.0, 1.0, -1.0)


def labelled(network, n=N):
    """Inputs and the labels that the network itself would give."""
    X = samples(n)
    return X, right(network, X)


NETWORKS = {"plain": random_network(), "smooth": random_network(smoothing=0.3),
            "features": feature_network(),
            "linear": LinearClassifier(np.linspace(-1.0, 2.0, D))}
ATTACKS = {"universal": Universal(np.ones(D)), "fgm": FGM(), "pgd": PGD(10),
           "pgd everywhere": PGD(5, ("zero", "random", "universal"), 2, np.ones(D)),
           "random": RandomSearch(12)}
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
both_balls = pytest.mark.parametrize("kind", BALLS)
