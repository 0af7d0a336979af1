"""The runs of a sweep: a grid or a list of settings, resolved before anything is computed.

    runs/
        <name>-<config hash>/     one run each, shared by all sweeps that contain it
        sweep-<plan hash>/
            plan.json             the settings of every run, in order
            summary.csv           one row per run, in the same order
            summary_mean.csv      one row per combination of settings: means over seeds
            report.html           the page of the sweep, where purify sweep or view wrote it

A plan is plain data and fixes the order of everything, so that it does not matter where, in how
many pieces and in which order its runs are done.
"""

import hashlib
import itertools
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.checks import require_int
from simulator.errors import Damaged, RunError, Unavailable
from simulator.experiments import config_class, config_of
from simulator.runs.config import Config, config_hash
from simulator.runs.files import json_text, read_json, write_atomic

__all__ = ["Plan", "describe", "distinct", "grid_axis", "load_plan", "plan_runs", "save_plan",
           "shard_of"]

LOG = logging.getLogger("purify")
FORMAT = 1
MOST_RUNS = 100_000  # a grid beyond this is a slip, and would fill the memory before it is seen


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep, all different.

    Attributes
    ----------
    configs : tuple of Config
        All of one model.
    swept : tuple of str
        The settings the user varied, also where a grid has one value.
    """

    configs: tuple[Config, ...]
    swept: tuple[str, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Settings that tell the runs apart, in documented order, and always the seed."""
        first = self.configs[0]
        return tuple(name for name in first.types() if name == "seed" or name in self.swept
                     or any(getattr(config, name) != getattr(first, name)
                            for config in self.configs))

    @property
    def folder_name(self) -> str:
        """``sweep-`` and ten hexadecimal digits that identify the runs and their order."""
        text = "".join(config_hash(config) for config in self.configs) + ",".join(self.swept)
        return f"sweep-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def shard(self, index: int, count: int) -> tuple[Config, ...]:
        """Return every ``count``-th run from ``index`` on."""
        return self.configs[index::count]


def plan_runs(settings: Mapping[str, Any], grid: Mapping[str, Sequence[Any]] | None = None,
              runs: Sequence[Mapping[str, Any]] = (), seeds: int = 1) -> Plan:
    """Return all combinations of listed runs, grid values and seeds.

    Parameters
    ----------
    settings : mapping
        Settings common to all runs; values may be expressions.
    grid : mapping of str to sequence
        Values of each varied setting; they may be expressions in the others, and are
        evaluated for each combination.
    runs : sequence of mapping
        Settings of listed runs; each is combined with the whole grid.
    seeds : int
        Seeds of each combination: ``seed``, ``seed + 1``, ... They vary fastest.

    Returns
    -------
    Plan
        Combinations that resolve to equal settings appear once, where they came first.

    Raises
    ------
    TypeError, ValueError
        An unknown setting, no value, a value that is not allowed (with the combination that
        has it), or too many runs.
    """
    grid = dict(grid or {})
    kind = config_class(settings)
    _check(kind, grid, runs, seeds)
    configs: dict[Config, None] = {}
    for listed in runs or ({},):
        for values in itertools.product(*grid.values()):
            point = {**listed, **dict(zip(grid, values))}
            config = _config(settings, point)
            for offset in range(seeds):
                configs[config.with_seed(config.seed + offset)] = None
    varied = {*grid, *(key for listed in runs for key in listed)}
    return Plan(tuple(configs), tuple(name for name in kind.types() if name in varied))


def _check(kind: type[Config], grid: Mapping[str, Sequence[Any]],
           runs: Sequence[Mapping[str, Any]], seeds: int) -> None:
    require_int("seeds", seeds, low=1)
    for name, values in grid.items():
        kind.known_key(name)
        if not values:
            raise ValueError(f"{name}: expected at least one value, got none: no run would be "
                             "left")
        if kind.types()[name] is float and len(values) % 2 == 0 and all(
                isinstance(value, str) and value.isdecimal() for value in values):
            LOG.warning("%s=%s: taken as the %d values %s; if it is a decimal comma, write %s",
                        name, ",".join(values), len(values), " and ".join(values),
                        ",".join(map(".".join, zip(values[::2], values[1::2]))))
        if name == "seed" and seeds > 1:
            raise ValueError("seed, seeds: expected one of them, got both")
    for listed in runs:
        for name in listed:
            kind.known_key(name)
            if name in grid:
                raise ValueError(f"{name}: expected it in a run or in the grid, got both")
    count = math.prod(map(len, grid.values())) * max(len(runs), 1) * seeds
    if count > MOST_RUNS:
        raise ValueError(f"grid: expected at most {MOST_RUNS} runs, got {count}")


