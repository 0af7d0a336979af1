"""The kernels of the cascade: which pairs (sample, neuron) can have an open gate.

For a sample split ``x_n = s_n + r_n``, s_n its large coordinates; for a neuron split
``w_i = t_i + w'_i``, t_i its two largest entries. With one unit vector v, ``a_n = <r_n, v>`` and
``c_i = <w'_i, v>``, exactly

    <w_i, x_n> = <w_i, s_n> + <t_i, r_n> + a_n c_i + <w'_i - c_i v, r_n - a_n v>

and the last term, the only one that is not known after |s_n| + 3 multiplications, is at most
``||w'_i - c_i v|| ||r_n - a_n v||``. A pair whose known part and bound stay below b is *closed*;
all others are in doubt and get their product of full length. Any v is sound; a good one takes the
dense mixture out of the neurons, whose rest is short without it.

Neurons that lost the race, or that their feature alone does not open, are tried in groups of
`GROUP`, the latter with others of their feature: with the largest |w_ij| of a group in the place of
w, ``sum_j |s_nj| max_i |w_ij| + max_i ||w_i|| ||r_n||`` bounds all its members at once.

Rounding is accounted for as in :mod:`simulator.networks.screening`: a closed pair is closed in
floating point too, in whatever order its product is summed. NaN is never below a bound.
"""

import math
from typing import NamedTuple

import numpy as np

from simulator.jit import in_threads, kernel, shares, summing_kernel

__all__ = ["GROUP", "WIDTH", "Blocks", "Samples", "as_integers", "blocks", "closed_by_groups",
           "doubtful_pairs", "group_maxima", "lists_by_row", "measure_rows", "places_of_largest",
           "raise_maxima", "split"]

WIDTH = 64  # neurons, or groups of them, side by side
GROUP = 8
SUPPORT = 128  # most coordinates of s_n; the others count as rest
LARGE = 0.5  # times the root mean square of x_n: what belongs to s_n
LEAST = 1 << 17  # numbers of X below which a second thread is not woken
FLOAT32 = 1.2e-7  # eps of float32, in which the bounds are summed


class Samples(NamedTuple):
    """A batch as the bounds need it.

    Attributes
    ----------
    X : ndarray, shape (n, d)
    direction : ndarray, shape (d,)
        v.
    columns, values : ndarray, shape (n, s), of int32 and float32
        Coordinates of s_n and their values, the first ``counts[n]`` of row n.
    counts : ndarray of int, shape (n,)
    measures : ndarray of float32, shape (n, 8)
        a_n, ||r_n - a_n v||, slack, ||r_n|| with slack, ||s_n||_1, max |r_nj|, the cut, and the
        last column in which s_n may have a coordinate; rounded upwards. The slack, to be multiplied
        by ||w_i||, covers a product of length d in the run's dtype and the sums of the bounds.
    """

    X: np.ndarray
    direction: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    counts: np.ndarray
    measures: np.ndarray


class Blocks(NamedTuple):
    """Neurons side by side, `WIDTH` to a block, and what the bounds need of each.

    Attributes
    ----------
    T : ndarray of float32, shape (blocks, d, WIDTH)
        w_ij; zero where a block is not full.
    at : ndarray of int32, shape (blocks, WIDTH, 2)
        The places of the two largest entries.
    sides : ndarray of float32, shape (blocks, 6, WIDTH)
        <w', v>, bounds of ``||w' - <w', v> v||``, |t|_1 and ||w||, and the two entries.
    """

    T: np.ndarray
    at: np.ndarray
    sides: np.ndarray


def blocks(number: int, d: int) -> Blocks:
    """Return empty blocks for :func:`doubtful_pairs` to fill."""
    return Blocks(np.zeros((number, d, WIDTH), np.float32), np.zeros((number, WIDTH, 2), np.int32),
                  np.zeros((number, 6, WIDTH), np.float32))


