"""Attacks that follow the gradient of the margin.

    FGM          delta = argmax_{ball} <-grad margin, delta>
    PGD          K such steps of size 2.5 radius / K, each projected, from several starts
    AdaptivePGD  momentum and a step that halves where it stops helping, per sample
                 (in the spirit of APGD, Croce & Hein, arXiv 2003.01690)
    Ascent       delta = step * (-grad margin), cut to the ball: the gradient's own length
                 counts, as in the one-step adversarial training of Li & Li (arXiv 2410.08503)

(FGM and PGD as in Allen-Zhu & Li, arXiv 2005.10190.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from simulator.attacks.described import described
from simulator.attacks.worst_case import BestFound, against, zero_rows
from simulator.checks import require_choice, require_int, require_real
from simulator.protocols import Ball, Network, Perturbation
from simulator.randomness import Rng, require_generator

__all__ = ["Ascent", "AdaptivePGD", "FGM", "PGD", "descend"]

MOMENTUM = 0.75  # weight of the new step against the last move
PROGRESS = 0.75  # share of steps since the last check that must have helped


@dataclass(frozen=True)
class FGM:
    """Fast gradient method: one step of full length. A zero gradient gives no perturbation."""

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng | None = None) -> Perturbation:
        """Return the steepest perturbation at X; ``rng`` is not used."""
        gradient = network.margin_gradient(X, y)
        return Perturbation(ball.steepest(-gradient), zero_rows(gradient))


@dataclass(frozen=True, repr=False, eq=False)
class _FromStarts:
    """An attack that walks from several starts and keeps the best point ever met.

    Attributes
    ----------
    steps : int
        Gradient steps for each start.
    starts : tuple of "zero", "random", "universal"
        Where to begin. "universal" needs ``direction``.
    restarts : int
        How many random starts "random" stands for.
    direction : ndarray, shape (d,), or None
        Direction of the universal start.
    until_broken : bool
        Stop at a sample once its margin is no longer positive: all that an accuracy asks.
    """

    steps: int
    starts: tuple[str, ...]
    restarts: int = 1
    direction: np.ndarray | None = None
    until_broken: bool = field(default=False, repr=False)

    thorough: ClassVar[bool] = True  # see breaking_points

    __repr__ = described

    def __post_init__(self) -> None:
        require_int("steps", self.steps, low=1)
        require_starts(self.starts, self.restarts, self.direction)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng | None = None) -> Perturbation:
        """Return the best point of all starts and steps; random starts alone need ``rng``."""
        best = BestFound(network, X, y, self.until_broken)
        starts = starting_points(self.starts, self.restarts, self.direction, best, ball, rng)
        zero_gradients = max([self._search(best, delta, ball) for delta in starts], default=0)
        return Perturbation(best.delta, zero_gradients)

    def _search(self, best: BestFound, delta: np.ndarray, ball: Ball) -> int:
        """Walk from ``delta``; return how many samples had a zero gradient there."""
        raise NotImplementedError


@dataclass(frozen=True, repr=False, eq=False)
class PGD(_FromStarts):
    """Projected gradient descent on the margin, keeping the best point ever met.

    The point FGM would choose is scored on the way (its gradient is known), so PGD from the
    start "zero" is never weaker than FGM.

    Attributes
    ----------
    steps : int
        Gradient steps K for each start, of size 2.5 radius / K.
    starts : tuple of "zero", "random", "universal"
        Where to begin. "random" stands for ``restarts`` starts (1 unless given), "universal" needs
        a ``direction``, shape (d,).
    """

    steps: int = 20
    starts: tuple[str, ...] = ("zero",)

    def _search(self, best: BestFound, delta: np.ndarray, ball: Ball) -> int:
        return descend(best, delta, ball, self.steps)


@dataclass(frozen=True, repr=False, eq=False)
class AdaptivePGD(_FromStarts):
    """Projected gradient descent on the margin with a step of its own for each sample.

    The step starts at twice the radius. At growing intervals a sample whose margin fell in
    fewer than 3/4 of the steps, or that found nothing better at the same step size, halves its
    step and goes back to its best point.

    Attributes
    ----------
    steps : int
        Gradient steps for each start.
    starts : tuple of "zero", "random", "universal"
        As of :class:`PGD`, with the same ``restarts`` and ``direction``.
    """

    steps: int = 100
    starts: tuple[str, ...] = ("zero", "random")

    def _search(self, best: BestFound, delta: np.ndarray, ball: Ball) -> int:
        # what each sample has of its own: its best point of this start, a step size, a last move
        own = BestFound(best.network, best.X, best.y, self.until_broken, best.here())
        shape, checks = (-1,) + (1,) * (best.X.ndim - 1), _checkpoints(self.steps)
        last, gradient = own.scored(delta)
        blind, before = zero_rows(gradient), 0
        size = np.full(len(own.X), 2.0, own.X.dtype)
        move, helped = np.zeros_like(delta), np.zeros(len(own.X))
        at_check, resized = own.margins.copy(), np.ones(len(size), bool)
        # the walk: a step along the gradient, mixed with the last move
        for step in range(self.steps):
            delta, gradient, move, size, helped, last, at_check, resized = own.left(
                delta, gradient, move, size, helped, last, at_check, resized)
            if len(delta) == 0:
                break
            ahead = ball.project(delta + size.reshape(shape) * ball.steepest(-gradient))
            weight = MOMENTUM if step else 1.0
            moved = ball.project(delta + weight * (ahead - delta) + (1.0 - weight) * move)
            move, delta = moved - delta, moved
            margins, gradient = own.scored(delta)
            helped += margins < last
            last = margins
            # now and then: where steps stopped helping, halve them and go back
            if step + 1 in checks:
                best_of = own.margins[own.rows]
                stalled = (helped < PROGRESS * (step + 1 - before)) | (
                    ~resized & (best_of >= at_check))
                size[stalled] *= 0.5
                back = own.rows[stalled]
                assert own.gradients is not None  # kept, as they were given at first
                delta[stalled], last[stalled] = own.delta[back], own.margins[back]
                gradient[stalled], move[stalled] = own.gradients[back], 0.0
                at_check, resized, before = best_of, stalled, step + 1
                helped[:] = 0.0
        best.take(own.delta, own.margins)
        return blind


def _checkpoints(steps: int) -> set[int]:
    """Steps at which progress is judged: intervals that shrink from 22 % to 6 % of all."""
    found, share, width = set(), 0.0, 0.22
    while share < 1.0:
        share += width
        found.add(int(np.ceil(share * steps)))
        width = max(width - 0.03, 0.06)
    return found


@dataclass(frozen=True)
class Ascent:
    """One step of gradient ascent of a given size, projected.

    Attributes
    ----------
    step : float
        Factor of the gradient. While the weights are small so is the perturbation.
    """

    step: float

    def __post_init__(self) -> None:
        require_real("step", self.step, low=0.0, open_low=True)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng | None = None) -> Perturbation:
        """Return ``-step grad margin``, cut to the ball; ``rng`` is not used."""
        gradient = network.margin_gradient(X, y)
        return Perturbation(ball.project(-self.step * gradient), zero_rows(gradient))


class Searched(Protocol):
    """Keeps the best of the perturbations it is offered; :class:`BestFound` is one."""

    def offer(self, delta: np.ndarray) -> object:
        """Take the perturbation where it is worse."""
        ...

    def offer_for_gradient(self, delta: np.ndarray) -> np.ndarray:
        """Take the perturbation where it is worse; return the gradient there."""
        ...

    def left(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return what belongs to the samples searched still; see :meth:`BestFound.left`."""
        ...


