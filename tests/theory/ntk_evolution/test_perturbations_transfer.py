"""C5: examples of the frozen kernel that harm the network hold, harmless and lucky ones fail."""

import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.drawing.claims import png
from theory.ntk_evolution.perturbations_transfer import confront, transfers

from planted.ntk_evolution import accuracy_run, transfer_run

SEEDS = range(6)


def test_c5_holds_where_the_kernels_examples_do_most_of_the_harm():
    finding = confront([transfer_run(seed) for seed in SEEDS])
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(0.7 / 0.8, abs=0.02)
    assert png(finding.data).startswith(b"\x89PNG")


@pytest.mark.parametrize("changes", [
    {"kernel_of_clean,_100": (0.2, 0.1)}, {"kernel_of_adversarial,_100": (0.5, 0.05)},
    {"random": (0.3, 0.0)}],
    ids=["harmless to the clean network", "harmless to the adversarial one", "chance does it too"])
def test_c5_fails_otherwise(changes):
    assert confront([transfer_run(seed, **changes) for seed in SEEDS]).verdict == FAILS


def test_without_examples_nothing_is_said():
    assert confront([accuracy_run(seed) for seed in SEEDS]).verdict == OUTSIDE


def test_harm_is_relative_to_that_of_a_networks_own_examples():
    run = transfer_run(0)
    assert transfers(run, "clean", "clean") == 1.0
    assert transfers(run, "linear", "clean") == pytest.approx(0.75, abs=0.03)


def test_what_decides_c5_is_in_its_figure():
    runs = [transfer_run(seed) for seed in SEEDS]
    decides = confront(runs).data.panels[-1]
    own, _ = decides.series
    assert own.values[:, 0].tolist() == [
        transfers(run, "kernel of clean, 100", "clean") for run in runs]
    assert list(decides.theory[0].y) == [0.5, 0.5]
