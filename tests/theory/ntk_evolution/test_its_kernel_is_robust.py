"""C3: robust on the kernel of adversarial training, and on that alone."""

import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.drawing.claims import png
from theory.ntk_evolution.its_kernel_is_robust import confront

from planted.ntk_evolution import accuracy_run

SEEDS = range(8)


def runs(**changes):
    return [accuracy_run(seed, **changes) for seed in SEEDS]


def test_c3_holds_for_a_robust_kernel():
    finding = confront(runs())
    assert finding.verdict == HOLDS, finding.caveats
    assert png(finding.data).startswith(b"\x89PNG")


@pytest.mark.parametrize("attacked", [{("adversarial", "benign"): 0.3}, {("clean", "benign"): 0.6}],
                         ids=["not robust", "robust either way"])
def test_c3_fails_for_others(attacked):
    assert confront(runs(attacked=attacked)).verdict == FAILS


def test_without_a_robust_network_nothing_is_said_about_its_kernel():
    assert confront(runs(robust=0.3)).verdict == OUTSIDE
