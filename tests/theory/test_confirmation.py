"""Verdicts of fresh seeds: what a finding rests on, and that no later change of it goes unseen."""

import json
import math
from dataclasses import replace

import pytest

from theory.claim import (HOLDS, Claim, Measurement, Run, Theorem, Threshold, at_least, at_most,
                          conclude, confront_all)
from theory.confirmation import basis, differences, entered, registered, remembered, unexplained
from theory.plans import Family, kind_of, plan_hash, settings_of

from planted.feature_purification import planted_config

CLAIM = Claim("T1", "a title", "a statement", "a source", (), "a quantity", "at least 5", 5.0,
              {"a part": at_least(5.0)}, "2026-11-20")
RUNS = {"desk": (Family("smoke", ({"d": 36, "k": 4}, {"d": 64, "k": 4})),)}
PAPER = "feature_purification"


def finding(claim=CLAIM, seeds=(2000, 2001, 2002), plan_digits="ab", value=7.0):
    """What a claim of one part comes to, as ``purify verify`` knows it."""
    limits = claim.thresholds["a part"]
    runs = [Run(planted_config(16, 4, seed), {}, [], {}) for seed in seeds]
    part = Measurement("a part", value, value - 1.0, value + 1.0, (limits.low, limits.high), 1e-6,
                       limits.target)
    found, = confront_all(runs, [Theorem(claim, lambda runs: conclude(claim, [part], runs))])
    return replace(found, plan="desk", plan_hash=plan_digits * 32)


def again(before, found, today="2026-12-01"):
    """Remember a finding over the file of an earlier one."""
    return remembered(found, json.loads(json.dumps(before.to_dict())), today)


def loosened(low):
    return replace(CLAIM, thresholds={"a part": at_least(low)})


# --- seeds --------------------------------------------------------------------------------


def test_a_family_judges_on_seeds_from_2000_and_explores_from_0():
    family = Family("smoke", seeds=5, exploring=2)
    assert list(family.those("judging")) == [2000, 2001, 2002, 2003, 2004]
    assert list(family.those("exploring")) == [0, 1]
    assert Family("smoke").seeds == 8


@pytest.mark.parametrize("seeds, expected", [
    (None, [2000, 2001]), ("judging", [2000, 2001]), ("exploring", [0, 1, 2]), (1, [0]),
    (range(2000, 2003), [2000, 2001, 2002])])
def test_a_plan_gives_the_seeds_that_are_asked_for(seeds, expected):
    theorem = Theorem(CLAIM, lambda runs: None, {"desk": (Family("smoke", seeds=2),)})
    assert [entry["seed"] for entry in settings_of([theorem], "desk", seeds)] == expected


@pytest.mark.parametrize("seeds, kind", [
    ([2000, 2007], "judging"), ([0], "exploring"), ([1999], "exploring"), ([0, 2000], "mixed"),
    ([], "")])
def test_only_seeds_from_2000_judge(seeds, kind):
    assert kind_of(seeds) == kind


@pytest.mark.parametrize("seeds, kind, says", [
    ((2000, 2001), "judging", False), ((0, 1), "exploring", True), ((0, 2000), "mixed", True)])
def test_a_finding_on_other_seeds_says_that_it_is_exploration(seeds, kind, says):
    found = finding(seeds=seeds)
    assert found.seeds_are == found.to_dict()["seeds_are"] == kind
    assert any("no verdict on fresh seeds" in note for note in found.caveats) == says


# --- thresholds and plans -----------------------------------------------------------------


@pytest.mark.parametrize("fixed", ["26.11.2026", "2026-13-01", "soon", 20261126])
def test_the_day_must_be_a_date(fixed):
    with pytest.raises(ValueError, match="claim T1: fixed: expected a date such as 2026-11-26"):
        replace(CLAIM, fixed=fixed)


def test_a_claim_of_somebody_elses_needs_neither_thresholds_nor_a_date():
    claim = Claim("T1", "t", "s", "o", (), "q", "l", 1.0)
    runs = [Run(planted_config(16, 4, 2000), {}, [], {})]
    found = conclude(claim, [Measurement("x", 2.0, 1.0, 3.0, (0.0, math.inf), 0.01)], runs)
    assert found.thresholds == {"x": at_least(0.0)} and found.to_dict()["fixed"] == ""


@pytest.mark.parametrize("part", [
    Measurement("a part", 7.0, 6.0, 8.0, (4.0, math.inf), 0.01),
    Measurement("a part", 7.0, 6.0, 8.0, (5.0, math.inf), 0.01, target=(0.0, 9.0)),
    Measurement("another", 7.0, 6.0, 8.0, (5.0, math.inf), 0.01)])
def test_no_decisive_measurement_has_another_threshold_than_the_claim_says(part):
    runs = [Run(planted_config(16, 4, 2000), {}, [], {})]
    with pytest.raises(ValueError, match="claim T1: .*expected what its thresholds say"):
        conclude(CLAIM, [part], runs)
    assert conclude(CLAIM, [Measurement("a part", 7.0, 6.0, 8.0, (5.0, math.inf), 0.01),
                            replace(part, decisive=False)], runs).verdict == HOLDS


