"""The linear classifier: its gradients, its closed-form robustness, its robust training."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.networks.linear import LinearClassifier, robust_linear
from simulator.protocols import Batch
from simulator.training import train

from references import low_complexity as naive

N, D, H = 20, 6, 1e-5


@pytest.fixture
def case(rng):
    """(classifier, X, y) with both right and wrong samples."""
    return (LinearClassifier(rng.standard_normal(D)), rng.standard_normal((N, D)),
            rng.choice([-1.0, 1.0], N))


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_the_weight_gradient_is_the_derivative_of_the_loss(case, weight_decay):
    classifier, X, y = case
    w = classifier.weights.copy()
    gradient = classifier.loss_gradient(X, y, weight_decay)[1]
    wanted = [(LinearClassifier(w + H * e).loss_gradient(X, y, weight_decay)[0]
               - LinearClassifier(w - H * e).loss_gradient(X, y, weight_decay)[0]) / (2.0 * H)
              for e in np.eye(D)]
    # differences are exact to about 1e-10
    assert np.linalg.norm(gradient - wanted) < 1e-7 * np.linalg.norm(wanted)


def test_the_margin_gradient_is_the_derivative_of_the_margin(case):
    classifier, X, y = case
    wanted = np.column_stack([(classifier.margins(X + H * e, y) - classifier.margins(X - H * e, y))
                              / (2.0 * H) for e in np.eye(D)])
    gradient = classifier.margin_gradient(X, y)
    assert np.linalg.norm(gradient - wanted) < 1e-7 * np.linalg.norm(wanted)


def test_the_loss_is_the_mean_logistic_loss_with_decay(case):
    classifier, X, y = case
    margins = [label * sum(w * c for w, c in zip(classifier.weights, x)) for x, label in zip(X, y)]
    loss = np.mean([np.log1p(np.exp(-margin)) for margin in margins])
    decay = 0.3 * sum(classifier.weights**2) / 2.0
    assert classifier.loss_gradient(X, y, 0.3)[0] == pytest.approx(loss + decay, rel=1e-13)


def test_huge_margins_overflow_nothing():
    loss, gradient = LinearClassifier(np.array([1e5])).loss_gradient(np.ones((2, 1)),
                                                                     np.array([1.0, -1.0]))
    assert loss == pytest.approx(0.5e5, rel=1e-15)
    assert gradient[0] == pytest.approx(0.5, rel=1e-15)


@given(radius=st.floats(0.0, 3.0), seed=st.integers(0, 10**6),
       kind=st.sampled_from([L2Ball, LinfBall]))
def test_robust_accuracy_is_accuracy_under_the_best_attack(radius, seed, kind):
    rng = np.random.default_rng(seed)
    classifier, X = LinearClassifier(rng.standard_normal(D)), rng.standard_normal((N, D))
    y, ball = rng.choice([-1.0, 1.0], N), kind(radius)
    attacked = worst_case(classifier, Batch(X, y), Adversary(ball, {"fgm": FGM()}))
    radii = classifier.critical_radii(X, y, ball)
    # radii are random reals; none lies within rounding of the drawn radius
    assert np.abs(radii - radius).min() > 1e-13 or radius == 0.0
    assert classifier.robust_accuracy(X, y, ball) == attacked.accuracy()
    assert np.array_equal(radii > radius, attacked.margins > 0.0)


@pytest.mark.parametrize("kind", [L2Ball, LinfBall])
def test_a_sample_breaks_exactly_at_its_critical_radius(case, kind):
    classifier, X, y = case
    radii = classifier.critical_radii(X, y, kind(9.0))
    assert np.array_equal(radii > 0.0, classifier.margins(X, y) > 0.0)
    for row in np.flatnonzero(radii > 0.0):
        for factor, right in ((1.0 - 1e-9, True), (1.0 + 1e-9, False)):
            ball = kind(factor * radii[row])
            moved = X[row:row + 1] + ball.steepest(-y[row] * classifier.weights[None])
            assert (classifier.margins(moved, y[row:row + 1])[0] > 0.0) == right


@pytest.mark.parametrize("kind", [L2Ball, LinfBall])
def test_robust_accuracy_steps_down_at_each_critical_radius(case, kind):
    classifier, X, y = case
    radii = np.sort(classifier.critical_radii(X, y, kind(1.0)))
    for row in np.flatnonzero(radii > 0.0):
        # the sorted samples from this one on survive just below its radius
        for factor, survivors in ((1.0 - 1e-9, N - row), (1.0 + 1e-9, N - row - 1)):
            assert classifier.robust_accuracy(X, y, kind(factor * radii[row])) == survivors / N


def test_descend_is_one_step(case):
    classifier, X, y = case
    before, gradient = classifier.weights.copy(), np.linspace(0.0, 1.0, D)
    classifier.descend(gradient, 0.5)
    assert np.array_equal(classifier.weights, before - 0.5 * gradient)


def test_single_precision_stays_single(case):
    classifier, X, y = case
    single = LinearClassifier(classifier.weights.astype(np.float32))
    loss, gradient = single.loss_gradient(X, y, 0.1)
    assert gradient.dtype == single.margins(X, y).dtype == np.float32
    assert single.margin_gradient(X, y).dtype == np.float32
    wanted_loss, wanted = classifier.loss_gradient(X, y, 0.1)
    # the weights were rounded: a few times 6e-8
    assert loss == pytest.approx(wanted_loss, rel=2e-6)
    assert np.linalg.norm(gradient - wanted) < 2e-6 * np.linalg.norm(wanted)


def test_training_learns_the_labels_and_leaves_the_data_model_alone():
    data = SparseCoding(20, 3, noise=0.1)
    direction = data.dense_direction.copy()
    classifier = LinearClassifier(data.dense_direction)
    batches = FreshBatches(data, 100, seed=0)
    first = classifier.loss_gradient(batches.batch(0).X, batches.batch(0).y)[0]
    train(classifier, batches, learning_rate=1.0, steps=30)
    last = classifier.loss_gradient(batches.batch(0).X, batches.batch(0).y)[0]
    assert last < 0.9 * first
    # the universal attack and the metrics read this cached direction after training
    assert np.array_equal(data.dense_direction, direction)


LINEAR = LinearClassifier(np.ones(2))


@pytest.mark.parametrize("call, message", [
    (lambda: LinearClassifier(np.ones((2, 2))), r"weights: expected shape \(any,\)"),
    (lambda: LINEAR.margins(np.ones((3, 1)), np.ones(3)), "the classifier reads d = 2 coord"),
    (lambda: LINEAR.margins(np.ones((3, 2)), np.zeros(3)), r"y: expected labels -1 and \+1"),
    (lambda: LINEAR.margin_gradient(np.ones((3, 2)), np.ones(2)), r"y: expected shape \(3,\)"),
    (lambda: LINEAR.loss_gradient(np.ones((3, 2)), np.ones(3), -1.0), "weight_decay: expected"),
    (lambda: LINEAR.loss_gradient(np.ones((0, 2)), np.ones(0)), "at least one sample"),
    (lambda: LINEAR.descend(np.ones(3), 0.1), r"gradient: expected shape \(2,\), got \(3,\)"),
])
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- the exact minimiser of the robust logistic risk --------------------------------------


@pytest.fixture
def noisy():
    """A batch that no linear classifier separates, so that every minimiser is finite."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((200, 4))
    return Batch(X, np.where(rng.random(200) < 0.85, np.sign(X @ [1.0, 0.5, 0.0, -1.0]), 1.0))


