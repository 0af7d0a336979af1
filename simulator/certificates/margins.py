"""Certified margins: sound lower bounds of ``y f(x + delta)`` over a ball.

An attack bounds robust accuracy from above; "robust to ANY perturbation" needs a bound from
below. For ``f(x) = sum_i S_b(<w_i, x>)`` (S_b the soft threshold), with ``t_i = y <w_i, x>``:

    linear      lines of slope a_i under S_b: :mod:`simulator.certificates.linear`
    separable   feature by feature, mixtures by norm: :mod:`simulator.certificates.separable`
    shared      both at once, curvatures common to all samples:
                :mod:`simulator.certificates.shared`
    sliced      the same in slices across the direction that all neurons share:
                :mod:`simulator.certificates.sliced`; in an l_inf ball, and where proofs are to be
                kept, it is "shared"
    own         the same with curvatures that lean to each sample: a factor for each
    quadratic   both at once, without a dictionary: :mod:`simulator.certificates.relaxation`, and
                for l_inf :mod:`simulator.certificates.cored`
    branching   splits at the kinks, bounded by "quadratic":
                :mod:`simulator.certificates.branch_and_bound`

Neurons that stay below the threshold in the whole ball, ``|t_i| + r ||w_i||_* <= b``, drop out
of all of them. Every bound holds on its own, and in real arithmetic (see
:mod:`simulator.certificates.inputs`), so :func:`certify` runs them from cheap to dear, each on the
samples the earlier ones left open. Which multipliers a bound rests on is told by
:mod:`simulator.certificates.proofs`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.branch_and_bound import search
from simulator.certificates.certified import Certified
from simulator.certificates.cored import CoredRelaxation
from simulator.certificates.evidence import (linear_proofs, separable_proofs, shared_proofs,
                                             tree_proof)
from simulator.certificates.inputs import (SignedInputs, into_ball, require_ball, signed_inputs,
                                           starts)
from simulator.certificates.linear import linear_bounds
from simulator.certificates.proofs import Proof
from simulator.certificates.relaxation import Ascent, Relaxation
from simulator.certificates.separable import separable_bounds
from simulator.certificates.shared import Crowd, shared_bounds
from simulator.certificates.sliced import own_bounds, sliced_bounds
from simulator.checks import require_choice, require_int, require_real
from simulator.heartbeat import beat
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

if TYPE_CHECKING:
    from simulator.attacks.adversary import Adversary

__all__ = ["METHODS", "Certificates", "Effort", "certify", "certify_inputs"]


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
        The margin at ``delta`` in real arithmetic is not above it. The true worst margin is
        between ``margins`` and ``upper``.
    delta : ndarray, shape (n, d)
        The worst perturbation of x met: the given start, or one of the search. It is in the ball
        in real arithmetic.
    proofs : tuple of Proof or None
        What each bound rests on, where proofs were asked for.
    """

    margins: np.ndarray
    margins_of: dict[str, np.ndarray]
    method: np.ndarray
    seconds: np.ndarray
    upper: np.ndarray
    delta: np.ndarray
    proofs: tuple[Proof | None, ...] = ()


@dataclass(frozen=True)
class Effort:
    """How long to try; the settings of :func:`certify`, all numbers in units of the inputs.

    ``crowd`` are samples with the same neurons and ball, for the curvatures of "shared", "sliced"
    and "own"; None: the samples that these are asked about.
    """

    boxes: int
    steps: int
    root_steps: int
    seconds: float = np.inf
    target: float = 0.0
    dictionary: np.ndarray | None = None
    proofs: bool = False
    crowd: Crowd | None = None

    def __post_init__(self) -> None:
        require_int("boxes", self.boxes, low=1)
        if self.seconds != np.inf:
            require_real("seconds", self.seconds, low=0.0)
        require_int("steps", self.steps, low=1)
        require_int("root_steps", self.root_steps, low=1)


