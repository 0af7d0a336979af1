"""The page of a run: what was run, a film of its training, its numbers, figures, and how to cite.

``report.html`` in the run's folder: one file that needs no other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simulator import __version__
from simulator.experiments import Paper, paper, summary_module
from simulator.runs.config import config_hash
from simulator.runs.environment import environment
from simulator.runs.table import SAMPLES, Cell, Table
from theory.claim import Run
from theory.drawing.style import COLUMN, DrawingError, draw_all, narrow_form
from theory.pages import kit
from theory.pages.kit import Html
from theory.scaling import binomial_limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Film", "run_page"]

TOLD = ("d", "k", "m", "seed")  # settings of the first line, where a paper has them


class Film(NamedTuple):
    """What a page shows of a run's frames: its HTML, and the style and script it needs."""

    body: Html
    style: str
    script: str


def run_page(run: Run, drawings: "Mapping[str, Callable[[], Figure]]", *,
             captions: Mapping[str, str] | None = None, conclusion: str = "",
             film: Film | None = None,
             narrow: "Mapping[str, Callable[[], Figure]] | None" = None) -> str:
    """Return the page of a run.

    Parameters
    ----------
    run : Run
    drawings : mapping of str to callable
        Draw its figures, by name.
    captions : mapping of str to str, or None
        What to see in each; a figure without one has its name.
    conclusion : str
        What the run shows, before any number.
    film : Film or None
    narrow : mapping of str to callable, or None
        Draw the same figures anew, for phones: inside :func:`~theory.drawing.style.narrow_form`.

    Notes
    -----
    A figure that cannot be drawn is a line that says why.
    """
    entry = paper(run.config.MODEL)
    tables = summary_module(run.config.MODEL).tables(run.config, run.summary)
    numbers = kit.section("Numbers", *map(_table, tables), kit.paragraph(
        "In brackets: 95 % limits over the samples of this run. What other seeds would give, a "
        "sweep tells.", "note"))
    figures = kit.section("Figures", *(_figure(name, draw, (captions or {}).get(name, ""),
                                               (narrow or {}).get(name))
                                       for name, draw in drawings.items()))
    return kit.page(
        f"{_title(entry)}: run {run.config.name}-{config_hash(run.config)}",
        kit.lead(conclusion), kit.paragraph(_what(run, entry), "note"),
        *((figures, numbers) if film is None else (film.body, numbers, figures)),  # pictures first
        kit.section("What was run", kit.folded("Settings", _settings(run)),
                    kit.folded("Environment", kit.pairs(_environment(run))),
                    kit.folded("How to cite", _citation(entry), is_open=True)),
        style=film.style if film is not None else "",
        script=film.script if film is not None else "")


def _title(entry: Paper) -> str:
    return entry.name.replace("_", " ").capitalize().replace("Ntk", "NTK")


def _what(run: Run, entry: Paper) -> Html:
    told = ", ".join(f"{name} = {getattr(run.config, name)}" for name in TOLD
                     if hasattr(run.config, name))
    return Html(f"{kit.text(entry.authors)}: <cite>{kit.text(entry.title)}</cite> "
                f'(<a href="https://arxiv.org/abs/{entry.arxiv}">{entry.arxiv}</a>), simulated '
                f"with {kit.text(told)}.")


def _table(table: Table) -> Html:
    """A table of a summary, with the limits of its cells."""
    if not table.rows:
        return kit.paragraph(table.title, "note")
    samples = table.columns.index(SAMPLES) if SAMPLES in table.columns else None
    rows = []
    for label, cells in table.rows:
        limits = table.limits.get(label, (None,) * len(cells))
        if label in table.shares and samples is not None:
            limits = tuple(_share_limits(cell, int(cells[samples] or 0))
                           if place != samples and isinstance(cell, float) else None
                           for place, cell in enumerate(cells))
        rows.append([label, *(_cell(cell, ends) for cell, ends in zip(cells, limits))])
    return kit.table(["quantity", *table.columns], rows, caption=_caption(table.title))


def _share_limits(share: float, samples: int) -> tuple[float, float]:
    low, high = binomial_limits(np.array(share), samples)
    return float(low), float(high)


def _caption(title: str) -> str:
    """The title of a table, whose numbers are set apart by spaces in a terminal."""
    return ", ".join(part for part in title.split("   ") if part)


def _cell(cell: Cell, limits: tuple[float, float] | None) -> object:
    if cell is None:
        return ""
    if isinstance(cell, float):
        shown = kit.number(cell, 4)
        return (cell, shown if limits is None else _limited(shown, limits))
    shown = str(cell).replace(" - ", " – ")
    return shown if limits is None else _limited(shown, limits)


def _limited(shown: str, limits: Sequence[float]) -> Html:
    return Html(f'{kit.text(shown)} <span class="limits">[{kit.number(limits[0])}, '
                f"{kit.number(limits[1])}]</span>")


def _figure(name: str, draw: "Callable[[], Figure]", caption: str,
            again: "Callable[[], Figure] | None") -> Html:
    words = name.replace("_", " ")
    try:
        drawn, small = draw_all({name: draw})[name], None
        if again is not None and drawn.get_size_inches()[0] > COLUMN:
            with narrow_form():
                small = draw_all({name: again})[name]
    except DrawingError as error:
        return kit.paragraph(str(error), "note")
    return Html(f"<h3>{kit.text(words.capitalize())}</h3>"
                + kit.figure(drawn, alt=f"Figure {words}: {caption}", caption=caption or words,
                             narrow=small))


def _settings(run: Run) -> Html:
    settings = run.config.to_dict() | run.config.rules
    values = run.config.to_dict()
    return kit.pairs({name: f"{values[name]} (from {rule})" if name in run.config.rules
                      else values[name] for name, rule in settings.items()})


def _environment(run: Run) -> Mapping[str, Any]:
    """Where it was run; of a run in memory, here."""
    if run.folder is not None and (run.folder.path / "env.json").exists():
        return run.folder.read_json("env.json")
    return environment(run.config.threads)


def _citation(entry: Paper) -> Html:
    return kit.joined((
        kit.paragraph("Cite the paper whose statements you use, and this software by the "
                      "CITATION.cff of the project."),
        Html("<pre>" + kit.text(
            f"{entry.authors}. {entry.title}. arXiv:{entry.arxiv}.\n"
            f"Feature purification, simulated. Version {__version__}.") + "</pre>")))
