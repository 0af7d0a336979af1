"""Certified margins of the patch network: sound against ANY perturbation of every patch.

Each patch has an l2 ball of its own, so for one rival class j the worst margin is a sum,

    min F_y - F_j  =  sum_p  min_{||delta|| <= r}  sum_r sigma(<w_yr, X[p] + delta>)
                                                - sum_r sigma(<w_jr, X[p] + delta>),

and nothing is lost by bounding patch by patch; the margin is the least over j. Bounds of one
patch, from cheap to dear, each only where the earlier ones left the sample open:

    interval    every neuron at its own worst, z +- r ||w||
    convex      tangents under sigma, chords under -sigma, their common direction
    quadratic   parabolas under -sigma as well: :mod:`simulator.certificates.patches.bounds`
    branching   splits at rival neurons where the gap is: :mod:`simulator.certificates.patches.branching`

Every bound is a lower bound up to rounding, which is taken off. What the search for the worst
perturbation reaches bounds the true margin from above: the two enclose it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.certificates.patches.bounds import tighten
from simulator.certificates.patches.branching import branch
from simulator.certificates.patches.descent import attack_patches
from simulator.certificates.patches.problem import PatchProblem
from simulator.checks import (require_array, require_choice, require_finite, require_int,
                              require_real)
from simulator.networks.smoothed_relu_cnn import smoothed_relu

__all__ = ["PATCH_METHODS", "PatchCertificates", "certified_radius", "patch_margins"]

PATCH_METHODS = ("interval", "convex", "quadratic", "branching")
FLOAT = np.dtype(np.float64)
SLACK = 1e-3  # a margin is closed when its bounds are this near, relative to 1 + |margin|


@dataclass(frozen=True)
class PatchCertificates:
    """Bounds on the worst margins of n samples, every patch in a ball of one radius.

    Attributes
    ----------
    margins : ndarray, shape (n,)
        The best lower bound; a sample is certified where it is above 0.
    margins_of : dict of str to ndarray, shape (n,)
        The best lower bound once this method and those before it have run.
    method : ndarray of str, shape (n,)
        The first method whose bound was above the target; "none" where no method's was.
    upper : ndarray, shape (n,)
        The least margin met: the true worst margin is between ``margins`` and ``upper``.
    delta : ndarray, shape (n, P, d)
        The perturbation that reaches ``upper``, in the ball.
    """

    margins: np.ndarray
    margins_of: dict[str, np.ndarray]
    method: np.ndarray
    upper: np.ndarray
    delta: np.ndarray

    def accuracy(self, name: str | None = None) -> float:
        """Share of samples certified right by method ``name``, or by all of them."""
        margins = self.margins if name is None else self.margins_of[name]
        return float(np.mean(margins > 0.0))

    @property
    def attacked(self) -> float:
        """Share of samples that the search did not break; the truth is not above it."""
        return float(np.mean(self.upper > 0.0))


def patch_margins(weights: np.ndarray, q: float, rho: float, X: np.ndarray, y: np.ndarray,
                  radius: float, methods: Sequence[str] = PATCH_METHODS, boxes: int = 2000,
                  target: float = 0.0, steps: int = 100) -> PatchCertificates:
    """Certify as many samples as possible.

    Parameters
    ----------
    weights : ndarray, shape (K, m, d)
        At least two classes. Bounds are computed in float64 on the weights as they are.
    q, rho : float
        Of the activation, q >= 2 and rho > 0.
    X : ndarray, shape (n, P, d)
    y : ndarray of int, shape (n,)
        Classes, 0 to K - 1.
    radius : float
        l2 radius of the perturbation of EACH patch.
    methods : sequence of str
        Out of ``PATCH_METHODS``, in their order.
    boxes : int
        Boxes of branch and bound for each sample and rival class.
    target : float
        A sample is done once its bound exceeds this, or an attack does not: 0 decides
        robustness. Infinite: every method runs to its end.
    steps : int
        Steps of ascent of "convex" and "quadratic".

    Raises
    ------
    TypeError, ValueError
        Shapes that do not fit, one class only, labels out of range, q < 2, rho <= 0.
    """
    W, q, rho, X, y = _checked(weights, q, rho, X, y)
    radius = require_real("radius", radius, low=0.0)
    methods = [require_choice("methods", name, PATCH_METHODS) for name in methods]
    if not methods or methods != sorted(set(methods), key=PATCH_METHODS.index):
        raise ValueError(f"methods: expected some of {', '.join(PATCH_METHODS)}, in this order, "
                         f"got {', '.join(methods) or 'none'}")
    require_int("boxes", boxes, low=0)
    require_int("steps", steps, low=1)
    if target != np.inf:
        target = require_real("target", target)
    K, n = len(W), len(X)
    bounds = np.full((len(methods), n), np.inf)
    upper, delta = np.full(n, np.inf), np.zeros_like(X)
    for row in range(n):
        for rival in range(K):
            if rival == y[row]:
                continue
            pair = np.concatenate([W[y[row]], W[rival]])
            if radius == 0.0:
                values, found = _clean(pair, X[row], q, rho), np.zeros_like(X[row])
                lower = np.full(len(methods), values)
            else:
                problem = PatchProblem(pair, X[row] @ pair.T, q, rho, radius, pair @ pair.T)
                lower, attack = _one_rival(problem, methods, boxes, target, steps)
                lower -= _rounding(pair, X[row])
                found = _in_ball(attack @ pair, radius)
                values = _clean(pair, X[row] + found, q, rho)
            bounds[:, row] = np.minimum(bounds[:, row], lower)
            if values < upper[row]:
                upper[row], delta[row] = values, found
    decided = np.concatenate([bounds > target, np.ones((1, n), dtype=bool)])
    return PatchCertificates(bounds[-1], dict(zip(methods, bounds)),
                             np.array([*methods, "none"])[decided.argmax(axis=0)], upper, delta)


def certified_radius(weights: np.ndarray, q: float, rho: float, X: np.ndarray, y: np.ndarray,
                     share: float = 0.9, high: float = 1.0, halvings: int = 6,
                     boxes: int = 2000) -> float:
    """Return the largest radius met at which at least ``share`` of the samples are certified.

    By bisection of [0, high]. A certificate for a radius holds for every smaller one and a
    perturbation for every larger one, so only the samples still open are looked at again.

    Parameters
    ----------
    weights, q, rho, X, y
        As in :func:`patch_margins`.
    share : float
    high : float
        Tried first; nothing above it is.
    halvings : int
        The answer is ``high / 2^halvings`` at most below the largest certifiable radius.
    boxes : int
        As in :func:`patch_margins`.

    Returns
    -------
    float
        NaN if fewer than ``share`` are right without any perturbation.
    """
    share = require_real("share", share, low=0.0, high=1.0)
    high = require_real("high", high, low=0.0)
    require_int("halvings", halvings, low=1)

    X, y = np.asarray(X), np.asarray(y)
    patch_margins(weights, q, rho, X, y, 0.0)  # checks them all
    safe, broken = np.full(len(X), -1.0), np.full(len(X), np.inf)  # known at these radii

    def enough(radius: float) -> bool:
        for row in range(len(X)):
            if np.mean(safe >= radius) >= share or np.mean(broken > radius) < share:
                break
            if safe[row] < radius < broken[row]:
                found = patch_margins(weights, q, rho, X[row:row + 1], y[row:row + 1], radius,
                                      boxes=boxes)
                if found.margins[0] > 0.0:
                    safe[row] = radius
                elif found.upper[0] <= 0.0:
                    broken[row] = radius
        return bool(np.mean(safe >= radius) >= share)

    if not enough(0.0):
        return float("nan")
    if enough(high):
        return high
    low, top = 0.0, high
    for _ in range(halvings):
        middle = 0.5 * (low + top)
        low, top = (middle, top) if enough(middle) else (low, middle)
    return low


def _one_rival(problem: PatchProblem, methods: Sequence[str], boxes: int, target: float,
               steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the margin against one rival, after each method, and the attack (P, 2 m)."""
    upper, attack = attack_patches(problem)
    slack = SLACK * (1.0 + abs(upper.sum())) / len(upper)
    box = problem.whole(attack)
    bounds = np.empty(len(methods))
    for row, name in enumerate(methods):
        total = box.bounds.sum()
        known = total > target or upper.sum() <= target < np.inf
        if row == 0 or not known:
            if name == "interval":
                np.maximum(box.bounds, problem.interval_bounds(), out=box.bounds)
            elif name == "branching":
                box.bounds[:] = branch(problem, box, upper, attack, boxes, target, slack)
            else:
                tighten(problem, box, upper - 0.5 * slack, steps, curved=name == "quadratic")
        bounds[row] = box.bounds.sum()
    return bounds, attack


