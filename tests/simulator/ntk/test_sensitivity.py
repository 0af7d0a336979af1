"""Derivatives by the weight of a sample are those of counting it a little more."""

import numpy as np
import pytest

from simulator.ntk.measures import seen_by_eigenvectors, spectrum
from simulator.ntk.sensitivity import seen_without_groups, spectrum_by_sample

MORE = 1e-5


@pytest.fixture(scope="module")
def kernel():
    A = np.random.default_rng(3).standard_normal((14, 20))
    return A @ A.T


@pytest.mark.parametrize("sample", [0, 5])
def test_a_sample_that_counts_more_moves_the_spectrum_as_predicted(kernel, sample):
    found = []
    for more in (-MORE, MORE):
        roots = np.ones(len(kernel))
        roots[sample] = np.sqrt(1.0 + more)
        found.append(spectrum(roots[:, None] * kernel * roots))
    # differences of second order in MORE, and rounding over it
    np.testing.assert_allclose(spectrum_by_sample(kernel)[sample],
                               (found[1] - found[0]) / (2.0 * MORE), atol=1e-7)


def test_equal_growth_of_all_weights_changes_nothing(kernel):
    np.testing.assert_allclose(spectrum_by_sample(kernel).sum(axis=0), 0.0, atol=1e-12)


def test_what_is_seen_without_a_group_is_what_the_others_see(kernel):
    targets = [np.random.default_rng(4).standard_normal((14, count)) for count in (1, 3)]
    targets.append(np.zeros((14, 1)))
    found = seen_without_groups(kernel, targets, 5, 7)
    kept = np.arange(14) % 7 != 2
    for place, each in enumerate(targets[:2]):
        np.testing.assert_allclose(found[2, place], seen_by_eigenvectors(
            kernel[kept][:, kept], each[kept], 5))
    assert found.shape == (7, 3, 5) and np.isnan(found[:, 2]).all()


def test_a_kernel_that_is_zero_is_refused():
    with pytest.raises(ValueError, match="a square matrix that is not zero"):
        spectrum_by_sample(np.zeros((3, 3)))
