"""What is claimed about: a network, a sample seen from its label, and a ball, as exact numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.checker.exact import Exact, root_up
from simulator.checks import require_array, require_finite, require_real

__all__ = ["ExactNetwork", "Problem", "Unproven", "dual_norms_up", "soft_threshold"]

FLOAT = np.dtype(np.float64)
BITS = 160  # of what is rounded, roots and quotients, behind the largest t_i, reach or bias


class Unproven(Exception):
    """Why a claim does not follow from what is given as its proof, in one line."""


@dataclass(frozen=True, repr=False)
class ExactNetwork:
    """``f(x) = sum_i S_b(<w_i, x>)``, its numbers as floats and as what these are exactly.

    Attributes
    ----------
    weights : ndarray, shape (m, d)
    bias : float
    W : Exact, shape (m, d)
    b : Exact, shape ()
    squares : Exact, shape (m,)
        ``||w_i||_2^2``.
    lengths : Exact, shape (m,)
        ``||w_i||_1``.
    """

    weights: np.ndarray
    bias: float
    W: Exact
    b: Exact
    squares: Exact
    lengths: Exact

    @classmethod
    def of(cls, weights: Any, bias: Any) -> "ExactNetwork":
        """Take weights (m, d) and bias.

        Raises
        ------
        TypeError, ValueError
            No matrix, a negative bias, NaN or infinity.
        """
        weights = require_finite("weights", require_array("weights", weights, (None, None),
                                                          dtype=FLOAT))
        bias = require_real("bias", bias, low=0.0)
        W = Exact.of(weights)
        return cls(weights, bias, W, Exact.of(bias), (W * W).sum(axis=1), abs(W).sum(axis=1))

    def margin(self, x: np.ndarray, y: float, delta: np.ndarray | None = None) -> Exact:
        """Return ``y f(x + delta)`` in real arithmetic."""
        point = Exact.of(x) if delta is None else Exact.of(x) + Exact.of(delta)
        f = soft_threshold(self.W @ point, self.b).sum()
        return f if y > 0.0 else -f

    def __repr__(self) -> str:
        m, d = self.weights.shape
        return f"ExactNetwork(m={m}, d={d}, bias={self.bias:.4g})"


@dataclass(frozen=True, repr=False)
class Problem:
    """The margin of one sample in a ball, ``sum_i S_b(t_i + s_i)`` at ``x + y delta``.

    Attributes
    ----------
    network : ExactNetwork
    ball : L2Ball or LinfBall
    t : Exact, shape (m,)
        ``y <w_i, x>``.
    r : Exact, shape ()
    reach : Exact, shape (m,)
        At least ``r ||w_i||_*``: ``|s_i|`` is at most that in the whole ball.
    grid : int
        What is rounded is rounded to multiples of ``2**-grid``: of no account beside the largest
        number here, and short.
    """

    network: ExactNetwork
    ball: L2Ball | LinfBall
    t: Exact
    r: Exact
    reach: Exact
    grid: int

    @classmethod
    def of(cls, network: ExactNetwork, x: np.ndarray, y: float,
           ball: L2Ball | LinfBall) -> "Problem":
        """Take a sample x (d,) of label -1 or +1."""
        u = network.W @ Exact.of(x)
        t, r = u if y > 0.0 else -u, Exact.of(ball.radius)
        norms = root_up(network.squares) if isinstance(ball, L2Ball) else network.lengths
        reach = r * norms
        grid = BITS - max(t.exponent, reach.exponent, network.b.exponent)
        return cls(network, ball, t, r, reach.raised(grid), grid)

    @property
    def is_l2(self) -> bool:
        """Whether the ball is one of the l2 norm; otherwise it is one of l_inf."""
        return isinstance(self.ball, L2Ball)

    def __repr__(self) -> str:
        return f"Problem({self.network!r}, {self.ball!r})"


def soft_threshold(u: Exact, b: Exact) -> Exact:
    """Return ``S_b(u) = max(u - b, 0) + min(u + b, 0)``."""
    nothing = Exact.zeros()
    return (u - b).maximum(nothing) + (u + b).minimum(nothing)


def dual_norms_up(V: Exact, is_l2: bool) -> Exact:
    """Return at least the dual norm of each row: l2 of l2, l1 of l_inf."""
    return root_up((V * V).sum(axis=1)) if is_l2 else abs(V).sum(axis=1)
