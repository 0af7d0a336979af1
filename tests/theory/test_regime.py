"""Which sizes a claim speaks about, and how the others are named."""

import math
from dataclasses import replace

import numpy as np
import pytest

from theory import regime
from theory.claim import Assumption, Claim, Run
from theory.evidence import at_every_size, confronted
from theory.feature_purification.dense_mixtures import CLAIM as DENSE

from planted.feature_purification import mixture_runs, planted_config


def run(d=64, k=4, seed=0, accuracy=1.0, coverage=1.0, **settings):
    config = planted_config(d, k, seed, **{"m": "15*d"} | settings)
    return Run(config, {"p": 0.1, "clean": {
        "accuracy": accuracy, "coverage": coverage, "mixture_ratio": 0.1,
        "mixtures": {"norm": 0.5}}}, [], {})


def test_a_size_is_left_out_as_a_whole_and_every_broken_assumption_is_named():
    runs = [run(64, 4, seed) for seed in range(3)]
    runs += [run(60, 8, seed, accuracy=0.9 if seed == 1 else 1.0) for seed in range(3)]
    found = regime.within(DENSE, runs)
    assert [inside.config.d for inside in found.runs] == [64, 64, 64]
    (size, names), = found.broken.items()
    assert size == ("lottery", 60, 8)
    assert names == ("k is at most sqrt(d)",
                     "the clean network is right on 95 % of the test samples")
    assert found.caveats == ["left out lottery (60, 8): not fulfilled: k is at most sqrt(d); "
                             "the clean network is right on 95 % of the test samples"]


def test_a_measurement_that_the_summary_lacks_fulfils_nothing():
    """Data without features have no coverage: the size is named, and nothing raised."""
    bare = run()
    del bare.summary["clean"]["coverage"]
    covered = Assumption("all features are covered",
                         lambda run: run.summary["clean"]["coverage"] > 0.9)
    found = regime.within(replace(DENSE, assumptions=(covered,)), [bare, run(64, 8)])
    assert [inside.config.k for inside in found.runs] == [8]
    assert found.caveats == ["left out lottery (64, 4): not fulfilled: all features are covered"]


def test_sizes_that_break_the_same_share_a_line():
    found = regime.within(DENSE, [run(60, 8), run(40, 8)])
    assert found.runs == () and found.caveats == [
        "left out lottery (40, 8), (60, 8): not fulfilled: k is at most sqrt(d)"]


def test_a_seed_cannot_count_twice():
    with pytest.raises(ValueError, match="repeats of a seed are no new evidence"):
        regime.by_size([run(), run(label_margin=0.4)])


def test_a_fit_per_seed_uses_the_seeds_that_every_size_has():
    runs = [run(64, 4, seed) for seed in (0, 1, 2)] + [run(64, 8, seed) for seed in (1, 2, 3)]
    table = regime.same_seeds(runs)
    assert [[member.config.seed for member in group] for group in table.values()] == [[1, 2]] * 2
    assert regime.same_seeds([]) == {}


def test_sizes_with_other_seeds_are_told():
    runs = [run(64, 4, seed) for seed in range(4)] + [run(64, 8, seed) for seed in (1, 2, 3)]
    assert regime.uneven_seeds(regime.by_size(runs)) == [
        "lottery sizes have different seeds, and what is fitted over sizes takes those of all: "
        "(64, 4): 0-3; (64, 8): 1-3"]
    assert regime.uneven_seeds(regime.by_size(runs[1:])) == []


def test_one_exponent_never_runs_through_two_families(rng):
    runs = mixture_runs(rng) + mixture_runs(rng, sizes=((100, 5),))
    for member in runs[-3:]:
        object.__setattr__(member.config, "name", "other")
    kept, caveats = regime.largest_family(runs)
    assert {member.config.name for member in kept} == {"lottery"}
    assert "other runs have other constants" in caveats[0]
    assert regime.largest_family([]) == ([], [])


def test_a_size_with_too_few_seeds_is_left_out_by_name():
    claim = Claim("T", "", "", "", (), "", "", 0.0)
    finding = confronted(claim, [run(64, 4, seed) for seed in range(2)], lambda groups: None)
    assert finding.verdict == "outside the regime"
    assert "at least 3 seeds, got 2" in finding.caveats[0]


def test_the_worst_size_is_reported_and_nan_is_the_worst():
    values = {("f", 64, 4): np.array([1.0, 1.1, 0.9]), ("f", 64, 8): np.array([0.6, 0.7, 0.5])}
    values = {regime.Size(*size): seeds for size, seeds in values.items()}
    part = at_every_size("x", values, (0.0, math.inf))
    assert part.name == "x at f (64, 8), worst of 2 sizes"
    assert part.measured == pytest.approx(0.6) and part.holds
    values[regime.Size("f", 128, 8)] = np.array([9.0, math.nan, 9.0])
    part = at_every_size("x", values, (0.0, math.inf))
    assert math.isnan(part.measured) and not part.holds and part.p_value == 1.0


def test_ratios_are_averaged_in_logarithms():
    values = {regime.Size("f", 64, 4): np.array([1.0, 10.0, 100.0])}
    part = at_every_size("x", values, (0.001, math.inf), logarithms=True)
    assert part.measured == pytest.approx(10.0)
    assert part.low * part.high == pytest.approx(100.0)
