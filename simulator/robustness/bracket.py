"""The bracket: certified <= true <= attacked accuracy, for ANY perturbation of a radius.

A sample is *certified* where a lower bound on its margin over the whole ball is positive,
*broken* where a perturbation of the ball makes the network wrong, and *open* otherwise. Both are
monotone: certified at a radius is certified at every smaller one, broken at every larger one. So
the standard attacks go up the radii, then the certificates come down, each on what is left:

    attacks, up -> bounds of many samples, down -> at each radius "own" (l2), then the dual, up
                -> strong attacks, up -> branching, up

The certificates' own minimisers count as attacks. The true robust accuracy of the population
lies between the lower Clopper-Pearson limit of the certified share and the upper limit of the
unbroken share, with the stated confidence, since certified <= true <= unbroken holds sample by
sample. All is done in float64 on the weights as they are, and both decisions hold in real
arithmetic: what rounding could turn over stays open.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import WorstCase, require_adversary, strong_case, worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.certificates.inputs import SignedInputs, into_ball, require_ball, signed_inputs
from simulator.certificates.margins import Effort, certify_inputs
from simulator.checks import (require_array, require_batch, require_labels, require_radii,
                              require_real, require_some)
from simulator.heartbeat import beat
from simulator.networks.symmetric_relu import SymmetricReLU, require_symmetric
from simulator.protocols import Batch

__all__ = ["PASSES", "TOGETHER", "Bracket", "Tick", "bracket", "dear_method", "in_double",
           "samples_in_double"]

FLOAT = np.dtype(np.float64)
PASSES = 6  # for each radius
UNDECIDED = 0

Arrays = dict[str, np.ndarray]
Tick = Callable[[int, Callable[[], Arrays]], None]


@dataclass(frozen=True, repr=False)
class Bracket:
    """What is known about robust accuracy at one radius.

    Attributes
    ----------
    radius : float
    certified, attacked : float
        Share of samples certified, and share not broken by any attack or search.
    low, high : float
        Exact binomial limits of the true robust accuracy of the population.
    samples : int
    decided_by : ndarray of str, shape (n,)
        "certified: <method>", "broken: <attack>" ("clean": wrong without any perturbation) or
        "open". A decision taken at another radius keeps the name of the method that took it.
    lower, upper : ndarray, shape (n,)
        What the worst margin of each sample is known to be between, in real arithmetic: -inf and
        +inf where nothing is known.
    delta : ndarray, shape (n, d)
        The worst perturbation known, in the ball: the margin there is at most ``upper``.
    seconds : float
        Time spent at this radius; not part of any stored result.
    """

    radius: float
    certified: float
    attacked: float
    low: float
    high: float
    samples: int
    decided_by: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    delta: np.ndarray
    seconds: float

    def __repr__(self) -> str:
        return (f"Bracket(radius={self.radius:.4g}, certified={self.certified:.4g}, "
                f"attacked={self.attacked:.4g}, low={self.low:.4g}, high={self.high:.4g}, "
                f"samples={self.samples})")

    @property
    def width(self) -> float:
        """Share of samples that stayed open."""
        return float(np.mean(self.decided_by == "open"))

    def numbers(self) -> dict[str, float]:
        """Return radius, certified, attacked, low, high and samples, as stored in a summary."""
        return {name: getattr(self, name) for name in ("radius", "certified", "attacked", "low",
                                                       "high", "samples")}


def bracket(network: SymmetricReLU, batch: Batch, adversary: Adversary, *,
            radii: Sequence[float], boxes: int = 100, seconds: float = float("inf"),
            steps: int = 300, root_steps: int = 2000, confidence: float = 0.95,
            saved: Mapping[str, np.ndarray] | None = None,
            tick: Tick | None = None) -> tuple[Bracket, ...]:
    """Bound robust accuracy from both sides at every radius.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing.
    batch : Batch
    adversary : Adversary
        In an L2Ball or a LinfBall, whose own radius is not used. Its attacks run on every
        sample, its strong ones on those that are still undecided; see
        :mod:`simulator.attacks.suites`.
    radii : sequence of float
        Ascending, at least 0.
    boxes : int
        Boxes of branch and bound for each undecided sample and radius. The same number gives
        the same bits.
    seconds : float
        Further limit on them, by the clock; results then depend on the machine.
    steps, root_steps : int
        Steps of ascent of the dual, and before branching.
    confidence : float
        Of the interval [low, high].
    saved : mapping of str to ndarray, or None
        What an interrupted call of equal arguments kept: it goes on from there, and ends with
        the same decisions.
    tick : callable or None
        Called with (passes done, function that returns the arrays to go on from) after every pass
        and every sample that climbs or branches; there are ``PASSES * len(radii)`` passes.

    Returns
    -------
    tuple of Bracket
        One for each radius.

    Raises
    ------
    TypeError
        Another network, or a ball of another norm.
    ValueError
        A smoothed network (the bounds are for the plain soft threshold), no samples, radii that
        do not ascend, ``saved`` of other arguments.
    """
    require_adversary(adversary)
    ball = require_ball(adversary)
    radii = require_radii("radii", radii)
    require_real("confidence", confidence, low=0.0, high=1.0)
    effort = Effort(boxes, steps, root_steps, seconds=seconds)
    samples = samples_in_double(network, batch)
    X = samples.X
    inputs = signed_inputs(network, samples, ball.with_radius(radii[-1]))
    judges = ("", "clean", *adversary.attacks, *adversary.strong, "search")
    known = _Decisions.begun(len(radii), X) if saved is None else _Decisions.stored(
        saved, (len(radii), *X.shape))
    spent = _Court(inputs.network(), samples, inputs, adversary, radii, effort, judges,
                   known).sit(tick)
    return tuple(_summed_up(known, index, radius, judges, confidence, float(spent[index]))
                 for index, radius in enumerate(radii))


def in_double(network: SymmetricReLU,
              batch: Batch) -> tuple[SymmetricReLU, np.ndarray, np.ndarray]:
    """Return network, X and y in float64, or raise where no certificate applies."""
    samples = samples_in_double(network, batch)
    return SymmetricReLU(network.weights.astype(FLOAT), network.bias), samples.X, samples.y


def samples_in_double(network: SymmetricReLU, batch: Batch) -> Batch:
    """The same without a copy of the network, which may be a hundred times as large."""
    require_symmetric("network", network, "the certificates bound its plain soft threshold",
                      plain=True)
    require_batch(batch)
    X = require_array("X", batch.X, (None, network.weights.shape[1]), dtype=FLOAT)
    require_some("batch", X, "accuracy is a mean")
    return Batch(X, require_labels("y", batch.y, len(X), FLOAT))


# what a code of `certified` means
CERTIFIED_BY = ("", "quadratic", "branching", "linear", "separable", "shared", "own")

# the bounds for many samples at once; one lam for all coordinates of an l_inf ball gains little
TOGETHER = {L2Ball: ("shared", "separable", "linear"), LinfBall: ("separable", "linear")}

# From so many multiplications for a factor (live neurons times d^2) a sample has a single factor of
# its own, with the curvatures it needs where the attack ended, and no branching: a hundred factors
# for one climb would take minutes a sample at d = 4096.
HUGE = 2e10


def dear_method(inputs: SignedInputs) -> str:
    """The bound that a single sample is asked about next in an l2 or l_inf ball, by its cost."""
    return "shared" if is_huge(*inputs.W.shape) else "quadratic"


def is_huge(neurons: float, d: int) -> bool:
    """Whether a sample cannot be given more than one factor."""
    return neurons * d * d >= HUGE


@dataclass
class _Decisions:
    """What is known of every sample at every radius; small, and all that a resumed call needs.

    Attributes
    ----------
    broken, certified : ndarray of int16, shape (R, n)
        By which attack, by which of CERTIFIED_BY; 0 is undecided.
    lower, upper : ndarray, shape (R, n)
        What the worst margins are known to be between.
    delta : ndarray, shape (R, n, d)
        Where ``upper`` is met, and where a certificate starts to search.
    passes, row : int
        Passes done, and the last sample that the present one is done with.
    """

    broken: np.ndarray
    certified: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    delta: np.ndarray
    passes: int = 0
    row: int = -1

    @classmethod
    def begun(cls, radii: int, X: np.ndarray) -> "_Decisions":
        shape = (radii, len(X))
        return cls(np.zeros(shape, np.int16), np.zeros(shape, np.int16), np.full(shape, -np.inf),
                   np.full(shape, np.inf), np.zeros((radii, *X.shape)))

    @classmethod
    def stored(cls, arrays: Mapping[str, Any], shape: tuple[int, ...]) -> "_Decisions":
        shapes = {name: shape[:2] for name in ("broken", "certified", "lower", "upper")}
        for name, wanted in (shapes | {"delta": shape, "place": (2,)}).items():
            got = np.shape(arrays[name]) if name in arrays else None
            if got != wanted:
                raise ValueError(f"saved: expected {name} of shape {wanted}, got {got}: they are "
                                 "of another bracket")
        passes, row = (int(number) for number in arrays["place"])
        broken, certified, lower, upper, delta = (np.array(arrays[name])
                                                  for name in (*shapes, "delta"))
        return cls(broken, certified, lower, upper, delta, passes, row)

    def arrays(self) -> Arrays:
        return {name: getattr(self, name).copy() for name in ("broken", "certified", "lower",
                                                              "upper", "delta")} | {
            "place": np.array([self.passes, self.row])}

    def open_rows(self, index: int) -> np.ndarray:
        """Samples undecided at a radius."""
        return np.flatnonzero(self._is_open()[index])

    def first_open_rows(self, index: int) -> np.ndarray:
        """Samples undecided at a radius and at no smaller one."""
        is_open = self._is_open()
        return np.flatnonzero(is_open[index] & ~is_open[:index].any(axis=0))

    def _is_open(self) -> np.ndarray:
        undecided: np.ndarray = (self.broken == UNDECIDED) & (self.certified == UNDECIDED)
        return undecided

    def meet(self, index: int, rows: np.ndarray, upper: np.ndarray, delta: np.ndarray) -> None:
        """A perturbation met at a radius is in every larger ball."""
        for line in range(index, len(self.upper)):
            less = upper < self.upper[line, rows]
            self.upper[line, rows[less]] = upper[less]
            self.delta[line, rows[less]] = delta[less]

    def bound(self, index: int, rows: np.ndarray, lower: np.ndarray) -> None:
        """A bound for a radius holds for every smaller one."""
        for line in self.lower[:index + 1]:
            line[rows] = np.maximum(line[rows], lower)

    def break_from(self, index: int, rows: np.ndarray, codes: np.ndarray) -> None:
        """Broken at a radius is broken at every larger one."""
        _fill(self.broken[index:], rows, codes)

    def certify_to(self, index: int, rows: np.ndarray, codes: np.ndarray) -> None:
        """Certified at a radius is certified at every smaller one."""
        _fill(self.certified[:index + 1], rows, codes)


def _fill(table: np.ndarray, rows: np.ndarray, codes: np.ndarray) -> None:
    """Write codes, shape (len(rows),), into what is undecided in every line of ``table``."""
    for line in table:
        line[rows] = np.where(line[rows] == UNDECIDED, codes, line[rows])


@dataclass
class _Court:
    """The passes over the radii, and what they judge by: float64 network, samples, effort."""

    network: SymmetricReLU
    batch: Batch
    inputs: SignedInputs
    adversary: Adversary
    radii: list[float]
    effort: Effort
    judges: tuple[str, ...]
    known: _Decisions

    def sit(self, tick: Tick | None) -> np.ndarray:
        """Do all passes that are left; return the seconds spent at each radius."""
        up = range(len(self.radii))
        order = [((self.attack,), up), ((self.bound,), reversed(up)), ((self.lean, self.climb), up),
                 ((self.attack_strongly,), up), ((self.branch,), up)]
        passes = [(work, index) for works, indices in order for index in indices for work in works]
        spent = np.zeros(len(self.radii))
        for number, (work, index) in enumerate(passes):
            if number < self.known.passes:
                continue
            began = time.perf_counter()
            for row in work(index):
                self.known.row = row
                if tick is not None:
                    tick(number, self.known.arrays)
            self.known.passes, self.known.row = number + 1, -1
            if tick is not None:
                tick(number + 1, self.known.arrays)
            spent[index] += time.perf_counter() - began
        return spent

    def attack(self, index: int) -> Iterator[int]:
        """Attack what no smaller radius broke."""
        rows = self.known.open_rows(index)
        if len(rows):
            self._attacked(index, rows, worst_case)
        yield from ()

    def attack_strongly(self, index: int) -> Iterator[int]:
        """Attack what the dual left open."""
        rows = self.known.open_rows(index)
        if len(rows) and self.adversary.strong:
            self._attacked(index, rows, strong_case)
        yield from ()

    def _attacked(self, index: int, rows: np.ndarray, case: Callable[..., WorstCase]) -> None:
        result = case(self.network, self.batch[rows], self.adversary.at(self.radii[index]),
                      key=index)
        inputs = self._within(index, rows)
        delta = into_ball(result.delta / inputs.length, inputs.ball)
        upper = np.add(*inputs.margins(delta)) * inputs.unit
        self.known.meet(index, rows, upper, delta * inputs.length)
        codes = np.where(upper <= 0.0, self._who_broke(result.margins_of), UNDECIDED)
        self.known.break_from(index, rows, codes)

    def bound(self, index: int) -> Iterator[int]:
        """Certify by the bounds that take all samples together."""
        for method in TOGETHER[type(self.inputs.ball)]:
            self._certified(index, self.known.open_rows(index), method)
        yield from ()

    def lean(self, index: int) -> Iterator[int]:
        """Certify, by curvatures that lean to a sample, what is open here and at no smaller radius.

        Only in an l2 ball; in a huge network a sample has one factor, see :func:`dear_method`.
        """
        if isinstance(self.inputs.ball, L2Ball) and not is_huge(*self.inputs.W.shape):
            self._certified(index, self.known.first_open_rows(index), "own")
        yield from ()

    def climb(self, index: int) -> Iterator[int]:
        """Certify by the quadratic dual what is certified at every smaller radius."""
        return self._one_by_one(index, dear_method(self.inputs))

    def branch(self, index: int) -> Iterator[int]:
        """Certify by branch and bound what is certified at every smaller radius."""
        if is_huge(*self.inputs.W.shape):
            return iter(())
        return self._one_by_one(index, "branching")

    def _one_by_one(self, index: int, method: str) -> Iterator[int]:
        rows = self.known.first_open_rows(index)
        for row in rows[rows > self.known.row]:
            beat()
            self._certified(index, np.array([row]), method)
            yield int(row)

    def _certified(self, index: int, rows: np.ndarray, method: str) -> None:
        if len(rows) == 0:
            return
        inputs, known = self._within(index, rows), self.known
        found = certify_inputs(inputs, known.delta[index, rows] / inputs.length, (method,),
                               self.effort)
        known.meet(index, rows, found.upper, found.delta)
        known.bound(index, rows, found.margins)
        search = np.where(found.upper <= 0.0, self.judges.index("search"), UNDECIDED)
        known.break_from(index, rows, search)  # the search of a certificate is an attack too
        known.certify_to(index, rows, np.where(found.margins > 0.0, CERTIFIED_BY.index(method),
                                               UNDECIDED))

    def _within(self, index: int, rows: np.ndarray) -> SignedInputs:
        """Some samples in the ball of a radius."""
        return self.inputs[rows].within(self.inputs.ball.with_radius(self.radii[index]))

    def _who_broke(self, margins_of: Mapping[str, np.ndarray]) -> np.ndarray:
        """Code of the first attack that broke each sample, or UNDECIDED, shape (n,)."""
        codes = np.zeros(len(next(iter(margins_of.values()))), np.int16)
        for name, margins in margins_of.items():
            codes[(codes == UNDECIDED) & ~(margins > 0.0)] = self.judges.index(name)
        return codes


def _summed_up(known: _Decisions, index: int, radius: float, judges: Sequence[str],
               confidence: float, seconds: float) -> Bracket:
    certified, broken = known.certified[index], known.broken[index]
    n = len(certified)
    safe, unbroken = (int(count) for count in (np.count_nonzero(certified),
                                               np.count_nonzero(broken == UNDECIDED)))
    # the exact binomial limits (Clopper & Pearson); scipy.stats takes a second to import
    tail = 0.5 * (1.0 - confidence)
    low = scipy.special.betaincinv(safe, n - safe + 1, tail) if safe else 0.0
    high = scipy.special.betaincinv(unbroken + 1, n - unbroken, 1.0 - tail) if unbroken < n else 1.0
    decided = [f"certified: {CERTIFIED_BY[safely]}" if safely else
               f"broken: {judges[by]}" if by else "open" for safely, by in zip(certified, broken)]
    return Bracket(radius, safe / n, unbroken / n, float(low), float(high), n, np.array(decided),
                   known.lower[index], known.upper[index], known.delta[index], seconds)
