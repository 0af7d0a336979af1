"""Files that survive a kill: whole or not there, checked when read, one writer to a folder.

A file is written beside its place, flushed to disk and renamed into it, so a reader sees the
old file or the new one. Reading runs no code: arrays are never unpickled.
"""

import csv
import errno
import io
import logging
import os
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import Busy, Damaged, RunError

try:
    import fcntl
except ImportError:  # not a POSIX system: runs work, but are not protected from each other
    fcntl = None  # type: ignore[assignment]

__all__ = ["PART", "locked", "read_csv", "read_npz", "table_bytes", "write_atomic"]

LOG = logging.getLogger("purify")
PART = ".part"  # ending of a file that is being written; a kill may leave one behind


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file as a whole: beside it, flushed, renamed.

    Raises
    ------
    RunError
        The disk is full, the folder cannot be written, and so on; the old file stays.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=PART,
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
    Damaged
        The file is truncated, damaged, or holds objects.
    RunError
        The file is missing or cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            # NumPy stops reading where the header says the array ends, and a damaged header may
            # end it early: the checksum is only looked at behind the last byte
            broken = archive.zip.testzip()
            if broken is not None:
                raise zipfile.BadZipFile(broken)
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # about the content: a seek to nowhere, say
            raise Damaged(_foreign(path, error)) from None
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, EOFError, KeyError, AttributeError, TypeError, RuntimeError,
            IndexError, OverflowError, SyntaxError, MemoryError, struct.error, zlib.error,
            zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise Damaged(_foreign(path, error)) from None


def _foreign(path: Path, error: Exception) -> str:
    return (f"{path}: expected an archive of arrays, got a damaged or foreign file "
            f"({type(error).__name__})")


def table_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a CSV table whose columns are the keys of the first row.

    Floats keep all their digits; NaN is an empty cell.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    if rows:
        table.writerow(rows[0])
        table.writerows([_cell(row[name]) for name in rows[0]] for row in rows)
    return text.getvalue().encode()


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Read a table back: words stay words, cells become floats, empty ones NaN."""
    with open(path, newline="") as file:
        return [{key: _value(cell) for key, cell in row.items()} for row in csv.DictReader(file)]


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


@contextmanager
def locked(folder: Path, patience: float = 2.0) -> Iterator[None]:
    """Be the only process that works in a folder; a dead process holds nothing.

    Parameters
    ----------
    folder : Path
    patience : float
        Seconds to wait for another process: one that was just killed may take a moment to go.

    Raises
    ------
    Busy
        Another process works in the folder.
    RunError
        The folder cannot be written.

    Notes
    -----
    The lock is advisory and lies on ``.lock``, which stays: removing it while another process
    opens it would give two locks. On a file system without locks a warning is logged instead.
    """
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        _take(descriptor, folder, time.monotonic() + patience)
        for leftover in folder.glob(f".*{PART}"):  # of a process that was killed while writing
            leftover.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path, deadline: float) -> None:
    while fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Busy(f"{folder}: another process is working in this folder: "
                           "wait for it, or choose another --out") from None
            time.sleep(0.05)
        except OSError as error:
            LOG.warning("%s: cannot be locked (%s): start no second process in it", folder,
                        error.strerror)
            return
