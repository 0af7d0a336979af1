"""A statement of a paper, the runs it is confronted with, and what came of it.

A :class:`Claim` says what is expected before anything is measured, a :class:`Measurement` is one
number with its interval over seeds, and a :class:`Finding` is the verdict: "holds", "fails" or
"outside the regime".

The burden of proof lies with the claim. It holds if, for each of its decisive measurements, the
whole 95 % interval lies in the accepted range fixed beforehand. An interval that straddles the
edge is therefore "fails" with a caveat that says so. Where the runs break an assumption of the
statement, or are too few to estimate anything, the verdict is "outside the regime".
"""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, NamedTuple

from simulator.runs.run import Run, Size
from theory.drawing.picture import Picture
from theory.plans import EXPLORING, JUDGING, Plans, kind_of
from theory.scaling import LEVEL, holm

__all__ = ["FAILS", "HOLDS", "OUTSIDE", "Assumption", "Claim", "Finding", "Findings",
           "Measurement", "Run", "Size", "Theorem", "Threshold", "accepted_range", "at_least",
           "at_most", "conclude", "confront_all", "corrected", "in_words", "outside", "seeds_of"]

HOLDS, FAILS, OUTSIDE = "holds", "fails", "outside the regime"
ALONE = "holds alone (p = "  # how the caveat of a verdict begins that a correction changed


@dataclass(frozen=True)
class Assumption:
    """Something a statement needs, checked on a run.

    Attributes
    ----------
    name : str
        In words, as in "k is at most sqrt(d)".
    fulfilled : callable
        Called with a Run.
    """

    name: str
    fulfilled: Callable[[Run], bool] = field(repr=False)


class Threshold(NamedTuple):
    """What a decisive measurement must satisfy.

    Attributes
    ----------
    low, high : float
        Ends of the range that must hold the whole interval.
    target : tuple of float
        Ends of the range that must hold the measured value itself.
    """

    low: float = -math.inf
    high: float = math.inf
    target: tuple[float, float] = (-math.inf, math.inf)


def at_least(low: float) -> Threshold:
    """Return the threshold of what must not be smaller."""
    return Threshold(low=low)


def at_most(high: float, low: float = -math.inf) -> Threshold:
    """Return the threshold of what must not be larger; ``low`` is where its values begin."""
    return Threshold(low, high)


