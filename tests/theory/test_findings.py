"""A folder keeps findings of several calls, and nothing of them is lost on the way."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import RunError
from simulator.runs.run import Size
from theory.claim import (ALONE, FAILS, HOLDS, Assumption, Claim, Finding, Measurement, Theorem,
                          at_least, outside)
from theory.drawing.picture import Panel, Picture, Series
from theory.findings import Call, calls_of, findings_json, kept_findings, merged, write_findings

PICTURE = Picture("A caption.", (Panel("x", "y", (Series(
    "a", np.array([0.0]), np.array([[1.0], [math.nan]])),)),))


def finding(name="A2", p_value=0.001, **more):
    claim = Claim(name, "title of " + name, "says", "source", (Assumption("k is small", bool),),
                  "quantity", "at least 1", 1.0, {"x": at_least(1.0)}, "2026-11-26", "a reason")
    parts = (Measurement("x", 2.0, 1.5, 2.5, (1.0, math.inf), p_value),
             Measurement("beside", 3.0, -math.inf, math.nan, (-math.inf, math.inf), 1.0,
                         decisive=False))
    return Finding(claim, HOLDS, parts, ("a note",), (2000, 2001), (Size("desk", 64, 4),), PICTURE,
                   **{"seeds_are": "judging", "plan": "desk", "plan_hash": "ab",
                      "date": "2026-12-01", "runs": ("desk-0123456789",),
                      "earlier": ({"date": "2026-11-30"},)} | more)


def call(*claims):
    return Call("2026-12-01", "purify verify", claims, {"numpy": "2"})


def test_what_is_kept_is_read_as_it_was(tmp_path):
    written = [finding(), outside(finding("A3").claim, ["no runs"])]
    write_findings(tmp_path, written, {"A2", "A3"}, call("A2", "A3"))
    read = kept_findings(tmp_path, ())
    assert findings_json(read) == findings_json(written)
    assert [part.holds for part in read[0].measurements] == [True, False]
    assert read[0].data.caption == "A caption." and read[1].data is None
    assert [assumption.name for assumption in read[0].claim.assumptions] == ["k is small"]
    json.loads(findings_json(written), parse_constant=pytest.fail)  # no NaN, no Infinity


def test_a_call_replaces_its_claims_and_leaves_the_others(tmp_path):
    write_findings(tmp_path, [finding("A2"), finding("A10")], {"A2", "A10"}, call("A2", "A10"))
    new = [finding("A3", plan_hash="cd"), finding("A2", plan_hash="cd")]
    together = merged(kept_findings(tmp_path, ()), new)
    assert [(one.id, one.plan_hash) for one in together] == [("A2", "cd"), ("A3", "cd"),
                                                             ("A10", "ab")]
    write_findings(tmp_path, together, {"A2", "A3"}, call("A2", "A3"))
    assert [one.data is not None for one in kept_findings(tmp_path, ())] == [True] * 3
    assert [other.claims for other in calls_of(tmp_path)] == [("A2", "A10"), ("A2", "A3")]
    write_findings(tmp_path, together, {"A2", "A3", "A10"}, call("A2", "A3", "A10"))
    assert len(calls_of(tmp_path)) == 1  # nothing on the page is from the others any more


def test_claims_confronted_one_by_one_are_corrected_as_those_confronted_together():
    weak = [finding(f"A{number}", 0.02) for number in range(3)]
    one_by_one = []
    for found in weak:
        one_by_one = merged(one_by_one, [found])
    assert one_by_one == merged([], weak)
    assert [found.verdict for found in one_by_one] == [FAILS] * 3
    assert all(found.caveats[0].startswith(ALONE) for found in one_by_one)
    assert merged([], one_by_one) == one_by_one  # not corrected twice
    assert merged(one_by_one[1:], [finding("A0", 0.0)])[0].verdict == HOLDS
    assert merged([], one_by_one[:1])[0] == weak[0]  # alone again


def test_an_entry_of_an_older_version_keeps_its_verdict_and_says_what_it_lacks(tmp_path):
    entry = finding().to_dict()
    for name in ("claim", "measurements", "runs"):
        del entry[name]
    (tmp_path / "findings.json").write_text(json.dumps({"findings": [
        entry, {"id": "A7", "verdict": "holds", "caveats": []}]}))
    read, = kept_findings(tmp_path, [Theorem(finding().claim, bool)])
    assert (read.verdict, read.measured, read.claim.title) == (HOLDS, 2.0, "title of A2")
    assert "an older version" in read.caveats[-1] and not read.measurements[0].decisive
    assert merged([read], [finding("A3", 0.04)])[0].verdict == HOLDS
    lost = replace(read, verdict=FAILS, caveats=(f"{ALONE}0.04) but not after", *read.caveats))
    assert merged([lost], [finding("A3")])[0] == lost  # corrected then: that stands


@pytest.mark.parametrize("content", ['{"findings": [{"id": "A2", "thresholds": 3}]}',
                                     '{"findings": [3]}', '{"findings": 3}'])
def test_what_are_no_findings_is_one_line_that_names_the_file(tmp_path, content):
    (tmp_path / "findings.json").write_text(content)
    with pytest.raises(RunError, match="findings.json: expected findings of purify verify, got"):
        kept_findings(tmp_path, ())


@pytest.mark.parametrize("content", ['{"calls": [{}]}', '{"calls": [3]}', '{"calls": 3}'])
def test_damaged_calls_are_one_line_and_nothing_is_written(tmp_path, content):
    write_findings(tmp_path, [finding()], {"A2"}, call("A2"))
    (tmp_path / "calls.json").write_text(content)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.json")}
    with pytest.raises(RunError, match="calls.json: expected calls of purify verify, got"):
        write_findings(tmp_path, [finding("A3")], {"A3"}, call("A3"))
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.json")} == before


def test_a_figure_that_is_damaged_costs_no_verdict(tmp_path):
    write_findings(tmp_path, [finding()], {"A2"}, call("A2"))
    (tmp_path / "figures" / "A2.json").write_text('{"caption": 3}')
    read, = kept_findings(tmp_path, ())
    assert read.data is None and read.verdict == HOLDS


def test_a_claim_without_a_figure_leaves_none_of_before(tmp_path):
    write_findings(tmp_path, [finding()], {"A2"}, call("A2"))
    write_findings(tmp_path, [outside(finding().claim, ["x"])], {"A2"}, call("A2"))
    assert not list((tmp_path / "figures").iterdir())


def test_a_claim_that_changed_since_is_told_until_it_has_changed_back(tmp_path):
    write_findings(tmp_path, [finding()], {"A2"}, call("A2"))
    claim = finding().claim
    moved = Theorem(replace(claim, thresholds={"x": at_least(0.5)}), bool)
    told, = kept_findings(tmp_path, [moved], {"A2": "cd"})
    assert told.caveats[0] == ("since this verdict its claim has other thresholds and runs: "
                               "confront it again")
    assert told.thresholds == {"x": at_least(1.0)}  # what it was judged with
    write_findings(tmp_path, [told], (), call("A3"))
    assert len(kept_findings(tmp_path, [moved])[0].caveats) == 2  # told once
    back, = kept_findings(tmp_path, [Theorem(claim, bool)], {"A2": "ab"})
    assert findings_json([back]) == findings_json([finding()])


def test_any_name_of_a_claim_is_a_file(tmp_path):
    write_findings(tmp_path, [finding("a/../b")], {"a/../b"}, call("a/../b"))
    assert [file.name for file in (tmp_path / "figures").iterdir()] == ["a_.._b.json"]
