"""What a verdict was given with, and whether that is still so.

A threshold may move while seeds below 100 are looked at; once there is a verdict on judging seeds
it may not without being seen. Two places remember. ``findings.json`` keeps the verdicts that had
other thresholds or another plan, so running twice loses nothing. ``theory/<paper>/judged.json``, a
file under version control, holds for each claim the thresholds and plans as they are and every
verdict on judging seeds; where they differ the claim must say why (``changed``). Thresholds stand
in the claim as data and no measurement can have others (:func:`theory.claim.conclude`), so both
compare what was used, not what somebody wrote down about it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from theory.claim import Finding, Theorem, Threshold, in_words
from theory.plans import JUDGING, plan_hash, seed_ranges

__all__ = ["basis", "differences", "entered", "registered", "remembered", "unexplained"]

VERDICT = ("date", "plan", "plan_hash", "seeds", "sizes", "verdict", "measured", "low", "high",
           "fixed", "thresholds")  # what the register keeps of an entry of findings.json


def basis(finding: Finding) -> str:
    """Return in one line what a finding rests on: thresholds' date, plan, seeds."""
    parts = [f"thresholds of {finding.claim.fixed}"] if finding.claim.fixed else []
    if finding.plan:
        parts.append(f"plan {finding.plan} {finding.plan_hash[:10]}")
    if finding.seeds_are:
        parts.append(f"{finding.seeds_are} seeds" + (f" {seed_ranges(finding.seeds)}"
                                                     if finding.seeds else ""))
    return ", ".join(parts)


def remembered(finding: Finding, before: Mapping[str, Any] | None, today: str) -> Finding:
    """Date a finding, and keep the earlier verdicts that it differs from.

    Parameters
    ----------
    finding : Finding
    before : mapping or None
        The entry of this claim in the findings.json that is about to be replaced.
    today : str
        As in "2026-11-26".

    Returns
    -------
    Finding
        With a caveat for every threshold that was another, another measurement, or another plan,
        when a verdict was given on judging seeds. What is as before keeps its date.
    """
    now = finding.to_dict()
    earlier = [*before.get("earlier", ())] if before else []
    if before and before.get("seeds_are") == JUDGING and _basis(before) != _basis(now):
        earlier.append({key: before[key] for key in (*VERDICT, "seeds_are") if key in before})
    notes = dict.fromkeys(note for entry in earlier for note in differences(entry, now))
    known = replace(finding, caveats=(*notes, *finding.caveats), earlier=tuple(earlier))
    same = before is not None and all(
        before[key] == value for key, value in known.to_dict().items()
        if key in before and key != "date")  # an older version kept less
    return replace(known, date=before["date"] if before and same else today)


