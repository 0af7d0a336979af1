"""The worst perturbation met, sample by sample: an attack is never believed.

:func:`worst_case` projects what an attack returns onto the ball, scores it again, and combines
several attacks sample by sample. Each attack bounds robust accuracy from above only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.checks import require_array
from simulator.heartbeat import beat
from simulator.protocols import Attack, Ball, Batch, Network

if TYPE_CHECKING:
    from simulator.attacks.adversary import Adversary

__all__ = ["BestFound", "WorstCase", "against", "require_adversary", "require_samples",
           "strong_case", "strongest_case", "worst_case", "zero_rows"]

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
        """Share of samples still right under attack ``name``, or under the worst of all."""
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


def _worst_of_chunk(network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                    attacks: Mapping[str, Attack], rng: np.random.Generator) -> WorstCase:
    best = BestFound(network, X, y)
    margins_of = {"clean": best.margins.copy()}
    zero_gradients = {}
    for name, attack in attacks.items():
        beat()
        result = attack.perturb(network, X, y, ball, rng)
        if not hasattr(result, "delta"):
            raise TypeError(f"attack {name}: expected a Perturbation(delta, zero_gradients), got "
                            f"a value of type {type(result).__name__}")
        delta = require_array(f"perturbation of {name}", result.delta, X.shape, dtype=X.dtype)
        finite = np.isfinite(delta.reshape(len(X), -1)).all(axis=1)
        if not finite.all():  # nothing infinite lies in a ball, nor has a projection
            delta = np.where(finite.reshape((-1,) + (1,) * (X.ndim - 1)), delta, 0.0)
        margins_of[name] = best.offer(ball.project(delta))
        zero_gradients[name] = result.zero_gradients
    return WorstCase(best.margins, best.delta, margins_of, zero_gradients)


def require_adversary(adversary: Any) -> None:
    """Raise TypeError, in one line, for anything but an Adversary."""
    if hasattr(adversary, "attacks") and hasattr(adversary, "ball"):
        return
    hint = f": write Adversary({adversary!r})" if hasattr(adversary, "steepest") else ""
    raise TypeError("adversary: expected an Adversary such as Adversary(L2Ball(0.1), FGM()), got "
                    f"{adversary!r}{hint}")


def require_samples(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return X and y of a batch as checked arrays, or raise TypeError / ValueError."""
    if not (hasattr(batch, "X") and hasattr(batch, "y")):
        raise TypeError("batch: expected a Batch(X, y), got a value of type "
                        f"{type(batch).__name__}")
    X = require_array("X", batch.X, (None,) * np.ndim(batch.X))
    y = require_array("y", batch.y, (len(X),), why="one label per sample", dtype=X.dtype)
    if len(X) == 0:
        raise ValueError("batch: expected at least one sample, got none: accuracy is a mean")
    return X, y


class BestFound:
    """The perturbation with the smallest margin met so far, per sample; starts at zero.

    Attributes: ``network``; ``X``, ``y``; ``delta``, shape of X; ``margins``, shape (n,).
    """

    def __init__(self, network: Network, X: np.ndarray, y: np.ndarray) -> None:
        self.network = network
        self.X = require_array("X", X, (None,) * np.ndim(X))
        self.y = require_array("y", y, (len(self.X),), why="one label per sample",
                               dtype=self.X.dtype)
        self.delta = np.zeros_like(self.X)
        self.margins = network.margins(self.X, self.y)

    def offer(self, delta: np.ndarray) -> np.ndarray:
        """Take the perturbation where it is worse; return its margins.

        A margin of NaN is the worst of all: the network does not answer there.
        """
        beat()
        margins = self.network.margins(self.X + delta, self.y)
        self._take(delta, margins)
        return margins

    def offer_for_gradient(self, delta: np.ndarray) -> np.ndarray:
        """Take the perturbation where it is worse; return the margins' gradient there."""
        beat()
        X = self.X + delta
        gradient: np.ndarray
        if hasattr(self.network, "margins_and_gradient"):  # one forward pass instead of two
            margins, gradient = self.network.margins_and_gradient(X, self.y)
        else:
            margins = self.network.margins(X, self.y)
            gradient = self.network.margin_gradient(X, self.y)
        self._take(delta, margins)
        return gradient

    def _take(self, delta: np.ndarray, margins: np.ndarray) -> None:
        worse = (margins < self.margins) | np.isnan(margins)
        self.margins[worse] = margins[worse]
        self.delta[worse] = delta[worse]


def zero_rows(gradient: np.ndarray) -> int:
    """Return for how many samples the gradient is exactly zero."""
    return int(np.count_nonzero(~gradient.reshape(len(gradient), -1).any(axis=1)))


def against(direction: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ``-y_n v`` for each sample, shape of X."""
    direction = require_array("direction", direction, X.shape[1:], why="the shape of one input",
                              dtype=X.dtype)
    moves: np.ndarray = -y.reshape((-1,) + (1,) * direction.ndim) * direction
    return moves
