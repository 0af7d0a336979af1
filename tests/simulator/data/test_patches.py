"""Patch-structured data: where the features lie, how strong, how noisy, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.data.patches import PatchData, random_features

seeds = st.integers(0, 10**6)


def data(d=12, alpha=(5.0,), beta=(0.9, 0.8, 0.7), **changes):
    return PatchData(d, np.array(alpha), np.array(beta), **changes)


@given(seed=seeds, classes=st.integers(2, 4), robust=st.integers(1, 3),
       weak=st.integers(1, 4))
def test_without_noise_a_patch_is_its_feature_at_its_strength(seed, classes, robust, weak):
    rng = np.random.default_rng(seed)
    alpha, beta = rng.uniform(1.0, 5.0, robust), rng.uniform(0.1, 1.0, weak)
    features = random_features(classes, 9, rng)
    model = PatchData(9, alpha, beta, classes, noise=0.0, features=features)
    batch = model.sample(5, rng)
    assert batch.X.shape == (5, robust + weak, 9) and batch.y.shape == (5,)
    for X, y in zip(batch.X, batch.y):
        for p in range(robust):
            assert np.array_equal(X[p], alpha[p] * features[y])
        for p in range(weak):
            assert np.array_equal(X[robust + p], beta[p] * features[classes + y])


def test_the_noise_of_a_patch_is_isotropic_and_of_the_given_length(rng):
    model = data(noise=0.5)
    batch = model.sample(4000, rng)
    clean = data(noise=0.0).sample(4000, np.random.default_rng(20200520))
    assert np.array_equal(batch.y, clean.y)
    noise = (batch.X - clean.X).reshape(-1, 12)
    # 16000 vectors: E||xi||^2 = 0.25 to 6 standard errors of relative size sqrt(2 / (12 * 16000))
    assert np.mean(np.sum(noise**2, axis=1)) == pytest.approx(0.25, rel=0.02)
    covariance = noise.T @ noise / len(noise)
    # entries of standard error 0.25 / 12 / sqrt(16000) off the diagonal, sqrt(2) times on it
    assert np.abs(covariance - 0.25 / 12 * np.eye(12)).max() < 7 * 0.25 / 12 / np.sqrt(16000)


def test_jitter_is_a_uniform_factor_of_every_strength(rng):
    batch = data(beta=(0.5,) * 4, noise=0.0, jitter=0.3).sample(3000, rng)
    strength = np.linalg.norm(batch.X, axis=2) / np.array([5.0] + [0.5] * 4)
    assert 0.7 <= strength.min() < 0.705 and 1.295 < strength.max() <= 1.3
    assert strength.mean() == pytest.approx(1.0, abs=6 * 0.3 / np.sqrt(3 * strength.size))
    # independent from patch to patch
    assert np.abs(np.corrcoef(strength.T) - np.eye(5)).max() < 6 / np.sqrt(3000)


def test_classes_are_whole_numbers_and_equally_likely(rng):
    y = data(classes=3).sample(6000, rng).y
    assert y.dtype == np.int64 and set(y) == {0, 1, 2}
    assert np.abs(np.bincount(y) / 6000 - 1 / 3).max() < 5 * np.sqrt(2 / 9 / 6000)


def test_kappa_is_the_ratio_of_the_summed_powers():
    model = data(alpha=(4.0, 2.0), beta=(0.9, 0.8, 0.7))
    assert model.kappa(3) == pytest.approx((0.9**3 + 0.8**3 + 0.7**3) / (64.0 + 8.0), rel=1e-14)


def test_the_same_stream_gives_the_same_samples_in_both_types():
    both = [data(jitter=0.1).sample(6, np.random.default_rng(3), dtype)
            for dtype in (np.float64, np.float32)]
    assert both[1].X.dtype == np.float32 and np.array_equal(both[0].y, both[1].y)
    assert np.array_equal(both[0].X.astype(np.float32), both[1].X)


@given(seed=seeds)
def test_random_features_are_orthonormal(seed):
    F = random_features(3, 8, np.random.default_rng(seed))
    assert np.abs(F @ F.T - np.eye(6)).max() < 1e-14


def test_no_sample_at_all_is_fine(rng):
    assert data().sample(0, rng).X.shape == (0, 4, 12)


@pytest.mark.parametrize("changes, message", [
    ({"alpha": ()}, "alpha: expected at least one robust patch, got none"),
    ({"beta": ()}, "beta: expected at least one non-robust patch, got none"),
    ({"d": 3}, "d: expected at least 2 K = 4, got 3"),
    ({"d": 5, "classes": 3}, "d: expected at least 2 K = 6, got 5"),
    ({"classes": 1}, "classes: expected at least 2, got 1"),
    ({"alpha": (1.0, -1.0)}, "alpha: expected strengths above 0, got -1"),
    ({"alpha": (np.nan,)}, "alpha: expected finite numbers"),
    ({"beta": ((1.0,),)}, r"beta: expected shape \(any,\), got \(1, 1\)"),
    ({"noise": -1.0}, "noise: expected at least 0.0"),
    ({"jitter": 1.0}, "jitter: expected less than 1, got 1.0"),
    ({"features": np.eye(4, 12) * 1.01}, "features: expected orthonormal rows, got"),
    ({"features": np.eye(3, 12)}, r"features: expected shape \(4, 12\), got \(3, 12\)"),
])
def test_bad_settings_are_told_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        data(**changes)
    assert "\n" not in str(error.value)


def test_balanced_draws_have_the_classes_in_equal_numbers():
    data = PatchData(8, np.ones(1), np.ones(3), classes=3, balanced=True)
    for seed in range(5):
        y = data.sample(12, seed).y
        assert np.bincount(y).tolist() == [4, 4, 4]
    assert sorted(np.bincount(data.sample(13, 0).y, minlength=3)) == [4, 4, 5]
    orders = {tuple(data.sample(12, seed).y) for seed in range(5)}
    assert len(orders) == 5


def test_feature_only_samples_have_the_patches_of_one_kind():
    data = PatchData(8, np.full(2, 3.0), np.full(3, 0.5), noise=0.0)
    batch = data.sample(6, 0)
    robust, other = data.robust_only(batch.X), data.nonrobust_only(batch.X)
    assert robust.shape == (6, 2, 8) and other.shape == (6, 3, 8)
    np.testing.assert_array_equal(robust, 3.0 * data.robust_features[batch.y][:, None] * np.ones(
        (1, 2, 1)))
    np.testing.assert_array_equal(other, 0.5 * data.nonrobust_features[batch.y][:, None] * np.ones(
        (1, 3, 1)))
