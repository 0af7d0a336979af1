"""The largest radius of a grid at which each sample is certified.

By bisection, all samples of one radius together: certified at a radius is certified at every
smaller one. The bound whose curvatures the samples share does most of it, at the cost of a few
products by W for a radius. How far a given share of all is certified hangs on the few samples that
it leaves open first: dear bounds may be asked about those, one by one, the hardest first, and no
bound is asked about what a few jumps along the gradient break.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.inputs import SignedInputs, require_ball, signed_inputs
from simulator.certificates.margins import METHODS, Effort, certify_inputs
from simulator.certificates.shared import Crowd
from simulator.checks import require_choice, require_radii, require_real
from simulator.jit import fixed_threads
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.robustness.bracket import samples_in_double
from simulator.robustness.tails import order

__all__ = ["certified_radii"]

AT_ONCE = 64  # samples asked at a time for the radius of a level: a few are enough to refute it
KEPT = ("safe", "unknown", "left")


def certified_radii(network: SymmetricReLU, batch: Batch, threat: object, *,
                    radii: Sequence[float], methods: Sequence[str] = ("shared",),
                    dear: Sequence[str] = (), level: float = 0.99, beyond: bool = True,
                    boxes: int = 100, steps: int = 300, root_steps: int = 2000,
                    saved: Mapping[str, np.ndarray] | None = None,
                    tick: Callable[..., None] | None = None) -> np.ndarray:
    """Return for each sample the largest radius of a grid that a certificate was found at.

    No perturbation within it makes the network wrong, whatever the attack. Sorted, the result
    gives certified radii of any level: with n samples, at least 99 % are certified at the
    ``floor(n / 100) + 1``-th smallest.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing.
    batch : Batch
    threat : L2Ball, LinfBall or Adversary
        Of which only the norm counts.
    radii : sequence of float
        Ascending, at least 0.
    methods : sequence of str
        Bounds to try at a radius, in this order, of
        :data:`~simulator.certificates.margins.METHODS`. "quadratic" and "branching" cost a factor
        for each sample and step. The curvatures of "shared" and "sliced" are those of all samples,
        those of "own" lean from there to each.
    dear : sequence of str
        Bounds to try after these, on single samples, the hardest first, until it is known at which
        radius of the grid a share ``level`` of all samples is certified by either.
    level : float
        At least 0.5, at most 1.
    beyond : bool
        Whether to look for the radii of the samples that are certified at that of the level too.
        Otherwise theirs are lower bounds, and where dear bounds decide so are those of the samples
        below; every sample is asked about the middle of the grid.
    boxes, steps, root_steps : int
        Of "branching" and "quadratic", as in :func:`~simulator.certificates.margins.certify`.
    saved : mapping of str to ndarray, or None
        What an interrupted call of equal arguments kept: it goes on from there.
    tick : callable or None
        Called with (certificates tried, function that returns the arrays to go on from) after each
        radius of many samples, and each of a single one.

    Returns
    -------
    ndarray, shape (n,)
        Minus infinity where a sample is certified at no radius of the grid that it was asked about.

    Raises
    ------
    TypeError, ValueError
        As :func:`~simulator.certificates.margins.certify`; radii that do not ascend; a level out of
        range.
    """
    for name in methods:
        require_choice("methods", name, METHODS)
    for name in dear:
        require_choice("dear", name, METHODS)
    require_real("level", level, low=0.5, high=1.0)
    ball, radii = require_ball(threat), require_radii("radii", radii)
    samples = samples_in_double(network, batch)
    inputs = signed_inputs(network, samples, ball.with_radius(radii[-1]))
    search = _GridSearch(inputs, ball, radii, methods, dear, order(level, len(samples)) - 1,
                         Effort(boxes, steps, root_steps), tick)
    if saved is not None:
        search.go_on(saved)
    search.ask_at(search.centre, lambda: False)
    if beyond or not dear:
        search.how_far_by_cheap_bounds(beyond)
    if dear:
        search.how_far_by_dear_bounds()
    return search.reached()


class _GridSearch:
    """Which places of the grid each sample is known to be certified at, and which not.

    Attributes
    ----------
    safe : ndarray of int, shape (n,)
        The last place that a certificate was found at; -1: none.
    unknown, left : ndarray of int, shape (n,)
        The first place that was left open by the cheap bounds, and by all bounds or to the attack.
        What is left open there is left open further out.
    """

    def __init__(self, inputs: SignedInputs, ball: L2Ball | LinfBall, radii: Sequence[float],
                 methods: Sequence[str], dear: Sequence[str], deciding: int, effort: Effort,
                 tick: Callable[..., None] | None) -> None:
        self.inputs, self.ball, self.radii = inputs, ball, radii
        self.methods, self.dear, self.deciding = methods, dear, deciding
        self.effort, self.tick, self.tried = effort, tick, 0
        self.centre = (len(radii) - 1) // 2
        n, ends = len(inputs), len(radii)
        self.safe, self.unknown, self.left = np.full(n, -1), np.full(n, ends), np.full(n, ends)
        self.hardest_first = np.add(*inputs.margins()).argsort()
        self.crowd_at = lru_cache(maxsize=1)(self._crowd_at)

    def go_on(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on where an interrupted search was."""
        for name in KEPT:
            setattr(self, name, saved[name].copy())
        self.tried = int(saved["tried"])

    def arrays(self) -> dict[str, np.ndarray]:
        return ({name: getattr(self, name).copy() for name in KEPT}
                | {"tried": np.array(self.tried)})

    def reached(self) -> np.ndarray:
        """The radius at which each sample is certified, (n,)."""
        return np.concatenate([[-np.inf], self.radii])[self.safe + 1]

    def between(self, no: np.ndarray) -> tuple[int, int]:
        """The place that the level is known to hold at, and the next that it is known not to."""
        return int(np.sort(self.safe)[self.deciding]), int(np.sort(no)[self.deciding])

    def is_settled(self, no: np.ndarray) -> bool:
        """Whether no place is left between these two."""
        low, high = self.between(no)
        return high - low <= 1

    def how_far_by_cheap_bounds(self, beyond: bool) -> None:
        """Find the level's radius by the cheap bounds, and those of other samples."""
        safe, unknown = self.safe, self.unknown
        while not self.is_settled(unknown):
            place = sum(self.between(unknown)) // 2
            self.ask_at(place, lambda: self.between(unknown)[1] <= place)
        cheap = self.between(unknown)[1] - 1
        while (wide := (unknown - safe > 1) & (beyond | (unknown <= cheap))).any():
            middle = (safe + unknown) // 2
            place = int(middle[wide].max())
            self.ask(np.flatnonzero(wide & (middle == place)), place)

    def how_far_by_dear_bounds(self) -> None:
        """Find the level's radius by all bounds, from above: what fails there fails soon."""
        low, high = self.between(self.left)
        while high - low > 1:  # how far can the level be?
            place = (low + high) // 2
            self.attack(place)
            low, high = (low, place) if self.between(self.left)[1] <= place else (place, high)
        while not self.is_settled(self.left):
            low, high = self.between(self.left)
            self.ask_some(high - max(1, (high - low) // 4))
        if self.between(self.left)[0] >= self.centre:  # how many hold there is asked for too
            for row in np.flatnonzero((self.safe < self.centre) & (self.centre < self.left)):
                self.ask_dear(int(row), self.centre)

    def hardest(self, no: np.ndarray, place: int) -> np.ndarray:
        """The samples with a place between what holds and what does not, the hardest first."""
        return self.hardest_first[((self.safe < place) & (place < no))[self.hardest_first]]

    def ask_some(self, place: int) -> None:
        """Ask about a place those of whom an answer is worth most."""
        rows = self.hardest(self.left, place)
        few = rows[self.unknown[rows] <= place]
        if len(few) == 0:  # nothing that is known refutes it
            self.ask(rows[:AT_ONCE], place)
        else:
            self.ask_dear(int(few[self.safe[few].argmin()]), place)

    def ask_at(self, place: int, is_known: Callable[[], bool]) -> None:
        """Ask the cheap bounds about all, the hardest first, until something is known."""
        self.attack(place)
        rows = self.hardest(self.unknown, place)
        for first in range(0, len(rows), AT_ONCE):
            if is_known():
                break  # whatever the others are
            self.ask(rows[first:first + AT_ONCE], place)

    def attack(self, place: int) -> None:
        """What the cheapest attack breaks, no bound has to be asked about."""
        rows = np.flatnonzero((self.safe < place) & (place < self.left))
        some = self.crowd_at(place).inputs[rows]
        values, off = some.margins(some.descended())
        broken = rows[values + off <= 0.0]
        self.left[broken] = place
        self.unknown[broken] = np.minimum(self.unknown[broken], place)

    def ask(self, rows: np.ndarray, place: int) -> None:
        self._told(rows, self._held(rows, place, self.methods), place, self.unknown)

    def ask_dear(self, row: int, place: int) -> None:
        rows = np.array([row])
        with fixed_threads(1):  # one sample at a time: a second thread waits
            held = self._held(rows, place, self.dear)
        self._told(rows, held, place, self.left)

    def _held(self, rows: np.ndarray, place: int, bounds: Sequence[str]) -> np.ndarray:
        crowd = self.crowd_at(place)
        some = crowd.inputs[rows]
        margins: np.ndarray = certify_inputs(some, np.zeros_like(some.X), bounds,
                                             replace(self.effort, crowd=crowd)).margins
        return margins > 0.0

    def _told(self, rows: np.ndarray, held: np.ndarray, place: int, no: np.ndarray) -> None:
        self.safe[rows[held]], no[rows[~held]] = place, place
        self.tried += 1
        if self.tick is not None:
            self.tick(self.tried, self.arrays)

    def _crowd_at(self, place: int) -> Crowd:
        return Crowd(self.inputs.within(self.ball.with_radius(self.radii[place])))
