"""Input checks. Each message says what was expected, what came, and why it matters.

Numba kernels do no bounds check: every public function calls these before it calls a kernel.
"""

import math
from collections.abc import Iterable, Sized
from numbers import Integral, Real
from typing import Any

import numpy as np

from simulator.protocols import Batch

__all__ = [
    "require_array",
    "require_batch",
    "require_choice",
    "require_finite",
    "require_int",
    "require_labels",
    "require_network",
    "require_orthonormal",
    "require_radii",
    "require_real",
    "require_some",
    "seen",
]

MOST_SEEN = 80  # letters of a value in an error
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def seen(value: Any) -> str:
    """Return a value as an error shows it: in one line that does not go on for ever."""
    text = " ".join(repr(value).split())
    return text if len(text) <= MOST_SEEN else f"{text[:MOST_SEEN]}..."


def require_int(name: str, value: Any, low: int | None = None, high: int | None = None,
                why: str = "") -> int:
    """Return ``value`` as an int within [low, high], or raise TypeError / ValueError."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer, got {seen(value)}")
    return int(_within(name, int(value), low, high, why))


def require_real(name: str, value: Any, low: float | None = None, high: float | None = None,
                 why: str = "", open_low: bool = False) -> float:
    """Return ``value`` as a finite float within [low, high], or raise TypeError / ValueError.

    ``open_low`` excludes ``low`` itself.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {seen(value)}")
    try:
        value = float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a finite number, got {_shown(value)}") from None
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
    if open_low and value == low:
        raise ValueError(f"{name}: expected more than {low}, got {value}" + _reason(why))
    return float(_within(name, value, low, high, why))


def _within(name: str, value: float, low: float | None, high: float | None, why: str) -> float:
    if low is not None and value < low:
        raise ValueError(f"{name}: expected at least {_shown(low)}, got {_shown(value)}"
                         + _reason(why))
    if high is not None and value > high:
        raise ValueError(f"{name}: expected at most {_shown(high)}, got {_shown(value)}"
                         + _reason(why))
    return value


def _shown(value: float) -> str:
    """A number for a line of text: all its digits, unless there are dozens of them."""
    if abs(value) < 1e15:
        return str(value)
    if isinstance(value, int) and value.bit_length() > 1000:  # no float holds it
        digits = round(value.bit_length() * math.log10(2.0))
        return f"about {'-' if value < 0 else ''}10^{digits}"
    return f"{value:g}"


def _reason(why: str) -> str:
    return f": {why}" if why else ""


def require_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``choices``, or raise ValueError."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {seen(value)}")
    return str(value)


def require_radii(name: str, radii: Any) -> list[float]:
    """Return radii as strictly ascending floats from 0 on, or raise TypeError / ValueError."""
    if isinstance(radii, Real) or not isinstance(radii, Iterable):
        raise TypeError(f"{name}: expected a sequence of radii such as [0.1, 0.2], got "
                        f"{seen(radii)}")
    numbers = [require_real(name, radius, low=0.0) for radius in radii]
    if not numbers:
        raise ValueError(f"{name}: expected at least one radius, got none")
    if sorted(set(numbers)) != numbers:
        raise ValueError(f"{name}: expected ascending order, got {numbers}")
    return numbers


def require_array(name: str, value: Any, shape: tuple[int | None, ...], why: str = "",
                  dtype: np.dtype | None = None, writable: bool = False) -> np.ndarray:
    """Return ``value`` as a C-contiguous float array of ``shape`` (None: any length).

    ``dtype`` converts to that float type; without it float32 and float64 stay as they are
    and anything else becomes float64. ``writable`` copies an array that may not be written to
    (a memory map, another library's), for what changes it in place.
    """
    if isinstance(value, Batch):
        raise TypeError(f"{name}: expected an array, got a Batch: pass "
                        f"batch.{'y' if name == 'y' else 'X'}")
    try:
        array = np.asarray(value)
    except ValueError:  # a tuple of arrays, a list of lists of several lengths
        raise TypeError(f"{name}: expected an array of numbers, got a {type(value).__name__} of "
                        "parts whose shapes differ") from None
    if array.dtype == object or array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected an array of numbers, got dtype {array.dtype}")
    if array.ndim != len(shape) or any(
            want is not None and want != got for want, got in zip(shape, array.shape)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        comma = "," if len(shape) == 1 else ""
        raise ValueError(f"{name}: expected shape ({wanted}{comma}), got {array.shape}"
                         + _reason(why))
    if dtype is None:
        dtype = array.dtype if array.dtype in FLOATS else np.dtype(np.float64)
    array = np.ascontiguousarray(array, dtype=dtype)
    return array.copy() if writable and not array.flags.writeable else array


def require_batch(batch: Any) -> None:
    """Raise TypeError for anything but samples with labels."""
    if not (hasattr(batch, "X") and hasattr(batch, "y")):
        raise TypeError("batch: expected a Batch(X, y), got a value of type "
                        f"{type(batch).__name__}: samples and labels travel together")


def require_network(network: Any) -> None:
    """Raise TypeError for anything without the margins that attacks and accuracies ask for."""
    if not hasattr(network, "margins"):
        raise TypeError("network: expected a network such as SymmetricReLU, with margins(X, y), "
                        f"got a value of type {type(network).__name__}")


def require_finite(name: str, array: np.ndarray) -> np.ndarray:
    """Return ``array`` if it holds no NaN and no infinity, or raise ValueError."""
    if not np.isfinite(array).all():
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise ValueError(f"{name}: expected finite numbers, got {bad} NaN or infinite entries")
    return array


def require_some(name: str, samples: Sized, why: str) -> None:
    """Raise ValueError where there is no sample to take a mean over."""
    if len(samples) == 0:
        raise ValueError(f"{name}: expected at least one sample, got none: {why}")


def require_labels(name: str, value: Any, n: int, dtype: np.dtype) -> np.ndarray:
    """Return labels as a float array of shape (n,) with entries -1 and +1."""
    labels = require_array(name, value, (n,), why="one label per sample", dtype=dtype)
    if not np.all(np.abs(labels) == 1.0):
        raise ValueError(f"{name}: expected labels -1 and +1, got others")
    return labels


def require_orthonormal(name: str, value: Any, d: int) -> np.ndarray:
    """Return a (d, d) matrix with M^T M = I to 1e-8, or raise ValueError."""
    matrix = require_array(name, value, (d, d), why="a dictionary is square",
                           dtype=np.dtype(np.float64))
    require_finite(name, matrix)
    error = float(np.abs(matrix.T @ matrix - np.eye(d)).max())
    if error > 1e-8:
        raise ValueError(f"{name}: expected an orthonormal matrix, got |M^T M - I| = {error:.2g}")
    return matrix
