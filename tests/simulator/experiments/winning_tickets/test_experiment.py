"""A ticket run: what it measures, what it keeps, and that it can be stopped anywhere."""

import numpy as np
import pytest

from simulator.errors import NotInvertible
from simulator.experiments import preset
from simulator.experiments.records import unheard
from simulator.experiments.winning_tickets.config import (MASKS, OTHERS, TICKETS, TRAINED,
                                                          TicketConfig)
from simulator.experiments.winning_tickets.experiment import SEARCHES, Found, TicketExperiment
from simulator.experiments.winning_tickets.run import (check, cost, find_mask, simulate,
                                                       train_network)
from simulator.experiments.winning_tickets.summary import Masked, current
from simulator.runs.config import config_hash
from simulator.tickets.masks import rescaling

SMALL = {"d": 16, "k": 2, "m": 40, "keep_percents": "50-10", "search_samples": 20,
         "search_steps": 4, "swaps": 20, "steps": 4, "record_every": 2, "batch_size": 40,
         "kernel_samples": 20, "flow_samples": 6, "test_samples": 40}


def small(**changes):
    return TicketConfig.from_settings(preset("smoke", "tickets") | SMALL | changes)


@pytest.fixture(scope="module")
def result():
    return simulate(small())


def test_every_mask_is_measured_at_every_keep_fraction(result):
    for name in MASKS:
        for percent in (50, 10):
            numbers = result.summary[name][str(percent)]
            assert numbers["kernel_error"] > 0.0
            assert 0.0 <= numbers["attacked_accuracy"] <= 1.0
            assert np.isfinite(numbers["trajectory_error"])
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
        values = {name: result.summary[name][str(percent)]["objective"] for name in TICKETS}
        assert result.summary["best_ticket"][str(percent)] == min(values, key=values.get)


def test_the_first_recorded_error_is_that_of_the_outputs_at_initialisation(result):
    for row in result.history.rows():
        if row["step"] == 0:
            wanted = result.summary[row["mask"]][f"{100 * row['keep']:.0f}"]["output_error"]
            # float32 network against float64 kernel code
            assert row["common_error"] == pytest.approx(wanted, rel=1e-4)
            assert row["own_error"] == row["common_error"]


def test_keeping_everything_is_the_dense_network_in_every_respect():
    trials = TicketExperiment(small(dtype="float64"))
    everything, rule = np.ones((40, 16), bool), rescaling("weights", 1.0, trials.config.bias)
    gap = trials.held_out.gap(everything, rule.scale, rule.bias)
    assert gap.kernel == gap.outputs == trials.objective(everything, rule) == 0.0
    try:
        assert np.abs(trials.flow(everything, rule).distance).max() < 1e-6
    except NotInvertible:
        pass  # the dense kernel itself


def test_common_examples_are_those_of_the_dense_initialisation():
    trials = TicketExperiment(small(tau=0.5))
    mask = trials.find("random", 0.5, trials.initial)[0]
    rule = rescaling("weights", 0.5, trials.config.bias)
    common, own = (train_network(trials, trials.network(mask, rule), which).rows[0]
                   for which in (True, False))
    assert common["loss"] < own["loss"]  # its own attack is the stronger one
    assert all(row["loss_low"] < row["loss"] < row["loss_high"] for row in (common, own))
    np.testing.assert_array_equal(common["outputs"], own["outputs"])


def test_better_gives_each_mask_the_rule_with_the_smaller_objective():
    trials = TicketExperiment(small(rescaling="better"))
    for name in OTHERS:
        mask, rule, _ = trials.find(name, 0.5, trials.initial)
        values = [trials.objective(mask, rescaling(word, 0.5, trials.config.bias))
                  for word in ("weights", "outputs")]
        assert trials.objective(mask, rule) == min(values)


def test_both_rules_are_shown_with_the_one_that_each_mask_has():
    run = simulate(small(rescaling="better", transfer_steps=3, keep_percents="50"))
    for name in run.config.masks:
        rules = run.summary[name]["50"]["by_rule"]
        chosen = rules[rules["chosen"]]
        assert chosen["objective"] == min(rules[word]["objective"]
                                          for word in ("weights", "outputs"))
        for quantity in ("kernel_error", "output_error", "objective"):
            assert run.summary[name]["50"][quantity] == chosen[quantity]


