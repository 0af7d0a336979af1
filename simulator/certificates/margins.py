"""Certified margins: sound lower bounds of ``y f(x + delta)`` over a ball.

An attack bounds robust accuracy from above; "robust to ANY perturbation" needs a bound from
below. For ``f(x) = sum_i S_b(<w_i, x>)`` (S_b the soft threshold), with ``t_i = y <w_i, x>``:

    linear      lines of slope a_i under S_b: :mod:`simulator.certificates.linear`
    separable   feature by feature, mixtures by norm: :mod:`simulator.certificates.separable`
    quadratic   both at once, without a dictionary: :mod:`simulator.certificates.relaxation`
    branching   splits at the kinks, bounded by "quadratic":
                :mod:`simulator.certificates.branch_and_bound`

Neurons that stay below the threshold in the whole ball, ``|t_i| + r ||w_i||_* <= b``, drop out
of all of them. Every bound is sound on its own (up to rounding, which is taken off), so
:func:`certify` runs them from cheap to dear, each on the samples the earlier ones left open.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.branch_and_bound import search
from simulator.certificates.certified import Certified
from simulator.certificates.inputs import SignedInputs, require_ball, signed_inputs, starts
from simulator.certificates.linear import linear_bounds
from simulator.certificates.relaxation import Relaxation
from simulator.certificates.separable import separable_bounds
from simulator.checks import require_choice, require_int, require_real
from simulator.heartbeat import beat
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

if TYPE_CHECKING:
    from simulator.attacks.adversary import Adversary

__all__ = ["METHODS", "Certificates", "certify"]


@dataclass(frozen=True, repr=False)
class Certificates(Certified):
    """Lower bounds on the margins of n samples in one ball, and how near they came to the truth.

    ``margins > 0`` certifies a sample: no perturbation of the ball makes the network wrong on it.
    ``upper <= 0`` refutes it: ``delta`` does. In between nothing is known.

    Attributes
    ----------
    margins : ndarray, shape (n,)
        The best lower bound of each sample; it is certified where this is above the target.
        Minus infinity where no method was tried because the start breaks the sample.
    margins_of : dict of str to ndarray, shape (n,)
        Bound by each method; NaN where a method was not needed.
    method : ndarray of str, shape (n,)
        The method that gave the best bound, or "none".
    seconds : ndarray, shape (n,)
        Time spent on each sample.
    upper : ndarray, shape (n,)
        Smallest margin met: at the given start or in the search. The true worst margin is
        between ``margins`` and ``upper``.
    delta : ndarray, shape (n, d)
        The perturbation of x that reaches ``upper``.
    """

    margins: np.ndarray
    margins_of: dict[str, np.ndarray]
    method: np.ndarray
    seconds: np.ndarray
    upper: np.ndarray
    delta: np.ndarray


@dataclass(frozen=True)
class _Effort:
    """The ball, and how long to try; the settings of :func:`certify`."""

    ball: L2Ball | LinfBall
    dictionary: np.ndarray | None
    boxes: int
    seconds: float
    target: float
    steps: int
    root_steps: int


# lower bounds (k,), margins met (k,) and the perturbations of y x that reach them (k, d)
_Found = tuple[np.ndarray, np.ndarray, np.ndarray]
_Bound = Callable[[SignedInputs, np.ndarray, _Effort], _Found]


def certify(network: SymmetricReLU, batch: Batch,
            ball_or_adversary: "L2Ball | LinfBall | Adversary", *,
            start: np.ndarray | None = None,
            methods: Sequence[str] = ("linear", "separable", "quadratic", "branching"),
            dictionary: np.ndarray | None = None, boxes: int = 100,
            seconds: float = float("inf"), target: float = 0.0,
            steps: int = 300, root_steps: int = 2000) -> Certificates:
    """Certify as many samples as possible.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing; bounds are computed in float64 on its weights as they are.
    batch : Batch
        Inputs (n, d) and labels -1 or +1.
    ball_or_adversary : L2Ball, LinfBall or Adversary
        Where the perturbations are; of an adversary only its ball counts.
    start : ndarray, shape (n, d), or None
        Perturbations of an attack (``worst_case(...).delta``): they save time, and samples
        they break are not tried.
    methods : sequence of str
        Out of ``METHODS``, run in order.
    dictionary : ndarray, shape (d, d), or None
        For "separable"; None is the identity.
    boxes : int
        Boxes of branch and bound for each sample.
    seconds : float
        Further limit on them, by the clock; results then depend on the machine.
    target : float
        A method is done with a sample once its bound exceeds this: 0 decides robustness.
        Infinite: run every method to its end on every sample.
    steps : int
        Steps of ascent of "quadratic".
    root_steps : int
        Steps of ascent of "branching" before the first split. Ascent in the curvatures is
        slow; on the few samples that are left, long ascent saves more boxes than it costs.

    Returns
    -------
    Certificates

    Raises
    ------
    TypeError
        Another network than SymmetricReLU, or another ball.
    ValueError
        A smoothed network, shapes that do not fit, an unknown method, a limit out of range.
    """
    for name in methods:
        require_choice("methods", name, METHODS)
    ball = require_ball(ball_or_adversary)
    inputs = signed_inputs(network, batch)
    require_int("boxes", boxes, low=1)
    if seconds != np.inf:
        require_real("seconds", seconds, low=0.0)
    if target != np.inf:
        require_real("target", target)
    require_int("steps", steps, low=1)
    require_int("root_steps", root_steps, low=1)
    effort = _Effort(ball, dictionary, boxes, seconds, target, steps, root_steps)

    upper, delta = _least_known(inputs, starts(start, inputs.X, ball))
    n = len(inputs)
    margins, method = np.full(n, -np.inf), np.full(n, "none", dtype="<U9")
    spent, margins_of = np.zeros(n), {}
    for name in methods:
        is_open = (margins <= target) & (upper > target if target < np.inf else True)
        bounds = np.full(n, np.nan)
        for rows in _blocks(name, np.flatnonzero(is_open)):
            beat()
            began = time.perf_counter()
            side = inputs.y[rows, None]
            bounds[rows], reached, points = BOUNDS[name](inputs[rows], side * delta[rows], effort)
            less = reached < upper[rows]
            upper[rows[less]], delta[rows[less]] = reached[less], (side * points)[less]
            spent[rows] += (time.perf_counter() - began) / len(rows)
        better = np.nan_to_num(bounds, nan=-np.inf) > margins
        margins[better], method[better] = bounds[better], name
        margins_of[name] = bounds
    return Certificates(margins, margins_of, method, spent, upper, delta)


def _least_known(inputs: SignedInputs, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smaller of the margins at x + delta and at x, (n,), and where it is, (n, d)."""
    upper = inputs.network.margins(inputs.X + delta, inputs.y)
    delta[inputs.clean < upper] = 0.0
    return np.minimum(upper, inputs.clean), delta


