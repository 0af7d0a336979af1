"""A finished run: what a simulation returns, a folder stores, a claim is confronted with, a figure
draws.
"""

import copy
import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simulator.names import require_known
from simulator.runs.config import Config, config_hash
from simulator.runs.files import with_nan

if TYPE_CHECKING:
    from simulator.attacks.adversary import Adversary
    from simulator.protocols import Batch, DataModel, Network
    from simulator.runs.folder import RunFolder

__all__ = ["History", "Run", "Size", "load_run", "write_run"]

# files of their own: the arrays of a run are what they were without them
FRAMES, LIMITS = "frames.npz", "limits.npz"


class Size(NamedTuple):
    """Runs that differ in nothing but the seed: family (the config's name), d, k.

    In a model without sparsity k is the other number of :attr:`Config.size`.
    """

    family: str
    d: int
    k: int

    def __str__(self) -> str:
        return f"({self.d}, {self.k})"


class History(Mapping[str, np.ndarray]):
    """What was recorded along a training: a mapping of column names to arrays of equal length.

    Parameters
    ----------
    rows : sequence of mapping
        What was recorded, in order; a column that a row does not have is NaN there.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        names = dict.fromkeys(name for row in rows for name in row)
        self._columns = {name: np.array([row.get(name, np.nan) for row in rows])
                         for name in names}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._columns:
            raise KeyError(_unknown("column", name, self._columns))
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries of plain numbers and words."""
        return [dict(zip(self._columns, values))
                for values in zip(*(column.tolist() for column in self._columns.values()))]

    def __repr__(self) -> str:
        return f"<History of {len(self.rows())} rows: {', '.join(self._columns) or 'no columns'}>"