def test_the_hash_of_a_plan_is_that_of_its_settings_whatever_the_seeds():
    def hashed(*families):
        return plan_hash(Theorem(CLAIM, lambda runs: None, {"desk": families}), "desk")

    family, = RUNS["desk"]
    assert hashed(family) == hashed(family._replace(seeds=3, exploring=9))
    assert hashed(family) == hashed(family._replace(sizes=family.sizes[::-1]))
    assert hashed(family) == hashed(*(family._replace(sizes=(size,)) for size in family.sizes))
    assert len(hashed(family)) == 64
    assert len({hashed(family), hashed(family._replace(sizes=family.sizes[:1])),
                hashed(family._replace(changes={"tau": 0.01})),
                hashed(family._replace(changes={"low_rank": 3}))}) == 4
    assert hashed(family) == hashed(family._replace(changes={"low_rank": 0}))  # as older runs did


def test_what_a_finding_rests_on_is_one_line():
    assert basis(finding()) == ("thresholds of 2026-11-20, plan desk ababababab, "
                                "judging seeds 2000-2002")
    assert basis(finding(seeds=(0, 4))).endswith("exploring seeds 0, 4")


# --- findings that are written over others ------------------------------------------------


def test_the_first_finding_is_dated_and_the_same_one_keeps_its_date():
    first = remembered(finding(), None, "2026-11-30")
    assert (first.date, first.earlier, first.caveats) == ("2026-11-30", (), ())
    assert again(first, finding()).to_dict() == first.to_dict()
    assert again(first, finding(value=8.0)).date == "2026-12-01"


def test_a_threshold_that_changed_after_a_verdict_is_told_however_often_it_runs():
    first = remembered(finding(), None, "2026-11-30")
    changed = again(first, finding(loosened(4.0)))
    note = ("threshold of a part was at least 5 when it was judged on 2026-11-30; now at least 4")
    assert changed.caveats[0] == note
    assert [entry["date"] for entry in changed.earlier] == ["2026-11-30"]
    twice = again(changed, finding(loosened(4.0)), "2026-12-05")
    assert twice.to_dict() == changed.to_dict()
    back = again(twice, finding(), "2026-12-06")
    assert "now at least 5" in back.caveats[0] and len(back.earlier) == 2


def test_an_exploration_in_between_hides_no_verdict():
    first = remembered(finding(), None, "2026-11-30")
    explored = again(first, finding(loosened(4.0), seeds=(0, 1, 2)))
    judged = again(explored, finding(loosened(4.0)))
    assert "was at least 5 when it was judged on 2026-11-30" in judged.caveats[0]
    assert len(judged.earlier) == 1


def test_thresholds_that_move_while_exploring_are_nobodys_concern():
    first = remembered(finding(seeds=(0, 1, 2)), None, "2026-11-30")
    assert again(first, finding(loosened(4.0))).earlier == ()


def test_another_plan_and_a_part_that_is_new_are_told():
    first = remembered(finding(), None, "2026-11-30")
    note, = again(first, finding(plan_digits="cd")).caveats
    assert note == "the runs of plan desk were others when it was judged on 2026-11-30"
    more = replace(CLAIM, thresholds={**CLAIM.thresholds, "b": Threshold(0.0, 1.0, (0.4, 0.6))})
    note, = again(first, finding(more)).caveats
    assert note.startswith("threshold of b was none") and note.endswith(
        "now [0, 1], value in [0.4, 0.6]")


# --- the register -------------------------------------------------------------------------


def theorem(claim=CLAIM, runs=None):
    return Theorem(claim, lambda runs: None, runs or RUNS)


def verdict(claim=CLAIM, runs=None, seeds=(2000, 2001, 2002)):
    """An entry of findings.json that was made with the runs of a claim."""
    found = replace(finding(claim, seeds),
                    plan_hash=plan_hash(theorem(claim, runs), "desk", PAPER))
    return remembered(found, None, "2026-11-30").to_dict()


@pytest.fixture
def register():
    """A register with one verdict."""
    return json.loads(json.dumps(
        entered({}, [theorem()], PAPER, "2026-12-01", [verdict()])))


def test_a_register_says_what_the_claim_says_and_keeps_its_verdicts(register):
    assert unexplained(theorem(), register, PAPER) == []
    entry = register["T1"]
    assert entry["fixed"] == "2026-11-20" and list(entry["plans"]) == ["desk"]
    assert entry["thresholds"] == {"a part": {"accepted": [5.0, None]}}
    assert [kept["verdict"] for kept in entry["verdicts"]] == ["holds"]
    assert entered(register, [theorem()], PAPER, "2026-12-01", [verdict()]) == register


