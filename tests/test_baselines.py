"""The linear classifier: its gradients and its closed-form robustness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks import FGM, worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.baselines import LinearClassifier
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.training import train

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
    attacked = worst_case(classifier, X, y, ball, {"fgm": FGM()}, rng)
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
    train(classifier, batches, 1.0, 0, 30)
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
