"""C4: a fixed kernel gains by adversarial training, but not all."""

import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.drawing.claims import png
from theory.ntk_evolution.fixed_kernel_trained_robust import confront

from planted.ntk_evolution import accuracy_run

SEEDS = range(8)


def runs(**changes):
    return [accuracy_run(seed, **changes) for seed in SEEDS]


def test_c4_holds_for_a_gain_in_part():
    finding = confront(runs())
    assert finding.verdict == HOLDS, finding.caveats
    assert png(finding.data).startswith(b"\x89PNG")


@pytest.mark.parametrize("attacked", [
    {("clean", "adversarial"): 0.1, ("clean", "benign"): 0.2}, {("clean", "adversarial"): 0.75}],
    ids=["nothing gained", "as good as the other kernel"])
def test_c4_fails_without_a_gain_or_with_a_whole_one(attacked):
    assert confront(runs(attacked=attacked)).verdict == FAILS


def test_without_a_robust_network_nothing_is_said_about_its_kernel():
    assert confront(runs(robust=0.3)).verdict == OUTSIDE
