"""The modules of a paper's claims and figures, by its name in :mod:`simulator.experiments`.

``theory/<paper>/__init__.py`` has ``TITLE`` and ``CLAIMS``, a tuple of
:class:`theory.claim.Theorem`; ``theory/<paper>/figures.py`` has ``draw_run(config, result,
folder)``, which returns the files written. Both are imported when they are asked for.
"""

import importlib
from pathlib import Path
from types import ModuleType

from simulator import experiments
from simulator.runs.config import Config
from simulator.runs.run import Run

__all__ = ["draw_run", "figures_module", "paper"]


def paper(word: str) -> ModuleType:
    """Return the module of a paper, or raise ValueError with the nearest name."""
    return importlib.import_module(f"theory.{experiments.paper(word).name}")


def figures_module(word: str) -> ModuleType:
    """Return the module that draws the runs of a paper."""
    return importlib.import_module(f"theory.{experiments.paper(word).name}.figures")


def draw_run(config: Config, result: Run, folder: Path) -> list[Path]:
    """Draw the figures of a run as PDF and PNG; return the files written."""
    drawn: list[Path] = figures_module(config.MODEL).draw_run(config, result, folder)
    return drawn
