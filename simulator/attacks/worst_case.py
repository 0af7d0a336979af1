"""The worst perturbation met, sample by sample: an attack is never believed.

:func:`worst_case` projects what an attack returns onto the ball, scores it again, and combines
several attacks sample by sample. Each attack bounds robust accuracy from above only.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.checks import require_array, require_batch, require_network, require_some, seen
from simulator.heartbeat import beat
from simulator.protocols import Attack, Ball, Batch, Network

if TYPE_CHECKING:
    from simulator.attacks.adversary import Adversary

__all__ = ["BestFound", "WorstCase", "against", "held", "require_adversary", "require_samples",
           "strong_case", "strongest_case", "which_break", "worst_case", "zero_rows"]

STRONG_KEYS = 1_000_000  # above every key of a call: strong attacks draw from streams of their own


@dataclass(frozen=True)
class WorstCase:
    """What several attacks together found, sample by sample.

    Attributes
    ----------
    margins : ndarray, shape (n,)
        Smallest margin over the clean input and all attacks.
    delta : ndarray, shape of X
        The perturbation that gave it (zero where no attack beat the clean input).
    margins_of : dict of str to ndarray, shape (n,)
        Margin under each attack alone, re-scored; "clean" is the input itself.
    zero_gradients : dict of str to int
        Samples at which each attack saw a zero gradient.
    """

    margins: np.ndarray
    delta: np.ndarray
    margins_of: dict[str, np.ndarray]
    zero_gradients: dict[str, int] = field(default_factory=dict)

    def accuracy(self, name: str | None = None) -> float:
        """Share of samples still right under attack ``name``, or under the worst of all.

        Right is a positive margin: one that is NaN counts as wrong.
        """
        margins = self.margins if name is None else self.margins_of[name]
        return float(np.mean(margins > 0.0))


def worst_case(network: Network, batch: Batch, adversary: "Adversary", *,
               key: int = 0) -> WorstCase:
    """Run every attack, project and re-score its result, and keep the worst per sample.

    Parameters
    ----------
    network : Network
    batch : Batch
        At least one sample.
    adversary : Adversary
        The ball, its attacks, run in order, their seed, and how many samples are attacked
        together. That number is part of a run's config: the last bit of a matrix product
        depends on how many rows it has.
    key : int
        Tells the calls of one measurement apart: each draws from a stream of its own.

    Returns
    -------
    WorstCase

    Raises
    ------
    TypeError, ValueError
        No Adversary, no samples, arrays of another shape, an attack called "clean" or one that
        returns no perturbation of the shape of X.
    """
    require_adversary(adversary)
    require_network(network)
    X, y = require_samples(batch)
    rng, chunk = adversary.stream(key), adversary.chunk
    pieces = [_worst_of_chunk(network, X[rows:rows + chunk], y[rows:rows + chunk],
                              adversary.ball, adversary.attacks, rng)
              for rows in range(0, len(X), chunk)]
    return WorstCase(
        margins=np.concatenate([piece.margins for piece in pieces]),
        delta=np.concatenate([piece.delta for piece in pieces]),
        margins_of={name: np.concatenate([piece.margins_of[name] for piece in pieces])
                    for name in pieces[0].margins_of},
        zero_gradients={name: sum(piece.zero_gradients[name] for piece in pieces)
                        for name in adversary.attacks})


def strong_case(network: Network, batch: Batch, adversary: "Adversary", *,
                key: int = 0) -> WorstCase:
    """Run the strong attacks of an adversary alone; see :func:`worst_case`."""
    require_adversary(adversary)
    return worst_case(network, batch, replace(adversary, attacks=adversary.strong),
                      key=STRONG_KEYS + key)


def strongest_case(network: Network, batch: Batch, adversary: "Adversary", *,
                   key: int = 0) -> WorstCase:
    """Run every attack, and the strong ones on the samples that are still right.

    Parameters
    ----------
    network : Network
    batch : Batch
    adversary : Adversary
    key : int
        See :func:`worst_case`.

    Returns
    -------
    WorstCase
        ``margins`` and ``delta`` are of the worst of all; ``margins_of`` has the attacks that ran
        on every sample.
    """
    found = worst_case(network, batch, adversary, key=key)
    rows = np.flatnonzero(found.margins > 0.0)
    if len(rows) == 0 or not adversary.strong:
        return found
    more = strong_case(network, Batch(batch.X[rows], batch.y[rows]), adversary, key=key)
    worse = ~(more.margins >= found.margins[rows])  # a margin of NaN is the worst of all
    found.margins[rows[worse]] = more.margins[worse]
    found.delta[rows[worse]] = more.delta[worse]
    return found


def which_break(network: Network, batch: Batch, adversary: "Adversary", *, strong: bool = False,
                key: int = 0) -> np.ndarray:
    """Return which samples break: every attack is asked about those that are left.

    An attack with a setting ``until_broken`` stops at a sample as soon as it is broken, so this
    costs less than :func:`worst_case` and says less.

    Parameters
    ----------
    network : Network
    batch : Batch
    adversary : Adversary
    strong : bool
        Whether its strong attacks are asked too, after the others.
    key : int
        See :func:`worst_case`.

    Returns
    -------
    ndarray of bool, shape (n,)
        Samples with a point of the ball, the input itself at least, where the margin is not
        positive.
    """
    require_adversary(adversary)
    require_network(network)
    X, y = require_samples(batch)
    broken = ~(network.margins(X, y) > 0.0)
    if adversary.ball.radius == 0.0:
        return broken
    suites = [(adversary.attacks, key)]
    if strong:
        suites.append((adversary.strong, STRONG_KEYS + key))
    for attacks, own_key in suites:
        rng = adversary.stream(own_key)
        for name, attack in attacks.items():
            left = np.flatnonzero(~broken)
            for first in range(0, len(left), adversary.chunk):
                rows = left[first:first + adversary.chunk]
                found = _worst_of_chunk(network, X[rows], y[rows], adversary.ball,
                                        {name: _until_broken(attack)}, rng)
                broken[rows] = ~(found.margins > 0.0)
    return broken


def _until_broken(attack: Attack) -> Attack:
    """The same attack, stopping at broken samples if it can."""
    if is_dataclass(attack) and not isinstance(attack, type) and any(
            one.name == "until_broken" for one in fields(attack)):
        return replace(attack, until_broken=True)
    return attack


def _worst_of_chunk(network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                    attacks: Mapping[str, Attack], rng: np.random.Generator) -> WorstCase:
    with held(network):
        best = BestFound(network, X, y)
        margins_of = {"clean": best.margins.copy()}
        zero_gradients = {}
        for name, attack in attacks.items():
            beat()
            result = attack.perturb(network, X, y, ball, rng)
            delta = _finite_delta(name, result, X)
            margins_of[name] = best.offer(ball.project(delta))
            zero_gradients[name] = result.zero_gradients
    return WorstCase(best.margins, best.delta, margins_of, zero_gradients)


def _finite_delta(name: str, result: Any, X: np.ndarray) -> np.ndarray:
    """The perturbation that an attack returned, without what lies in no ball."""
    if not hasattr(result, "delta"):
        raise TypeError(f"attack {name}: expected a Perturbation(delta, zero_gradients), got "
                        f"a value of type {type(result).__name__}")
    delta = require_array(f"perturbation of {name}", result.delta, X.shape, dtype=X.dtype)
    finite = np.isfinite(delta.reshape(len(X), -1)).all(axis=1)
    if not finite.all():  # nothing infinite lies in a ball, nor has a projection
        delta = np.where(finite.reshape((-1,) + (1,) * (X.ndim - 1)), delta, 0.0)
    return delta


def held(network: Any) -> AbstractContextManager[None]:
    """A block in which nobody but a gradient step changes the weights.

    Networks that gain by that have a method of this name.
    """
    block: AbstractContextManager[None] = (network.held() if hasattr(network, "held")
                                           else nullcontext())
    return block


def require_adversary(adversary: Any) -> None:
    """Raise TypeError, in one line, for anything but an Adversary."""
    if hasattr(adversary, "attacks") and hasattr(adversary, "ball"):
        return
    hint = f": write Adversary({adversary!r})" if hasattr(adversary, "steepest") else ""
    raise TypeError("adversary: expected an Adversary such as Adversary(L2Ball(0.1), FGM()), got "
                    f"{seen(adversary)}{hint}")


def require_samples(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return X and y of a batch as checked arrays, or raise TypeError / ValueError."""
    require_batch(batch)
    X = require_array("X", batch.X, (None,) * np.ndim(batch.X))
    y = require_array("y", batch.y, (len(X),), why="one label per sample", dtype=X.dtype)
    require_some("batch", X, "accuracy is a mean")
    return X, y


