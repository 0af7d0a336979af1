"""Many runs: which are left to do, done here or in local processes, and one table of them all.

Whatever way the runs are done, their folders hold the same bytes, and :func:`write_summary`
looks at nothing but the folders. A run that fails says so in its ``status.json`` and stops no
other run. Trouble of the node (a full disk, no memory) is not the run's fault: it stays unfinished,
and is tried again like any other that was interrupted.
"""

import math
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special

from simulator.errors import Busy, RunError, Unavailable
from simulator.experiments import config_of, experiment_module, stored_config
from simulator.runs.config import Config, config_hash
from simulator.runs.cost import seconds
from simulator.runs.files import table_bytes, with_nan, write_atomic
from simulator.runs.folder import RunFolder
from simulator.runs.machine import ROOT, available_memory, cores
from simulator.sweeps.plan import Plan, load_plan

__all__ = ["Outcome", "here", "left_to_do", "merge", "processes", "record_failure", "run_one",
           "standing", "tally", "thread_environment", "worker_count", "write_summary"]

LEVEL = 0.95  # of the intervals of means over seeds
CHANGED = "finished, but its files have changed since"
FOREIGN = "its folder holds another run"
GUARD = "PURIFY_SWEEP_GUARD"  # environment of a worker: see _main_guard
RATE = 3e10  # floating-point operations a second
KILLED = "its process was killed, perhaps for lack of memory"
BY_SWEEP = {"failed": "--retry-failed tries them again",
            "diverged": "--retry-failed tries them again",
            "unfinished": "--resume continues them", "missing": "--resume does them"}
Warned = list[tuple[str, type[Warning]]]


@dataclass(frozen=True)
class Outcome:
    """How a run stands.

    Attributes
    ----------
    config : Config
    state : str
        "done" (verified by its hashes), "diverged", "failed", "unfinished" (it can be resumed),
        "busy elsewhere" (another process works on it) or "missing" (never started).
    error : str
        One line, for diverged and failed runs, and where the node stopped one.
    """

    config: Config
    state: str
    error: str = ""


def never() -> bool:
    """The default answer to "stop?"."""
    return False


def standing(root: Path, config: Config) -> Outcome:
    """Look at the folder of a run below ``root`` and say how it stands."""
    folder = RunFolder.of(root, config)
    if not (folder.path / "config.json").exists():
        return Outcome(config, "missing")
    try:
        status = folder.status()
        state, error = str(status.get("state")), str(status.get("error", ""))
        if stored_config(folder) != config:
            return Outcome(config, "failed", FOREIGN)
        if state == "done" and not folder.is_done():
            return Outcome(config, "failed", CHANGED)
    except RunError as damage:
        return Outcome(config, "failed", _line(damage, root))
    return Outcome(config, state if state in ("done", "diverged", "failed") else "unfinished",
                   error)


def left_to_do(root: Path, configs: Iterable[Config], resume: bool = False,
               retry_failed: bool = False) -> tuple[list[Config], list[Outcome]]:
    """Split runs into those to do and those that are settled.

    Parameters
    ----------
    root : Path
        Folder of the run folders.
    configs : iterable of Config
    resume : bool
        Also continue unfinished runs.
    retry_failed : bool
        Also try failed and diverged runs again, from their last good state.

    Raises
    ------
    RunError
        There are unfinished runs and ``resume`` is not set.
    """
    again = {"missing", "unfinished"} | ({"failed", "diverged"} if retry_failed else set())
    found = [standing(root, config) for config in configs]
    unfinished = sum(outcome.state == "unfinished" for outcome in found)
    if unfinished and not resume:
        raise RunError(f"{root}: holds {unfinished} unfinished runs of this sweep: add --resume "
                       "to continue them, or choose another --out")
    return ([outcome.config for outcome in found if outcome.state in again],
            [outcome for outcome in found if outcome.state not in again])


