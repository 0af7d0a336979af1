"""What every certificate asks of its network, batch and ball."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.balls import L2Ball, LinfBall
from simulator.certificates.exact_linf import exact_margin
from simulator.certificates.margins import certify
from simulator.certificates.relaxation import Relaxation
from simulator.certificates.separable import separable_dual
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.certificates import case


def test_an_adversary_is_its_ball():
    network, X, y, radius, _ = case(11, 12, 4)
    by_ball, by_adversary = (certify(network, Batch(X, y), threat)
                             for threat in (L2Ball(radius), Adversary(L2Ball(radius))))
    assert np.array_equal(by_ball.margins, by_adversary.margins)


def test_bounds_refuse_what_they_do_not_cover():
    network, X, y, radius, _ = case(9, 6, 3)
    smoothed = SymmetricReLU(network.weights, network.bias, smoothing=0.1)
    other = LinearClassifier(np.ones(3))
    with pytest.raises(TypeError, match="network: expected a SymmetricReLU, got LinearClassifier"):
        certify(other, Batch(X, y), L2Ball(radius))
    with pytest.raises(TypeError, match="ball: expected L2Ball, LinfBall or an Adversary"):
        certify(network, Batch(X, y), radius)
    with pytest.raises(TypeError, match=r"batch: expected a Batch\(X, y\), got ndarray"):
        certify(network, X, L2Ball(radius))
    with pytest.raises(ValueError, match="expected no smoothing"):
        certify(smoothed, Batch(X, y), L2Ball(radius))
    with pytest.raises(ValueError, match="product of intervals"):
        separable_dual(network, Batch(X, y), LinfBall(radius), dictionary=np.eye(3))
    with pytest.raises(ValueError, match="expected finite"):
        certify(network, Batch(np.full_like(X, np.nan), y), L2Ball(radius))
    problem = Relaxation.of_sample(network.weights, network.weights @ X[0], network.bias,
                                   L2Ball(radius))
    with pytest.raises(ValueError, match="expected LinfBall"):
        exact_margin(problem)
