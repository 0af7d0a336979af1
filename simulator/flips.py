"""Which neurons carry a change of the output: gates that were open, that opened, that closed.

Along the straight line from x to x + delta a neuron's input moves from u_i to ``u_i + s_i`` with
``s_i = <w_i, delta>``, and the soft threshold follows it for the share theta_i of the way on which
its gate is open. So the change of the margin is an exact sum over neurons,

    y (f(x + delta) - f(x)) = sum_i y theta_i s_i,
    theta_i = (S_b(u_i + s_i) - S_b(u_i)) / s_i  in [0, 1],

and with ``w_i = p_i + v_i`` (pure part and mixture, :mod:`simulator.features`) each term splits as
``theta_i <p_i, delta> + theta_i <v_i, delta>``. A neuron with a closed gate at both ends has
theta_i = 0; one that is open on the same side at both ends has theta_i = 1.

The split is a reading of "what flips a sample", derived here: Allen-Zhu & Li (arXiv 2005.10190)
bound the parts one by one and do not add them up.
"""

from dataclasses import dataclass

import numpy as np

from simulator.checks import require_array, require_labels
from simulator.features import Decomposition, require_decomposition
from simulator.networks.symmetric_relu import SymmetricReLU, require_symmetric, soft_threshold

__all__ = ["EVENTS", "KINDS", "PARTS", "FlipMechanism", "flip_mechanism"]

EVENTS = ("shifted", "opened", "closed")
PARTS = ("pure", "mixture")
KINDS = ("feature", "loser")
ROWS = 100  # samples at a time: a few (rows, m) arrays in memory


@dataclass(frozen=True)
class FlipMechanism:
    """The change of the margins, and what each kind of neuron contributed.

    Attributes
    ----------
    change : ndarray, shape (n,)
        ``y (f(x + delta) - f(x))``, negative where the perturbation does harm.
    amounts : ndarray, shape (n, 3, 2, 2)
        Contributions to it, by ``EVENTS`` (gate open at both ends, only after, only before),
        ``PARTS`` (own features, dense mixture) and ``KINDS`` (feature neurons, losers). They
        add up to ``change``.
    gates : ndarray, shape (n, 3, 2)
        How many neurons each event happened to, by ``KINDS``.
    """

    change: np.ndarray
    amounts: np.ndarray
    gates: np.ndarray

    def shares(self) -> dict[str, float]:
        """Return shares of the mean change, which add up to 1 within each way of splitting.

        Keys: ``EVENTS``; ``PARTS``; ``KINDS``; and each event with each part, as in
        "opened mixture". A share below 0 works against the others. NaN where the mean change
        is zero.
        """
        total = self.change.sum()
        if len(self.change) == 0 or total == 0.0:
            table = np.full((3, 2, 2), np.nan)
        else:
            table = self.amounts.sum(axis=0) / total
        result = dict(zip(EVENTS, table.sum(axis=(1, 2))))
        result |= dict(zip(PARTS, table.sum(axis=(0, 2))))
        result |= dict(zip(KINDS, table.sum(axis=(0, 1))))
        for row, event in enumerate(EVENTS):
            for column, part in enumerate(PARTS):
                result[f"{event} {part}"] = table[row, column].sum()
        return {name: float(value) for name, value in result.items()}


def flip_mechanism(network: SymmetricReLU, X: np.ndarray, y: np.ndarray, delta: np.ndarray,
                   parts: Decomposition, dictionary: np.ndarray | None = None) -> FlipMechanism:
    """Split the change of each margin by neurons; in double precision whatever the network's.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing.
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,)
    delta : ndarray, shape (n, d)
        Perturbations of X.
    parts : Decomposition
        Of the network's weights.
    dictionary : ndarray, shape (d, d), or None
        The dictionary of ``parts``; None is the identity.

    Raises
    ------
    ValueError
        Shapes that do not fit, parts of other weights or in another dictionary, or a smoothed
        network: its gates are never open or closed.
    """
    require_symmetric("network", network, plain=True,
                      why="the split is by gates that are open or closed")
    require_decomposition(parts)
    double = np.dtype(np.float64)
    W = network.weights.astype(np.float64)
    d = W.shape[1]
    X = require_array("X", X, (None, d), why=f"the network reads d = {d} coordinates",
                      dtype=double)
    y = require_labels("y", y, len(X), double)
    delta = require_array("delta", delta, X.shape, why="one perturbation a sample", dtype=double)
    pure = _pure_parts(W, parts, dictionary)
    change = np.empty(len(X))
    amounts, gates = np.empty((len(X), 3, 2, 2)), np.empty((len(X), 3, 2))
    for start in range(0, len(X), ROWS):
        rows = slice(start, start + ROWS)
        change[rows], amounts[rows], gates[rows] = _split(
            X[rows] @ W.T, delta[rows] @ W.T, delta[rows] @ pure.T, y[rows], network.bias,
            parts.is_feature_neuron)
    return FlipMechanism(change, amounts, gates)


def _pure_parts(W: np.ndarray, parts: Decomposition,
                dictionary: np.ndarray | None) -> np.ndarray:
    """Return p_i in the coordinates of the inputs, shape (m, d)."""
    C, pure = W, parts.pure
    if dictionary is not None:
        M = require_array("dictionary", dictionary, (W.shape[1],) * 2, dtype=W.dtype)
        C, pure = W @ M, pure @ M.T
    # the same product, rounded once more or less
    if pure.shape != W.shape or not np.allclose(parts.coefficients, C, rtol=0.0,
                                                atol=1e-9 * float(np.abs(C).max())):
        raise ValueError("parts: expected the decomposition of these weights in this dictionary, "
                         f"got another, of {len(pure)} neurons")
    return pure


def _split(U: np.ndarray, steps: np.ndarray, pure_steps: np.ndarray, y: np.ndarray, b: float,
           is_feature: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return change (n,), amounts (n, 3, 2, 2) and gates (n, 3, 2) of (n, m) inputs and steps."""
    before, after = soft_threshold(U, b), soft_threshold(U + steps, b)
    moved = after - before
    theta = np.divide(moved, steps, out=np.zeros_like(moved), where=steps != 0.0)
    pure = theta * pure_steps
    is_open, stays_open = before != 0.0, after != 0.0
    events = (is_open & stays_open, ~is_open & stays_open, is_open & ~stays_open)
    amounts, gates = np.empty((len(y), 3, 2, 2)), np.empty((len(y), 3, 2))
    for row, event in enumerate(events):
        for kind, marked in enumerate((is_feature, ~is_feature)):
            chosen = event & marked
            amounts[:, row, 0, kind] = y * np.sum(pure, axis=1, where=chosen)
            amounts[:, row, 1, kind] = y * np.sum(moved - pure, axis=1, where=chosen)
            gates[:, row, kind] = chosen.sum(axis=1)
    return y * moved.sum(axis=1), amounts, gates