def test_verdicts_of_several_plans_on_one_claim_are_all_entered():
    runs = RUNS | {"large": (Family("smoke", ({"d": 64, "k": 4},)),)}
    large = verdict(runs=runs) | {
        "plan": "large", "plan_hash": plan_hash(theorem(runs=runs), "large", PAPER)}
    entry = entered({}, [theorem(runs=runs)], PAPER, "2026-12-01", [verdict(), large])["T1"]
    assert [kept["plan"] for kept in entry["verdicts"]] == ["desk", "large"]


@pytest.mark.parametrize("claim, runs, line", [
    (loosened(4.0), None, "threshold of a part was at least 5 when it was judged on 2026-11-30"),
    (replace(CLAIM, thresholds={"a part": at_most(9.0, 5.0)}), None, "now [5, 9]"),
    (CLAIM, {"desk": (Family("smoke", ({"d": 36, "k": 4},)),)}, "the runs of plan desk were"),
    (CLAIM, {"large": RUNS["desk"]}, "the runs of plan desk were")])
def test_a_planted_change_after_a_verdict_is_caught_and_stays_so_when_registered(
        register, claim, runs, line):
    """As long as no reason is given; what is entered is never taken out."""
    assert any(line in told for told in unexplained(theorem(claim, runs), register, PAPER))
    moved = replace(claim, fixed="2026-12-01")
    rewritten = entered(register, [theorem(moved, runs)], PAPER, "2026-12-01")
    told = unexplained(theorem(moved, runs), rewritten, PAPER)
    assert any(line in one for one in told)
    assert all(one.endswith("`changed` gives no reason") for one in told)
    reason = replace(moved, changed="a size too many")
    assert unexplained(theorem(reason, runs), rewritten, PAPER) == []


def test_another_measurement_with_the_thresholds_of_before_is_seen_by_its_date(register):
    """A verdict by the old one is kept, told, and not entered as one of the new."""
    moved = replace(CLAIM, fixed="2026-12-01")
    line = ("what is measured was that of 2026-11-20 when it was judged on 2026-11-30; now that "
            "of 2026-12-01")
    old = remembered(finding(), None, "2026-11-30")
    new = remembered(finding(moved), old.to_dict(), "2026-12-02")
    assert new.caveats == (line,) and len(new.earlier) == 1
    assert remembered(finding(), old.to_dict(), "2026-12-02").caveats == ()
    rewritten = entered(register, [theorem(moved)], PAPER, "2026-12-01")
    assert unexplained(theorem(moved), rewritten, PAPER) == [
        f"T1: {line}, and `changed` gives no reason"]
    assert unexplained(theorem(replace(moved, changed="a reason")), rewritten, PAPER) == []
    with pytest.raises(ValueError, match="got another: what is measured was that of"):
        entered(register, [theorem(moved)], PAPER, "2026-12-01", [verdict()])


def test_what_other_seeds_said_is_no_verdict_to_be_remembered():
    for seeds in ((0, 1, 2), (1999, 2000, 2001)):
        said = remembered(finding(seeds=seeds), None, "2026-11-30").to_dict()
        assert remembered(finding(loosened(4.0)), said, "2026-12-01").earlier == ()


def test_a_reason_does_not_stand_for_the_date(register):
    """A threshold cannot have been fixed before the verdict that it was not part of."""
    changed = replace(loosened(4.0), changed="why not")
    rewritten = register | {"T1": register["T1"] | registered(theorem(changed), PAPER)}
    told, = unexplained(theorem(changed), rewritten, PAPER)
    assert told == ("T1: its thresholds changed after the verdict of 2026-11-30, but `fixed` is "
                    "2026-11-20")
    with pytest.raises(ValueError, match="claim T1: fixed: expected the day on which its thresh"):
        entered(register, [theorem(changed)], PAPER, "2026-12-01")


@pytest.mark.parametrize("entry, message", [
    (verdict(seeds=(0, 1, 2)), "expected a verdict on judging seeds, got one on exploring"),
    (verdict(seeds=(0, 1, 2000)), "expected a verdict on judging seeds, got one on mixed"),
    ({"id": "T1", "verdict": "holds"}, "expected a verdict on judging seeds, got one on no"),
    (verdict(loosened(4.0)), "given with what the claim says now, got another: threshold of"),
    (verdict(runs={"desk": (Family("smoke"),)}), "got another: the runs of plan desk"),
    (verdict() | {"id": "T2"}, "expected claims of feature_purification, got T2")])
def test_only_verdicts_of_the_claim_as_it_is_are_entered(entry, message):
    with pytest.raises(ValueError, match=message):
        entered({}, [theorem()], PAPER, "2026-12-01", [entry])


def test_a_change_without_its_register_is_caught():
    register = entered({}, [theorem()], PAPER, "2026-12-01")
    told = unexplained(theorem(loosened(4.0)), register, PAPER)
    assert len(told) == 1 and "T1: thresholds: the register has" in told[0]
    assert len(unexplained(theorem(), {}, PAPER)) == 3


def test_a_plan_is_compared_with_itself_only():
    one = verdict()
    assert differences(one, one | {"plan": "paper", "plan_hash": "0"}) == []
