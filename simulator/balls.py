"""Perturbation balls: the threat is an object of its own, apart from how it is searched.

A ball knows its steepest direction, its projection, a random point and its dual norm. The
directions normalise a gradient in two steps, by its largest entry and then by its norm: an
additive guard (``g / (||g|| + 1e-10)``) weakens an attack wherever gradients are tiny, as they
are under the small initialisations of the theory.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.checks import require_choice, require_real

__all__ = ["L2Ball", "LinfBall", "PatchL2Ball", "ball_of"]


@dataclass(frozen=True)
class L2Ball:
    """``||delta||_2 <= radius`` for each sample, over all its coordinates together."""

    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", require_real("radius", self.radius, low=0.0))

    def with_radius(self, radius: float) -> "L2Ball":
        """Return the ball of another radius."""
        return replace(self, radius=radius)

    def norm(self, D: np.ndarray) -> np.ndarray:
        """Return ``||D_n||_2``, shape (n,)."""
        flat = _rows(D)
        largest = _largest(flat)
        scaled = flat / _or_one(largest)
        return largest[:, 0] * np.sqrt(np.einsum("nj,nj->n", scaled, scaled))

    def dual_norm(self, G: np.ndarray) -> np.ndarray:
        """Return ``max <G_n, delta> / radius = ||G_n||_2``, shape (n,)."""
        return self.norm(G)

    def steepest(self, G: np.ndarray) -> np.ndarray:
        """Return ``radius G / ||G||_2``, shape of G; zero where G is zero."""
        flat = _rows(G)
        unit = flat / _or_one(_largest(flat))
        unit *= self.radius / _or_one(np.sqrt(np.einsum("nj,nj->n", unit, unit)))[:, None]
        return unit.reshape(G.shape)

    def project(self, D: np.ndarray) -> np.ndarray:
        """Return the nearest point of the ball; a point inside comes back bit for bit."""
        norms = self.norm(D)
        outside = norms > self.radius
        if not outside.any():
            return D
        shrink = np.ones_like(norms)
        shrink[outside] = self.radius / norms[outside]
        return D * shrink.reshape((-1,) + (1,) * (D.ndim - 1))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...],
             dtype: Any = np.float64) -> np.ndarray:
        """Draw uniformly on the sphere of this radius."""
        return self.steepest(rng.standard_normal(shape, dtype=dtype))


@dataclass(frozen=True)
class LinfBall:
    """``max_j |delta_j| <= radius`` for each sample."""

    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", require_real("radius", self.radius, low=0.0))

    def with_radius(self, radius: float) -> "LinfBall":
        """Return the ball of another radius."""
        return replace(self, radius=radius)

    def norm(self, D: np.ndarray) -> np.ndarray:
        """Return ``max_j |D_nj|``, shape (n,)."""
        return _largest(_rows(D))[:, 0]

    def dual_norm(self, G: np.ndarray) -> np.ndarray:
        """Return ``max <G_n, delta> / radius = ||G_n||_1``, shape (n,)."""
        return np.abs(_rows(G)).sum(axis=1)

    def steepest(self, G: np.ndarray) -> np.ndarray:
        """Return ``radius sign(G)``, shape of G; zero where G is zero."""
        return np.sign(G) * G.dtype.type(self.radius)

    def project(self, D: np.ndarray) -> np.ndarray:
        """Clip every coordinate to [-radius, radius]."""
        return np.clip(D, -self.radius, self.radius)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...],
             dtype: Any = np.float64) -> np.ndarray:
        """Draw a uniformly random corner of the cube."""
        return (self.radius * (2.0 * rng.integers(0, 2, shape) - 1.0)).astype(dtype)


@dataclass(frozen=True)
class PatchL2Ball:
    """``||delta[p]||_2 <= radius`` for each patch p of each sample, shapes (n, P, d).

    The budget of one patch cannot be spent on another (Li & Li, arXiv 2410.08503).
    """

    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", require_real("radius", self.radius, low=0.0))

    def with_radius(self, radius: float) -> "PatchL2Ball":
        """Return the ball of another radius."""
        return replace(self, radius=radius)

    def norm(self, D: np.ndarray) -> np.ndarray:
        """Return ``max_p ||D_n[p]||_2``, shape (n,)."""
        return self._lengths(D).max(axis=1, initial=0.0)

    def dual_norm(self, G: np.ndarray) -> np.ndarray:
        """Return ``max <G_n, delta> / radius = sum_p ||G_n[p]||_2``, shape (n,)."""
        return self._lengths(G).sum(axis=1)

    def steepest(self, G: np.ndarray) -> np.ndarray:
        """Return ``radius G[p] / ||G[p]||_2`` in each patch; zero where G[p] is zero."""
        return L2Ball(self.radius).steepest(_patches(G)).reshape(G.shape)

    def project(self, D: np.ndarray) -> np.ndarray:
        """Return the nearest point of the ball; a patch inside comes back bit for bit."""
        return L2Ball(self.radius).project(_patches(D)).reshape(D.shape)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...],
             dtype: Any = np.float64) -> np.ndarray:
        """Draw uniformly on the sphere of each patch."""
        return self.steepest(rng.standard_normal(shape, dtype=dtype))

    @staticmethod
    def _lengths(D: np.ndarray) -> np.ndarray:
        return L2Ball(1.0).norm(_patches(D)).reshape(D.shape[:2])


def ball_of(norm: str, radius: float) -> L2Ball | LinfBall:
    """Return the ball of a norm by its name in a config, "l2" or "linf"."""
    require_choice("norm", norm, ("l2", "linf"))
    return L2Ball(radius) if norm == "l2" else LinfBall(radius)


def _patches(D: np.ndarray) -> np.ndarray:
    if D.ndim != 3:
        raise ValueError(f"perturbations: expected shape (n, P, d), got {D.shape}: "
                         "the ball is one of patches")
    return D.reshape(-1, D.shape[2])


def _rows(D: np.ndarray) -> np.ndarray:
    return D.reshape(len(D), math.prod(D.shape[1:]))


def _largest(flat: np.ndarray) -> np.ndarray:
    return np.abs(flat).max(axis=1, keepdims=True, initial=0.0)


def _or_one(scale: np.ndarray) -> np.ndarray:
    """Replace zeros by one, so that a zero row stays zero when divided."""
    return np.where(scale == 0.0, 1.0, scale).astype(scale.dtype)
