"""One HTML file with everything: verdicts, figures, settings, environment. No other file needed.

The page holds no script and asks no server for anything; figures are PNG inlined as base64.
"""

import base64
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.runs.config import config_hash
from theory.claim import HOLDS, OUTSIDE, Finding, Measurement, Run, accepted_range
from theory.drawing.claims import png

__all__ = ["html_report", "number"]

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
.verdict { font-weight: 600; white-space: nowrap; }
.holds { color: #00694d; } .fails { color: #a8321d; } .outside { color: #666; }
section { border-top: 1px solid #ddd; padding-top: 1.2rem; margin-top: 1.6rem; }
section header { display: flex; gap: 1rem; justify-content: space-between;
                 align-items: baseline; }
dl { display: grid; grid-template-columns: 7.5rem 1fr; gap: .15rem .8rem; font-size: .9rem; }
dt { color: #666; } dd { margin: 0; }
figure { margin: 1.1rem 0; } figure img { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; color: #444; max-width: 60rem; }
ul { margin: .2rem 0; padding-left: 1.1rem; } code { font-size: .85em; }
.note { font-size: .92em; color: #555; margin-top: .25rem; }
.wide { overflow-x: auto; }
@media print { section { break-inside: avoid; } }
"""


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
        "<p>Intervals are 95 %, Student's t over seeds (and exact binomial for accuracies). A "
        "claim holds if every decisive interval lies in the range fixed beforehand, after "
        "Holm's correction for the number of claims. Anything else that could be measured is "
        "\"fails\"; \"outside the regime\" means that the runs break an assumption of the "
        "statement.</p>",
        "<h2>Claim by claim</h2>",
        *(_section(finding) for finding in findings),
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


def _text(value: object) -> str:
    return html.escape(str(value))


def _verdict(finding: Finding) -> str:
    kind = finding.verdict.split()[0]
    return f'<span class="verdict {kind}">{_text(finding.verdict)}</span>'


def _interval(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"[{number(low)}, {number(high)}]"


def _verdict_table(findings: Sequence[Finding]) -> str:
    rows = [
        f'<tr><td><a href="#{_text(finding.id)}">{_text(finding.id)}</a></td>'
        f"<td><strong>{_text(finding.claim.title)}</strong><br>{_text(finding.claim.statement)}"
        f'<div class="note">{_text(finding.claim.source)}</div></td>'
        f"<td>{_verdict(finding)}{_list(finding.caveats)}</td>"
        f'<td class="number">{number(finding.measured)}<br>'
        f"{_interval(finding.low, finding.high)}</td>"
        f'<td class="number">{number(finding.claim.expected)}</td></tr>' for finding in findings]
    return ('<div class="wide"><table><thead><tr><th></th><th>statement and source</th>'
            '<th>verdict and caveats</th><th class="number">measured<br>95 % interval</th>'
            '<th class="number">expected</th></tr></thead><tbody>'
            + "".join(rows) + "</tbody></table></div>")


def _list(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return ('<ul class="note">' + "".join(f"<li>{_text(note)}</li>" for note in notes) + "</ul>")


def _section(finding: Finding) -> str:
    claim = finding.claim
    assumptions = "; ".join(assumption.name for assumption in claim.assumptions)
    rows = [("measured", claim.quantity), ("accepted", claim.law), ("assumes", assumptions)]
    if finding.sizes:
        rows.append(("over", f"{_sizes(finding)}; seeds "
                     + ", ".join(map(str, finding.seeds))))
    items = "".join(f"<dt>{name}</dt><dd>{_text(text)}</dd>" for name, text in rows)
    return (f'<section id="{_text(claim.id)}"><header><h3>{_text(claim.id)}. '
            f"{_text(claim.title)}</h3>{_verdict(finding)}</header><dl>{items}</dl>"
            + _parts(finding.measurements) + _figure(finding) + "</section>")


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
        rows.append(f'<tr><td>{_text(part.name)}</td><td class="number">{number(part.measured)}'
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
    image = base64.b64encode(png(finding.data)).decode()
    caption = (f"{finding.data.caption} Mean over seeds with its 95 % interval; faint dots are "
               "single seeds.")
    return (f'<figure><img alt="Figure of claim {_text(finding.id)}" '
            f'src="data:image/png;base64,{image}"><figcaption>{_text(caption)}</figcaption>'
            "</figure>")


def _settings(runs: Sequence[Run]) -> str:
    """What all runs share, then a table of what differs, with the config hashes."""
    if not runs:
        return "<p>There were no runs.</p>"
    settings = [run.config.to_dict() for run in runs]
    shared = {name: value for name, value in settings[0].items()
              if all(other[name] == value for other in settings)}
    differing = [name for name in settings[0] if name not in shared]
    text = ", ".join(f"{name} = {value}" for name, value in shared.items())
    head = "".join(f"<th>{_text(name)}</th>" for name in (*differing, "config hash"))
    rows = []
    for run, values in zip(runs, settings):
        cells = [number(values[name], 4) if isinstance(values[name], float) else values[name]
                 for name in differing]
        rows.append("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells)
                    + f"<td><code>{config_hash(run.config)}</code></td></tr>")
    return (f"<p>Shared by all runs: {_text(text)}.</p><details><summary>{len(runs)} runs, "
            f'their own settings and hashes</summary><div class="wide"><table><thead><tr>{head}'
            f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>")


def _facts(facts: Mapping[str, Any]) -> str:
    items = "".join(
        f"<dt>{_text(name)}</dt><dd>"
        f"{_text(', '.join(map(str, value)) if isinstance(value, list) else value)}</dd>"
        for name, value in facts.items())
    return f"<dl>{items}</dl>"
