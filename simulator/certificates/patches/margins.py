"""Certified margins of the patch network: sound against ANY perturbation of every patch.

Each patch has a ball of its own, l2 or l_inf, so for one rival class j the worst margin is a sum,

    min F_y - F_j  =  sum_p  min_{||delta|| <= r}  sum_r sigma(<w_yr, X[p] + delta>)
                                                - sum_r sigma(<w_jr, X[p] + delta>),

and nothing is lost by bounding patch by patch; the margin is the least over j. Bounds of one
patch, from cheap to dear, each only where the earlier ones left the sample open:

    interval    every neuron at its own worst, z +- r ||w||, with the dual norm
    convex      tangents under sigma, chords under -sigma, their common direction
    quadratic   parabolas under -sigma as well: :mod:`simulator.certificates.patches.bounds`
    branching   splits at rival neurons where the gap is:
                :mod:`simulator.certificates.patches.branching`

In an l_inf ball the first two are all: what is lost then is lost to the convex relaxation.

Every bound holds in real arithmetic, and in any unit of weights, inputs and rho, as those of
:mod:`simulator.certificates.inputs`. What the search for the worst perturbation reaches bounds the
true margin from above, in real arithmetic too: the two enclose it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.attacks.paired import PairedPatchSearch
from simulator.balls import L2Ball, LinfBall, PatchL2Ball
from simulator.certificates.certified import Certified
from simulator.certificates.inputs import (NO_SQUARE, UNDERFLOW, grain, into_ball, power_of_two,
                                           require_scale)
from simulator.certificates.patches.bounds import attack_patches, tighten, tighten_box
from simulator.certificates.patches.branching import branch
from simulator.certificates.patches.problem import Boxes, PatchProblem
from simulator.checks import (require_array, require_batch, require_choice, require_finite,
                              require_int, require_real)
from simulator.heartbeat import beat
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN, smoothed_relu
from simulator.protocols import Batch

if TYPE_CHECKING:
    from simulator.attacks.adversary import Adversary

__all__ = ["PATCH_METHODS", "PatchCertificates", "certified_radius", "patch_margins"]

FLOAT = np.dtype(np.float64)
BOX_STEPS = 60  # of the search for the worst perturbation in an l_inf ball
STEPS = 100  # of ascent
SLACK = 1e-3  # a margin is closed when its bounds are this near, relative to 1 + |margin|


@dataclass(frozen=True, repr=False)
class PatchCertificates(Certified):
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
        The margin at ``delta`` in real arithmetic is not above it: the true worst margin is
        between ``margins`` and ``upper``.
    delta : ndarray, shape (n, P, d)
        The worst perturbation met, in the ball in real arithmetic.
    """

    margins: np.ndarray
    margins_of: dict[str, np.ndarray]
    method: np.ndarray
    upper: np.ndarray
    delta: np.ndarray

    @property
    def attacked(self) -> float:
        """Share of samples that the search did not break; the truth is not above it."""
        return float(np.mean(self.upper > 0.0))


def patch_margins(network: SmoothedReLUCNN, batch: Batch,
                  ball_or_adversary: "PatchL2Ball | LinfBall | Adversary", *,
                  methods: Sequence[str] = ("interval", "convex", "quadratic", "branching"),
                  boxes: int = 2000, target: float = 0.0,
                  steps: int = STEPS) -> PatchCertificates:
    """Certify as many samples as possible.

    Parameters
    ----------
    network : SmoothedReLUCNN
        Bounds are computed in float64 on its weights as they are.
    batch : Batch
        Inputs (n, P, d) and classes, 0 to K - 1.
    ball_or_adversary : PatchL2Ball, LinfBall or Adversary
        Where the perturbation of EACH patch is; of an adversary only its ball counts.
    methods : sequence of str
        Out of ``PATCH_METHODS``, in their order; "quadratic" and "branching" add nothing in an
        l_inf ball.
    boxes : int
        Boxes of branch and bound for each sample and rival class.
    target : float
        A sample is done once its bound exceeds this, or an attack does not: 0 decides
        robustness. Infinite: every method runs to its end.
    steps : int
        Steps of ascent of "convex" and "quadratic".

    Raises
    ------
    TypeError
        Another network than SmoothedReLUCNN, or another ball.
    ValueError
        Shapes that do not fit, labels out of range, an unknown method, a limit out of range.
    """
    methods = [require_choice("methods", name, PATCH_METHODS) for name in methods]
    if not methods or methods != sorted(set(methods), key=PATCH_METHODS.index):
        raise ValueError(f"methods: expected some of {', '.join(PATCH_METHODS)}, in this order, "
                         f"got {', '.join(methods) or 'none'}")
    require_int("boxes", boxes, low=0)
    require_int("steps", steps, low=1)
    if target != np.inf:
        target = require_real("target", target)
    return _certificates(network, batch, _require_ball(ball_or_adversary),
                         _Effort(tuple(methods), boxes, target, steps))


