"""The bound of shared curvatures, slice by slice across the direction that all neurons share.

What is left of the dense mixtures gives all neurons a part along one direction e, and
``W^T diag(v) W`` of :mod:`simulator.certificates.shared` one eigenvalue far above the others, which
holds all curvatures down. With ``delta = a e + delta'`` and a slice ``|<e, delta> - a| <= h``,

    ||delta'||_2^2 <= r^2 - a^2 + 2 |a| h,    <e, delta'>^2 <= h^2,

so in a slice the pre-activations move by ``a <w_i, e>``, Q may have ``extra e e^T`` more, and the
price is ``lam (1 + extra) h^2`` where a is small. One factor serves all samples and slices. Slices
are halved where they have to be; those of many samples climb together, since a few at a time would
wait for W.

Where a single sample decides, curvatures that lean to it are worth a factor of its own: ascent in
the curvatures too, at a factor for every few steps, gains little more.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simulator.certificates.inputs import SignedInputs
from simulator.certificates.shared import STEPS, Crowd, Slices, begin, climb, evaluated

__all__ = ["own_bounds", "sliced_bounds"]

GLANCE = 4  # steps in a slice that can be halved
SLICED = 0.015  # of lam r^2 is the price of a slice at most, about
MOST_SLICES = 64
TOGETHER = 256  # slices that climb together: few products would wait for W, many need memory
SPARE = 1e-9  # on lengths: what rounding leaves open between two slices


class _Cuts(NamedTuple):
    """Slices that wait for their bounds, all of one width.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Which sample's.
    places : ndarray of int, shape (n,)
        Which of the ``2^depth`` slices of a ball.
    """

    rows: np.ndarray
    places: np.ndarray

    def of(self, some: np.ndarray) -> "_Cuts":
        """Return some of them."""
        return _Cuts(self.rows[some], self.places[some])

    def parts(self, middles_first: bool) -> Iterator[np.ndarray]:
        """Return which of them climb together, in their turn: first one of each sample, or any."""
        everything = np.arange(len(self.rows))
        rounds = [everything]
        if middles_first:
            ascending = np.lexsort((self.places, self.rows))
            _, begin, number = np.unique(self.rows[ascending], return_index=True,
                                         return_counts=True)
            middles = ascending[begin + number // 2]
            rounds = [middles, np.setdiff1d(everything, middles)]
        for each in rounds:
            for first in range(0, len(each), TOGETHER):
                yield each[first:first + TOGETHER]

    def halved(self, some: np.ndarray, half: int) -> "_Cuts":
        """Return one half, 0 or 1, of some of them."""
        return _Cuts(self.rows[some], 2 * self.places[some] + half)


def sliced_bounds(inputs: SignedInputs, target: float, crowd: Crowd,
                  steps: int = STEPS) -> np.ndarray:
    """Bound every margin in an l2 ball slice by slice, across the direction that allows least
    curvature.

    A slice in which a few steps are not enough is halved, until it is thin: then all steps are
    made. Of the thin slices of a sample the one in the middle is tried first: if it is not above
    the target, the others do not count.

    Parameters
    ----------
    inputs : SignedInputs
        In an l2 ball of positive radius.
    target : float
        A sample with a slice that is not above it is left: its bound is minus infinity. Infinite:
        none is left, and all slices are thin.
    crowd : Crowd
        As in :func:`shared_bounds`.
    steps : int
        In a thin slice, at least 1.

    Returns
    -------
    ndarray, shape (n,)
    """
    common = crowd.factor(most=SLICED * MOST_SLICES**2 - 1.0)
    whole = Slices.whole(inputs, common)
    thin = math.ceil(0.5 * math.log2((1.0 + common.extra) / SLICED)) if common.extra > 0.0 else 0
    depth = 0 if target < np.inf else thin
    bounds = np.full(len(inputs), np.inf)
    waiting = [_Cuts(*np.indices((len(inputs), 2**depth)).reshape(2, -1))]
    while waiting:
        cuts, waiting = _Cuts(*map(np.concatenate, zip(*waiting))), []
        for part in cuts.parts(depth == thin and target < np.inf):
            some = cuts.of(part[bounds[cuts.rows[part]] > -np.inf])
            there, slices = _cut(inputs[some.rows], whole, some.places, depth)
            found, left = climb(there, begin(there, slices.radii), target,
                                GLANCE if depth < thin else steps, slices)
            if depth < thin:
                found.bounds[left] = np.inf  # its halves will tell
                waiting += [some.halved(left, half) for half in (0, 1)]
            else:
                found.bounds[left] = evaluated(there[left], found, left, slices.of(left))
                if target < np.inf:
                    found.bounds[found.bounds <= target] = -np.inf
            np.minimum.at(bounds, some.rows, found.bounds)
        depth += 1
    return bounds


def own_bounds(inputs: SignedInputs, target: float, crowd: Crowd,
               steps: int = 3 * STEPS) -> np.ndarray:
    """Bound every margin as :func:`sliced_bounds`, with curvatures that lean to the sample.

    Parameters and result are those of :func:`sliced_bounds`; a factor is formed for each sample,
    and more steps are made, which cost little beside it.
    """
    each = (inputs[np.array([row])] for row in range(len(inputs)))
    return np.array([sliced_bounds(one, target, crowd.leaning(one), steps)[0] for one in each])


def _cut(inputs: SignedInputs, whole: Slices, places: np.ndarray,
         depth: int) -> tuple[SignedInputs, Slices]:
    """Samples moved to the middle of a slice, one of ``2^depth`` each, and what is left there."""
    r, half = inputs.ball.radius, (1.0 + SPARE) * inputs.ball.radius / 2**depth
    a = (2 * places + 1 - 2**depth) * half
    radii = np.sqrt(r * r - a * a + 2.0 * np.abs(a) * half) * (1.0 + SPARE)
    return (replace(inputs, T=inputs.T + np.outer(a, inputs.W @ whole.common.direction),
                    lengths=inputs.lengths + 2.0 * np.abs(a)),
            whole._replace(half=(1.0 + SPARE) * half, radii=radii))
