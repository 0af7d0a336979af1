"""A9: the update that removes one direction, and one that exchanges all neurons."""

import numpy as np

from theory.claim import FAILS, HOLDS
from theory.feature_purification.low_rank_update import confront

from planted.feature_purification import changed


def test_a9_holds_where_the_update_removes_one_direction(planted):
    finding = confront(planted)
    assert finding.verdict == HOLDS, finding.caveats


def test_a9_fails_where_all_neurons_have_changed_places(planted):
    """As robust as before, but by an update that has no few directions."""
    runs = [changed(run, arrays={"weights_adversarial": np.roll(
        run.arrays["weights_adversarial"], 1, axis=0)}) for run in planted]
    finding = confront(runs)
    assert finding.verdict == FAILS
    assert finding.measured < 0.5


def test_a9_fails_for_a_random_update_of_equal_norm(planted):
    runs = []
    for run in planted:
        clean, robust = run.arrays["weights_clean"], run.arrays["weights_adversarial"]
        update = np.random.default_rng(0).standard_normal(clean.shape)
        update *= np.linalg.norm(robust - clean) / np.linalg.norm(update)
        runs.append(changed(run, arrays={"weights_adversarial": clean + update}))
    assert confront(runs).verdict == FAILS
