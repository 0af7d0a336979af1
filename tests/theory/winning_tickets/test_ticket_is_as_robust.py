"""D2: for tickets that are as accurate under attack as the dense network, neither less nor more."""

import numpy as np
import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.winning_tickets import ticket_is_as_robust
from theory.winning_tickets.quantities import best_ticket, value

from planted.winning_tickets import caveat, measured_runs, planted_run, runs_of


def test_d2_holds_for_tickets_as_accurate_as_the_dense_network():
    finding = ticket_is_as_robust.confront(runs_of())
    assert finding.verdict == HOLDS, finding.caveats
    assert caveat(finding, "as robust as the dense network: random, neurons")
    assert caveat(finding, "power of the test with 8 seeds")


@pytest.mark.parametrize("gain", [-0.05, 0.06])
def test_d2_fails_for_tickets_that_lose_or_gain_more_than_the_margin(gain):
    assert ticket_is_as_robust.confront(runs_of(gain=gain)).verdict == FAILS


def test_d2_fails_where_seeds_scatter_too_much_for_its_power():
    """Equal on average, and nothing known: an equivalence test must not call that equal."""
    runs = [planted_run(seed, gain=0.05 * (-1) ** (seed // 2)) for seed in range(8)]
    finding = ticket_is_as_robust.confront(runs)
    assert abs(finding.measured) < 0.01 and finding.verdict == FAILS
    assert caveat(finding, "attacked 2% (differences spread by 0.05")


def test_what_happens_where_features_are_learned_is_shown_and_decides_nothing():
    feature = runs_of(family="feature", distance=0.05, rescaling="none", m=200, gain=-0.4)
    finding = ticket_is_as_robust.confront([*runs_of(), *feature])
    assert finding.verdict == HOLDS
    shown = [part for part in finding.measurements if "the ticket at feature" in part.name]
    assert len(shown) == 4 and not any(part.decisive for part in shown)
    assert shown[0].measured == pytest.approx(-0.4, abs=0.01)


def test_d2_takes_a_size_that_keeps_little_beside_one_that_keeps_enough():
    few = [planted_run(seed, family="few", keep_percents="10-5") for seed in range(8)]
    finding = ticket_is_as_robust.confront([*runs_of(), *few])
    assert finding.verdict == HOLDS, finding.caveats
    assert sum("power of the test" in note for note in finding.caveats) == 1


def test_d2_says_nothing_about_too_few_weights():
    assert ticket_is_as_robust.confront(runs_of(keep_percents="10-5")).verdict == OUTSIDE


def test_d2_holds_for_masks_that_keep_all_that_matters_and_not_for_those_that_drop_it():
    finding = ticket_is_as_robust.confront(measured_runs())
    assert finding.verdict == HOLDS, finding.caveats
    dropping = measured_runs(ticket=4, other=20)
    assert all(run.summary["dense"]["attacked_accuracy"] > 0.7 for run in dropping)
    assert ticket_is_as_robust.confront(dropping).verdict == FAILS


def test_what_decides_d2_is_in_its_figure():
    """Accuracies minus those of the dense network, and the margin where it counts."""
    runs = runs_of(gain=-0.05)
    attacked, clean, _ = ticket_is_as_robust.confront(runs).data.panels
    for panel, quantity in ((attacked, "attacked_accuracy"), (clean, "accuracy")):
        ticket, margin, other = panel.series[0], *panel.theory[-2:]
        assert ticket.label == "ticket" and list(margin.y) == [-0.03, -0.03]
        assert list(other.y) == [0.03, 0.03]
        np.testing.assert_allclose(ticket.values, [[
            value(run, best_ticket(run, percent), quantity, percent)
            - value(run, "dense", quantity, percent) for percent in (50, 20)] for run in runs])
        assert margin.x[0] < 0.2 and 0.5 < margin.x[1]
        assert panel.ylim[0] < -0.05