def _certificates(network: SmoothedReLUCNN, batch: Batch, ball: PatchL2Ball | LinfBall,
                  effort: "_Effort") -> PatchCertificates:
    radius, norm = ball.radius, "linf" if isinstance(ball, LinfBall) else "l2"
    W, X, y = _checked(network, batch)
    weight, length = _units(W, X, radius)
    unit = weight * length
    W, X, radius, rho = W / weight, X / length, radius / length, network.rho / unit
    effort, methods = replace(effort, target=effort.target / unit), effort.methods

    n, q = len(X), float(network.q)
    bounds = np.full((len(methods), n), np.inf)
    upper, delta = np.full(n, np.inf), np.zeros_like(X)
    for row in range(n):
        for rival in range(len(W)):
            if rival == y[row]:
                continue
            beat()
            pair = np.concatenate([W[y[row]], W[rival]])
            shift = np.zeros_like(X[row])
            if radius == 0.0:
                reached, off = _margin(pair, X[row], shift, q, rho)
                lower = np.full(len(methods), reached - off)
            else:
                problem = PatchProblem(pair, X[row] @ pair.T, q, rho, radius, pair @ pair.T, norm)
                lower, shift = _one_rival(problem, effort, X[row])
                lower -= _rounding(problem, X[row])
                reached, off = _margin(pair, X[row], shift, q, rho)
            bounds[:, row] = np.minimum(bounds[:, row], lower)
            if reached + off < upper[row]:
                upper[row], delta[row] = reached + off, shift
    decided = np.concatenate([bounds > effort.target, np.ones((1, n), dtype=bool)])
    return PatchCertificates(bounds[-1] * unit, dict(zip(methods, bounds * unit)),
                             np.array([*methods, "none"])[decided.argmax(axis=0)], upper * unit,
                             delta * length)


def certified_radius(network: SmoothedReLUCNN, batch: Batch,
                     ball_or_adversary: "PatchL2Ball | LinfBall | Adversary", *, share: float = 0.9,
                     high: float = 1.0, halvings: int = 6, boxes: int = 2000,
                     margins: np.ndarray | None = None) -> float:
    """Return the largest radius of a grid at which at least ``share`` of the samples are certified.

    A certificate for a radius holds for every smaller one and a perturbation for every larger one,
    so only the samples still open are looked at again. Attacks and interval bounds go first, by
    bisection of [0, high]: dear bounds begin at the largest radius that the attacks leave, with the
    samples that the attacks left the most, and end with the share.

    Parameters
    ----------
    network, batch
        As in :func:`patch_margins`.
    ball_or_adversary : PatchL2Ball, LinfBall or Adversary
        Its own radius is not used without margins.
    share : float
    high : float
        Nothing above it is tried.
    halvings : int
        The grid is 0 to high in steps of ``high / 2^halvings``.
    boxes : int
        As in :func:`patch_margins`.
    margins : ndarray, shape (n,), or None
        Those of :func:`patch_margins` at the ball's own radius, so that nothing is done twice.

    Returns
    -------
    float
        NaN if fewer than ``share`` are right without any perturbation.
    """
    ball = _require_ball(ball_or_adversary)
    share = require_real("share", share, low=0.0, high=1.0)
    high = require_real("high", high, low=0.0)
    require_int("halvings", halvings, low=1)
    require_int("boxes", boxes, low=0)
    _, X, y = _checked(network, batch)
    safe, failed = np.full(len(X), -1.0), np.full(len(X), np.inf)  # known at these radii
    left = np.zeros(len(X))  # of the margin by the last attack
    if margins is not None:
        margins = require_array("margins", margins, (len(X),), why="one a sample", dtype=FLOAT)
        safe[margins > 0.0], failed[~(margins > 0.0)] = ball.radius, ball.radius

    def may_be(radius: float) -> bool:
        return bool(np.mean(failed > radius) >= share)

    def is_proved(radius: float) -> bool:
        return bool(np.mean(safe >= radius) >= share)

    def look(radius: float, methods: tuple[str, ...]) -> None:
        effort = _Effort(methods, boxes, decide=True)
        for row in np.argsort(-left, kind="stable"):
            if is_proved(radius) or not may_be(radius):
                break
            if safe[row] < radius < failed[row]:
                one = Batch(X[row:row + 1], y[row:row + 1])
                found = _certificates(network, one, ball.with_radius(radius), effort)
                left[row] = found.upper[0]
                if found.margins[0] > 0.0:
                    safe[row] = radius
                elif left[row] <= 0.0 or methods != CHEAP:
                    failed[row] = radius

    def largest(top: int, holds: Callable[[float], bool], methods: tuple[str, ...]) -> int:
        """The largest place of the grid up to ``top``, tried first, at which it holds."""
        low, place = 0, top
        while low < top:
            look(grid[place], methods)
            low, top = (place, top) if holds(grid[place]) else (low, place - 1)
            place = (low + top + 1) // 2
        return low

    grid = high * np.arange(2**halvings + 1) / 2**halvings
    look(0.0, CHEAP)
    if not is_proved(0.0):
        return float("nan")
    attacked = largest(len(grid) - 1, may_be, CHEAP)
    dear = DEAR_IN_CUBES if isinstance(ball, LinfBall) else DEAR
    return float(grid[largest(attacked, is_proved, dear)])