def descend(best: Searched, delta: np.ndarray, ball: Ball, steps: int) -> int:
    """Walk down the gradient: the one loop of projected gradient descent.

    The point that FGM would choose from ``delta`` is offered on the way.

    Parameters
    ----------
    best : BestFound, or what else keeps the best point
    delta : ndarray, shape (n, ...)
        Where the walk begins; not changed.
    ball : Ball
    steps : int
        Steps of size 2.5 radius / steps.

    Returns
    -------
    int
        Samples with a zero gradient at the start: there the walk is blind.
    """
    blind = 0
    for step in range(steps):
        (delta,) = best.left(delta)
        if len(delta) == 0:
            return blind
        gradient = best.offer_for_gradient(delta)
        ascent = ball.steepest(-gradient)
        if step == 0:
            blind = zero_rows(gradient)
            best.offer(ascent)
        delta = ball.project(delta + (2.5 / steps) * ascent)
    best.offer(delta)
    return blind


def require_starts(starts: tuple[str, ...], restarts: int,
                   direction: np.ndarray | None) -> None:
    """Check the starts of an iterative attack, or raise ValueError."""
    require_int("restarts", restarts, low=1)
    if isinstance(starts, str) or not isinstance(starts, Sequence):
        raise TypeError(f'starts: expected a tuple such as ("zero", "random"), got {starts!r}')
    if not starts:
        raise ValueError("starts: expected at least one of zero, random, universal, got none")
    for start in starts:
        require_choice("starts", start, ("zero", "random", "universal"))
    if "universal" in starts and direction is None:
        raise ValueError("direction: expected a vector, got None: the start is universal")


def starting_points(starts: tuple[str, ...], restarts: int, direction: np.ndarray | None,
                    best: BestFound, ball: Ball, rng: Rng | None = None) -> Iterator[np.ndarray]:
    """Yield the perturbations from which an iterative attack sets out, as long as it has samples.

    Each is of the samples that are searched still, and so are the numbers drawn.
    """
    draws = require_generator("rng", rng) if "random" in starts else None
    for start in starts:
        for _ in range(restarts if start == "random" else 1):
            best.left()
            if len(best.X) == 0 < len(best.delta):
                return
            if start == "zero":
                yield np.zeros_like(best.X)
            elif draws is not None and start == "random":
                yield ball.draw(draws, best.X.shape, best.X.dtype)
            else:
                assert direction is not None  # checked when the attack was made
                yield ball.steepest(against(direction, best.X, best.y))
