"""A2: mixtures of the planted exponent, and how often it is fooled."""

import math

import numpy as np
import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.feature_purification.dense_mixtures import confront

from planted.feature_purification import changed, mixture_runs

DRAWS = [60, pytest.param(200, marks=pytest.mark.slow)]


def holding(rng, draws, **truth):
    """Share of simulated data sets in which A2 holds."""
    verdicts = [confront(mixture_runs(rng, **truth)).verdict for _ in range(draws)]
    return np.mean([verdict == HOLDS for verdict in verdicts])


def test_a2_holds_for_mixtures_of_size_k_over_d(rng):
    finding = confront(mixture_runs(rng))
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.low < 1.0 < finding.high


def test_a2_fails_for_mixtures_of_another_exponent(rng):
    finding = confront(mixture_runs(rng, exponent=0.5))
    assert finding.verdict == FAILS
    assert finding.measured == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("noise", [0.05, 0.2, 0.5])
def test_a2_is_rarely_fooled_by_an_exponent_of_one_half(rng, noise, draws):
    assert holding(rng, draws, exponent=0.5, noise=noise) < 0.05


@pytest.mark.parametrize("draws", DRAWS)
def test_a2_is_not_fooled_at_the_edge_of_its_range(rng, draws):
    # a true slope of 0.7 sits on the edge: an equivalence test at 2.5 % a side
    assert holding(rng, draws, exponent=0.7, noise=0.1) < 0.05


@pytest.mark.parametrize("draws", DRAWS)
def test_a2_sees_its_exponent_through_the_scatter_of_real_runs(rng, draws):
    assert holding(rng, draws, noise=0.03) > 0.95


def test_a2_is_outside_where_only_d_varies(rng):
    runs = mixture_runs(rng, sizes=((64, 4), (128, 4), (256, 4), (512, 4)))
    finding = confront(runs)
    assert finding.verdict == OUTSIDE
    assert "d and k vary separately" in finding.caveats[0]


def test_a2_is_outside_over_too_few_sizes_or_too_short_a_range(rng):
    few = confront(mixture_runs(rng, sizes=((64, 4), (64, 8), (128, 4))))
    near = confront(mixture_runs(rng, sizes=((64, 4), (64, 5), (70, 4), (70, 5))))
    assert few.verdict == near.verdict == OUTSIDE
    assert "at least 4 different sizes" in few.caveats[0]
    assert "a factor 4 apart" in near.caveats[0]


def test_a2_does_not_take_the_logarithm_of_a_ratio_that_is_not_positive(rng):
    finding = confront([changed(run, clean={"mixture_ratio": -0.01})
                        for run in mixture_runs(rng)])
    assert finding.verdict == FAILS and math.isnan(finding.measured)
    assert finding.to_dict()["measured"] is None
