"""The papers whose claims are confronted, and the figures of each model. A line for each.

The module of a paper has ``TITLE``, ``MODEL`` (a name of :mod:`simulator.experiments`) and ``CLAIMS``, a
tuple of :class:`theory.claim.Theorem`. The module of a model's figures has ``draw_run(config,
result, folder)``, which returns the files written. Both are imported when they are asked for.
"""

import importlib
from pathlib import Path
from types import ModuleType

from simulator.names import require_known
from simulator.runs.config import Config
from simulator.runs.stages import Result

__all__ = ["FIGURES", "PAPERS", "draw_run", "paper"]

PAPERS = {
    "purification": "theory.feature_purification",  # Allen-Zhu & Li, arXiv 2005.10190
    "structured": "theory.structured_features",  # Li & Li, arXiv 2410.08503
    "ntk": "theory.ntk_evolution",  # Loo, Hasani, Amini & Rus, arXiv 2210.12030
    "tickets": "theory.winning_tickets",  # Shi et al., arXiv 2202.06488
}
FIGURES = {"purification": "theory.feature_purification.figures", "patches": "theory.structured_features.figures",
           "ntk": "theory.ntk_evolution.figures", "tickets": "theory.winning_tickets.figures"}


def paper(name: str) -> ModuleType:
    """Return the module of a paper, or raise ValueError with the nearest name."""
    return importlib.import_module(PAPERS[require_known("paper", name, PAPERS)])


def draw_run(config: Config, result: Result, folder: Path) -> list[Path]:
    """Draw the figures of a run as PDF and PNG; return the files written."""
    module = importlib.import_module(FIGURES[config.MODEL])
    drawn: list[Path] = module.draw_run(config, result, folder)
    return drawn