@pytest.mark.parametrize("kind, dual", [(L2Ball, 2), (LinfBall, 1)])
@pytest.mark.parametrize("tau", [0.0, 0.1, 0.3])
def test_no_classifier_near_the_minimiser_has_a_smaller_robust_risk(noisy, kind, dual, tau):
    w = robust_linear(noisy, kind(tau)).weights
    best = naive.robust_risk(w, noisy.X, noisy.y, tau, dual)
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.1, 1.0):  # the risk is convex: a local minimum is the minimum
        for move in [*rng.standard_normal((10, 4)), *np.eye(4), *-np.eye(4)]:
            # the search stops within about 1e-12 of the smallest value
            assert best <= naive.robust_risk(w + size * move, noisy.X, noisy.y, tau, dual) + 1e-10


@pytest.mark.parametrize("kind", [L2Ball, LinfBall])
def test_the_minimiser_is_zero_from_the_norm_of_the_mean_on(noisy, kind):
    mean = (noisy.X * noisy.y[:, None]).mean(axis=0)
    edge = float(kind(1.0).norm(mean[None])[0])
    assert not robust_linear(noisy, kind(1.0001 * edge)).weights.any()
    assert np.abs(robust_linear(noisy, kind(0.99 * edge)).weights).max() > 1e-3


def test_the_robust_minimiser_uses_the_sparse_direction_against_corners():
    # one strong coordinate, many weak ones: l_inf punishes the sum of all entries
    rng = np.random.default_rng(5)
    y = rng.choice([-1.0, 1.0], 400)
    X = np.column_stack([y + 0.5 * rng.standard_normal(400),
                         0.2 * y[:, None] + rng.standard_normal((400, 9))])
    w = robust_linear(Batch(X, y), LinfBall(0.4)).weights
    assert w[0] > 0.5 and np.abs(w[1:]).max() < 0.05


def test_adversarial_training_comes_to_the_exact_minimiser(noisy):
    # FGM is the exact worst case of a linear classifier, so both descend the same convex risk
    class Whole:
        def batch(self, step):
            return noisy

    trained = LinearClassifier(np.full(4, 0.01))
    train(trained, Whole(), learning_rate=0.5, steps=3000, adversary=Adversary(L2Ball(0.3), FGM()))
    exact = robust_linear(noisy, L2Ball(0.3)).weights
    assert np.linalg.norm(trained.weights - exact) < 1e-5 * np.linalg.norm(exact)


def test_on_sparse_coding_data_the_minimiser_is_the_dense_direction():
    data = SparseCoding(d=20, k=3)
    w = robust_linear(data.sample(20000, np.random.default_rng(0)), L2Ball(0.1)).weights
    # statistical error of 20 weights from 20000 samples
    assert data.dense_direction @ w / np.linalg.norm(w) > 0.99


def test_the_minimiser_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        robust_linear(Batch(np.zeros((0, 3)), np.zeros(0)), L2Ball(0.1))
    with pytest.raises(ValueError, match="labels -1 and"):
        robust_linear(Batch(np.zeros((1, 3)), np.zeros(1)), L2Ball(0.1))
    assert math.isclose(robust_linear(Batch(np.ones((3, 2)), np.array([1.0, -1.0, 1.0])),
                                      L2Ball(0.0)).weights.sum(), math.log(2.0), rel_tol=1e-6)
