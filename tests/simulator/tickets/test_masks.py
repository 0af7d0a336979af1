"""Masks that need no search, and their rescaling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.tickets import masks
from simulator.tickets.masks import largest

from planted.tickets import B, large


@given(st.integers(0, 10**6), st.integers(0, 12))
def test_the_largest_are_kept_and_only_as_many(seed, count):
    scores = np.random.default_rng(seed).integers(0, 4, (3, 4)).astype(float)  # with ties
    mask = largest(scores, count)
    assert mask.sum() == count
    assert not (mask.any() and not mask.all()) or scores[mask].min() >= scores[~mask].max()


def test_each_mask_keeps_what_its_name_says(rng):
    W = rng.standard_normal((40, 10))
    gradient = rng.standard_normal((40, 10))
    assert np.abs(W[masks.magnitude_mask(W, 0.2)]).min() > np.abs(
        W[~masks.magnitude_mask(W, 0.2)]).max()
    sensitive = np.abs(W * gradient)
    chosen = masks.snip_mask(W, gradient, 0.2)
    assert sensitive[chosen].min() > sensitive[~chosen].max()
    assert set(masks.neuron_mask(W.shape, 0.3, rng).sum(axis=1)) == {0, 10}
    np.testing.assert_array_equal(masks.lottery_mask(gradient, 0.2),
                                  masks.magnitude_mask(gradient, 0.2))
    dynamics, _ = large(2)
    scores = dynamics.saliency(np.ones((80, 20), bool))
    chosen = masks.saliency_mask(dynamics, 0.2)
    assert scores[chosen].min() >= scores[~chosen].max()
    for mask in (chosen, masks.random_mask((80, 20), 0.2, rng)):
        assert mask.sum() == 320


def test_random_masks_of_two_draws_differ(rng):
    first, second = (masks.random_mask((40, 10), 0.5, rng) for _ in range(2))
    assert 0.3 < np.mean(first == second) < 0.7


def test_rescaling_by_rule():
    assert masks.rescaling("none", 0.25, 0.1) == masks.Rescaling(1.0, 0.1)
    assert masks.rescaling("weights", 0.25, 0.1) == masks.Rescaling(2.0, 0.1)
    assert masks.rescaling("outputs", 0.25, 0.1) == masks.Rescaling(2.0, 0.2)
    with pytest.raises(ValueError, match="rule: expected one of none, weights, outputs"):
        masks.rescaling("half", 0.25, 0.1)


def test_whole_neurons_rescaled_by_their_outputs_keep_the_kernel_on_average():
    dynamics, rng = large(3)
    rule = masks.rescaling("outputs", 0.5, B)
    kernels = [dynamics.outputs_and_kernel(masks.neuron_mask((80, 20), 0.5, rng), rule.scale,
                                           rule.bias)[1] for _ in range(400)]
    error = np.linalg.norm(np.mean(kernels, axis=0) - dynamics.target)
    assert error < 0.03 * np.linalg.norm(dynamics.target)  # one draw is 5 to 10 times as far