class Run:
    """A finished run.

    Parameters
    ----------
    config : Config
    summary : mapping
        Plain data: numbers of the run, and a dictionary of numbers for each network in it. The
        module ``summary`` of each experiment documents the keys.
    history : History or sequence of mapping
        What was recorded along the training; rows become a History.
    arrays : mapping of str to ndarray, or callable
        What figures and claims need. A callable is asked each time, and what it returns is not
        kept: all runs of a report together need not fit into memory.
    folder : RunFolder or None
        Where it is stored.
    experiment : object or None
        The objects of the run where they are not those of its config alone: a simulation in
        memory may have been given another network, other data or another attack.
    frames : mapping of str to ndarray, or callable
        What was kept along the training so that it can be watched; {} where nothing was. A
        callable is asked each time, as for ``arrays``.
    limits : mapping of str to ndarray, or callable
        Low and high, shape (2, ...), of what is in ``arrays`` and ``summary``, where that does not
        tell them: 95 % limits over the samples, or a range that the experiment documents; {}
        where nothing has any.
    """

    def __init__(self, config: Config, summary: Mapping[str, Any],
                 history: History | Sequence[Mapping[str, Any]] = (),
                 arrays: Mapping[str, np.ndarray] | Callable[[], Mapping[str, np.ndarray]] = {},
                 folder: "RunFolder | None" = None, experiment: Any = None,
                 frames: Mapping[str, np.ndarray] | Callable[[], Mapping[str, np.ndarray]] = {},
                 limits: Mapping[str, np.ndarray] | Callable[[], Mapping[str, np.ndarray]] = {}
                 ) -> None:
        self.config: Any = config  # of the paper's own class: whoever reads it knows which
        self.folder = folder
        self.summary: dict[str, Any] = dict(summary)
        self.history = history if isinstance(history, History) else History(history)
        self._arrays, self._frames, self._limits = arrays, frames, limits
        if experiment is not None:
            self.__dict__["experiment"] = experiment

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays of the run; those of a stored run are read now."""
        return self._arrays() if callable(self._arrays) else self._arrays

    @property
    def frames(self) -> Mapping[str, np.ndarray]:
        """The frames of the run, {} where it has none; those of a stored run are read now."""
        return self._frames() if callable(self._frames) else self._frames

    @property
    def limits(self) -> Mapping[str, np.ndarray]:
        """Limits over the samples, {} where the run has none; those of a stored run are read now.
        """
        return self._limits() if callable(self._limits) else self._limits

    def held(self) -> "Run":
        """Return the same run, which reads what is stored once and keeps it in memory."""
        run = copy.copy(self)
        run._arrays, run._frames = cache(lambda: self.arrays), cache(lambda: self.frames)
        run._limits = cache(lambda: self.limits)
        return run

    @property
    def size(self) -> Size:
        """Family, d and k."""
        return Size(self.config.name, *self.config.size)

    @cached_property
    def experiment(self) -> Any:
        """The objects the run was made of, such as ``PurificationExperiment``."""
        return self.config.experiment()

    @property
    def data(self) -> "DataModel":
        """The data model."""
        return self.experiment.data

    @property
    def test_set(self) -> "Batch":
        """The samples of every reported accuracy."""
        return self.experiment.test_set

    @property
    def adversary(self) -> "Adversary":
        """The :class:`~simulator.attacks.adversary.Adversary` of every attacked accuracy."""
        return self.experiment.adversary

    def network(self, phase: str) -> "Network":
        """Return a network of the run as it was trained; the phases are those of the summary."""
        return self.experiment.network_of(phase, self.arrays)

    def parts(self, phase: str) -> Any:
        """Return what a network of the run is made of: its weights beside the features."""
        return self.experiment.parts_of(self.network(phase))

    def __repr__(self) -> str:
        where = "in memory" if self.folder is None else str(self.folder.path)
        networks = [name for name, value in self.summary.items() if isinstance(value, dict)]
        return (f"<Run {self.config.name}-{config_hash(self.config)}, seed {self.config.seed}: "
                f"{', '.join(networks) or 'no networks'}; {where}>")

    def _repr_html_(self) -> str:
        """The numbers of each network, a column each, as a notebook shows them."""
        networks = {name: numbers for name, numbers in self.summary.items()
                    if isinstance(numbers, dict)}
        keys = dict.fromkeys(key for numbers in networks.values() for key, value in numbers.items()
                             if isinstance(value, (int, float, str)))
        rows = [("", *networks), *((key, *(numbers.get(key, "") for numbers in networks.values()))
                                   for key in keys)]
        cells = ("".join(f"<td>{html.escape(_shown(value))}</td>" for value in row)
                 for row in rows)
        table = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<p>{html.escape(repr(self))}</p><table>{table}</table>"


def write_run(run: Run, folder: "RunFolder | None", step: int,
              extras: Mapping[str, Any] = {}) -> Run:
    """Write a run into its folder, mark it as done after ``step``, and return it.

    Parameters
    ----------
    run : Run
    folder : RunFolder or None
        None keeps it in memory.
    step : int
    extras : mapping of str to sequence or mapping
        What else the folder keeps, by file name: rows of a table (.csv), arrays (.npz).
    """
    if folder is not None:
        folder.write_csv("metrics.csv", run.history.rows())
        folder.write_npz("arrays.npz", run.arrays)
        folder.write_json("summary.json", run.summary)
        extras = {name: content for name, content in ((FRAMES, run.frames), (LIMITS, run.limits))
                  if content} | dict(extras)
        for name, content in extras.items():
            (folder.write_csv if name.endswith(".csv") else folder.write_npz)(name, content)
        folder.finish(step, tuple(extras))
        run.folder = folder
    return run


def load_run(config: Config, folder: "RunFolder") -> Run:
    """Return the run of a finished folder, whose settings :mod:`simulator.experiments` checks."""
    return Run(config, with_nan(folder.read_json("summary.json")), folder.read_csv("metrics.csv"),
               lambda: folder.read_npz("arrays.npz"), folder,
               frames=lambda: _if_there(folder, FRAMES), limits=lambda: _if_there(folder, LIMITS))


def _if_there(folder: "RunFolder", name: str) -> Mapping[str, np.ndarray]:
    return folder.read_npz(name) if (folder.path / name).exists() else {}


def _unknown(what: str, name: str, names: Mapping[str, Any]) -> str:
    try:
        return require_known(what, name, names)
    except ValueError as error:
        return str(error)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
