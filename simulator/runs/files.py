"""Files that survive a kill: whole or not there, checked when read, one writer to a folder.

A file is written beside its place, flushed to disk and renamed into it, so a reader sees the
old file or the new one. Reading runs no code: arrays are never unpickled.

Two languages are spoken to the outside: JSON and CSV. Neither has a NaN: JSON holds ``null``, a
table an empty cell, and both come back as NaN where a number belongs. Text is UTF-8, with or
without the mark (BOM) that some editors put in front.
"""

import codecs
import csv
import errno
import hashlib
import io
import json
import logging
import math
import os
import secrets
import struct
import tempfile
import time
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from simulator.errors import Busy, Damaged, Unavailable

try:
    import fcntl
except ImportError:  # not a POSIX system: runs work, but are not protected from each other
    fcntl = None  # type: ignore[assignment]

__all__ = ["PART", "json_text", "locked", "npz_bytes", "read_csv", "read_json", "read_npz",
           "read_settings", "reading", "require_usable", "sha256", "table_bytes", "text_of",
           "with_nan", "write_atomic", "write_json", "write_npz"]

LOG = logging.getLogger("purify")
PART = ".part"  # ending of a file that is being written; a kill may leave one behind
UNFLUSHABLE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF}  # not offered: no loss
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

_warned: set[str] = set()  # what a process says once, however many files it writes


def write_atomic(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    """Replace a file as a whole: beside it, flushed, renamed.

    ``content(file)`` writes what is too large to be held a second time.

    The umask and the folder decide who may read it, as for any new file. Where the file system
    flushes nothing (some network and shared mounts), that is said once.

    Raises
    ------
    Unavailable
        The disk is full, the folder cannot be written, and so on; the old file stays.
    """
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}{PART}"
    try:
        with open(temporary, "xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            _flush(file.fileno(), path.parent)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise Unavailable(f"{path}: cannot be written: {error.strerror}") from None
    _flush_folder(path.parent)


def _flush(descriptor: int, folder: Path) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNFLUSHABLE:
            raise
        _warn_once("%s: files cannot be flushed to disk here (%s): a power cut may lose the last "
                   "ones", folder, error.strerror)


def _flush_folder(folder: Path) -> None:
    """Flush the entry of a renamed file, where folders can be opened and flushed.

    The file is in its place by then, so nothing that goes wrong here is an error.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if os.name == "posix":  # elsewhere no folder can be opened
            _warn_once("%s: a folder cannot be flushed to disk here (%s): a power cut may lose "
                       "the last files", folder, error.strerror)


def _warn_once(message: str, *details: object) -> None:
    if message not in _warned:
        _warned.add(message)
        LOG.warning(message, *details)


def require_usable(folder: Path) -> None:
    """Make a folder if it is missing, and see that files can be made in it.

    Raises
    ------
    Unavailable
        They cannot: it is a file, or read-only.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Unavailable(f"{folder}: expected a folder to write in, got one that cannot be made "
                          f"or written: {error.strerror}") from None


def json_text(content: Any, indent: int | None = 2) -> str:
    """Return JSON that every reader takes: NaN and infinities are null.

    Parameters
    ----------
    content : mapping, sequence, str, number, bool or None
        NumPy scalars and arrays become numbers and lists; tuples become lists.
    indent : int or None
        None for one line.
    """
    return json.dumps(_plain(content), indent=indent, allow_nan=False)


def _plain(content: Any) -> Any:
    """Content of the types that JSON knows, numbers finite."""
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, np.ndarray):
        return _plain(content.tolist())
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    if content is None or isinstance(content, (bool, str)):
        return content
    if isinstance(content, np.bool_):
        return bool(content)
    if isinstance(content, Integral):
        return int(content)
    if isinstance(content, Real):
        return float(content) if math.isfinite(content) else None
    raise TypeError(f"JSON: expected numbers, words, lists and tables, got {content!r}")