class _Found(NamedTuple):
    """What a method says of k samples, in units of the inputs.

    Attributes
    ----------
    bounds : ndarray, shape (k,)
    points : ndarray, shape (k, d), or None
        Perturbations of ``y x`` that it met on its way.
    proofs : sequence of Proof
        Where they were asked for.
    """

    bounds: np.ndarray
    points: np.ndarray | None = None
    proofs: Sequence[Proof] = ()


_Bound = Callable[[SignedInputs, np.ndarray, Effort], _Found]


def certify(network: SymmetricReLU, batch: Batch,
            ball_or_adversary: "L2Ball | LinfBall | Adversary", *,
            start: np.ndarray | None = None,
            methods: Sequence[str] = ("linear", "separable", "shared", "quadratic", "branching"),
            dictionary: np.ndarray | None = None, boxes: int = 100,
            seconds: float = float("inf"), target: float = 0.0,
            steps: int = 300, root_steps: int = 2000, proofs: bool = False) -> Certificates:
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
    proofs : bool
        Whether to keep what each bound rests on, for somebody else to check.

    Returns
    -------
    Certificates

    Raises
    ------
    TypeError
        Another network than SymmetricReLU, or another ball.
    ValueError
        A smoothed network, shapes that do not fit, an unknown method, a limit out of range, scales
        at which a float64 would over- or underflow.
    """
    for name in methods:
        require_choice("methods", name, METHODS)
    ball = require_ball(ball_or_adversary)
    inputs = signed_inputs(network, batch, ball)
    if target != np.inf:
        require_real("target", target)
    effort = Effort(boxes, steps, root_steps, seconds, target / inputs.unit, dictionary, proofs)
    start = starts(start, inputs.X, ball)
    return certify_inputs(inputs, start / inputs.length, methods, effort)


def certify_inputs(inputs: SignedInputs, start: np.ndarray, methods: Sequence[str],
                   effort: Effort) -> Certificates:
    """Certify inputs that are checked, from perturbations (n, d) in their units."""
    n, target = len(inputs), effort.target
    delta = into_ball(start, inputs.ball)
    clean, upper = np.add(*inputs.margins()), np.add(*inputs.margins(delta))
    delta = np.where((clean < upper)[:, None], 0.0, delta)
    upper = np.minimum(upper, clean)
    margins, method = np.full(n, -np.inf), np.full(n, "none", dtype="<U9")
    spent, margins_of = np.zeros(n), {}
    proofs: list[Proof | None] = [None] * n
    for name in methods:
        is_open = (margins <= target) & (upper > target if target < np.inf else True)
        bounds = np.full(n, np.nan)
        for rows in _blocks(name, np.flatnonzero(is_open)):
            beat()
            began = time.perf_counter()
            side, some = inputs.y[rows, None], inputs[rows]
            found = BOUNDS[name](some, side * delta[rows], effort)
            bounds[rows] = found.bounds
            if found.points is not None:
                points = into_ball(side * found.points, inputs.ball)
                met = np.add(*some.margins(points))
                less = met < upper[rows]
                upper[rows[less]], delta[rows[less]] = met[less], points[less]
            for row, bound, proof in zip(rows, found.bounds, found.proofs):
                if bound > margins[row]:
                    proofs[row] = proof
            spent[rows] += (time.perf_counter() - began) / len(rows)
        better = np.nan_to_num(bounds, nan=-np.inf) > margins
        margins[better], method[better] = bounds[better], name
        margins_of[name] = bounds * inputs.unit
    return Certificates(margins * inputs.unit, margins_of, method, spent, upper * inputs.unit,
                        delta * inputs.length, tuple(proofs) if effort.proofs else ())


def _blocks(name: str, rows: np.ndarray) -> list[np.ndarray]:
    """Rows that a method bounds together: all at once, or one by one."""
    if name in ("linear", "separable", "shared", "sliced", "own"):
        return [rows] if len(rows) else []
    return list(rows[:, None])


def _linear(inputs: SignedInputs, delta: np.ndarray, effort: Effort) -> _Found:
    bounds, slopes = linear_bounds(inputs)
    return _Found(bounds, None, linear_proofs(inputs, bounds, slopes) if effort.proofs else ())


def _separable(inputs: SignedInputs, delta: np.ndarray, effort: Effort) -> _Found:
    bounds, lam = separable_bounds(inputs, effort.dictionary)
    return _Found(bounds, None, separable_proofs(inputs, bounds, lam) if effort.proofs else ())


def _shared(inputs: SignedInputs, delta: np.ndarray, effort: Effort) -> _Found:
    if inputs.ball.radius == 0.0:
        return _linear(inputs, delta, effort)
    found = shared_bounds(inputs, delta, effort.target, crowd=effort.crowd)
    return _Found(found.bounds, found.points,
                  shared_proofs(inputs, found) if effort.proofs else ())


def _sliced(inputs: SignedInputs, delta: np.ndarray, effort: Effort,
            bounds: Callable[..., np.ndarray] = sliced_bounds) -> _Found:
    if effort.proofs or inputs.ball.radius == 0.0 or not isinstance(inputs.ball, L2Ball):
        return _shared(inputs, delta, effort)
    return _Found(bounds(inputs, effort.target, effort.crowd or Crowd(inputs)))


def _own(inputs: SignedInputs, delta: np.ndarray, effort: Effort) -> _Found:
    return _sliced(inputs, delta, effort, own_bounds)


def _quadratic(inputs: SignedInputs, delta: np.ndarray, effort: Effort) -> _Found:
    if inputs.ball.radius == 0.0:  # nothing is left to bound
        return _linear(inputs, delta, effort)
    problem, point, found = _best_climb(inputs, delta[0], effort)
    proofs = ([tree_proof(inputs, "quadratic", found.bound, [(problem, found.dual)])]
              if effort.proofs else ())
    return _Found(np.array([found.bound]), point[None], proofs)


def _branching(inputs: SignedInputs, delta: np.ndarray, effort: Effort) -> _Found:
    if inputs.ball.radius == 0.0:
        return _linear(inputs, delta, effort)
    problem = (_relaxation(inputs, Relaxation) if isinstance(inputs.ball, L2Ball)
               else _best_climb(inputs, delta[0], effort)[0])
    found = search(problem, delta[0], effort.boxes, effort.seconds, effort.target,
                   root_steps=effort.root_steps, keep=effort.proofs)
    proofs = [tree_proof(inputs, "branching", found.lower, found.parts)] if effort.proofs else ()
    return _Found(np.array([found.lower]), found.delta[None], proofs)


def _best_climb(inputs: SignedInputs, delta: np.ndarray,
                effort: Effort) -> tuple[Relaxation, np.ndarray, Ascent]:
    """Bound a single sample: in l_inf with split weights first, then as they are.

    A split is worth it where rests are many small weights; other networks lose by it.
    """
    kinds = (Relaxation,) if isinstance(inputs.ball, L2Ball) else (CoredRelaxation, Relaxation)
    best = None
    for kind in kinds:
        problem = _relaxation(inputs, kind)
        margin, point = problem.descend(delta)
        broken = margin <= effort.target < np.inf  # no bound is above it
        found = problem.maximise(problem.start(point), 1 if broken else effort.steps, effort.target)
        if best is None or found.bound > best[2].bound:
            best = problem, point, found
        if found.bound > effort.target or broken:
            break
    assert best is not None
    return best


def _relaxation(inputs: SignedInputs, kind: type[Relaxation]) -> Relaxation:
    """The relaxation of a single sample."""
    return kind.of_sample(inputs.W, inputs.T[0], inputs.bias, inputs.ball, float(inputs.doubt[0]),
                          inputs.products)


BOUNDS: Mapping[str, _Bound] = MappingProxyType({
    "linear": _linear, "separable": _separable, "shared": _shared, "sliced": _sliced,
    "own": _own, "quadratic": _quadratic, "branching": _branching})
METHODS = tuple(BOUNDS)
