"""What the bracket found of each sample, as files of the run folder.

``verdicts.csv`` has a row for each network, radius and certified sample: *certified*, *broken* or
*open*, by which method or attack, and the limits between which the worst margin is known to lie.
``counterexamples.npz`` has the perturbation that breaks each sample that is broken: ``network``,
``sample``, ``radius``, ``margin`` (an upper bound of it), shape (c,), and ``delta``, shape (c, d).
Samples are rows of the test set.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulator.experiments.feature_purification.experiment import PHASES
from simulator.robustness.bracket import Bracket
from simulator.runs.stages import Arrays

__all__ = ["COUNTEREXAMPLES", "DECISIONS", "VERDICTS", "arrays_of", "files_of"]

VERDICTS, COUNTEREXAMPLES = "verdicts.csv", "counterexamples.npz"
DECISIONS = ("decided_by", "lower", "upper", "delta")  # of a bracket's samples
BROKEN = "broken"


def arrays_of(brackets: Sequence[Bracket]) -> Arrays:
    """Return what a checkpoint keeps of the samples at R radii: arrays of shape (R, n, ...)."""
    return {"radius": np.array([one.radius for one in brackets]),
            **{name: np.array([getattr(one, name) for one in brackets]) for name in DECISIONS}}


def files_of(done: Mapping[str, Arrays]) -> dict[str, Any]:
    """Return the rows of the table and the arrays of the archive, by the names of their files.

    Parameters
    ----------
    done : mapping
        The arrays of the finished stages; where nothing was certified there are no files.
    """
    found = {phase: done[f"{phase}: bracket"] for phase in PHASES if f"{phase}: bracket" in done}
    if not found:
        return {}
    rows = [row for phase, arrays in found.items() for row in _rows(phase, arrays)]
    broken = [row for row in rows if row["verdict"] == BROKEN]
    columns = {"network": ("network", str), "sample": ("sample", int), "radius": ("radius", float),
               "margin": ("upper", float)}
    delta = [arrays["delta"][np.char.startswith(arrays["decided_by"], BROKEN)]
             for arrays in found.values()]
    return {VERDICTS: rows, COUNTEREXAMPLES: {
        **{name: np.array([row[column] for row in broken], dtype=kind)
           for name, (column, kind) in columns.items()}, "delta": np.concatenate(delta)}}


def _rows(phase: str, arrays: Arrays) -> list[dict[str, Any]]:
    """The rows of one network, radius by radius."""
    rows = []
    for place, radius in enumerate(arrays["radius"]):
        for sample, decided in enumerate(arrays["decided_by"][place].tolist()):
            verdict, _, method = decided.partition(": ")
            rows.append({"network": phase, "sample": sample, "radius": float(radius),
                         "verdict": verdict, "method": method,
                         "lower": float(arrays["lower"][place, sample]),
                         "upper": float(arrays["upper"][place, sample])})
    return rows
