"""Findings as a folder keeps them: one for each claim, whichever call it is from.

``findings.json`` has the entries, ``figures/<claim>.json`` the numbers of each figure, and
``calls.json`` what was typed and where it ran. So a call that confronts some claims updates their
rows, and the page shows the others as they were. The verdicts of all that a folder holds are
corrected together for their number: claims that are confronted one by one do not get off lightly.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from simulator.errors import RunError
from simulator.runs.files import json_text, read_json, write_atomic
from simulator.runs.run import Size
from theory.claim import Assumption, Claim, Finding, Measurement, Theorem, Threshold, corrected
from theory.drawing.picture import Picture, picture_from_dict, picture_to_dict

__all__ = ["Call", "calls_of", "findings_json", "kept_findings", "merged", "write_findings"]

FINDINGS, CALLS = "findings.json", "calls.json"
SINCE = "since this verdict its claim has other"  # how a caveat begins
OLDER = ("an older version wrote this: parts, figure and p-value were not kept, so no correction "
         "for the number of claims either; confronting it again adds them")


class Call(NamedTuple):
    """What was typed, when, which claims it confronted, and where: the environment."""

    date: str
    command: str
    claims: tuple[str, ...]
    environment: Mapping[str, Any]


def findings_json(findings: Iterable[Finding]) -> str:
    """Return the text of ``findings.json``, without an end of line."""
    return json_text({"findings": [finding.to_dict() for finding in findings]})


def kept_findings(folder: Path, known: Sequence[Theorem],
                  hashes: Mapping[str, str] | None = None) -> list[Finding]:
    """Return the findings in a folder, in order; none where there is no such folder.

    One whose claim has other thresholds or runs now has a caveat that says so.

    Parameters
    ----------
    folder : Path
    known : sequence of Theorem
        Claims of the paper: an entry of an older version has not kept what its claim says.
    hashes : mapping of str to str or None
        :func:`theory.plans.plan_hash` by claim, as it is now.

    Raises
    ------
    Damaged
        They cannot be read: verdicts that somebody may rely on are not overwritten unseen.
    RunError
        They are no findings.
    """
    if not (folder / FINDINGS).exists():
        return []
    claims = {theorem.claim.id: theorem.claim for theorem in known}
    entries = read_json(folder / FINDINGS).get("findings", ())
    try:
        found = [_finding(entry, claims.get(entry["id"]), folder) for entry in entries
                 if "thresholds" in entry]  # those of before cannot be shown again
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{folder / FINDINGS}: expected findings of purify verify, got "
                       f"{type(error).__name__}: {error}") from None
    return [_dated(finding, claims.get(finding.id), (hashes or {}).get(finding.id))
            for finding in found]


def _dated(finding: Finding, claim: Claim | None, plan_hash: str | None) -> Finding:
    """Say of a finding if its claim has changed since; unsay it if it has changed back."""
    changed = [words for words, is_other in (
        ("thresholds", claim and claim.thresholds and claim.thresholds != finding.thresholds),
        ("runs", plan_hash and plan_hash != finding.plan_hash)) if is_other]
    note = f"{SINCE} {' and '.join(changed)}: confront it again"
    notes = tuple(old for old in finding.caveats if not old.startswith(SINCE))
    return replace(finding, caveats=(note, *notes) if changed else notes)


def merged(kept: Iterable[Finding], new: Iterable[Finding]) -> list[Finding]:
    """Return all findings in the order of their claims, corrected together; new ones replace."""
    by_id = {finding.id: finding for finding in (*kept, *new)}
    return corrected(sorted(by_id.values(), key=lambda finding: Theorem(
        finding.claim, _not_kept).order))


def write_findings(folder: Path, findings: Sequence[Finding], new: Iterable[str],
                   call: Call) -> None:
    """Write what a folder keeps; of the figures those of the claims that are ``new``.

    Raises
    ------
    RunError
        Its calls are damaged: nothing is written.
    """
    calls = [other for other in calls_of(folder) if set(other.claims) - set(call.claims)]
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for finding in findings:
        if finding.id in new and finding.data is not None:
            write_atomic(_numbers(folder, finding.id),
                         f"{json_text(picture_to_dict(finding.data))}\n".encode())
        elif finding.id in new:
            _numbers(folder, finding.id).unlink(missing_ok=True)
    write_atomic(folder / FINDINGS, f"{findings_json(findings)}\n".encode())
    entries = [entry._asdict() | {"claims": list(entry.claims)} for entry in (*calls, call)]
    write_atomic(folder / CALLS, f"{json_text({'calls': entries})}\n".encode())


def calls_of(folder: Path) -> list[Call]:
    """Return the calls whose findings a folder has, the last one at the end, or raise RunError."""
    if not (folder / CALLS).exists():
        return []
    entries = read_json(folder / CALLS).get("calls", ())
    try:
        return [Call(entry["date"], entry["command"], tuple(entry["claims"]), entry["environment"])
                for entry in entries]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{folder / CALLS}: expected calls of purify verify, got "
                       f"{type(error).__name__}: {error}") from None


def _numbers(folder: Path, claim: str) -> Path:
    """The file with the numbers of a claim's figure."""
    return folder / "figures" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', claim)}.json"


