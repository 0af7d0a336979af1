"""Accuracy, clean and attacked, at every radius.

Attacked accuracy is the worst over all attacks, per sample. A perturbation found at one radius
belongs to every larger ball too, so curves are non-increasing by construction, not by luck: all
that is asked of a sample is the smallest radius at which it breaks.

Attacks that try one point, such as FGM, may miss in a larger ball what they hit in a smaller one.
They go up the radii, each on what it has not broken yet. A *thorough* attack, which walks through
the ball and keeps the best point met, is asked less: where another attack has broken the sample,
and from there down until the sample holds; then it is taken to hold in every smaller ball. If it
holds at once, the attack begins again at the largest radius. Random search, which seldom breaks
what others do, begins there. The strong attacks of an adversary come last, down from the smallest
radius at which any attack has broken the sample.

Attacks bound robust accuracy from above only;
:func:`~simulator.robustness.bracket.bracket` bounds it from both sides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import require_adversary, require_samples, which_break
from simulator.checks import require_int, require_network, require_radii
from simulator.heartbeat import beat
from simulator.protocols import Batch, Network

__all__ = ["accuracy", "accuracy_curves", "breaking_points", "curve_of", "passes"]


def accuracy(network: Network, batch: Batch, *, chunk: int = 1000) -> float:
    """Share of samples with a positive margin, evaluated ``chunk`` rows at a time.

    A margin that is NaN is not positive: the sample counts as wrong.
    """
    require_int("chunk", chunk, low=1)
    require_network(network)
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
    network, batch, adversary, radii, saved, tick
        See :func:`breaking_points`.

    Returns
    -------
    dict of str to ndarray, shape (len(radii),)
        One curve for each attack and "strongest", each non-increasing. Strong attacks have none
        of their own: they run where the others failed.

    Raises
    ------
    TypeError, ValueError
        See :func:`breaking_points`.
    """
    points = breaking_points(network, batch, adversary, radii=radii, saved=saved, tick=tick)
    return {name: curve_of(broken_from, len(radii)) for name, broken_from in points.items()}


def curve_of(broken_from: np.ndarray, radii: int) -> np.ndarray:
    """Return accuracy at each of so many radii from the breaking points of the samples."""
    return np.array([1.0 - np.mean(broken_from <= index) for index in range(radii)])


def breaking_points(network: Network, batch: Batch, adversary: Adversary, *,
                    radii: Sequence[float], saved: Mapping[str, np.ndarray] | None = None,
                    tick: Callable[..., None] | None = None) -> dict[str, np.ndarray]:
    """Find for each attack, and for all together, at which radius each sample breaks.

    Parameters
    ----------
    network : Network
    batch : Batch
    adversary : Adversary
        The radius of its ball is not used. An attack is thorough if it has an attribute
        ``thorough``: True, or "from the top" if it is to begin there; see the module.
    radii : sequence of float
        Ascending, at least 0.
    saved : mapping of str to ndarray, or None
        What an interrupted call of equal arguments kept: it goes on from there.
    tick : callable or None
        Called with (radii done, function that returns the arrays to go on from) after each;
        every radius is done :func:`passes` times.

    Returns
    -------
    dict of str to ndarray of int, shape (n,)
        Index of the smallest radius at which each sample is broken, ``len(radii)`` if it is at
        none: under each attack and, as "strongest", under any, strong ones too. A sample that is
        wrong without a perturbation is broken from 0 on.

    Raises
    ------
    TypeError, ValueError
        No Adversary, no samples, radii that do not ascend, an attack called "strongest".
    """
    require_network(network)
    require_adversary(adversary)
    radii = require_radii("radii", radii)
    if "strongest" in adversary.attacks:
        raise ValueError('attacks: expected other names, got "strongest": it names their worst')
    search = (_Points.begun(network, batch, adversary, radii) if saved is None
              else _Points(saved["holds"].copy(), saved["breaks"].copy(), len(radii),
                           int(saved["done"])))
    work = [(place, way, index) for place, way in _passes(adversary)
            for index in (range(len(radii)) if way == UP else reversed(range(len(radii))))]
    suites = [{name: attack} for name, attack in adversary.attacks.items()] + [adversary.strong]
    for number, (place, way, index) in list(enumerate(work))[search.done:]:
        rows = search.rows(place, way, index)
        if len(rows):
            broken = which_break(network, batch[rows], replace(
                adversary, attacks=suites[place]).at(radii[index]), key=number)
            search.told(place, index, rows, broken)
        search.done += 1
        if tick is not None:
            tick(search.done, search.arrays)
    search.join()
    return dict(zip((*adversary.attacks, "strongest"), search.breaks))


def passes(adversary: Adversary) -> int:
    """Return how many times :func:`breaking_points` goes through all radii."""
    return len(_passes(adversary))


UP, DOWN, FROM_TOP = "up", "down", "from the top"  # ways through the radii


def _passes(adversary: Adversary) -> list[tuple[int, str]]:
    """Who goes through all radii, and which way; the place after the attacks is the strong ones'"""
    found = [(place, way) for place, attack in enumerate(adversary.attacks.values())
             for way in _ways(getattr(attack, "thorough", False))]
    return found + [(len(adversary.attacks), FROM_TOP)] * bool(adversary.strong)


def _ways(thorough: bool | str) -> tuple[str, ...]:
    if thorough == FROM_TOP:
        return (FROM_TOP,)
    return (DOWN, FROM_TOP) if thorough else (UP,)


@dataclass
class _Points:
    """Breaking points in progress, of A attacks and, in the last line, of the strong ones.

    Attributes
    ----------
    holds : ndarray of int, shape (A + 1, n)
        The largest radius at which a sample is known to hold, by index; -1 is none.
    breaks : ndarray of int, shape (A + 1, n)
        The smallest at which it is known to break; the number of radii is none.
    radii : int
    done : int
        Radii done, in all passes.
    """

    holds: np.ndarray
    breaks: np.ndarray
    radii: int
    done: int = 0

    @classmethod
    def begun(cls, network: Network, batch: Batch, adversary: Adversary,
              radii: Sequence[float]) -> "_Points":
        wrong = which_break(network, batch, adversary.at(0.0))
        shape = (len(adversary.attacks) + 1, len(wrong))
        least = 0 if radii[0] == 0.0 else -1
        return cls(np.where(wrong, -1, np.full(shape, least)),
                   np.where(wrong, 0, np.full(shape, len(radii))), len(radii))

    def rows(self, place: int, way: str, index: int) -> np.ndarray:
        """The samples to ask at a radius, on the way through all of them."""
        if place == len(self.breaks) - 1:
            self.join()
        holds, breaks = self.holds[place], self.breaks[place]
        asked = (holds < index) & (index < breaks)
        if way == FROM_TOP:
            asked &= breaks == index + 1
        if way == DOWN:
            start = self.breaks[:place].min(axis=0, initial=self.radii - 1)
            asked &= (index == start) | ((index < start) & (breaks == index + 1))
        return np.flatnonzero(asked)

    def told(self, place: int, index: int, rows: np.ndarray, broken: np.ndarray) -> None:
        """Take note of which of the samples asked broke."""
        self.breaks[place, rows[broken]] = index
        self.holds[place, rows[~broken]] = index

    def join(self) -> None:
        """What breaks under any attack is broken under all together."""
        self.breaks[-1] = self.breaks.min(axis=0)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"holds": self.holds.copy(), "breaks": self.breaks.copy(),
                "done": np.array(self.done)}
