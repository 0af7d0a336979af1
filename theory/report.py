"""One HTML file with everything: verdicts, figures, settings, environment. No other file needed.

The page holds no script and asks no server for anything; figures are PNG inlined as base64. The
table on top is short, so that the first figure is near; what a claim says and where it comes from
stands with its figure.
"""

import base64
import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.runs.config import config_hash
from theory.claim import HOLDS, OUTSIDE, Finding, Measurement, Run, accepted_range
from theory.confirmation import basis
from theory.drawing.claims import png
from theory.drawing.style import DrawingError
from theory.plans import JUDGING

__all__ = ["html_report", "number", "written"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 1120px;
       margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.55rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.6rem; }
h3 { font-size: 1.02rem; margin: 0; }
p.lead { color: #555; margin-top: 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th { text-align: left; font-weight: 600; border-bottom: 1.5px solid #333; padding: .3rem .55rem; }
td { border-bottom: 1px solid #ddd; padding: .35rem .55rem; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
                       white-space: nowrap; }
.verdict { font-weight: 600; }
.holds { color: #00694d; } .fails { color: #a8321d; } .outside { color: #666; }
section { border-top: 1px solid #ddd; padding-top: 1.2rem; margin-top: 1.6rem; }
section header { display: flex; gap: 1rem; justify-content: space-between;
                 align-items: baseline; }
dl { display: grid; grid-template-columns: 7.5rem 1fr; gap: .15rem .8rem; font-size: .9rem; }
dt { color: #666; } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1.1rem 0; } figure img { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; color: #444; max-width: 60rem; }
ul { margin: .2rem 0; padding-left: 1.1rem; } code { font-size: .85em; overflow-wrap: anywhere; }
.note { font-size: .92em; color: #555; margin-top: .25rem; }
.wide { overflow-x: auto; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; padding: 0 .7rem; font-size: 14px; }
  th, td { padding: .25rem .3rem; } dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
}
@media print { section { break-inside: avoid; } }
"""
# How the texts of claims, which a terminal shows too, look where every letter can be shown.
SIGNS = (("<=", "≤"), (">=", "≥"), ("->", "→"), ("sqrt", "√"), ("+-", "±"), ("w*", "w⋆"),
         (" infinity", " ∞"))
GREEK = {"alpha": "α", "beta": "β", "delta": "δ", "epsilon": "ε", "eta": "η", "gamma": "γ",
         "kappa": "κ", "lambda": "λ", "rho": "ρ", "sigma": "σ", "tau": "τ", "xi": "ξ",
         "Theta": "Θ"}
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def html_report(findings: Sequence[Finding], runs: Sequence[Run], command: str,
                facts: Mapping[str, Any], title: str = "Feature purification") -> str:
    """Return the report as one HTML page.

    Parameters
    ----------
    findings : sequence of Finding
    runs : sequence of Run
        All that were confronted, inside a regime or not.
    command : str
        What was typed.
    facts : mapping of str to Any
        The environment, as in :func:`simulator.runs.folder.environment`.
    title : str
        Of the paper.

    Notes
    -----
    A figure that cannot be drawn is a line that says why; the verdicts do not depend on it.
    """
    counts = {verdict: sum(finding.verdict == verdict for finding in findings)
              for verdict in (HOLDS, "fails", OUTSIDE)}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    seeds = sorted({run.config.seed for run in runs})
    body = [
        f"<h1>{_text(title)}: claims and measurements</h1>",
        f'<p class="lead">{len(findings)} claims: {summary}. {len(runs)} runs, '
        f"{len(seeds)} seeds. <code>{_text(command)}</code></p>",
        _verdict_table(findings),
        "<h2>Claim by claim</h2>",
        *(_section(finding) for finding in findings),
        "<h2>How to read this</h2>",
        "<p>Intervals are 95 %, Student's t over seeds (and exact binomial for accuracies). A "
        "claim holds if every decisive interval lies in the range fixed beforehand, after "
        "Holm's correction for the number of claims. Anything else that could be measured is "
        "\"fails\"; \"outside the regime\" means that the runs break an assumption of the "
        "statement. Settings and thresholds were chosen on seeds below 100; verdicts are those of "
        "seeds from 2000, and on other seeds a finding is exploration. A threshold that changed "
        "after a verdict is told with the claim.</p>",
        "<h2>Settings</h2>", _settings(runs),
        "<h2>Environment</h2>", _facts(facts),
    ]
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{_text(title)}: findings</title>\n<style>{STYLE}</style>\n</head>\n"
            "<body>\n" + "\n".join(body) + "\n</body>\n</html>\n")


def number(value: float, digits: int = 3) -> str:
    """Return a number for a table: three digits, a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−")


def written(text: str) -> str:
    """Return the text of a claim with its mathematics as letters and signs, not words.

    ``tau <= 1/sqrt(k)`` becomes ``τ ≤ 1/√(k)``, and ``<w, v>`` angle brackets.
    """
    text = re.sub(r"<([\w*|^', ()]+?), ?([\w*|^', ()]+?)>", r"⟨\1, \2⟩", text)
    for sign, letter in SIGNS:
        text = text.replace(sign, letter)
    text = re.sub(r"\b(" + "|".join(GREEK) + r")(?![a-z])", lambda found: GREEK[found[1]], text)
    return re.sub(r"(?<=[\w)])\^(\d)\b", lambda found: found[1].translate(RAISED), text)


def _text(value: object) -> str:
    return html.escape(str(value))


def _prose(text: str) -> str:
    return html.escape(written(text))


def _verdict(finding: Finding) -> str:
    kind = finding.verdict.split()[0]
    seeds = "" if finding.seeds_are in ("", JUDGING) else f" ({finding.seeds_are} seeds)"
    return f'<span class="verdict {kind}">{_text(finding.verdict + seeds)}</span>'


def _interval(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"[{number(low)}, {number(high)}]"


def _verdict_table(findings: Sequence[Finding]) -> str:
    rows = []
    for finding in findings:
        accepted = accepted_range(finding.measurements[0]) if finding.measurements else "–"
        rows.append(f'<tr><td><a href="#{_text(finding.id)}">{_text(finding.id)}</a></td>'
                    f"<td>{_prose(finding.claim.title)}</td><td>{_verdict(finding)}</td>"
                    f'<td class="number">{number(finding.measured)}<br>'
                    f"{_interval(finding.low, finding.high)}</td>"
                    f"<td>{_text(accepted)}</td></tr>")
    return ('<div class="wide"><table><thead><tr><th></th><th>claim</th><th>verdict</th>'
            '<th class="number">measured<br>95 % interval</th><th>accepted</th></tr></thead>'
            "<tbody>" + "".join(rows) + "</tbody></table></div>")


def _list(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return ('<ul class="note">' + "".join(f"<li>{_prose(note)}</li>" for note in notes) + "</ul>")


def _section(finding: Finding) -> str:
    claim = finding.claim
    assumptions = "; ".join(assumption.name for assumption in claim.assumptions)
    rows = [("measured", claim.quantity), ("accepted", claim.law), ("assumes", assumptions),
            ("source", claim.source)]
    if finding.sizes:
        rows.append(("over", f"{_sizes(finding)}; seeds "
                     + ", ".join(map(str, finding.seeds))))
    rows.append(("rests on", basis(finding)))
    items = "".join(f"<dt>{name}</dt><dd>{_prose(text)}</dd>" for name, text in rows if text)
    return (f'<section id="{_text(claim.id)}"><header><h3>{_text(claim.id)}. '
            f"{_prose(claim.title)}</h3>{_verdict(finding)}</header>"
            f"<p>{_prose(claim.statement)}</p>{_figure(finding)}{_parts(finding.measurements)}"
            f"{_list(finding.caveats)}<dl>{items}</dl></section>")


def _sizes(finding: Finding) -> str:
    families: dict[str, list[str]] = {}
    for size in finding.sizes:
        families.setdefault(size.family, []).append(str(size))
    return "; ".join(f"{family} {', '.join(names)}" for family, names in families.items())


def _parts(measurements: Sequence[Measurement]) -> str:
    if not measurements:
        return ""
    rows = []
    for part in measurements:
        outcome = "" if not part.decisive else "yes" if part.holds else "no"
        rows.append(f'<tr><td>{_prose(part.name)}</td><td class="number">{number(part.measured)}'
                    f'</td><td class="number">{_interval(part.low, part.high)}</td>'
                    f"<td>{_text(accepted_range(part) if part.decisive else 'shown only')}</td>"
                    f'<td>{outcome}</td><td class="number">{number(part.p_value, 2)}</td></tr>')
    return ('<div class="wide"><table><thead><tr><th>part</th><th class="number">measured</th>'
            '<th class="number">95 % interval</th><th>accepted</th><th>inside</th>'
            '<th class="number">p</th></tr></thead><tbody>' + "".join(rows)
            + "</tbody></table></div>")


def _figure(finding: Finding) -> str:
    if finding.data is None or not finding.data.panels:
        return ""
    try:
        image = base64.b64encode(png(finding.data, finding.id)).decode()
    except DrawingError as error:
        return f'<p class="note">{_text(error)}</p>'
    caption = (f"{finding.data.caption} Mean over seeds with its 95 % interval; beside it a dot, "
               "or under it a faint line, for each seed.")
    return (f'<figure><img alt="Figure of claim {_text(finding.id)}" '
            f'src="data:image/png;base64,{image}"><figcaption>{_prose(caption)}</figcaption>'
            "</figure>")


def _settings(runs: Sequence[Run]) -> str:
    """What all runs share, then a table of what differs, with the config hashes."""
    if not runs:
        return "<p>There were no runs.</p>"
    settings = [run.config.to_dict() for run in runs]
    shared = {name: value for name, value in settings[0].items()
              if all(other.get(name) == value for other in settings)}
    differing = [name for name in settings[0] if name not in shared]
    text = ", ".join(f"{name} = {value}" for name, value in shared.items())
    head = "".join(f"<th>{_text(name)}</th>" for name in (*differing, "config hash"))
    rows = []
    for run, values in zip(runs, settings):
        cells = [number(value, 4) if isinstance(value := values.get(name, ""), float) else value
                 for name in differing]
        rows.append("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells)
                    + f"<td><code>{config_hash(run.config)}</code></td></tr>")
    return (f"<details><summary>{len(runs)} runs, their settings and hashes</summary>"
            f'<p>Shared by all: {_text(text)}.</p><div class="wide"><table><thead><tr>{head}'
            f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>")


def _facts(facts: Mapping[str, Any]) -> str:
    items = "".join(
        f"<dt>{_text(name)}</dt><dd>"
        f"{_text(', '.join(map(str, value)) if isinstance(value, list) else value)}</dd>"
        for name, value in facts.items())
    return f"<dl>{items}</dl>"
