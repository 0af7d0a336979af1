"""A4: dense before and pure after, and no isotropic noise."""

import math

import numpy as np
import pytest

from theory.claim import FAILS, HOLDS
from theory.feature_purification.perturbation_is_dense import confront, top_share

from planted.feature_purification import changed


def isotropic(like, seed=0):
    """Random directions of the same lengths."""
    rng = np.random.default_rng(seed)
    random = rng.standard_normal(like.shape)
    lengths = np.linalg.norm(like, axis=1, keepdims=True)
    return random * lengths / np.linalg.norm(random, axis=1, keepdims=True)


def test_a4_holds_from_dense_to_pure(planted):
    finding = confront(planted)
    assert finding.verdict == HOLDS, finding.caveats


def test_a4_fails_for_isotropic_perturbations(planted):
    runs = [changed(run, arrays={f"perturbation_{phase}": isotropic(
        run.arrays[f"perturbation_{phase}"]) for phase in ("clean", "adversarial")})
        for run in planted]
    assert confront(runs).verdict == FAILS


def test_a4_fails_for_an_unpurified_network(unpurified):
    assert confront(unpurified).verdict == FAILS


def test_the_top_share_is_that_of_the_largest_squares():
    assert top_share(np.array([[3.0, 4.0, 0.0]]), 1) == pytest.approx(16 / 25)
    assert top_share(np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]]), 2) == pytest.approx(1.0)
    assert math.isnan(top_share(np.zeros((2, 3)), 1))
