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


# --- norm, uniformity, alignment --------------------------------------------------------------


def test_every_part_of_a2_holds_for_dense_mixtures(rng):
    finding = confront(mixture_runs(rng))
    assert finding.verdict == HOLDS, finding.caveats
    decisive = [part.name for part in finding.measurements if part.decisive]
    assert len(decisive) == 7
    measured = {part.name: part.measured for part in finding.measurements}
    assert [value for name, value in measured.items() if "norm" in name][:2] == pytest.approx(
        [1.0, -0.5], abs=0.1)
    assert any("hold several features" in note for note in finding.caveats)


@pytest.mark.parametrize("truth, broken", [
    ({"norm": (0.6, -0.5)}, "norm: exponent in s"), ({"norm": (1.0, -0.2)}, "norm: exponent in d"),
    ({"norm": (0.0, 0.0)}, "norm"), ({"quantile": 1.0}, "quantile"), ({"largest": 1.0}, "largest"),
    ({"misaligned": 6.0}, "alignment"), ({"worse": 0.3}, "alignment")])
def test_a2_fails_where_one_part_does(rng, truth, broken):
    finding = confront(mixture_runs(rng, **truth))
    assert finding.verdict == FAILS
    failed = [part.name for part in finding.measurements if part.decisive and not part.holds]
    assert failed and all(broken in name for name in failed)


def test_a_few_neurons_with_too_much_are_seen_in_the_largest_alone(rng):
    finding = confront(mixture_runs(rng, largest=0.9))
    (part,) = [part for part in finding.measurements if part.decisive and not part.holds]
    assert "largest" in part.name and part.measured == pytest.approx(0.9, abs=0.1)


def test_a_run_of_before_is_measured_from_its_weights(planted, rng):
    from theory.feature_purification.dense_mixtures import mixtures
    run = planted[0]
    from_weights = mixtures(changed(run, clean={"mixtures": None}))
    assert from_weights == run.summary["clean"]["mixtures"]
    # e_j + .25 of all others: norm .25 sqrt(d - 1), all along the labels
    assert from_weights["norm"] == pytest.approx(0.25 * np.sqrt(143), rel=0.05)


def test_a2_says_what_is_missing_where_there_are_neither_numbers_nor_weights(rng):
    finding = confront([changed(run, clean={"mixtures": None}) for run in mixture_runs(rng)])
    assert finding.verdict == OUTSIDE
    assert "weights" in finding.caveats[0]
