"""What is known of the rows of W between two passes, so that a pass need not read them.

* Bounds of every row: its length, its largest entry. Rows that these bounds close for a whole batch
  are *silent*; rows that lost the race are in groups (:mod:`simulator.networks.cascade`); the
  others are *awake*.
* The shrinking that rows without an open gate are behind with. Weight decay alone moves them,
  ``w <- w - eta lam (1 + ||w||) w``, with a length that follows the same recursion. They catch up,
  step by step and in the first-level cache, when something needs them: their bits do not depend on
  when that was.

What is known decides which pairs need no product; it changes no result.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from simulator.jit import in_threads, kernel, shares, summing_kernel
from simulator.networks.cascade import (GROUP, WIDTH, Blocks, Samples, as_integers, blocks,
                                        closed_by_groups, doubtful_pairs, group_maxima,
                                        lists_by_row, measure_rows, places_of_largest, raise_maxima)
from simulator.networks.screening import lowered

__all__ = ["Neurons", "lengths", "longest_sums"]

RENEWED = 64  # steps after which the bounds are taken anew
UP = 1.0 + 4e-5  # on bounds: the rounding of so many steps of shrinking, and of the bounds
# Measured in float32, d = 512 to 4096, m = 20 d. They only move work around.
GROUPED = 0.9  # of b: a group whose typical bound is below it mostly stays closed
MAXIMUM = 2.2  # typical largest of GROUP entries, in units of ||w|| / sqrt(d)
LARGEST = 0.6  # of b: a neuron whose largest entry brings more opens to samples with that feature
FEATURE = 0.2  # of b: from there on it is grouped with neurons of the same feature
HIGHER = 1.2  # a bias so much higher than when groups were made: more neurons fit in
PROBED = 256  # neurons whose common direction is v
POWER_STEPS = 3
SAME = 1e-4  # lengths nearer than that are of the same row: shrinking rounds to less
LEAST = 1 << 20  # numbers of W below which a second thread is not woken
REPEATED = 3  # passes over the same weights from which on their blocks are kept: an attack's
MOST_KEPT = 1 << 27  # weights in such blocks


class _Groups(NamedTuple):
    """Neurons tried together, for a bias from ``b`` up.

    Attributes
    ----------
    b : float
    members : ndarray of int, shape (groups, GROUP)
        Filled up with -1.
    of : ndarray of int, shape (m,)
        The group of a neuron, -1 where it is in none.
    maxima : ndarray of float32, shape (blocks, d, WIDTH)
        See :func:`simulator.networks.cascade.group_maxima`.
    alone : ndarray of int
        The neurons in no group.
    """

    b: float
    members: np.ndarray
    of: np.ndarray
    maxima: np.ndarray
    alone: np.ndarray


class _Part(NamedTuple):
    """A thread's share of the neurons: those in no group, and whole blocks of groups."""

    rows: np.ndarray
    known: Blocks
    is_filled: bool
    members: np.ndarray
    maxima: np.ndarray


