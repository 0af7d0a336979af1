"""The bracket: certified <= true <= attacked accuracy, for ANY perturbation of a radius.

A sample is *certified* where a lower bound on its margin over the whole ball is positive,
*broken* where a perturbation of the ball makes the network wrong, and *open* otherwise. Both are
monotone: certified at a radius is certified at every smaller one, broken at every larger one. So
the standard attacks go up the radii, then the certificates come down, each on what is left:

    attacks, up -> quadratic dual -> strong attacks -> branch and bound, each of them down

The certificates' own minimisers count as attacks. The true robust accuracy of the population
lies between the lower Clopper-Pearson limit of the certified share and the upper limit of the
unbroken share, with the stated confidence, since certified <= true <= unbroken holds sample by
sample. All is done in float64 on the weights as they are.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import binomtest

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import require_adversary, worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.certificates.margins import certify
from simulator.checks import require_array, require_int, require_labels, require_radii, require_real
from simulator.heartbeat import beat
from simulator.networks.symmetric_relu import SymmetricReLU, require_symmetric
from simulator.protocols import Batch

__all__ = ["PASSES", "Bracket", "Tick", "bracket", "in_double"]

FLOAT = np.dtype(np.float64)
PASSES = 4  # for each radius
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
        Called with (passes done, function that returns the arrays to go on from) after every
        attack and every certified sample; there are ``PASSES * len(radii)`` passes.

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
    if not isinstance(adversary.ball, (L2Ball, LinfBall)):
        raise TypeError(f"adversary: expected an L2Ball or a LinfBall, got {adversary.ball!r}: the "
                        "certificates know these")
    radii = require_radii("radii", radii)
    require_real("confidence", confidence, low=0.0, high=1.0)
    options = {"boxes": require_int("boxes", boxes, low=1), "seconds": seconds,
               "steps": require_int("steps", steps, low=1),
               "root_steps": require_int("root_steps", root_steps, low=1)}
    plain, X, y = in_double(network, batch)
    judges = ("", "clean", *adversary.attacks, *adversary.strong, "search")
    known = _Decisions.begun(len(radii), X) if saved is None else _Decisions.stored(
        saved, (len(radii), *X.shape))
    court = _Court(plain, X, y, adversary, radii, options, judges, known)
    spent = court.sit(tick)
    return tuple(_summed_up(radius, known.certified[index], known.broken[index], judges,
                            confidence, spent[index]) for index, radius in enumerate(radii))


def in_double(network: SymmetricReLU,
              batch: Batch) -> tuple[SymmetricReLU, np.ndarray, np.ndarray]:
    """Return network, X and y in float64, or raise where no certificate applies."""
    require_symmetric("network", network, "the certificates bound its plain soft threshold",
                      plain=True)
    X = require_array("X", batch.X, (None, network.weights.shape[1]), dtype=FLOAT)
    if len(X) == 0:
        raise ValueError("batch: expected at least one sample, got none: accuracy is a mean")
    return (SymmetricReLU(network.weights.astype(FLOAT), network.bias), X,
            require_labels("y", batch.y, len(X), FLOAT))


METHODS = ("", "quadratic", "branching")  # what a code of `certified` means


@dataclass
class _Decisions:
    """What is known of every sample at every radius; small, and all that a resumed call needs.

    Attributes
    ----------
    broken, certified : ndarray of int16, shape (R, n)
        By which attack, by which of METHODS; 0 is undecided.
    delta : ndarray, shape (R, n, d)
        The worst perturbation known: where a certificate starts to search.
    passes, row : int
        Passes done, and the last sample that the present one is done with.
    """

    broken: np.ndarray
    certified: np.ndarray
    delta: np.ndarray
    passes: int = 0
    row: int = -1

    @classmethod
    def begun(cls, radii: int, X: np.ndarray) -> "_Decisions":
        shape = (radii, len(X))
        return cls(np.zeros(shape, np.int16), np.zeros(shape, np.int16),
                   np.zeros((radii, *X.shape)))

    @classmethod
    def stored(cls, arrays: Mapping[str, Any], shape: tuple[int, ...]) -> "_Decisions":
        for name, wanted in (("broken", shape[:2]), ("certified", shape[:2]), ("delta", shape),
                             ("place", (2,))):
            got = np.shape(arrays[name]) if name in arrays else None
            if got != wanted:
                raise ValueError(f"saved: expected {name} of shape {wanted}, got {got}: they are "
                                 "of another bracket")
        passes, row = (int(number) for number in arrays["place"])
        return cls(arrays["broken"].astype(np.int16), arrays["certified"].astype(np.int16),
                   np.array(arrays["delta"], FLOAT), passes, row)

    def arrays(self) -> Arrays:
        return {"broken": self.broken.copy(), "certified": self.certified.copy(),
                "delta": self.delta.copy(), "place": np.array([self.passes, self.row])}

    def open_rows(self, index: int) -> np.ndarray:
        """Samples undecided at a radius."""
        return np.flatnonzero((self.broken[index] == UNDECIDED)
                              & (self.certified[index] == UNDECIDED))

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
    """The passes over the radii, and what they judge by: float64 network, samples, options."""

    network: SymmetricReLU
    X: np.ndarray
    y: np.ndarray
    adversary: Adversary
    radii: list[float]
    options: dict[str, Any]
    judges: tuple[str, ...]
    known: _Decisions

    def sit(self, tick: Tick | None) -> np.ndarray:
        """Do all passes that are left; return the seconds spent at each radius."""
        up = [(self.attack, index) for index in range(len(self.radii))]
        down = [(work, index) for index in reversed(range(len(self.radii)))
                for work in (self.bound, self.attack_strongly, self.branch)]
        spent = np.zeros(len(self.radii))
        for number, (work, index) in enumerate(up + down):
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
            self._attacked(index, rows, self.adversary)
        yield from ()

    def attack_strongly(self, index: int) -> Iterator[int]:
        """Attack what the dual left open."""
        rows = self.known.open_rows(index)
        if len(rows) and self.adversary.strong:
            self._attacked(index, rows, replace(self.adversary, attacks=self.adversary.strong))
        yield from ()

    def _attacked(self, index: int, rows: np.ndarray, adversary: Adversary) -> None:
        X, y = self.X[rows], self.y[rows]
        result = worst_case(self.network, Batch(X, y), adversary.at(self.radii[index]), key=index)
        self.known.break_from(index, rows, self._who_broke(result.margins_of))
        better = result.margins < self.network.margins(X + self.known.delta[index, rows], y)
        self.known.delta[index, rows[better]] = result.delta[better]

    def bound(self, index: int) -> Iterator[int]:
        """Certify by the quadratic dual."""
        return self._certified(index, "quadratic")

    def branch(self, index: int) -> Iterator[int]:
        """Certify by branch and bound what is open still."""
        return self._certified(index, "branching")

    def _certified(self, index: int, method: str) -> Iterator[int]:
        adversary = self.adversary.at(self.radii[index])
        known = self.known
        rows = known.open_rows(index)
        for row in rows[rows > known.row]:
            beat()
            one = np.array([row])
            X, y = self.X[one], self.y[one]
            bounds = certify(self.network, Batch(X, y), adversary, start=known.delta[index, one],
                             methods=(method,), **self.options)
            known.delta[index, one] = adversary.ball.project(bounds.delta)
            reached = self.network.margins(X + known.delta[index, one], y)
            if reached[0] <= 0.0:  # the search of the certificate is an attack too
                known.break_from(index, one, np.array([self.judges.index("search")]))
            elif bounds.margins[0] > 0.0:
                known.certify_to(index, one, np.array([METHODS.index(method)]))
            yield int(row)

    def _who_broke(self, margins_of: Mapping[str, np.ndarray]) -> np.ndarray:
        """Code of the first attack that broke each sample, or UNDECIDED, shape (n,)."""
        codes = np.zeros(len(next(iter(margins_of.values()))), np.int16)
        for name, margins in margins_of.items():
            codes[(codes == UNDECIDED) & ~(margins > 0.0)] = self.judges.index(name)
        return codes


def _summed_up(radius: float, certified: np.ndarray, broken: np.ndarray,
               judges: Sequence[str], confidence: float, seconds: float) -> Bracket:
    n = len(certified)
    safe, unbroken = (int(count) for count in (np.count_nonzero(certified),
                                               np.count_nonzero(broken == UNDECIDED)))
    low = binomtest(safe, n).proportion_ci(confidence, "exact").low
    high = binomtest(unbroken, n).proportion_ci(confidence, "exact").high
    decided = [f"certified: {METHODS[safely]}" if safely else
               f"broken: {judges[by]}" if by else "open" for safely, by in zip(certified, broken)]
    return Bracket(radius, safe / n, unbroken / n, float(low), float(high), n, np.array(decided),
                   float(seconds))
