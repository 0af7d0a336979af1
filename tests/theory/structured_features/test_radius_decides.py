"""B6: for a change at beta, and for none elsewhere."""

import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.structured_features import radius_decides

from planted.structured_features import SEEDS, racing_run, spectrum_run


def test_b6_holds_for_a_change_at_beta():
    finding = radius_decides.confront([spectrum_run(seed) for seed in SEEDS])
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("changes, part", [
    ({"change": 0.4}, "epsilon / beta"), ({"change": 1.6}, "epsilon / beta"),
    ({"change": 9.0}, "epsilon / beta"), ({"change": -9.0}, "epsilon / beta"),
    ({"steep": 0.1}, "<w, u> over <w, v> at epsilon = 0")])
def test_b6_fails_for_a_change_elsewhere_or_none(changes, part):
    finding = radius_decides.confront([spectrum_run(seed, **changes) for seed in SEEDS])
    assert finding.verdict == FAILS
    assert any(note.startswith(part) for note in finding.caveats), finding.caveats


def test_races_are_no_spectrum():
    assert radius_decides.confront([racing_run(seed) for seed in SEEDS]).verdict == OUTSIDE
