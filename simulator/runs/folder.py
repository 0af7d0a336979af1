"""Run folders: what a run leaves on disk, written so that nothing can be lost or half there.

    runs/<name>-<config hash>/
        config.json      the resolved settings; `--config` takes it back
        rules.json       those given as expressions (m = 20*d), by which a changed d is followed
        env.json         versions, CPU, BLAS, threads
        checkpoint.npz   the state after some step; a resumed run continues from it
        checkpoint.previous.npz
                         the one before, for the case that the last is damaged
        metrics.csv      the history
        arrays.npz       weights, curves, perturbations: all that the figures need
        frames.npz       of a purification run: some steps of its training, to be watched
        limits.npz       95 % limits over the samples of numbers that are no means of them
        summary.json     what `purify simulate` prints
        verdicts.csv     of a purification run: what is known of each certified sample
        counterexamples.npz
                         and the perturbations that break those which are broken
        status.json      running, interrupted, diverged, failed or done, with hashes
        figures/
        report.html      its page: one file that needs no other

Every file is replaced as a whole, the last two checkpoints are kept, and one process at a time
works in a folder (:mod:`simulator.runs.files`). "done" is only believed if the hashes agree.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from simulator import __version__
from simulator.errors import Busy, Damaged, RunError, Unavailable
from simulator.runs.config import Config, config_hash
from simulator.runs.environment import changes, environment
from simulator.runs.files import (PART, locked, read_csv, read_json, read_npz, reading, sha256,
                                  table_bytes, write_atomic, write_json, write_npz)

__all__ = ["FORMAT", "RunFolder", "environment", "read_npz", "write_atomic"]

LOG = logging.getLogger("purify")
FORMAT = 2  # of checkpoints; the results of every format can be read
STATUS_KINDS = {str: "a word", int: "an integer", dict: "a table"}
RESULTS = ("config.json", "metrics.csv", "arrays.npz", "summary.json")  # hashed when done


class RunFolder:
    """One run's folder.

    Parameters
    ----------
    path : Path
        The folder itself; see :meth:`create` and :meth:`existing` for how to get one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, root: Path, config: Config, resume: bool = False) -> "RunFolder":
        """Make the folder of a config below ``root``, or take up the one that is there.

        With ``resume`` an unfinished run is taken up; where there is none, one is begun, so that
        the same command starts a run and continues it.

        Raises
        ------
        RunError
            The folder holds something else, or an unfinished or diverged run without ``resume``.
            Nothing is changed on disk then.
        Busy
            Another process begins the same run at the same time.
        """
        with reading(root):
            if (root / "config.json").exists():
                raise RunError(f"{root}: expected a folder for runs, got a run folder: "
                               f"name the folder around it ({root.parent})")
            folder = cls.of(root, config)
            in_use = folder._in_use()
        if in_use:
            return folder._taken_up(config, resume)
        if resume and (nearest := folder._nearest(root, config)):
            LOG.warning("%s: begun anew: %s", folder.path, nearest)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{folder.path}: cannot be made: {error.strerror}") from None
        with folder.locked():
            if not folder._in_use():
                folder._begin(config)
                return folder
        if not resume and folder.status().get("state") != "done":
            raise Busy(f"{folder.path}: another process has just begun this run: wait for it, or "
                       "choose another --out")
        return folder._taken_up(config, resume)

    @classmethod
    def of(cls, root: Path, config: Config) -> "RunFolder":
        """Return the folder that belongs to a config below ``root``, made or not."""
        return cls(root / f"{config.name}-{config_hash(config)}")

    @classmethod
    def existing(cls, path: Path) -> "RunFolder":
        """Return the folder of a run that is there.

        Raises
        ------
        RunError
            There is no run.
        """
        with reading(path):
            if not (path / "config.json").is_file():
                raise RunError(f"{path}: expected a run folder, found no config.json in it")
        return cls(path)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the run, those given as rules as rules.

        :func:`simulator.experiments.stored_config` checks them.
        """
        rules = self.read_json("rules.json") if (self.path / "rules.json").exists() else {}
        return self.read_json("config.json") | rules

    def status(self) -> dict[str, Any]:
        """Return status.json, or {} where it is missing.

        Raises
        ------
        Damaged
            It is something else.
        """
        if not (self.path / "status.json").exists():
            return {}
        status = self.read_json("status.json")
        for key, kind in (("state", str), ("step", int), ("files", dict), ("error", str)):
            if not isinstance(status.get(key, kind()), kind):
                raise Damaged(f"{self.path / 'status.json'}: {key}: expected "
                              f"{STATUS_KINDS[kind]}, got {status[key]!r:.40}")
        return status

    def files(self) -> list[Path]:
        """Return the files that a finished run is read from: settings, state, hashed results."""
        names = ("config.json", "rules.json", "status.json", *self.status().get("files", {}))
        return [self.path / name for name in dict.fromkeys(names)]

    def write_status(self, state: str, step: int, files: Sequence[str] = (),
                     error: str = "") -> None:
        """Record how far the run is; ``files`` are hashed, ``error`` is one line."""
        hashes = {name: sha256(self.path / name) for name in files}
        content = {"format": FORMAT, "state": state, "step": step, "files": hashes}
        self.write_json("status.json", content | ({"error": error} if error else {}))

    def finish(self, step: int, extras: Sequence[str] = ()) -> None:
        """Mark the run as done; from here on its results are believed by their hashes.

        ``extras`` are files that a model leaves beside those of every run.
        """
        self.write_status("done", step, (*RESULTS, *extras))
        (self.path / "checkpoint.previous.npz").unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process that works in this folder; see :mod:`simulator.runs.files`."""
        with locked(self.path):
            yield

    def is_done(self) -> bool:
        """True if the run is finished and every file has the hash it was finished with."""
        return self.status().get("state") == "done" and not self.changed()

    def changed(self) -> list[str]:
        """Return the files that have not the hash that the run was finished with, or are gone."""
        return [name for name, digest in self.status().get("files", {}).items()
                if not (self.path / name).is_file() or sha256(self.path / name) != digest]

    def require_unchanged(self) -> None:
        """Raise RunError where files of a finished run have changed: which, and what to do."""
        changed = self.changed()
        if not changed:
            return
        elsewhere = "" if "config.json" in changed else (
            f", or do the run again elsewhere: purify simulate --config "
            f"{self.path / 'config.json'} --out ANOTHER")
        raise RunError(f"{self.path}: expected the files of a finished run as it left them, got "
                       f"{', '.join(changed)} changed or gone since: delete the folder and repeat "
                       f"the command that began it{elsewhere}")

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file; NaN is null."""
        write_json(self.path / name, content)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file that holds an object."""
        return read_json(self.path / name)

    def write_csv(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a table; floats keep all their digits, NaN is an empty cell."""
        write_atomic(self.path / name, table_bytes(rows))

    def read_csv(self, name: str) -> list[dict[str, Any]]:
        """Read a table back: words stay words, cells become floats, empty ones NaN."""
        return read_csv(self.path / name)

    def write_npz(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays; equal arrays give equal bytes."""
        write_npz(self.path / name, arrays)

    def read_npz(self, name: str) -> dict[str, np.ndarray]:
        """Read arrays; never unpickles."""
        return read_npz(self.path / name)

    def save_checkpoint(self, config: Config, state: Mapping[str, np.ndarray]) -> None:
        """Store ``state``, marked with the format and the config; keep the one before."""
        self.write_npz("checkpoint.next.npz", {
            "format": np.array(FORMAT), "config_hash": np.array(config_hash(config)),
            "manifest": _manifest(state), **state})
        try:
            if (self.path / "checkpoint.npz").exists():
                os.replace(self.path / "checkpoint.npz", self.path / "checkpoint.previous.npz")
            os.replace(self.path / "checkpoint.next.npz", self.path / "checkpoint.npz")
        except OSError as error:
            raise Unavailable(f"{self.path / 'checkpoint.npz'}: cannot be written: "
                              f"{error.strerror}") from None

    def load_checkpoint(self, config: Config) -> dict[str, np.ndarray] | None:
        """Return the last checkpoint, or None if the run was stopped before the first.

        Where the last one is damaged, it is set aside and the one before is returned.

        Raises
        ------
        RunError
            No checkpoint is whole, or it is of another format or of another run.
        """
        path, previous = self.path / "checkpoint.npz", self.path / "checkpoint.previous.npz"
        if path.exists():
            try:
                return _checkpoint(path, config)
            except Damaged as damage:
                if not previous.exists():
                    raise
                state = _checkpoint(previous, config)
                # out of the way: the next save must not put it in the place of the whole one
                os.replace(path, self.path / "checkpoint.damaged.npz")
                LOG.warning("%s; continuing from the previous checkpoint, step %d", damage,
                            int(state["step"]))
                return state
        return _checkpoint(previous, config) if previous.exists() else None

    def _begin(self, config: Config) -> None:
        """Write what a run begins with."""
        self.write_json("config.json", config.to_dict())
        if config.rules:
            self.write_json("rules.json", config.rules)
        self.write_json("env.json", environment(config.threads))
        self.write_status("running", step=0)

    def _taken_up(self, config: Config, resume: bool) -> "RunFolder":
        """Return this folder if what it holds can be gone on from, or is done."""
        self._check_same(config)
        if self.status().get("state") != "done":
            if not resume:
                raise RunError(f"{self.path}: {self._unfinished()}")
            self._check_version(config)
        return self

    def _unfinished(self) -> str:
        """Say what keeps a run from being begun here, and what to do."""
        status = self.status()
        if status.get("state") == "diverged":
            return (f"holds a run of these settings that diverged ({status.get('error')}): change "
                    "the settings, or add --resume to try again from its last good state, step "
                    f"{status.get('step')}")
        return ("holds an unfinished run of these settings: add --resume to continue it, or choose "
                "another --out")

    def _in_use(self) -> bool:
        """True if the folder holds anything but the leftovers of a process killed at once."""
        return self.path.exists() and any(
            path.name != ".lock" and path.suffix != PART for path in self.path.iterdir())

    def _check_version(self, config: Config) -> None:
        """Refuse to finish a run that another version began: no version would give its bits."""
        now = environment(config.threads)
        if not (self.path / "env.json").exists():  # killed before it was written
            self.write_json("env.json", now)
        before = self.read_json("env.json")
        if before.get("version") != __version__:
            raise RunError(f"{self.path}: begun by version {before.get('version')}, this is "
                           f"{__version__}: finish it there, delete it, or choose another --out")
        changed = changes(before, now)
        if changed:
            LOG.warning("%s: begun elsewhere (%s): the last bits may differ", self.path, changed)

    def _check_same(self, config: Config) -> None:
        if not (self.path / "config.json").exists():
            raise RunError(f"{self.path}: expected a run folder or an empty one, got a folder "
                           "with other files: choose another --out")
        changed = _changes(self.read_json("config.json"), config)
        if changed:
            raise RunError(f"{self.path}: holds another run ({changed}): choose another --out")

    def _nearest(self, root: Path, config: Config) -> str:
        """Say what changed since the run of the same name that is most alike, if any."""
        changes = [(_changes(RunFolder(path.parent).read_json("config.json"), config), path.parent)
                   for path in sorted(root.glob(f"{config.name}-*/config.json"))]
        if not changes:
            return ""
        changed, path = min(changes, key=lambda entry: entry[0].count(","))
        return f"the settings changed since {path.name} ({changed})"


def _changes(stored: Mapping[str, Any], config: Config) -> str:
    now = config.to_dict()
    # once there was one model, and it was not named; and there were fewer settings
    stored = {"model": "purification"} | dict(config.LATER) | dict(stored)
    return ", ".join(f"{key} {stored.get(key)!r} -> {now.get(key)!r}"
                     for key in {**stored, **now} if stored.get(key) != now.get(key))


def _checkpoint(path: Path, config: Config) -> dict[str, np.ndarray]:
    """Read a checkpoint that must belong to these settings and hold all that was put in it."""
    state = read_npz(path)
    marks = {name: str(state.pop(name).tolist()) for name in ("format", "config_hash")
             if name in state}
    manifest = state.pop("manifest", None)
    if len(marks) < 2:
        raise Damaged(f"{path}: expected a checkpoint, got an archive of "
                      f"{', '.join(sorted(state)) or 'nothing'}")
    if marks["format"] != str(FORMAT):
        raise RunError(f"{path}: expected format {FORMAT}, got {marks['format']:.20}: written by "
                       "another version")
    if marks["config_hash"] != config_hash(config):
        raise RunError(f"{path}: expected a checkpoint of run {config_hash(config)}, got one "
                       f"of run {marks['config_hash']:.20}: it belongs to other settings")
    if manifest is not None:  # older ones have none
        stored, now = set(manifest.ravel().tolist()), set(_manifest(state).tolist())
        if stored != now:
            raise Damaged(f"{path}: expected {_listed(stored - now)}, got {_listed(now - stored)}: "
                          "it was changed")
    return state


def _manifest(state: Mapping[str, np.ndarray]) -> np.ndarray:
    """Name, type and shape of every array: what an archive's own checksums do not cover."""
    return np.array([f"{name} {value.dtype} {value.shape}" for name, value in
                     ((name, np.asarray(value)) for name, value in state.items())], dtype=np.str_)


def _listed(lines: Iterable[str]) -> str:
    return "; ".join(sorted(map(str, lines))[:3]) or "nothing in its place"
