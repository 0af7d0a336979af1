"""Run folders: what a run leaves on disk, written so that nothing can be lost or half there.

    runs/<name>-<config hash>/
        config.json      the resolved settings; `--config` takes it back
        env.json         versions, CPU, BLAS, threads
        checkpoint.npz   the state after some step; a resumed run continues from it
        metrics.csv      the history
        arrays.npz       weights, curves, perturbations: all that the figures need
        summary.json     what `purify simulate` prints
        status.json      running, interrupted, diverged or done, with the hash of each file
        figures/

Every file is written beside its place, flushed to disk and renamed into it, so a reader sees
the old file or the new one. "done" is only believed if the hashes agree.
"""

import csv
import hashlib
import io
import json
import os
import platform
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulator.config import SimulationConfig, config_hash

__all__ = ["FORMAT", "RunError", "RunFolder", "environment", "read_npz", "write_atomic"]

FORMAT = 1


class RunError(Exception):
    """A run folder cannot be used as asked; the message is one line for the user."""


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
    def create(cls, root: Path, config: SimulationConfig, resume: bool = False) -> "RunFolder":
        """Make the folder of a config below ``root``, or take up the one that is there.

        Raises
        ------
        RunError
            The folder holds something else, an unfinished run without ``resume``, or with
            ``resume`` there is nothing to resume. Nothing is changed on disk then.
        """
        if (root / "config.json").exists():
            raise RunError(f"{root}: expected a folder for runs, got a run folder: "
                           f"name the folder around it ({root.parent})")
        folder = cls(root / f"{config.name}-{config_hash(config)}")
        if folder.path.exists() and any(folder.path.iterdir()):
            folder._check_same(config)
            if folder.status().get("state") != "done" and not resume:
                raise RunError(f"{folder.path}: holds an unfinished run of these settings: "
                               "add --resume to continue it, or choose another --out")
            return folder
        if resume:
            raise RunError(f"{folder.path}: nothing to resume{folder._nearest(root, config)}")
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder.path}: cannot be made: {error.strerror}") from None
        folder.write_json("config.json", config.to_dict())
        folder.write_json("env.json", environment(config.threads))
        folder.write_status("running", step=0)
        return folder

    @classmethod
    def existing(cls, path: Path) -> "RunFolder":
        """Return the folder of a run that is there.

        Raises
        ------
        RunError
            There is no run.
        """
        if not (path / "config.json").is_file():
            raise RunError(f"{path}: expected a run folder, found no config.json in it")
        return cls(path)

    def config(self) -> SimulationConfig:
        """Return the settings of the run."""
        try:
            return SimulationConfig.from_settings(self.read_json("config.json"))
        except (TypeError, ValueError) as error:
            raise RunError(f"{self.path / 'config.json'}: {error}") from None

    def status(self) -> dict[str, Any]:
        """Return status.json, or {} where it is missing."""
        return self.read_json("status.json") if (self.path / "status.json").exists() else {}

    def write_status(self, state: str, step: int, files: Sequence[str] = ()) -> None:
        """Record how far the run is; ``files`` are hashed."""
        hashes = {name: hashlib.sha256((self.path / name).read_bytes()).hexdigest()
                  for name in files}
        self.write_json("status.json", {"format": FORMAT, "state": state, "step": step,
                                        "files": hashes})

    def is_done(self) -> bool:
        """True if the run is finished and every file has the hash it was finished with."""
        status = self.status()
        if status.get("state") != "done":
            return False
        for name, digest in status.get("files", {}).items():
            path = self.path / name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                return False
        return True

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        write_atomic(self.path / name, (json.dumps(content, indent=2) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file that holds an object."""
        path = self.path / name
        try:
            content = json.loads(path.read_text())
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise RunError(f"{path}: expected JSON, got something else or half a file") from None
        if not isinstance(content, dict):
            raise RunError(f"{path}: expected a JSON object, got {type(content).__name__}")
        return content

    def write_csv(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a table; floats keep all their digits, NaN is an empty cell."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        if rows:
            table.writerow(rows[0])
            table.writerows([_cell(value) for value in row.values()] for row in rows)
        write_atomic(self.path / name, text.getvalue().encode())

    def read_csv(self, name: str) -> list[dict[str, Any]]:
        """Read a table back: words stay words, cells become floats, empty ones NaN."""
        with open(self.path / name, newline="") as file:
            return [{key: _value(cell) for key, cell in row.items()}
                    for row in csv.DictReader(file)]

    def write_npz(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays; equal arrays give equal bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_atomic(self.path / name, buffer.getvalue())

    def read_npz(self, name: str) -> dict[str, np.ndarray]:
        """Read arrays; never unpickles."""
        return read_npz(self.path / name)

    def save_checkpoint(self, config: SimulationConfig, state: Mapping[str, np.ndarray]) -> None:
        """Replace the checkpoint by ``state``, marked with the format and the config."""
        self.write_npz("checkpoint.npz", {"format": np.array(FORMAT),
                                          "config_hash": np.array(config_hash(config)), **state})

    def load_checkpoint(self, config: SimulationConfig) -> dict[str, np.ndarray] | None:
        """Return the last checkpoint, or None if the run was stopped before the first.

        Raises
        ------
        RunError
            The file is damaged, of another format or of another run.
        """
        path = self.path / "checkpoint.npz"
        if not path.exists():
            return None
        state = read_npz(path)
        if "format" not in state or "config_hash" not in state:
            raise RunError(f"{path}: expected a checkpoint, got an archive of "
                           f"{', '.join(sorted(state)) or 'nothing'}")
        if int(state["format"]) != FORMAT:
            raise RunError(f"{path}: expected format {FORMAT}, got {int(state['format'])}: "
                           "written by another version")
        if str(state["config_hash"]) != config_hash(config):
            raise RunError(f"{path}: expected a checkpoint of run {config_hash(config)}, got one "
                           f"of run {state['config_hash']}: it belongs to other settings")
        return state

    def _check_same(self, config: SimulationConfig) -> None:
        if not (self.path / "config.json").exists():
            raise RunError(f"{self.path}: expected a run folder or an empty one, got a folder "
                           "with other files: choose another --out")
        changed = _changes(self.read_json("config.json"), config)
        if changed:
            raise RunError(f"{self.path}: holds another run ({changed}): choose another --out")

    def _nearest(self, root: Path, config: SimulationConfig) -> str:
        """Say what changed since the run of the same name that is most alike, if any."""
        changes = [(_changes(RunFolder(path.parent).read_json("config.json"), config), path.parent)
                   for path in sorted(root.glob(f"{config.name}-*/config.json"))]
        if not changes:
            return ": no run of these settings was started"
        changed, path = min(changes, key=lambda entry: entry[0].count(","))
        return f": the settings changed since {path.name} ({changed})"


def _changes(stored: Mapping[str, Any], config: SimulationConfig) -> str:
    now = config.to_dict()
    return ", ".join(f"{key} {stored.get(key)!r} -> {now.get(key)!r}"
                     for key in {**stored, **now} if stored.get(key) != now.get(key))


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file as a whole: beside it, flushed, renamed.

    Raises
    ------
    RunError
        The disk is full, the folder cannot be written, and so on; the old file stays.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.",
                                         delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file, without unpickling anything.

    Raises
    ------
    RunError
        The file is missing, truncated, damaged, or holds objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, KeyError, AttributeError, TypeError, NotImplementedError,
            zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise RunError(f"{path}: expected an archive of arrays, got a damaged or foreign file "
                       f"({type(error).__name__})") from None


def environment(threads: int) -> dict[str, Any]:
    """Return what the bits of a run depend on besides its settings."""
    import numba
    import scipy
    import threadpoolctl

    from simulator import __version__
    blas = sorted({f"{pool.get('internal_api')} {pool.get('version')} {pool.get('architecture')}"
                   for pool in threadpoolctl.threadpool_info() if pool.get("user_api") == "blas"})
    return {"version": __version__, "python": platform.python_version(),
            "numpy": np.__version__, "numba": numba.__version__, "scipy": scipy.__version__,
            "blas": blas, "machine": platform.machine(), "processor": _processor(),
            "cores": os.cpu_count(), "threads": threads, "system": platform.system()}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else repr(float(value))
    return str(value)


def _value(cell: str) -> Any:
    if cell == "":
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return cell
