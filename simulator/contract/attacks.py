"""What an attack must fulfil."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.checks import require_int
from simulator.contract.networks import in_single
from simulator.contract.rules import Rule, expect, expect_equal, expect_methods, obeyed
from simulator.protocols import Attack, Ball, Batch, Network
from simulator.randomness import Role, stream

__all__ = ["ATTACK_RULES", "check_attack"]


@dataclass(frozen=True)
class _AttackCase:
    attack: Any
    network: Any
    X: np.ndarray
    y: np.ndarray
    ball: Any
    seed: int

    def perturb(self, X: np.ndarray | None = None, y: np.ndarray | None = None,
                network: Any = None) -> Any:
        return self.attack.perturb(self.network if network is None else network,
                                   self.X if X is None else X, self.y if y is None else y,
                                   self.ball, stream(self.seed, Role.EVALUATION_ATTACK))


def _attack_has_its_method(case: _AttackCase) -> None:
    expect_methods(case.attack, ("perturb",))


def _answers_with_a_perturbation(case: _AttackCase) -> None:
    found = case.perturb()
    for name in ("delta", "zero_gradients"):
        expect(hasattr(found, name), "a Perturbation(delta, zero_gradients)",
               type(found).__name__)
    expect(isinstance(found.delta, np.ndarray) and found.delta.shape == case.X.shape,
           f"delta of shape {case.X.shape}", getattr(found.delta, "shape", type(found.delta)))
    expect(found.delta.dtype == np.float64, "delta of the dtype of X, float64",
           found.delta.dtype)
    expect(np.isfinite(found.delta).all(), "a finite delta", "NaN or infinite entries")
    blind = found.zero_gradients
    expect(isinstance(blind, (int, np.integer)) and not isinstance(blind, bool)
           and 0 <= blind <= len(case.X), f"zero_gradients from 0 to {len(case.X)}", repr(blind))


def _searches_its_ball(case: _AttackCase) -> None:
    delta = case.ball.project(case.perturb().delta)
    lengths = case.ball.norm(delta)
    expect((lengths <= case.ball.radius * (1.0 + 1e-9)).all(),
           f"a projection of length up to {case.ball.radius:g}", f"{lengths.max():g}")
    expect(lengths.any(), "a perturbation of at least one sample", "zero for all of them")


def _attack_keeps_its_inputs(case: _AttackCase) -> None:
    network, X, y = copy.deepcopy(case.network), case.X.copy(), case.y.copy()
    case.perturb(X, y, network)
    expect_equal(X, case.X, "X as it was")
    expect_equal(y, case.y, "y as it was")
    expect_equal(network.weights, case.network.weights, "weights as they were")


def _attack_takes_read_only_arrays(case: _AttackCase) -> None:
    X, y = case.X.copy(), case.y.copy()
    X.flags.writeable = y.flags.writeable = False
    case.perturb(X, y)


def _draws_from_its_generator(case: _AttackCase) -> None:
    expect_equal(case.perturb().delta, case.perturb().delta, "the same delta from the same seed")


def _attack_works_in_single_precision(case: _AttackCase) -> None:
    network = in_single(case.network)
    labels = case.y.astype(np.float32) if case.y.dtype == np.float64 else case.y
    delta = case.perturb(case.X.astype(np.float32), labels, network).delta
    expect(delta.dtype == np.float32, "delta of the dtype of X, float32", delta.dtype)


_ATTACK = "simulator/protocols.py, Attack"

ATTACK_RULES = (
    Rule("method", _attack_has_its_method, "training and evaluation call it", _ATTACK),
    Rule("perturbation", _answers_with_a_perturbation, "the caller projects it and scores it again",
         "simulator/protocols.py, Perturbation"),
    Rule("ball", _searches_its_ball, "an attack that moves nothing shows no robustness", _ATTACK),
    Rule("inputs", _attack_keeps_its_inputs, "the next attack sees the same samples", _ATTACK),
    Rule("read-only", _attack_takes_read_only_arrays,
         "stored and shared samples cannot be written to", _ATTACK),
    Rule("same seed", _draws_from_its_generator, "equal settings give equal runs",
         "simulator/randomness.py"),
    Rule("float32", _attack_works_in_single_precision, "large sweeps run in it",
         "simulator/protocols.py: every array of a run has one dtype"),
)


def check_attack(attack: Attack, network: Network, batch: Batch, ball: Ball, *,
                 seed: int = 0) -> tuple[str, ...]:
    """Check an attack on a network, a few samples and a ball.

    Parameters
    ----------
    attack : Attack
    network : Network
        One that the attack is made for, with float64 weights.
    batch : Batch
        At least two samples.
    ball : Ball
        Of a radius above 0.
    seed : int
        Of the attack's random numbers.

    Returns
    -------
    tuple of str
        The rules that hold.

    Raises
    ------
    ContractError
        A rule is broken.
    """
    if len(batch) < 2:
        raise ValueError(f"batch: expected at least two samples, got {len(batch)}")
    case = _AttackCase(attack, network, np.array(batch.X, np.float64), np.array(batch.y), ball,
                       require_int("seed", seed, low=0))
    return obeyed(attack, ATTACK_RULES, case)