class BestFound:
    """The perturbation with the smallest margin met so far, per sample; starts at zero.

    Parameters
    ----------
    network : Network
    X, y : ndarray, shapes (n, ...) and (n,)
    until_broken : bool
        Whether a sample is done with once its margin is no longer positive; see :meth:`left`.
    known : tuple of ndarray, shapes (n,) and of X, or None
        Margins and their gradient at X, if they are known; then ``gradients`` is kept too.

    Attributes
    ----------
    network : Network
    X, y : ndarray
        The samples that are searched still.
    rows : ndarray of int
        Which of all they are. ``delta`` and ``margins`` are of all.
    delta : ndarray, shape of all X
    margins : ndarray, shape (n,)
    gradients : ndarray, shape of all X, or None
        The margins' gradient at ``delta``; kept if all points are scored with theirs.
    """

    def __init__(self, network: Network, X: np.ndarray, y: np.ndarray, until_broken: bool = False,
                 known: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        self.network, self.until_broken = network, until_broken
        self.X = require_array("X", X, (None,) * np.ndim(X))
        self.y = require_array("y", y, (len(self.X),), why="one label per sample",
                               dtype=self.X.dtype)
        self.rows = np.arange(len(self.X))
        self.delta = np.zeros_like(self.X)
        self.gradients: np.ndarray | None = None
        self._here: tuple[np.ndarray, np.ndarray] | None = None
        if known is None:
            self.margins = network.margins(self.X, self.y)
        else:
            self.margins, self.gradients = (array.copy() for array in known)

    def offer(self, delta: np.ndarray) -> np.ndarray:
        """Take the perturbation where it is worse; return its margins.

        A margin of NaN is the worst of all: the network does not answer there.
        """
        beat()
        margins = self.network.margins(self.X + delta, self.y)
        self.take(delta, margins)
        return margins

    def offer_for_gradient(self, delta: np.ndarray) -> np.ndarray:
        """Take the perturbation where it is worse; return the margins' gradient there."""
        return self.scored(delta)[1]

    def scored(self, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the perturbation where it is worse; return its margins and their gradient."""
        beat()
        margins, gradient = _margins_and_gradient(self.network, self.X + delta, self.y)
        self.take(delta, margins, gradient)
        return margins, gradient

    def here(self) -> tuple[np.ndarray, np.ndarray]:
        """Return margins and gradient at the samples themselves, those searched still."""
        if self._here is None:
            self._here = _margins_and_gradient(self.network, self.X, self.y)
        return self._here

    def take(self, delta: np.ndarray, margins: np.ndarray,
             gradient: np.ndarray | None = None) -> None:
        """Take perturbations where their margins, known to the caller, are worse."""
        worse = (margins < self.margins[self.rows]) | np.isnan(margins)
        rows = self.rows[worse]
        self.margins[rows] = margins[worse]
        self.delta[rows] = delta[worse]
        if self.gradients is not None and gradient is not None:
            self.gradients[rows] = gradient[worse]

    def left(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Be done with the samples broken so far, where that is asked for.

        Parameters
        ----------
        *arrays : ndarray, shape (searched, ...)
            What the caller holds of each sample searched.

        Returns
        -------
        tuple of ndarray
            The same of the samples that are left.
        """
        if not self.until_broken:
            return arrays
        right = self.margins[self.rows] > 0.0
        if right.all():
            return arrays
        self.X, self.y, self.rows = self.X[right], self.y[right], self.rows[right]
        if self._here is not None:
            self._here = (self._here[0][right], self._here[1][right])
        return tuple(array[right] for array in arrays)


def _margins_and_gradient(network: Network, X: np.ndarray,
                          y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(network, "margins_and_gradient"):  # one forward pass instead of two
        margins, gradient = network.margins_and_gradient(X, y)
    else:
        margins, gradient = network.margins(X, y), network.margin_gradient(X, y)
    return margins, gradient


def zero_rows(gradient: np.ndarray) -> int:
    """Return for how many samples the gradient is exactly zero."""
    return int(np.count_nonzero(~gradient.reshape(len(gradient), -1).any(axis=1)))


def against(direction: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ``-y_n v`` for each sample, shape of X."""
    direction = require_array("direction", direction, X.shape[1:], why="the shape of one input",
                              dtype=X.dtype)
    moves: np.ndarray = -y.reshape((-1,) + (1,) * direction.ndim) * direction
    return moves