@dataclass(frozen=True)
class Claim:
    """A statement of a paper as something to measure.

    Attributes
    ----------
    id : str
        "A2".
    title : str
        A few words.
    statement : str
        What the paper says, in our words.
    source : str
        Where it says so, and which constants or exponents are readings (derived here and
        tested, not quoted).
    assumptions : tuple of Assumption
        A size at which one of them is broken in any seed is left out.
    quantity : str
        What is measured.
    law : str
        What is expected of it, with the accepted range.
    expected : float
        The number the headline measurement is held against.
    thresholds : mapping of str to Threshold
        Of every decisive measurement, by its name. Empty: those that ``confront`` gives.
    fixed : str
        The day on which the thresholds, and what is measured, were fixed, as in "2026-11-26"; ""
        where nobody said. With another day a verdict counts as one of another measurement.
    changed : str
        Why thresholds, what is measured, or runs are others than those of a verdict given before.

    Raises
    ------
    ValueError
        ``fixed`` is no date.
    """

    id: str
    title: str
    statement: str
    source: str
    assumptions: tuple[Assumption, ...]
    quantity: str
    law: str
    expected: float
    thresholds: Mapping[str, Threshold] = field(default_factory=dict, hash=False)
    fixed: str = ""
    changed: str = ""

    def __post_init__(self) -> None:
        try:
            if self.fixed:
                date.fromisoformat(self.fixed)
        except (TypeError, ValueError):
            raise ValueError(f"claim {self.id}: fixed: expected a date such as 2026-11-26, got "
                             f"{self.fixed!r:.40}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return what the claim says; thresholds are those of its finding."""
        return {name: getattr(self, name) for name in (
            "title", "statement", "source", "quantity", "law", "changed")} | {
                "assumptions": [assumption.name for assumption in self.assumptions]}


@dataclass(frozen=True)
class Measurement:
    """One number with its interval over seeds.

    Attributes
    ----------
    name : str
    measured, low, high : float
        Mean over seeds and its 95 % interval.
    accepted : tuple of float
        Ends of the range that must hold the whole interval.
    p_value : float
        Of the hypothesis that the true value lies outside that range.
    target : tuple of float
        Ends of the range that must hold the measured value itself.
    decisive : bool
        False: shown in the report, no part of the verdict.
    threshold : str
        Its name among the thresholds of the claim; "" if that is ``name``.
    """

    name: str
    measured: float
    low: float
    high: float
    accepted: tuple[float, float]
    p_value: float
    target: tuple[float, float] = (-math.inf, math.inf)
    decisive: bool = True
    threshold: str = ""

    @property
    def limits(self) -> Threshold:
        """What it must satisfy."""
        return Threshold(*self.accepted, self.target)

    @property
    def holds(self) -> bool:
        """True if interval and value lie where they should. NaN never does."""
        return (self.accepted[0] <= self.low and self.high <= self.accepted[1]
                and self.target[0] <= self.measured <= self.target[1])

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: null where there is no number, or no limit."""
        numbers = {"measured": self.measured, "low": self.low, "high": self.high,
                   "p_value": self.p_value}
        return {"name": self.name, **{name: float(value) if math.isfinite(value) else None
                                      for name, value in numbers.items()},
                **_written({"": self.limits})[""], "decisive": self.decisive,
                "threshold": self.threshold}

    @property
    def undecided(self) -> bool:
        """True if the value lies in the accepted range and its interval reaches out of it."""
        return (not self.holds and self.accepted[0] <= self.measured <= self.accepted[1]
                and self.target[0] <= self.measured <= self.target[1])


@dataclass(frozen=True, repr=False)
class Finding:
    """What came of a claim.

    Attributes
    ----------
    claim : Claim
    verdict : "holds", "fails" or "outside the regime"
    measurements : tuple of Measurement
        The headline first; empty where nothing could be measured.
    caveats : tuple of str
    seeds : tuple of int
        Seeds the decisive intervals are over.
    sizes : tuple of Size
        Sizes that were inside the regime.
    data : Picture or None
        The numbers of the claim's figure.
    seeds_are : "judging", "exploring", "mixed" or ""
        Those of all runs it was confronted with.
    plan, plan_hash : str
        Name of the plan that the runs were made for, and :func:`theory.plans.plan_hash`; "" where
        there is none.
    date : str
        Of the verdict, UTC; "" where it is not kept.
    runs : tuple of str
        Folders of the runs it was confronted with; () where they are not kept.
    earlier : tuple of mapping
        Entries of findings.json with verdicts on judging seeds that had other thresholds or
        another plan.
    """

    claim: Claim
    verdict: str
    measurements: tuple[Measurement, ...] = ()
    caveats: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    sizes: tuple[Size, ...] = ()
    data: Picture | None = field(default=None, repr=False)
    seeds_are: str = ""
    plan: str = ""
    plan_hash: str = ""
    date: str = ""
    runs: tuple[str, ...] = ()
    earlier: tuple[Mapping[str, Any], ...] = ()

    def __repr__(self) -> str:
        lines = [f"{self.id}  {self.verdict}: {self.claim.title}"]
        if self.deciding is not None:
            lines.append(f"    {_interval(self.deciding)}, accepted "
                         f"{accepted_range(self.deciding)}")
        elif self.caveats:
            lines.append(f"    {self.caveats[0]}")
        return "\n".join(lines)

    def html_row(self) -> str:
        """Return the row of an HTML table: id, title, verdict, measured, accepted."""
        parts = [] if self.deciding is None else [self.deciding]
        cells = (self.id, self.claim.title, self.verdict, *map(_interval, parts),
                 *map(accepted_range, parts))
        return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"

    def _repr_html_(self) -> str:
        return f"<table>{self.html_row()}</table>"

    @property
    def id(self) -> str:
        """Of the claim."""
        return self.claim.id

    @property
    def deciding(self) -> Measurement | None:
        """The part that stands for the verdict: the headline, or of a claim that fails the first
        that is not accepted; None outside the regime.
        """
        if self.verdict == OUTSIDE or not self.measurements:
            return None
        first = self.measurements[0]
        refuted = [part for part in self.measurements if part.decisive and not part.holds]
        return refuted[0] if self.verdict == FAILS and refuted and first not in refuted else first

    @property
    def measured(self) -> float:
        """The headline measurement; NaN where there is none."""
        return self.measurements[0].measured if self.measurements else math.nan

    @property
    def low(self) -> float:
        """Lower end of the headline's interval."""
        return self.measurements[0].low if self.measurements else math.nan

    @property
    def high(self) -> float:
        """Upper end of the headline's interval."""
        return self.measurements[0].high if self.measurements else math.nan

    @property
    def p_value(self) -> float:
        """Of the hypothesis that the claim is false: the largest of its decisive parts.

        A claim is the conjunction of its parts; rejecting the falsehood of every one at level
        alpha rejects that of the conjunction at level alpha (intersection-union test).
        """
        return max((part.p_value for part in self.measurements if part.decisive), default=1.0)

    @property
    def thresholds(self) -> Mapping[str, Threshold]:
        """Those of the claim, or of its decisive measurements where it has none."""
        return self.claim.thresholds or {part.threshold or part.name: part.limits
                                         for part in self.measurements if part.decisive}

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of findings.json; null where nothing was measured, and no limit."""
        numbers = {"measured": self.measured, "low": self.low, "high": self.high,
                   "expected": self.claim.expected}
        return {"id": self.id, "verdict": self.verdict,
                **{name: float(value) if math.isfinite(value) else None
                   for name, value in numbers.items()},
                "caveats": list(self.caveats),
                "seeds": list(self.seeds), "seeds_are": self.seeds_are,
                "sizes": [size._asdict() for size in self.sizes],
                "thresholds": _written(self.thresholds), "fixed": self.claim.fixed,
                "plan": self.plan, "plan_hash": self.plan_hash, "date": self.date,
                "claim": self.claim.to_dict(), "runs": list(self.runs),
                "measurements": [part.to_dict() for part in self.measurements],
                "earlier": list(self.earlier)}


@dataclass(frozen=True, eq=False)
class Theorem:
    """A claim, how it is confronted, and what with.

    Attributes
    ----------
    claim : Claim
    confront : callable
        ``confront(runs) -> Finding``, for any runs of the paper's model.
    runs : mapping of str to tuple of Family
        The runs it needs, by the name of a plan.
    paper : str or None
        Whose runs they are; None for the paper that has the claim's letter.
    """

    claim: Claim
    confront: Callable[[Sequence[Run]], Finding] = field(repr=False)
    runs: Plans = field(default_factory=dict, repr=False)
    paper: str | None = None

    @property
    def order(self) -> tuple[str, int, str]:
        """What ids are sorted by: their letter, then their number: A9 before A10."""
        letters = self.claim.id.rstrip("0123456789")
        number = self.claim.id[len(letters):]
        return letters, int(number or 0), self.claim.id


class Findings(Sequence[Finding]):
    """What came of several claims: a sequence that shows itself as a table."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._findings = tuple(findings)

    def __getitem__(self, place: Any) -> Any:
        found = self._findings[place]
        return Findings(found) if isinstance(place, slice) else found

    def __len__(self) -> int:
        return len(self._findings)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._findings)) or "no findings"

    def _repr_html_(self) -> str:
        return ("<table><tr><th></th><th>claim</th><th>verdict</th><th>measured [95 %]</th>"
                "<th>accepted</th></tr>"
                + "".join(finding.html_row() for finding in self._findings) + "</table>")


