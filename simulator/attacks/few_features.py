"""The plain symmetric network at inputs moved along few features, without moving an input.

For ``delta = sum_q z_q M_j(q)`` the pre-activations move by ``sum_q z_q V_j(q)``, with ``V = W M``
once for all samples: a trial costs a few operations a neuron, where a forward pass costs d.

Features tried one at a time, at full length r, cost less still. As long as no gate opens or
closes the output is linear in the move, and gate i does so along feature j only if ``r |V_ij|`` is
more than ``| |u_i| - b |``. So each neuron goes through its features in descending order of
``|V_ij|``, and stops: nearly always at the first.
"""

from typing import Any

import numpy as np

from simulator.attacks.reach import within_reach
from simulator.attacks.worst_case import BestFound
from simulator.balls import L2Ball, LinfBall
from simulator.heartbeat import beat
from simulator.jit import kernel
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Ball

__all__ = ["FewFeatures", "can_move_features"]


def can_move_features(network: Any, M: np.ndarray | None, ball: Ball) -> bool:
    """Whether a search of these coordinates is one of the inputs.

    So it is for the plain symmetric network in a ball that is the same in both: of l2 for
    orthonormal features, and of either norm where the features are the coordinates themselves.

    Parameters
    ----------
    network : Network
    M : ndarray, shape (d, d), or None
        Features in its columns; None is the identity.
    ball : Ball
    """
    if not isinstance(network, SymmetricReLU) or network.smoothing > 0.0:
        return False
    if M is None:
        return isinstance(ball, (L2Ball, LinfBall))
    off = np.abs(M.T @ M - np.eye(len(M)))
    return isinstance(ball, L2Ball) and bool(off.max() <= 8.0 * len(M) * np.finfo(M.dtype).eps)


