"""What the case "certificates" asks of a peer, which ones there are, and which are here.

Peers read the network as the export writes it, two layers with 2 m units in pairs:

    f(x) = a^T relu(B x + c),    B = [W; -W],    c = -b,    a = [1 ... 1, -1 ... -1]

They are large and optional; what is not here is left out, with a line that says what to install.
"""

import importlib.util
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from simulator.balls import L2Ball, LinfBall

__all__ = ["PEERS", "AttackPeer", "BoundPeer", "InertError", "Peer", "Present",
           "installed_peers", "two_layers"]


class InertError(Exception):
    """A method does not do what its name says here; the message tells how that was noticed."""


class BoundPeer(Protocol):
    """Somebody else's lower bounds of ``y f(x + delta)`` over a ball."""

    @property
    def methods(self) -> Sequence[str]:
        """The bounds it has."""
        ...

    def load(self, weights: np.ndarray, bias: float) -> None:
        """Take the network: W (m, d) and the shared threshold b."""
        ...

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Return f(x), shape (n,)."""
        ...

    def require_alive(self, method: str) -> None:
        """Raise InertError where a method is known to give the numbers of another one here."""
        ...

    def bounds(self, method: str, X: np.ndarray, y: np.ndarray,
               ball: L2Ball | LinfBall) -> np.ndarray:
        """Return a lower bound of each margin, shape (n,); called again, for the time it takes."""
        ...


class AttackPeer(Protocol):
    """Somebody else's attacks."""

    def load(self, weights: np.ndarray, bias: float) -> None:
        """Take the network: W (m, d) and the shared threshold b."""
        ...

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Return f(x), shape (n,)."""
        ...

    def attack(self, X: np.ndarray, y: np.ndarray, ball: L2Ball | LinfBall) -> np.ndarray:
        """Return perturbations, shape (n, d); they are projected and scored again."""
        ...


class Peer(NamedTuple):
    """A peer that may be here.

    Attributes
    ----------
    name : str
    packages : tuple of str
        Import names; one of them is enough. Each also needs torch.
    install : str
        What to do where it is not here.
    open_bounds, open_attack : callable or None
        Called with the import name that is here and the effort of the plan; imports the package.
    """

    name: str
    packages: tuple[str, ...]
    install: str
    open_bounds: Callable[[str, int], BoundPeer] | None = None
    open_attack: Callable[[str, int], AttackPeer] | None = None


class Present(NamedTuple):
    """The peers that are here, by name, and a line for each that is not."""

    bounds: dict[str, BoundPeer]
    attacks: dict[str, AttackPeer]
    absent: list[str]


def _lirpa(package: str, effort: int) -> BoundPeer:
    from scripts.benchmarking.peers.lirpa import Lirpa
    return Lirpa(effort)


def _autoattack(package: str, effort: int) -> AttackPeer:
    from scripts.benchmarking.peers.auto_attack import AutoAttack
    return AutoAttack(package, effort)


PEERS = (
    # the one on PyPI, 0.3 of 2022, wants torch < 1.13, so no extra can name it
    Peer("auto_LiRPA", ("auto_LiRPA",), "pip install 'torch<2.14', and auto_LiRPA from "
         "github.com/Verified-Intelligence/auto_LiRPA", open_bounds=_lirpa),
    Peer("AutoAttack", ("autoattack", "torchattacks"), "pip install -e '.[peers]'",
         open_attack=_autoattack))


def installed_peers(iterations: int, queries: int) -> Present:
    """Import the peers that are installed.

    Parameters
    ----------
    iterations : int
        Steps of optimisation of bounds.
    queries : int
        Queries of the random search of attacks.
    """
    here = Present({}, {}, [])
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for peer in PEERS:
        package = next((name for name in peer.packages if _found(name)), None)
        if package is None or not _found("torch"):
            missing = " or ".join(peer.packages) if package is None else "torch"
            here.absent.append(f"{peer.name}: {missing} is not installed ({peer.install})")
            continue
        try:
            if peer.open_bounds is not None:
                here.bounds[peer.name] = peer.open_bounds(package, iterations)
            if peer.open_attack is not None:
                here.attacks[peer.name] = peer.open_attack(package, queries)
        except Exception as error:  # another's package: whatever it dies of, it is left out
            here.absent.append(f"{peer.name}: {package} does not load: {type(error).__name__}: "
                               f"{' '.join(str(error).split())[:200]} ({peer.install})")
    root.handlers[:], root.level = handlers, level  # auto_LiRPA takes them over
    return here


def _found(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def two_layers(weights: np.ndarray, bias: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return B (2m, d), c (2m,) and a (1, 2m) of the network as two layers."""
    m = len(weights)
    ones = np.ones((1, m), weights.dtype)
    return (np.concatenate([weights, -weights]), np.full(2 * m, -bias, weights.dtype),
            np.concatenate([ones, -ones], axis=1))
