"""Readers of image files that users have.

Nothing is downloaded and nothing is unpickled. Read are CIFAR-10 in its binary version (records of
a label and 3 x 32 x 32 bytes), IDX (MNIST and its kin, gzipped or not) and NumPy's ``.npz`` and
``.npy``. Whatever is wrong with a file is told in one line: truncated, of another kind, sizes that
do not fit together.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from simulator.checks import require_finite

__all__ = ["Images", "read_cifar10", "read_idx", "read_images"]

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                 "truck")
CIFAR_SHAPE = (3, 32, 32)  # red, green and blue planes, each row by row
CIFAR_RECORD = 1 + math.prod(CIFAR_SHAPE)
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"
PIECE = 1 << 22  # bytes read together


@dataclass(frozen=True, eq=False)
class Images:
    """Images with classes.

    Attributes
    ----------
    pixels : ndarray, shape (n, height, width, channels)
        float64; 0 is black and 1 is white.
    labels : ndarray of int, shape (n,)
    classes : tuple of str
        Names of the labels 0, 1, ...
    held_out : ndarray of bool, shape (n,), or None
        Images for the test set where the source says which; None leaves it to chance.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    held_out: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        n, height, width, channels = self.pixels.shape
        return (f"Images({n} of {height} x {width}" + (f" x {channels}" if channels > 1 else "")
                + f", {len(self.classes)} classes)")


# --- files --------------------------------------------------------------------------------