def run_one(config: Config, root: Path, stop: Callable[[], bool] = never) -> Outcome:
    """Do one run, from its checkpoint if it has one; whatever goes wrong is its outcome."""
    from simulator.errors import Diverged, Stopped

    def progress(step: int, total: int, what: str) -> None:
        if stop():
            raise Stopped

    try:
        stands = standing(root, config)
        if stands.state == "done" or stands.error == FOREIGN:
            return stands
        folder = _taken_up(root, config, stands)
    except Busy:
        return Outcome(config, "busy elsewhere")
    except Exception as error:  # what is there is not ours to change, not even its status
        of_the_node = isinstance(error, (Unavailable, OSError, MemoryError))
        return Outcome(config, "unfinished" if of_the_node else "failed", _line(error, root))
    try:
        experiment_module(config.MODEL).simulate(config, folder, progress)
    except Diverged as error:
        return Outcome(config, "diverged", str(error))
    except Stopped:
        return Outcome(config, "unfinished")
    except Busy:  # the other process writes the status
        return Outcome(config, "busy elsewhere")
    except (Unavailable, OSError, MemoryError) as error:
        return record_failure(root, config, _line(error, root), "unfinished")
    except Exception as error:  # a run must not take the sweep with it, whatever it met
        return record_failure(root, config, _line(error, root))
    return Outcome(config, "done")


def _taken_up(root: Path, config: Config, stands: Outcome) -> RunFolder:
    folder = RunFolder.of(root, config)
    if stands.state == "missing":
        return RunFolder.create(root, config)
    if stands.error == CHANGED:  # asked to do it again
        folder.write_status("running", int(folder.status().get("step", 0)))
    return RunFolder.create(root, config, resume=True)


def record_failure(root: Path, config: Config, error: str, state: str = "failed") -> Outcome:
    """Write into a run's folder that it failed, as far as it can be written.

    With ``state`` "unfinished" the node failed, and the run is one that was interrupted.
    """
    folder = RunFolder.of(root, config)
    try:
        if not (folder.path / "config.json").exists():
            folder = RunFolder.create(root, config)
        try:
            step = int(folder.status().get("step", 0))
        except RunError:
            step = 0
        folder.write_status("interrupted" if state == "unfinished" else state, step, error=error)
    except RunError:  # the disk is full: the run stays unfinished, which is true as well
        pass
    return Outcome(config, state, error)


