"""What `purify benchmark` found, as text for a terminal or as Markdown for a page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scripts.benchmarking.growth import LEAST, training_seconds
from scripts.benchmarking.peers.contract import IMPLEMENTATIONS
from scripts.tables import cell_text, tables_text
from simulator.runs.table import Cell, Table

__all__ = ["FORMATS", "report", "tables"]

FORMATS = ("text", "markdown", "json")
NOTES = (
    "Time: median of the turns (interquartile range). Fastest peer: of PyTorch and JAX; in "
    "brackets the quartiles of the ratio turn by turn.",
    "live: neurons not proved silent on the batch. open: pairs of a sample and a neuron whose gate "
    "is open. computed / open: pairs whose product of full length was computed, for one that is "
    "open (*: by dense products, in part or in all). GEMM: share of the rate of X W^T that our "
    "step reaches by the work that it did not leave out.",
    "turns: how often everybody had its turn, times the steps timed in one; fewer where they are "
    "slow: at least 3, within {seconds:g} s for an implementation and row.")

Found = Mapping[str, Any]
Places = dict[tuple[str, str], dict[str, Any]]


def report(found: Found, kind: str) -> str:
    """Return what was found as text.

    Parameters
    ----------
    found : mapping
        What :func:`~scripts.benchmarking.comparison.compare` returned.
    kind : "text" or "markdown"
    """
    head, own = _machine(found["machine"]), tables(found)
    notes = [note.format(**found["machine"]) for note in NOTES] + _remarks(found)
    if kind == "markdown":
        return "\n\n".join([" \n".join(f"{line}." for line in head), *map(_markdown, own),
                            "\n".join(f"- {note}" for note in notes)])
    return "\n\n".join(["\n".join(head), tables_text(own), "\n".join(notes)])


def tables(found: Found) -> list[Table]:
    """Return all tables: of each size, of the ratios, the whole runs, and the growth."""
    made: list[Table] = []
    for size in found["machine"]["gemm"]:
        own = [row for row in found["rows"] if _same(row, size)]
        made += [_steps(size, own), *_profile(size, own)]
    return made + [*_ratios(found), *_stretches(found), *_runs(found), *_growth(found)]


def _machine(machine: Found) -> list[str]:
    forced = machine["forced_core_type"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads for "
             f"everybody; load before {machine['load_before']}",
             f"BLAS of NumPy: {', '.join(machine['blas'])}"
             + (f" (forced by OPENBLAS_CORETYPE={forced})" if forced else ""),
             f"NumPy {machine['numpy']}, Numba {machine['numba']}"
             + (f", {versions}" if versions else "")]
    for run in machine["weights"]:
        steps = ", ".join(f"{name} {step}" for name, step in run["steps"].items())
        lines.append(f"weights: {run['name']} at d = {run['d']}, k = {run['k']}, seed "
                     f"{run['seed']}, trained for {run['clean_steps']} clean and "
                     f"{run['adversarial_steps']} adversarial steps in {run['dtype']}"
                     + (f" by the run {run['run']}" if run["run"] else "") + f" (steps: {steps})")
    if machine["absent"]:
        lines.append(f"absent: {', '.join(machine['absent'])} (pip install -e '.[bench]')")
    return lines


def _same(one: Found, other: Found) -> bool:
    return all(one[key] == other[key] for key in ("d", "k", "dtype"))


def _title(size: Found) -> str:
    return f"d = {size['d']}, k = {size['k']}, {size['dtype']}"


def _by_place(rows: Iterable[Found]) -> Places:
    """Rows of one size by case and weights, then by implementation."""
    places: Places = {}
    for row in rows:
        places.setdefault((row["case"], row["weights"]), {})[row["implementation"]] = row
    return places


def _steps(size: Found, own: Sequence[Found]) -> Table:
    """The times of one size."""
    names = _names(own)
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for (case, weights), here in _by_place(own).items():
        unit, label = (1e-3, "training, s") if case == "run" else (1.0, f"{case}, {weights}")
        rows.append((label, _cells(here, names, unit)))
    peaks = [_short(max(row["peak_mib"] for row in own if row["implementation"] == name))
             for name in names]
    rows.append(("peak MiB", (peaks[0], None, *peaks[1:], *[None] * 5)))
    first = own[0]
    return Table(
        f"{_title(size)}, m = {first['m']}, n = {first['n']}: milliseconds; X W^T at "
        f"{size['gflops']:.0f} GFLOP/s, sampler {size['sampler_ms']:.2f} ms a batch",
        (names[0], "fastest peer / ours", *names[1:], "live", "open", "computed / open", "GEMM",
         "turns"), tuple(rows))


def _names(own: Sequence[Found]) -> list[str]:
    """Implementations that were measured, ours first."""
    here = {row["implementation"] for row in own}
    return [name for name in IMPLEMENTATIONS if name in here]


def _cells(here: Mapping[str, Found], names: Sequence[str], unit: float) -> tuple[Cell, ...]:
    """One row: times of everybody, then what is said about ours."""
    ours = here["ours"]
    peers = [row["median_ms"] for name, row in here.items() if name not in ("ours", "numpy")]
    times = [f"{_short(unit * here[name]['median_ms'])} ({_short(unit * here[name]['spread'])})"
             for name in names]
    share = ours.get("gemm_fraction")
    steps = sorted({row["steps_a_turn"] for row in here.values() if "steps_a_turn" in row})
    return (times[0], _short(min(peers) / ours["median_ms"]) if peers else "-", *times[1:],
            f"{ours['live_fraction']:.3f}", f"{ours['open_share']:.2%}", _computed(ours),
            None if share is None else f"{share:.0%}",
            f"{ours['turns']}" + (f" x {'-'.join(map(str, dict.fromkeys(steps)))}" if steps
                                  else ""))


def _computed(ours: Found) -> str:
    """Pairs computed for one that is open, with a star where products of BLAS did it."""
    number = ours["computed_over_open"]
    return ("-" if number is None else _short(number)) + "*" * (ours["product_share"] > 0.0)


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 1000.0 else f"{number:.0f}"


def _profile(size: Found, own: Sequence[Found]) -> list[Table]:
    """Where the time of our step goes, and the sampler beside it."""
    own = [row for row in own if "pieces_ms" in row]
    pieces = dict.fromkeys(name for row in own for name in row["pieces_ms"])
    for last in ("other", "total"):
        pieces[last] = pieces.pop(last, None)
    rows = tuple((f"{row['case']}, {row['weights']}",
                  (*(row["pieces_ms"].get(name) for name in pieces),
                   f"{row['sampler_share']:.1%}")) for row in own)
    return [Table(f"{_title(size)}: where our step's time goes, ms", (*pieces, "sampler / step"),
                  rows)] if own else []


def _ratios(found: Found) -> list[Table]:
    """The fastest peer over ours: a row a size, a column a case and weights."""
    own = [one for one in found["ratios"] if one["case"] != "run"]
    places = dict.fromkeys((one["case"], one["weights"]) for one in own)
    sizes: dict[str, dict[tuple[str, str], str]] = {}
    for one in own:
        sizes.setdefault(_title(one), {})[one["case"], one["weights"]] = (
            f"{_short(one['ratio'])} ({_short(one['low'])}-{_short(one['high'])})")
    return [Table("fastest peer / ours", tuple(map(", ".join, places)), tuple(
        (title, tuple(cells.get(place) for place in places)) for title, cells in sizes.items())
        )] if own else []


def _stretches(found: Found) -> list[Table]:
    """Pairs computed for one that is open, along the run."""
    own = [row for row in found["rows"] if "stretches" in row]
    steps = sorted({part["step"] for row in own for part in row["stretches"]})
    rows = []
    for row in own:
        at = {part["step"]: _computed(part) for part in row["stretches"]}
        rows.append((_title(row), tuple(at.get(step) for step in steps)))
    return [Table("pairs computed / pairs open along the run, by step",
                  tuple(map(str, steps)), tuple(rows))] if own else []


def _runs(found: Found) -> list[Table]:
    """Whole runs of ours, training and evaluation apart, beside the peers' training."""
    runs, rows = found["runs"], []
    parts = dict.fromkeys(name for run in runs for name in run["by_part"])
    for run in runs:
        sampler = next((size["sampler_ms"] for size in found["machine"]["gemm"]
                        if _same(size, run)), 0.0)
        peers = {name: seconds for name, seconds
                 in training_seconds(found["rows"], run, sampler).items()
                 if name not in ("ours", "numpy")}
        training, evaluation = run["training"], run["evaluation"]
        rows.append((_title(run), (
            _clock(training), _clock(evaluation),
            _short(evaluation["cpu_s"] / training["cpu_s"]) if training["cpu_s"] else "-",
            *(_clock(run["by_part"][name]) if name in run["by_part"] else None
              for name in parts),
            f"{run['peak_mib']:.0f}",
            f"{_short(min(peers.values()))} ({min(peers, key=lambda name: peers[name])})"
            if peers else None)))
    return [Table("whole runs of ours, everything in: seconds of the clock (CPU)",
                  ("training", "evaluation", "evaluation / training, CPU",
                   *parts, "peak MiB", "training of the fastest peer, s"), tuple(rows))
            ] if runs else []


