"""What a training leaves behind as it goes: rows of numbers, and a state to go on from.

Rows are recorded as dictionaries, so that no number depends on its place, and stored as one array
for each column, so that a checkpoint holds them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.protocols import Network

__all__ = ["Record", "as_text", "columns_of", "from_text", "rows_of", "unheard"]

PREFIX = "row."


class Record:
    """A training in progress: its network, how far it is, and the rows recorded so far.

    Parameters
    ----------
    network : Network
        As it is at step ``first``. Where something was saved its weights are written to.
    saved : mapping or None
        An earlier :meth:`state`, to go on from.
    first : int
        The step at which the training begins.

    Attributes
    ----------
    network : Network
    step : int
        The step reached, to which the weights belong.
    rows : list of dict
        Rows with equal keys; a value may be an array.
    """

    def __init__(self, network: Network, saved: Mapping[str, np.ndarray] | None = None,
                 first: int = 0) -> None:
        self.network = network
        self.step, self.rows = first, rows_of(saved or {})
        if saved is not None:
            network.weights[:] = saved["weights"]
            if "norms" in saved:
                network.norms = saved["norms"]  # type: ignore[attr-defined]
            self.step = int(saved["step"])

    def state(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint needs: ``step``, ``weights`` and the columns of the rows.

        And the ``norms`` of a network that keeps them from step to step, so that a checkpoint
        changes no bit.
        """
        network: Any = self.network
        kept = {"norms": network.norms} if hasattr(network, "norms") else {}
        weights = network.snapshot() if hasattr(network, "snapshot") else network.weights.copy()
        return {"step": np.array(self.step), "weights": weights, **kept, **columns_of(self.rows)}


def unheard(step: int, keep: Callable[[], dict[str, np.ndarray]] | None = None) -> None:
    """The tick of a training that nobody follows; see :class:`simulator.runs.stages.Stage`."""


def as_text(content: Any) -> np.ndarray:
    """Return plain numbers, words and lists of them as an array that a checkpoint can hold.

    Infinities come back as they were: the text is read by :func:`from_text` alone.
    """
    return np.array(json.dumps(content))


def from_text(array: np.ndarray) -> Any:
    """Return what :func:`as_text` was given."""
    return json.loads(str(array))


def columns_of(rows: Sequence[Mapping[str, Any]], prefix: str = PREFIX) -> dict[str, np.ndarray]:
    """Return an array for each column of rows with equal keys; see :func:`rows_of`."""
    return {f"{prefix}{name}": np.array([row[name] for row in rows])
            for name in (rows[0] if rows else ())}


def rows_of(arrays: Mapping[str, np.ndarray], prefix: str = PREFIX) -> list[dict[str, Any]]:
    """Return the rows that :func:`columns_of` stored among other arrays."""
    columns = {name.removeprefix(prefix): list(column) if column.ndim > 1 else column.tolist()
               for name, column in arrays.items() if name.startswith(prefix)}
    return [dict(zip(columns, values)) for values in zip(*columns.values())]