def _basis(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a verdict is about: with another of these it is kept, not replaced."""
    return tuple(entry.get(name) for name in ("thresholds", "fixed", "plan_hash", "seeds"))


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each threshold that two entries differ in, what they measure, the plan.

    Parameters
    ----------
    then, now : mapping
        Entries of findings.json or of the register; a plan is compared with itself only.
    """
    old, new, day = then["thresholds"], now["thresholds"], then["date"]
    lines = [f"threshold of {name} was {_words(old.get(name))} when it was judged on {day}; now "
             f"{_words(new.get(name))}"
             for name in {**old, **new} if old.get(name) != new.get(name)]
    if not lines and then.get("fixed") != now.get("fixed"):
        lines.append(f"what is measured was that of {then.get('fixed') or 'an unknown day'} when "
                     f"it was judged on {day}; now that of {now.get('fixed')}")
    if then["plan"] == now["plan"] and then["plan_hash"] != now["plan_hash"]:
        lines.append(f"the runs of plan {then['plan']} were others when it was judged on {day}")
    return lines


def _words(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "none"

    def ends(pair: Iterable[float | None]) -> tuple[float, float]:
        low, high = pair
        return (-float("inf") if low is None else low, float("inf") if high is None else high)

    return in_words(Threshold(*ends(entry["accepted"]), ends(entry.get("target", (None, None)))))


# --- the register -------------------------------------------------------------------------


def registered(theorem: Theorem, paper: str) -> dict[str, Any]:
    """Return what the register must say of a claim but for its verdicts."""
    known = Finding(theorem.claim, "").to_dict()
    return {"fixed": known["fixed"], "thresholds": known["thresholds"],
            "plans": {name: plan_hash(theorem, name, paper) for name in theorem.runs}}


def entered(register: Mapping[str, Any], theorems: Iterable[Theorem], paper: str, today: str,
            findings: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the register of a paper as it must be now, with verdicts added.

    Parameters
    ----------
    register : mapping
        As it is: by id, ``fixed``, ``thresholds``, ``plans`` (hashes by name) and ``verdicts``.
    theorems : iterable of Theorem
        All claims of the paper.
    paper, today : str
    findings : iterable of mapping
        Entries of findings.json to be entered, of a claim perhaps several: one for each plan.

    Raises
    ------
    ValueError
        A finding that is no verdict on judging seeds, or was given with thresholds or runs that
        are not the claim's; thresholds that changed while their date did not.
    """
    given: dict[str, list[Mapping[str, Any]]] = {}
    for entry in findings:
        given.setdefault(entry["id"], []).append(entry)
    result: dict[str, Any] = {}
    for theorem in theorems:
        claim, known = theorem.claim, registered(theorem, paper)
        old = register.get(claim.id, {**known, "verdicts": []})
        if old["thresholds"] != known["thresholds"] and (
                known["fixed"] == old["fixed"] != today):
            raise ValueError(f"claim {claim.id}: fixed: expected the day on which its thresholds "
                             f"changed, got {known['fixed']}, that of the old ones")
        verdicts = list(old["verdicts"])
        for verdict in (_judged(entry, known) for entry in given.pop(claim.id, ())):
            verdicts += [] if verdict in verdicts else [verdict]
        result[claim.id] = {**known, "verdicts": verdicts}
    if given:
        raise ValueError(f"findings: expected claims of {paper}, got {', '.join(given)}")
    return result


def _judged(entry: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a finding that may be entered."""
    if entry.get("seeds_are") != "judging":
        raise ValueError(f"claim {entry['id']}: expected a verdict on judging seeds, got one on "
                         f"{entry.get('seeds_are') or 'no'} seeds")
    for line in differences(entry, _as_known(entry, known)):
        raise ValueError(f"claim {entry['id']}: expected a verdict given with what the claim says "
                         f"now, got another: {line}")
    return {name: entry[name] for name in VERDICT}


def _as_known(entry: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as it would be if it had been made with what the register must say."""
    return {**entry, "thresholds": known["thresholds"], "fixed": known["fixed"],
            "plan_hash": known["plans"].get(entry["plan"])}


def unexplained(theorem: Theorem, register: Mapping[str, Any], paper: str) -> list[str]:
    """Return what is wrong between a claim and its register, a line each.

    Either the register does not say what the claim says now, or a verdict was given with something
    else and the claim has no ``changed``, or a date from before that verdict.
    """
    known, entry = registered(theorem, paper), register.get(theorem.claim.id, {})
    lines = [f"{theorem.claim.id}: {name}: the register has {entry.get(name)}, the claim "
             f"{known[name]}" for name in known if entry.get(name) != known[name]]
    for verdict in entry.get("verdicts", ()):
        changes = differences(verdict, _as_known(verdict, known))
        if not theorem.claim.changed:
            lines += [f"{theorem.claim.id}: {line}, and `changed` gives no reason"
                      for line in changes]
        if verdict["thresholds"] != known["thresholds"] and known["fixed"] < verdict["date"]:
            lines.append(f"{theorem.claim.id}: its thresholds changed after the verdict of "
                         f"{verdict['date']}, but `fixed` is {known['fixed']}")
    return lines
