"""The worst perturbation of each patch against one rival class, in the neurons of the pair alone.

Against a wrong class j the margin of the patch network is a sum over patches (Li & Li, arXiv
2410.08503),

    F_y - F_j = sum_p phi(delta_p),    phi(delta) = sum_k sign_k sigma(t_k + <w_k, delta>),

over the 2 m neurons of the two classes, ``t_k = <w_k, X[p]>``. A patch knows a perturbation by what
it does to those neurons. In an l2 ball ``delta = sum_k b_k a_k``, the a_k neurons and given
directions, and all that is needed is their Gram matrix; in an l_inf ball delta has its own d
coordinates. It is the search that :class:`~simulator.attacks.patches.PatchSearch` makes with all
neurons, several times as fast: it leaves out the neurons too short to matter, and its steps grow
and shrink in each patch by itself.
"""

from dataclasses import dataclass

import numpy as np

from simulator.attacks.described import described
from simulator.attacks.through import require_reads_patches
from simulator.balls import LinfBall, PatchL2Ball
from simulator.checks import require_array, require_int
from simulator.heartbeat import beat
from simulator.jit import kernel
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN, require_classes
from simulator.protocols import Ball, Network, Perturbation
from simulator.randomness import Rng

__all__ = ["PairedPatchSearch"]

WEAK = 0.1  # a neuron shorter than this, against the longest of the pair, is not looked at
GROW, SHRINK = 2.5, 0.3  # of a step's length where phi fell, and where it did not
SHORTEST = 1e-4  # a step is no shorter than this, in radii
TINY = 1e-300  # keeps a quotient finite


@dataclass(frozen=True, repr=False, eq=False)
class PairedPatchSearch:
    """For each wrong class every patch descends from the directions that are worst for it.

    Directions: the neurons of the two classes and the given ones, forwards and backwards, each at
    full length. From the worst of them the patch walks down its gradient. No random starts: the
    same call gives the same bits.

    Attributes
    ----------
    features : ndarray, shape (F, d), or None
        Directions to try, such as :func:`~simulator.attacks.patches.directions_of` u and v.
    neurons : bool
        Try the directions of the neurons.
    steps : int
        Gradient steps from each start; 0 only mixes directions.
    starts : int
        How many of the worst directions each patch descends from.
    """

    features: np.ndarray | None = None
    neurons: bool = True
    steps: int = 20
    starts: int = 2

    __repr__ = described

    def __post_init__(self) -> None:
        require_int("steps", self.steps, low=0)
        require_int("starts", self.starts, low=1)
        if not self.neurons and self.features is None:
            raise ValueError("neurons: expected True without features, got False: "
                             "no direction would be left")

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng | None = None) -> Perturbation:
        """Return the perturbation of the most dangerous wrong class; ``rng`` is not used.

        Raises
        ------
        TypeError
            Another network than SmoothedReLUCNN, or another ball than PatchL2Ball and LinfBall.
        """
        net = require_reads_patches(network)
        if not isinstance(ball, (PatchL2Ball, LinfBall)):
            raise TypeError(f"ball: expected PatchL2Ball or LinfBall, got {ball!r}: "
                            "patches are searched one by one")
        K, m, d = net.weights.shape
        X = require_array("X", X, (None, None, d), dtype=net.weights.dtype)
        own = require_classes("y", y, len(X), K)
        extra = np.empty((0, d)) if self.features is None else require_array(
            "features", self.features, (None, d), dtype=np.dtype(np.float64))
        A = np.concatenate([net.weights.reshape(K * m, d).astype(np.float64), extra])
        T = (X.reshape(-1, d) @ net.weights.reshape(K * m, d).T).astype(np.float64)
        T = T.reshape(len(X), X.shape[1], K, m)
        least, delta = np.full(len(X), np.inf), np.zeros(X.shape)
        for turn in range(1, K):
            beat()
            values, moved = self._against(net, A, T, own, (own + turn) % K, ball)
            worse = values < least
            least[worse], delta[worse] = values[worse], moved[worse]
        return Perturbation(delta.astype(X.dtype, copy=False), 0)

    def _against(self, net: SmoothedReLUCNN, A: np.ndarray, T: np.ndarray, own: np.ndarray,
                 other: np.ndarray, ball: PatchL2Ball | LinfBall
                 ) -> tuple[np.ndarray, np.ndarray]:
        """Return the least margins against the rivals, and the perturbations that have them."""
        n, P, K, m = T.shape
        classes = np.stack([own, other], axis=1)
        effort = np.array([self.steps, self.starts, self.neurons])
        curve = np.array([float(net.q), net.rho, ball.radius])
        if isinstance(ball, LinfBall):
            delta = np.zeros((n, P, A.shape[1]))
            return _search_box(T, classes, A, curve, effort, delta), delta
        b = np.zeros((n, P, len(A)))
        values = _search_sphere(T, classes, A @ A.T, curve, effort, b)
        return values, (b.reshape(n * P, -1) @ A).reshape(n, P, -1)


