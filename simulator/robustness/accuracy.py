"""Accuracy, clean and attacked, at every radius.

Attacked accuracy is the worst over all attacks, per sample. A perturbation found at one radius
belongs to every larger ball too, so curves are non-increasing by construction, not by luck.
Attacks bound robust accuracy from above only;
:func:`~simulator.robustness.bracket.bracket` bounds it from both sides.
"""

from collections.abc import Sequence

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
                    radii: Sequence[float]) -> dict[str, np.ndarray]:
    """Accuracy under each attack, and under the worst of all, at every radius.

    Parameters
    ----------
    network : Network
    batch : Batch
    adversary : Adversary
        The radius of its ball is not used.
    radii : sequence of float
        Ascending, at least 0.

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
    curves: dict[str, list[float]] = {name: [] for name in (*adversary.attacks, "strongest")}
    broken = {name: np.zeros(len(batch), bool) for name in curves}
    for index, radius in enumerate(radii):
        result = worst_case(network, batch, adversary.at(radius), key=index)
        for name in curves:
            margins = result.margins if name == "strongest" else result.margins_of[name]
            broken[name] |= ~(margins > 0.0)
            curves[name].append(1.0 - float(broken[name].mean()))
    return {name: np.array(curve) for name, curve in curves.items()}