@dataclass(frozen=True)
class _Effort:
    """How long to try; the settings of :func:`patch_margins`."""

    methods: tuple[str, ...]
    boxes: int
    target: float = 0.0
    steps: int = STEPS
    decide: bool = False  # also within a method: stop as soon as the target is exceeded

    @property
    def enough(self) -> float:
        """The sum of bounds at which a method stops midway."""
        return self.target if self.decide else np.inf


@dataclass(frozen=True)
class _Attacked:
    """What is known of a sample against one rival: least values of patches, and where."""

    upper: np.ndarray
    attack: np.ndarray
    slack: float


def _one_rival(problem: PatchProblem, effort: _Effort,
               X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the margin against one rival, after each method, and the attack (P, d)."""
    in_box = problem.norm == "linf"
    upper, attack, shift = _attacked_in_box(problem, X) if in_box else (
        *attack_patches(problem), np.empty(0))
    slack = SLACK * (1.0 + abs(upper.sum())) / len(upper)
    known = _Attacked(upper, attack, slack)
    box = problem.whole(attack)
    bounds, target = np.empty(len(effort.methods)), effort.target
    for row, name in enumerate(effort.methods):
        is_decided = box.bounds.sum() > target or upper.sum() <= target < np.inf
        if row == 0 or not is_decided:
            BOUNDS[name](problem, box, known, effort)
        bounds[row] = box.bounds.sum()
    return bounds, shift if in_box else into_ball(attack @ problem.W, L2Ball(problem.radius))


def _attacked_in_box(problem: PatchProblem,
                     X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least phi met of each patch (P,), no coefficients (P, 2 m), and where it is (P, d)."""
    pair = SmoothedReLUCNN(problem.W.reshape(2, problem.m, -1), int(problem.q), problem.rho)
    search = PairedPatchSearch(steps=BOX_STEPS, starts=3)
    found = search.perturb(pair, X[None], np.zeros(1), LinfBall(problem.radius)).delta
    shift = np.clip(found[0], -problem.radius, problem.radius)
    A, m = smoothed_relu(problem.T + shift @ problem.W.T, problem.q, problem.rho), problem.m
    return A[:, :m].sum(axis=1) - A[:, m:].sum(axis=1), np.zeros_like(problem.T), shift


def _interval(problem: PatchProblem, box: Boxes, known: _Attacked, effort: _Effort) -> None:
    np.maximum(box.bounds, problem.interval_bounds(), out=box.bounds)


def _convex(problem: PatchProblem, box: Boxes, known: _Attacked, effort: _Effort) -> None:
    goal = known.upper - 0.5 * known.slack
    if problem.norm == "linf":
        tighten_box(problem, box, goal, effort.steps, effort.enough)
    else:
        tighten(problem, box, goal, effort.steps, curved=False, enough=effort.enough)


def _quadratic(problem: PatchProblem, box: Boxes, known: _Attacked, effort: _Effort) -> None:
    if problem.norm == "l2":
        goal = known.upper - 0.5 * known.slack
        tighten(problem, box, goal, effort.steps, curved=True, enough=effort.enough)


def _branching(problem: PatchProblem, box: Boxes, known: _Attacked, effort: _Effort) -> None:
    if problem.norm == "linf":
        return
    if np.isinf(box.bounds).any():  # no method ran before: gaps are to compare first
        _quadratic(problem, box, known, effort)
    box.bounds[:] = branch(problem, box, known.upper, known.attack, effort.boxes, effort.target,
                           known.slack)


# Each raises the bounds of the patches in place; they run from cheap to dear.
BOUNDS: Mapping[str, Callable[[PatchProblem, Boxes, _Attacked, _Effort], None]] = (
    MappingProxyType({"interval": _interval, "convex": _convex, "quadratic": _quadratic,
                      "branching": _branching}))
PATCH_METHODS = tuple(BOUNDS)
# Of a radius. Parabolas get as far in as many steps without the convex bound before them.
CHEAP, DEAR = ("interval",), ("interval", "quadratic", "branching")
DEAR_IN_CUBES = ("interval", "convex")


def _units(W: np.ndarray, X: np.ndarray, radius: float) -> tuple[float, float]:
    """Powers of two to divide weights and inputs by."""
    largest, longest = (float(np.abs(array).max(initial=0.0)) for array in (W, X))
    for name, scale in (("weights", largest), ("X", longest), ("radius", radius)):
        require_scale(name, scale)
    return power_of_two(largest), power_of_two(radius or longest)


def _rounding(problem: PatchProblem, X: np.ndarray) -> float:
    """What the rounding of all ``<w_k, X[p]>``, and of sums over patches, can do to a margin.

    Over ALL neurons and patches; X is (P, d). The activation is 1-Lipschitz, so errors add up.
    """
    norms = np.linalg.norm(problem.W, axis=1) + NO_SQUARE
    sizes = (_lengths(X).sum() * norms.sum() * 2.0 + len(X) * problem.reach.sum() * 2.0)
    return problem.grain * float(sizes) + X.size * len(norms) * UNDERFLOW


def _lengths(X: np.ndarray) -> np.ndarray:
    """``||X[p]||`` of patches far from their ball's size too, shape (P,)."""
    return L2Ball(0.0).norm(X) + NO_SQUARE


def _margin(pair: np.ndarray, X: np.ndarray, shift: np.ndarray, q: float,
            rho: float) -> tuple[float, float]:
    """``F_y - F_j`` at X + shift (P, d), and how far it may be off.

    A neuron that is closed beyond doubt contributes exactly zero.
    """
    (r, d), m = pair.shape, len(pair) // 2
    Z = X @ pair.T + shift @ pair.T
    norms = np.linalg.norm(pair, axis=1) + NO_SQUARE
    off = grain(d) * ((_lengths(X) + _lengths(shift))[:, None] * norms + np.abs(Z)) + d * UNDERFLOW
    is_open = Z + off > 0.0
    A = np.where(is_open, smoothed_relu(Z, q, rho), 0.0)
    error = np.where(is_open, 2.0 * off + grain(r, len(X), math.ceil(q)) * np.abs(Z), 0.0)
    return float(A[:, :m].sum() - A[:, m:].sum()), float(error.sum())


def _require_ball(threat: Any) -> PatchL2Ball | LinfBall:
    ball = getattr(threat, "ball", threat)
    if not isinstance(ball, (PatchL2Ball, LinfBall)):
        raise TypeError("ball: expected PatchL2Ball, LinfBall or an Adversary in one, such as "
                        f"PatchL2Ball(0.5), got {ball!r}: patches are bounded one by one")
    return ball


def _checked(network: SmoothedReLUCNN,
             batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights (K, m, d) and X (n, P, d) in float64, and y (n,) in int64."""
    if not isinstance(network, SmoothedReLUCNN):
        raise TypeError("network: expected a SmoothedReLUCNN, got "
                        f"{type(network).__name__}: the bounds are for its smoothed ReLU")
    require_batch(batch)
    W = require_finite("weights", network.weights.astype(FLOAT))
    K, _, d = W.shape
    X = require_finite("X", require_array("X", batch.X, (None, None, d), dtype=FLOAT,
                                          why="samples, patches, coordinates of the weights"))
    labels = require_array("y", batch.y, (len(X),), why="one label per sample", dtype=FLOAT)
    if not (np.isin(labels, np.arange(K))).all():
        raise ValueError(f"y: expected classes 0 to {K - 1}, got others")
    return W, X, labels.astype(np.int64)