def conclude(claim: Claim, measurements: Sequence[Measurement], runs: Sequence[Run],
             caveats: Sequence[str] = (), data: Picture | None = None) -> Finding:
    """Return the finding that the measurements amount to.

    Parameters
    ----------
    claim : Claim
    measurements : sequence of Measurement
        The headline first; at least one is decisive.
    runs : sequence of Run
        Those inside the regime, that were measured.
    caveats : sequence of str
    data : Picture or None
    """
    decisive = [part for part in measurements if part.decisive]
    if not decisive:
        raise ValueError(f"{claim.id}: expected a decisive measurement, got none")
    for part in decisive if claim.thresholds else ():
        name = part.threshold or part.name
        if claim.thresholds.get(name) != part.limits:
            raise ValueError(f"claim {claim.id}: {name}: expected what its thresholds say, "
                             f"{claim.thresholds.get(name, 'nothing')}, got {part.limits}")
    notes = [f"{part.name}: the value is accepted but its interval "
             f"[{part.low:.3g}, {part.high:.3g}] reaches out of the accepted range: "
             "more seeds would decide" for part in decisive if part.undecided]
    notes += [f"{part.name}: {part.measured:.3g} [{part.low:.3g}, {part.high:.3g}] is not in "
              f"the accepted range {accepted_range(part)}"
              for part in decisive if not part.holds and not part.undecided]
    verdict = HOLDS if all(part.holds for part in decisive) else FAILS
    return Finding(claim, verdict, tuple(measurements), (*notes, *caveats),
                   seeds_of(runs),
                   tuple(sorted({run.size for run in runs})), data)


def seeds_of(runs: Iterable[Run]) -> tuple[int, ...]:
    """Return the seeds of runs, ascending, each once."""
    return tuple(sorted({run.config.seed for run in runs}))