def split(X: np.ndarray, v: np.ndarray) -> Samples:
    """Return the samples X, shape (n, d), split for a unit vector v, shape (d,)."""
    n, d = X.shape
    cap = min(SUPPORT, d)
    columns, values = np.empty((n, cap), np.int32), np.empty((n, cap), np.float32)
    counts, sizes = np.empty(n, np.int64), np.empty((n, 6))
    integers = as_integers(X)
    peaks = np.empty(n, integers.dtype)
    in_threads(_split, [(X[part], integers[part], v, LARGE, columns[part], values[part],
                         counts[part], sizes[part], peaks[part])
                        for part in (slice(*ends) for ends in shares(n, max(1, LEAST // d)))])
    measures = np.empty((n, 8), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # infinity and NaN are bounds too
        _measure(v, peaks.view(X.dtype), columns, values, counts, sizes,
                 float(np.finfo(X.dtype).eps), measures)
    return Samples(X, v, columns, values, counts, measures)


def as_integers(array: np.ndarray) -> np.ndarray:
    """Return the memory of floats as integers: without the sign they are ordered alike."""
    return array.view(np.int32 if array.dtype == np.float32 else np.int64)


@summing_kernel
def _split(X: np.ndarray, integers: np.ndarray, v: np.ndarray, share: float, columns: np.ndarray,
           values: np.ndarray, counts: np.ndarray, sizes: np.ndarray, peaks: np.ndarray) -> None:
    """sizes[n] = ||x_n||, ||r_n||, ||s_n||_1, cut, last column, <x_n, v>; peaks[n] = max |r_nj|,
    its bits. No BLAS: its threads would keep a core busy after the call.
    """
    n, d = X.shape
    cap = columns.shape[1]
    sign = np.iinfo(integers.dtype).max
    hit = np.zeros((d + 7) // 8 * 8, np.uint8)
    words = hit.view(np.uint64)
    for row in range(n):
        x, bits = X[row], integers[row]
        square, along = 0.0, 0.0
        for j in range(d):
            square += float(x[j]) * float(x[j])
            along += float(x[j]) * float(v[j])
        cut = x.dtype.type(share * math.sqrt(square / d))
        peak = bits[0] & 0
        for j in range(d):  # vector instructions: which are large, and the largest of the others
            small = abs(x[j]) <= cut
            hit[j] = 0 if small else 1
            peak = max(peak, (bits[j] & sign) if small else 0)
        large, last, total, taken = 0, d, 0.0, 0.0
        for word in range(len(words)):
            if words[word] == 0:
                continue
            for j in range(8 * word, 8 * word + 8):
                if hit[j] == 0:
                    continue
                if large < cap:
                    columns[row, large] = j
                    values[row, large] = x[j]
                    large += 1
                    total += float(abs(x[j]))
                    taken += float(x[j]) * float(x[j])
                    last = j if large == cap else last
                else:
                    peak = max(peak, bits[j] & sign)
        counts[row] = large
        peaks[row] = peak
        # what is left, and what rounding may have taken from it; NaN stays
        rest = square - taken
        if rest < 0.0:
            rest = 0.0
        sizes[row, 0] = math.sqrt(square)
        sizes[row, 1] = math.sqrt(rest + 1e-15 * d * square)
        sizes[row, 2] = total
        sizes[row, 3] = cut
        sizes[row, 4] = last
        sizes[row, 5] = along


@kernel
def _measure(v: np.ndarray, peaks: np.ndarray, columns: np.ndarray, values: np.ndarray,
             counts: np.ndarray, sizes: np.ndarray, eps: float, measures: np.ndarray) -> None:
    """See `Samples.measures`."""
    n, cap = columns.shape
    d = len(v)
    up = 1.0 + 2e-6
    unit = 0.0
    for j in range(d):
        unit += float(v[j]) * float(v[j])
    for row in range(n):
        length, rest = sizes[row, 0], sizes[row, 1]
        a = sizes[row, 5]
        for q in range(counts[row]):
            a -= float(values[row, q]) * float(v[columns[row, q]])
        square = rest * rest - a * a * (2.0 - unit)
        if square < 0.0:
            square = 0.0
        slack = (length * (d * eps + (2.0 * cap + 64.0) * FLOAT32)
                 + rest * (d + 64.0) * FLOAT32) * up
        measures[row, 0] = a
        measures[row, 1] = (math.sqrt(square + 1e-9 * rest * rest) + 1e-6 * abs(a)) * up
        measures[row, 2] = slack
        measures[row, 3] = rest * up + slack
        measures[row, 4] = sizes[row, 2] * up
        measures[row, 5] = peaks[row] * up
        measures[row, 6] = sizes[row, 3]
        measures[row, 7] = sizes[row, 4]


@summing_kernel
def measure_rows(W: np.ndarray, integers: np.ndarray, lengths: np.ndarray,
                 largest: np.ndarray) -> None:
    """lengths_i = ||w_i||; largest_i = max_j |w_ij|, its bits (NaN is above all)."""
    m, d = W.shape
    sign = np.iinfo(integers.dtype).max
    for i in range(m):
        w, bits = W[i], integers[i]
        square = 0.0
        most = bits[0] & 0
        for j in range(d):
            square += float(w[j]) * float(w[j])
        for j in range(d):
            most = max(most, bits[j] & sign)
        lengths[i] = math.sqrt(square)
        largest[i] = most


@kernel
def places_of_largest(W: np.ndarray, rows: np.ndarray, places: np.ndarray) -> None:
    """The column of the largest |w_ij| of every given row: the first one, and 0 if all are NaN."""
    for q in range(len(rows)):
        w, most = W[rows[q]], -1.0
        places[q] = 0
        for j in range(W.shape[1]):
            size = abs(w[j])
            if size > most:
                most, places[q] = size, j


@kernel
def group_maxima(W: np.ndarray, members: np.ndarray, C: np.ndarray) -> None:
    """C[block, j, p] = max |w_ij| over the members i of group ``width * block + p``.

    ``members``, shape (groups, size), is filled up with -1.
    """
    groups, size = members.shape
    blocks, d, width = C.shape
    most = np.empty(d, W.dtype)
    for g in range(blocks * width):
        most[:] = 0.0
        for q in range(size if g < groups else 0):
            if members[g, q] < 0:
                continue
            w = W[members[g, q]]
            for j in range(d):
                t = abs(w[j])
                most[j] = most[j] if t <= most[j] else t
        block, p = g // width, g % width
        for j in range(d):
            C[block, j, p] = most[j] * (1.0 + 2e-7)


@summing_kernel
def closed_by_groups(W: np.ndarray, members: np.ndarray, C: np.ndarray, lengths: np.ndarray,
                     b: float, samples: Samples, pairs: np.ndarray) -> int:
    """Write the pairs of grouped neurons that stay in doubt; return how many, or -1 if too many.

    ``C`` is of `group_maxima`; ``pairs`` takes rows (neuron, sample).
    """
    _, _, columns, values, counts, measures = samples
    groups, size = members.shape
    width = C.shape[2]
    u, length = np.empty(width, np.float32), np.empty(width, np.float32)
    hit = np.empty(width, np.uint8)
    words = hit.view(np.uint64)
    up = np.float32(1.0 + 2e-6)
    found = 0
    for block in range(len(C)):
        T = C[block]
        filled = min(width, groups - block * width)
        length[:] = np.float32(0.0)
        for p in range(filled):
            most = 0.0
            for q in range(size):
                i = members[block * width + p, q]
                if i >= 0 and not lengths[i] <= most:
                    most = lengths[i]
            length[p] = np.float32(most) * up
        for row in range(len(counts)):
            u[:] = np.float32(0.0)
            q = 0
            while q + 3 < counts[row]:  # four at a time: u is read and written once for four
                s0, s1 = abs(values[row, q]), abs(values[row, q + 1])
                s2, s3 = abs(values[row, q + 2]), abs(values[row, q + 3])
                t0, t1 = T[columns[row, q]], T[columns[row, q + 1]]
                t2, t3 = T[columns[row, q + 2]], T[columns[row, q + 3]]
                for p in range(width):
                    u[p] += (s0 * t0[p] + s1 * t1[p]) + (s2 * t2[p] + s3 * t3[p])
                q += 4
            while q < counts[row]:
                t0 = T[columns[row, q]]
                s0 = abs(values[row, q])
                for p in range(width):
                    u[p] += s0 * t0[p]
                q += 1
            r = measures[row, 3]
            for p in range(width):
                hit[p] = 0 if u[p] + r * length[p] <= b else 1
            for word in range(len(words)):
                if words[word] == 0:
                    continue
                for p in range(8 * word, min(8 * word + 8, filled)):
                    for q in range(size if hit[p] else 0):  # the members one by one
                        i = members[block * width + p, q]
                        if i < 0:
                            continue
                        known = np.float32(0.0)
                        for h in range(counts[row]):
                            known += values[row, h] * np.float32(W[i, columns[row, h]])
                        if not abs(known) + r * (np.float32(lengths[i]) * up) <= b:
                            if found == len(pairs):
                                return -1
                            pairs[found, 0] = i
                            pairs[found, 1] = row
                            found += 1
    return found


@summing_kernel
def doubtful_pairs(W: np.ndarray, rows: np.ndarray, b: float, samples: Samples, known: Blocks,
                   is_filled: bool, pairs: np.ndarray) -> int:
    """Write the pairs of ``rows`` that stay in doubt; return how many, or -1 if too many.

    ``known`` has a block for every `WIDTH` of the rows, which hold them already where
    ``is_filled``; or it has one, which is filled again and again.
    """
    X, v, columns, values, counts, measures = samples
    n, d, width = len(counts), W.shape[1], WIDTH
    lines = np.empty((8, d + 16), np.float32)  # not a power of two apart, as rows in memory are
    u, hit = np.empty(width, np.float32), np.empty(width, np.uint8)
    words = hit.view(np.uint64)
    which, where = np.empty(n * width + 8, np.uint8), np.empty(n * width + 8, np.int32)
    sums = np.empty(n * width + 8, np.float32)
    zero = np.float32(0.0)
    found = 0
    for start in range(0, len(rows), width):
        filled = min(width, len(rows) - start)
        block = start // width if len(known.T) > 1 else 0
        T, at, sides = known.T[block], known.at[block], known.sides[block]
        c, short, top, length = sides[0], sides[1], sides[2], sides[3]
        top1, top2 = sides[4], sides[5]
        if not is_filled:
            if filled < width:
                T[:] = zero
            _side_by_side(W, rows[start:start + filled], v, T, lines, at, sides)
        # the pairs that the products with s_n, and the sizes of all else, leave open
        candidates = 0
        for row in range(n):
            u[:] = zero
            q = 0
            while q + 3 < counts[row]:  # four at a time: u is read and written once for four
                s0, s1 = values[row, q], values[row, q + 1]
                s2, s3 = values[row, q + 2], values[row, q + 3]
                r0, r1 = T[columns[row, q]], T[columns[row, q + 1]]
                r2, r3 = T[columns[row, q + 2]], T[columns[row, q + 3]]
                for p in range(width):
                    u[p] += (s0 * r0[p] + s1 * r1[p]) + (s2 * r2[p] + s3 * r3[p])
                q += 4
            while q < counts[row]:
                r0, s0 = T[columns[row, q]], values[row, q]
                for p in range(width):
                    u[p] += s0 * r0[p]
                q += 1
            a, r, slack, most = (measures[row, 0], measures[row, 1], measures[row, 2],
                                 measures[row, 5])
            for p in range(width):
                u[p] += a * c[p]
                hit[p] = 0 if (abs(u[p]) + r * short[p] + slack * length[p] + most * top[p]
                               <= b) else 1
            for word in range(len(words)):
                if words[word] != 0:
                    for p in range(8 * word, 8 * word + 8):  # without a branch
                        which[candidates], where[candidates] = p, row
                        sums[candidates] = u[p]
                        candidates += int(np.int64(hit[p]))  # a sum of bytes is a byte in NumPy
        # of those, the ones that <t_i, r_n> itself leaves open
        for place in range(candidates):
            p, row = which[place], where[place]
            if p >= filled:
                continue
            total = sums[place]
            x1, x2 = np.float32(X[row, at[p, 0]]), np.float32(X[row, at[p, 1]])
            cut, last = measures[row, 6], measures[row, 7]
            total += top1[p] * (x1 if abs(x1) <= cut or at[p, 0] > last else zero)
            total += top2[p] * (x2 if abs(x2) <= cut or at[p, 1] > last else zero)
            if found == len(pairs):
                return -1
            pairs[found, 0] = rows[start + np.int64(p)]
            pairs[found, 1] = row
            found += 0 if (abs(total) + measures[row, 1] * short[p]
                           + measures[row, 2] * length[p] <= b) else 1
    return found


@summing_kernel
def _side_by_side(W: np.ndarray, rows: np.ndarray, v: np.ndarray, T: np.ndarray,
                  lines: np.ndarray, at: np.ndarray, sides: np.ndarray) -> None:
    """Fill a block, see `Blocks`.

    ``lines`` holds rows on the way: a row is read from end to end, which memory is fast at, and is
    measured in the cache.
    """
    d = W.shape[1]
    for begin in range(0, len(rows), len(lines)):
        some = min(len(lines), len(rows) - begin)
        for q in range(some):
            w, line, p = W[rows[begin + q]], lines[q], begin + q
            square, along = 0.0, 0.0
            for j in range(d):
                line[j] = w[j]
            for j in range(d):
                square += float(line[j]) * float(line[j])
                along += float(line[j]) * float(v[j])
            _two_largest(line[:d], at[p])
            first, second = at[p, 0], at[p, 1]
            line[first], line[second] = w[first], w[second]  # where it left zeros
            t1 = float(line[first])
            t2 = float(line[second]) if second != first else 0.0
            inner = along - t1 * float(v[first]) - t2 * float(v[second])
            rest = square - t1 * t1 - t2 * t2 - inner * inner
            if rest < 0.0:  # NaN stays
                rest = 0.0
            sides[0, p] = inner
            sides[1, p] = math.sqrt(rest + square * (1e-9 * d + 1e-5))  # the errors of these sums
            sides[2, p] = (abs(t1) + abs(t2)) * (1.0 + 2e-6)
            sides[3, p] = math.sqrt(square) * (1.0 + 1e-5)
            sides[4, p], sides[5, p] = t1, t2
        for j in range(d):
            for q in range(some):
                T[j, begin + q] = lines[q, j]


@kernel
def _two_largest(line: np.ndarray, at: np.ndarray) -> None:
    """at = the places of the two largest |line_j|; twice the same where there is one.

    As integers, whose order is that of the floats' sizes, NaN above all: vector instructions.
    """
    bits, d = line.view(np.int32), len(line)
    sign = np.iinfo(np.int32).max
    for rank in range(min(2, d)):
        most = bits[0] & 0
        for j in range(d):
            most = max(most, bits[j] & sign)
        place = np.int32(d)
        for j in range(np.int32(d)):  # without a branch
            place = min(place, np.int32(j) if bits[j] & sign == most else np.int32(d))
        at[rank] = place
        bits[place] = 0


def lists_by_row(pairs: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return starts, shape (m + 1,), and samples: neuron i has samples[starts[i]:starts[i + 1]].

    In the order of ``pairs``, whose rows are (neuron, sample).
    """
    starts, samples = np.zeros(m + 2, np.int64), np.empty(len(pairs), np.int32)
    _pairs_by_row(pairs, starts, samples)
    return starts[:-1], samples


@kernel
def _pairs_by_row(pairs: np.ndarray, starts: np.ndarray, samples: np.ndarray) -> None:
    """Counting sort; ``starts``, shape (m + 2,), is zero on entry."""
    for q in range(len(pairs)):
        starts[pairs[q, 0] + 2] += 1
    for i in range(2, len(starts)):
        starts[i] += starts[i - 1]
    for q in range(len(pairs)):
        i = pairs[q, 0]
        samples[starts[i + 1]] = pairs[q, 1]
        starts[i + 1] += 1


@kernel
def raise_maxima(W: np.ndarray, rows: np.ndarray, group_of: np.ndarray, C: np.ndarray) -> None:
    """Keep C of `group_maxima` above rows that have moved."""
    d, width = C.shape[1], C.shape[2]
    for place in range(len(rows)):
        g = group_of[rows[place]]
        if g >= 0:
            w, block, p = W[rows[place]], g // width, g % width
            for j in range(d):
                t = np.float32(abs(w[j]) * (1.0 + 2e-7))
                if not t <= C[block, j, p]:
                    C[block, j, p] = t
