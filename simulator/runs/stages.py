"""How a run is done, whatever it computes: threads, stages, checkpoints.

A run is a list of stages: each needs what earlier ones found and returns arrays. Finished stages
lie in the checkpoint, and so does what the stage at work has kept, so a resumed run goes on from
there and ends with the same bits.

A run is stopped by its progress callback, which raises Stopped. It is asked at every step of a
stage, and at the heartbeats between them (:mod:`simulator.heartbeat`), so that a long attack or
certificate is no reason to wait.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import numpy as np

from simulator.errors import Diverged, Stopped
from simulator.heartbeat import listening
from simulator.jit import fixed_threads
from simulator.runs.config import Config
from simulator.runs.folder import RunFolder
from simulator.runs.machine import warn_of_threads

__all__ = ["Arrays", "Keep", "Progress", "Stage", "Tick", "bar", "run_stages", "run_threads",
           "silent"]

Arrays = dict[str, np.ndarray]
Progress = Callable[[int, int, str], None]
Keep = Callable[[], Arrays]
Tick = Callable[..., None]

# A stop waits so many seconds for the end of a step, where nothing is lost; then a beat is enough.
PATIENCE = 0.5
BEATS = 0.05  # seconds between two questions at beats: they come by the thousand
KEPT = 60.0  # seconds after which a checkpoint is due even if few steps were done
SHARE = 0.05  # of the time goes into checkpoints, at most, where one takes long
LONG = 1.0  # seconds: a checkpoint written faster costs nothing that matters


class Stage(NamedTuple):
    """One part of a run.

    Attributes
    ----------
    name : str
        Unique in the run, without "/"; the progress bar shows it.
    steps : int
        How long it is, for the progress bar.
    work : callable
        ``work(done, saved, tick)`` returns the arrays of the stage. ``done`` holds the arrays of
        all finished stages by name; ``saved`` what this stage kept last, or None if it begins.
        ``tick(step, keep=None)`` is called now and then with the steps done in this stage, and
        may raise Stopped. ``keep()`` returns copies of the arrays to go on from; it is called at
        once, and only when a checkpoint is due or the run is stopped there.
    """

    name: str
    steps: int
    work: Callable[[Mapping[str, Arrays], Arrays | None, Tick], Arrays]


def silent(step: int, total: int, what: str) -> None:
    """The progress callback that shows nothing."""


@contextmanager
def bar() -> Iterator[Progress]:
    """Give a progress callback that shows a bar, in a notebook as well as on a terminal."""
    from tqdm.auto import tqdm
    with tqdm(unit="step") as shown:
        def progress(step: int, total: int, what: str) -> None:
            shown.total = total
            shown.set_description(what, refresh=False)
            shown.update(step - shown.n)

        yield progress


def run_stages(config: Config, stages: Sequence[Stage], folder: RunFolder | None = None,
               progress: Progress = silent, checkpoint_every: int = 200) -> dict[str, Arrays]:
    """Do what is left of the stages, and return the arrays of all of them by name.

    Parameters
    ----------
    config : Config
    stages : sequence of Stage
    folder : RunFolder or None
        Where checkpoints go; None keeps everything in memory.
    progress : callable
        Called with (steps done, steps in all, name of the stage); may raise Stopped.
    checkpoint_every : int
        Steps between checkpoints within a stage; more where writing one takes more than 5 % of the
        time since the last. They change nothing: a resumed run ends with the same bits.

    Raises
    ------
    Diverged
        The last good state is in the checkpoint, and the status says "diverged".
    Stopped
        Passed on from ``progress``, after a checkpoint of what the stage has kept.
    RunError
        Another process works in the folder, no checkpoint is whole, or the disk is full; the
        last checkpoint written stays.
    """
    with run_threads(config.threads), folder.locked() if folder else nullcontext():
        return _Engine(config, stages, folder, progress, checkpoint_every).to_the_end()


class _Engine:
    """A run in progress: what a checkpoint stores, and the ear that listens to heartbeats."""

    def __init__(self, config: Config, stages: Sequence[Stage], folder: RunFolder | None,
                 progress: Progress, checkpoint_every: int) -> None:
        self.config, self.stages, self.folder = config, stages, folder
        self.progress, self.checkpoint_every = progress, checkpoint_every
        self.total = sum(stage.steps for stage in stages)
        self.before = 0  # steps of the stages before the one at work
        self.name, self.step = "", 0
        self.stop: Stopped | None = None
        self.asked = self.stop_came = -float("inf")
        state = folder.load_checkpoint(config) if folder else None
        self.done, self.at_work, self.resumed = _sorted(state)
        self.kept: Arrays | None = None
        self.kept_step, self.kept_at = 0, 0.0
        self.saving, self.saved_at = 0.0, -float("inf")  # seconds of the last save, and its end

    def to_the_end(self) -> dict[str, Arrays]:
        with listening(self._hear):
            for stage in self.stages:
                if stage.name not in self.done:
                    self._do(stage)
                self.before += stage.steps
        return self.done

    def _do(self, stage: Stage) -> None:
        self.name, self.kept_at = stage.name, time.monotonic()
        self.kept = self.at_work.pop(stage.name, None)
        self.step = self.kept_step = 0 if self.kept is None else self.resumed - self.before
        try:
            self._ask()
            if self.stop is not None:
                raise self.stop
            self.done[stage.name] = stage.work(self.done, self.kept, self._tick)
        except Diverged as error:
            self._save("diverged", self.kept_step, str(error))
            raise
        except (Stopped, KeyboardInterrupt):
            self._save("interrupted", self.kept_step)
            raise
        self.kept = None
        if self._affordable(time.monotonic()) or stage is self.stages[-1]:
            self._save("running", stage.steps)

    def _tick(self, step: int, keep: Keep | None = None) -> None:
        """The stage at work has done so many steps; where it can, it offers what to keep."""
        self.step = step
        self._ask()
        now = time.monotonic()
        due = step - self.kept_step >= self.checkpoint_every or now - self.kept_at > KEPT
        if keep is not None and (due and self._affordable(now) or self.stop is not None):
            self.kept, self.kept_step, self.kept_at = keep(), step, now
            if self.stop is None:
                self._save("running", step)
        if self.stop is not None:
            raise self.stop

    def _affordable(self, now: float) -> bool:
        """Whether the run has gone on long enough for what a checkpoint costs."""
        return self.saving < LONG or now - self.saved_at >= self.saving * (1.0 / SHARE - 1.0)

    def _hear(self) -> None:
        """Between two ticks: the weights may be anywhere, so a stop goes back to what was kept."""
        if self.stop is None and time.monotonic() - self.asked >= BEATS:
            self._ask()
        if self.stop is not None and time.monotonic() - self.stop_came >= PATIENCE:
            raise self.stop

    def _ask(self) -> None:
        self.asked = time.monotonic()
        try:
            self.progress(self.before + self.step, self.total, self.name)
        except Stopped as stop:
            self.stop, self.stop_came = stop, self.asked

    def _save(self, status: str, step: int, error: str = "") -> None:
        """Write a checkpoint of what is finished and kept, and how the run stands."""
        if self.folder is None:
            return
        begun = time.monotonic()
        if self.done or self.kept is not None:
            at_work = {} if self.kept is None else {self.name: self.kept}
            self.folder.save_checkpoint(self.config, {
                "step": np.array(self.before + step), "stages": np.array(list(self.done), str),
                "at_work": np.array(list(at_work), str),
                **{f"{stage}/{name}": value
                   for stage, arrays in {**self.done, **at_work}.items()
                   for name, value in arrays.items()}})
        self.folder.write_status(status, self.before + step, error=error)
        self.saved_at = time.monotonic()
        self.saving = self.saved_at - begun


def _sorted(state: Arrays | None) -> tuple[dict[str, Arrays], dict[str, Arrays], int]:
    """Sort a checkpoint: arrays of finished stages (some have none), of the one at work, step."""
    if state is None:
        return {}, {}, 0
    done: dict[str, Arrays] = {str(name): {} for name in state["stages"]}
    at_work: dict[str, Arrays] = {str(name): {} for name in state["at_work"]}
    for key, value in state.items():
        stage, slash, name = key.partition("/")
        if slash:
            (done if stage in done else at_work)[stage][name] = value
    return done, at_work, int(state["step"])


@contextmanager
def run_threads(threads: int) -> Iterator[None]:
    """Limit the threads of a run; say once where fewer processors are free."""
    warn_of_threads(threads)
    with fixed_threads(threads):
        yield