def read_images(path: Path | str) -> Images:
    """Read images with their labels from whatever file or folder it is.

    Parameters
    ----------
    path : path
        A folder with CIFAR-10 batches or one of them (``.bin``); an IDX file of images, beside
        which lies the file of its labels; ``.npz`` with X and y; or ``.npy`` of images beside
        ``.npy`` of labels. A file of labels has the name of the other one with "labels" in the
        place of "images" (and "idx1" in that of "idx3").

    Raises
    ------
    ValueError
        No such file, truncated, of another kind, or of sizes that do not fit.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: expected a file or folder of images, got none")
    if path.is_dir() or path.suffix == ".bin":
        return read_cifar10(path)
    if path.suffix == ".npz":
        arrays = _numpy_file(path)
        missing = [name for name in ("X", "y") if name not in arrays]
        if missing:
            raise ValueError(f"{path}: expected arrays X and y, got "
                             f"{', '.join(arrays) or 'none'}")
        return _images(path, arrays["X"], arrays["y"])
    read: Any = _one_array if path.suffix == ".npy" else read_idx
    return _images(path, read(path), read(_labels_beside(path)))


def read_cifar10(path: Path | str) -> Images:
    """Read CIFAR-10 batches in the binary version.

    Parameters
    ----------
    path : path
        A file of records, or a folder: all its ``.bin`` files in the order of their names, those
        that begin with "test" held out.

    Raises
    ------
    ValueError
        No batches, a file that is no whole number of records, or a label above 9.
    """
    path = Path(path)
    files = sorted(path.glob("*.bin")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: expected CIFAR-10 batches (.bin, the binary version), got none")
    pixels, labels, held_out = [], [], []
    for file in files:
        content = file.read_bytes()
        if not content or len(content) % CIFAR_RECORD:
            raise ValueError(f"{file}: expected records of {CIFAR_RECORD} bytes, got "
                             f"{len(content)} bytes: the file is truncated or no CIFAR-10 batch")
        records = np.frombuffer(content, np.uint8).reshape(-1, CIFAR_RECORD)
        if records[:, 0].max() >= len(CIFAR_CLASSES):
            raise ValueError(f"{file}: expected labels 0 to 9, got {records[:, 0].max()}: the file "
                             "is no CIFAR-10 batch")
        labels.append(records[:, 0].astype(np.int64))
        pixels.append(records[:, 1:].reshape(-1, *CIFAR_SHAPE).transpose(0, 2, 3, 1) / 255.0)
        held_out.append(np.full(len(records), file.name.startswith("test")))
    held = np.concatenate(held_out)
    return Images(np.concatenate(pixels), np.concatenate(labels), CIFAR_CLASSES,
                  held if held.any() and not held.all() else None)


def read_idx(path: Path | str) -> np.ndarray:
    """Read an array in the IDX format of MNIST, gzipped or not.

    Parameters
    ----------
    path : path

    Returns
    -------
    ndarray
        Of the file's shape and type, in the byte order of the machine.

    Raises
    ------
    ValueError
        Another magic number, fewer or more bytes than the sizes ask for, or a broken gzip file.
    """
    path = Path(path)
    with open(path, "rb") as file:
        zipped = file.read(2) == GZIP
    try:
        with gzip.open(path) if zipped else open(path, "rb") as content:
            return _idx_array(path, content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: expected a whole gzip file, got a broken one: {error}") from None


def _idx_array(path: Path, file: gzip.GzipFile | BufferedReader) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or not magic[3]:
        raise ValueError(f"{path}: expected an IDX file (0, 0, type, dimensions), got one that "
                         f"begins with {magic.hex(' ') or 'nothing'}")
    head = file.read(4 * magic[3])
    if len(head) < 4 * magic[3]:
        raise ValueError(f"{path}: expected {magic[3]} sizes, got {len(head) // 4}: the file is "
                         "truncated")
    shape = struct.unpack(f">{magic[3]}I", head)
    kind = np.dtype(IDX_TYPES[magic[2]])
    wanted = math.prod(shape) * kind.itemsize
    content = bytearray()  # as much as there is: the header may promise anything
    while len(content) <= wanted and (more := file.read(PIECE)):
        content += more
    if len(content) != wanted:
        raise ValueError(f"{path}: expected {wanted} bytes for sizes {shape}, got "
                         + ("more" if len(content) > wanted else f"{len(content)}: the file is "
                            "truncated"))
    return np.frombuffer(bytes(content), kind).reshape(shape).astype(kind.newbyteorder("="))


def _labels_beside(path: Path) -> Path:
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    found = path.with_name(name)
    if name == path.name or not found.exists():
        wanted = name if name != path.name else "a name with images, as in train-images"
        raise ValueError(f"{path}: expected its labels beside it, {wanted}, got none")
    return found


def _numpy_file(path: Path) -> Mapping[str, np.ndarray]:
    """Return the arrays of an .npz file, or the one of an .npy file under "array"."""
    try:
        with open(path, "rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"array": content}
            return {name: content[name] for name in content.files}
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # whatever a broken archive does to NumPy
        raise ValueError(f"{path}: expected arrays of NumPy without pickled objects, got another "
                         f"file: {' '.join(str(error).split()):.120}") from None


def _one_array(path: Path) -> np.ndarray:
    arrays = _numpy_file(path)
    if "array" not in arrays:
        raise ValueError(f"{path}: expected one array, got an archive of them: it ends in .npz")
    return arrays["array"]


def _images(path: Path, pixels: np.ndarray, labels: np.ndarray) -> Images:
    """Return images from arrays of a file, or raise in one line that names it."""
    name = f"{path}: images"
    if pixels.dtype == np.uint8:
        pixels = pixels / 255.0
    elif pixels.dtype.kind != "f":
        raise ValueError(f"{name}: expected bytes or floats from 0 to 1, got {pixels.dtype}")
    if pixels.ndim == 2:  # flat ones, which are squares
        side = math.isqrt(pixels.shape[1])
        if side * side != pixels.shape[1]:
            raise ValueError(f"{name}: expected squares where they are flat, got "
                             f"{pixels.shape[1]} pixels each")
        pixels = pixels.reshape(-1, side, side)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or 0 in pixels.shape:
        raise ValueError(f"{name}: expected shape (n, height, width) or (n, height, width, "
                         f"channels), got {pixels.shape}")
    pixels = require_finite(name, pixels.astype(np.float64))
    if pixels.min() < 0.0 or pixels.max() > 1.0:
        raise ValueError(f"{name}: expected floats from 0 to 1, got {pixels.min():g} to "
                         f"{pixels.max():g}")
    labels = np.asarray(labels)
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: labels: expected {len(pixels)} integers, one an image, got "
                         f"{labels.dtype} of shape {labels.shape}")
    values = np.unique(labels)
    return Images(pixels, np.searchsorted(values, labels), tuple(map(str, values)))
