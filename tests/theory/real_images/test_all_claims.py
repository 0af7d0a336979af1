"""The claims about real images: they hold where they should, and fail on every control."""

import pytest

from simulator.experiments import config_of
from theory import claims
from theory.claim import FAILS, HOLDS, OUTSIDE, confront_all
from theory.drawing.claims import draw
from theory.drawing.style import house_style
from theory.plans import settings_of

from legible import faults
from planted.real_images import MEMORISING, SHUFFLED, caveat, noisy_runs, planted_runs, runs_of

CLAIMS = claims("real_images")


def verdicts(runs):
    return {theorem.claim.id: theorem.confront(runs).verdict for theorem in CLAIMS}


def test_the_claims_are_listed_and_refuse_without_runs():
    assert [theorem.claim.id for theorem in CLAIMS] == ["I1", "I2", "I3", "I4"]
    assert {finding.verdict for finding in confront_all([], CLAIMS)} == {OUTSIDE}
    assert set(verdicts(planted_runs()[:2]).values()) == {OUTSIDE}  # no interval over two seeds


def test_the_desk_plan_has_a_pair_and_the_halves_for_eight_seeds():
    names = [config_of(entry).name for entry in settings_of(CLAIMS, "desk", paper="images")]
    assert names.count("images-digits") == names.count("images-halves") == 8


def only(claim, number):
    """The verdict of a claim where one number is off; every other claim holds all the same."""
    found = verdicts(planted_runs(**number))
    verdict = found.pop(claim)
    assert set(found.values()) == {HOLDS}
    return verdict


def off(part, name, value):
    return pytest.param({f"{part}__{name}": value}, id=name)


def test_i1_holds_for_photographs_that_few_features_rebuild():
    assert verdicts(planted_runs())["I1"] == HOLDS


def test_i1_fails_for_coefficients_that_are_hardly_sparse():
    assert only("I1", {"sparsity__kurtosis": 1.0}) == FAILS


def test_i2_holds_where_noise_becomes_structure():
    assert verdicts(planted_runs())["I2"] == HOLDS


@pytest.mark.parametrize("number", [off("adversarial", "high_frequency", 0.53),
                                    off("clean", "nearest_correlation", 0.37)])
def test_i2_fails_where_one_of_the_two_hardly_changes(number):
    assert only("I2", number) == FAILS


def test_i3_holds_where_the_smaller_and_noisier_part_is_removed():
    assert verdicts(planted_runs())["I3"] == HOLDS


@pytest.mark.parametrize("number", [
    off("purification", "kept_over_removed", 0.9), off("purification", "beta_positive", 0.8),
    off("purification", "removed_high_frequency", 0.41),
    off("adversarial", "neuron_high_frequency", 0.54)])
def test_i3_fails_where_one_of_its_numbers_is_off(number):
    assert only("I3", number) == FAILS


def test_i4_holds_where_the_clean_network_breaks_and_the_other_is_certified():
    assert verdicts(planted_runs())["I4"] == HOLDS


@pytest.mark.parametrize("number", [
    off("clean", "accuracy", 0.95), off("adversarial", "accuracy", 0.95),
    off("clean", "attacked_accuracy", 0.6), off("adversarial", "certified_accuracy", 0.75)])
def test_i4_fails_where_one_of_its_numbers_is_off(number):
    assert only("I4", number) == FAILS


def test_every_task_must_show_it():
    other = planted_runs(family="other", adversarial__high_frequency=0.6)
    assert CLAIMS[1].confront([*planted_runs(), *other]).verdict == FAILS


def test_what_longer_clean_training_does_is_told_beside_it():
    for theorem, words in zip(CLAIMS[1:], ("for as long as", "for as long", "for as long as")):
        assert caveat(theorem.confront(planted_runs()), words)


def test_that_the_coefficients_are_not_the_papers_is_told():
    assert caveat(CLAIMS[0].confront(planted_runs()), "not the paper's law")


# --- measured controls --------------------------------------------------------------------


def test_i2_holds_for_digits():
    assert CLAIMS[1].confront(runs_of()).verdict == HOLDS


@pytest.mark.slow
def test_no_claim_holds_for_shuffled_labels():
    assert all(verdict == FAILS for claim, verdict in verdicts(runs_of(**SHUFFLED)).items()
               if claim != "I1")  # which is about photographs


@pytest.mark.slow
def test_a_network_that_memorises_shows_none_of_it():
    runs = runs_of(**MEMORISING)
    assert min(run.summary["clean"]["training_accuracy"] for run in runs) == 1.0
    assert all(verdict == FAILS for claim, verdict in verdicts(runs).items() if claim != "I1")


def test_noise_with_the_spectrum_of_photographs_is_not_sparse():
    finding = CLAIMS[0].confront(noisy_runs())
    assert finding.verdict == FAILS
    assert {part.name.split(" at planted")[0] for part in finding.measurements
            if part.decisive and not part.holds} == {
        "PSNR at 4.05 %", "PSNR minus that of noise", "kurtosis"}


def test_the_figures_of_the_claims_can_be_read():
    with house_style():
        for finding in confront_all(planted_runs(), CLAIMS):
            assert faults(draw(finding.data)) == []
