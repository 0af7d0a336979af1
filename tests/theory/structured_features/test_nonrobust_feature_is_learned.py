"""B1: for networks that read the non-robust feature, and for no others.

The control with kappa << 1 is really trained.
"""

import dataclasses
import math

import numpy as np
import pytest

from simulator.experiments import config_of, preset
from simulator.experiments.structured_features.experiment import parts_of, squares_along
from simulator.experiments.structured_features.run import simulate
from theory.claim import FAILS, HOLDS, OUTSIDE, Run
from theory.structured_features import nonrobust_feature_is_learned
from theory.structured_features.quantities import share_along_v

from planted.structured_features import SEEDS, planted_run, robust_weights, standard_weights


def test_b1_holds_for_networks_that_read_the_non_robust_feature(planted):
    finding = nonrobust_feature_is_learned.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.low > 10.0 and finding.seeds == SEEDS
    assert all(share_along_v(run, "standard") > 0.9 for run in planted)


def test_a_share_along_v_counts_all_features_of_many_classes():
    """Of six classes: most of the squared length lies along four features u."""
    config = config_of(preset("smoke", "patches") | {"d": 24, "classes": 6})
    data, y = config.experiment().data, np.zeros(1, int)
    U, V = data.robust_features, data.nonrobust_features
    delta = (-0.3 * U[1:5].sum(axis=0) + 0.1 * V[5] - 0.05 * V[0])[None, None]
    arrays = {"parts_standard": parts_of(delta, y, data),
              "along_v_standard": squares_along(delta, V)}
    total = 4 * 0.3**2 + 0.1**2 + 0.05**2
    assert (arrays["parts_standard"] ** 2).sum() == pytest.approx(total)
    run = Run(config, {}, [], arrays)
    assert share_along_v(run, "standard") == pytest.approx(0.0125 / total)
    del arrays["along_v_standard"]  # an older run does not know
    assert math.isnan(share_along_v(Run(config, {}, [], arrays), "standard"))


@pytest.mark.parametrize("standard, part", [
    (robust_weights, "<w, v> over <w, u>"),
    (lambda run: 0.5 * (standard_weights(run) + robust_weights(run)), "growth of <w, u>"),
    (lambda run: -standard_weights(run), "clean accuracy"),
])
def test_b1_fails_for_other_networks_and_says_where(standard, part):
    finding = nonrobust_feature_is_learned.confront([planted_run(seed, standard) for seed in SEEDS])
    assert finding.verdict == FAILS
    assert any(part in note and "not in the accepted range" in note for note in finding.caveats)


def test_b1_says_nothing_where_the_robust_feature_is_the_denser_one():
    runs = [planted_run(seed, alpha=5.0) for seed in SEEDS]
    finding = nonrobust_feature_is_learned.confront(runs)
    assert finding.verdict == OUTSIDE
    assert any("kappa > 1" in note for note in finding.caveats)


def test_b1_fails_when_it_is_asked_where_kappa_is_small(monkeypatch):
    settings = preset("smoke", "patches") | {
        "d": 20, "m": 8, "nonrobust_patches": 10, "alpha": 5.0, "learning_rate": 0.3,
        "standard_steps": 150, "one_step_steps": 0, "pgd_steps": 0, "multi_start_steps": 0,
        "test_samples": 50, "certified_samples": 0}
    runs = []
    for seed in SEEDS:
        config = config_of(settings | {"seed": seed})
        runs.append(simulate(config))
    assert nonrobust_feature_is_learned.confront(runs).verdict == OUTSIDE
    anywhere = dataclasses.replace(nonrobust_feature_is_learned.CLAIM, assumptions=())
    monkeypatch.setattr(nonrobust_feature_is_learned, "CLAIM", anywhere)
    finding = nonrobust_feature_is_learned.confront(runs)
    assert runs[0].summary["kappa"] < 0.1 and finding.verdict == FAILS
    assert finding.high < 0.1  # v over u: the other way round
    assert all(run.summary["standard"]["accuracy"] == 1.0 for run in runs)


def test_b1_of_a_training_that_no_run_has_is_outside(planted):
    runs = [Run(run.config, {name: numbers for name, numbers in run.summary.items()
                             if name != "standard"}, run.history, run.arrays) for run in planted]
    assert nonrobust_feature_is_learned.confront(runs).verdict == OUTSIDE


def test_too_few_seeds_are_no_evidence(planted):
    assert nonrobust_feature_is_learned.confront(planted[:2]).verdict == OUTSIDE


def test_the_exponent_in_d_is_shown_where_there_are_sizes_enough(planted):
    runs = [Run(dataclasses.replace(run.config, d=d), run.summary, run.history, run.arrays)
            for run in planted for d in (12, 16, 24, 48)]
    names = [part.name for part in nonrobust_feature_is_learned.confront(runs).measurements
             if not part.decisive]
    assert "exponent of <w, v> over <w, u> in d" in names
