"""What `purify benchmark` kept, read again: the measurements of several commands together."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarking.growth import together

__all__ = ["read"]

SAME = ("processor", "cores", "threads", "blas", "forced_core_type", "numpy", "numba", "versions",
        "version")
LISTS = ("rows", "runs")
ROW = ("d", "k", "dtype", "case", "weights", "implementation")


def read(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the content of files ``benchmark.json``, as if measured in one command.

    Raises
    ------
    ValueError
        A file of another kind, of another machine or other versions, or a row measured twice.
    OSError
        A file that cannot be read.
    """
    found = [_one(path) for path in paths]
    first = found[0]["machine"]
    for path, one in zip(paths, found):
        for key in SAME:
            if one["machine"].get(key) != first.get(key):
                raise ValueError(f"{path}: {key}: expected {first.get(key)} as in {paths[0]}, got "
                                 f"{one['machine'].get(key)}: numbers of two machines are not one "
                                 "table")
    loads = dict.fromkeys(str(one["machine"]["load_before"]) for one in found)
    machine = first | {"load_before": ", ".join(loads)} | {
        key: _each_once(one["machine"][key] for one in found) for key in ("weights", "gemm")}
    machine["absent"] = [name for name in first["absent"]
                         if all(name in one["machine"]["absent"] for one in found)]
    lists = {key: [entry for one in found for entry in one[key]] for key in LISTS}
    places = [tuple(row[key] for key in ROW) for row in lists["rows"]]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise ValueError(f"{', '.join(map(str, paths))}: expected each row once, got two of "
                         f"{', '.join(map(str, twice))}")
    return {"machine": machine, **lists, **together(lists["rows"])}


def _one(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not (isinstance(content, dict) and isinstance(content.get("machine"), dict)
            and all(isinstance(content.get(key), list) for key in LISTS)):
        raise ValueError(f"{path}: expected benchmark.json of purify benchmark --out, got "
                         "something else")
    _require_complete(path, content)
    return content


def _require_complete(path: Path, one: dict[str, Any]) -> None:
    """Raise ValueError where something is missing that an older or a foreign file lacks."""
    machine = one["machine"]
    lacking = [key for key in ("load_before", "weights", "gemm", "absent") if key not in machine]
    lacking += [key for key in ROW if not all(isinstance(row, dict) and key in row
                                              for row in one["rows"])]
    if lacking:
        raise ValueError(f"{path}: expected benchmark.json of purify benchmark --out, got one "
                         f"without {', '.join(lacking)}")


def _each_once(lists: Any) -> list[dict[str, Any]]:
    """Entries of several lists, one for each size."""
    entries = {(entry["d"], entry["k"], entry["dtype"]): entry for one in lists for entry in one}
    return list(entries.values())
