"""The threat: a ball of perturbations, and the attacks that search it.

What an attacked network is measured against travels as one object: every function that attacks
or certifies takes ``(network, batch, adversary, ...)``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from simulator.attacks.suites import gradient_attacks
from simulator.attacks.worst_case import WorstCase, strongest_case, worst_case
from simulator.checks import require_int
from simulator.protocols import Attack, Ball, Batch, Network
from simulator.randomness import Role, stream

__all__ = ["Adversary"]


@dataclass(frozen=True, init=False)
class Adversary:
    """Who attacks: where it may go, how it searches, and from which random stream.

    Attributes
    ----------
    ball : Ball
        The perturbations allowed.
    attacks : mapping of str to Attack, or an Attack, or None
        Run on every sample. One attack alone is named after its class; None takes FGM and
        PGD, which need no universal direction.
    strong : mapping of str to Attack
        Run on the samples that the attacks leave right, wherever the worst of all is asked for:
        accuracy curves, critical radii, brackets.
    seed : int
        Seed of the attacks' random stream.
    chunk : int
        Samples attacked together (the last bit of a product depends on it).
    """

    ball: Ball
    attacks: Mapping[str, Attack]
    strong: Mapping[str, Attack]
    seed: int
    chunk: int

    def __init__(self, ball: Ball, attacks: Attack | Mapping[str, Attack] | None = None, *,
                 strong: Mapping[str, Attack] | None = None, seed: int = 0,
                 chunk: int = 1000) -> None:
        if isinstance(ball, type) or not hasattr(ball, "steepest"):
            raise TypeError(f"ball: expected a ball such as L2Ball(0.1), got {ball!r}")
        settings = {"ball": ball, "attacks": _by_name("attacks", attacks),
                    "strong": _by_name("strong", {} if strong is None else strong),
                    "seed": require_int("seed", seed, low=0),
                    "chunk": require_int("chunk", chunk, low=1)}
        for name, value in settings.items():  # frozen from here on
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        strong = f", strong: {', '.join(self.strong)}" if self.strong else ""
        return (f"Adversary({self.ball!r}, attacks: {', '.join(self.attacks)}{strong}, "
                f"seed={self.seed}, chunk={self.chunk})")

    def at(self, radius: float) -> "Adversary":
        """Return the same adversary in the ball of another radius."""
        return replace(self, ball=self.ball.with_radius(radius))

    @property
    def attack(self) -> Attack:
        """Its only attack, as adversarial training takes one; ValueError if it has several."""
        if len(self.attacks) != 1:
            raise ValueError("adversary: expected one attack to train against, got "
                             f"{len(self.attacks)} ({', '.join(self.attacks)})")
        return next(iter(self.attacks.values()))

    def stream(self, key: int = 0) -> np.random.Generator:
        """Return the generator of one call: ``key`` tells the calls of a measurement apart."""
        return stream(self.seed, Role.EVALUATION_ATTACK, key)

    def worst_case(self, network: Network, batch: Batch, key: int = 0) -> WorstCase:
        """Return what the attacks found together; see :func:`worst_case`."""
        return worst_case(network, batch, self, key=key)

    def strongest_case(self, network: Network, batch: Batch, key: int = 0) -> WorstCase:
        """Return what they and the strong ones found together; see :func:`strongest_case`."""
        return strongest_case(network, batch, self, key=key)


def _by_name(name: str, attacks: Attack | Mapping[str, Attack] | None) -> dict[str, Attack]:
    """Return attacks by name, or raise in one line."""
    if attacks is None:
        return gradient_attacks()
    if isinstance(attacks, type):
        raise TypeError(f"{name}: expected an attack, got the class {attacks.__name__}: "
                        f"write {attacks.__name__}()")
    if not isinstance(attacks, Mapping):
        if not hasattr(attacks, "perturb"):
            raise TypeError(f"{name}: expected an attack, or attacks by name such as "
                            f"{{'fgm': FGM()}}, got {attacks!r}")
        attacks = {type(attacks).__name__.lower(): attacks}
    if "clean" in attacks:
        raise ValueError(f'{name}: expected other names, got "clean": it names the input itself')
    for word, attack in attacks.items():
        if isinstance(attack, type) or not hasattr(attack, "perturb"):
            raise TypeError(f"{name}: expected {word!r} to have a method perturb, got {attack!r}")
    return dict(attacks)
