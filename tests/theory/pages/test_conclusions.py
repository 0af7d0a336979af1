"""What a run's page says first follows its numbers, also where they say the opposite."""

import numpy as np
import pytest

from simulator.experiments import config_of, preset
from theory.claim import Run
from theory.feature_purification import captions as purification
from theory.ntk_evolution import captions as kernels
from theory.pages.conclusions import compared, disjoint
from theory.real_images import captions as images
from theory.structured_features import captions as patches
from theory.winning_tickets import captions as tickets

from planted import ntk_evolution as planted_kernels
from planted import real_images as planted_images
from planted import structured_features as planted_patches
from planted import winning_tickets as planted_tickets


def test_shares_differ_where_their_limits_do_not_overlap():
    assert compared(0.9, 0.2, 100) == 1 and compared(0.2, 0.9, 100) == -1
    assert compared(0.5, 0.55, 100) == 0 and compared(0.5, 0.55, 10000) == -1
    assert disjoint((0.3, 0.4), (0.1, 0.2)) == 1 and disjoint((0.1, 0.2), (0.2, 0.3)) == 0


@pytest.mark.parametrize("before, after, mixture, words", [
    (0.2, 0.9, 0.01, ("makes the network robust", "feature goes", "20 %", "90 %")),
    (0.5, 0.5, 0.2, ("changes little", "feature stays")),
    (0.9, 0.2, 0.3, ("makes the network less robust", "feature stays"))])
def test_of_purification(before, after, mixture, words):
    numbers = {"clean": {"accuracy": 1.0, "attacked_accuracy": before, "mixture_ratio": 0.2},
               "adversarial": {"accuracy": 1.0, "attacked_accuracy": after,
                               "mixture_ratio": mixture}}
    said = purification.conclusion(Run(config_of(preset("desk")), numbers))
    assert all(word in said for word in words)


@pytest.mark.parametrize("between, adversarial, words", [
    (0.1, 0.65, ("makes another kernel", "the adversarial kernel is the more robust one")),
    (0.001, 0.3, ("makes no kernel of its own", "do not tell the two kernels apart")),
    (0.1, 0.05, ("makes another kernel", "the clean kernel is the more robust one"))])
def test_of_kernels(between, adversarial, words):
    run = planted_kernels.accuracy_run(0, between=between)
    short = kernels.conclusion(run)
    run.summary |= {"benign_on_adversarial_kernel": {"attacked_accuracy": adversarial},
                    "benign_on_clean_kernel": {"attacked_accuracy": 0.3}}
    said = kernels.conclusion(run)
    assert all(word in said for word in words) and said.startswith(short)


@pytest.mark.parametrize("searched, words", [
    (0.2, "the search keeps the dynamics better"), (1.9, "the search is worse than no search"),
    (1.0, "the samples do not tell the two apart")])
def test_of_tickets(searched, words):
    run = planted_tickets.planted_run(0, ticket=searched)
    names, few = run.config.masks, run.config.percents[-1]
    errors = np.array([run.summary[name][str(few)]["trajectory_error"] for name in names])
    run._limits = {f"trajectory_error_{few}": np.array([0.9 * errors, 1.1 * errors])}
    assert words in tickets.conclusion(run)
    if searched != 1.0:  # a run from before there were limits
        run._limits = {}
        assert words in tickets.conclusion(run)


def test_of_patches():
    few = {"test_samples": 20, "evaluation_chunk": 20}
    run = planted_patches.planted_run(0, **few)
    said = patches.conclusion(run)
    assert "Standard training learns the non-robust feature" in said
    assert "against multi-start PGD learns the robust feature" in said
    turned = planted_patches.planted_run(0, standard=planted_patches.robust_weights,
                                         adversarial=planted_patches.standard_weights, **few)
    said = patches.conclusion(turned)
    assert "Standard training learns the robust feature" in said
    assert "against multi-start PGD learns the non-robust feature" in said


def test_of_races_and_of_radii():
    numbers = {"midpoint": 1.1, "predicted_midpoint": 1.05, "predicted_rightly": 0.9}
    races = planted_patches.racing_run(0)
    races.summary |= numbers
    assert "wins where kappa is above 1.1 (from the starts: 1.05)" in patches.conclusion(races)
    races.summary["midpoint"] = None
    assert "One feature wins at every kappa" in patches.conclusion(races)
    for change, words in ((0.9, "From epsilon = 0.9"), (-9.0, "at every radius"),
                          (9.0, "there is no radius")):
        assert words in patches.conclusion(planted_patches.spectrum_run(0, change=change))


@pytest.mark.parametrize("longer, adversarial, words", [
    (0.3, 0.95, ("makes the network robust", "time alone does not")),
    (0.95, 0.95, ("makes the network robust", "so does clean training for as long")),
    (0.3, 0.32, ("changes little",)), (0.3, 0.05, ("less robust",))])
def test_of_images(longer, adversarial, words):
    said = images.conclusion(planted_images.planted_run(
        0, longer__attacked_accuracy=longer, adversarial__attacked_accuracy=adversarial))
    assert all(word in said for word in words)
