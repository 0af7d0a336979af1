"""The paper as a whole: its claims, its plans, and small runs of it."""

import numpy as np
import pytest

from simulator.experiments import config_of, preset, preset_names
from simulator.experiments.winning_tickets.config import TICKETS, TicketConfig
from simulator.experiments.winning_tickets.run import simulate
from theory import claims
from theory.claim import HOLDS, OUTSIDE, confront_all
from theory.drawing.claims import draw
from theory.drawing.style import house_style
from theory.plans import settings_of
from theory.winning_tickets import distance_is_bounded
from theory.winning_tickets.quantities import best_ticket

from legible import faults
from planted.winning_tickets import planted_run, runs_of

CLAIMS = claims("winning_tickets")
FEATURE = {"family": "feature", "distance": 0.5, "rescaling": "none", "transfer_steps": 5,
           "keep_percents": "50-10", "trained": 0.05}


def test_the_paper_lists_its_claims_and_refuses_without_runs():
    assert [theorem.claim.id for theorem in CLAIMS] == ["D1", "D2", "D3", "D4"]
    assert [finding.verdict for finding in confront_all([], CLAIMS)] == [OUTSIDE] * 4
    runs = [*runs_of(), *runs_of(**FEATURE)]
    assert {finding.verdict for finding in confront_all(runs, CLAIMS)} == {HOLDS}


@pytest.mark.parametrize("name", preset_names("tickets"))
def test_every_preset_is_a_config(name):
    config = config_of(preset(name, "tickets"))
    assert isinstance(config, TicketConfig) and config.name.startswith("tickets-")


def test_the_desk_plan_has_both_regimes_for_eight_seeds():
    settings = settings_of(CLAIMS[:1], "desk", paper="tickets")
    names = [config_of(entry).name for entry in settings]
    assert names.count("tickets-wide") == names.count("tickets-feature") == 8


def test_the_figures_of_the_claims_can_be_read():
    with house_style():
        for finding in confront_all([*runs_of(), *runs_of(**FEATURE)], CLAIMS):
            assert faults(draw(finding.data)) == []


def test_the_best_ticket_is_the_one_the_run_names():
    assert best_ticket(planted_run(1), 50) == TICKETS[1]


@pytest.mark.slow
def test_d1_and_d3_hold_in_small_wide_runs():
    runs = []
    for seed in range(5):
        config = config_of(preset("smoke", "tickets") | {"seed": seed})
        runs.append(simulate(config))
    assert distance_is_bounded.confront(runs).verdict == HOLDS
    ticket, random = (np.array([[run.summary[best_ticket(run, percent) if own else "random"][
        str(percent)]["kernel_error"] for percent in (50, 20)] for run in runs])
        for own in (True, False))
    assert (ticket < random).all()
