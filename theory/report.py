"""The page of a verification: what holds, at a glance; then figure by figure; then everything.

First one line a claim: its verdict, the measured interval drawn against the range that was accepted
beforehand, sizes and seeds. Then each claim with its figure and with what qualifies its verdict,
and folded below it parts, thresholds, sources, earlier verdicts. One HTML file that needs no other
(:mod:`theory.pages.kit`); it is made of what the folder keeps (:mod:`theory.findings`), so it shows
claims of several calls.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulator.experiments import PAPERS
from simulator.runs.files import read_json
from theory.claim import ALONE, FAILS, HOLDS, OUTSIDE, Finding, Measurement, accepted_range
from theory.confirmation import basis, differences
from theory.drawing.claims import draw
from theory.drawing.style import DrawingError, drawn, house_style
from theory.findings import SINCE, Call, calls_of
from theory.pages import kit
from theory.pages.kit import Html, number, text
from theory.pages.mathematics import with_mathml
from theory.plans import JUDGING, seed_ranges

__all__ = ["RunShown", "folder_report", "html_report", "settings_of"]

STYLE = """
ul.claims { list-style: none; padding: 0; margin: 1rem 0; border-top: 1px solid var(--rule); }
ul.claims li { display: grid; grid-template-columns: 6.4rem minmax(0, 1fr) 184px 12rem 11.6rem;
  gap: 0 .9rem; align-items: center; padding: .38rem .2rem; border-bottom: 1px solid var(--rule); }
ul.claims .small { font-size: .8rem; line-height: 1.35; color: var(--soft); display: block; }
ul.claims .why { grid-column: 3 / 5; }
.verdict { font-weight: 600; }
.measured { font-variant-numeric: tabular-nums; }
.flag { color: var(--fails); font-size: .8rem; display: block; line-height: 1.35; }
svg.strip { display: block; max-width: 100%; overflow: visible; }
td svg.strip { max-width: none; } td:has(svg.strip) + td + td { white-space: nowrap; }
.wide tbody th { min-width: 10rem; }
p.said { margin: .2rem 0 .6rem; }
ul.notes { margin: .5rem 0; font-size: .92em; }
math { font-size: 1.05em; }
math :is(msub, msup, msubsup) > :not(:first-child) { font-size: max(.75em, 11.5px); }
@media (max-width: 62rem) {
  ul.claims li { grid-template-columns: 6.4rem minmax(0, 1fr); gap: .15rem .7rem;
                 padding: .55rem 0; }
  ul.claims .why, ul.claims .sizes, ul.claims .drawn, ul.claims .numbers { grid-column: 2; }
}
@media (max-width: 40rem) { h1 { font-size: 1.25rem; } }
"""
MARKS = {HOLDS: "✓", FAILS: "✗", OUTSIDE: "–"}
MANY_NOTES = 3  # of a claim that are shown, the rest is folded
WIDTH, HEIGHT, END = 184.0, 22.0, 6.0  # pixels of a drawn interval; END is kept free at its ends
MARGIN = 0.12  # of its axis is beyond what it shows, at each end
DECADES = 20.0  # ends of an axis, one over the other, from which on it is logarithmic


class RunShown(NamedTuple):
    """A run that was confronted: its folder's name, settings ({} where it is gone), its page."""

    name: str
    settings: Mapping[str, Any]
    page: str = ""


def folder_report(folder: Path, findings: Sequence[Finding], title: str) -> str:
    """Return the report of findings, with the calls that their folder keeps and the runs beside it.

    Raises
    ------
    RunError
        What the folder keeps of the calls is damaged.
    """
    return html_report(findings, settings_of(findings, folder.parent), calls_of(folder), title)


def settings_of(findings: Sequence[Finding], root: Path) -> list[RunShown]:
    """Return the runs of some findings, as they lie in ``root``."""
    shown = []
    for name in dict.fromkeys(name for finding in findings for name in finding.runs):
        config, page = root / name / "config.json", root / name / "report.html"
        shown.append(RunShown(name, read_json(config) if config.exists() else {},
                              f"../{name}/report.html" if page.exists() else ""))
    return shown


