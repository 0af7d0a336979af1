"""A dictionary learned from image patches, sparse rebuilding, and how sparse real images are.

Allen-Zhu & Li (arXiv 2005.10190) assume inputs ``x = M z`` with M orthonormal and independent
sparse z, and show images rebuilt from few features. Here patches are whitened along their leading
principal axes, and independent component analysis (FastICA of scikit-learn) turns the axes until
the coefficients are as independent as a rotation can make them:

    z = R D^-1/2 V^T x,    x ~ V D^1/2 R^T z,    R orthonormal,

so in whitened coordinates the dictionary is orthonormal, as in the paper. What the coefficients
are like is measured, not assumed.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.checks import require_array, require_int, require_real
from simulator.data.images import EXTRA
from simulator.randomness import Rng, require_generator

__all__ = ["Features", "gaussian_like", "gaussian_picture", "law_of_codes", "learn_features",
           "psnr", "rebuild"]

FLOAT = np.dtype(np.float64)
FLAT = 1e-8  # of the largest variance; an axis with less is none
ROUNDS = 60  # of FastICA: more change nothing that is measured here
MOST_ATOMS = 30  # of one patch, when an image is rebuilt
SPARSE = 0.1  # share of the coefficients that must hold most of the energy


@dataclass(frozen=True, eq=False)
class Features:
    """A learned dictionary.

    Attributes
    ----------
    analysis : ndarray, shape (r, d)
        Turns a patch into its coefficients z.
    synthesis : ndarray, shape (d, r)
        Turns coefficients into a patch; its columns are the features.
    """

    analysis: np.ndarray
    synthesis: np.ndarray

    def codes(self, X: np.ndarray) -> np.ndarray:
        """Return the coefficients z of patches (n, d), shape (n, r)."""
        codes: np.ndarray = require_array("X", X, (None, self.analysis.shape[1]),
                                          dtype=FLOAT) @ self.analysis.T
        return codes

    @cached_property
    def lengths(self) -> np.ndarray:
        """Length of each feature in pixels, shape (r,)."""
        found: np.ndarray = np.linalg.norm(self.synthesis, axis=0)
        return found

    @cached_property
    def atoms(self) -> np.ndarray:
        """The flat patch and the features, each of length 1, shape (d, r + 1)."""
        d = len(self.synthesis)
        return np.concatenate([np.full((d, 1), d**-0.5), self.synthesis / self.lengths], axis=1)


def learn_features(X: np.ndarray, count: int, rng: Rng) -> Features:
    """Whiten patches and learn a dictionary of them.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Patches.
    count : int
        Features; where the patches have fewer axes, so many.
    rng : int or Generator
        Draws where FastICA starts.

    Raises
    ------
    ValueError
        Patches that do not differ.
    ImportError
        scikit-learn is not installed: it comes with the extra "images".
    """
    X = require_array("X", X, (None, None), dtype=FLOAT)
    require_int("count", count, low=1)
    rng = require_generator("rng", rng)
    try:
        from sklearn.decomposition import FastICA
    except ModuleNotFoundError:
        raise ImportError("expected scikit-learn, which learns the dictionary and is not "
                          f"installed: {EXTRA}") from None
    # the leading axes of the patches
    variances, axes = np.linalg.eigh(X.T @ X / len(X))
    order = np.argsort(-variances)[:count]
    order = order[variances[order] > FLAT * max(float(variances.max()), 0.0)]
    if len(order) == 0:
        raise ValueError("X: expected patches that differ, got constant ones")
    roots, axes = np.sqrt(variances[order]), axes[:, order]
    # the rotation
    ica = FastICA(whiten=False, max_iter=ROUNDS, tol=1e-3,
                  random_state=int(rng.integers(2**31 - 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # any rotation is a dictionary, also one not at its end
        ica.fit(X @ axes / roots)
    R = ica.components_
    return Features(R @ (axes / roots).T, (axes * roots) @ R.T)


def law_of_codes(Z: np.ndarray, rng: Rng = 0) -> dict[str, float]:
    """Return how far coefficients are from the paper's law: sparse and independent.

    Parameters
    ----------
    Z : ndarray, shape (n, r)
    rng : int or Generator
        Shuffles each coefficient for itself: what dependence looks like where there is none.

    Returns
    -------
    dict of str to float
        ``top_share``: share of a patch's energy in a tenth of its coefficients, mean over patches
        (Gaussian ones: about .4); ``kurtosis``: mean over coefficients of the excess (Gaussian 0;
        coefficients that are nonzero with probability p: up to 1/p - 3); ``dependence``: mean over
        pairs of |correlation of the squares|, and ``dependence_shuffled``, the same where they
        are independent.
    """
    Z = require_array("Z", Z, (None, None), dtype=FLOAT)
    squares = Z**2
    most = max(1, round(SPARSE * Z.shape[1]))
    top = np.sort(squares, axis=1)[:, -most:].sum(axis=1)
    total = squares.sum(axis=1)
    kurtosis = (squares**2).mean(axis=0) / squares.mean(axis=0)**2 - 3.0
    shuffled = require_generator("rng", rng).permuted(squares, axis=0)
    return {"top_share": float((top[total > 0.0] / total[total > 0.0]).mean()),
            "kurtosis": float(kurtosis.mean()), "dependence": _dependence(squares),
            "dependence_shuffled": _dependence(shuffled)}


def _dependence(squares: np.ndarray) -> float:
    r = squares.shape[1]
    if r < 2:
        return 0.0
    off = np.abs(np.corrcoef(squares.T))[~np.eye(r, dtype=bool)]
    return float(off.mean())


def gaussian_like(X: np.ndarray, rng: Rng) -> np.ndarray:
    """Draw as many Gaussian patches with the same second moments: what is not sparse at all."""
    X = require_array("X", X, (None, None), dtype=FLOAT)
    variances, axes = np.linalg.eigh(X.T @ X / len(X))
    drawn = require_generator("rng", rng).standard_normal(X.shape)
    patches: np.ndarray = drawn * np.sqrt(np.maximum(variances, 0.0)) @ axes.T
    return patches


def gaussian_picture(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Return noise with the spectrum of a picture: its amplitudes with phases of chance."""
    image = require_array("image", image, (None, None), dtype=FLOAT)
    noise = require_generator("rng", rng).standard_normal(image.shape)
    phases = np.exp(1j * np.angle(np.fft.fft2(noise)))
    phases[0, 0] = 1.0  # the mean stays
    picture: np.ndarray = np.fft.ifft2(np.abs(np.fft.fft2(image)) * phases).real
    return picture


