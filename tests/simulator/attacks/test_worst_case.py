"""The worst case: no attack is believed; any network is attacked; slips are one line."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM, PGD, AdaptivePGD
from simulator.attacks.search import FeatureGreedy, RandomSearch
from simulator.attacks.suites import standard_attacks
from simulator.attacks.worst_case import which_break, worst_case
from simulator.balls import L2Ball
from simulator.data.sparse_coding import SparseCoding
from simulator.heartbeat import listening
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch, Perturbation
from simulator.robustness.accuracy import accuracy, accuracy_curves
from simulator.robustness.critical_radius import critical_radius
from simulator.training import train

from planted.attacks import (ATTACKS, BALLS, NETWORKS, D, N, both_balls, feature_network, fresh,
                             right, samples)

# --- brute force --------------------------------------------------------------------------


def test_a_large_radius_breaks_every_sample():
    network, X = feature_network(), samples()
    y = right(network, X)
    X = X[network.margins(X, y) > 0.0]
    y = right(network, X)
    assert len(X) > 10
    for kind in BALLS:
        found = worst_case(network, Batch(X, y), Adversary(kind(1e3),
                                                           standard_attacks(np.ones(D), 10)))
        assert found.accuracy("clean") == 1.0
        assert found.accuracy() == 0.0


# --- the worst case -----------------------------------------------------------------------


class Fixed:
    """An attack that returns what it was told to."""

    def __init__(self, delta, zero_gradients=0):
        self.delta, self.zero_gradients = delta, zero_gradients

    def perturb(self, network, X, y, ball, rng):
        return Perturbation(self.delta[:len(X)], self.zero_gradients)


@both_balls
def test_a_lying_attack_is_projected_and_scored_again(kind):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    ball = kind(0.1)
    lie = 1e3 * FGM().perturb(network, X, y, ball, fresh()).delta
    found = worst_case(network, Batch(X, y), Adversary(ball, {"lie": Fixed(lie, 3)}))
    assert np.all(ball.norm(found.delta) <= 0.1 * (1.0 + 1e-12))
    assert np.array_equal(found.margins_of["lie"], network.margins(X + ball.project(lie), y))
    assert found.zero_gradients == {"lie": 3}
    assert np.any(found.margins < found.margins_of["clean"])


@both_balls
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_attack_cannot_win_by_an_infinite_perturbation(kind, bad):
    network, X = NETWORKS["linear"], samples()
    y = right(network, X)
    ball = kind(0.1)
    lie = np.zeros((N, D))
    lie[:, 0] = bad
    found = worst_case(network, Batch(X, y), Adversary(ball, {"lie": Fixed(lie)}))
    assert np.all(ball.norm(found.delta) <= 0.1 * (1.0 + 1e-12))
    exact = network.margins(X, y) - 0.1 * ball.dual_norm(network.weights[None])[0]
    assert np.all(found.margins >= exact - 1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_margin_that_becomes_nan_under_attack_counts_as_broken():
    class Fragile:
        """Right on the clean inputs, NaN as soon as one of them is moved."""

        def margins(self, X, y):
            return np.where(np.all(X == 1.0, axis=1), 1.0, np.nan)

    X = np.ones((4, 2))
    found = worst_case(Fragile(), Batch(X, np.ones(4)), Adversary(L2Ball(0.5),
                                                                  {"move": Fixed(0.1 * X)}))
    assert found.accuracy("move") == 0.0
    assert found.accuracy() == 0.0  # the worst of all is never better than one attack


@both_balls
def test_the_worst_case_is_the_least_margin_of_all_attacks(kind):
    network, X = NETWORKS["smooth"], samples()
    y = right(network, X)
    found = worst_case(network, Batch(X, y), Adversary(kind(0.3), ATTACKS))
    assert list(found.margins_of) == ["clean", *ATTACKS]
    assert np.array_equal(found.margins, np.min(list(found.margins_of.values()), axis=0))
    # the stored perturbation gives the stored margin (same rows, so the same bits)
    assert np.array_equal(network.margins(X + found.delta, y), found.margins)
    for name, margins in found.margins_of.items():
        assert found.accuracy(name) == np.mean(margins > 0.0)
        assert found.accuracy() <= found.accuracy(name)


def test_an_attack_that_helps_the_network_is_ignored():
    network, X = NETWORKS["linear"], samples()
    y = right(network, X)
    help_ = -FGM().perturb(network, X, y, L2Ball(0.1), fresh()).delta
    found = worst_case(network, Batch(X, y), Adversary(L2Ball(0.1), {"help": Fixed(help_)}))
    assert np.all(found.margins_of["help"] > found.margins)
    assert np.array_equal(found.margins, network.margins(X, y))
    assert np.array_equal(found.delta, np.zeros((N, D)))


def test_a_margin_of_zero_is_not_right():
    found = worst_case(LinearClassifier(np.zeros(2)), Batch(np.ones((3, 2)), np.ones(3)),
                       Adversary(L2Ball(1.0), {}))
    assert found.accuracy() == found.accuracy("clean") == 0.0


@given(chunk=st.integers(1, 40))
def test_chunks_are_attacked_one_after_another(chunk):
    network, X = NETWORKS["plain"], samples(17)
    y = right(network, X)
    attacks = {"fgm": FGM(), "pgd": PGD(3)}
    whole = worst_case(network, Batch(X, y), Adversary(L2Ball(0.3), attacks))
    parts = worst_case(network, Batch(X, y), Adversary(L2Ball(0.3), attacks, chunk=chunk))
    # the last bits of a product depend on its rows; three steps keep that below 1e-12
    assert np.allclose(parts.margins, whole.margins, rtol=0.0, atol=1e-12)
    assert np.allclose(parts.delta, whole.delta, rtol=0.0, atol=1e-12)
    assert parts.zero_gradients == whole.zero_gradients
    assert parts.margins_of.keys() == whole.margins_of.keys()


def test_zero_gradients_add_up_over_chunks():
    network, X = SymmetricReLU(np.eye(D), 100.0), samples(10)
    found = worst_case(network, Batch(X, np.ones(10)), Adversary(L2Ball(0.3), {"fgm": FGM()},
                                                                 chunk=3))
    assert found.zero_gradients == {"fgm": 10}


class LinearOnPatches:
    """``f(x) = <w, x>`` on inputs of shape (P, d)."""

    def __init__(self, weights):
        self.weights = weights

    def margins(self, X, y):
        return y * np.einsum("npd,pd->n", X, self.weights)

    def margin_gradient(self, X, y):
        return y[:, None, None] * np.broadcast_to(self.weights, X.shape)


@both_balls
def test_inputs_of_several_patches_are_attacked_together(kind):
    rng = np.random.default_rng(0)
    w, X = rng.standard_normal((3, 4)), rng.standard_normal((5, 3, 4))
    network, y, ball = LinearOnPatches(w), np.array([1.0, -1.0, 1.0, 1.0, -1.0]), kind(0.2)
    attacks = {"universal": Universal(w), "fgm": FGM(), "pgd": PGD(4), "random": RandomSearch(5)}
    found = worst_case(network, Batch(X, y), Adversary(ball, attacks))
    exact = network.margins(X, y) - 0.2 * ball.dual_norm(w[None])[0]
    assert found.delta.shape == X.shape
    for name in ("universal", "fgm", "pgd"):
        assert np.allclose(found.margins_of[name], exact, rtol=0.0, atol=1e-13)
    assert np.all(found.margins_of["random"] >= exact - 1e-13)


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("change, message", [
    (dict(chunk=0), "chunk: expected at least 1"),
    (dict(attacks={"clean": FGM()}), 'attacks: expected other names, got "clean"'),
    (dict(X=np.ones((0, 2)), y=np.ones(0)), "batch: expected at least one sample"),
    (dict(y=np.ones(3)), r"y: expected shape \(4,\), got \(3,\): one label per sample"),
    (dict(y=np.zeros(4)), r"y: expected labels -1 and \+1"),
    (dict(X=np.ones((4, 3))), r"X: expected shape \(any, 2\), got \(4, 3\)"),
    (dict(attacks={"bad": Fixed(np.ones((4, 3)))}),
     r"perturbation of bad: expected shape \(4, 2\), got \(4, 3\)"),
    (dict(attacks={"off": Universal(np.ones(3))}),
     r"direction: expected shape \(2,\), got \(3,\): the shape of one input"),
])
def test_bad_input_of_the_worst_case_is_named(change, message):
    given = dict(X=np.ones((4, 2)), y=np.ones(4), attacks={}, chunk=1000) | change
    with pytest.raises(ValueError, match=message):
        worst_case(LinearClassifier(np.ones(2)), Batch(given["X"], given["y"]),
                   Adversary(L2Ball(1.0), given["attacks"], chunk=given["chunk"]))


class Smallest:
    """Logistic regression with the five things that a network must have, and no more."""

    def __init__(self, d):
        self.weights = np.zeros(d)

    def margins(self, X, y):
        return y * (X @ self.weights)

    def margin_gradient(self, X, y):
        return y[:, None] * self.weights

    def loss_gradient(self, X, y, weight_decay=0.0, rng=None):
        margins = self.margins(X, y)
        slopes = -y / (1.0 + np.exp(margins)) / len(y)
        return (np.logaddexp(0.0, -margins).mean() + weight_decay * self.weights @ self.weights / 2,
                slopes @ X + weight_decay * self.weights)

    def gradient_step(self, X, y, learning_rate, weight_decay=0.0, rng=None):
        loss, gradient = self.loss_gradient(X, y, weight_decay)
        self.weights = self.weights - learning_rate * gradient
        return loss


def test_the_smallest_network_is_trained_attacked_and_measured():
    data = SparseCoding(d=20, k=2)
    network, test = Smallest(20), data.sample(200, np.random.default_rng(0))
    adversary = Adversary(L2Ball(0.1), FGM())
    train(network, data, learning_rate=1.0, steps=60, adversary=adversary, batch_size=100)
    assert accuracy(network, test) > 0.9
    curve = accuracy_curves(network, test, adversary, radii=[0.0, 0.5, 5.0])["strongest"]
    assert curve[0] == accuracy(network, test) and curve[-1] == 0.0
    exact = np.median(network.margins(test.X, test.y) / np.linalg.norm(network.weights))
    radius = critical_radius(network, test, adversary, tolerance=1e-3)
    assert radius.value == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("attack, least", [
    (FGM(), 2), (PGD(10), 10), (AdaptivePGD(10), 10), (RandomSearch(10), 10),
    (FeatureGreedy(features=1), 6)])
def test_every_step_of_an_attack_is_heard_and_changes_no_number(attack, least):
    network, beats = Smallest(3), []
    network.weights = np.array([1.0, -2.0, 0.5])
    batch = Batch(np.ones((4, 3)), np.ones(4))
    silent = worst_case(network, batch, Adversary(L2Ball(0.3), attack))
    with listening(lambda: beats.append(1)):
        heard = worst_case(network, batch, Adversary(L2Ball(0.3), attack))
    assert len(beats) >= least
    assert np.array_equal(silent.delta, heard.delta)


class Wrong:
    def perturb(self, network, X, y, ball, rng):
        return np.zeros_like(X)


@pytest.mark.parametrize("batch, adversary, message", [
    (np.ones((4, 3)), Adversary(L2Ball(0.3)), r"batch: expected a Batch\(X, y\), got .* ndarray"),
    (Batch(np.ones((4, 3)), np.ones(4)), 0.1, "adversary: expected an Adversary such as .* 0.1"),
    (Batch(np.ones((4, 3)), np.ones(4)), FGM(), "adversary: expected an Adversary such as"),
    (Batch(np.ones((4, 3)), np.ones(4)), Adversary(L2Ball(0.3), Wrong()),
     r"attack wrong: expected a Perturbation\(delta, zero_gradients\), got .* ndarray")])
def test_a_slip_is_one_line(batch, adversary, message):
    with pytest.raises(TypeError, match=message):
        worst_case(Smallest(3), batch, adversary)


# --- which samples break ------------------------------------------------------------------


WALKS = {"pgd": PGD(6), "adaptive": AdaptivePGD(8, ("zero",)), "features": FeatureGreedy()}


@both_balls
@pytest.mark.parametrize("attack", WALKS.values(), ids=WALKS)
@pytest.mark.parametrize("name", ["plain", "smooth", "features"])
def test_a_walk_that_stops_at_broken_samples_breaks_the_same_ones(name, attack, kind):
    network, X = NETWORKS[name], samples()
    y, ball = right(network, X), kind(0.6 if kind is L2Ball else 0.25)
    whole = worst_case(network, Batch(X, y), Adversary(ball, {"attack": attack}))
    found = attack.perturb(network, X, y, ball, fresh()).delta
    stopped = replace(attack, until_broken=True).perturb(network, X, y, ball, fresh()).delta
    margins = network.margins(X + stopped, y)
    assert 0 < np.count_nonzero(whole.margins > 0.0) < len(X)
    assert np.array_equal(margins > 0.0, whole.margins > 0.0)
    held = margins > 0.0
    assert np.allclose(stopped[held], found[held], rtol=0.0, atol=1e-12)
    assert np.array_equal(which_break(network, Batch(X, y), Adversary(ball, {"attack": attack})),
                          ~held)


@both_balls
def test_each_attack_is_asked_about_what_no_other_broke(kind):
    network, X = NETWORKS["plain"], samples()
    batch, asked = Batch(X, right(network, X)), []

    class Asked(FGM):
        def perturb(self, network, X, y, ball, rng=None):
            asked.append(len(X))
            return super().perturb(network, X, y, ball, rng)

    adversary = Adversary(kind(0.3), {"universal": Universal(np.ones(D)), "fgm": Asked()},
                          strong={"again": Asked()}, chunk=20)
    weak = which_break(network, batch, adversary)
    by_first = worst_case(network, batch, Adversary(kind(0.3), Universal(np.ones(D)))).margins <= 0
    assert 0 < by_first.sum() < weak.sum() < len(X)
    assert sum(asked) == (~by_first).sum() and max(asked) <= 20
    asked.clear()
    assert np.array_equal(which_break(network, batch, adversary, strong=True), weak)
    assert sum(asked) == (~by_first).sum() + (~weak).sum()
    asked.clear()
    wrong = which_break(network, Batch(X, -batch.y), adversary.at(0.0))
    assert wrong.all() and not asked  # at radius 0 there is nothing to search
