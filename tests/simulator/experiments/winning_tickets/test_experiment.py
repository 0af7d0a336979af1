"""A ticket run: what it measures, what it keeps, and that it can be stopped anywhere."""

import json

import numpy as np
import pytest

from simulator.errors import Stopped
from simulator.experiments import preset
from simulator.experiments.winning_tickets import run as ticket_simulation
from simulator.experiments.winning_tickets.config import MASKS, OTHERS, TICKETS, TicketConfig
from simulator.experiments.winning_tickets.experiment import TicketTrials
from simulator.experiments.winning_tickets.run import check, cost, simulate
from simulator.runs.folder import RunFolder
from simulator.tickets.masks import rescaling

SMALL = {"d": 16, "k": 2, "m": 40, "keep_percents": "50-10", "search_samples": 20,
         "search_steps": 4, "swaps": 20, "steps": 4, "record_every": 2, "batch_size": 40,
         "kernel_samples": 20, "flow_samples": 6, "test_samples": 40}


def small(**changes):
    return TicketConfig.from_settings(preset("smoke", "tickets") | SMALL | changes)


def words(result):
    """The summary as text: NaN, where a kernel has no inverse, equals NaN."""
    return json.dumps(result.summary)


@pytest.fixture(scope="module")
def result():
    return simulate(small())


def test_every_mask_is_measured_at_every_keep_fraction(result):
    for name in MASKS:
        for percent in (50, 10):
            numbers = result.summary[name]
            assert numbers[f"kernel_error_{percent}"] > 0.0
            assert 0.0 <= numbers[f"attacked_accuracy_{percent}"] <= 1.0
            assert np.isfinite(numbers[f"trajectory_error_{percent}"])
    assert len(result.history.rows()) == 2 * len(MASKS) * 3
    assert result.arrays["flow_10"].shape == (len(MASKS), 2, 41)
    np.testing.assert_array_equal(result.arrays["steps"], [0, 2, 4])


def test_what_is_kept_adds_up(result):
    for percent in (50, 10):
        for row, name in enumerate(MASKS):
            kept = result.arrays[f"per_neuron_{percent}"][row].sum()
            assert kept == pytest.approx(percent / 100.0 * 40 * 16, abs=8)  # neurons: a whole one
            for what in ("per_rank", "per_feature"):
                assert result.arrays[f"{what}_{percent}"][row].sum() * 40 == pytest.approx(kept)
    ranks = result.arrays["per_rank_10"][MASKS.index("magnitude")]
    assert (np.diff(ranks) <= 0.0).all() and ranks[0] > 0.5


def test_the_best_ticket_has_the_smallest_objective(result):
    for percent in (50, 10):
        values = {name: result.summary[name][f"objective_{percent}"] for name in TICKETS}
        assert result.summary[f"best_ticket_{percent}"] == min(values, key=values.get)


def test_the_first_recorded_error_is_that_of_the_outputs_at_initialisation(result):
    for row in result.history.rows():
        if row["step"] == 0:
            wanted = result.summary[row["mask"]][f"output_error_{round(100 * row['keep'])}"]
            # float32 network against float64 kernel code
            assert row["common_error"] == pytest.approx(wanted, rel=1e-4)
            assert row["own_error"] == row["common_error"]


def test_equal_settings_give_equal_bits_and_another_seed_does_not(result):
    again, other = simulate(small()), simulate(small(seed=1))
    assert words(again) == words(result)
    assert words(other) != words(result)


def test_keeping_everything_is_the_dense_network_in_every_respect():
    trials = TicketTrials(small(dtype="float64"))
    everything, rule = np.ones((40, 16), bool), rescaling("weights", 1.0, trials.config.bias)
    gap = trials.held_out.gap(everything, rule.scale, rule.bias)
    assert gap.kernel == gap.outputs == trials.objective(everything, rule) == 0.0
    flow = trials.flow(everything, rule)["flow"]
    assert np.isnan(flow).all() or np.abs(flow).max() < 1e-6


def test_common_examples_are_those_of_the_dense_initialisation():
    trials = TicketTrials(small(tau=0.5))
    mask = trials.find("random", 0.5, trials.initial)[0]
    rule = rescaling("weights", 0.5, trials.config.bias)
    common, own = (trials.trained(trials.network(mask, rule), lambda step: None, which)
                   for which in (True, False))
    assert common["losses"][0] < own["losses"][0]  # its own attack is the stronger one
    np.testing.assert_array_equal(common["outputs"][0], own["outputs"][0])


def test_better_gives_each_mask_the_rule_with_the_smaller_objective():
    trials = TicketTrials(small(rescaling="better"))
    for name in OTHERS:
        mask, rule = trials.find(name, 0.5, trials.initial)
        values = [trials.objective(mask, rescaling(word, 0.5, trials.config.bias))
                  for word in ("weights", "outputs")]
        assert trials.objective(mask, rule) == min(values)


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, result):
    def stop(step, total, name):
        if name == "neurons 50 %":
            raise Stopped

    config, folder = small(), RunFolder.create(tmp_path, small())
    with pytest.raises(Stopped):
        simulate(config, folder, stop)
    seen = []
    resumed = simulate(config, folder, lambda step, total, name: seen.append(name))
    assert seen[0] == "neurons 50 %" and folder.is_done()
    assert words(resumed) == words(result)


def test_a_kernel_without_inverse_has_no_bound_and_no_crash():
    trials = TicketTrials(small())
    nothing = np.zeros((40, 16), bool)
    nothing[0, 0] = True
    flow = trials.flow(nothing, rescaling("none", 0.5, trials.config.bias))
    assert np.isnan(flow["flow"]).all() and np.isnan(flow["flow_error"])


def test_settings_that_do_not_fit_are_told():
    for percents in ("50-x", "0-10", "100", "50--10"):
        with pytest.raises(ValueError, match="keep_percents: expected whole numbers from 1 to 99"):
            small(keep_percents=percents)
    with pytest.raises(ValueError, match="keep_percents: expected different numbers"):
        small(keep_percents="50-50")
    with pytest.raises(ValueError, match="rescaling: expected one of none, weights"):
        small(rescaling="half")
    with pytest.raises(ValueError, match="record_every: expected at most 4"):
        small(record_every=5)
    with pytest.raises(ValueError, match="label_margin"):
        check(small(label_margin=50.0))


def test_the_cost_grows_with_the_work():
    base, more = cost(small()), cost(small(m=80, steps=8))
    assert more.training_flops == pytest.approx(4.0 * base.training_flops)
    assert more.memory > base.memory
    assert base.steps == cost(small(search_steps=8)).steps


def test_the_module_is_a_model():
    assert ticket_simulation.CONFIG is TicketConfig and small().size == (16, 40)
    assert small().to_dict()["model"] == "tickets"