class FewFeatures:
    """The samples of a search, moved along few features; keeps the best move of each.

    Parameters
    ----------
    best : BestFound
        Of a plain :class:`SymmetricReLU`. It is only read.
    M : ndarray, shape (d, d), or None
        Features in its columns; see :func:`can_move_features`.
    ball : Ball
    most : int
        Most features a move has.

    Attributes
    ----------
    columns, values : ndarray, shape (n, most)
        The features chosen for each sample that is left, and what they carry; 0 is none.
    """

    def __init__(self, best: BestFound, M: np.ndarray | None, ball: Ball, most: int) -> None:
        network = within_reach(best.network, best.X, ball)
        W, n = network.weights, len(best.X)
        self.M, self.radius, self.b, self.y = M, ball.radius, network.bias, best.y
        self.along = np.ascontiguousarray(W if M is None else W @ M)  # (live, d)
        self.V = np.ascontiguousarray(self.along.T)
        self.U = best.X @ W.T
        self.columns, self.values = np.zeros((n, most), np.int64), np.zeros((n, most), W.dtype)
        self.rows = np.arange(n)
        # of all samples, those that are not left too
        self.margins = best.margins[best.rows].astype(np.float64)
        self._columns, self._values = self.columns.copy(), self.values.copy()

    def alone(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the margins with all of the radius on one feature, either way, shapes (n, d)."""
        beat()
        n, d = len(self.U), len(self.V)
        up, down = np.empty((n, d)), np.empty((n, d))
        order = np.argsort(-np.abs(self.along), axis=1)
        _alone(self.U, self.along, order, self.b, self.radius, self.y, up, down)
        return up, down

    def choose(self, place: int, columns: np.ndarray, values: np.ndarray) -> None:
        """Set one of the features of every sample, shapes (n,)."""
        self.columns[:, place], self.values[:, place] = columns, values

    def has(self, column: np.ndarray, places: int) -> np.ndarray:
        """Whether a feature, shape (n,), is among the first so many that were chosen."""
        same = self.columns[:, :places] == column[:, None]
        return (same & (self.values[:, :places] != 0.0)).any(axis=1)

    def offer(self, values: np.ndarray) -> np.ndarray:
        """Take a move along the chosen features where it is worse; return its margins."""
        return self._moved(values, slopes=False)[0]

    def offer_for_slopes(self, values: np.ndarray) -> np.ndarray:
        """Take it where it is worse; return the margins' slopes along the features there."""
        return self._moved(values, slopes=True)[1]

    def _moved(self, values: np.ndarray, slopes: bool) -> tuple[np.ndarray, np.ndarray]:
        beat()
        margins, found = np.empty(len(values)), np.zeros_like(values)
        _move(self.U, self.V, self.columns, values, self.b, self.y, margins, found, slopes)
        worse = (margins < self.margins[self.rows]) | np.isnan(margins)
        rows = self.rows[worse]
        self.margins[rows] = margins[worse]
        self._columns[rows], self._values[rows] = self.columns[worse], values[worse]
        return margins, found

    def left(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Be done with the samples that are broken; return the same arrays of those left."""
        right = self.margins[self.rows] > 0.0
        if right.all():
            return arrays
        self.U, self.y, self.rows = self.U[right], self.y[right], self.rows[right]
        self.columns, self.values = self.columns[right], self.values[right]
        return tuple(array[right] for array in arrays)

    def perturbations(self) -> np.ndarray:
        """Return the best moves as perturbations of the inputs, zero where none was worse."""
        moves = np.zeros((len(self._values), len(self.V)), self._values.dtype)
        np.add.at(moves, (np.arange(len(moves))[:, None], self._columns), self._values)
        return moves if self.M is None else moves @ self.M.T


@kernel
def _output(u: float, b: float) -> float:
    """S_b(u); NaN stays."""
    return u - b if u > b else (u + b if u < -b else u * 0.0)


@kernel
def _alone(U: np.ndarray, along: np.ndarray, order: np.ndarray, b: float, radius: float,
           y: np.ndarray, up: np.ndarray, down: np.ndarray) -> None:
    """Margins at +-radius along each feature: the linear ones, then what each gate adds."""
    n, live = U.shape
    d = along.shape[1]
    slopes = np.empty(d)
    for row in range(n):
        slopes[:] = 0.0
        up[row] = 0.0
        down[row] = 0.0
        f = 0.0
        for i in range(live):
            u = float(U[row, i])
            own = _output(u, b)
            gap = abs(abs(u) - b)
            is_open = not abs(u) <= b
            f += own
            if is_open:
                for j in range(d):
                    slopes[j] += along[i, j]
            for q in range(d):
                j = order[i, q]
                move = radius * float(along[i, j])
                if abs(move) <= gap:
                    break
                linear = move if is_open else 0.0
                up[row, j] += _output(u + move, b) - own - linear
                down[row, j] += _output(u - move, b) - own + linear
        for j in range(d):
            up[row, j] = y[row] * (f + radius * slopes[j] + up[row, j])
            down[row, j] = y[row] * (f - radius * slopes[j] + down[row, j])


@kernel
def _move(U: np.ndarray, V: np.ndarray, columns: np.ndarray, values: np.ndarray, b: float,
          y: np.ndarray, margins: np.ndarray, slopes: np.ndarray, sloped: bool) -> None:
    """Margins at moved pre-activations, and their slopes along the same features if wanted."""
    n, live = U.shape
    u = np.empty(live, U.dtype)
    gates = np.empty(live, np.int64)
    for row in range(n):
        for i in range(live):  # a loop: see simulator/jit.py
            u[i] = U[row, i]
        for q in range(values.shape[1]):
            z = values[row, q]
            if z != 0.0:
                v = V[columns[row, q]]
                for i in range(live):
                    u[i] += z * v[i]
        opened = 0
        for i in range(live):
            gates[opened] = i
            opened += not abs(u[i]) <= b
        f = 0.0
        for g in range(opened):
            one = float(u[gates[g]])
            f += one - b if one > 0.0 else one + b
        margins[row] = y[row] * f
        if sloped:
            for q in range(values.shape[1]):
                if values[row, q] != 0.0:
                    v = V[columns[row, q]]
                    total = 0.0
                    for g in range(opened):
                        total += float(v[gates[g]])
                    slopes[row, q] = y[row] * total
