"""Attacks through another network: smoothed gates, and the span of the weights."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD, Ascent
from simulator.attacks.patches import PatchSearch
from simulator.attacks.through import InSpan, ThroughSmoothedGates
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.networks.linear import LinearClassifier
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.linearized import case
from planted.patch_attacks import Case, attack_with

# --- smoothed gates -------------------------------------------------------------------------


def masked_network():
    """``f = x_1``, less 3 x_1 once the gate of a neuron opens that x does not excite.

    The gradient is (1, 0) and knows nothing of the gate.
    """
    origin = SymmetricReLU(np.array([[3.0, 0.0], [0.0, 1.0]]), 0.5)
    return LinearizedReLU(origin, True, np.array([[1.0, 0.0], [-3.0, 0.0]]))


def test_plain_pgd_is_masked_and_smoothed_gates_unmask_it():
    network, X, y = masked_network(), np.array([[1.0, 0.1]]), np.ones(1)
    ball = L2Ball(0.6)
    plain = PGD(20)
    through = ThroughSmoothedGates(plain, (0.0, 1.0))
    found = worst_case(network, Batch(X, y), Adversary(ball, {"plain": plain, "through": through}))
    assert found.margins_of["plain"][0] == pytest.approx(0.4, abs=1e-9)  # it only walks along x_1
    assert found.margins_of["through"][0] < -1.0
    assert found.zero_gradients == {"plain": 0, "through": 0}


def test_looking_through_smoothed_gates_too_is_never_weaker():
    network, X, y = case(n=30, m=20, d=5)
    ball = L2Ball(0.3)
    attacks = {"plain": FGM(), "through": ThroughSmoothedGates(FGM(), (0.0, 0.3))}
    found = worst_case(network, Batch(X, y), Adversary(ball, attacks))
    assert (found.margins_of["through"] <= found.margins_of["plain"]).all()
    assert (found.margins_of["through"] < found.margins_of["plain"]).any()


def test_other_networks_are_attacked_plainly(rng):
    linear = LinearClassifier(rng.standard_normal(4))
    X, y, ball = rng.standard_normal((6, 4)), np.ones(6), L2Ball(0.3)
    found = ThroughSmoothedGates(FGM()).perturb(linear, X, y, ball, rng)
    assert np.array_equal(found.delta, FGM().perturb(linear, X, y, ball, rng).delta)


# --- in the span of the weights -----------------------------------------------------------------


@pytest.mark.parametrize("attack", [FGM(), PGD(7), Ascent(0.4)])
@pytest.mark.parametrize("classes", [2, 3])
def test_an_attack_in_the_span_is_the_plain_attack(attack, classes):
    case = Case(classes=classes, d=30)
    plain, inside = attack_with(case, attack), attack_with(case, InSpan(attack))
    # the same steps in another basis: rounding of seven of them
    assert np.allclose(inside.delta, plain.delta, atol=1e-11)
    assert np.allclose(case.margins(inside), case.margins(plain), atol=1e-11)
    assert np.abs(plain.delta).max() > 0.1


def test_what_the_attack_finds_lies_in_the_span_and_in_the_ball():
    case = Case(d=30)
    for attack in (InSpan(PGD(5, ("random",))), PatchSearch(case.features)):
        delta = attack_with(case, attack).delta
        W = case.net.weights.reshape(-1, 30)
        outside = delta - delta @ np.linalg.pinv(W) @ W
        assert np.abs(outside).max() < 1e-12
        assert np.all(case.ball.norm(delta) <= 0.7 * (1.0 + 1e-12))


# --- patch by patch -----------------------------------------------------------------------------


@pytest.mark.parametrize("attack", [InSpan(FGM()), PatchSearch()])
def test_other_networks_are_refused(attack, rng):
    with pytest.raises(TypeError, match="expected a SmoothedReLUCNN, got a SymmetricReLU"):
        attack.perturb(SymmetricReLU(np.eye(3), 0.0), np.ones((2, 3)), np.ones(2), L2Ball(1.0),
                       rng)
