"""What the rows of `purify benchmark` say together: ratios at each size, and growth along sizes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["LEAST", "exponent", "growth", "ratios", "together", "training_seconds"]

LEAST = 256  # d from which on a step is larger than what is the same at every size
PEERS = ("torch", "jax")
STEPS = ("clean", "adversarial")

Rows = Sequence[Mapping[str, Any]]


def together(rows: Rows) -> dict[str, Any]:
    """Return ``ratios`` and ``growth`` of the rows."""
    return {"ratios": ratios(rows), "growth": growth(rows)}


def ratios(rows: Rows) -> list[dict[str, Any]]:
    """Return the time of the fastest of PyTorch and JAX over ours, for each row of a table.

    Returns
    -------
    list of dict
        ``case``, ``weights``, ``d``, ``k``, ``dtype``; ``fastest`` (a name) and ``ratio``, of
        medians; ``low`` and ``high``, quartiles of the ratio turn by turn, in which both met the
        machine in the same state. Nothing where no peer was measured.
    """
    found = []
    for place, here in _groups(rows, ("case", "weights", "d", "k", "dtype")):
        by_name = {row["implementation"]: row for row in here}
        peers = {name: row for name, row in by_name.items() if name.startswith(PEERS)}
        if not peers or "ours" not in by_name:
            continue
        name = min(peers, key=lambda peer: peers[peer]["median_ms"])
        turns = (np.array(peers[name]["turns_ms"]) / np.array(by_name["ours"]["turns_ms"]))
        low, high = np.quantile(turns, (0.25, 0.75))
        found.append({**place, "fastest": name, "low": float(low), "high": float(high),
                      "ratio": peers[name]["median_ms"] / by_name["ours"]["median_ms"]})
    return found


def growth(rows: Rows) -> list[dict[str, Any]]:
    """Return how the time of a step grows with d, for each implementation.

    Sizes from `LEAST` up that follow one rule are taken, k = sqrt(d) to the nearest whole number
    or next to it, and that agree in m/d and n: at least two.

    Returns
    -------
    list of dict
        ``case``, ``weights``, ``dtype``, ``implementation``; ``exponent`` and ``error``, the
        largest distance of a size from the fitted line in units of log time; ``d`` and ``k``, the
        sizes.
    """
    fitting = [row for row in rows if row["case"] in STEPS and row["d"] >= LEAST
               and abs(row["k"] - row["d"] ** 0.5) < 1.0]
    found = []
    for place, here in _groups(fitting, ("case", "weights", "dtype", "implementation")):
        shapes = {(row["m"] / row["d"], row["n"]) for row in here}
        here = sorted(here, key=lambda row: row["d"])
        if len({row["d"] for row in here}) < 2 or len(shapes) > 1:
            continue
        slope, error = exponent([row["d"] for row in here], [row["median_ms"] for row in here])
        found.append({**place, "exponent": slope, "error": error,
                      "d": [row["d"] for row in here], "k": [row["k"] for row in here]})
    return found


def exponent(sizes: Sequence[float], times: Sequence[float]) -> tuple[float, float]:
    """Return the slope of log time against log size by least squares, and the largest residual."""
    x, y = np.log(sizes), np.log(times)
    slope, level = np.polyfit(x, y, 1)
    return float(slope), float(np.abs(y - level - slope * x).max())


def training_seconds(rows: Rows, size: Mapping[str, Any], sampler_ms: float) -> dict[str, float]:
    """Return the seconds of a whole training, for each implementation that was measured.

    From the case "run" where it is there. Otherwise for those whose steps cost the same whatever
    the weights, which are all but ours: steps times the time of one, and of drawing its batch.

    Parameters
    ----------
    rows : sequence of mapping
    size : mapping
        ``d``, ``k``, ``dtype``, ``clean_steps``, ``adversarial_steps``.
    sampler_ms : float
        Of drawing one batch.
    """
    own = [row for row in rows if all(row[key] == size[key] for key in ("d", "k", "dtype"))]
    found = {row["implementation"]: 1e-3 * row["median_ms"] for row in own if row["case"] == "run"}
    if found:
        return found
    for name in {row["implementation"]: None for row in own if row["implementation"] != "ours"}:
        last = {row["case"]: row["median_ms"] for row in own if row["implementation"] == name}
        if {*STEPS} <= {*last}:
            found[name] = 1e-3 * sum(size[f"{case}_steps"] * (last[case] + sampler_ms)
                                     for case in STEPS)
    return found


def _groups(rows: Rows, keys: Iterable[str]) -> list[tuple[dict[str, Any], list[Any]]]:
    """Rows that agree in ``keys``, in the order in which they came."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    keys = tuple(keys)
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [(dict(zip(keys, place)), here) for place, here in groups.items()]
