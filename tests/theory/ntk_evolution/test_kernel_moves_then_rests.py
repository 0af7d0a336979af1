"""C1: gates that stop changing hold, gates that never do fail."""

import math

import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE, Run
from theory.drawing.claims import png
from theory.ntk_evolution.kernel_moves_then_rests import confront

from planted.ntk_evolution import accuracy_run, kernel_run, steadily

SEEDS = range(4)


def test_c1_holds_for_gates_that_come_to_rest():
    finding = confront([kernel_run(seed) for seed in SEEDS])
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.seeds == tuple(SEEDS)
    assert png(finding.data).startswith(b"\x89PNG")


def test_c1_fails_for_gates_that_open_and_close_to_the_end():
    assert confront([kernel_run(seed, move=steadily) for seed in SEEDS]).verdict == FAILS


@pytest.mark.parametrize("speed", [
    {"adversarial": lambda t: 1.0}, {"clean": lambda t: math.exp(t / 100.0)}],
    ids=["never lazy", "faster and faster"])
def test_c1_fails_for_a_kernel_that_moves_on(speed):
    assert confront([accuracy_run(seed, speed=speed) for seed in SEEDS]).verdict == FAILS


def test_a_kernel_that_does_not_move_at_all_in_the_end_is_at_rest():
    """With few neurons no gate may change for a hundred steps: there is no ratio of speeds then."""
    runs = [accuracy_run(seed, speed={"clean": lambda t: float(t < 100)}) for seed in SEEDS]
    finding = confront(runs)
    assert finding.verdict == HOLDS
    shown, = (part for part in finding.measurements if part.name.startswith("late velocity"))
    assert math.isnan(shown.measured) and not shown.decisive


@pytest.mark.parametrize("hurry", [0.5, 0.25])
def test_c1_fails_for_gates_that_come_to_rest_later_under_attack(hurry):
    finding = confront([kernel_run(seed, hurry=hurry) for seed in SEEDS])
    assert finding.verdict == FAILS
    assert any("time within 10 % of the last kernel" in note and "is not in the accepted range"
               in note for note in finding.caveats)


@pytest.mark.parametrize("mode, distance", [("clean", 0.0), ("adversarial", math.nan)],
                         ids=["at rest from the start", "no number"])
def test_c1_fails_where_there_is_no_time_to_rest(mode, distance):
    runs = []
    for seed in SEEDS:
        run = kernel_run(seed)
        rows = [row | ({"distance_to_last": distance} if row["mode"] == mode else {})
                for row in run.history.rows()]
        runs.append(Run(run.config, run.summary, rows, run.arrays))
    finding = confront(runs)
    assert finding.verdict == FAILS
    assert any(math.isnan(part.measured) for part in finding.measurements if part.decisive)


def test_a_slower_lazy_phase_is_said():
    finding = confront([accuracy_run(seed, speed={
        "adversarial": lambda t: math.exp(-t / 40.0)}) for seed in SEEDS])
    assert any("slower to become lazy" in caveat for caveat in finding.caveats)
    sooner = confront([accuracy_run(seed) for seed in SEEDS])
    assert not any("slower to become lazy" in caveat for caveat in sooner.caveats)


def test_runs_that_did_not_follow_the_kernel_to_its_end_say_nothing():
    runs = [accuracy_run(seed) for seed in SEEDS]
    runs = [Run(run.config, run.summary, [
        {name: value for name, value in row.items() if name != "distance_to_last"}
        for row in run.history.rows()], {}) for run in runs]
    assert confront(runs).verdict == OUTSIDE
