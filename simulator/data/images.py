"""Real images: readers of files that users have, and images that packages bring along.

Nothing is downloaded and nothing is unpickled. Read are CIFAR-10 in its binary version (records of
a label and 3 x 32 x 32 bytes), IDX (MNIST and its kin, gzipped or not) and NumPy's ``.npz`` and
``.npy``. With the extra "images" there are handwritten digits (scikit-learn: 1797 of 8 x 8) and
natural photographs (scikit-learn, scikit-image), which are cut into patches.

Whatever is wrong with a file is told in one line: truncated, of another kind, sizes that do not
fit together.
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
from numpy.typing import DTypeLike

from simulator.checks import require_array, require_finite, require_int
from simulator.protocols import Batch
from simulator.randomness import Rng, require_generator

__all__ = ["EXTRA", "PHOTOGRAPHS", "TEXTURES", "ImageTask", "Images", "binary_task", "digits",
           "patches_of", "photograph", "photograph_patches", "read_cifar10", "read_idx",
           "read_images"]

EXTRA = "pip install 'feature-purification[images]'"

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                 "truck")
CIFAR_SHAPE = (3, 32, 32)  # red, green and blue planes, each row by row
CIFAR_RECORD = 1 + math.prod(CIFAR_SHAPE)
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"
PIECE = 1 << 22  # bytes read together

# Natural scenes, by where they come from; both packages bring the files along.
PHOTOGRAPHS = {"china": "sklearn", "flower": "sklearn", "astronaut": "skimage",
               "camera": "skimage", "chelsea": "skimage", "coffee": "skimage",
               "rocket": "skimage"}
TEXTURES = {"brick": "skimage", "grass": "skimage", "gravel": "skimage"}
LUMINANCE = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)
TRAINING_PART = 0.7  # of a photograph, from the left: patches of the rest are never trained on


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
    read: Any = (lambda file: _numpy_file(file)["array"]) if path.suffix == ".npy" else read_idx
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


# --- images that packages bring along -----------------------------------------------------


def digits() -> Images:
    """Return the handwritten digits of scikit-learn: 1797 images of 8 x 8 pixels, ten classes.

    Raises
    ------
    ImportError
        scikit-learn is not installed: it comes with the extra "images".
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise _missing("scikit-learn") from None
    found = load_digits()
    return Images(found.images[..., None] / 16.0, found.target.astype(np.int64),
                  tuple(map(str, range(10))))


def photograph(name: str) -> np.ndarray:
    """Return a photograph or a texture in grey, shape (height, width), 0 to 1.

    Parameters
    ----------
    name : str
        Of :data:`PHOTOGRAPHS` or :data:`TEXTURES`.

    Raises
    ------
    ValueError
        Another name.
    ImportError
        The package that brings it is not installed: both come with the extra "images".
    """
    known = PHOTOGRAPHS | TEXTURES
    if name not in known:
        raise ValueError(f"photograph: expected one of {', '.join(known)}, got {name!r}")
    try:
        if known[name] == "sklearn":
            from sklearn.datasets import load_sample_image
            pixels = load_sample_image(f"{name}.jpg")
        else:
            import skimage.data
            pixels = getattr(skimage.data, name)()
    except ModuleNotFoundError:
        raise _missing("scikit-learn" if known[name] == "sklearn" else "scikit-image") from None
    grey = np.asarray(pixels, np.float64) / 255.0
    return grey @ LUMINANCE if grey.ndim == 3 else grey


def _missing(package: str) -> ImportError:
    return ImportError(f"expected {package}, which brings these images and is not installed: "
                       f"{EXTRA}")


def patches_of(image: np.ndarray, side: int, count: int, rng: Rng) -> np.ndarray:
    """Cut patches out of a grey image at places drawn at random.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    side, count : int
    rng : int or Generator

    Returns
    -------
    ndarray, shape (count, side, side)

    Raises
    ------
    ValueError
        The image is smaller than a patch.
    """
    image = require_array("image", image, (None, None), dtype=np.dtype(np.float64))
    require_int("side", side, low=2, high=min(image.shape), why="a patch lies in the image")
    require_int("count", count, low=1)
    rng = require_generator("rng", rng)
    rows = rng.integers(image.shape[0] - side + 1, size=count)
    columns = rng.integers(image.shape[1] - side + 1, size=count)
    windows = np.lib.stride_tricks.sliding_window_view(image, (side, side))
    patches: np.ndarray = windows[rows, columns]
    return patches


def photograph_patches(names: tuple[str, ...], side: int, training: int, test: int,
                       rng: Rng) -> Images:
    """Return patches of several photographs, a class each; test patches share no pixel with others.

    Training patches lie in the left seven tenths of a photograph, test patches in the rest.

    Parameters
    ----------
    names : tuple of str
        Of photographs or textures.
    side : int
        Of a patch.
    training, test : int
        Patches of each photograph.
    rng : int or Generator
    """
    rng = require_generator("rng", rng)
    pixels = []
    for name in names:
        image = photograph(name)
        edge = int(TRAINING_PART * image.shape[1])
        pixels += [patches_of(image[:, :edge], side, training, rng),
                   patches_of(image[:, edge:], side, test, rng)]
    each = np.repeat([False, True], [training, test])
    return Images(np.concatenate(pixels)[..., None],
                  np.repeat(np.arange(len(names)), training + test), names,
                  np.tile(each, len(names)))


