"""The bracket: certified <= true <= attacked accuracy, for ANY perturbation of a radius.

A sample is *certified* where a lower bound on its margin over the whole ball is positive,
*broken* where a perturbation of the ball makes the network wrong, and *open* otherwise. Both are
monotone: certified at a radius is certified at every smaller one, broken at every larger one. So
the standard attacks go up the radii, then the certificates come down, each on what is left:

    standard attacks -> quadratic dual -> strong attacks -> branch and bound

The certificates' own minimisers count as attacks. The true robust accuracy of the population
lies between the lower Clopper-Pearson limit of the certified share and the upper limit of the
unbroken share, with the stated confidence, since certified <= true <= unbroken holds sample by
sample. All is done in float64 on the weights as they are.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import require_adversary, worst_case
from simulator.certificates.margins import certify
from simulator.checks import require_array, require_int, require_labels, require_radii, require_real
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

__all__ = ["Bracket", "bracket", "in_double"]

FLOAT = np.dtype(np.float64)


@dataclass(frozen=True)
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
            steps: int = 300, root_steps: int = 2000,
            confidence: float = 0.95) -> tuple[Bracket, ...]:
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

    Returns
    -------
    tuple of Bracket
        One for each radius.

    Raises
    ------
    ValueError
        A smoothed network (the bounds are for the plain soft threshold), no samples, radii that
        do not ascend.
    """
    require_adversary(adversary)
    radii = require_radii("radii", radii)
    require_real("confidence", confidence, low=0.0, high=1.0)
    require_int("boxes", boxes, low=1)
    plain, X, y = in_double(network, batch)
    strong = replace(adversary, attacks=adversary.strong) if adversary.strong else None
    n = len(X)
    broken = np.full((len(radii), n), "", dtype="<U40")  # by which attack
    certified = np.full((len(radii), n), "", dtype="<U40")  # by which method
    starts, spent = np.zeros((len(radii), *X.shape)), np.zeros(len(radii))
    for index, radius in enumerate(radii):
        began = time.perf_counter()
        if index:
            broken[index] = broken[index - 1]
        alive = np.flatnonzero(broken[index] == "")
        if len(alive):
            found = worst_case(plain, Batch(X[alive], y[alive]), adversary.at(radius), key=index)
            starts[index, alive] = found.delta
            broken[index, alive] = _who_broke(found.margins_of)
        spent[index] = time.perf_counter() - began
    for index in reversed(range(len(radii))):
        began = time.perf_counter()
        here = adversary.ball.with_radius(radii[index])
        for methods in (("quadratic",), ("branching",)):
            rows = np.flatnonzero((broken[index] == "") & (certified[index] == ""))
            if len(rows) == 0:
                break
            if methods == ("branching",) and strong:
                found = worst_case(plain, Batch(X[rows], y[rows]), strong.at(radii[index]),
                                   key=index)
                names = _who_broke(found.margins_of)
                _pass_on(broken[index:], rows, names)
                better = found.margins < plain.margins(X[rows] + starts[index, rows], y[rows])
                starts[index, rows[better]] = found.delta[better]
                rows = rows[names == ""]
                if len(rows) == 0:
                    break
            bounds = certify(plain, Batch(X[rows], y[rows]), here, start=starts[index, rows],
                             methods=methods, boxes=boxes, seconds=seconds, steps=steps,
                             root_steps=root_steps)
            starts[index, rows] = here.project(bounds.delta)
            reached = plain.margins(X[rows] + starts[index, rows], y[rows])
            _pass_on(broken[index:], rows, np.where(reached <= 0.0, "search", ""))
            _pass_on(certified[:index + 1], rows, np.where(bounds.margins > 0.0, methods[0], ""))
        spent[index] += time.perf_counter() - began
    return tuple(_summed_up(radius, certified[index], broken[index], confidence, spent[index])
                 for index, radius in enumerate(radii))


def in_double(network: SymmetricReLU,
              batch: Batch) -> tuple[SymmetricReLU, np.ndarray, np.ndarray]:
    """Return network, X and y in float64, or raise ValueError where no certificate applies."""
    if not isinstance(network, SymmetricReLU):
        raise TypeError(f"network: expected a SymmetricReLU, got a {type(network).__name__}: the "
                        "certificates bound its soft threshold")
    if network.smoothing > 0.0:
        raise ValueError(f"network: expected no smoothing, got {network.smoothing}: "
                         "the certificates are for the plain soft threshold")
    X = require_array("X", batch.X, (None, network.weights.shape[1]), dtype=FLOAT)
    if len(X) == 0:
        raise ValueError("batch: expected at least one sample, got none: accuracy is a mean")
    return (SymmetricReLU(network.weights.astype(FLOAT), network.bias), X,
            require_labels("y", batch.y, len(X), FLOAT))


def _who_broke(margins_of: Mapping[str, np.ndarray]) -> np.ndarray:
    """Name of the first attack that broke each sample, or "", shape (n,)."""
    names = np.full(len(next(iter(margins_of.values()))), "", dtype="<U40")
    for name, margins in margins_of.items():
        names[(names == "") & ~(margins > 0.0)] = name
    return names


def _pass_on(table: np.ndarray, rows: np.ndarray, names: np.ndarray) -> None:
    """Write names (len(rows),) into the empty places of all rows of radii in ``table``."""
    for line in table:
        free = rows[(line[rows] == "") & (names != "")]
        line[free] = names[(line[rows] == "") & (names != "")]


def _summed_up(radius: float, certified: np.ndarray, broken: np.ndarray, confidence: float,
               seconds: float) -> Bracket:
    n = len(certified)
    safe, unbroken = int(np.sum(certified != "")), int(np.sum(broken == ""))
    low = binomtest(safe, n).proportion_ci(confidence, "exact").low
    high = binomtest(unbroken, n).proportion_ci(confidence, "exact").high
    decided = np.where(certified != "", np.char.add("certified: ", certified),
                       np.where(broken != "", np.char.add("broken: ", broken), "open"))
    return Bracket(radius, safe / n, unbroken / n, float(low), float(high), n, decided,
                   float(seconds))