# --- the activation; twins: networks.smoothed_relu_cnn ----------------------------------------


@kernel
def _sigma(z: float, q: int, rho: float) -> float:
    if z <= 0.0:
        return 0.0
    if z >= rho:
        return z - (1.0 - 1.0 / q) * rho
    total = z / q
    for _ in range(q - 1):
        total *= z / rho
    return total


@kernel
def _slope(z: float, q: int, rho: float) -> float:
    if z <= 0.0:
        return 0.0
    if z >= rho:
        return 1.0
    total = 1.0
    for _ in range(q - 1):
        total *= z / rho
    return total


@kernel
def _phi(t: np.ndarray, moved: np.ndarray, sign: np.ndarray, q: int, rho: float) -> float:
    total = 0.0
    for k in range(len(t)):
        total += sign[k] * _sigma(t[k] + moved[k], q, rho)
    return total


@kernel
def _pair_rows(norms: np.ndarray, classes: np.ndarray, K: int, m: int) -> np.ndarray:
    """The rows of A that a pair of classes sees: its longer neurons, then the given directions."""
    longest = TINY
    for side in range(2):
        for k in range(m):
            longest = max(longest, norms[classes[side] * m + k])
    rows = np.empty(2 * m + len(norms) - K * m, np.int64)
    count = 0
    for side in range(2):
        for k in range(m):
            if norms[classes[side] * m + k] >= WEAK * longest:
                rows[count] = classes[side] * m + k
                count += 1
    for k in range(K * m, len(norms)):
        rows[count] = k
        count += 1
    return rows[:count]


@kernel
def _signs_of(rows: np.ndarray, own: int, K: int, m: int) -> np.ndarray:
    """+1 for the neurons of the true class and -1 for those of the rival, directions left out."""
    count = 0
    for row in rows:
        if row < K * m:
            count += 1
    sign = np.empty(count)
    for k in range(count):
        sign[k] = 1.0 if rows[k] // m == own else -1.0
    return sign


@kernel
def _sums_of(A: np.ndarray) -> np.ndarray:
    """How far a row reaches in the box of radius 1: ``||a_k||_1``."""
    sums = np.zeros(len(A))
    for k in range(len(A)):
        for i in range(A.shape[1]):
            sums[k] += abs(A[k, i])
    return sums


@kernel
def _worst_directions(t: np.ndarray, moves: np.ndarray, first: int, sign: np.ndarray, q: int,
                      rho: float, found: np.ndarray, values: np.ndarray) -> None:
    """The starts: numbers of the worst directions from ``first`` on, 2 k forwards, 2 k + 1 back."""
    moved = np.empty(len(t))
    for place in range(len(found)):
        found[place], values[place] = 2 * first, np.inf
    for k in range(first, len(moves)):
        for side in range(2):
            for j in range(len(t)):
                moved[j] = moves[k, j] if side == 0 else -moves[k, j]
            value = _phi(t, moved, sign, q, rho)
            place = len(found)
            while place > 0 and value < values[place - 1]:
                place -= 1
            for later in range(len(found) - 1, place, -1):
                found[later], values[later] = found[later - 1], values[later - 1]
            if place < len(found):
                found[place], values[place] = 2 * k + side, value