def rebuild(image: np.ndarray, features: Features, shares: Sequence[float]) -> np.ndarray:
    """Rebuild a picture from its most useful coefficients, few of all.

    Each patch is coded by orthogonal matching pursuit in :attr:`Features.atoms`; of all steps of
    all patches those are kept that explain most. Patches lie side by side, so the picture has as
    many coefficients as patches times atoms.

    Parameters
    ----------
    image : ndarray, shape (height, width)
        Whole numbers of patches.
    features : Features
        Of square patches.
    shares : sequence of float
        Of the coefficients that are not zero.

    Returns
    -------
    ndarray, shape (len(shares), height, width)

    Raises
    ------
    ValueError
        A picture that is no whole number of patches, a share outside (0, 1].
    """
    image = require_array("image", image, (None, None), dtype=FLOAT)
    atoms = features.atoms
    side = round(len(atoms)**0.5)
    if image.shape[0] % side or image.shape[1] % side:
        raise ValueError(f"image: expected whole patches of {side} x {side}, got {image.shape}")
    for share in shares:
        require_real("share", share, low=0.0, high=1.0, open_low=True)
    # what each step of each patch explains; never more than the step before
    grey = image.mean()
    rows, columns = image.shape[0] // side, image.shape[1] // side
    patches = (image - grey).reshape(rows, side, columns, side).transpose(0, 2, 1, 3)
    patches = patches.reshape(rows * columns, side * side)
    steps = [_pursuit(patch, atoms, min(MOST_ATOMS, *atoms.shape)) for patch in patches]
    gains = np.array([gain for gain, _ in steps])
    order = np.argsort(-gains, axis=None, kind="stable")
    # each picture takes the best of them
    found = np.empty((len(shares), *image.shape))
    for picture, share in zip(found, shares):
        kept = order[:round(share * len(patches) * atoms.shape[1])]
        depth = np.bincount(kept // gains.shape[1], minlength=len(patches))
        rebuilt = np.array([fits[count] for (_, fits), count in zip(steps, depth)])
        picture[:] = grey + rebuilt.reshape(rows, columns, side, side).transpose(
            0, 2, 1, 3).reshape(image.shape)
    return found


def _pursuit(x: np.ndarray, atoms: np.ndarray, most: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return what each step explains, shape (most,), and the fits after 0, 1, ... steps."""
    basis = np.zeros((len(x), 0))
    rest, fits, gains = x.copy(), [np.zeros_like(x)], np.zeros(most)
    for step in range(most):
        direction = atoms[:, np.argmax(np.abs(atoms.T @ rest))]
        for _ in range(2):  # twice is enough to be orthogonal to the digits
            direction = direction - basis @ (basis.T @ direction)
        length = np.linalg.norm(direction)
        if not length > FLAT:
            return gains, fits + [fits[-1]] * (most - step)
        basis = np.concatenate([basis, (direction / length)[:, None]], axis=1)
        along = float(basis[:, -1] @ rest)
        rest = rest - along * basis[:, -1]
        fits.append(x - rest)
        gains[step] = along**2 if step == 0 else min(along**2, gains[step - 1])
    return gains, fits


def psnr(image: np.ndarray, rebuilt: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB of a picture from 0 to 1."""
    error = float(np.mean((np.asarray(image) - np.asarray(rebuilt))**2))
    return float(-10.0 * np.log10(max(error, 1e-20)))