class Neurons:
    """The rows of W, shape (m, d), as a network's passes know them.

    Parameters
    ----------
    W : ndarray, shape (m, d)
        Changed by nobody else while this object is in use.
    norms : ndarray, shape (m,), or None
        ``||w_i||`` as training knows them. Where they are missing, or those of other weights, they
        are measured.

    Attributes
    ----------
    norms : ndarray, shape (m,)
        ``||w_i||`` after all steps so far, whether or not the rows have caught up.
    """

    def __init__(self, W: np.ndarray, norms: np.ndarray | None = None) -> None:
        self.W = W
        self._direction: np.ndarray | None = None
        self._steps = 0
        self._caught_up = np.zeros(len(W), np.int64)  # the steps that a row has taken
        self._rates = (0.0, 0.0)  # eta and lam of the steps that some rows are behind with
        self._groups: _Groups | None = None
        self._passes = 0  # over the weights as they are
        self._blocks: dict[tuple[int, int], Blocks] = {}  # of groups.alone[first:last]
        self._measure()
        self.norms = _settled(self._lengths, norms)
        self._then = self.norms.copy()  # of the rows as they are in memory

    def _measure(self) -> None:
        self._lengths, self._largest = _measured(self.W)
        self._measured, self._groups, self._direction = self._steps, None, None

    def _forget_blocks(self) -> None:
        self._passes = 0
        self._blocks.clear()

    def renew(self) -> None:
        """Let all rows catch up, and take the bounds anew."""
        self.catch_up()
        if self._measured < self._steps:
            self._measure()

    def direction(self) -> np.ndarray:
        """Return v, shape (d,): a unit vector along what the neurons have in common beside their
        features, or zero.
        """
        if self._steps - self._measured >= RENEWED:
            self.renew()
        if self._direction is None:
            self._direction = self._common_direction()
        return self._direction

    def most(self, samples: Samples) -> np.ndarray:
        """Return a bound of ``|<w_i, x_n>|`` over all samples, shape (m,); NaN is none."""
        longest = samples.measures[:, 4].max(initial=0.0)
        widest = samples.measures[:, 3].max(initial=0.0)
        with np.errstate(invalid="ignore", over="ignore"):  # 0 inf; infinity is a bound too
            bound: np.ndarray = (self._largest * longest + self._lengths * widest) * UP
        return bound

    def most_of_all(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """Return such a bound, by Hoelder and Cauchy-Schwarz, from the inputs as they are.

        And what rounding may add to a product that is summed in another order, in units of
        ``||w_i||``.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            total, square = longest_sums(X)
            length = math.sqrt(square)
            slack = 2.0 * X.shape[1] * float(np.finfo(X.dtype).eps) * length
            bound = np.minimum(self._largest * total, self._lengths * length)
            return (bound + slack * self._lengths) * UP, slack * UP

    def doubtful(self, samples: Samples, b: float,
                 most: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the pairs that may be open, or None where there are more than ``most``.

        Parameters
        ----------
        samples : Samples
            Split for some direction; that of :meth:`direction` closes most.
        b : float
        most : int

        Returns
        -------
        starts : ndarray of int, shape (m + 1,)
        samples : ndarray of int
            Neuron i, which has caught up, may be open for samples[starts[i]:starts[i + 1]].
        """
        low = np.float32(lowered(b))
        groups = self._grouped(samples, b)
        loud = ~(self.most(samples) <= low)
        lengths = np.where(np.isnan(self._lengths), np.inf, self._lengths * UP)
        self._passes += 1
        keeps = (self._passes >= REPEATED and groups.alone.size * self.W.shape[1] <= MOST_KEPT
                 and samples.direction is self._direction)
        found = in_threads(_tried, [(self.W, part, lengths, low, samples, most)
                                    for part in self._parts(groups, loud, keeps)])
        if any(pairs is None for pairs in found) or sum(map(len, found)) > most:
            return None
        pairs = found[0] if len(found) == 1 else np.concatenate(found)
        starts, lists = lists_by_row(pairs, len(self.W))
        self.catch_up(np.flatnonzero(starts[1:] > starts[:-1]))
        return starts, lists

    def _parts(self, groups: _Groups, loud: np.ndarray, keeps: bool) -> Iterator[_Part]:
        """The neurons that are not silent, for each thread; with blocks to keep, all in no group.
        """
        alone = groups.alone if keeps else groups.alone[loud[groups.alone]]
        tried = np.append(loud, False)[groups.members].any(axis=1)
        some = np.flatnonzero([tried[first:first + WIDTH].any()
                               for first in range(0, len(tried), WIDTH)])
        first, end = (some[0], some[-1] + 1) if len(some) else (0, 0)
        number = len(shares(len(alone) + (end - first) * WIDTH, 2 * WIDTH))
        for part in range(number):
            ends = len(alone) * part // number, len(alone) * (part + 1) // number
            is_filled = keeps and ends in self._blocks
            known = self._blocks[ends] if is_filled else blocks(
                -(-(ends[1] - ends[0]) // WIDTH) if keeps else 1, self.W.shape[1])
            if keeps:
                self._blocks[ends] = known
            left = first + (end - first) * part // number
            right = first + (end - first) * (part + 1) // number
            yield _Part(alone[ends[0]:ends[1]], known, is_filled,
                        groups.members[left * WIDTH:right * WIDTH], groups.maxima[left:right])

    def _grouped(self, samples: Samples, b: float) -> _Groups:
        """The groups, made anew where the bias has moved."""
        if self._groups is None or not self._groups.b <= b <= HIGHER * self._groups.b:
            self._groups = self._make_groups(samples, b)
            self._forget_blocks()
        return self._groups

    def _make_groups(self, samples: Samples, b: float) -> _Groups:
        m, d = self.W.shape
        mean = samples.measures.mean(axis=0, dtype=np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            rests = np.sqrt(np.maximum(self._lengths**2 - self._largest**2, 0.0))
            typical = rests * (MAXIMUM / math.sqrt(d) * mean[4]) + self._lengths * mean[3]
            brought = self._largest * (mean[4] / max(1.0, float(samples.counts.mean())))
            lost = (typical <= GROUPED * b) & (brought <= LARGEST * b)
            featured = brought > FEATURE * b
        losers = np.flatnonzero(lost)
        places = np.zeros(len(losers), np.int32)  # one for all without a feature
        some = np.flatnonzero(featured[losers])
        places[some] = 1 + self._places(losers[some])
        losers = losers[np.lexsort((self._largest[losers], places))]
        number = -(-len(losers) // GROUP)
        members, of = np.full((number, GROUP), -1, np.int32), np.full(m, -1, np.int32)
        members.reshape(-1)[:len(losers)] = losers
        of[losers] = np.arange(len(losers)) // GROUP
        maxima = np.empty((-(-number // WIDTH), d, WIDTH), np.float32)
        in_threads(group_maxima, [(self.W, members[first * WIDTH:last * WIDTH], maxima[first:last])
                                  for first, last in shares(len(maxima))])
        return _Groups(b, members, of, maxima, np.flatnonzero(~lost))

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """Where the largest entries of some rows are."""
        places = np.empty(len(rows), np.int32)
        in_threads(places_of_largest, [
            (self.W, rows[first:last], places[first:last])
            for first, last in shares(len(rows), LEAST // max(1, self.W.shape[1]))])
        return places

    def _common_direction(self) -> np.ndarray:
        """The direction of the longest neurons without their two largest entries."""
        longest = np.argpartition(-self._lengths, min(PROBED, len(self.W) - 1))[:PROBED]
        rest = self.W[longest].astype(np.float64)
        v = np.zeros(self.W.shape[1])
        if len(rest) == 0 or not np.isfinite(rest).all():
            return v.astype(self.W.dtype)
        lines, rest = np.arange(len(rest)), rest / max(float(np.abs(rest).max()), 1e-300)
        for _ in range(2):
            at = np.abs(rest).argmax(axis=1)
            v += np.sign(rest[lines, at]) @ rest
            rest[lines, at] = 0.0
        for _ in range(POWER_STEPS):
            v = rest.T @ (rest @ v)
            v /= max(float(np.linalg.norm(v)), 1e-300)
        return v.astype(self.W.dtype)

    def shrink(self, open_rows: np.ndarray, lengths: np.ndarray, learning_rate: float,
               weight_decay: float) -> None:
        """Count a step of descent, which ``open_rows`` have taken; the others fall behind.

        Parameters
        ----------
        open_rows : ndarray of int, shape (r,)
            They had caught up.
        lengths : ndarray, shape (r,)
            ``||w_i||`` of these after the step.
        learning_rate, weight_decay : float
            Of the step.
        """
        if self._rates != (learning_rate, weight_decay):
            self.catch_up()
            self._rates = learning_rate, weight_decay
        self._steps += 1
        self._forget_blocks()
        with np.errstate(over="ignore", invalid="ignore"):
            factor = learning_rate * weight_decay * (1.0 + self.norms)
            tame = bool((factor <= 1.0).all())  # else rows may grow, past their bounds
            self.norms -= factor * self.norms
            self._lengths -= factor * self._lengths
        self._caught_up[open_rows] = self._steps
        for array in (self.norms, self._then, self._lengths, self._largest):
            array[open_rows] = lengths
        if not tame:
            self.renew()
        elif self._groups is not None:
            raise_maxima(self.W, open_rows, self._groups.of, self._groups.maxima)

    def catch_up(self, rows: np.ndarray | None = None) -> None:
        """Let rows, or all, take the steps that they are behind with."""
        rows = np.arange(len(self.W)) if rows is None else rows
        rows = rows[self._caught_up[rows] < self._steps]
        if len(rows) == 0:
            return
        missed = self._steps - self._caught_up[rows]
        eta, lam = self._rates
        in_threads(_shrink, [(self.W, rows[first:last], missed[first:last], self._then, eta, lam)
                             for first, last in shares(len(rows), LEAST // self.W.shape[1])])
        self._caught_up[rows] = self._steps


def lengths(W: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
    """Return ``||w_i||`` of every row, shape (m,): as training knows them, where it does."""
    return _settled(_measured(W)[0], norms)


def _settled(measured: np.ndarray, norms: np.ndarray | None) -> np.ndarray:
    if norms is None:
        return measured.copy()
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(norms - measured) <= SAME * measured, norms, measured)


def _measured(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``||w_i||`` and ``max_j |w_ij|``, shape (m,)."""
    m, d = W.shape
    found, bits, integers = np.empty(m), as_integers(np.empty(m, W.dtype)), as_integers(W)
    in_threads(measure_rows, [(W[first:last], integers[first:last], found[first:last],
                               bits[first:last]) for first, last in shares(m, LEAST // d)])
    return found, bits.view(W.dtype).astype(np.float64)


def _tried(W: np.ndarray, part: _Part, lengths: np.ndarray, low: float, samples: Samples,
           most: int) -> np.ndarray | None:
    """Return the doubtful pairs (neuron, sample) of a thread's neurons, or None: too many."""
    pairs = np.empty((most + 1, 2), np.int32)
    grouped = closed_by_groups(W, part.members, part.maxima, lengths, low, samples, pairs)
    if grouped < 0:
        return None
    alone = doubtful_pairs(W, part.rows, low, samples, part.known, part.is_filled, pairs[grouped:])
    return None if alone < 0 else pairs[:grouped + alone]


@summing_kernel
def longest_sums(X: np.ndarray) -> tuple[float, float]:
    """Largest ``sum_j |x_nj|`` and largest ``sum_j x_nj^2``, in double precision; NaN is largest.
    """
    largest_total, largest_square = 0.0, 0.0
    for row in range(X.shape[0]):
        x, total, square = X[row], 0.0, 0.0
        for j in range(X.shape[1]):
            size = abs(np.float64(x[j]))
            total += size
            square += size * size
        if total != total:
            return np.nan, np.nan
        largest_total = max(largest_total, total)
        largest_square = max(largest_square, square)
    return largest_total, largest_square


@kernel
def _shrink(W: np.ndarray, rows: np.ndarray, missed: np.ndarray, then: np.ndarray, eta: float,
            lam: float) -> None:
    """The steps of a row one after the other, as if it had taken each in its time."""
    d = W.shape[1]
    rate = W.dtype.type(eta)
    for place in range(len(rows)):
        w, norm = W[rows[place]], then[rows[place]]
        for _ in range(missed[place]):
            decay = W.dtype.type(lam * (1.0 + norm))
            for j in range(d):
                w[j] -= rate * (decay * w[j])
            norm -= (eta * lam * (1.0 + norm)) * norm
        then[rows[place]] = norm