def _blocks(name: str, rows: np.ndarray) -> list[np.ndarray]:
    """Rows that a method bounds together: all at once, or one by one."""
    if name in ("linear", "separable"):
        return [rows] if len(rows) else []
    return list(rows[:, None])


def _linear(inputs: SignedInputs, delta: np.ndarray, effort: _Effort) -> _Found:
    return linear_bounds(inputs, effort.ball), np.full(len(inputs), np.inf), delta


def _separable(inputs: SignedInputs, delta: np.ndarray, effort: _Effort) -> _Found:
    bounds = separable_bounds(inputs, effort.ball, effort.dictionary)
    return bounds, np.full(len(inputs), np.inf), delta


def _quadratic(inputs: SignedInputs, delta: np.ndarray, effort: _Effort) -> _Found:
    if effort.ball.radius == 0.0:
        return _clean(inputs, delta)
    problem = _relaxation(inputs, effort)
    value, point = problem.descend(delta[0])
    bound = problem.maximise(problem.start(point), effort.steps, effort.target)[0]
    return np.array([bound]), np.array([value]), point[None]


def _branching(inputs: SignedInputs, delta: np.ndarray, effort: _Effort) -> _Found:
    if effort.ball.radius == 0.0:
        return _clean(inputs, delta)
    found = search(_relaxation(inputs, effort), delta[0], effort.boxes, effort.seconds,
                   effort.target, root_steps=effort.root_steps)
    return np.array([found.lower]), np.array([found.upper]), found.delta[None]


def _relaxation(inputs: SignedInputs, effort: _Effort) -> Relaxation:
    """The relaxation of a single sample."""
    return Relaxation.of_sample(inputs.network.weights, inputs.T[0], inputs.network.bias,
                                effort.ball)


def _clean(inputs: SignedInputs, delta: np.ndarray) -> _Found:
    """In a ball of radius zero nothing is left to bound."""
    return inputs.clean, np.full(len(inputs), np.inf), delta


BOUNDS: Mapping[str, _Bound] = MappingProxyType({
    "linear": _linear, "separable": _separable, "quadratic": _quadratic, "branching": _branching})
METHODS = tuple(BOUNDS)
