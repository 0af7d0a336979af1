"""Verdicts: what makes a claim hold, fail or say nothing, and what is written down of it."""

import json
import math

import pytest

from simulator.experiments import stored
from simulator.experiments.feature_purification.run import simulate
from simulator.runs.folder import RunFolder
from theory.claim import (FAILS, HOLDS, OUTSIDE, Claim, Measurement, Run, accepted_range, conclude,
                          corrected, outside)

from planted.feature_purification import planted_config

pytestmark = pytest.mark.usefixtures("brief_attacks")

CLAIM = Claim("T1", "a title", "a statement", "a source", (), "a quantity", "at least 5", 5.0)


def part(measured, low, high, accepted=(5.0, math.inf), p_value=0.001, **more):
    return Measurement("a part", measured, low, high, accepted, p_value, **more)


def run(seed=0):
    return Run(planted_config(16, 4, seed), {}, [], {})


def test_a_claim_holds_if_the_whole_interval_is_accepted():
    finding = conclude(CLAIM, [part(7, 6, 8)], [run(1), run(0)])
    assert finding.verdict == HOLDS and finding.caveats == ()
    assert (finding.measured, finding.low, finding.high) == (7, 6, 8)
    assert finding.seeds == (0, 1) and len(finding.sizes) == 1


def test_a_finding_is_shown_in_two_lines():
    shown = repr(conclude(CLAIM, [part(7, 6, 8)], [run()])).splitlines()
    assert len(shown) == 2 and shown[0] == "T1  holds: a title"
    assert "7" in shown[1] and f"accepted {accepted_range(part(7, 6, 8))}" in shown[1]


def test_an_interval_that_reaches_out_fails_and_says_that_more_seeds_would_decide():
    finding = conclude(CLAIM, [part(6, 4, 8)], [run()])
    assert finding.verdict == FAILS
    assert "more seeds would decide" in finding.caveats[0]


def test_a_value_outside_fails_and_says_where_it_is():
    finding = conclude(CLAIM, [part(1, 0, 2)], [run()])
    assert finding.verdict == FAILS
    assert "1 [0, 2] is not in the accepted range at least 5" in finding.caveats[0]


def test_every_decisive_part_must_hold_and_the_others_need_not():
    assert conclude(CLAIM, [part(7, 6, 8), part(1, 0, 2)], [run()]).verdict == FAILS
    shown = part(1, 0, 2, decisive=False)
    assert conclude(CLAIM, [part(7, 6, 8), shown], [run()]).verdict == HOLDS
    with pytest.raises(ValueError, match="expected a decisive measurement"):
        conclude(CLAIM, [shown], [run()])


def test_the_value_has_a_target_of_its_own():
    kind = {"accepted": (0.7, 1.3), "target": (0.85, 1.15)}
    assert part(1.0, 0.75, 1.25, **kind).holds
    assert not part(1.2, 1.15, 1.25, **kind).holds
    assert accepted_range(part(1, 1, 1, **kind)) == "[0.7, 1.3], value in [0.85, 1.15]"
    assert accepted_range(part(1, 1, 1, accepted=(-math.inf, 0.5))) == "at most 0.5"


def test_nan_never_holds():
    nan = math.nan
    assert not part(nan, nan, nan).holds
    assert conclude(CLAIM, [part(nan, nan, nan)], [run()]).verdict == FAILS


def test_an_entry_of_the_findings_has_exactly_the_documented_keys():
    finding = conclude(CLAIM, [part(7, 6, math.inf)], [run()], ["a caveat"])
    assert finding.to_dict() == {
        "id": "T1", "verdict": "holds", "measured": 7.0, "low": 6.0, "high": None,
        "expected": 5.0, "caveats": ["a caveat"], "seeds": [0], "seeds_are": "",
        "sizes": [{"family": "lottery", "d": 16, "k": 4}],
        "thresholds": {"a part": {"accepted": [5.0, None]}}, "fixed": "", "plan": "",
        "plan_hash": "", "date": "", "runs": [], "earlier": [],
        "claim": {"title": CLAIM.title, "statement": CLAIM.statement, "source": CLAIM.source,
                  "quantity": CLAIM.quantity, "law": CLAIM.law, "changed": "", "assumptions": []},
        "measurements": [{"name": "a part", "measured": 7.0, "low": 6.0, "high": None,
                          "p_value": finding.p_value, "accepted": [5.0, None], "decisive": True,
                          "threshold": ""}]}
    nothing = outside(CLAIM, ["no runs"]).to_dict()
    assert nothing["verdict"] == OUTSIDE and nothing["measured"] is None
    json.dumps([finding.to_dict(), nothing], allow_nan=False)


def test_a_claim_that_holds_by_luck_among_many_does_not_survive():
    lucky = conclude(CLAIM, [part(7, 6, 8, p_value=0.03)], [run()])
    sure = conclude(CLAIM, [part(7, 6, 8, p_value=1e-6)], [run()])
    assert corrected([lucky])[0].verdict == HOLDS
    others = [conclude(Claim(f"T{n}", "", "", "", (), "", "", 0.0),
                       [part(7, 6, 8, p_value=1e-6)], [run()]) for n in range(2, 6)]
    unlucky = conclude(Claim("T9", "", "", "", (), "", "", 0.0), [part(1, 0, 2, p_value=1.0)],
                       [run()])
    after = corrected([lucky, unlucky, *others])
    assert [finding.verdict for finding in after] == [FAILS, FAILS] + [HOLDS] * 4
    assert "after Holm's correction for 6 claims" in after[0].caveats[0]
    assert corrected([sure])[0] == sure


def test_claims_outside_the_regime_do_not_count_for_the_correction():
    nothing = [outside(Claim(f"T{n}", "", "", "", (), "", "", 0.0), []) for n in range(2, 9)]
    lucky = conclude(CLAIM, [part(7, 6, 8, p_value=0.03)], [run()])
    assert corrected([lucky, *nothing])[0].verdict == HOLDS


def test_the_p_value_of_a_conjunction_is_the_largest_of_its_parts():
    parts = [part(7, 6, 8, p_value=0.01), part(7, 6, 8, p_value=0.02),
             part(7, 6, 8, p_value=0.9, decisive=False)]
    assert conclude(CLAIM, parts, [run()]).p_value == 0.02


def test_a_stored_run_is_the_run_in_memory(tmp_path):
    from small import small_config
    config = small_config()
    folder = RunFolder.create(tmp_path, config)
    here = simulate(config, folder)
    there = stored(folder.path)
    assert there.config == here.config and there.size == here.size == ("smoke", 20, 2)
    assert there.summary == here.summary
    assert there.history["beta"][-1] == here.history["beta"][-1]
    assert set(there.arrays) == set(here.arrays)
