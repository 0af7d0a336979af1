"""D2: for tickets that are as accurate under attack as the dense network."""

import numpy as np

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.winning_tickets import ticket_is_as_robust
from theory.winning_tickets.quantities import best_ticket, value

from planted.winning_tickets import caveat, measured_runs, runs_of


def test_d2_holds_for_tickets_as_accurate_as_the_dense_network():
    finding = ticket_is_as_robust.confront(runs_of())
    assert finding.verdict == HOLDS, finding.caveats
    assert caveat(finding, "so do random, neurons")


def test_d2_fails_for_tickets_that_lose_five_per_cent():
    assert ticket_is_as_robust.confront(runs_of(gain=-0.05)).verdict == FAILS


def test_d2_says_where_the_ticket_is_more_robust():
    finding = ticket_is_as_robust.confront(runs_of(gain=0.06))
    assert finding.verdict == HOLDS and caveat(finding, "more robust than the dense network")


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
        ticket, margin = panel.series[0], panel.theory[-1]
        assert ticket.label == "ticket" and list(margin.y) == [-0.03, -0.03]
        np.testing.assert_allclose(ticket.values, [[
            value(run, best_ticket(run, percent), quantity, percent)
            - value(run, "dense", quantity, percent) for percent in (50, 20)] for run in runs])
        assert margin.x[0] < 0.2 and 0.5 < margin.x[1]
        assert panel.ylim[0] < -0.05