def html_report(findings: Sequence[Finding], runs: Sequence[RunShown], calls: Sequence[Call],
                title: str = "Feature purification") -> str:
    """Return the report as one HTML page.

    Parameters
    ----------
    findings : sequence of Finding
    runs : sequence of RunShown
        All that were confronted, inside a regime or not.
    calls : sequence of Call
        What was typed, the last one at the end.
    title : str
        Of the paper.

    Notes
    -----
    A figure that cannot be drawn is a line that says why; the verdicts do not depend on it.
    """
    counts = {words: sum(finding.verdict == verdict for finding in findings) for verdict, words in
              ((HOLDS, "hold"), (FAILS, "fail"), (OUTSIDE, "outside the regime"))}
    summary = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
    plans = sorted({finding.plan for finding in findings if finding.plan})
    over = f" Plan {', '.join(plans)}, {len(runs)} runs." if plans else ""
    return kit.page(
        f"{title}: claims and measurements",
        kit.lead(f"{len(findings)} claims: {summary}.{over}" if findings else "No claims."),
        _overview(findings),
        *(_section(finding) for finding in findings),
        kit.section("How to read this", kit.paragraph(
            "Drawn is the measured value with its 95 % interval: Student's t over seeds, for "
            "accuracies also exact binomial. Shaded is the range that was accepted before it was "
            "measured. A claim holds if every decisive interval lies in its range, after Holm's "
            "correction for the number of claims on this page. Anything else that could be "
            "measured fails; outside the regime means that the runs break an assumption of the "
            "statement. Settings and thresholds were chosen on seeds below 100; verdicts are "
            "those of seeds from 2000, and on other seeds a finding is exploration. A threshold "
            "that changed after a verdict is told with the claim.")),
        kit.section("Runs and settings", _runs(runs)),
        kit.section("Calls and environment", *_calls(calls)), style=STYLE)


# --- the first screen ---------------------------------------------------------------------


def _overview(findings: Sequence[Finding]) -> Html:
    rows = "\n".join(f"<li>{_row(finding)}</li>" for finding in findings)
    return Html(f'<ul class="claims" id="claims">\n{rows}\n</ul>') if rows else Html("")


def _row(finding: Finding) -> str:
    part = finding.deciding
    name = (f'<span>{_verdict(finding)}</span><span><a href="#{text(finding.id)}">'
            f"{text(finding.id)}</a> {with_mathml(finding.claim.title)}</span>")
    size, seeds, flags = text(_sizes(finding)), text(_seeds(finding)), _flags(finding)
    sizes = f'<span class="small sizes">{size}<br>{seeds}{flags}</span>' if size or flags else ""
    if part is None:
        why = finding.caveats[0] if finding.caveats else ""
        return f'{name}<span class="small why">{with_mathml(_short(why))}</span>{sizes}'
    decisive = [other for other in finding.measurements if other.decisive]
    inside = f"; {sum(other.holds for other in decisive)} of {len(decisive)} parts inside" if len(
        decisive) > 1 else ""
    accepted = f"accepted: {accepted_range(part)}" if part.decisive else "no range kept"
    return (f'{name}<span class="drawn">{_strip(part)}</span><span class="numbers">'
            f'<span class="measured">{_value(part)}</span>'
            f'<span class="small">{text(accepted + inside)}</span></span>{sizes}')


def _verdict(finding: Finding) -> Html:
    kind, words = finding.verdict.split()[0], finding.verdict
    return Html(f'<span class="verdict {text(kind)}">{MARKS.get(words, "")}&nbsp;{text(words)}'
                "</span>")


def _flags(finding: Finding) -> str:
    """What a reader must know before reading the verdict."""
    flags = [] if finding.seeds_are in ("", JUDGING) else ["exploration: no verdict"]
    if any(note.startswith(ALONE) for note in finding.caveats):
        flags.append("inside, but not after Holm's correction")
    if any(note.startswith(SINCE) for note in finding.caveats):
        flags.append("its claim has changed since")
    if finding.claim.changed or any(_changes(entry, finding) for entry in _earlier(finding)):
        flags.append("changed after a verdict")
    return "".join(f'<span class="flag">{text(flag)}</span>' for flag in flags)


def _short(note: str, most: int = 110) -> str:
    return note if len(note) <= most else note[:most].rsplit(" ", 1)[0] + " …"


def _value(part: Measurement) -> str:
    return f"{number(part.measured)} [{number(part.low)}, {number(part.high)}]"


def _sizes(finding: Finding) -> str:
    families: dict[str, list[str]] = {}
    for size in finding.sizes:
        families.setdefault(size.family, []).append(str(size))
    return "; ".join(f"{family} {', '.join(names) if len(names) < 4 else _ends(names)}"
                     for family, names in families.items())


def _ends(names: Sequence[str]) -> str:
    return f"{names[0]} to {names[-1]}, {len(names)} sizes"


def _seeds(finding: Finding) -> str:
    if not finding.seeds:
        return ""
    count = len(finding.seeds)
    return f"{count} seed{'s' if count > 1 else ''}: {seed_ranges(finding.seeds)}"


