"""Limits over the samples hold the truth as often as they say, and are right where it is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.balls import L2Ball
from simulator.experiments.jackknife import LossLimits, by_weights, without_each
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.tickets.dynamics import Dynamics
from simulator.training import train


def test_limits_of_a_ratio_hold_the_true_one_in_about_95_of_100_draws():
    rng, held = np.random.default_rng(0), {"without": 0, "weights": 0}
    for _ in range(400):
        x, y = rng.exponential(2.0, 80), rng.exponential(1.0, 80)
        ratio = x.sum() / y.sum()
        without = (x.sum() - x) / (y.sum() - y)
        slopes = x / y.sum() - ratio * y / y.sum()
        for name, (low, high) in (("without", without_each(ratio, without)),
                                  ("weights", by_weights(ratio, slopes))):
            held[name] += low <= 2.0 <= high
    # .95 of 400 is 380, with a standard deviation of 4.4
    assert all(360 <= count <= 396 for count in held.values()), held


def test_limits_of_a_share_stay_between_zero_and_one_and_those_of_nothing_are_nan():
    low, high = without_each(np.array([0.999]), 0.9 + 0.02 * np.arange(5)[:, None], positive=False)
    assert 0.0 <= low[0] <= 0.999 <= high[0] == 1.0
    assert np.isnan(without_each(np.array([0.0]), np.zeros((4, 1)))).all()


def test_the_kernel_error_without_a_sample_is_that_of_the_others():
    rng = np.random.default_rng(1)
    W, X = rng.standard_normal((6, 4)), rng.standard_normal((5, 4))
    mask = rng.random(W.shape) < 0.5
    found = Dynamics(W, 0.1, X).relative_kernel_without_each(mask, 1.2)
    expected = [Dynamics(W, 0.1, np.delete(X, place, axis=0)).gap(mask, 1.2).relative_kernel
                for place in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_limits_of_a_loss_are_those_of_a_mean_over_the_samples_as_they_are_perturbed():
    rng, rows, ball = np.random.default_rng(2), [], L2Ball(0.3)
    W, X = 0.5 * rng.standard_normal((8, 5)), rng.standard_normal((15, 5))
    y = np.sign(rng.standard_normal(15))
    network = SymmetricReLU(W.copy(), 0.1)
    limits = LossLimits(network, lambda step: step == 1)
    train(network, SimpleNamespace(batch=lambda step: Batch(X, y)), learning_rate=0.5, steps=3,
          adversary=Adversary(ball, FGM()), before_step=limits,
          after_step=lambda step, loss: rows.append({"loss": loss, **limits.row()}))
    first = SymmetricReLU(W, 0.1)
    margins = first.margins(X + ball.project(FGM().perturb(first, X, y, ball).delta), y)
    losses = np.log1p(np.exp(-margins))
    assert rows[0]["loss"] == pytest.approx(losses.mean(), rel=1e-12)
    # fewer samples than groups: almost Student's interval, on the scale of logarithms
    error = stats.t.ppf(0.975, 14) * losses.std(ddof=1) / np.sqrt(15) / losses.mean()
    found = [(row["loss_low"], row["loss_high"]) for row in rows]
    np.testing.assert_allclose(found[0], losses.mean() * np.exp([-error, error]), rtol=0.02)
    assert found == [found[0]] * 3  # other steps are not looked at
    assert len({row["loss"] for row in rows}) == 3


def test_groups_of_a_loss_need_not_be_of_one_size():
    rng = np.random.default_rng(3)
    network = SymmetricReLU(0.5 * rng.standard_normal((8, 5)), 0.1)
    X, y = rng.standard_normal((50, 5)), np.sign(rng.standard_normal(50))
    limits = LossLimits(network, lambda step: True, weight_decay=0.1)
    limits(0, X, y)
    without = [network.loss_gradient(np.delete(X, np.s_[group::20], axis=0),
                                     np.delete(y, np.s_[group::20]), 0.1)[0]
               for group in range(20)]
    whole = network.loss_gradient(X, y, 0.1)[0]
    np.testing.assert_allclose(list(limits.row().values()), without_each(whole, without),
                               rtol=1e-12)
    limits(1, X[:1], y[:1])
    assert np.isnan(list(limits.row().values())).all()
