"""D4: for a ticket whose trained weights make it more robust than every mask over fixed ones."""

import pytest

from simulator.experiments.winning_tickets.config import MASKS, TRAINED
from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.drawing.claims import png
from theory.winning_tickets.trained_ticket_wins import confront

from planted.winning_tickets import caveat, planted_run, runs_of

FEATURE = {"family": "feature", "distance": 0.05, "rescaling": "none", "transfer_steps": 5,
           "keep_percents": "50-10"}


def test_d4_holds_for_a_ticket_that_is_more_robust_than_all_masks():
    finding = confront(runs_of(trained=0.05, **FEATURE))
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(0.05, abs=0.01)
    assert caveat(finding, f"more robust than {', '.join(MASKS)} (p < 0.01 after Holm)")
    assert png(finding.data).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["magnitude", "ticket", "random"])
def test_d4_fails_if_any_one_mask_is_as_robust(name):
    runs = runs_of(trained=0.05, **FEATURE)
    for run in runs:
        run.summary[name]["10"]["attacked_accuracy"] += 0.05
    finding = confront(runs)
    assert finding.verdict == FAILS
    assert f"minus {name}" in finding.measurements[0].name


def test_d4_fails_for_a_gain_within_the_noise_of_few_seeds_and_for_a_loss():
    few = [planted_run(seed, trained=0.005, **FEATURE) for seed in range(3)]
    assert confront(few).verdict == FAILS
    assert confront(runs_of(trained=-0.05, **FEATURE)).verdict == FAILS


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_d4_fails_where_every_mask_is_equally_robust_in_every_seed(level):
    """No scatter and no difference is no evidence of one."""
    runs = runs_of(trained=0.05, **FEATURE)
    for run in runs:
        for name in (*MASKS, TRAINED):
            run.summary[name]["10"]["attacked_accuracy"] = level
    finding = confront(runs)
    assert finding.verdict == FAILS and finding.measured == 0.0 and finding.p_value == 1.0


@pytest.mark.parametrize("changes", [{"distance": 0.004}, {"transfer_steps": 0},
                                     {"keep_percents": "50-20"}],
                         ids=["the kernel hardly turns", "no such ticket", "nothing of a tenth"])
def test_d4_says_nothing_elsewhere(changes):
    assert confront(runs_of(trained=0.05, **(FEATURE | changes))).verdict == OUTSIDE
