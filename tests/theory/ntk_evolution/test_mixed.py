"""With both updates a batch: the same claims, judged beside the verdict and no part of it."""

import pytest

from theory import claims
from theory.claim import FAILS, HOLDS, confront_all
from theory.ntk_evolution import its_kernel_is_robust
from theory.ntk_evolution.mixed import as_published

from planted.ntk_evolution import accuracy_run, mixed_run

SEEDS = range(4)
WOULD = "(mixed, as the authors' code trains), the verdict alone, before any correction for the "


@pytest.mark.parametrize("attacked, wanted", [
    ({}, HOLDS), ({("adversarial", "benign"): 0.3}, FAILS)], ids=["as robust", "not robust"])
def test_what_mixed_training_would_change_is_told_and_changes_nothing(attacked, wanted):
    runs = [mixed_run(seed, attacked=attacked) for seed in SEEDS]
    finding = its_kernel_is_robust.confront(runs)
    alone = its_kernel_is_robust.confront([accuracy_run(seed) for seed in SEEDS])
    assert finding.verdict == alone.verdict == HOLDS
    assert [part for part in finding.measurements if part.decisive] == [
        part for part in alone.measurements if part.decisive]
    assert any(WOULD in note and f"would be: {wanted}; so without: {HOLDS}" in note
               for note in finding.caveats)
    shown = [part for part in finding.measurements if part.name.startswith("mixed: ")]
    assert shown and not any(part.decisive for part in shown)


def test_each_claim_about_both_trainings_tells_it():
    findings = confront_all([mixed_run(seed) for seed in SEEDS], claims("ntk_evolution"))
    told = [finding.id for finding in findings if any(WOULD in note for note in finding.caveats)]
    assert told == ["C1", "C2", "C3", "C4"]


def test_nothing_of_adversarial_training_alone_is_left_in_the_view():
    view = as_published(mixed_run(0, between=0.5, robust=0.6))
    assert view.summary["adversarial"]["attacked_accuracy"] == 0.6
    assert view.summary["between"] == pytest.approx(0.5, rel=0.3)
    assert {row["mode"] for row in view.history.rows()} == {"clean", "adversarial"}
    assert {row["data"] for row in view.summary["frozen"]} == {"benign", "adversarial"}
    counts = [(row["mode"], row["time"], row["dynamics"], row["data"])
              for row in view.summary["frozen"]]
    assert len(counts) == len(set(counts))


def test_a_run_without_mixed_training_has_no_such_view():
    assert as_published(accuracy_run(0)) is None