def _config(settings: Mapping[str, Any], point: Mapping[str, Any]) -> Config:
    try:
        return config_of({**settings, **point})
    except (TypeError, ValueError) as error:
        if not point:
            raise
        where = ", ".join(f"{name}={value}" for name, value in point.items())
        raise type(error)(f"run with {where}: {error}") from None


def grid_axis(text: str) -> tuple[str, list[str]]:
    """Split ``"k=4,round(d**0.45)"`` into a setting and its values.

    Raises
    ------
    ValueError
        There is no "=", no name, or an empty value.
    """
    name, equals, values = text.partition("=")
    found = _at_commas(values)
    if not equals or not name.strip() or not all(found):
        raise ValueError(f"{text}: expected KEY=VALUE,VALUE,...")
    return name.strip(), found


def _at_commas(text: str) -> list[str]:
    """Split at the commas outside parentheses: those inside belong to ``min(d, 8)``."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def shard_of(text: str) -> tuple[int, int]:
    """Read ``"i/n"``: piece i of n, counted from 0.

    Raises
    ------
    ValueError
        It is not of that form, or not 0 <= i < n.
    """
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"shard {text}: expected i/n, as in 0/4")
    index, count = map(int, parts)
    if count < 1:
        raise ValueError(f"shard {text}: expected at least 1 piece, got {count}")
    if index >= count:
        raise ValueError(f"shard {text}: expected i from 0 to n - 1 = {count - 1}, got {index}")
    return index, count


def save_plan(root: Path, plan: Plan) -> Path:
    """Write the plan below ``root`` and return its folder.

    Raises
    ------
    RunError
        The place cannot be made or written.
    """
    folder = root / plan.folder_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder}: cannot be made: {error.strerror}") from None
    content = {"format": FORMAT, "swept": plan.swept,
               "runs": [config.to_dict() for config in plan.configs]}
    text = (json_text(content, indent=1) + "\n").encode()
    path = folder / "plan.json"
    if not path.exists() or path.read_bytes() != text:  # shards all come here, mostly too late
        write_atomic(path, text)
    return folder


def load_plan(place: Path) -> tuple[Path, Plan]:
    """Return the folder of a sweep and its plan.

    Parameters
    ----------
    place : Path
        The sweep's folder, or the folder for runs around it if that holds one sweep.

    Raises
    ------
    RunError
        There is no sweep, there are several, or its plan is damaged.
    """
    folder = place
    if not (place / "plan.json").is_file():
        found = [path.parent for path in sorted(place.glob("sweep-*/plan.json"))]
        if len(found) != 1:
            names = f": name one of {', '.join(path.name for path in found)}" if found else ""
            raise RunError(f"{place}: expected the folder of one sweep, found "
                           f"{len(found) or 'no'} plan.json in it{names}")
        folder = found[0]
    return folder, _read(folder / "plan.json")


def _read(path: Path) -> Plan:
    try:
        content = read_json(path)
        if content["format"] != FORMAT:
            raise RunError(f"{path}: expected format {FORMAT}, got {content['format']}: "
                           "written by another version")
        plan = _listed(content["runs"])
        plan = Plan(plan.configs, tuple(content["swept"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"{path}: expected the plan of a sweep, got something else "
                      f"({_first_line(error)})") from None
    if path.parent.name != plan.folder_name:
        raise RunError(f"{path}: expected the plan of {path.parent.name}, got that of "
                       f"{plan.folder_name}: it was changed or moved")
    return plan


def _listed(runs: Sequence[Mapping[str, Any]]) -> Plan:
    """Return the plan of these settings, each complete; all name one model, or none does."""
    model = runs[0].get("model", "purification") if runs else "purification"
    return plan_runs({"model": model},
                     runs=[{key: value for key, value in settings.items() if key != "model"}
                           for settings in runs])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def describe(plan: Plan, config: Config) -> str:
    """Return what tells a run apart: ``d=64 k=4 seed=0``."""
    return " ".join(f"{name}={_short(getattr(config, name))}" for name in plan.columns)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def distinct(configs: Iterable[Config]) -> list[Config]:
    """Return one config of each group that differs in the seed alone."""
    return list({config.with_seed(0): config for config in configs}.values())
