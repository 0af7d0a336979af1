"""Which sizes a claim speaks about, and how the others are named."""

import math

import numpy as np
import pytest

from theory import regime
from theory.claim import Claim, Run
from theory.evidence import at_every_size, confronted
from theory.feature_purification.dense_mixtures import CLAIM as DENSE

from planted.feature_purification import changed, mixture_runs, planted_config, planted_run


def run(d=64, k=4, seed=0, accuracy=1.0, coverage=1.0, **settings):
    config = planted_config(d, k, seed, **{"m": "15*d"} | settings)
    return Run(config, {"p": 0.1, "clean": {
        "accuracy": accuracy, "coverage": coverage, "mixture_ratio": 0.1}}, [], {})


@pytest.mark.parametrize("assumption, inside, outside", [
    (regime.BELOW_SQUARE_ROOT, run(64, 8), run(63, 8)),
    (regime.ABOVE_CUBE_ROOT, run(64, 4), run(65, 4)),
    (regime.MORE_NEURONS, run(m="15*d"), run(m="14*d")),
    (regime.FRESH_SAMPLES, run(), run(training_samples=5000)),
    (regime.EUCLIDEAN, run(), run(norm="linf")),
    (regime.LEARNED, run(accuracy=0.95), run(accuracy=0.94)),
    (regime.LEARNED, run(), run(accuracy=math.nan)),
    (regime.COVERED, run(coverage=0.99), run(coverage=0.98)),
    (regime.PURIFIED, run(), run(adversarial_steps=0)),
    (regime.PURIFIED, run(), run(tau=0)),
], ids=lambda value: getattr(value, "name", None))
def test_each_assumption_has_its_edge(assumption, inside, outside):
    assert assumption.fulfilled(inside) and not assumption.fulfilled(outside)


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


def test_the_universal_shift_tends_to_that_of_a_linear_classifier():
    weak, strong = planted_run(16, 4, 0, before=0.01), planted_run(16, 4, 0, before=0.25)
    full = strong.config.tau * 4.0
    assert regime.universal_shift(weak) < regime.universal_shift(strong) < full
    endless = changed(strong, clean={"mixture_ratio": 1e9})
    assert regime.universal_shift(endless) == pytest.approx(full)
    assert regime.universal_shift(changed(strong, clean={"mixture_ratio": -0.1})) == 0.0
    # c_strong 1 and c_weak k = 4 features of an input, and at least the label margin
    assert 0.5 <= regime.typical_margin(strong) < 2.5
    assert regime.expected_active(strong) == pytest.approx(5.0)
