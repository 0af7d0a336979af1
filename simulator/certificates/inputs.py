"""What a certificate takes: signed inputs in float64, a ball, and where an attack ended.

Every certificate reads ``t_i = y <w_i, x>``: seen from ``y x``, the margin of the symmetric
network is ``sum_i S_b(t_i + s_i)`` whatever the label, because S_b is odd.

**Units.** Weights are divided by a power of two near their largest entry, inputs and radius by one
near the radius. That is exact, so a network and inputs in other units (pixels up to 255, weights of
1e-12) have the very same certificates, and no absolute constant has a meaning of its own.

**Rounding.** "Certified" is a statement about real numbers, and the network's own arithmetic may
cancel: ``<w_i, x>`` is off by up to ``d u ||w_i|| ||x||``, however small it is itself, and a sum of
m terms by m u times their magnitudes (u the unit roundoff; Higham, Accuracy and Stability of
Numerical Algorithms, chapter 3). Since S_b is 1-Lipschitz, errors of all t_i together move a margin
by no more than their sum: it is taken off every bound, over all neurons that are left.

**Dead neurons.** A neuron with ``|t_i| + r ||w_i||_* <= b`` beyond that rounding, at every sample
and in the largest ball that will be asked about, contributes exactly zero wherever one looks. It is
left out before anything is copied to float64: of the rows of W a certificate touches the live ones.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.checks import require_array, require_batch, require_finite, require_labels
from simulator.heartbeat import beat
from simulator.networks.symmetric_relu import SymmetricReLU, require_symmetric, soft_threshold
from simulator.protocols import Batch

__all__ = ["NO_SQUARE", "UNDERFLOW", "Products", "SignedInputs", "grain", "into_ball",
           "power_of_two", "require_ball", "require_scale", "signed_inputs", "starts"]

FLOAT = np.dtype(np.float64)
EPS = float(np.finfo(FLOAT).eps)  # twice the unit roundoff: half of every allowance is to spare
SMALL_TERMS = 16  # roundings of one term, beside those of the sums it goes through
SMALLEST, LARGEST = 1e-100, 1e100  # scales at which no product of four can over- or underflow
UNDERFLOW = 2.0**-1000  # what a product may lose below the smallest normal number, and much more
NO_SQUARE = 2.0**-500  # a vector shorter than this may have a computed norm of zero
JUMPS = 10  # to corners of the linearised margin: few are needed
ROWS = 1024  # neurons surveyed at a time: a float64 copy of no more of them is made
ROUGH_FROM = 1 << 21  # weights in float32 from here on: 16 MB in float64, more than a cache
MOST_PRODUCTS = 4096  # neurons of which all products are kept: 128 MiB


def grain(*lengths: int) -> float:
    """Return how far a sum through which terms go may be off, relative to their magnitudes.

    Parameters
    ----------
    lengths : int
        Of the sums, one within the other.
    """
    return (sum(lengths) + SMALL_TERMS) * EPS


class Products:
    """The products ``<w_i, w_j>`` of neurons, and the neurons in float32: kept for all samples and
    balls that ask for some.

    Parameters
    ----------
    W : ndarray, shape (m, d)
    """

    def __init__(self, W: np.ndarray) -> None:
        self.W = W
        self._all: np.ndarray | None = None
        self._rough: np.ndarray | None = None

    def of(self, neurons: np.ndarray) -> np.ndarray:
        """Return the products of q neurons, shape (q, q)."""
        if len(self.W) > MOST_PRODUCTS:  # more than are worth their memory
            return _products(self.W[neurons])
        if self._all is None:
            self._all = _products(self.W)
        return self._all[np.ix_(neurons, neurons)]

    def rough(self) -> np.ndarray:
        """Return W as an ascent reads it: in float32 where memory is what a product waits for."""
        if self._rough is None:
            self._rough = self.W if self.W.size < ROUGH_FROM else self.W.astype(np.float32)
        return self._rough


def _products(W: np.ndarray) -> np.ndarray:
    """``W W^T``, in pieces: a run can be stopped in between."""
    products = np.empty((len(W), len(W)))
    for first in range(0, len(W), ROWS):
        beat()
        products[first:first + ROWS] = W[first:first + ROWS] @ W.T
    return products


@dataclass(frozen=True)
class SignedInputs:
    """A network and samples in a ball as the bounds see them: checked, float64, in own units.

    Attributes
    ----------
    W : ndarray, shape (m, d)
        Weights of the live neurons in units of ``unit / length``.
    neurons : ndarray of int, shape (m,)
        Their numbers in the network, ascending.
    bias : float
        In units of ``unit``.
    norms : ndarray, shape (m,)
        ``||w_i||_2``, from above.
    X : ndarray, shape (n, d)
        In units of ``length``, as is the radius of ``ball``.
    y : ndarray, shape (n,)
    T : ndarray, shape (n, m)
        Signed pre-activations ``y_n <w_i, x_n>``, in units of ``unit``.
    lengths : ndarray, shape (n,)
        ``||x_n||_2``.
    ball : L2Ball or LinfBall
    length, unit : float
        Of inputs, and of margins; powers of two.
    largest : float
        Radius of the ball in which all other neurons are closed, in the user's units.
    products : Products
        Of W.
    """

    W: np.ndarray
    neurons: np.ndarray
    bias: float
    norms: np.ndarray
    X: np.ndarray
    y: np.ndarray
    T: np.ndarray
    lengths: np.ndarray
    ball: L2Ball | LinfBall
    length: float
    unit: float
    largest: float
    products: Products

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        m, d = self.W.shape
        return f"SignedInputs(n={len(self)}, m={m}, d={d}, {self.ball!r})"

    def __getitem__(self, rows: np.ndarray) -> "SignedInputs":
        """Return the samples of an array of row numbers."""
        return replace(self, X=self.X[rows], y=self.y[rows], T=self.T[rows],
                       lengths=self.lengths[rows])

    @property
    def doubt(self) -> np.ndarray:
        """What the rounding of all pre-activations can move a margin by, shape (n,)."""
        m, d = self.W.shape
        return grain(d) * float(self.norms.sum()) * self.lengths + m * d * UNDERFLOW

    def within(self, ball: L2Ball | LinfBall) -> "SignedInputs":
        """Return the same samples in a ball that is no larger, with a radius in the user's units.

        Raises
        ------
        ValueError
            A larger ball, or one of another norm: neurons that were left out may open there.
        """
        require_scale("radius", ball.radius)
        if type(ball) is not type(self.ball) or ball.radius > self.largest:
            raise ValueError(f"ball: expected one inside of {self.ball.with_radius(self.largest)}, "
                             f"got {ball}: neurons that were left out may open there")
        length = power_of_two(ball.radius or float(np.abs(self.X).max(initial=0.0)) * self.length)
        shrink = self.length / length
        return replace(self, bias=self.bias * shrink, X=self.X * shrink, T=self.T * shrink,
                       lengths=self.lengths * shrink + UNDERFLOW,
                       ball=ball.with_radius(ball.radius / length), length=length,
                       unit=self.unit / shrink)

    def network(self) -> SymmetricReLU:
        """Return the live neurons as a network in the user's units, float64; one at least."""
        W = self.W if len(self.W) else np.zeros((1, self.X.shape[1]))
        return SymmetricReLU(W * (self.unit / self.length), self.bias * self.unit)

    def descended(self) -> np.ndarray:
        """Return perturbations of x, (n, d): jumps to the minimum of the linearised margin, from 0.

        The cheapest attack there is; where it breaks a sample no bound has to be asked for.
        """
        delta = np.zeros_like(self.X)
        least = soft_threshold(self.T, self.bias).sum(axis=1)
        U, rows = self.T, np.arange(len(self))
        for _ in range(JUMPS):
            jumps = self.ball.steepest(-(np.abs(U) > self.bias).astype(FLOAT) @ self.W)
            U = self.T[rows] + jumps @ self.W.T
            values = soft_threshold(U, self.bias).sum(axis=1)
            less = values < least[rows]
            rows, U = rows[less], U[less]
            delta[rows], least[rows] = jumps[less], values[less]
            if len(rows) == 0:
                break
        return self.y[:, None] * delta

    def margins(self, delta: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the margins at ``x + delta`` (None: at x) and how far they may be off, (n,) each.

        A neuron that is closed beyond doubt contributes exactly zero.
        """
        m, d = self.W.shape
        U, lengths = self.T, self.lengths
        if delta is not None:
            U = U + self.y[:, None] * (delta @ self.W.T)
            lengths = lengths + np.linalg.norm(delta, axis=1)
        off = grain(d) * (lengths[:, None] * self.norms + np.abs(U)) + d * UNDERFLOW
        is_open = np.abs(U) + off > self.bias
        values = np.where(is_open, soft_threshold(U, self.bias), 0.0).sum(axis=1)
        error = np.where(is_open, 2.0 * off + grain(m) * (np.abs(U) + self.bias), 0.0)
        return values, error.sum(axis=1)


def signed_inputs(network: SymmetricReLU, batch: Batch, ball: L2Ball | LinfBall) -> SignedInputs:
    """Check a network and a batch, and turn every sample to the side of its label.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing.
    batch : Batch
    ball : L2Ball or LinfBall

    Raises
    ------
    TypeError
        A network of another kind, or no batch.
    ValueError
        A smoothed network, NaN or infinity, shapes that do not fit, other labels than -1, +1;
        scales at which a float64 would over- or underflow.
    """
    require_symmetric("network", network, plain=True,
                      why="the bounds are for the plain soft threshold")
    require_batch(batch)
    weights = network.weights
    X = require_finite("X", require_array("X", batch.X, (None, weights.shape[1]), dtype=FLOAT,
                                          why="the network reads that many coordinates"))
    y = require_labels("y", batch.y, len(X), FLOAT)
    largest = max((float(np.abs(rows).max(initial=0.0)) for _, rows in _pieces(weights)),
                  default=0.0)
    longest = float(np.abs(X).max(initial=0.0))
    for name, scale in (("weights", largest), ("X", longest), ("bias", network.bias),
                        ("radius", ball.radius)):
        require_scale(name, scale)
    weight, length = power_of_two(largest), power_of_two(longest)
    X, bias = X / length, network.bias / weight / length
    lengths = np.linalg.norm(X, axis=1) + NO_SQUARE
    within = ball.with_radius(ball.radius / length)
    neurons = [np.zeros(0, np.int64)]
    for first, rows in _pieces(weights):
        beat()
        neurons.append(first + _live(rows.astype(FLOAT) / weight, bias, X, lengths, within))
    live = np.concatenate(neurons)
    W = weights[live].astype(FLOAT) / weight
    inputs = SignedInputs(W, live, bias, np.linalg.norm(W, axis=1) + NO_SQUARE, X, y,
                          y[:, None] * (X @ W.T), lengths, ball, length, weight * length,
                          ball.radius, Products(W))
    return inputs.within(ball)


def _pieces(weights: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces of the rows of finite weights, with the number of each first row."""
    for first in range(0, len(weights), ROWS):
        yield first, require_finite("weights", weights[first:first + ROWS])


def _live(W: np.ndarray, bias: float, X: np.ndarray, lengths: np.ndarray,
          ball: L2Ball | LinfBall) -> np.ndarray:
    """Which neurons may open at one sample at least, in its ball and in real arithmetic."""
    d = W.shape[1]
    norms = np.linalg.norm(W, axis=1) + NO_SQUARE
    most = np.abs(X @ W.T)
    reach = ball.radius * ball.dual_norm(W)
    most += grain(d) * (lengths[:, None] * norms + most) + (1.0 + grain(d)) * reach
    closed = most * (1.0 + 4.0 * EPS) + d * UNDERFLOW <= bias
    return np.flatnonzero(~closed.all(axis=0))


def into_ball(delta: np.ndarray, ball: L2Ball | LinfBall) -> np.ndarray:
    """Return perturbations (n, d) moved into a ball in real arithmetic, by a few roundings.

    What rounding put outside of it would prove nothing.
    """
    if isinstance(ball, LinfBall):
        return np.clip(delta, -ball.radius, ball.radius)
    norms = ball.norm(delta) * (1.0 + grain(delta.shape[1]))
    outside = norms > ball.radius
    shrink = np.ones_like(norms)
    shrink[outside] = ball.radius / norms[outside] * (1.0 - 4.0 * EPS)
    return delta * shrink[:, None]


def require_scale(name: str, largest: float) -> None:
    """Raise ValueError where numbers are so large or small that their products leave float64."""
    if largest != 0.0 and not SMALLEST <= largest <= LARGEST:
        raise ValueError(f"{name}: expected a scale from {SMALLEST:g} to {LARGEST:g} (or 0), got "
                         f"{largest:.3g}: products would over- or underflow")


def power_of_two(scale: float) -> float:
    """Return the power of two just below a scale; 1 for 0."""
    return math.ldexp(1.0, math.frexp(scale)[1] - 1) if scale > 0.0 else 1.0


def require_ball(threat: Any) -> L2Ball | LinfBall:
    """Return the ball of an L2Ball, a LinfBall or an adversary in one, or raise TypeError."""
    ball = getattr(threat, "ball", threat)
    if not isinstance(ball, (L2Ball, LinfBall)):
        raise TypeError("ball: expected L2Ball, LinfBall or an Adversary in one, such as "
                        f"L2Ball(0.1), got {ball!r}: no other ball has a bound")
    return ball


def starts(start: np.ndarray | None, X: np.ndarray, ball: L2Ball | LinfBall) -> np.ndarray:
    """Return perturbations to start from, shape (n, d), in the ball; None stands for zero."""
    if start is None:
        return np.zeros_like(X)
    start = require_array("start", start, X.shape, why="one perturbation per sample", dtype=FLOAT)
    return ball.project(require_finite("start", start)).copy()
