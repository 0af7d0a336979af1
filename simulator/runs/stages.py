"""How a run is done, whatever it computes: threads, stages, checkpoints, results.

A run that is not one long training is a list of stages: each needs what earlier ones found and
returns arrays. Finished stages lie in the checkpoint, so a resumed run goes on with the first
unfinished one, and ends with the same bits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from simulator.errors import Diverged, Stopped
from simulator.jit import fixed_threads
from simulator.runs.config import Config
from simulator.runs.folder import RunFolder
from simulator.runs.machine import warn_of_threads

__all__ = ["Arrays", "Progress", "Result", "Stage", "run_stages", "run_threads", "silent",
           "stored_result", "write_result"]

Arrays = dict[str, np.ndarray]
Progress = Callable[[int, int, str], None]


@contextmanager
def run_threads(threads: int) -> Iterator[None]:
    """Limit the threads of a run; say once where fewer processors are free."""
    warn_of_threads(threads)
    with fixed_threads(threads):
        yield


@dataclass
class Result:
    """What a run found.

    Attributes
    ----------
    summary : dict
        Plain data: numbers of the run, and a dict of numbers for each network in it.
    history : list of dict
        Rows with equal keys: what was recorded along the training.
    arrays : dict of str to ndarray
        What figures and claims need.

    Notes
    -----
    The module of each model documents the keys.
    """

    summary: dict[str, Any]
    history: list[dict[str, Any]]
    arrays: Arrays = field(repr=False)


def silent(step: int, total: int, what: str) -> None:
    """The progress callback that shows nothing."""


class Stage(NamedTuple):
    """One part of a run.

    Attributes
    ----------
    name : str
        Unique in the run, without "/".
    steps : int
        How long it is, for the progress bar.
    work : callable
        ``work(done, tick)``: ``done`` holds the arrays of all finished stages by name; ``tick``
        is called with the steps done in this stage now and then, and may raise Stopped. Returns
        the arrays of the stage.
    """

    name: str
    steps: int
    work: Callable[[Mapping[str, Arrays], Callable[[int], None]], Arrays]


def run_stages(config: Config, stages: Sequence[Stage], folder: RunFolder | None = None,
               progress: Progress = silent) -> dict[str, Arrays]:
    """Do the stages that are left, and return the arrays of all of them by name.

    Raises
    ------
    Diverged
        The stages before are in the checkpoint, and the status says "diverged".
    Stopped
        Passed on from ``progress``; the stage it came in will begin anew.
    RunError
        Another process works in the folder, no checkpoint is whole, or the disk is full.
    """
    total = sum(stage.steps for stage in stages)
    with run_threads(config.threads), folder.locked() if folder else nullcontext():
        done = _finished(folder.load_checkpoint(config) if folder else None)
        before = 0
        for stage in stages:
            if stage.name not in done:
                def tick(step: int, before: int = before, name: str = stage.name) -> None:
                    progress(before + step, total, name)
                try:
                    tick(0)
                    done[stage.name] = stage.work(done, tick)
                except (Diverged, Stopped) as error:
                    _mark(folder, "diverged" if isinstance(error, Diverged) else "interrupted",
                          before, str(error))
                    raise
                _save(folder, config, done, before + stage.steps)
            before += stage.steps
        return done


def _finished(state: Arrays | None) -> dict[str, Arrays]:
    """Sort the arrays of a checkpoint by stage; a stage without arrays was finished too."""
    done: dict[str, Arrays] = {str(name): {} for name in (state or {}).get("stages", ())}
    for key, value in (state or {}).items():
        stage, slash, name = key.partition("/")
        if slash:
            done[stage][name] = value
    return done


def _save(folder: RunFolder | None, config: Config, done: Mapping[str, Arrays],
          step: int) -> None:
    if folder is not None:
        flat = {f"{stage}/{name}": value for stage, arrays in done.items()
                for name, value in arrays.items()}
        folder.save_checkpoint(config, {"step": np.array(step), "stages": np.array(list(done))}
                               | flat)
        folder.write_status("running", step)


def _mark(folder: RunFolder | None, state: str, step: int, error: str) -> None:
    if folder is not None:
        folder.write_status(state, step, error=error)


def write_result(folder: RunFolder | None, result: Result, step: int) -> Result:
    """Write a result into its folder, mark the run as done after ``step``; return the result."""
    if folder is not None:
        folder.write_csv("metrics.csv", result.history)
        folder.write_npz("arrays.npz", result.arrays)
        folder.write_json("summary.json", result.summary)
        folder.finish(step)
    return result


def stored_result(folder: RunFolder) -> Result:
    """Return the result of a finished run from its folder."""
    return Result(folder.read_json("summary.json"), folder.read_csv("metrics.csv"),
                  folder.read_npz("arrays.npz"))
