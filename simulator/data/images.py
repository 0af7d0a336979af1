"""Real images that packages bring along, patches of them, and tasks of two classes.

With the extra "images" there are handwritten digits (scikit-learn: 1797 of 8 x 8) and natural
photographs (scikit-learn, scikit-image), which are cut into patches. Nothing is downloaded. Files
that users have are read by :mod:`simulator.data.image_files`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from simulator.checks import require_array, require_int
from simulator.data.image_files import Images
from simulator.protocols import Batch
from simulator.randomness import Rng, require_generator

__all__ = ["EXTRA", "PHOTOGRAPHS", "TEXTURES", "ImageTask", "binary_task", "digits",
           "patches_of", "photograph", "photograph_patches"]

EXTRA = "pip install 'feature-purification[images]'"

# Natural scenes, by where they come from; both packages bring the files along.
PHOTOGRAPHS = {"china": "sklearn", "flower": "sklearn", "astronaut": "skimage",
               "camera": "skimage", "chelsea": "skimage", "coffee": "skimage",
               "rocket": "skimage"}
TEXTURES = {"brick": "skimage", "grass": "skimage", "gravel": "skimage"}
LUMINANCE = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)
TRAINING_PART = 0.7  # of a photograph, from the left: patches of the rest are never trained on


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
