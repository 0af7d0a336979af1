"""A9: a clean network whose mixtures lie along one direction, and others that need many."""

import numpy as np
import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.feature_purification.low_rank_update import confront

from planted.feature_purification import SEEDS, changed, planted_run, through_low_rank


@pytest.fixture(scope="module")
def trained(planted):
    return [through_low_rank(run) for run in planted]


@pytest.fixture(scope="module")
def private():
    """Each neuron has a mixture of its own, which no other shares: together of full rank."""
    runs = []
    for seed in SEEDS:
        pure = np.tile(np.eye(36), (2, 1))
        own = 0.09 * np.random.default_rng(seed).standard_normal(pure.shape)
        runs.append(through_low_rank(planted_run(36, 4, seed, weights=(pure + own, pure))))
    return runs


def measured(finding, words):
    return [part for part in finding.measurements if words in part.name][0].measured


def test_a9_holds_where_all_mixtures_lie_along_one_direction(trained):
    finding = confront(trained)
    assert finding.verdict == HOLDS, finding.caveats
    assert measured(finding, "trained at rank 1") > 0.8
    assert measured(finding, "|cos|") > 0.99
    assert measured(finding, "truncated") > 0.8


def test_the_rank_it_tells_of_is_d_over_10_however_many_were_trained(trained):
    """Here rank 4 is the last; a further one, as good as no training at all, is not d/10."""
    more = []
    for run in trained:
        further = run.summary["low_rank"][-1] | {"rank": 16, "attacked_accuracy": 0.0}
        more.append(changed(run, {"low_rank": [*run.summary["low_rank"], further]}))
    told = [[note for note in confront(runs).caveats if "rank d/10 gives" in note]
            for runs in (trained, more)]
    assert told[0] == told[1] and len(told[0]) == 1


def test_a9_fails_where_every_neuron_has_a_mixture_of_its_own(private):
    """The gain is there, at full rank; training through few directions does not reach it."""
    finding = confront(private)
    assert finding.verdict == FAILS, finding.caveats
    assert finding.measured < 0.4


def test_what_is_truncated_says_nothing_about_what_is_trained(trained):
    """Neurons that have changed places are as robust, but by an update without few directions."""
    runs = [changed(run, arrays={"weights_adversarial": np.roll(
        run.arrays["weights_adversarial"], 1, axis=0)}) for run in trained]
    finding = confront(runs)
    assert finding.verdict == HOLDS
    assert measured(finding, "truncated") < 0.5


def test_features_that_grow_each_by_its_own_amount_are_told_from_directions(planted):
    """The unrestricted update takes out the mixture, and doubles half of the features."""
    runs = []
    for run in planted:
        robust = run.arrays["weights_adversarial"].copy()
        robust[::2] *= 2.0
        runs.append(through_low_rank(changed(run, arrays={"weights_adversarial": robust}), 2))
    finding = confront(runs)
    assert measured(finding, "own features and one direction") > 0.8
    line = [line for line in finding.caveats if "own feature" in line][0]
    assert "rank d/10 gives" in line


def test_certified_accuracy_is_compared_where_it_gains_most(trained):
    def bracket(*certified):
        return [{"radius": 0.1 * place, "certified": value, "attacked": value}
                for place, value in enumerate(certified)]

    runs = [changed(run, clean={"bracket": bracket(0.9, 0.2)},
                    adversarial={"bracket": bracket(1.0, 0.7)},
                    summary={"low_rank": [numbers | {"bracket": bracket(1.0, 0.6)}
                                          for numbers in run.summary["low_rank"]]})
            for run in trained]
    assert measured(confront(runs), "certified") == pytest.approx(0.8)


def test_it_is_outside_where_nothing_was_trained_through_low_rank(planted):
    finding = confront(planted)
    assert finding.verdict == OUTSIDE
    assert "low_rank" in " ".join(finding.caveats)
