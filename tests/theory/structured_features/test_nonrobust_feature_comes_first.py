"""B5: for trainings in which u overtakes v late, and for no others."""

import numpy as np
import pytest

from theory.claim import FAILS, HOLDS
from theory.structured_features import nonrobust_feature_comes_first
from theory.structured_features.quantities import overtaking_step

from planted.structured_features import SEEDS, overtaking, planted_run

pytestmark = pytest.mark.usefixtures("one_attack")


def finding_of(crossing):
    return nonrobust_feature_comes_first.confront(
        [planted_run(seed, crossing=crossing) for seed in SEEDS])


def test_b5_holds_where_u_overtakes_late(planted):
    finding = nonrobust_feature_comes_first.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(5.0)


@pytest.mark.parametrize("crossing, part", [
    (lambda start: overtaking(start, at=1), "overtaking step"),  # both at once
    (lambda start: overtaking(start, at=99), "overtaking step"),  # never
    (lambda start: overtaking({**start, "v": 0.5}), "v where it is overtaken"),
    (lambda start: [row | {"u": min(row["u"], 0.75)} for row in overtaking(start)],
     "<w, u> over <w, v> at the end")])
def test_b5_fails_for_other_orders_and_says_where(crossing, part):
    finding = finding_of(crossing)
    assert finding.verdict == FAILS
    assert any(note.startswith(part) for note in finding.caveats), finding.caveats


def test_the_overtaking_step_is_the_first_after_which_u_stays_above():
    step, v = np.arange(5.0), np.full(5, 1.0)
    assert overtaking_step(step, np.array([0.0, 2.0, 0.5, 2.0, 3.0]), v) == 3.0
    assert overtaking_step(step, np.full(5, 2.0), v) == 0.0
    assert np.isnan(overtaking_step(step, np.full(5, 0.5), v))
