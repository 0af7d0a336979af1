"""The strong attacks: feasible, never weaker where they must not be, right in known cases."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD, AdaptivePGD
from simulator.attacks.search import FeatureGreedy
from simulator.attacks.suites import strong_attacks
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

D, N = 8, 25
BALLS = (L2Ball, LinfBall)
ATTACKS = {"adaptive": AdaptivePGD(15, ("zero", "random", "universal"), 2, np.ones(D)),
           "features": FeatureGreedy(features=3, candidates=4)}
both_balls = pytest.mark.parametrize("kind", BALLS)
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


def network(bias=0.8, m=24, seed=0):
    return SymmetricReLU(0.5 * np.random.default_rng(seed).standard_normal((m, D)), bias)


def labelled(net, n=N):
    X = np.random.default_rng(1).standard_normal((n, D))
    return X, np.where(net.margins(X, np.ones(n)) >= 0.0, 1.0, -1.0)


def fresh():
    return np.random.default_rng(5)


@every_attack
@both_balls
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_perturbation_is_feasible_and_never_worse_than_none(attack, kind, dtype):
    net = SymmetricReLU(network().weights.astype(dtype), 0.8)
    X, y = (part.astype(dtype) for part in labelled(net))
    for radius in (0.0, 1e-6, 0.3, 100.0):
        delta = attack.perturb(net, X, y, kind(radius), fresh()).delta
        assert delta.dtype == dtype and delta.shape == X.shape
        assert np.all(kind(radius).norm(delta) <= radius * (1.0 + 8 * np.finfo(dtype).eps))
        assert np.all(net.margins(X + delta, y) <= net.margins(X, y))


@both_balls
def test_on_a_linear_classifier_the_adaptive_attack_is_exact(kind):
    net = LinearClassifier(np.linspace(-1.0, 2.0, D))
    X, y = labelled(net)
    found = worst_case(net, Batch(X, y), Adversary(kind(0.3), {"adaptive": AdaptivePGD(30)}))
    exact = net.margins(X, y) - 0.3 * kind(1.0).dual_norm(net.margin_gradient(X, y))
    # a step of twice the radius reaches the optimum at once for l_inf, by halving for l2
    np.testing.assert_allclose(found.margins, exact, atol=1e-6)


@both_balls
def test_the_adaptive_attack_is_about_as_strong_as_pgd_with_many_more_steps(kind):
    """Sample by sample neither contains the other; together they agree."""
    net = network()
    X, y = labelled(net, 100)
    found = worst_case(net, Batch(X, y), Adversary(kind(0.4), {
        "fgm": FGM(), "adaptive": AdaptivePGD(100), "pgd": PGD(200, ("zero", "random"))}))
    of = {name: margins.mean() for name, margins in found.margins_of.items()}
    assert of["adaptive"] < of["fgm"]
    assert of["adaptive"] <= of["pgd"] + 0.01 * (of["clean"] - of["pgd"])


def test_on_pure_features_the_greedy_attack_comes_close_to_the_best_pair():
    """Against all pairs of features and 61 splits of the budget; one neuron a feature."""
    rng, ball, lost = np.random.default_rng(0), L2Ball(0.8), []
    turn = np.linspace(0.0, 2.0 * np.pi, 61)
    for trial in range(40):
        M = np.linalg.qr(rng.standard_normal((4, 4)))[0]
        net = SymmetricReLU(rng.uniform(0.5, 2.0, (4, 1)) * M.T, 0.3)
        z = np.where(np.arange(4) < trial % 3, rng.uniform(0.6, 1.0, 4), 0.0)
        X, y = (M @ z)[None], np.ones(1)
        greedy = worst_case(net, Batch(X, y), Adversary(ball,
                                                        {"features": FeatureGreedy(M, 4,
                                                                                   4)})).margins
        points = np.concatenate([0.8 * (np.cos(turn)[:, None] * M[:, i]
                                        + np.sin(turn)[:, None] * M[:, j])
                                 for i in range(4) for j in range(i)])
        margins = net.margins(X + points, np.ones(len(points)))
        single = net.margins(X + 0.8 * np.concatenate([M.T, -M.T]), np.ones(8)).min()
        assert greedy[0] <= single + 1e-12
        lost.append((greedy[0] - margins.min()) / np.ptp(margins))
    assert np.mean(lost) < 0.02 and max(lost) < 0.2


def test_a_budget_that_opens_one_feature_only_is_found_by_the_greedy_attack():
    """All features are asleep at the input but one: FGM sees only the one that is awake."""
    net = SymmetricReLU(np.eye(D), 0.5)
    X, y = 0.9 * np.eye(D)[:1], np.ones(1)
    ball = L2Ball(1.3)
    found = worst_case(net, Batch(X, y), Adversary(ball, {"fgm": FGM(),
                                                          "features": FeatureGreedy(None, 4, D)}))
    # all on the awake feature: 0.9 - 1.3 = -0.4 is asleep, margin 0; the others reach below
    assert found.margins_of["fgm"][0] == 0.0
    assert found.margins_of["features"][0] < -0.35


def test_the_suite_contains_its_parts():
    net = network()
    X, y = labelled(net)
    suite = strong_attacks(np.ones(D), None, steps=5, restarts=1)
    found = worst_case(net, Batch(X, y), Adversary(L2Ball(0.3), suite))
    assert set(suite) == {"pgd-long", "adaptive", "features", "random-long"}
    assert np.all(found.margins <= np.min([found.margins_of[name] for name in suite], axis=0))


@pytest.mark.parametrize("make, message", [
    (lambda: AdaptivePGD(0), "steps: expected at least 1"),
    (lambda: AdaptivePGD(5, ()), "starts: expected at least one"),
    (lambda: AdaptivePGD(5, ("universal",)), "direction: expected a vector"),
    (lambda: AdaptivePGD(5, restarts=0), "restarts: expected at least 1"),
    (lambda: FeatureGreedy(features=0), "features: expected at least 1"),
    (lambda: FeatureGreedy(candidates=0), "candidates: expected at least 1"),
    (lambda: FeatureGreedy(descents=-1), "descents: expected at least 0"),
    (lambda: FeatureGreedy(np.eye(3)).perturb(network(), *labelled(network()), L2Ball(1.0),
                                              fresh()), "dictionary: expected shape"),
])
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