def test_the_ticket_with_trained_weights_starts_from_them_and_counts_for_no_other(result):
    run = simulate(small(transfer_steps=120))
    assert run.config.masks == (*MASKS, TRAINED)
    for name in MASKS:
        assert run.summary[name] == result.summary[name]
    assert run.summary["best_ticket"] == result.summary["best_ticket"]
    numbers = run.summary[TRAINED]["50"]
    first, = (row for row in run.history.rows()
              if (row["mask"], row["keep"], row["step"]) == (TRAINED, 0.5, 0))
    assert first["common_error"] == pytest.approx(numbers["output_error"], rel=1e-4)
    trials = TicketExperiment(small(transfer_steps=120))
    found = trials.find(TRAINED, 0.5, trials.initial)
    alone = trials.objective(found.mask, found.rule)
    assert trials.objective(*found) == numbers["objective"] < alone


def test_a_kernel_without_inverse_has_no_bound_and_no_crash():
    trials = TicketExperiment(small())
    nothing = np.zeros((40, 16), bool)
    nothing[0, 0] = True
    with pytest.raises(NotInvertible):
        trials.flow(nothing, rescaling("none", 0.5, trials.config.bias))
    done = {"dense 100 %": {"weights": trials.initial}}
    trials.candidates = lambda *arguments: {
        "none": Found(nothing, rescaling("none", 0.5, trials.config.bias))}
    found = find_mask(trials, Masked("random", 50), done, None, unheard)
    assert np.isnan(found["flow"]).all() and np.isnan(found["flow_error"])


def test_a_flow_whose_limits_cannot_be_had_is_told_without_them(monkeypatch):
    trials = TicketExperiment(small())

    def refuse(flow, found):
        raise NotInvertible("without the first group")

    done = {"dense 100 %": {"weights": trials.initial}}
    whole = find_mask(trials, Masked("random", 50), done, None, unheard)
    monkeypatch.setattr(trials, "flow_limits", refuse)
    found = find_mask(trials, Masked("random", 50), done, None, unheard)
    assert "flow_limits" in whole and "flow_limits" not in found
    assert np.isfinite(found["flow"]).all()
    assert found["flow"].tobytes() == whole["flow"].tobytes()


def test_settings_that_do_not_fit_are_told():
    for percents in ("50-x", "0-10", "100", "50--10"):
        with pytest.raises(ValueError, match="keep_percents: expected whole numbers from 1 to 99"):
            small(keep_percents=percents)
    with pytest.raises(ValueError, match="bias: expected more than 0, got 0: a ticket whose"):
        small(bias=0.0, transfer_steps=1)
    with pytest.raises(ValueError, match="keep_percents: expected different numbers"):
        small(keep_percents="50-50")
    with pytest.raises(ValueError, match="rescaling: expected one of none, weights"):
        small(rescaling="half")
    with pytest.raises(ValueError, match="record_every: expected at most 4"):
        small(record_every=5)
    with pytest.raises(ValueError, match="label_margin"):
        check(small(label_margin=50.0))


def test_the_cost_of_a_training_is_that_of_its_weights_and_steps():
    base, more = cost(small()), cost(small(m=80, steps=8))
    assert more.training_flops == pytest.approx(4.0 * base.training_flops)
    assert base.steps == cost(small(search_steps=8)).steps


def test_every_mask_has_one_way_to_be_found():
    assert tuple(SEARCHES) == TICKETS
    assert tuple(TicketExperiment(small()).other_masks(np.zeros((40, 16)))) == OTHERS


def test_a_chunk_as_large_as_ever_names_the_same_folder():
    assert small(evaluation_chunk=1000) == small()
    assert config_hash(small(evaluation_chunk=1000)) == config_hash(small())
    assert config_hash(small(evaluation_chunk=20)) != config_hash(small())


def test_a_summary_of_before_is_read_in_todays_words():
    before = {"kernel_distance": 0.1, "dense": {"accuracy_50": 1.0, "accuracy_20": 1.0},
              "ticket": {"kernel_error_50": 0.2, "kernel_error_20": 0.3,
                         "bound_used_20": float("nan")}, "best_ticket_50": "ticket"}
    assert current(before) == {
        "kernel_distance": 0.1, "dense": {"accuracy": 1.0}, "best_ticket": {"50": "ticket"},
        "ticket": {"50": {"kernel_error": 0.2}, "20": {"kernel_error": 0.3, "bound_used": None}}}
    assert current(current(before)) == current(before)
