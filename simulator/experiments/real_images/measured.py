"""What perturbations and neurons look like, in numbers: noise or structure.

All are functions of pictures as rows of pixels; what each is called in a run is told in
:mod:`simulator.experiments.real_images.summary`.
"""

import numpy as np
import scipy.fft

from simulator.data.dictionaries import Features
from simulator.features import kept_part, participation_ratio
from simulator.protocols import Batch

__all__ = ["along", "high_frequency", "nearest_other", "parts_of_neurons", "spread"]

HIGH = 0.75  # of the highest frequency of an axis; above are the fine details
NEURON = 0.3  # of the longest neuron; the others are left out, as in simulator.features


def high_frequency(pictures: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the share of each picture's energy at high frequencies, shape (n,).

    Frequencies are those of the cosine transform, high where ``sqrt(u^2 + v^2) > 3/4`` with u and
    v from 0 to 1 along the axes. White noise has the share of them that are high, about .6.
    """
    height, width, _ = shape
    energy = scipy.fft.dctn(pictures.reshape(-1, *shape), axes=(1, 2), norm="ortho")**2
    u, v = (np.arange(size) / max(size - 1, 1) for size in (height, width))
    high = np.hypot(u[:, None], v[None, :]) > HIGH
    total = energy.sum(axis=(1, 2, 3))
    part: np.ndarray = energy[:, high].sum(axis=(1, 2))
    return np.divide(part, total, out=np.full_like(total, np.nan), where=total > 0.0)


def along(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the cosine of each picture with another, or with one for all, shape (n,)."""
    others = np.broadcast_to(others, pictures.shape)
    lengths = np.linalg.norm(pictures, axis=1) * np.linalg.norm(others, axis=1)
    products = np.einsum("ij,ij->i", pictures, others)
    return np.divide(products, lengths, out=np.zeros_like(lengths), where=lengths > 0.0)


def nearest_other(batch: Batch, training: Batch) -> np.ndarray:
    """Return the way from each image to the nearest training image of the other label, (n, d)."""
    X = np.asarray(batch.X, np.float64)
    found = np.empty_like(X)
    for label in (-1.0, 1.0):
        rows, others = batch.y == label, training.X[training.y == -label]
        squares = (others**2).sum(axis=1) - 2.0 * X[rows] @ others.T
        found[rows] = others[squares.argmin(axis=1)]
    return found - X


def spread(pictures: np.ndarray, features: Features) -> np.ndarray:
    """Return over what share of the learned features each picture is spread, shape (n,).

    The participation ratio of what the features contribute, each by its length in pixels.
    """
    contributions = features.codes(pictures) * features.lengths
    return participation_ratio(contributions) / len(features.lengths)


def parts_of_neurons(clean: np.ndarray,
                     other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split clean neurons: ``w = beta w' + v``, the least squares with w' after more training.

    Parameters
    ----------
    clean, other : ndarray, shape (m, d)

    Returns
    -------
    marked : ndarray of bool, shape (m,)
        Neurons that are at least 0.3 times as long as the longest clean one.
    kept, removed : ndarray, shape (marked, d)
        ``beta w'`` and ``v``.
    """
    clean, other = clean.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(clean, axis=1)
    marked = lengths >= NEURON * lengths.max()
    _, kept = kept_part(clean[marked], other[marked])
    return marked, kept, clean[marked] - kept
