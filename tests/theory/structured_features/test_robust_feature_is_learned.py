"""B2: for networks that read the robust feature, and that no mixture breaks."""

import pytest

from theory.claim import FAILS, HOLDS, Run
from theory.structured_features import robust_feature_is_learned

from planted.structured_features import SEEDS, planted_run


def test_b2_holds_for_networks_that_read_the_robust_feature(planted):
    finding = robust_feature_is_learned.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats
    assert any("against one ascent step" in note for note in finding.caveats)


def test_b2_fails_for_the_training_that_changed_nothing(planted):
    runs = [Run(run.config, dict(run.summary) | {"multi_start": run.summary["one_step"]},
                run.history, run.arrays) for run in planted]
    finding = robust_feature_is_learned.confront(runs)
    assert finding.verdict == FAILS and finding.measured == pytest.approx(1.0)


def test_b2_fails_for_a_network_that_a_mixture_breaks():
    def uninhibited(run):
        weights = run.initial_network().weights.copy()
        weights[:, 0] += run.data.robust_features
        return weights

    runs = [planted_run(seed, adversarial=uninhibited) for seed in SEEDS]
    finding = robust_feature_is_learned.confront(runs)
    assert finding.verdict == FAILS and finding.low > 10.0  # it has learned u
    assert any("strongest attack" in note for note in finding.caveats)
