"""A6: mixtures that are taken out, and mixtures that stay."""

import math

import pytest

from theory.claim import FAILS, HOLDS
from theory.feature_purification.purification import confront

from planted.feature_purification import changed


def test_a6_holds_where_the_mixtures_are_taken_out(planted):
    finding = confront(planted)
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured > 15.0


def test_a6_fails_for_an_unpurified_network(unpurified):
    finding = confront(unpurified)
    assert finding.verdict == FAILS
    assert finding.measured == pytest.approx(1.0)


@pytest.mark.parametrize("before, after", [(0.1, math.nan), (math.nan, 0.0), (math.nan, 0.1)])
def test_a6_fails_where_a_mixture_ratio_is_no_number(planted, before, after):
    runs = [changed(run, clean={"mixture_ratio": before}, adversarial={"mixture_ratio": after})
            for run in planted]
    finding = confront(runs)
    assert finding.verdict == FAILS and math.isnan(finding.measurements[0].measured)


def test_a6_tells_how_much_of_the_start_is_left(found):
    (part,) = [part for part in confront(found).measurements if "start" in part.name]
    assert not part.decisive and part.measured == pytest.approx(1.0)  # the same weights twice