def _clock(spent: Mapping[str, float]) -> str:
    return f"{_short(spent['wall_s'])} ({_short(spent['cpu_s'])})"


def _growth(found: Found) -> list[Table]:
    """Exponents of the time of a step, a table for each set of sizes."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for one in found["growth"]:
        sizes = ", ".join(f"({d}, {k})" for d, k in zip(one["d"], one["k"]))
        places = groups.setdefault(f"growth: time of a step ~ d^p, p by least squares over "
                                   f"(d, k) = {sizes}, {one['dtype']} (largest residual of log "
                                   "time)", {})
        places.setdefault(one["implementation"], {})[f"{one['case']}, {one['weights']}"] = (
            f"{one['exponent']:.2f} ({one['error']:.2f})")
    made = []
    for title, rows in groups.items():
        columns = list(dict.fromkeys(place for cells in rows.values() for place in cells))
        made.append(Table(title, tuple(columns), tuple(
            (name, tuple(map(cells.get, columns))) for name, cells in rows.items())))
    return made


def _remarks(found: Found) -> list[str]:
    """What has to be said of these rows alone."""
    rows, remarks = found["rows"], []
    if rows and not found["growth"]:
        remarks.append(f"growth: none, for want of two sizes from d = {LEAST} up with k = sqrt(d): "
                       "--sizes 256:16,512:23,1024:32,2048:45.")
    if any("clean" in run["steps"] for run in found["machine"]["weights"]):
        remarks.append("weights of a stored run: clean is the end of clean training, in the place "
                       "of mid.")
    runs = [row for row in rows if row["case"] == "run" and row["steps_done"] < row["steps"]]
    if runs:
        remarks.append(f"training: all {runs[0]['steps']} steps, from the time of "
                       f"{runs[0]['steps_done']} in nine stretches of the run, sampler included.")
    if found["runs"]:
        remarks.append("whole runs: training has its history in it; that of the peers is from the "
                       "row training, or from the time of their steps and of the sampler.")
    return remarks


def _markdown(table: Table) -> str:
    """A table as Markdown, with its title as a paragraph."""
    lines = [f"**{table.title}**", "", f"| | {' | '.join(table.columns)} |",
             "|---" * (1 + len(table.columns)) + "|"]
    lines += [f"| {label} | {' | '.join(map(cell_text, cells))} |" for label, cells in table.rows]
    return "\n".join(lines)