# --- each patch in a sphere, by its Gram matrix -----------------------------------------------


@kernel
def _search_sphere(T: np.ndarray, classes: np.ndarray, gram: np.ndarray, curve: np.ndarray,
                   effort: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Fill b (n, P, rows of A), ``delta = A^T b``; return the margins reached, shape (n,)."""
    n, P, K, m = T.shape
    q, rho, radius = int(curve[0]), curve[1], curve[2]
    steps, starts = effort[0], effort[1]
    norms, margins = np.sqrt(np.diag(gram)), np.zeros(n)
    found, values = np.empty(starts, np.int64), np.empty(starts)
    for row in range(n):
        # what this pair of classes sees
        rows = _pair_rows(norms, classes[row], K, m)
        sign = _signs_of(rows, classes[row, 0], K, m)
        r = len(sign)
        first = 0 if effort[2] else r
        G, moves = np.empty((r, r)), np.empty((len(rows), r))
        for k in range(len(rows)):
            for j in range(r):
                moves[k, j] = radius / max(norms[rows[k]], TINY) * gram[rows[k], rows[j]]
                if k < r:
                    G[k, j] = gram[rows[k], rows[j]]
        t, moved, start, best = np.empty(r), np.empty(r), np.empty(r), np.empty(r)
        # patch by patch: the worst directions, and a walk from each
        for p in range(P):
            for j in range(r):
                t[j], moved[j], best[j] = T[row, p, rows[j] // m, rows[j] % m], 0.0, 0.0
            least, origin, share = _phi(t, moved, sign, q, rho), -1, 0.0
            _worst_directions(t, moves, first, sign, q, rho, found, values)
            for turn in range(starts):
                k, side = found[turn] // 2, 1.0 - 2.0 * (found[turn] % 2)
                for j in range(r):
                    start[j], moved[j] = 0.0, side * moves[k, j]
                value, left = _walk_sphere(G, t, sign, moved, start, curve, steps)
                if value < least:
                    least, origin = value, rows[k]
                    share = left * side * radius / max(norms[origin], TINY)
                    for j in range(r):
                        best[j] = start[j]
            margins[row] += least
            for j in range(r):
                b[row, p, rows[j]] = best[j]
            if origin >= 0:
                b[row, p, origin] += share
    return margins


@kernel
def _walk_sphere(G: np.ndarray, t: np.ndarray, sign: np.ndarray, moved: np.ndarray, b: np.ndarray,
                 curve: np.ndarray, steps: int) -> tuple[float, float]:
    """Walk from a start of full length that moves the neurons by ``moved``.

    In b is what is added of each neuron; returned with phi is what is left of the start.
    """
    r, q, rho, radius = len(t), int(curve[0]), curve[1], curve[2]
    gradient, pull = np.empty(r), np.empty(r)
    trial_b, trial_moved = np.empty(r), np.empty(r)
    value, left, square, pace = _phi(t, moved, sign, q, rho), 1.0, radius * radius, 0.5
    for _ in range(steps):
        # downhill, in coefficients and in what the neurons see of it
        for k in range(r):
            gradient[k] = -sign[k] * _slope(t[k] + moved[k], q, rho)
        length, along = 0.0, 0.0
        for j in range(r):
            pull[j] = 0.0
            for k in range(r):
                pull[j] += G[k, j] * gradient[k]
            length += gradient[j] * pull[j]
            along += gradient[j] * moved[j]
        if length <= 0.0:
            break
        # to the end of the step, and back onto the ball
        stride = pace * radius / np.sqrt(length)
        reached = square + 2.0 * stride * along + stride * stride * length
        shrink = min(1.0, radius / np.sqrt(max(reached, TINY)))
        for k in range(r):
            trial_b[k] = shrink * (b[k] + stride * gradient[k])
            trial_moved[k] = shrink * (moved[k] + stride * pull[k])
        trial = _phi(t, trial_moved, sign, q, rho)
        if trial < value:
            value, left, pace = trial, left * shrink, pace * GROW
            square = reached * shrink * shrink
            for k in range(r):
                b[k], moved[k] = trial_b[k], trial_moved[k]
        else:
            pace *= SHRINK
            if pace < SHORTEST:
                break
    return value, left


# --- each patch in a box, in its own coordinates ----------------------------------------------


@kernel
def _search_box(T: np.ndarray, classes: np.ndarray, A: np.ndarray, curve: np.ndarray,
                effort: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Fill delta (n, P, d); return the margins reached, shape (n,)."""
    n, P, K, m = T.shape
    d = A.shape[1]
    q, rho, radius = int(curve[0]), curve[1], curve[2]
    steps, starts = effort[0], effort[1]
    norms, margins, start = _sums_of(A), np.zeros(n), np.empty(d)
    found, values = np.empty(starts, np.int64), np.empty(starts)
    for row in range(n):
        # what this pair of classes sees
        rows = _pair_rows(norms, classes[row], K, m)
        sign = _signs_of(rows, classes[row, 0], K, m)
        r = len(sign)
        first = 0 if effort[2] else r
        W, moves = np.empty((r, d)), np.zeros((len(rows), r))
        for j in range(r):
            for i in range(d):
                W[j, i] = A[rows[j], i]
                for k in range(len(rows)):
                    moves[k, j] += radius * np.sign(A[rows[k], i]) * W[j, i]
        t, moved = np.empty(r), np.empty(r)
        # patch by patch: the worst directions, and a walk from each
        for p in range(P):
            for j in range(r):
                t[j], moved[j] = T[row, p, rows[j] // m, rows[j] % m], 0.0
            least = _phi(t, moved, sign, q, rho)
            _worst_directions(t, moves, first, sign, q, rho, found, values)
            for turn in range(starts):
                k, side = found[turn] // 2, 1.0 - 2.0 * (found[turn] % 2)
                for i in range(d):
                    start[i] = side * radius * np.sign(A[rows[k], i])
                for j in range(r):
                    moved[j] = side * moves[k, j]
                value = _walk_box(W, t, sign, moved, start, curve, steps)
                if value < least:
                    least = value
                    for i in range(d):
                        delta[row, p, i] = start[i]
            margins[row] += least
    return margins


@kernel
def _walk_box(W: np.ndarray, t: np.ndarray, sign: np.ndarray, moved: np.ndarray,
              delta: np.ndarray, curve: np.ndarray, steps: int) -> float:
    """Walk from delta, in place, by signs of the gradient; ``moved = W delta`` goes with it."""
    r, d = W.shape
    q, rho, radius = int(curve[0]), curve[1], curve[2]
    gradient, trial, trial_moved = np.empty(d), np.empty(d), np.empty(r)
    value, pace = _phi(t, moved, sign, q, rho), 0.5
    for _ in range(steps):
        gradient[:] = 0.0
        for k in range(r):
            slope = sign[k] * _slope(t[k] + moved[k], q, rho)
            for i in range(d):
                gradient[i] -= slope * W[k, i]
        for i in range(d):
            ahead = delta[i] + pace * radius * np.sign(gradient[i])
            trial[i] = min(max(ahead, -radius), radius)
        for k in range(r):
            trial_moved[k] = 0.0
            for i in range(d):
                trial_moved[k] += W[k, i] * trial[i]
        found = _phi(t, trial_moved, sign, q, rho)
        if found < value:
            value, pace = found, min(pace * GROW, 2.0)
            for i in range(d):
                delta[i] = trial[i]
            for k in range(r):
                moved[k] = trial_moved[k]
        else:
            pace *= SHRINK
            if pace < SHORTEST:
                break
    return value
