"""Dictionaries learned from patches, and pictures rebuilt from few of their features."""

import numpy as np
import pytest

from simulator.data.dictionaries import (Features, gaussian_like, gaussian_picture, law_of_codes,
                                         learn_features, psnr, rebuild)

pytest.importorskip("sklearn")


def sparse_codes(rng, n=4000, r=9, share=0.1):
    return rng.standard_normal((n, r)) * (rng.random((n, r)) < share)


def test_an_orthonormal_dictionary_of_sparse_codes_is_found(rng):
    """The paper's own model: x = M z with M orthonormal and independent sparse z."""
    M = np.linalg.qr(rng.standard_normal((9, 9)))[0]
    found = learn_features(sparse_codes(rng) @ M.T, 9, rng)
    cosines = np.abs((found.synthesis / found.lengths).T @ M)
    assert cosines.max(axis=0).min() > 0.99
    assert sorted(cosines.argmax(axis=0)) == list(range(9))


def test_synthesis_undoes_analysis_and_codes_are_white(rng):
    X = rng.standard_normal((500, 6)) @ rng.standard_normal((6, 6))
    found = learn_features(X, 6, 0)
    Z = found.codes(X)
    np.testing.assert_allclose(Z @ found.synthesis.T, X, atol=1e-9)
    np.testing.assert_allclose(Z.T @ Z / len(Z), np.eye(6), atol=1e-9)


def test_axes_without_variance_are_left_out_and_constant_patches_are_told(rng):
    X = np.concatenate([rng.standard_normal((100, 3)), np.zeros((100, 2))], axis=1)
    assert learn_features(X, 5, 0).analysis.shape == (3, 5)
    with pytest.raises(ValueError, match="expected patches that differ"):
        learn_features(np.zeros((10, 4)), 2, 0)


def test_the_law_knows_gaussian_sparse_and_dependent_coefficients(rng):
    sparse, dense = (law_of_codes(Z) for Z in (sparse_codes(rng), rng.standard_normal((4000, 9))))
    assert sparse["kurtosis"] == pytest.approx(3.0 / 0.1 - 3.0, rel=0.15)
    assert abs(dense["kurtosis"]) < 0.1 and sparse["top_share"] > 2.0 * dense["top_share"]
    assert sparse["dependence"] < 0.05  # independent ones
    contrast = rng.exponential(size=(4000, 1)) * rng.standard_normal((4000, 9))
    told = law_of_codes(contrast)
    assert told["dependence"] > 0.1 > 3.0 * told["dependence_shuffled"]


def test_gaussian_patches_and_pictures_keep_second_moments_and_spectrum(rng):
    X = rng.standard_normal((5000, 4)) @ rng.standard_normal((4, 4))
    Y = gaussian_like(X, 0)
    np.testing.assert_allclose(Y.T @ Y / len(Y), X.T @ X / len(X), rtol=0.2, atol=0.2)
    image = rng.random((8, 12))
    noise = gaussian_picture(image, 0)
    np.testing.assert_allclose(np.abs(np.fft.fft2(noise)), np.abs(np.fft.fft2(image)), atol=1e-9)
    assert noise.mean() == pytest.approx(image.mean()) and not np.allclose(noise, image)


def identity(side):
    d = side * side
    return Features(np.eye(d), np.eye(d))


def test_in_single_pixels_the_largest_are_kept(rng):
    """With pixels for features the best k are the k that differ most from the mean."""
    image = rng.random((4, 6))
    image -= image.reshape(2, 2, 3, 2).mean(axis=(1, 3)).repeat(2, 0).repeat(2, 1)  # no flat part
    found, = rebuild(image, identity(2), [5 / 30])
    largest = np.sort(np.abs(image).ravel())[-5]
    kept = np.where(np.abs(image) >= largest, image, 0.0)
    assert np.mean((found - image)**2) <= np.mean((kept - image)**2) + 1e-12


def test_more_coefficients_never_rebuild_worse_and_all_rebuild_exactly(rng):
    image = rng.random((6, 6))
    shares = [0.02, 0.1, 0.3, 0.6, 1.0]
    errors = [np.mean((found - image)**2) for found in rebuild(image, identity(3), shares)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-20
    assert psnr(image, image + 0.1) == pytest.approx(20.0)


def test_a_picture_that_is_no_whole_number_of_patches_is_told(rng):
    with pytest.raises(ValueError, match=r"expected whole patches of 2 x 2, got \(4, 5\)"):
        rebuild(rng.random((4, 5)), identity(2), [0.1])
    with pytest.raises(ValueError, match="share: expected at most 1"):
        rebuild(rng.random((4, 4)), identity(2), [1.5])
