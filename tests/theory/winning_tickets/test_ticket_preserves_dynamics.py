"""D1: for tickets whose kernel and path are nearest to the dense network's in every seed."""

import pytest

from simulator.experiments.winning_tickets.config import MASKS, OTHERS
from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.winning_tickets import ticket_preserves_dynamics
from theory.winning_tickets.quantities import ERRORS

from planted.winning_tickets import caveat, measured_runs, planted_run, runs_of


def test_d1_holds_where_the_ticket_is_nearest_in_every_seed():
    finding = ticket_preserves_dynamics.confront(runs_of())
    assert finding.verdict == HOLDS, finding.caveats
    assert 0.2 < finding.measured < 0.4
    assert caveat(finding, "at 50 % output-ticket or ticket")


@pytest.mark.parametrize("other", OTHERS)
def test_d1_fails_if_any_one_mask_is_as_near(other):
    finding = ticket_preserves_dynamics.confront(runs_of(others={other: 0.7}))
    assert finding.verdict == FAILS
    assert any(f"{other} minus ticket" in part.name and not part.holds
               for part in finding.measurements)


def test_d1_fails_where_all_masks_are_equally_near():
    runs = runs_of()
    for run in runs:
        for name in MASKS:
            for numbers in run.summary[name].values():
                numbers.update(dict.fromkeys(ERRORS, 0.25))
    finding = ticket_preserves_dynamics.confront(runs)
    assert finding.verdict == FAILS and finding.measured == 0.0


def test_d1_fails_where_the_difference_is_within_the_noise_of_few_seeds():
    runs = [planted_run(seed, ticket=0.97) for seed in range(3)]
    assert ticket_preserves_dynamics.confront(runs).verdict == FAILS
    assert ticket_preserves_dynamics.confront(runs_of(ticket=1.3)).verdict == FAILS


def test_d1_asks_for_one_per_cent_after_holm():
    finding = ticket_preserves_dynamics.confront(
        [planted_run(seed, ticket=0.93) for seed in range(4)])
    decisive = [part for part in finding.measurements if part.decisive]
    last, alone = decisive[-1], max(part.p_value for part in decisive)
    assert last.name == "largest p of 36 comparisons, after Holm" and alone == last.measured
    assert finding.verdict == (HOLDS if last.measured <= 0.01 else FAILS) == FAILS


def test_d1_does_not_speak_about_feature_learning_but_tells_what_happens_there():
    feature = runs_of(family="feature", distance=0.05, rescaling="none", m=200,
                      others={"lottery": 0.2})
    assert ticket_preserves_dynamics.confront(feature).verdict == OUTSIDE
    finding = ticket_preserves_dynamics.confront([*runs_of(), *feature])
    assert finding.verdict == HOLDS
    assert caveat(finding, "outside, feature (40, 200) at 50 %") and caveat(finding, "of lottery")


def test_d1_names_the_masks_that_it_does_not_beat():
    finding = ticket_preserves_dynamics.confront(runs_of(others={"neurons": 0.6}))
    assert finding.verdict == FAILS
    assert caveat(finding, "not beaten: neurons by the kernel error at 50, 20 %; neurons by the "
                           "trajectory error at 50, 20 %;")
    assert not caveat(finding, "random by the kernel error")


def test_d1_says_nothing_where_one_rule_rescales_all():
    assert ticket_preserves_dynamics.confront(runs_of(rescaling="weights")).verdict == OUTSIDE


def test_a_number_that_is_missing_fails_d1():
    runs = runs_of()
    runs[3].summary["random"]["50"]["kernel_error"] = float("nan")
    assert ticket_preserves_dynamics.confront(runs).verdict == FAILS


def test_d1_holds_for_masks_that_keep_all_that_matters_and_not_for_the_exchanged_ones():
    runs = measured_runs()
    for run in runs:
        numbers = run.summary["ticket"]["20"]
        assert numbers["kernel_error"] < 1e-12
        assert numbers["trajectory_error"] < 1e-5  # of float32
        assert numbers["own_trajectory_error"] < 1e-5
    finding = ticket_preserves_dynamics.confront(runs)
    assert finding.verdict == HOLDS, finding.caveats
    exchanged = measured_runs(ticket=10, other=20)
    assert ticket_preserves_dynamics.confront(exchanged).verdict == FAILS
