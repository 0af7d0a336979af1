"""C2: kernels of two gate patterns are far apart, those of one pattern are not."""

import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.ntk_evolution.adversarial_kernel_differs import confront

from planted.ntk_evolution import accuracy_run, dense, kernel_run

SEEDS = range(4)


def test_c2_holds_for_pure_gates_against_dense_ones():
    finding = confront([kernel_run(seed) for seed in SEEDS])
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.low > 10.0


def test_c2_fails_where_both_trainings_end_at_the_same_gates():
    finding = confront([kernel_run(seed, adversarial=dense) for seed in SEEDS])
    assert finding.verdict == FAILS
    assert finding.measured < 2.0


@pytest.mark.parametrize("changes", [{"between": 0.02}, {"within": (0.09, 0.02)}],
                         ids=["same kernel", "runs scatter"])
def test_c2_fails_for_kernels_as_near_as_two_runs(changes):
    assert confront([accuracy_run(seed, **changes) for seed in SEEDS]).verdict == FAILS


def test_without_a_robust_network_nothing_is_said_about_its_kernel():
    finding = confront([kernel_run(seed, robust=0.3) for seed in SEEDS])
    assert finding.verdict == OUTSIDE
    assert any("raises the attacked accuracy" in caveat for caveat in finding.caveats)