def write_json(path: Path, content: Mapping[str, Any], indent: int = 2) -> None:
    """Write an object as JSON, as a whole; see :func:`json_text` and :func:`write_atomic`."""
    write_atomic(path, (json_text(content, indent) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; :func:`with_nan` makes numbers of its nulls.

    Raises
    ------
    Damaged
        It is no JSON, or holds something else.
    Unavailable
        It is missing or cannot be read.
    """
    try:
        content = json.loads(text_of(path))
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Damaged(f"{path}: expected JSON, got something else or half a file") from None
    if not isinstance(content, dict):
        raise Damaged(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def with_nan(content: Any) -> Any:
    """Return what JSON holds with NaN in the place of null, for content that is all numbers."""
    if isinstance(content, dict):
        return {key: with_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [with_nan(value) for value in content]
    return math.nan if content is None else content


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings in a TOML file, or in a JSON file (ending ``.json``).

    Those of a run's own ``config.json`` come with its rules (``rules.json`` beside it), so that
    ``m = 20*d`` follows a changed d.

    Raises
    ------
    ValueError
        It cannot be read, or is something else.
    """
    kind = "JSON" if path.suffix == ".json" else "TOML"
    try:
        text = text_of(path)
        content = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: cannot be read: expected text in UTF-8, got other bytes"
                         ) from None
    except RecursionError:
        raise ValueError(f"{path}: expected {kind}: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path}: expected {kind}: {_first_line(error)}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected settings, got {type(content).__name__}")
    rules = path.with_name("rules.json")
    if path.name == "config.json" and rules.is_file():
        try:
            content |= read_json(rules)
        except (Damaged, Unavailable) as damage:
            LOG.warning("%s; settings do not follow each other", damage)
    return content


def text_of(path: Path) -> str:
    """Read text, whichever mark of Unicode its first bytes are.

    Raises
    ------
    OSError, UnicodeDecodeError
    """
    content = path.read_bytes()
    return content.decode(next((code for mark, code in MARKS.items() if content.startswith(mark)),
                               "utf-8"))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says about a path (no permission, too long a name) into one line.

    Raises
    ------
    Unavailable
        For any OSError within.
    """
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file, without unpickling anything.

    Raises
    ------
    Damaged
        The file is truncated, damaged, or holds objects.
    Unavailable
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
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, EOFError, KeyError, AttributeError, TypeError, RuntimeError,
            IndexError, OverflowError, SyntaxError, MemoryError, struct.error, zlib.error,
            zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise Damaged(_foreign(path, error)) from None


def _foreign(path: Path, error: Exception) -> str:
    return (f"{path}: expected an archive of arrays, got a damaged or foreign file "
            f"({type(error).__name__})")


def npz_bytes(arrays: Mapping[str, Any]) -> bytes:
    """Return arrays as the content of an npz file; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write what :func:`npz_bytes` returns, without holding it; see :func:`write_atomic`."""
    def write(file: BinaryIO) -> None:
        np.savez(file, **arrays)

    write_atomic(path, write)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, a piece of it in memory at a time."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def table_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a CSV table with every column that any row has.

    A column stands behind the one that it follows in the first row to have it. Floats keep all
    their digits; NaN, and what a row does not have, is an empty cell.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = _columns(rows)
    if names:
        table.writerow(names)
        table.writerows([_cell(row.get(name, math.nan)) for name in names] for row in rows)
    return text.getvalue().encode()


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    names: list[str] = []
    for row in rows:
        if row.keys() <= set(names):
            continue
        place = 0
        for name in row:
            if name in names:
                place = names.index(name) + 1
            else:
                names.insert(place, name)
                place += 1
    return names


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Read a table back: words stay words, cells become floats, empty ones NaN.

    Raises
    ------
    Damaged
        It is no table.
    Unavailable
        It is missing or cannot be read.
    """
    try:
        rows = csv.DictReader(io.StringIO(text_of(path), newline=""), strict=True)
        return [{key: _value(cell) for key, cell in row.items()} for row in rows]
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise Damaged(f"{path}: expected a table, got something else "
                      f"({_first_line(error)})") from None


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


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
    Unavailable
        The folder cannot be written.

    Notes
    -----
    The lock is advisory and lies on ``.lock``, which stays: removing it while another process
    opens it would give two locks. On a file system without locks a warning is logged instead.
    """
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise Unavailable(f"{folder}: cannot be written: {error.strerror}") from None
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
