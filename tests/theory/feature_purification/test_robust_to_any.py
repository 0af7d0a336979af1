"""A7: what is certified counts, however well attacks do."""

import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.feature_purification.robust_to_any import confront

from planted.feature_purification import bracketed


def test_a7_holds_where_it_is_certified(planted):
    runs = [bracketed(run, (0.1, 0.3), (0.8, 0.9)) for run in planted]
    finding = confront(runs)
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(0.8)


def test_a7_fails_for_the_clean_network(planted):
    runs = [bracketed(run, (0.1, 0.3), (0.1, 0.3)) for run in planted]
    assert confront(runs).verdict == FAILS


def test_a7_fails_where_little_is_certified_however_well_attacks_do(planted):
    runs = [bracketed(run, (0.1, 0.3), (0.4, 0.99)) for run in planted]
    assert confront(runs).verdict == FAILS


@pytest.mark.parametrize("right", [1.0, 0.8])
def test_a7_fails_where_both_networks_are_as_robust_in_every_seed(planted, right):
    """A distance of 0 without scatter is no certainty that it is not below."""
    runs = [bracketed(run, (right, right), (right, right)) for run in planted]
    finding = confront(runs)
    assert finding.verdict == FAILS and finding.p_value > 0.5


def test_a7_is_outside_where_no_bracket_was_computed(planted):
    finding = confront(planted)
    assert finding.verdict == OUTSIDE
    assert "bracket" in finding.caveats[0]


def test_a7_is_outside_where_the_bracket_is_at_another_radius(planted):
    runs = [bracketed(run, (0.1, 0.3), (0.8, 0.9)) for run in planted]
    for run in runs:
        run.summary["adversarial"]["bracket"][0]["radius"] *= 0.5
    assert confront(runs).verdict == OUTSIDE