def _line(error: Exception, root: Path) -> str:
    """One line about an error, without the place of the runs: tables must not depend on it."""
    text = (str(error).splitlines() or [""])[0].replace(f"{root}{os.sep}", "")
    if isinstance(error, RunError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def here(configs: Iterable[Config], root: Path,
         stop: Callable[[], bool] = never) -> Iterator[Outcome]:
    """Do the runs one after the other in this process."""
    for config in configs:
        if stop():
            return
        yield run_one(config, root, stop)


def worker_count(configs: Sequence[Config], wanted: int | None = None,
                 machine: Path = ROOT) -> int:
    """Return how many runs to do at once: as many as have a core and memory.

    Parameters
    ----------
    configs : sequence of Config
    wanted : int or None
        What the user asked for; None for one run per core. Fewer where memory is short: it is
        shared by the largest runs, and a fifth of what is free stays free.
    machine : Path
        Root of the file system that tells limits; see :mod:`simulator.runs.machine`.
    """
    if not configs:
        return 1
    threads = max(config.threads for config in configs)
    need = max(experiment_module(config.MODEL).cost(config).memory for config in configs)
    fits = max(1, int(min(0.8 * available_memory(machine) / need, 1e6)))
    most = max(1, cores(machine) // threads) if wanted is None else wanted
    return min(most, fits, len(configs))


def _seconds_of(config: Config) -> float:
    """How long a run takes, at a rate that nobody measured: it only tells the longer of two."""
    return seconds(experiment_module(config.MODEL).cost(config), rate=RATE)


def tally(outcomes: Iterable[Outcome], again: Mapping[str, str] = BY_SWEEP) -> str:
    """Say in one line how runs stand, and what does those that are not done.

    ``"4 done, 2 failed (--retry-failed tries them again)"``
    """
    counts = Counter(outcome.state for outcome in outcomes)
    return ", ".join(f"{number} {state}" + (f" ({again[state]})" if state in again else "")
                     for state, number in counts.items())


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that must be set before NumPy and Numba load in a worker."""
    return {name: str(threads) for name in
            ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def processes(configs: Iterable[Config], root: Path, workers: int,
              stop: Callable[[], bool] = never) -> Iterator[Outcome]:
    """Do the runs in local processes, in the order in which they finish.

    Parameters
    ----------
    configs : iterable of Config
    root : Path
    workers : int
        Processes at once.
    stop : callable
        Asked several times a second; once it says True, running runs write a checkpoint and
        end as "unfinished", and no other is begun.

    Notes
    -----
    A worker that is killed takes the others of its pool along. All runs that were on are then
    continued one at a time, so that the one that kills its process is found; only that one
    fails.

    Raises
    ------
    RunError
        A worker cannot load the script that asks for this: it starts processes while it is
        imported, for want of ``if __name__ == "__main__":``.
    """
    # the longest first: one of them begun last would keep a single process busy at the end
    waiting = deque(sorted(configs, key=_seconds_of, reverse=True))
    if not waiting:
        return
    threads = thread_environment(max(config.threads for config in waiting))
    with _main_guard() as guard, _environment(threads | guard):
        while waiting and not stop():
            suspects = yield from _pool(waiting, root, workers, stop)
            for suspect in suspects:
                if stop():
                    return
                if (yield from _pool(deque([suspect]), root, 1, stop)):
                    yield record_failure(root, suspect, KILLED)


@contextmanager
def _main_guard() -> Iterator[dict[str, str]]:
    """Notice that workers run the whole script again instead of taking up runs.

    A process that is spawned imports the script of its parent. Where that comes here once more,
    the worker marks a file that the parent named in the environment yielded, and ends without a
    word: Python's own message is a page for each worker.
    """
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None)
    if script and getattr(main, "__spec__", None) is None and not Path(script).exists():
        raise RunError(f"sweep: expected a script that worker processes can import, got {script}: "
                       "save it as a file, or do the runs with one worker")
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        with suppress(KeyError, OSError):
            Path(os.environ[GUARD]).write_text("met", encoding="utf-8")
        os._exit(1)
    with tempfile.TemporaryDirectory(prefix="purify-") as place:
        mark = Path(place) / "guard"
        yield {GUARD: str(mark)}


def _check_guard() -> None:
    if Path(os.environ[GUARD]).exists():
        raise RunError("sweep: expected a script that starts runs below if __name__ == "
                       "'__main__':, got one that starts them when it is imported: every worker "
                       "process imports it")


def _pool(waiting: deque[Config], root: Path, workers: int,
          stop: Callable[[], bool]) -> Generator[Outcome, None, list[Config]]:
    """Take runs from ``waiting`` until it is empty; return those on when a worker was killed."""
    context = multiprocessing.get_context("spawn")  # a forked child dies with OpenMP threads
    stopped = context.Event()
    running: dict[Future[tuple[str, str, Warned]], Config] = {}
    lost: list[Config] = []
    with ProcessPoolExecutor(workers, context, _begin_worker, (stopped,)) as pool:
        try:
            while (waiting and not lost) or running:
                while waiting and not lost and len(running) < workers and not stopped.is_set():
                    running[pool.submit(_work, waiting[0].to_settings(), str(root))] = waiting[0]
                    waiting.popleft()
                for future in wait(running, 0.2, FIRST_COMPLETED).done:
                    config = running.pop(future)
                    try:
                        state, error, warned = future.result()
                    except BrokenProcessPool:
                        lost.append(config)
                        continue
                    for text, category in warned:
                        warnings.warn(text, category, stacklevel=2)
                    yield Outcome(config, state, error)
                if stop():
                    stopped.set()
                if stopped.is_set() and not running:
                    break
        except BrokenProcessPool:  # seen by submit before any result said so
            lost.extend(running.values())
        finally:
            stopped.set()  # an error or a closed generator must not wait for whole runs
    if lost:
        _check_guard()
    return lost


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_stopped: Any = None  # in a worker: the event that asks it to stop


def _begin_worker(stopped: Any) -> None:
    """Set up a worker: the parent alone hears Ctrl-C, and no worker outlives it."""
    global _stopped
    _stopped = stopped
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # like a kill: the folder stays as it is, and its lock is free


def _work(settings: dict[str, Any], root: str) -> tuple[str, str, Warned]:
    """Do a run; return how it stands, and every warning once, which the parent shows its way.

    A run that diverged says so better than NumPy's warnings of the overflow.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        outcome = run_one(config_of(settings), Path(root), _stopped.is_set)
    warned = dict.fromkeys((str(one.message), one.category) for one in caught
                           if outcome.state != "diverged" or one.category is not RuntimeWarning)
    return outcome.state, outcome.error, list(warned)


def merge(place: Path) -> tuple[Path, list[Outcome]]:
    """Write the summary of a sweep from its run folders.

    Parameters
    ----------
    place : Path
        The sweep's folder, or the folder for runs around it if that holds one sweep.

    Returns
    -------
    path : Path
        The summary.
    outcomes : list of Outcome
        How each run stands, in the order of the plan.

    Raises
    ------
    RunError
        There is no sweep, or the summary cannot be written.
    """
    folder, plan = load_plan(place)
    return write_summary(folder, plan)


def write_summary(folder: Path, plan: Plan) -> tuple[Path, list[Outcome]]:
    """Write ``summary.csv`` into a sweep's folder: one row per run, in the plan's order.

    Columns: the settings that tell runs apart, ``run`` (the hash), ``state``, ``error``, and
    the numbers of ``summary.json``, those of a phase with its name before them, those of a
    bracket with its number too. Every number that any run has is a column, empty where a run
    has none. Equal runs give equal bytes, wherever they were done.

    Beside it ``summary_mean.csv``: a row for each combination of settings, ``seeds``, how many of
    its runs are done, and the mean of every number over them, with the ends of its 95 % t-interval
    as ``<number>_mean_low`` and ``<number>_mean_high`` where there are two seeds or more.
    """
    root = folder.parent
    outcomes = [standing(root, config) for config in plan.configs]
    found = [_numbers(RunFolder.of(root, outcome.config)) if outcome.state == "done" else {}
             for outcome in outcomes]
    rows = [{name: getattr(outcome.config, name) for name in plan.columns}
            | {"run": config_hash(outcome.config), "state": outcome.state,
               "error": outcome.error}
            | {name: value for name, value in numbers.items() if name not in plan.columns}
            for outcome, numbers in zip(outcomes, found)]
    path = folder / "summary.csv"
    write_atomic(path, table_bytes(rows))
    settings = [name for name in plan.columns if name != "seed"]
    write_atomic(folder / "summary_mean.csv", table_bytes(_means(settings, rows)))
    return path, outcomes


def _means(settings: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds of the runs that are done, a row for each combination of settings."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["state"] == "done":
            groups.setdefault(tuple(row[name] for name in settings), []).append(row)
    return [dict(zip(settings, values)) | {"seeds": len(group)}
            | _mean_numbers(group, {*settings, "seed", "run", "state", "error"})
            for values, group in groups.items()]


def _mean_numbers(group: Sequence[Mapping[str, Any]], others: Collection[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for row in group for name in row if name not in others):
        values = np.array([value for row in group
                           if isinstance(value := row.get(name), (int, float))
                           and not isinstance(value, bool) and math.isfinite(value)], float)
        if not len(values):
            continue
        found[name] = float(values.mean())
        if len(values) > 1:
            # scipy.stats takes a second to import
            half = float(scipy.special.stdtrit(len(values) - 1, 0.5 + LEVEL / 2)
                         * values.std(ddof=1) / math.sqrt(len(values)))
            found |= {f"{name}_mean_low": found[name] - half,
                      f"{name}_mean_high": found[name] + half}
    return found


def _numbers(folder: RunFolder) -> dict[str, float]:
    """The flattened summary of a finished run: phases, and brackets radius by radius.

    Other lists (curves, tables of learners) stay in ``summary.json``.
    """
    return dict(_flattened("", with_nan(folder.read_json("summary.json"))))


def _flattened(prefix: str, content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flattened(f"{prefix}{name}_", value)
        elif isinstance(value, list):
            rows = [row for row in value if isinstance(row, Mapping) and "radius" in row]
            for number, row in enumerate(rows):
                yield from _flattened(f"{prefix}{name}_{number}_", row)
        else:
            yield prefix + name, value
