"""Accuracy, clean and attacked, at every radius.

Attacked accuracy is the worst over all attacks, per sample. A perturbation found at one radius
belongs to every larger ball too, so curves are non-increasing by construction, not by luck. The
attacks of an adversary go up the radii, on every sample; its strong ones come down, on what is
still right, and a sample that withstands them is not asked again at smaller radii: most samples
are attacked strongly once, not at every radius.
Attacks bound robust accuracy from above only;
:func:`~simulator.robustness.bracket.bracket` bounds it from both sides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import require_adversary, require_samples, strong_case, worst_case
from simulator.checks import require_int, require_radii
from simulator.heartbeat import beat
from simulator.protocols import Batch, Network

__all__ = ["accuracy", "accuracy_curves"]


def accuracy(network: Network, batch: Batch, *, chunk: int = 1000) -> float:
    """Share of samples with a positive margin, evaluated ``chunk`` rows at a time."""
    require_int("chunk", chunk, low=1)
    X, y = require_samples(batch)
    right = 0
    for rows in range(0, len(X), chunk):
        beat()
        margins = network.margins(X[rows:rows + chunk], y[rows:rows + chunk])
        right += int(np.count_nonzero(margins > 0.0))
    return right / len(X)


def accuracy_curves(network: Network, batch: Batch, adversary: Adversary, *,
                    radii: Sequence[float], saved: Mapping[str, np.ndarray] | None = None,
                    tick: Callable[..., None] | None = None) -> dict[str, np.ndarray]:
    """Accuracy under each attack, and under the worst of all, strong ones too, at every radius.

    Parameters
    ----------
    network : Network
    batch : Batch
    adversary : Adversary
        The radius of its ball is not used.
    radii : sequence of float
        Ascending, at least 0.
    saved : mapping of str to ndarray, or None
        What an interrupted call of equal arguments kept: it goes on from there.
    tick : callable or None
        Called with (radii done, function that returns the arrays to go on from) after each;
        with strong attacks every radius is done twice.

    Returns
    -------
    dict of str to ndarray, shape (len(radii),)
        One curve for each attack and "strongest", each non-increasing. Strong attacks have none
        of their own: they run where the others failed.

    Raises
    ------
    TypeError, ValueError
        No Adversary, no samples, radii that do not ascend, an attack called "strongest".
    """
    require_adversary(adversary)
    radii = require_radii("radii", radii)
    if "strongest" in adversary.attacks:
        raise ValueError('attacks: expected other names, got "strongest": it names their worst')
    names = (*adversary.attacks, "strongest")
    search = _Curves(np.zeros((len(names), len(radii), len(batch)), bool),
                     np.zeros(len(batch), bool))
    if saved is not None:
        search = _Curves(saved["broken"].copy(), saved["held"].copy(), int(saved["done"]))
    work = [(search.attack, index) for index in range(len(radii))]
    if adversary.strong:
        work += [(search.attack_strongly, index) for index in reversed(range(len(radii)))]
    for attack, index in work[search.done:]:
        attack(index, network, batch, adversary.at(radii[index]))
        search.done += 1
        if tick is not None:
            tick(search.done, search.arrays)
    return {name: 1.0 - search.broken[place].mean(axis=1) for place, name in enumerate(names)}


@dataclass
class _Curves:
    """Curves in progress.

    Attributes
    ----------
    broken : ndarray of bool, shape (attacks + 1, R, n)
        By which attack, the last line by any, at which radius.
    held : ndarray of bool, shape (n,)
        Samples that withstood the strong attacks at a larger radius.
    done : int
        Radii done, up and then down.
    """

    broken: np.ndarray
    held: np.ndarray
    done: int = 0

    def attack(self, index: int, network: Network, batch: Batch, adversary: Adversary) -> None:
        """Attack every sample."""
        result = worst_case(network, batch, adversary, key=index)
        found = (*(result.margins_of[name] for name in adversary.attacks), result.margins)
        for place, margins in enumerate(found):
            self.broken[place, index:] |= ~(margins > 0.0)

    def attack_strongly(self, index: int, network: Network, batch: Batch,
                        adversary: Adversary) -> None:
        """Attack what is still right, and what no larger radius has shown to hold."""
        rows = np.flatnonzero(~(self.broken[-1, index] | self.held))
        if len(rows) == 0:
            return
        broken = ~(strong_case(network, batch[rows], adversary, key=index).margins > 0.0)
        self.broken[-1, index:, rows[broken]] = True
        self.held[rows[~broken]] = True

    def arrays(self) -> dict[str, np.ndarray]:
        return {"broken": self.broken.copy(), "held": self.held.copy(),
                "done": np.array(self.done)}
