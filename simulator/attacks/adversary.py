"""The threat: a ball of perturbations, and the attacks that search it.

What an attacked network is measured against travels as one object: every function that attacks
or certifies takes ``(network, batch, adversary, ...)``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from simulator.attacks.suites import gradient_attacks
from simulator.attacks.worst_case import WorstCase, worst_case
from simulator.checks import require_int
from simulator.protocols import Attack, Ball, Batch, Network
from simulator.randomness import Role, stream

__all__ = ["Adversary"]


@dataclass(frozen=True)
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
        Run on the samples that are still undecided where a bracket is asked for.
    seed : int
        Seed of the attacks' random stream.
    chunk : int
        Samples attacked together (the last bit of a product depends on it).
    """

    ball: Ball
    attacks: Mapping[str, Attack] = field(default=None)  # type: ignore[assignment]
    strong: Mapping[str, Attack] = field(default_factory=dict, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    chunk: int = field(default=1000, kw_only=True)

    def __post_init__(self) -> None:
        if not hasattr(self.ball, "steepest"):
            raise TypeError(f"ball: expected a ball such as L2Ball(0.1), got {self.ball!r}")
        attacks = self.attacks
        if isinstance(attacks, type):
            raise TypeError(f"attacks: expected an attack, got the class {attacks.__name__}: "
                            f"write {attacks.__name__}()")
        if attacks is None:
            attacks = gradient_attacks()
        elif hasattr(attacks, "perturb"):
            attacks = {type(attacks).__name__.lower(): attacks}
        for name, named in (("attacks", attacks), ("strong", self.strong)):
            if not isinstance(named, Mapping):
                raise TypeError(f"{name}: expected an attack, or attacks by name such as "
                                f"{{'fgm': FGM()}}, got {named!r}")
            if "clean" in named:
                raise ValueError(f'{name}: expected other names, got "clean": it names the input '
                                 "itself")
            for word, attack in named.items():
                if not hasattr(attack, "perturb"):
                    raise TypeError(f"{name}: expected {word!r} to have a method perturb, "
                                    f"got {attack!r}")
        object.__setattr__(self, "attacks", dict(attacks))
        require_int("seed", self.seed, low=0)
        require_int("chunk", self.chunk, low=1)

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