# --- a task with two labels ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ImageTask:
    """A finite data set with labels -1 and +1: what is trained on, and what is held out.

    Inputs are pixels minus the mean of the training images, over the root mean square length of
    the rest: an input is as long as 1 on average. A perturbation of length r is one of r * scale
    in pixels.

    Attributes
    ----------
    training, test : Batch
        Inputs X of shape (n, d), float64.
    shape : tuple of int
        Height, width, channels of an image; d is their product.
    mean : ndarray, shape (d,)
        Of the training images, in pixels.
    scale : float
        Pixels of one unit of an input.
    names : tuple of str
        What -1 and +1 stand for.
    """

    training: Batch
    test: Batch
    shape: tuple[int, int, int]
    mean: np.ndarray
    scale: float
    names: tuple[str, str]

    def sample(self, n: int, rng: Rng, dtype: DTypeLike = np.float64) -> Batch:
        """Draw n different training images; all of them in an order of chance if n is all.

        Raises
        ------
        ValueError
            There are fewer.
        """
        require_int("n", n, low=1, high=len(self.training), why="the training set is finite")
        rows = require_generator("rng", rng).permutation(len(self.training))[:n]
        return Batch(self.training.X[rows].astype(dtype), self.training.y[rows].astype(dtype))

    @property
    def class_difference(self) -> np.ndarray:
        """Mean of the inputs with label +1 minus that of the others, held-out ones, shape (d,)."""
        X, y = self.test.X, self.test.y
        difference: np.ndarray = X[y > 0.0].mean(axis=0) - X[y < 0.0].mean(axis=0)
        return difference

    def picture(self, X: np.ndarray) -> np.ndarray:
        """Return inputs as images, shape (n, height, width, channels), 0 to 1 in pixels."""
        return self.mean.reshape(self.shape) + self.scale * X.reshape(-1, *self.shape)


def binary_task(images: Images, task: str, *, rng: Rng, training_share: float = TRAINING_PART,
                shuffled: bool = False, training_samples: int = 0,
                test_samples: int = 0) -> ImageTask:
    """Make a task with two labels of images.

    Parameters
    ----------
    images : Images
    task : str
        "halves": the first half of the classes against the second; or two classes, by name or
        number, as in "3-8" or "cat-dog".
    rng : int or Generator
        Draws what is held out where the images do not say, and the order.
    training_share : float
        Of the images, where the images do not say.
    shuffled : bool
        Deal the training labels out anew, so that there is nothing to learn.
    training_samples, test_samples : int
        Take so many only; 0 takes all.

    Raises
    ------
    ValueError
        An unknown task, or a label without images in one of the sets.
    """
    rng = require_generator("rng", rng)
    negative, positive = _sides(images.classes, task)
    chosen = np.flatnonzero(np.isin(images.labels, (*negative, *positive)))
    chosen = chosen[rng.permutation(len(chosen))]
    if images.held_out is None:
        cut = int(round(training_share * len(chosen)))
        training, test = chosen[:cut], chosen[cut:]
    else:
        held = images.held_out[chosen]
        training, test = chosen[~held], chosen[held]
    training = _few("training", training, training_samples)
    test = _few("test", test, test_samples)
    labels = np.where(np.isin(images.labels, positive), 1.0, -1.0)
    for what, rows in (("training", training), ("test", test)):
        if len(np.unique(labels[rows])) < 2:
            raise ValueError(f"{what} images: expected some of both labels, got {len(rows)} images "
                             f"of {len(np.unique(labels[rows]))}: the task is {task}")
    pixels = images.pixels.reshape(len(images), -1)
    mean = pixels[training].mean(axis=0)
    scale = float(np.sqrt(((pixels[training] - mean)**2).sum(axis=1).mean()))
    if not scale > 0.0:
        raise ValueError("training images: expected some that differ, got none")
    seen = rng.permutation(labels[training]) if shuffled else labels[training]
    height, width, channels = images.pixels.shape[1:]
    names = ("/".join(images.classes[label] for label in negative),
             "/".join(images.classes[label] for label in positive))
    return ImageTask(Batch((pixels[training] - mean) / scale, seen),
                     Batch((pixels[test] - mean) / scale, labels[test]),
                     (height, width, channels), mean, scale, names)


def _few(what: str, rows: np.ndarray, count: int) -> np.ndarray:
    require_int(f"{what}_samples", count, low=0, high=len(rows), why="there are no more images")
    return rows[:count or len(rows)]


def _sides(classes: tuple[str, ...], task: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the labels that -1 and +1 stand for."""
    if task == "halves" and len(classes) > 1:
        half = len(classes) // 2
        return tuple(range(half)), tuple(range(half, len(classes)))
    found = [classes.index(word) if word in classes else
             int(word) if word.isdecimal() and int(word) < len(classes) else None
             for word in task.split("-")]
    if len(found) != 2 or None in found or found[0] == found[1]:
        raise ValueError("task: expected halves or two classes such as "
                         f"{classes[0]}-{classes[-1]} (there are {', '.join(classes)}), got "
                         f"{task!r}")
    return (found[0],), (found[1],)  # type: ignore[return-value]
