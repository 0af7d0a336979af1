"""The page of a sweep: each quantity against what varies, and every run with a link to its page.

``report.html`` in the sweep's folder; see :mod:`simulator.sweeps.plan`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulator.experiments import paper, summary_module
from simulator.runs.files import read_csv
from simulator.runs.folder import RunFolder
from simulator.sweeps.plan import Plan
from theory.drawing.claims import draw
from theory.drawing.picture import Panel, Picture, Series
from theory.drawing.style import DrawingError, draw_all
from theory.pages import kit
from theory.pages.kit import Html

__all__ = ["quantities", "sweep_page"]

MOST_SHOWN = 9  # quantities that are drawn; all are in the tables beside the page
MOST_NAMED = 8  # values of a setting
MOST_LINES = 6  # networks in one panel
MOSTLY = 0.5  # a share that reaches it is drawn on an axis from 0 to 1
SHARES = ("accuracy", "purity", "coverage", "gate_rate")  # ends of the names of columns
RADII = ("r50", "r99", "r01", "radius")
CUT = (" Intervals over few seeds are wide: bands and limits of shares are cut at 0 and 1, of "
       "radii at 0; summary_mean.csv has them whole.")
WIDE = 8.0  # ratio of the ends from which on an axis is logarithmic
STYLE = """
.panels { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.panels figure { margin: .4rem 0; }
.sortable tbody th { white-space: nowrap; }
"""

Row = Mapping[str, Any]


def sweep_page(folder: Path, plan: Plan) -> str:
    """Return the page of a sweep whose ``summary.csv`` is written.

    Parameters
    ----------
    folder : Path
        The sweep's.
    plan : Plan
    """
    rows = read_csv(folder / "summary.csv")
    means = read_csv(folder / "summary_mean.csv")
    done = [row for row in rows if row["state"] == "done"]
    entry = paper(plan.configs[0].MODEL)
    shown = quantities(summary_module(entry.model).ROWS, done)
    return kit.page(
        f"Sweep over {_varied(plan)}",
        kit.lead(f"{len(done)} of {len(rows)} runs are done: {_values(plan)}."),
        kit.paragraph(f"{entry.authors}: {entry.title} (arXiv:{entry.arxiv}), runs called "
                      f"{', '.join(sorted({config.name for config in plan.configs}))}.", "note"),
        kit.section("What changes", _pictures(plan, done, shown)) if done else "",
        kit.section("Means over seeds", _mean_table(plan, means, shown)) if done else "",
        kit.section("Runs", _run_table(folder, plan, rows, shown)),
        kit.section("Files", kit.paragraph(
            "summary.csv has every number of every run, summary_mean.csv the means over seeds with "
            "their 95 % intervals, plan.json the settings; they stand beside this page.")),
        style=STYLE)


def quantities(words: Mapping[str, str], rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """Return the quantities that runs measured: for each, its columns by network.

    Parameters
    ----------
    words : mapping of str to str
        Key and words of each quantity, in the order of the paper's table.
    rows : sequence of mapping
        Of ``summary.csv``. A column is called as the network, then the key.

    Returns
    -------
    dict of str to dict of str to str
        Words of the quantity; words of the network; column.
    """
    columns = dict.fromkeys(name for row in rows for name, value in row.items()
                            if isinstance(value, float) and math.isfinite(value))
    found: dict[str, dict[str, str]] = {}
    for column in columns:
        keys = [key for key in words if column == key or column.endswith(f"_{key}")]
        if keys:
            key = max(keys, key=len)  # attacked_accuracy is no accuracy
            found.setdefault(key, {})[column.removesuffix(key).strip("_")] = column
    measured = Counter(network for networks in found.values() for network in networks)
    least = min(2, max(measured.values(), default=1))  # "clean_fgm" is no network
    shown = {key: {network.replace("_", " "): column for network, column in networks.items()
                   if not network or measured[network] >= least}
             for key, networks in found.items()}
    return {words[key]: shown[key] for key in words if shown.get(key)}


def _varied(plan: Plan) -> str:
    return ", ".join(plan.swept) or "seeds"


def _values(plan: Plan) -> str:
    """What varies, and what it takes: ``d = 20, 40; 2 seeds``."""
    told = []
    for name in plan.swept:
        values = sorted({getattr(config, name) for config in plan.configs})
        few = [_plain(value) for value in (values if len(values) <= MOST_NAMED else
                                           [values[0], "...", values[-1]])]
        told.append(f"{name} = {', '.join(few)}")
    if "seed" not in plan.swept:
        seeds = len({config.seed for config in plan.configs})
        told.append(f"{seeds} seed{'s' if seeds > 1 else ''}")
    return "; ".join(told)


# --- the pictures -----------------------------------------------------------------------------


def _pictures(plan: Plan, rows: Sequence[Row], shown: Mapping[str, Mapping[str, str]]) -> Html:
    """One panel a quantity and choice of the other settings, against the setting that has most."""
    axis, others = _axes(plan, rows)
    pieces = []
    for choice in _choices(rows, others):
        some = [row for row in rows if all(row[name] == value for name, value in choice.items())]
        panels = [_panel(axis, some, words, columns)
                  for words, columns in list(shown.items())[:MOST_SHOWN]
                  if axis not in columns.values()]  # a setting that is told as a number, too
        title = ", ".join(f"{name} = {_plain(value)}" for name, value in choice.items())
        if title:
            pieces.append(Html(f"<h3>{kit.text(title)}</h3>"))
        pieces.append(Html('<div class="panels">' + kit.joined(
            _drawn(panel, axis) for panel in panels if panel.series) + "</div>"))
    left = len(shown) - MOST_SHOWN
    more = "One more quantity is" if left == 1 else f"{left} more quantities are"
    what = "Each dot is a run." if axis == "seed" else (
        "Lines are means over seeds, bands their 95 % intervals, each faint line or dot a seed.")
    note = what + (CUT if axis != "seed" else "") + (f" {more} in the files." if left > 0 else "")
    return kit.joined((*pieces, kit.paragraph(note, "note")))


def _axes(plan: Plan, rows: Sequence[Row]) -> tuple[str, list[str]]:
    """The setting that takes most values, and the others that vary."""
    values = {name: {row[name] for row in rows} for name in plan.swept if name != "seed"}
    varied = sorted((name for name in values if len(values[name]) > 1),
                    key=lambda name: (all(isinstance(value, float) for value in values[name]),
                                      len(values[name])), reverse=True)
    return (varied[0], varied[1:]) if varied else ("seed", [])


def _choices(rows: Sequence[Row], names: Sequence[str]) -> Iterable[dict[str, Any]]:
    """What the runs have of some settings, each once, in order."""
    return [dict(zip(names, values))
            for values in dict.fromkeys(tuple(row[name] for name in names) for row in rows)]


def _panel(axis: str, rows: Sequence[Row], words: str, columns: Mapping[str, str]) -> Panel:
    values = sorted({row[axis] for row in rows}, key=lambda value: (isinstance(value, str), value))
    counts = axis == "seed" or not all(isinstance(value, float) for value in values)
    x = np.arange(len(values), dtype=float) if counts else np.array(values, float)
    series = []
    for number, (network, column) in enumerate(list(columns.items())[:MOST_LINES]):
        role = network if network in ("clean", "adversarial") else f"case {number}"
        matrix = _by_seed(axis, rows, values, column)
        if np.isfinite(matrix).any():
            series.append(Series(network or words, x, matrix, role,
                                 joined=not counts and len(values) > 1))
    shares = all(((0.0 <= one.values) & (one.values <= 1.0) | np.isnan(one.values)).all()
                 for one in series) and any(np.nanmax(one.values) >= MOSTLY for one in series)
    wide = not counts and len(x) > 1 and x[0] > 0.0 and x[-1] >= WIDE * x[0]
    possible = {_possible(column) for column in columns.values()}
    return Panel(axis, words, tuple(series), log="x" if wide else "",
                 ticks=tuple(map(_plain, values)) if counts else (),
                 ylim=(0.0, 1.03) if shares else None,
                 possible=possible.pop() if len(possible) == 1 else (-math.inf, math.inf))


def _possible(column: str) -> tuple[float, float]:
    """What a column can be at all: shares from 0 to 1, radii from 0."""
    if column.endswith(SHARES):
        return 0.0, 1.0
    return (0.0 if column.endswith(RADII) else -math.inf), math.inf


def _by_seed(axis: str, rows: Sequence[Row], values: Sequence[Any], column: str) -> np.ndarray:
    """Values of a column, shape (seeds, values of the axis); NaN where there is no run.

    Against the seeds themselves there is one line.
    """
    seeds = [None] if axis == "seed" else sorted({row["seed"] for row in rows})
    matrix = np.full((len(seeds), len(values)), np.nan)
    for row in rows:
        line = 0 if axis == "seed" else seeds.index(row["seed"])
        value = row.get(column, math.nan)
        matrix[line, values.index(row[axis])] = value if isinstance(value, float) else math.nan
    return matrix


def _drawn(panel: Panel, axis: str) -> Html:
    try:
        figure = draw_all({panel.ylabel: lambda: draw(Picture("", (panel,)))})[panel.ylabel]
    except DrawingError as error:
        return kit.paragraph(str(error), "note")
    return kit.figure(figure, alt=f"{panel.ylabel} against {axis}",
                      caption=f"{panel.ylabel} against {axis}")


# --- the tables -------------------------------------------------------------------------------


def _plain(value: Any) -> str:
    return kit.number(value, 6) if isinstance(value, float) else str(value)


def _heads(shown: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The columns that the tables show, with their heads."""
    return {column: f"{words}, {network}" if network else words
            for words, columns in list(shown.items())[:MOST_SHOWN]
            for network, column in list(columns.items())[:MOST_LINES]}


def _mean_table(plan: Plan, means: Sequence[Row], shown: Mapping[str, Mapping[str, str]]) -> Html:
    heads = {column: head for column, head in _heads(shown).items()
             if any(column in row for row in means)}
    settings = [name for name in plan.swept if name != "seed"]  # others follow from these
    rows = [[*(_setting(row[name]) for name in settings), _setting(row["seeds"]),
             *(_mean(row, column) for column in heads)] for row in means]
    return kit.table([*settings, "seeds", *heads.values()], rows, sortable=True,
                     caption="Mean over seeds [95 % interval, of shares and radii cut at what is "
                     "possible: wide where seeds are few]")


def _mean(row: Row, column: str) -> object:
    value = row.get(column, math.nan)
    low, high = (row.get(f"{column}_{end}", math.nan) for end in ("mean_low", "mean_high"))
    low, high = np.clip((low, high), *_possible(column))
    shown = kit.number(value)
    if math.isfinite(low):
        shown = Html(f'{shown} <span class="limits">[{kit.number(low)}, {kit.number(high)}]</span>')
    return (value, shown)


def _setting(value: Any) -> object:
    return (value, _plain(value)) if isinstance(value, float) else value


def _run_table(folder: Path, plan: Plan, rows: Sequence[Row],
               shown: Mapping[str, Mapping[str, str]]) -> Html:
    heads, lines, linked = _heads(shown), [], 0
    settings = [*(name for name in plan.swept if name != "seed"), "seed"]
    for config, row in zip(plan.configs, rows):
        name = RunFolder.of(folder.parent, config).path.name
        words: object = name
        if (folder.parent / name / "report.html").is_file():
            words, linked = Html(f'<a href="../{kit.text(name)}/report.html">{kit.text(words)}</a>'
                                 ), linked + 1
        lines.append([words, *(_setting(row[column]) for column in settings), row["state"],
                      *(row.get(column, math.nan) for column in heads)])
    note = "" if linked == len(rows) else kit.paragraph(
        f"{linked} of {len(rows)} runs have a page of their own, to which they link; purify view "
        "RUN writes one, purify sweep --pages those of all.", "note")
    return kit.joined((kit.table(["run", *settings, "state", *heads.values()], lines,
                                 caption="Every run", sortable=True), note))
