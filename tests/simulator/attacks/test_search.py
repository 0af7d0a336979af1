"""Random search and the greedy attack: feasible, and right where the answer is known."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.few_features import FewFeatures, can_move_features
from simulator.attacks.gradient import FGM, AdaptivePGD
from simulator.attacks.search import FeatureGreedy, RandomSearch
from simulator.attacks.worst_case import BestFound, worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.attacks import (NETWORKS, D, N, both_balls, fresh, labelled, random_network, right,
                             samples)

ATTACKS = {"adaptive": AdaptivePGD(15, ("zero", "random", "universal"), 2, np.ones(D)),
           "features": FeatureGreedy(features=3, candidates=4)}
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@every_attack
@both_balls
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_perturbation_is_feasible_and_never_worse_than_none(attack, kind, dtype):
    net = SymmetricReLU(random_network().weights.astype(dtype), 0.8)
    X, y = (part.astype(dtype) for part in labelled(net))
    for radius in (0.0, 1e-6, 0.3, 100.0):
        delta = attack.perturb(net, X, y, kind(radius), fresh()).delta
        assert delta.dtype == dtype and delta.shape == X.shape
        assert np.all(kind(radius).norm(delta) <= radius * (1.0 + 8 * np.finfo(dtype).eps))
        assert np.all(net.margins(X + delta, y) <= net.margins(X, y))


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


def feature_case(seed, rotated, kind):
    """Neurons of one feature each beside random ones, samples near their thresholds."""
    rng, d = np.random.default_rng(seed), 12
    M = np.linalg.qr(rng.standard_normal((d, d)))[0] if rotated else None
    W = 0.15 * rng.standard_normal((50, d))
    W[:25] += (np.eye(d) if M is None else M.T)[rng.integers(0, d, 25)]
    net, X = SymmetricReLU(W, 0.4), 0.5 * rng.standard_normal((N, d))
    return net, X, right(net, X), M, kind(0.5 if kind is L2Ball else 0.2)


@pytest.mark.parametrize("seed, rotated, kind", [
    (0, False, L2Ball), (1, True, L2Ball), (2, False, LinfBall), (3, True, L2Ball)])
def test_moving_pre_activations_is_moving_inputs(seed, rotated, kind):
    net, X, y, M, ball = feature_case(seed, rotated, kind)
    assert can_move_features(net, M, ball)
    attack, reference = FeatureGreedy(M), BestFound(net, X, y)
    found = attack.perturb(net, X, y, ball).delta
    attack._in_inputs(reference, np.eye(len(X[0])) if M is None else M, ball)
    assert np.any(reference.margins < 0.5 * net.margins(X, y))
    assert np.allclose(net.margins(X + found, y), reference.margins, rtol=0.0, atol=1e-12)
    assert np.allclose(found, reference.delta, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("seed, rotated, kind", [
    (4, False, L2Ball), (5, True, L2Ball), (6, False, LinfBall)])
def test_single_features_and_moves_are_scored_as_by_a_forward_pass(seed, rotated, kind):
    net, X, y, M, ball = feature_case(seed, rotated, kind)
    features = np.eye(len(X[0])) if M is None else M
    moved = FewFeatures(BestFound(net, X, y), M, ball, 2)
    up, down = moved.alone()
    for j, feature in enumerate(features.T):
        for margins, sign in ((up, 1.0), (down, -1.0)):
            exact = net.margins(X + sign * ball.radius * feature, y)
            assert np.allclose(margins[:, j], exact, rtol=0.0, atol=1e-12)
    # gates open, close and change sides on the way, so linear answers would be far off
    slopes = ball.radius * net.margin_gradient(X, y) @ features
    assert np.abs(up - net.margins(X, y)[:, None] - slopes).max() > 0.05
    rng = np.random.default_rng(seed)
    columns, values = rng.integers(0, len(features), (N, 2)), 0.1 * rng.standard_normal((N, 2))
    for place in range(2):
        moved.choose(place, columns[:, place], values[:, place])
    at = X + np.einsum("nq,dnq->nd", values, features[:, columns])
    assert np.allclose(moved.offer(values), net.margins(at, y), rtol=0.0, atol=1e-12)
    along = np.einsum("nd,dnq->nq", net.margin_gradient(at, y), features[:, columns])
    assert np.allclose(moved.offer_for_slopes(values), along, rtol=0.0, atol=1e-12)


def test_features_are_moved_only_where_the_ball_is_the_same_in_their_coordinates():
    net, turned = random_network(), np.linalg.qr(samples(D))[0]
    for fits, network, M, ball in (
            (True, net, None, L2Ball(1.0)), (True, net, None, LinfBall(1.0)),
            (True, net, turned, L2Ball(1.0)), (False, net, turned, LinfBall(1.0)),
            (False, net, 1.01 * turned, L2Ball(1.0)),
            (False, random_network(smoothing=0.3), None, L2Ball(1.0)),
            (False, NETWORKS["linear"], None, L2Ball(1.0))):
        assert can_move_features(network, M, ball) == fits


@pytest.mark.parametrize("make, message", [
    (lambda: AdaptivePGD(0), "steps: expected at least 1"),
    (lambda: AdaptivePGD(5, ()), "starts: expected at least one"),
    (lambda: AdaptivePGD(5, ("universal",)), "direction: expected a vector"),
    (lambda: AdaptivePGD(5, restarts=0), "restarts: expected at least 1"),
    (lambda: FeatureGreedy(features=0), "features: expected at least 1"),
    (lambda: FeatureGreedy(candidates=0), "candidates: expected at least 1"),
    (lambda: FeatureGreedy(descents=-1), "descents: expected at least 0"),
    (lambda: FeatureGreedy(np.eye(3)).perturb(random_network(), *labelled(random_network()),
                                              L2Ball(1.0), fresh()), "dictionary: expected shape"),
])
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@both_balls
def test_random_search_stays_above_the_exact_answer(kind):
    network, X = NETWORKS["linear"], samples()
    y = right(network, X)
    ball = kind(0.3)
    found = RandomSearch(60).perturb(network, X, y, ball, fresh())
    fall = network.margins(X, y) - network.margins(X + found.delta, y)
    exact = 0.3 * ball.dual_norm(network.weights[None])[0]
    assert np.all(fall <= exact * (1.0 + 1e-12))
    assert fall.mean() > 0.4 * exact  # 60 trials in 8 dimensions find a fair share


class MarginsOnly:
    """A network that cannot be differentiated."""

    def __init__(self, network):
        self.network = network

    def margins(self, X, y):
        return self.network.margins(X, y)


@both_balls
def test_random_search_needs_no_gradient_and_improves_with_trials(kind):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    margins = [network.margins(X + RandomSearch(trials).perturb(
        MarginsOnly(network), X, y, kind(0.5), fresh()).delta, y) for trials in (1, 5, 40)]
    assert np.all(margins[0] <= network.margins(X, y))
    assert margins[2].mean() < margins[1].mean() < margins[0].mean()


@both_balls
def test_random_search_alternates_fresh_points_and_shrinking_steps_from_the_best(kind):
    network, X = NETWORKS["plain"], samples(5)
    y, ball, rng = right(network, X), kind(0.5), fresh()
    best, least = np.zeros_like(X), network.margins(X, y)
    for trial in range(12):
        points = ball.draw(rng, X.shape)
        if trial % 2:
            points = ball.project(best + 10.0 ** (-trial / 12) * points)
        for row, margin in enumerate(network.margins(X + points, y)):
            if margin < least[row]:
                best[row], least[row] = points[row], margin
    found = RandomSearch(12).perturb(network, X, y, ball, fresh())
    assert np.array_equal(found.delta, best)
