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

from simulator.certificates.inputs import require_ball, signed_inputs
from simulator.certificates.margins import METHODS, Effort, certify_inputs
from simulator.certificates.shared import STEPS, Crowd
from simulator.checks import require_choice, require_radii, require_real
from simulator.jit import fixed_threads
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.robustness.bracket import samples_in_double
from simulator.robustness.tails import order

__all__ = ["certified_radii"]

AT_ONCE = 64  # samples asked at a time for the radius of a level: a few are enough to refute it


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
        Of "branching" and "quadratic", as in :func:`~simulator.certificates.margins.certify`;
        ``steps`` also of "shared", "sliced" and "own" among the dear bounds.
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
    effort = Effort(None, boxes, float("inf"), 0.0, steps, root_steps, proofs=False)
    n = len(samples)
    # places in the grid; what the dear bounds leave open, they leave open at larger radii too
    kept = {"safe": np.full(n, -1), "unknown": np.full(n, len(radii)),
            "left": np.full(n, len(radii)), "tried": np.array(0)}
    if saved is not None:
        kept = {name: np.array(saved[name]) for name in kept}
    safe, unknown, left = kept["safe"], kept["unknown"], kept["left"]

    @lru_cache(maxsize=1)
    def crowd_at(place: int) -> Crowd:
        return Crowd(inputs.within(ball.with_radius(radii[place])))

    def held(rows: np.ndarray, place: int, bounds: Sequence[str], climb: int) -> np.ndarray:
        crowd = crowd_at(place)
        some = crowd.inputs[rows]
        margins: np.ndarray = certify_inputs(some, np.zeros_like(some.X), bounds,
                                             replace(effort, crowd=crowd, climb=climb)).margins
        return margins > 0.0

    def ask(rows: np.ndarray, place: int) -> None:
        safely = held(rows, place, methods, STEPS)
        safe[rows[safely]], unknown[rows[~safely]] = place, place
        told()

    def ask_dear(row: int, place: int) -> None:
        with fixed_threads(1):  # one sample at a time: a second thread waits
            (safe if held(np.array([row]), place, dear, steps)[0] else left)[row] = place
        told()

    def attack(place: int) -> None:
        """What the cheapest attack breaks, no bound has to be asked about."""
        rows = np.flatnonzero((safe < place) & (place < left))
        some = crowd_at(place).inputs[rows]
        values, off = some.margins(some.descended())
        broken = rows[values + off <= 0.0]
        left[broken], unknown[broken] = place, np.minimum(unknown[broken], place)

    def told() -> None:
        kept["tried"] += 1
        if tick is not None:
            tick(int(kept["tried"]), lambda: {name: one.copy() for name, one in kept.items()})

    centre = (len(radii) - 1) // 2
    deciding = order(level, n) - 1  # more than so many samples may not be left open

    def between(no: np.ndarray) -> tuple[int, int]:
        """The place that the level is known to hold at, and the next that it is known not to."""
        return int(np.sort(safe)[deciding]), int(np.sort(no)[deciding])

    def reached() -> np.ndarray:
        return np.concatenate([[-np.inf], radii])[safe + 1]

    hardest_first = np.add(*inputs.margins()).argsort()

    def ask_at(place: int, known: Callable[[], bool]) -> None:
        attack(place)
        rows = hardest_first[((safe < place) & (place < unknown))[hardest_first]]
        for first in range(0, len(rows), AT_ONCE):
            if known():
                break  # whatever the others are
            ask(rows[first:first + AT_ONCE], place)

    ask_at(centre, lambda: False)
    if beyond or not dear:  # how far do the cheap ones go?
        while np.subtract(*between(unknown)) < -1:
            place = sum(between(unknown)) // 2
            ask_at(place, lambda: between(unknown)[1] <= place)
        cheap = between(unknown)[1] - 1
        while (wide := (unknown - safe > 1) & (beyond | (unknown <= cheap))).any():
            middle = (safe + unknown) // 2
            place = int(middle[wide].max())
            ask(np.flatnonzero(wide & (middle == place)), place)
    if not dear:
        return reached()
    low, high = between(left)
    while high - low > 1:  # how far can the level be?
        place = (low + high) // 2
        attack(place)
        low, high = (low, place) if between(left)[1] <= place else (place, high)
    while np.subtract(*between(left)) < -1:
        low, high = between(left)
        place = high - max(1, (high - low) // 4)  # from above: what fails there fails soon
        rows = hardest_first[((safe < place) & (place < left))[hardest_first]]
        few = rows[unknown[rows] <= place]
        if len(few) == 0:  # nothing that is known refutes it
            ask(rows[:AT_ONCE], place)
            continue
        ask_dear(int(few[safe[few].argmin()]), place)
    if between(left)[0] >= centre:  # how many are certified there is asked for too
        for row in np.flatnonzero((safe < centre) & (centre < left)):
            ask_dear(int(row), centre)
    return reached()