def _finding(entry: Mapping[str, Any], known: Claim | None, folder: Path) -> Finding:
    """Return the finding of which an entry was made; of an older entry what it has of it."""
    thresholds = {name: Threshold(*_limits(limits["accepted"]), _limits(limits.get("target")))
                  for name, limits in entry["thresholds"].items()}
    told = entry.get("claim") or (known.to_dict() if known else {})
    expected = entry.get("expected")
    claim = Claim(entry["id"], told.get("title", ""), told.get("statement", ""),
                  told.get("source", ""), tuple(Assumption(name, _not_kept) for name in told.get(
                      "assumptions", ())), told.get("quantity", ""), told.get("law", ""),
                  float("nan") if expected is None else expected, thresholds,
                  entry.get("fixed", ""), told.get("changed", ""))
    parts = [_measurement(part) for part in entry.get("measurements", ())]
    if "measurements" not in entry and entry.get("measured") is not None:
        parts = [_measurement({"name": "headline", "accepted": None, "p_value": None,
                               "decisive": False, "threshold": ""}
                              | {name: entry[name] for name in ("measured", "low", "high")})]
    caveats = tuple(entry["caveats"])
    if "measurements" not in entry:
        caveats = (*caveats, OLDER) if OLDER not in caveats else caveats
    return Finding(claim, entry["verdict"], tuple(parts), caveats, tuple(entry.get("seeds", ())),
                   tuple(Size(**size) for size in entry.get("sizes", ())),
                   _picture(_numbers(folder, entry["id"])), entry.get("seeds_are", ""),
                   entry.get("plan", ""), entry.get("plan_hash", ""), entry.get("date", ""),
                   tuple(entry.get("runs", ())), tuple(entry.get("earlier", ())))


def _measurement(part: Mapping[str, Any]) -> Measurement:
    measured, low, high = (_number(part[name]) for name in ("measured", "low", "high"))
    p_value = part["p_value"]
    return Measurement(part["name"], measured, low, high, _limits(part["accepted"]),
                       1.0 if p_value is None else p_value, _limits(part.get("target")),
                       part["decisive"], part["threshold"])


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _limits(ends: Sequence[float | None] | None) -> tuple[float, float]:
    low, high = ends or (None, None)
    return (-float("inf") if low is None else low, float("inf") if high is None else high)


def _picture(file: Path) -> Picture | None:
    """The figure's numbers, or None where there is none or it is none: the verdict stands."""
    try:
        return picture_from_dict(read_json(file)) if file.exists() else None
    except (RunError, KeyError, TypeError, ValueError):
        return None


def _not_kept(_: Any) -> Any:
    """What stands for code of a claim, of which only the words are kept."""
    raise RunError("a finding from a file cannot be confronted again; its claim can")
