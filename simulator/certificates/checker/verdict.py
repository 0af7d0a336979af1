"""Whether a claim about a margin follows from what is given as its proof."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.checker.bounds import leaves_bound, separable_bound
from simulator.certificates.checker.exact import Exact, float_below
from simulator.certificates.checker.problem import ExactNetwork, Problem, Unproven
from simulator.certificates.proofs import Leaf, Proof
from simulator.checks import require_array, require_finite, require_labels

__all__ = ["Checked", "ExactNetwork", "check_counterexample", "check_proof"]

FLOAT = np.dtype(np.float64)


@dataclass(frozen=True)
class Checked:
    """What the checker found.

    Attributes
    ----------
    holds : bool
        The claim is true of the real numbers that the weights, the sample and the proof are.
    value : float
        Of a proof: what it does prove, a lower bound of the margin in the whole ball (NaN where it
        proves nothing). Of a counterexample: its margin.
    reason : str
        Why the claim does not hold, in one line; "" where it does.
    """

    holds: bool
    value: float
    reason: str = ""


def check_proof(network: ExactNetwork, x: Any, y: float, ball: L2Ball | LinfBall, proof: Proof, *,
                dictionary: np.ndarray | None = None) -> Checked:
    """Ask whether the margin of a sample is at least ``proof.lower`` in the whole ball.

    Parameters
    ----------
    network : ExactNetwork
    x : ndarray, shape (d,)
    y : float
        -1 or +1.
    ball : L2Ball or LinfBall
    proof : Proof
    dictionary : ndarray, shape (d, d), or None
        Of a separable proof: features in its columns; None is the identity.

    Returns
    -------
    Checked
        With ``value`` at least ``proof.lower`` where the claim holds: what is proved is compared
        with what is claimed exactly, without any tolerance.

    Raises
    ------
    TypeError, ValueError
        The sample or the ball are none.
    """
    x, y = _sample(network, x, y)
    if not isinstance(ball, (L2Ball, LinfBall)):
        raise TypeError(f"ball: expected an L2Ball or a LinfBall, got {ball!r}")
    try:
        _require_sound(proof, network, ball)
        problem = Problem.of(network, x, y, ball)
        if proof.method == "separable":
            bound: Fraction | None = separable_bound(problem, proof.lam, dictionary)
        else:
            least = leaves_bound(problem, proof)
            bound = None if least is None else least.fraction()
    except (Unproven, TypeError, ValueError) as flaw:
        return Checked(False, float("nan"), str(flaw))
    if bound is None:
        return Checked(False, float("nan"), "leaves: expected a part of the ball that is not "
                       "empty, got none")
    value = float_below(bound)
    if Fraction(float(proof.lower)) <= bound:
        return Checked(True, value)
    return Checked(False, value, f"lower: expected at most {value:.6g}, which is what is proved, "
                   f"got {proof.lower:.6g}")


def check_counterexample(network: ExactNetwork, x: Any, y: float, ball: L2Ball | LinfBall,
                         delta: Any, upper: float = 0.0) -> Checked:
    """Ask whether ``x + delta`` is in the ball and its margin at most ``upper``.

    Parameters
    ----------
    network, x, y, ball
        As in :func:`check_proof`.
    delta : ndarray, shape (d,)
    upper : float
        0: the sample is broken.

    Returns
    -------
    Checked
    """
    x, y = _sample(network, x, y)
    try:
        delta = require_finite("delta", require_array("delta", delta, x.shape, dtype=FLOAT))
    except (TypeError, ValueError) as flaw:
        return Checked(False, float("nan"), str(flaw))
    margin = network.margin(x, y, delta).fraction()
    value = 0.0 - float_below(-margin)
    exact, r = Exact.of(delta), Exact.of(ball.radius)
    inside = ((exact * exact).sum() <= r * r if isinstance(ball, L2Ball)
              else abs(exact) <= r)
    if not inside.all():
        return Checked(False, value, f"delta: expected a point of the ball of radius "
                       f"{ball.radius:.6g}, got one of norm {ball.norm(delta[None])[0]:.6g}")
    if not (np.isfinite(upper) and margin <= Fraction(float(upper))):
        return Checked(False, value, f"upper: expected at least {value:.6g}, the margin at delta, "
                       f"got {upper:.6g}")
    return Checked(True, value)


def _sample(network: ExactNetwork, x: Any, y: float) -> tuple[np.ndarray, float]:
    x = require_finite("x", require_array("x", x, (network.weights.shape[1],), dtype=FLOAT))
    return x, float(require_labels("y", [y], 1, FLOAT)[0])


def _require_sound(proof: Proof, network: ExactNetwork, ball: L2Ball | LinfBall) -> None:
    """Raise Unproven for a proof that is none: shapes, numbers and neurons that do not fit."""
    m, d = network.weights.shape
    if not np.isfinite(proof.lower):
        raise Unproven(f"lower: expected a finite number, got {proof.lower}")
    if proof.method == "separable":
        if not (np.isfinite(proof.lam) and proof.lam >= 0.0):
            raise Unproven(f"lam: expected a number of at least 0, got {proof.lam}")
        return
    named = np.concatenate([_neurons("linear", proof.linear, m),
                            _neurons("neurons", proof.neurons, m)])
    if len(np.unique(named)) < len(named):
        raise Unproven("neurons: expected each neuron once, got one twice: it would count twice")
    _places("cores", proof.cores, len(proof.neurons) * d)
    if not proof.leaves:
        raise Unproven("leaves: expected at least one, got none")
    for number, leaf in enumerate(proof.leaves):
        try:
            _require_leaf(leaf, len(proof.neurons), m, d, ball)
        except (TypeError, ValueError) as flaw:
            raise Unproven(f"leaf {number}: {flaw}") from None


def _require_leaf(leaf: Leaf, q: int, m: int, d: int, ball: L2Ball | LinfBall) -> None:
    k = len(_neurons("cut_neurons", leaf.cut_neurons, m))
    _numbers("cut_limits", leaf.cut_limits, k)
    if not np.isin(_numbers("cut_sides", leaf.cut_sides, k), (-1.0, 1.0)).all():
        raise ValueError("cut_sides: expected -1 and +1, got others")
    if leaf.empty >= 0:
        return
    _numbers("slopes", leaf.slopes, q)
    _numbers("curvatures", leaf.curvatures, q)
    if len(leaf.core_slopes):
        _numbers("core_slopes", leaf.core_slopes, q)
    _numbers("point", leaf.point, d)
    lam = _numbers("lam", leaf.lam, 1 if isinstance(ball, L2Ball) else d)
    if not (lam >= 0.0).all():
        raise ValueError(f"lam: expected at least 0, got {lam.min():.6g}")


def _neurons(name: str, value: Any, m: int) -> np.ndarray:
    return _places(name, value, m, "neurons")


def _places(name: str, value: Any, count: int, what: str = "places") -> np.ndarray:
    value = np.asarray(value)
    if value.ndim != 1 or (value.size and value.dtype.kind not in "iu"):
        raise ValueError(f"{name}: expected a list of {what}, got an array of {value.dtype} and "
                         f"shape {value.shape}")
    if value.size and not (0 <= value.min() and value.max() < count):
        raise ValueError(f"{name}: expected {what} from 0 to {count - 1}, got {value.min()} to "
                         f"{value.max()}")
    return value.astype(int)


def _numbers(name: str, value: Any, length: int) -> np.ndarray:
    return require_finite(name, require_array(name, value, (length,), dtype=FLOAT))
