"""Accuracy, clean and attacked, at every radius.

Attacked accuracy is the worst over all attacks, per sample. A perturbation found at one radius
belongs to every larger ball too, so curves are non-increasing by construction, not by luck.
Attacks bound robust accuracy from above only;
:func:`~simulator.robustness.bracket.bracket` bounds it from both sides.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import require_adversary, require_samples, worst_case
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
    """Accuracy under each attack, and under the worst of all, at every radius.

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
        Called with (radii done, function that returns the arrays to go on from) after each.

    Returns
    -------
    dict of str to ndarray, shape (len(radii),)
        One curve for each attack and "strongest", each non-increasing.

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
    broken = np.zeros((len(names), len(radii), len(batch)), bool)
    first = 0
    if saved is not None:
        broken, first = saved["broken"].copy(), int(saved["radii"])
    for index in range(first, len(radii)):
        result = worst_case(network, batch, adversary.at(radii[index]), key=index)
        for place, name in enumerate(names):
            margins = result.margins if name == "strongest" else result.margins_of[name]
            broken[place, index:] |= ~(margins > 0.0)
        if tick is not None:
            tick(index + 1, lambda: {"broken": broken.copy(), "radii": np.array(index + 1)})
    return {name: 1.0 - broken[place].mean(axis=1) for place, name in enumerate(names)}