def _strip(part: Measurement) -> Html:
    """Draw an interval against its accepted range, on an axis of its own."""
    ends = (part.measured, part.low, part.high, *part.accepted, *part.target)
    finite = [end for end in ends if math.isfinite(end)]
    if not math.isfinite(part.measured):
        return Html("")
    at = _axis(finite)
    low, high = (at(end) for end in (part.low, part.high))
    colour = "--outside" if not part.decisive else "--holds" if part.holds else "--fails"
    shapes = [f'<line x1="0" x2="{WIDTH:g}" y1="11" y2="11" stroke="var(--rule)"/>']
    for limits in (part.accepted, part.target):
        if part.decisive and any(map(math.isfinite, limits)):
            left, right = map(at, limits)
            shapes.append(f'<rect x="{left:.1f}" y="1" width="{right - left:.1f}" height="20" '
                          'fill="var(--holds)" opacity="0.2"/>')
            shapes += [f'<line x1="{at(end):.1f}" x2="{at(end):.1f}" y1="1" y2="21" '
                       'stroke="var(--holds)"/>' for end in limits if math.isfinite(end)]
    shapes.append(f'<path d="M{low:.1f} 7V15M{low:.1f} 11H{high:.1f}M{high:.1f} 7V15" fill="none" '
                  f'stroke="var({colour})" stroke-width="2"/><circle cx="{at(part.measured):.1f}" '
                  f'cy="11" r="4" fill="var({colour})"/>')
    accepted = f", accepted {accepted_range(part)}" if part.decisive else ""
    told = f"{part.name}: measured {_value(part)}{accepted}"
    return Html(f'<svg class="strip" role="img" aria-label="{text(told)}" width="{WIDTH:g}" '
                f'height="{HEIGHT:g}" viewBox="0 0 {WIDTH:g} {HEIGHT:g}"><title>{text(told)}'
                f"</title>{''.join(shapes)}</svg>")


def _axis(finite: Sequence[float]) -> Any:
    """Return where a value lies on the axis of an interval; infinite ends are at its ends."""
    is_log = min(finite) > 0.0 and max(finite) > DECADES * min(finite)
    low, high = (math.log(end) if is_log else end for end in (min(finite), max(finite)))
    room = MARGIN * (high - low) or 0.5 * abs(high) or 0.5
    low, high = low - room, high + room

    def at(value: float) -> float:
        if math.isinf(value) or (is_log and value <= 0.0):
            return WIDTH if value > 0.0 else 0.0
        share = ((math.log(value) if is_log else value) - low) / (high - low)
        return END + (WIDTH - 2.0 * END) * share

    return at


# --- claim by claim -----------------------------------------------------------------------


def _section(finding: Finding) -> Html:
    claim, part = finding.claim, finding.deciding
    told = Html("")
    if part is not None:
        accepted = f", accepted {accepted_range(part)}" if part.decisive else ""
        told = Html(f". {with_mathml(_first(part.name))}: {_value(part)}{text(accepted)}")
    said = Html(f'<p class="said">{_verdict(finding)}{told}. '
                '<a href="#claims">All claims</a></p>')
    shown, folded = finding.caveats[:MANY_NOTES], finding.caveats[MANY_NOTES:]
    return kit.section(
        Html(f"{text(claim.id)}. {with_mathml(claim.title)}"), said,  # a heading may have formulas
        kit.paragraph(with_mathml(claim.statement)) if claim.statement else "",
        _figure(finding), _notes(shown),
        kit.folded("Parts, assumptions, source", _parts(claim.id, finding.measurements),
                   _notes(folded), kit.pairs(dict(_facts(finding))), _on_record(finding)),
        name=claim.id)


def _first(words: str) -> str:
    """The words as a sentence begins; a name of one letter keeps its case."""
    return words[:1].upper() + words[1:] if words[1:2].isalpha() else words


def _facts(finding: Finding) -> Iterator[tuple[str, Html]]:
    claim = finding.claim
    yield from ((name, with_mathml(words)) for name, words in (
        ("measured", claim.quantity), ("accepted", claim.law),
        ("assumes", "; ".join(assumption.name for assumption in claim.assumptions)),
        ("source", claim.source), ("changed", claim.changed)) if words)
    if finding.sizes:
        yield "over", text(f"{_all_sizes(finding)}; {_seeds(finding)}")
    if basis(finding):
        yield "rests on", text(basis(finding))
    if finding.date:
        yield "verdict of", text(finding.date)


def _all_sizes(finding: Finding) -> str:
    return ", ".join(f"{size.family} {size}" for size in finding.sizes)