def _rounding(pair: np.ndarray, X: np.ndarray) -> float:
    """Twice the rounding of all ``<w_k, X[p]>`` and of the sum over patches."""
    sizes = np.linalg.norm(X, axis=1).sum() * np.linalg.norm(pair, axis=1).sum()
    return 2.0 * (X.shape[0] + X.shape[1]) * np.finfo(float).eps * float(sizes)


def _in_ball(D: np.ndarray, radius: float) -> np.ndarray:
    norms = np.linalg.norm(D, axis=1, keepdims=True)
    return D * np.minimum(1.0, radius / np.maximum(norms, np.finfo(float).tiny))


def _clean(pair: np.ndarray, X: np.ndarray, q: float, rho: float) -> float:
    """``F_y - F_j`` at X (P, d)."""
    A, m = smoothed_relu(X @ pair.T, q, rho), len(pair) // 2
    return float(A[:, :m].sum() - A[:, m:].sum())


def _checked(weights: np.ndarray, q: float, rho: float, X: np.ndarray,
             y: np.ndarray) -> tuple[np.ndarray, float, float, np.ndarray, np.ndarray]:
    W = require_finite("weights", require_array(
        "weights", weights, (None, None, None), why="classes, neurons, coordinates", dtype=FLOAT))
    K, m, d = W.shape
    require_int("classes", K, low=2, why="a margin needs a rival class")
    require_int("neurons", m, low=1)
    X = require_finite("X", require_array("X", X, (None, None, d), dtype=FLOAT,
                                          why="samples, patches, coordinates of the weights"))
    labels = require_array("y", y, (len(X),), why="one label per sample", dtype=FLOAT)
    if not (np.isin(labels, np.arange(K))).all():
        raise ValueError(f"y: expected classes 0 to {K - 1}, got others")
    return (W, require_real("q", q, low=2.0, why="sigma' is Lipschitz only then"),
            require_real("rho", rho, low=0.0, open_low=True), X, labels.astype(np.int64))
