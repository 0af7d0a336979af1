"""Laws of every attack: feasible, blind to scale, exact on a line, inputs left alone."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.search import RandomSearch
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.attacks import (ATTACKS, NETWORKS, D, N, both_balls, every_network, fresh, right,
                             samples)

every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


# --- laws of every attack -----------------------------------------------------------------


@every_network
@every_attack
@both_balls
def test_radius_zero_changes_nothing_bit_for_bit(network, attack, kind):
    X = samples()
    y = right(network, X)
    delta = attack.perturb(network, X, y, kind(0.0), fresh()).delta
    assert np.array_equal(delta, np.zeros((N, D)))
    found = worst_case(network, Batch(X, y), Adversary(kind(0.0), {"attack": attack}))
    clean = network.margins(X, y)
    assert np.array_equal(found.margins, clean)
    assert np.array_equal(found.margins_of["attack"], clean)
    assert np.array_equal(found.delta, np.zeros((N, D)))


@every_network
@every_attack
@both_balls
def test_a_perturbation_is_feasible(network, attack, kind):
    X = samples()
    for radius in (1e-9, 0.2, 3.0, 1e6):
        delta = attack.perturb(network, X, right(network, X), kind(radius), fresh()).delta
        assert delta.shape == X.shape and np.all(np.isfinite(delta))
        assert np.all(kind(radius).norm(delta) <= radius * (1.0 + 1e-12))


@every_attack
@both_balls
def test_single_precision_stays_single_and_feasible(attack, kind):
    network = SymmetricReLU(NETWORKS["plain"].weights.astype(np.float32), 0.8)
    X = samples().astype(np.float32)
    delta = attack.perturb(network, X, right(network, X).astype(np.float32), kind(0.2),
                           fresh()).delta
    assert delta.dtype == np.float32
    assert np.all(kind(0.2).norm(delta) <= 0.2 * (1.0 + 1e-6))  # eps = 1.2e-7


@every_attack
def test_attacks_leave_their_inputs_alone(attack):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    kept = X.copy(), y.copy(), network.weights.copy()
    attack.perturb(network, X, y, L2Ball(0.5), fresh())
    assert all(map(np.array_equal, (X, y, network.weights), kept))


@every_attack
def test_integer_inputs_are_attacked_like_the_same_floats(attack):
    network = NETWORKS["plain"]
    X = np.random.default_rng(0).integers(-2, 3, (N, D))
    y = right(network, X)
    whole = attack.perturb(network, X, y, L2Ball(0.5), fresh()).delta
    floats = attack.perturb(network, X.astype(float), y, L2Ball(0.5), fresh()).delta
    assert np.array_equal(whole, floats)


# --- the single attacks -------------------------------------------------------------------


@both_balls
@pytest.mark.parametrize("attack", [
    FGM(), PGD(1), PGD(20), PGD(7, ("random",)), Universal(NETWORKS["linear"].weights)],
    ids=["fgm", "pgd 1", "pgd 20", "pgd random", "universal"])
def test_on_a_linear_network_the_attack_is_exact(attack, kind):
    network, X = NETWORKS["linear"], samples()
    y = right(network, X)
    ball = kind(0.3)
    found = attack.perturb(network, X, y, ball, fresh())
    worst = network.margins(X + found.delta, y)
    # by duality the margin falls by radius ||w||_*, and no further
    exact = network.margins(X, y) - 0.3 * ball.dual_norm(network.weights[None])[0]
    assert np.allclose(worst, exact, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("attack", [PGD(4, ("random",), 2), RandomSearch(6)],
                         ids=["pgd", "search"])
def test_random_starts_depend_on_the_given_generator_only(attack):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    first = attack.perturb(network, X, y, L2Ball(0.5), np.random.default_rng(1)).delta
    np.random.seed(0)  # the global state is nobody's business
    again = attack.perturb(network, X, y, L2Ball(0.5), np.random.default_rng(1)).delta
    other = attack.perturb(network, X, y, L2Ball(0.5), np.random.default_rng(2)).delta
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("attack", [FGM(), PGD(4), Universal(np.ones(D))],
                         ids=["fgm", "pgd", "universal"])
def test_attacks_without_randomness_draw_nothing(attack):
    network, X = NETWORKS["plain"], samples()
    rng = fresh()
    attack.perturb(network, X, right(network, X), L2Ball(0.5), rng)
    assert rng.random() == fresh().random()


def test_zero_gradients_are_counted_and_give_no_perturbation():
    network = SymmetricReLU(np.eye(D), 1.0)
    X = np.zeros((6, D))
    X[4:, 0] = 3.0  # only these two open a gate
    y = np.ones(6)
    for attack in (FGM(), PGD(5)):
        found = attack.perturb(network, X, y, L2Ball(0.5), fresh())
        assert found.zero_gradients == 4
        assert np.array_equal(found.delta[:4], np.zeros((4, D)))
        assert np.allclose(found.delta[4:], -0.5 * np.eye(D)[[0, 0]], atol=1e-15)
    # each sample counts once, from however many starts the attack was blind
    blind = SymmetricReLU(np.eye(D), 100.0)
    everywhere = PGD(2, ("zero", "random", "universal"), 3, np.ones(D))
    assert everywhere.perturb(blind, X, y, L2Ball(0.5), fresh()).zero_gradients == 6
    for attack in (Universal(np.ones(D)), RandomSearch(3)):
        assert attack.perturb(network, X, y, L2Ball(0.5), fresh()).zero_gradients == 0


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("make, error, message", [
    (lambda: PGD(0), ValueError, "steps: expected at least 1, got 0"),
    (lambda: PGD(1.5), TypeError, "steps: expected an integer"),
    (lambda: PGD(restarts=0), ValueError, "restarts: expected at least 1"),
    (lambda: PGD(starts=()), ValueError, "starts: expected at least one of zero, random"),
    (lambda: PGD(starts=("here",)), ValueError, "starts: expected one of zero, random, universal"),
    (lambda: PGD(starts=("universal",)), ValueError, "direction: expected a vector, got None"),
    (lambda: RandomSearch(0), ValueError, "trials: expected at least 1"),
])
def test_bad_attacks_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