def _notes(notes: Sequence[str]) -> Html:
    if not notes:
        return Html("")
    items = "".join(f"<li>{with_mathml(note)}</li>" for note in notes)
    return Html(f'<ul class="notes">{items}</ul>')


def _parts(claim: str, measurements: Sequence[Measurement]) -> Html:
    if not measurements:
        return Html("")
    rows = [[with_mathml(part.name), _strip(part), part.measured,
             f"[{number(part.low)}, {number(part.high)}]",
             accepted_range(part) if part.decisive else "shown only",
             ("yes" if part.holds else "no") if part.decisive else "",
             (part.p_value, number(part.p_value, 2))] for part in measurements]
    heads = ["part", "drawn", "measured", "95 % interval", "accepted", "inside", "p"]
    return kit.table(heads, rows,
                     caption=f"What was measured for {claim}, against what was accepted before")


def _figure(finding: Finding) -> Html:
    picture = finding.data
    if picture is None or not picture.panels:
        return Html("")
    alt = f"Figure of claim {finding.id}: {picture.caption.partition('. ')[0]}"
    try:
        with house_style():
            return drawn(finding.id, lambda: kit.figure(  # for a phone below each other
                draw(picture), narrow=draw(picture, 1), caption=with_mathml(picture.caption),
                alt=alt))
    except DrawingError as error:
        return kit.paragraph(str(error), "note")


# --- what was said before -----------------------------------------------------------------


def _earlier(finding: Finding) -> list[Mapping[str, Any]]:
    """Verdicts on judging seeds before this one: those kept with it, and those of the register."""
    found = {_identity(entry): entry
             for entry in (*_registered(finding.id), *finding.earlier)}
    found.pop(_identity(finding.to_dict()), None)
    return sorted(found.values(), key=lambda entry: str(entry.get("date")))


def _identity(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells one verdict from another; of one day there may be several."""
    return tuple(str(entry.get(name)) for name in ("date", "plan_hash", "seeds", "verdict",
                                                   "measured", "low", "high"))


def _registered(claim: str) -> list[Mapping[str, Any]]:
    """The verdicts of a claim in the register that is kept with the package."""
    paper = next((entry.name for entry in PAPERS if claim[:1] in entry.letters), "")
    file = Path(__file__).parent / paper / "judged.json"
    return read_json(file).get(claim, {}).get("verdicts", []) if paper and file.exists() else []


def _changes(then: Mapping[str, Any], finding: Finding) -> list[str]:
    return differences(then, finding.to_dict())


def _on_record(finding: Finding) -> Html:
    entries = _earlier(finding)
    if not entries:
        return Html("")
    rows = []
    for entry in entries:
        measured, low, high = (math.nan if entry.get(name) is None else float(entry[name])
                               for name in ("measured", "low", "high"))
        rows.append([entry["date"], entry["plan"], seed_ranges(entry["seeds"]) or "–",
                     entry["verdict"], f"{number(measured)} [{number(low)}, {number(high)}]",
                     "; ".join(_changes(entry, finding)) or "as now"])
    return kit.table(["date", "plan", "seeds", "verdict", "headline", "thresholds and runs"], rows,
                     caption=f"Verdicts on {finding.id} on judging seeds before this one")


# --- with what ----------------------------------------------------------------------------


def _runs(runs: Sequence[RunShown]) -> Html:
    """What all runs share, then a table of what differs."""
    if not runs:
        return kit.paragraph("The runs are not kept.")
    settings = [run.settings for run in runs if run.settings]
    shared = {name: value for name, value in (settings[0] if settings else {}).items()
              if all(other.get(name) == value for other in settings)}
    differing = [name for name in (settings[0] if settings else {}) if name not in shared]
    rows = []
    for run in runs:
        name = (Html(f'<a href="{text(run.page)}">{text(run.name)}</a>') if run.page
                else text(run.name))
        rows.append([name, *(run.settings.get(setting, "") for setting in differing)])
    return kit.folded(
        f"{len(runs)} runs",
        kit.table(["folder: name and hash", *differing], rows,
                  caption="Runs, and the settings in which they differ", sortable=True),
        kit.folded("Settings that all share", kit.pairs(shared)))


def _calls(calls: Sequence[Call]) -> list[Html]:
    if not calls:
        return [kit.paragraph("They are not kept.")]
    rows = [[call.date, Html(f"<code>{text(call.command)}</code>"), ", ".join(call.claims)]
            for call in calls]
    return [kit.table(["date", "command", "claims"], rows,
                      caption="The calls that the claims on this page are from"),
            kit.folded("Environment of the last call", kit.pairs(calls[-1].environment))]
