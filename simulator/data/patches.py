"""Patch-structured data (Li & Li, arXiv 2410.08503): a strong sparse and a weak dense feature.

    X[p] = alpha_p u_y + xi_p  for p in J_R,    X[p] = beta_p v_y + xi_p  for p in J_NR,

with a robust feature u_y and a non-robust feature v_y for each class y, all orthonormal, and
noise ``xi_p ~ N(0, sigma_n^2 I)``. The robust feature is strong but lies in few patches, the
other one is weaker than the perturbation radius but lies in many.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from simulator.checks import require_array, require_finite, require_int, require_real
from simulator.protocols import Batch
from simulator.randomness import Rng, require_generator

__all__ = ["PatchData", "random_features"]


@dataclass(frozen=True, eq=False)
class PatchData:
    """The distribution of the labelled samples ``(X, y)``; classes are equally likely.

    Parameters
    ----------
    d : int
        Dimension of a patch; at least 2 K.
    alpha : ndarray, shape (J_R,)
        Strength of the robust feature in each robust patch. These patches come first; the
        networks that read them do not care for their order. The default is one patch of
        strength 5: defaults are those of the preset desk.
    beta : ndarray, shape (J_NR,)
        Strength of the non-robust feature in each non-robust patch; by default .98 in 400.
    classes : int
        K.
    jitter : float
        Every strength of every sample is multiplied by a factor uniform in
        [1 - jitter, 1 + jitter]; below 1.
    noise : float
        ``sigma_n sqrt(d)``, about the length of a patch's noise.
    features : ndarray, shape (2 K, d), or None
        u_0 .. u_{K-1} and then v_0 .. v_{K-1}, orthonormal rows. None: the first 2 K unit
        vectors. (Gaussian starts, gradient descent and l2 balls do not know the basis; an l_inf
        ball does.)
    balanced : bool
        Every draw has the classes in equal numbers, up to one, in random order. Otherwise each
        label is drawn by itself.

    Raises
    ------
    TypeError, ValueError
        No robust or no non-robust patch, 2 K > d, or features that are not orthonormal.
    """

    d: int = 100
    alpha: np.ndarray = field(default_factory=lambda: np.array([5.0]))
    beta: np.ndarray = field(default_factory=lambda: np.full(400, 0.98))
    classes: int = 2
    jitter: float = 0.0
    noise: float = 0.5
    features: np.ndarray | None = None
    balanced: bool = False

    def __post_init__(self) -> None:
        require_int("classes", self.classes, low=2, why="one class needs no classifier")
        require_int("d", self.d)
        if self.d < 2 * self.classes:
            raise ValueError(f"d: expected at least 2 K = {2 * self.classes}, got {self.d}: "
                             "the features of all classes are orthogonal")
        for name, kind in (("alpha", "robust"), ("beta", "non-robust")):
            strengths = require_finite(name, require_array(
                name, getattr(self, name), (None,), why=f"one strength a {kind} patch",
                dtype=np.dtype(np.float64)))
            if len(strengths) == 0:
                raise ValueError(f"{name}: expected at least one {kind} patch, got none: "
                                 f"the {kind} feature would be nowhere")
            if not (strengths > 0.0).all():
                raise ValueError(f"{name}: expected strengths above 0, got {strengths.min():g}")
            object.__setattr__(self, name, strengths)
        require_real("noise", self.noise, low=0.0)
        require_real("jitter", self.jitter, low=0.0)
        if self.jitter >= 1.0:
            raise ValueError(f"jitter: expected less than 1, got {self.jitter}: "
                             "a feature keeps its sign")
        if self.features is not None:
            object.__setattr__(self, "features", _orthonormal_rows(
                self.features, 2 * self.classes, self.d))

    @property
    def patches(self) -> int:
        """P, robust and non-robust ones together."""
        return len(self.alpha) + len(self.beta)

    @cached_property
    def robust_features(self) -> np.ndarray:
        """u, shape (K, d)."""
        return self._all_features[:self.classes]

    @cached_property
    def nonrobust_features(self) -> np.ndarray:
        """v, shape (K, d)."""
        return self._all_features[self.classes:]

    @cached_property
    def _all_features(self) -> np.ndarray:
        return np.eye(2 * self.classes, self.d) if self.features is None else self.features

    def robust_only(self, X: np.ndarray) -> np.ndarray:
        """Return the robust patches of samples alone, (n, J_R, d): X of the distribution D_R.

        A network that reads it right has learned u; what it has learned of v shows in
        :meth:`nonrobust_only`, D_NR. (The paper's notion of what is learned; that the other
        patches are left out, not emptied, is a reading: empty patches add nothing to outputs.)
        """
        return X[:, :len(self.alpha)]

    def nonrobust_only(self, X: np.ndarray) -> np.ndarray:
        """Return the non-robust patches alone, shape (n, J_NR, d): X of the distribution D_NR."""
        return X[:, len(self.alpha):]

    def kappa(self, q: float) -> float:
        """Return ``sum beta^q / sum alpha^q``: above 1, v grows faster than u from a small start.

        Parameters
        ----------
        q : float
            Exponent of the network's activation.
        """
        return float(np.sum(self.beta**q) / np.sum(self.alpha**q))

    def __repr__(self) -> str:
        features = "axes" if self.features is None else "given"
        return (f"PatchData(d={self.d}, patches={len(self.alpha)} robust + {len(self.beta)} "
                f"non-robust, classes={self.classes}, jitter={self.jitter:g}, "
                f"noise={self.noise:g}, features={features})")

    def sample(self, n: int, rng: Rng, dtype: DTypeLike = np.float64) -> Batch:
        """Draw n samples. Both dtypes get the same ones, rounded.

        Parameters
        ----------
        n : int
        rng : int or Generator
            A seed, or the generator to draw from.
        dtype : float64 or float32

        Returns
        -------
        Batch
            ``X`` (n, P, d), ``y`` (n,) of int64, classes 0 to K - 1.
        """
        require_int("n", n, low=0)
        rng = require_generator("rng", rng)
        y = (rng.permutation(np.arange(n) % self.classes) if self.balanced
             else rng.integers(0, self.classes, n))
        strengths = np.tile(np.concatenate([self.alpha, self.beta]), (n, 1))
        if self.jitter:
            strengths *= rng.uniform(1.0 - self.jitter, 1.0 + self.jitter, strengths.shape)
        X = rng.standard_normal((n, self.patches, self.d))
        X *= self.noise / np.sqrt(self.d)
        first = len(self.alpha)
        for rows, features in ((slice(0, first), self.robust_features),
                               (slice(first, None), self.nonrobust_features)):
            X[:, rows] += strengths[:, rows, None] * features[y][:, None, :]
        return Batch(X.astype(dtype, copy=False), y)


def random_features(classes: int, d: int, rng: Rng = 0) -> np.ndarray:
    """Draw 2 K orthonormal features, shape (2 K, d), uniformly."""
    require_int("classes", classes, low=2)
    require_int("d", d, low=2 * classes, why="the features of all classes are orthogonal")
    normals = require_generator("rng", rng).standard_normal((d, 2 * classes))
    Q, R = np.linalg.qr(normals)
    return np.ascontiguousarray((Q * np.sign(np.diag(R))).T)


def _orthonormal_rows(features: Any, rows: int, d: int) -> np.ndarray:
    F = require_finite("features", require_array(
        "features", features, (rows, d), why="u and then v, one row a class",
        dtype=np.dtype(np.float64)))
    error = float(np.abs(F @ F.T - np.eye(rows)).max())
    if error > 1e-8:
        raise ValueError("features: expected orthonormal rows, got "
                         f"|F F^T - I| = {error:.2g}")
    return F
