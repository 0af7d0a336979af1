"""D3: for flows below their bound at all times."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.experiments.winning_tickets.config import MASKS
from simulator.experiments.winning_tickets.experiment import TicketExperiment
from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.winning_tickets import distance_is_bounded

from planted.winning_tickets import caveat, measured_runs, runs_of


def test_d3_holds_below_the_bound_and_tells_the_slack():
    finding = distance_is_bounded.confront(runs_of())
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(0.5)  # the share of the bound that is used
    assert caveat(finding, "a factor 2 of slack")
    decisive, = (part for part in finding.measurements if part.decisive)
    assert decisive.measured < 0.0  # the start, where both are equal, does not count


def test_d3_fails_if_one_mask_of_one_seed_crosses_at_one_time():
    runs = runs_of()
    runs[5].arrays["flow_20"][2, 0, 30] *= 3.0
    finding = distance_is_bounded.confront(runs)
    decisive, = (part for part in finding.measurements if part.decisive)
    assert finding.verdict == FAILS and decisive.measured > 0.1


@pytest.mark.parametrize("damaged", [0, 2, 3])
def test_d3_fails_where_a_distance_is_no_number_but_its_bound_is(damaged):
    runs = runs_of()[:4]
    for name, flow in runs[damaged].arrays.items():
        flow[1, 0, 1:] = np.nan
    assert distance_is_bounded.confront(runs).verdict == FAILS


def test_d3_names_the_kernels_without_inverse():
    finding = distance_is_bounded.confront(runs_of(singular=MASKS[:5] + MASKS[6:]))
    assert finding.verdict == HOLDS and caveat(finding, "91% of the masks' kernels")
    assert distance_is_bounded.confront(runs_of(singular=MASKS)).verdict == OUTSIDE


def test_d3_holds_for_measured_flows_and_fails_with_half_of_their_bound(monkeypatch):
    finding = distance_is_bounded.confront(measured_runs(ticket=18, other=15))
    assert finding.verdict == HOLDS, finding.caveats
    measured = TicketExperiment.flow

    def crossing(self, *found):
        found = measured(self, *found)
        return replace(found, bound=0.5 * found.bound)

    monkeypatch.setattr(TicketExperiment, "flow", crossing)
    assert distance_is_bounded.confront(measured_runs(ticket=18, other=15)).verdict == FAILS
