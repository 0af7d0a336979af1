"""The same claims where each batch has both updates, as Loo et al. train (arXiv 2210.12030).

Their code takes two updates a batch, one at clean samples, then one at adversarial ones, in both
phases; "adversarial" here is the second one alone. A claim is judged by the latter; what it would
be with both stands beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from theory.claim import OUTSIDE, Claim, Finding, Run
from theory.evidence import Evidence, confronted
from theory.ntk_evolution.quantities import Groups

__all__ = ["as_published", "confronted_twice"]

GONE = ("adversarial", "masked")  # what mixed training takes the place of
RENAMED = {"between_mixed": "between", "within_mixed": "within_adversarial", "mixed": "adversarial"}


def confronted_twice(claim: Claim, runs: Sequence[Run],
                     measure: Callable[[Groups], Evidence]) -> Finding:
    """Confront a claim with runs, and with mixed training in the place of adversarial training.

    The second one decides nothing: its measurements are shown, and what its verdict would be is
    told in a caveat.
    """
    finding = confronted(claim, runs, measure)
    views = [view for run in runs if (view := as_published(run)) is not None]
    if finding.verdict == OUTSIDE or not views:
        return finding
    other = confronted(claim, views, measure)
    parts = tuple(replace(part, name=f"mixed: {part.name}", decisive=False)
                  for part in other.measurements if part.decisive)
    note = ("with two updates a batch, a clean and an adversarial one, in both phases (mixed, as "
            "the authors' code trains), the verdict alone, before any correction for the number of "
            f"claims, would be: {other.verdict}; so without: {finding.verdict}")
    return replace(finding, measurements=(*finding.measurements, *parts),
                   caveats=(*finding.caveats, note))


def as_published(run: Run) -> Run | None:
    """Return a run with its mixed trainings under the name of the adversarial ones.

    None where it has none.
    """
    if "mixed" not in run.summary:
        return None
    summary = {key: value for key, value in run.summary.items()
               if key not in RENAMED.values()}
    summary = {RENAMED.get(key, key): value for key, value in summary.items()}
    summary["frozen"] = [row for entry in run.summary["frozen"]
                         if (row := _renamed(entry, "mode", "data"))]
    history = [row for entry in run.history.rows() if (row := _renamed(entry, "mode"))]
    return Run(run.config, summary, history, run.arrays)


def _renamed(entry: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A row with mixed for adversarial under these names; empty where it has what is gone."""
    if any(entry[name] in GONE for name in names):
        return {}
    return dict(entry) | {name: "adversarial" for name in names if entry[name] == "mixed"}
