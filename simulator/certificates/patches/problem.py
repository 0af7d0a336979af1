"""What is bounded and attacked: one sample of the patch network against one rival class.

    F_y - F_j  =  sum_p phi_p(delta_p),    phi_p(delta) = sum_k sign_k sigma(t_pk + <w_k, delta>),

with the m neurons of the true class y (sign +1), then the m of the rival j (sign -1),
``t_pk = <w_k, X[p]>`` and ``sigma(z) = 0 | z^q / (q rho^(q-1)) | z - (1 - 1/q) rho`` below 0, up
to rho and beyond (Li & Li, arXiv 2410.08503). Every patch has a ball of its own, l2 or l_inf.
"""

import math
from dataclasses import dataclass

import numpy as np

from simulator.certificates.inputs import NO_SQUARE, grain
from simulator.networks.smoothed_relu_cnn import smoothed_relu, smoothed_relu_slope

__all__ = ["ACTIVATION", "COEFFICIENT", "CURVATURE", "GAP", "HIGH", "LOW", "SLOPE", "Boxes",
           "PatchProblem"]


# Lines of the table of a box, as kernels see it: each neuron's activation at X[p] and the interval
# around it, its multipliers, where the relaxation puts the adversary, and what it loses there.
ACTIVATION, LOW, HIGH, SLOPE, CURVATURE, COEFFICIENT, GAP = range(7)


@dataclass(frozen=True)
class Boxes:
    """Intervals of all neurons in which a patch is bounded, and the multipliers found there.

    Attributes
    ----------
    patch : ndarray of int, shape (c,)
        The patch each box belongs to.
    tables : ndarray, shape (7, c, 2 m)
        One number per box and neuron; ``activations``, ``low``, ``high``, ``slopes``,
        ``curvatures``, ``coefficients`` and ``gaps`` are its parts.
    log_lam : ndarray, shape (c,)
    bounds : ndarray, shape (c,)
        Lower bounds of phi in the box; infinite where no point of the ball is in it.
    """

    patch: np.ndarray
    tables: np.ndarray
    log_lam: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.patch)

    def __repr__(self) -> str:
        return (f"Boxes(c={len(self)}, of {len(np.unique(self.patch))} patches, "
                f"neurons={self.tables.shape[2]})")

    @property
    def activations(self) -> np.ndarray:
        """``t_k = <w_k, X[p]>`` of the patch of each box, shape (c, 2 m)."""
        return self.tables[ACTIVATION]

    @property
    def low(self) -> np.ndarray:
        """Least ``<w_k, delta>`` in each box, shape (c, 2 m)."""
        return self.tables[LOW]

    @property
    def high(self) -> np.ndarray:
        """Largest ``<w_k, delta>`` in each box, shape (c, 2 m)."""
        return self.tables[HIGH]

    @property
    def slopes(self) -> np.ndarray:
        """Multipliers a_k, shape (c, 2 m)."""
        return self.tables[SLOPE]

    @property
    def curvatures(self) -> np.ndarray:
        """Multipliers mu_k, shape (c, 2 m)."""
        return self.tables[CURVATURE]

    @property
    def coefficients(self) -> np.ndarray:
        """Where the relaxation puts the adversary, ``delta = sum_k b_k w_k``, shape (c, 2 m)."""
        return self.tables[COEFFICIENT]

    @property
    def gaps(self) -> np.ndarray:
        """Each neuron's term of phi there minus its term of the bound, shape (c, 2 m)."""
        return self.tables[GAP]

    @classmethod
    def room(cls, count: int, neurons: int) -> "Boxes":
        """Return ``count`` boxes to be filled."""
        return cls(np.zeros(count, dtype=np.int64), np.zeros((7, count, neurons)),
                   np.zeros(count), np.full(count, np.inf))

    def take(self, rows: np.ndarray) -> "Boxes":
        """Return a copy of some boxes."""
        return Boxes(self.patch[rows], self.tables.take(rows, axis=1), self.log_lam[rows],
                     self.bounds[rows])

    def put(self, rows: np.ndarray, others: "Boxes") -> None:
        """Write ``others`` into these rows."""
        self.patch[rows], self.tables[:, rows] = others.patch, others.tables
        self.log_lam[rows], self.bounds[rows] = others.log_lam, others.bounds


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
    norm : "l2" or "linf"
        Of each patch's ball.
    """

    W: np.ndarray
    T: np.ndarray
    q: float
    rho: float
    radius: float
    gram: np.ndarray
    norm: str = "l2"

    def __repr__(self) -> str:
        P, d = len(self.T), self.W.shape[1]
        return (f"PatchProblem(P={P}, m={self.m}, d={d}, q={self.q:g}, rho={self.rho:g}, "
                f"radius={self.radius:.4g}{', norm=linf' if self.norm == 'linf' else ''})")

    @property
    def m(self) -> int:
        """Neurons of a class: the first m are those of the true class."""
        return len(self.W) // 2

    @property
    def reach(self) -> np.ndarray:
        """Largest ``<w_k, delta>`` in the ball, shape (2 m,)."""
        norms = (np.abs(self.W).sum(axis=1) if self.norm == "linf"
                 else np.sqrt(np.einsum("kj,kj->k", self.W, self.W))) + NO_SQUARE
        return self.radius * norms * (1.0 + self.grain)

    @property
    def grain(self) -> float:
        """Rounding of a bound relative to the magnitudes of its terms."""
        return grain(*self.W.shape, len(self.T), math.ceil(self.q))

    def interval_bounds(self) -> np.ndarray:
        """Bound every patch with each neuron at its own worst, shape (P,): the baseline."""
        T, reach, m = self.T, self.reach, self.m
        true = smoothed_relu(T[:, :m] - reach[:m], self.q, self.rho)
        rival = smoothed_relu(T[:, m:] + reach[m:], self.q, self.rho)
        slack = self.grain * (np.abs(T) + reach).sum(axis=1)
        return true.sum(axis=1) - rival.sum(axis=1) - slack

    def whole(self, coefficients: np.ndarray) -> Boxes:
        """Return one box per patch, the whole ball, with multipliers from an attack.

        Tangents of the true class where the attack ``coefficients`` (P, 2 m) ended, chords of
        the rival, no curvature: a first point of the convex relaxation.
        """
        P, r = self.T.shape
        boxes, m = Boxes.room(P, r), self.m
        boxes.patch[:], boxes.activations[:] = np.arange(P), self.T
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
        T, low, high = boxes.activations, boxes.low, boxes.high
        rise = smoothed_relu(T + high, self.q, self.rho) - smoothed_relu(T + low, self.q, self.rho)
        width = np.maximum(high - low, np.finfo(float).tiny)
        return boxes.curvatures * (low + high) - rise / width
