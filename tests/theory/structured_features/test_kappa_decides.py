"""B3: for a transition at kappa = 1, and for none elsewhere."""

import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.structured_features import kappa_decides

from planted.structured_features import SEEDS, racing_run


def test_b3_holds_for_a_transition_at_one():
    finding = kappa_decides.confront([racing_run(seed) for seed in SEEDS])
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("changes, part", [
    ({"midpoint": 2.5}, "midpoint"), ({"midpoint": 0.4}, "midpoint"),
    ({"noise": 1.0}, "rise of v's share")])
def test_b3_fails_for_a_transition_elsewhere_or_none(changes, part):
    finding = kappa_decides.confront([racing_run(seed, **changes) for seed in SEEDS])
    assert finding.verdict == FAILS
    assert any(note.startswith(part) and "not in" in note for note in finding.caveats)


def test_the_smallest_start_of_each_q_decides_and_the_others_are_shown():
    runs = [run for seed in SEEDS for run in (
        racing_run(seed, init_scale=0.001), racing_run(seed, 3.0, name="transition-b"))]
    finding = kappa_decides.confront(runs)
    assert finding.verdict == HOLDS
    shown = {part.name: part for part in finding.measurements if not part.decisive}
    wanted = "midpoint, q = 3, sigma_0 = 0.01 "
    other, = (part for name, part in shown.items() if name.startswith(wanted))
    assert other.measured > 2.0


def test_one_sided_races_have_no_midpoint_and_the_claim_fails():
    runs = [racing_run(seed, midpoint=1e6) for seed in SEEDS]
    assert kappa_decides.confront(runs).verdict == FAILS


def test_too_few_seeds_are_no_evidence():
    assert kappa_decides.confront([racing_run(0)]).verdict == OUTSIDE
