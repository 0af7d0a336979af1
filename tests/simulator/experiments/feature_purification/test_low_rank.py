"""Training through updates of low rank as stages of a run."""

import numpy as np
import pytest

from simulator.errors import Stopped
from simulator.experiments.feature_purification.low_rank import phase_of
from simulator.experiments.feature_purification.run import simulate
from simulator.experiments.feature_purification.summary import most_certified, tables
from simulator.networks.linear import LinearClassifier
from simulator.runs.config import config_hash
from simulator.runs.folder import RunFolder

from small import CERTIFIED, small_config

pytestmark = pytest.mark.usefixtures("brief_attacks")


@pytest.fixture(scope="module")
def finished(brief_attacks):
    return simulate(small_config(**CERTIFIED, low_rank=5, adversarial_steps=40))


def test_the_ranks_are_powers_of_four_and_the_largest():
    for most, ranks in ((0, ()), (1, (1,)), (4, (1, 4)), (5, (1, 4, 5)), (20, (1, 4, 16, 20))):
        assert small_config(low_rank=most).low_ranks == ranks
    assert small_config(low_rank=5, adversarial_steps=0).low_ranks == ()


def test_all_ranks_together_take_no_more_steps_than_the_phase():
    for most in (1, 5, 300):
        config = small_config(low_rank=most, adversarial_steps=103, d=max(most, 20))
        assert 0 < config.low_rank_steps * len(config.low_ranks) <= 103


def test_a_rank_beyond_the_dimension_is_refused():
    with pytest.raises(ValueError, match="low_rank: expected .* got 21: the update has d columns"):
        small_config(low_rank=21)


def test_runs_without_it_keep_their_names():
    config = small_config()
    assert config.low_rank == 0
    assert config_hash(config) != config_hash(small_config(low_rank=1))
    settings = config.to_dict()
    del settings["low_rank"]
    assert config_hash(type(config).from_settings(settings)) == config_hash(config)


def test_the_summary_tells_each_rank_what_it_tells_of_the_networks(finished):
    found = finished.summary["low_rank"]
    assert [numbers["rank"] for numbers in found] == [1, 4, 5]
    for numbers in found:
        assert {"accuracy", "universal_accuracy", "attacked_accuracy", "mixture_ratio",
                "certified_accuracy"} <= set(numbers)
        assert 0.0 <= numbers["alignment"] <= 1.0 and 0.0 < numbers["first"] <= 1.0
        assert len(numbers["bracket"]) == len(finished.summary["clean"]["bracket"])
    assert found[0]["first"] == pytest.approx(1.0)


def test_a_table_shows_the_ranks_between_both_networks(finished):
    shown = [table for table in tables(finished.config, finished.summary)
             if "low rank" in table.title][0]
    assert [name for name, _ in shown.rows] == ["clean", "rank 1", "rank 4", "rank 5",
                                                "unrestricted"]
    place = most_certified(finished.summary["clean"], finished.summary["adversarial"])
    assert [row[-1] for _, row in shown.rows] == [
        numbers["bracket"][place]["certified"] for numbers in (
            finished.summary["clean"], *finished.summary["low_rank"],
            finished.summary["adversarial"])]


def test_it_changes_nothing_of_the_rest(finished):
    without = simulate(finished.config.with_(low_rank=0))
    assert "low_rank" not in without.summary
    assert {name: value for name, value in finished.summary.items() if name != "low_rank"} == (
        without.summary)


def test_a_stopped_training_resumes_to_the_same_bits(finished, tmp_path):
    folder = RunFolder.create(tmp_path, finished.config)

    def stop(step, total, what):
        if what == phase_of(4):
            calls.append(step)
            if len(calls) == 5:
                raise Stopped()

    calls = []
    with pytest.raises(Stopped):
        simulate(finished.config, folder, stop)
    resumed = simulate(finished.config, folder)
    assert resumed.summary == finished.summary
    assert np.array_equal(resumed.arrays["weights_clean"], finished.arrays["weights_clean"])


def test_a_network_that_is_no_symmetric_one_is_told_of(caplog):
    run = simulate(small_config(low_rank=2), network=LinearClassifier(np.ones(20)))
    assert "low_rank" not in run.summary
    assert "low_rank: left out: network: expected a SymmetricReLU" in caplog.text