def _interval(part: Measurement) -> str:
    return f"{part.measured:.3g} [{part.low:.3g}, {part.high:.3g}]"


def accepted_range(part: Measurement) -> str:
    """Return the accepted range of a measurement in words: "at least 5"."""
    return in_words(part.limits)


def in_words(limits: Threshold) -> str:
    """Return a threshold in words: "at least 5"."""
    low, high, target = limits
    if math.isinf(high):
        text = f"at least {low:g}"
    elif math.isinf(low):
        text = f"at most {high:g}"
    else:
        text = f"[{low:g}, {high:g}]"
    if math.isfinite(target[0]) or math.isfinite(target[1]):
        text += f", value in [{target[0]:g}, {target[1]:g}]"
    return text


def _written(thresholds: Mapping[str, Threshold]) -> dict[str, Any]:
    """Return thresholds for JSON: null where there is no limit, no target where it is none."""
    def ends(low: float, high: float) -> list[float | None]:
        return [float(end) if math.isfinite(end) else None for end in (low, high)]

    return {name: {"accepted": ends(limits.low, limits.high)}
            | ({"target": ends(*limits.target)} if any(map(math.isfinite, limits.target)) else {})
            for name, limits in thresholds.items()}


def outside(claim: Claim, reasons: Sequence[str]) -> Finding:
    """Return the finding of a claim about which the runs say nothing, and why."""
    return Finding(claim, OUTSIDE, caveats=tuple(reasons))


def confront_all(runs: Sequence[Run], theorems: Sequence[Theorem],
                 meant: Callable[[Theorem, Run], bool] = lambda theorem, run: True
                 ) -> list[Finding]:
    """Confront claims with runs and correct the verdicts for their number (Holm).

    ``meant(theorem, run)`` says which runs were made for a claim, where others were made for
    another claim alone. Each finding tells what its seeds are good for.
    """
    own = {theorem.claim.id: [run for run in runs if meant(theorem, run)] for theorem in theorems}
    return corrected([_with_kind(theorem.confront(own[theorem.claim.id]), own[theorem.claim.id])
                      for theorem in theorems])


def _with_kind(finding: Finding, runs: Sequence[Run]) -> Finding:
    """Say of a finding which kind of seeds it is from, and whether its claim changed."""
    kind = kind_of(run.config.seed for run in runs)
    notes = () if kind in (JUDGING, "") else (
        f"exploration, no verdict on fresh seeds: {'its' if kind == EXPLORING else 'some'} seeds "
        "are below 2000, which may have been looked at while settings and thresholds were chosen",)
    changed = finding.claim.changed
    why = (f"thresholds or runs are not those of an earlier verdict: {changed}",) if changed else ()
    return replace(finding, caveats=(*finding.caveats, *why, *notes), seeds_are=kind)


def corrected(findings: Sequence[Finding]) -> list[Finding]:
    """Correct the verdicts for the number of claims confronted together (Holm).

    A claim that holds on its own but whose p-value does not survive becomes "fails", with a
    caveat: among many claims one passes by luck. What an earlier correction did is undone before.
    Findings on judging seeds are corrected together, and apart from them those on others.
    """
    findings = [_alone(finding) for finding in findings]
    adjusted: dict[str, tuple[float, int]] = {}
    for kind in {finding.seeds_are for finding in findings}:
        together = [finding for finding in findings if finding.seeds_are == kind
                    and finding.verdict != OUTSIDE and _has_parts(finding)]
        values = holm([finding.p_value for finding in together])
        adjusted |= {finding.id: (value, len(together))
                     for finding, value in zip(together, values)}
    result = []
    for finding in findings:
        value, number = adjusted.get(finding.id, (0.0, 0))
        if finding.verdict == HOLDS and value > 1.0 - LEVEL:
            note = (f"{ALONE}{finding.p_value:.2g}) but not after Holm's correction "
                    f"for {number} claims (p = {value:.2g})")
            finding = replace(finding, verdict=FAILS, caveats=(note, *finding.caveats))
        result.append(finding)
    return result


def _alone(finding: Finding) -> Finding:
    """Return a finding as it was before its verdict was corrected."""
    notes = tuple(note for note in finding.caveats if not note.startswith(ALONE))
    if len(notes) == len(finding.caveats) or not _has_parts(finding):
        return finding
    return replace(finding, verdict=HOLDS, caveats=notes)


def _has_parts(finding: Finding) -> bool:
    """Whether what its verdict rests on is known: not of one that an older version wrote."""
    return any(part.decisive for part in finding.measurements)
