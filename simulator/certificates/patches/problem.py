"""What is bounded and attacked: one sample of the patch network against one rival class.

    F_y - F_j  =  sum_p phi_p(delta_p),    phi_p(delta) = sum_k sign_k sigma(t_pk + <w_k, delta>),

with the m neurons of the true class y (sign +1), then the m of the rival j (sign -1),
``t_pk = <w_k, X[p]>`` and ``sigma(z) = 0 | z^q / (q rho^(q-1)) | z - (1 - 1/q) rho`` below 0, up
to rho and beyond (Li & Li, arXiv 2410.08503). Every patch has an l2 ball of its own.
"""

from dataclasses import dataclass

import numpy as np

from simulator.networks.smoothed_relu_cnn import smoothed_relu, smoothed_relu_slope

__all__ = ["ROUNDING", "Boxes", "PatchProblem"]

ROUNDING = 1e-11  # taken off every bound, relative to the sizes of its terms


@dataclass(frozen=True)
class Boxes:
    """Intervals of all neurons in which a patch is bounded, and the multipliers found there.

    Attributes
    ----------
    patch : ndarray of int, shape (c,)
        The patch each box belongs to.
    low, high : ndarray, shape (c, 2 m)
        Intervals of each ``<w_k, delta>``.
    slopes, curvatures : ndarray, shape (c, 2 m)
        a_k and mu_k.
    log_lam : ndarray, shape (c,)
    coefficients : ndarray, shape (c, 2 m)
        ``delta = sum_k b_k w_k``: where the relaxation puts the adversary.
    gaps : ndarray, shape (c, 2 m)
        What each neuron loses there: its term of phi minus its term of the bound.
    bounds : ndarray, shape (c,)
        Lower bounds of phi in the box; infinite where no point of the ball is in it.
    """

    patch: np.ndarray
    low: np.ndarray
    high: np.ndarray
    slopes: np.ndarray
    curvatures: np.ndarray
    log_lam: np.ndarray
    coefficients: np.ndarray
    gaps: np.ndarray
    bounds: np.ndarray

    @classmethod
    def room(cls, count: int, neurons: int) -> "Boxes":
        """Return ``count`` boxes to be filled."""
        low, high, slopes, curvatures, coefficients, gaps = np.zeros((6, count, neurons))
        return cls(np.zeros(count, dtype=np.int64), low, high, slopes, curvatures,
                   np.zeros(count), coefficients, gaps, np.full(count, np.inf))

    def take(self, rows: np.ndarray) -> "Boxes":
        """Return a copy of some boxes."""
        return Boxes(*(table[rows] for table in vars(self).values()))

    def put(self, rows: np.ndarray, others: "Boxes") -> None:
        """Write ``others`` into these rows."""
        for table, new in zip(vars(self).values(), vars(others).values()):
            table[rows] = new


@dataclass(frozen=True)
class PatchProblem:
    """One sample against one rival class, all patches, each in a ball of its own.

    Attributes
    ----------
    W : ndarray, shape (2 m, d)
        Neurons of the true class, then of the rival.
    T : ndarray, shape (P, 2 m)
        ``<w_k, X[p]>``.
    q, rho : float
        Of the activation.
    radius : float
        Of each patch, above 0.
    gram : ndarray, shape (2 m, 2 m)
        ``W W^T``.
    """

    W: np.ndarray
    T: np.ndarray
    q: float
    rho: float
    radius: float
    gram: np.ndarray

    @property
    def own(self) -> int:
        """m: the first neurons are those of the true class."""
        return len(self.W) // 2

    @property
    def reach(self) -> np.ndarray:
        """Largest ``<w_k, delta>`` in the ball, shape (2 m,)."""
        norms = np.sqrt(np.einsum("kj,kj->k", self.W, self.W))
        return self.radius * norms * (1.0 + 1e-12)

    def interval_bounds(self) -> np.ndarray:
        """Bound every patch with each neuron at its own worst, shape (P,): the baseline."""
        T, reach, m = self.T, self.reach, self.own
        own = smoothed_relu(T[:, :m] - reach[:m], self.q, self.rho)
        rival = smoothed_relu(T[:, m:] + reach[m:], self.q, self.rho)
        slack = ROUNDING * (np.abs(T) + reach).sum(axis=1)
        return own.sum(axis=1) - rival.sum(axis=1) - slack

    def whole(self, coefficients: np.ndarray) -> Boxes:
        """Return one box per patch, the whole ball, with multipliers from an attack.

        Tangents of the true class where the attack ``coefficients`` (P, 2 m) ended, chords of
        the rival, no curvature: a first point of the convex relaxation.
        """
        P, r = self.T.shape
        boxes, m = Boxes.room(P, r), self.own
        boxes.patch[:] = np.arange(P)
        boxes.low[:], boxes.high[:] = -self.reach, self.reach
        Z = self.T[:, :m] + coefficients @ self.gram[:, :m]
        boxes.slopes[:, :m] = self.slopes(Z)
        boxes.slopes[:, m:] = self.chords(boxes)[:, m:]
        boxes.bounds[:] = -np.inf
        return boxes

    def slopes(self, Z: np.ndarray) -> np.ndarray:
        """Return ``sigma'(Z)``, in the shape of Z."""
        return smoothed_relu_slope(Z, self.q, self.rho)

    def chords(self, boxes: Boxes) -> np.ndarray:
        """Return the slopes of the chords of ``-sigma(t + s) + mu s^2``, shape (c, 2 m)."""
        T, low, high = self.T[boxes.patch], boxes.low, boxes.high
        rise = smoothed_relu(T + high, self.q, self.rho) - smoothed_relu(T + low, self.q, self.rho)
        width = np.maximum(high - low, np.finfo(float).tiny)
        return boxes.curvatures * (low + high) - rise / width
