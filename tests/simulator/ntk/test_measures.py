"""Measures of kernels: distance, rank, alignment, and the features in their eigenvectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.data.sparse_coding import SparseCoding, random_dictionary
from simulator.ntk.measures import (alignment, centred_alignment, distance, distances,
                                    effective_rank, eigenvectors_on_features, seen_by_eigenvectors,
                                    spectrum, velocities)


def psd(n, rank, seed):
    A = np.random.default_rng(seed).standard_normal((n, rank))
    return A @ A.T


@given(n=st.integers(2, 8), seed=st.integers(0, 10**6), scale=st.sampled_from(
    [1e-200, 1e-8, 3.0, 1e200]))
def test_the_distance_is_a_cosine_distance(n, seed, scale):
    K, other = psd(n, n, seed), psd(n, n, seed + 1)
    wanted = 1.0 - np.sum(K * other) / np.sqrt(np.sum(K**2) * np.sum(other**2))
    assert distance(K, other) == pytest.approx(wanted, abs=1e-13)
    assert 0.0 <= distance(K, other) <= 1.0
    assert distance(K, scale * K) == pytest.approx(0.0, abs=1e-13)
    table = distances([K, other, scale * K])
    assert np.allclose(table, table.T) and np.array_equal(np.diag(table), np.zeros(3))
    assert table[0, 1] == pytest.approx(wanted, abs=1e-13)


def test_the_distance_of_kernels_without_overlap_is_one():
    K = np.diag([1.0, 0.0])
    assert distance(K, np.diag([0.0, 2.0])) == 1.0
    assert np.isnan(distance(K, np.zeros((2, 2))))


def test_velocities_are_distances_over_time():
    kernels = [psd(5, 5, seed) for seed in range(3)]
    found = velocities(kernels, [0, 10, 30])
    assert found == pytest.approx([distance(*kernels[:2]) / 10, distance(*kernels[1:]) / 20])


@given(rank=st.integers(1, 6), n=st.integers(6, 9), scale=st.sampled_from([1e-150, 1.0, 1e150]),
       seed=st.integers(0, 10**6))
def test_a_projection_has_its_rank_as_effective_rank(rank, n, scale, seed):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, rank)))[0]
    K = scale * (Q @ Q.T)
    assert effective_rank(K) == pytest.approx(rank, rel=1e-9)
    assert effective_rank(K, "participation") == pytest.approx(rank, rel=1e-12)
    assert spectrum(K)[:rank] == pytest.approx(np.full(rank, 1.0 / rank))


def test_both_effective_ranks_follow_their_formulas():
    K = np.diag([4.0, 2.0, 1.0, 1.0])
    p = np.array([0.5, 0.25, 0.125, 0.125])
    assert effective_rank(K) == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    assert effective_rank(K, "participation") == pytest.approx(1.0 / (p**2).sum())
    assert np.isnan(effective_rank(np.zeros((3, 3))))
    assert np.isnan(effective_rank(np.zeros((3, 3)), "participation"))


def test_alignment_is_one_for_the_ideal_kernel_and_small_for_an_indifferent_one():
    y = np.array([1.0, -1.0, -1.0, 1.0, 1.0])
    assert alignment(np.outer(y, y), y) == pytest.approx(1.0)
    assert alignment(np.eye(5), y) == pytest.approx(1.0 / np.sqrt(5.0))
    shifted = np.outer(y, y) + 7.0  # a constant means nothing once centred
    assert alignment(shifted, y) < 0.5
    assert centred_alignment(shifted, y) == pytest.approx(1.0)
    assert np.isnan(centred_alignment(np.eye(3), np.ones(3)))


def test_an_eigenvector_is_told_by_the_features_it_sees():
    data = SparseCoding(10, 2, dictionary=random_dictionary(10, np.random.default_rng(0)))
    batch = data.sample(400, np.random.default_rng(1))
    seen = batch.X @ data.dictionary[:, 3]
    K = np.outer(seen, seen)
    found = eigenvectors_on_features(K, batch.X, data.dictionary, 1)
    assert found.shape == (1, 10)
    assert found[0].argmax() == 3 and found[0, 3] > 0.9
    assert np.linalg.norm(found[0]) == pytest.approx(1.0)


def test_bad_input_is_told():
    with pytest.raises(ValueError, match="K: expected a square matrix"):
        spectrum(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="the kernels of the same samples"):
        distance(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="kind: expected one of entropy, participation"):
        effective_rank(np.eye(2), "numerical")
    with pytest.raises(ValueError, match="times: expected ascending order"):
        velocities([np.eye(2), np.eye(2)], [1, 1])
    with pytest.raises(ValueError, match="times: expected 2, one a kernel, got 3"):
        velocities([np.eye(2), np.eye(2)], [1, 2, 3])
    with pytest.raises(ValueError, match="labels -1 and"):
        alignment(np.eye(2), np.array([0.0, 1.0]))


def test_eigenvectors_see_what_lies_in_their_span():
    rng = np.random.default_rng(0)
    V = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    K = (V * np.arange(8.0, 0.0, -1.0)) @ V.T
    mixed = 3.0 * V[:, 0] + 4.0 * V[:, 2]
    assert seen_by_eigenvectors(K, mixed[:, None], 4) == pytest.approx([0.36, 0.36, 1.0, 1.0])
    several = np.column_stack([mixed, V[:, 7], np.zeros(8)])  # what vanishes is left out
    assert seen_by_eigenvectors(K, several, 20) == pytest.approx(
        [0.18, 0.18, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0])
    assert np.isnan(seen_by_eigenvectors(K, np.zeros((8, 1)), 3)).all()


def test_eigenvectors_drawn_at_random_see_their_share():
    rng = np.random.default_rng(1)
    seen = seen_by_eigenvectors(psd(60, 60, 2), rng.standard_normal((60, 400)), 60)
    assert seen == pytest.approx(np.arange(1, 61) / 60.0, abs=0.03)  # a mean of 400
