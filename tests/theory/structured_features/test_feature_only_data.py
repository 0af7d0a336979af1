"""B4: for trainings that read one feature each, and for no others."""

import numpy as np
import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE, Run
from theory.structured_features import feature_only_data

from planted.structured_features import SEEDS, planted_run, robust_weights, standard_weights

pytestmark = pytest.mark.usefixtures("one_attack")


def blind(run):
    """Reads v, and of all else noise alone: at chance on samples that have u and noise."""
    weights = standard_weights(run) * 0.0
    weights[:, 0] = 0.7 * run.data.nonrobust_features
    weights[:, 1] = 0.7 * np.eye(run.config.d)[[-1, -2]]
    return weights


def runs_of(**planted):
    return [planted_run(seed, **{"standard": blind, "one_step": robust_weights} | planted)
            for seed in SEEDS]


def test_b4_holds_where_each_training_reads_its_feature():
    finding = feature_only_data.confront(runs_of(noise=0.3, test_samples=1000))
    assert finding.verdict == HOLDS, finding.caveats
    assert any("median margin of standard training" in note for note in finding.caveats)


@pytest.mark.parametrize("planted, part", [
    ({"adversarial": blind}, "adversarial training on D_R"),
    ({"one_step": blind}, "one-step training on D_R"),
    ({"standard": robust_weights}, "standard training on D_R, above chance"),
    ({"standard": lambda run: -blind(run)}, "standard training on D_NR")])
def test_b4_fails_where_one_reads_another_and_says_where(planted, part):
    finding = feature_only_data.confront(runs_of(noise=0.3, **planted))
    assert finding.verdict == FAILS
    assert any(note.startswith(part) for note in finding.caveats), finding.caveats


def test_older_runs_without_feature_only_data_are_no_evidence(planted):
    def without(numbers):
        return {key: value for key, value in numbers.items() if not key.startswith("on_")}

    old = [Run(run.config, {key: without(value) if isinstance(value, dict) else value
                            for key, value in run.summary.items()}, run.history, run.arrays)
           for run in planted]
    assert feature_only_data.confront(old).verdict == OUTSIDE
