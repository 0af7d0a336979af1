"""The case "certificates" of `purify benchmark`: our bounds and attacks beside those of others.

The same networks, samples and radii for everybody, one thread, in this process. For each network
and radius first the attacks, then the bounds:

    attacks    ours standard, ours with the strong ones, AutoAttack
    bounds     ours one by one and all together, as :func:`certify` runs them; IBP, CROWN,
               alpha-CROWN of auto_LiRPA

Before anything is timed the outputs of a peer must be ours, and afterwards no bound may lie above
a margin that some attack reached: who disagrees computes something else, and ends the benchmark.
"""

import contextlib
import importlib.metadata
import io
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.benchmarking.peers.verifiers import AttackPeer, BoundPeer, InertError, installed_peers
from scripts.benchmarking.workers import BenchmarkError, median, spread
from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import strongest_case, worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.certificates.margins import METHODS, Certificates, certify
from simulator.jit import fixed_threads
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.robustness.bracket import in_double
from simulator.runs.environment import environment
from simulator.runs.table import Table

__all__ = ["Effort", "Subject", "compare_certificates", "tables"]

LOG = logging.getLogger("purify")
AGREEMENT = 1e-5  # of outputs, relative to the largest: AutoAttack computes in float32
ALONE = ("linear", "separable", "quadratic")  # ours that are measured one by one, to their end
EXACT = "exact"
TOGETHER = "all, branching last"
DISTRIBUTIONS = ("torch", "auto-LiRPA", "autoattack", "torchattacks")


@dataclass(frozen=True)
class Subject:
    """What is attacked and bounded.

    Attributes
    ----------
    name : str
        Of the run.
    networks : mapping of str to SymmetricReLU
    batch : Batch
    adversary : Adversary
        Its ball tells the norm; its attacks are "standard", its strong ones come on top.
    radii : list of float
    dictionary : ndarray, shape (d, d), or None
        For "separable".
    """

    name: str
    networks: Mapping[str, SymmetricReLU]
    batch: Batch
    adversary: Adversary
    radii: list[float]
    dictionary: np.ndarray | None


@dataclass(frozen=True)
class Effort:
    """How long everybody may try.

    Attributes
    ----------
    boxes : int
        Of our branch and bound, for each sample.
    repeats : int
        How often each is timed.
    iterations : int
        Steps of alpha-CROWN.
    queries : int
        Of AutoAttack's random search.
    """

    boxes: int
    repeats: int
    iterations: int
    queries: int


def compare_certificates(subjects: list[Subject], effort: Effort) -> dict[str, Any]:
    """Attack and bound every sample by everybody; return machine and rows.

    Raises
    ------
    BenchmarkError
        A peer has other outputs than ours, or a bound lies above a margin that was reached.
    TypeError, ValueError
        Networks or samples that have no certificate.
    """
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    with fixed_threads(1), _quiet():
        peers = installed_peers(effort.iterations, effort.queries)
        refused: dict[str, str] = {}
        alive = {(name, method): peer for name, peer in peers.bounds.items()
                 for method in peer.methods if _is_alive(name, peer, method, refused)}
        rows = []
        for subject in subjects:
            for network in subject.networks:
                for key in range(len(subject.radii)):
                    place = _Place(subject, network, key, effort, alive, peers.attacks)
                    LOG.info("%s", place)
                    rows += place.measure()
    machine = environment(1) | {
        "load_before": load, "versions": _versions(), "absent": peers.absent,
        "refused": [f"{name}: {why}" for name, why in refused.items()],
        "boxes": effort.boxes, "repeats": effort.repeats, "iterations": effort.iterations,
        "queries": effort.queries}
    return {"machine": machine, "rows": rows}


def _is_alive(name: str, peer: BoundPeer, method: str, refused: dict[str, str]) -> bool:
    try:
        peer.require_alive(method)
    except InertError as error:
        refused[f"{name} {method}"] = f"refused: {error}"
        return False
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to themselves what peers print (stdout may hold JSON) and what they warn of."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _versions() -> dict[str, str]:
    found = {}
    for name in DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


class _Place:
    """One network at one radius."""

    def __init__(self, subject: Subject, phase: str, key: int, effort: Effort,
                 bounds: Mapping[tuple[str, str], BoundPeer],
                 attacks: Mapping[str, AttackPeer]) -> None:
        self.subject, self.phase, self.key, self.effort = subject, phase, key, effort
        self.bound_peers, self.attack_peers = bounds, attacks
        self.network, X, y = in_double(subject.networks[phase], subject.batch)
        self.batch = Batch(X, y)
        self.adversary = subject.adversary.at(subject.radii[key])
        self.ball: Any = self.adversary.ball
        if not isinstance(self.ball, (L2Ball, LinfBall)):
            raise TypeError(f"adversary: expected an L2Ball or a LinfBall, got {self.ball!r}: the "
                            "bounds know these")
        self.outputs = self.network.forward(X)
        self.slack = AGREEMENT * float(np.abs(self.outputs).max())
        self.rows: list[dict[str, Any]] = []

    def __str__(self) -> str:
        return f"{self.subject.name}, {self.phase}: {self.norm} radius {self.ball.radius:.4g}"

    @property
    def norm(self) -> str:
        return "l2" if isinstance(self.ball, L2Ball) else "linf"

    def measure(self) -> list[dict[str, Any]]:
        """Return the rows: attacks, our bounds, those of others."""
        self._attack()
        bounds = self._own_bounds() | self._bounds_of_peers()
        for (who, method), found in bounds.items():
            self._require_below(f"{who} {method}", found)
        return self.rows

    def _attack(self) -> None:
        self.reached = self.outputs * self.batch.y
        for method, attack in (("standard", worst_case), ("standard and strong", strongest_case)):
            worst, seconds = self._timed(
                lambda: attack(self.network, self.batch, self.adversary, key=self.key))
            self._attacked("ours", method, worst.margins, seconds)
        self.start, self.attacked = worst.delta, worst.margins
        for name, peer in self.attack_peers.items():
            self._agree(name, peer)
            delta, seconds = self._asked(name, lambda: self.ball.project(
                peer.attack(self.batch.X, self.batch.y, self.ball)))
            self._attacked(name, "", self.network.margins(self.batch.X + delta, self.batch.y),
                           seconds)

    def _attacked(self, who: str, method: str, margins: np.ndarray, seconds: list[float]) -> None:
        self.reached = np.minimum(self.reached, margins)
        self._add(who, method, seconds, len(margins),
                  attacked=float(np.mean(np.minimum(margins, self.batch.y * self.outputs) > 0.0)))

    def _own_bounds(self) -> dict[tuple[str, str], np.ndarray]:
        alone = [(name,) for name in ALONE]
        branching = tuple(name for name in METHODS if name != EXACT)
        # only where there is such a stage, and linear programs have only boxes for balls
        exact = [METHODS] if EXACT in METHODS and self.norm == "linf" else []
        found = {}
        for methods in [*alone, branching, *exact]:
            label = methods[0] if len(methods) == 1 else (
                TOGETHER if methods[-1] != EXACT else "all, exact last")
            sign, seconds = self._timed(lambda: self._certify(methods, 0.0))
            open_samples = int((~np.isnan(sign.margins_of[methods[0]])).sum())
            extra: dict[str, Any] = {"certified": float(np.mean(sign.margins > 0.0))}
            if len(methods) == 1:
                whole, longer = self._timed(lambda: self._certify(methods, np.inf))
                extra |= {"gap": self._gap(whole.margins),
                          "whole_seconds": median(longer) / len(self.outputs)}
                found["ours", label] = whole.margins
            else:
                found["ours", label] = sign.margins
            self._add("ours", label, seconds, open_samples, **extra)
        return found

    def _certify(self, methods: tuple[str, ...], target: float) -> Certificates:
        dictionary = self.subject.dictionary if self.norm == "l2" else None
        return certify(self.network, self.batch, self.ball, methods=methods, target=target,
                       start=self.start, dictionary=dictionary, boxes=self.effort.boxes)

    def _bounds_of_peers(self) -> dict[tuple[str, str], np.ndarray]:
        found = {}
        for (name, method), peer in self.bound_peers.items():
            self._agree(name, peer)
            bounds, seconds = self._asked(f"{name} {method}", lambda: peer.bounds(
                method, self.batch.X, self.batch.y, self.ball))
            self._add(name, method, seconds, len(bounds),
                      certified=float(np.mean(bounds > 0.0)), gap=self._gap(bounds),
                      whole_seconds=median(seconds) / len(bounds))
            found[name, method] = bounds
        return found

    def _agree(self, name: str, peer: BoundPeer | AttackPeer) -> None:
        """Hand the network over; it must have our outputs."""
        peer.load(self.network.weights, self.network.bias)
        off = float(np.abs(peer.forward(self.batch.X) - self.outputs).max())
        if not off <= self.slack:
            raise BenchmarkError(f"{self}: {name} computes outputs that are off by {off:.3g} "
                                 f"(tolerance {self.slack:.3g}): different mathematics must not "
                                 "be compared")

    def _require_below(self, name: str, bounds: np.ndarray) -> None:
        """No bound may be above what an attack reached."""
        above = bounds - self.reached
        worst = int(np.argmax(np.where(np.isnan(above), -np.inf, above)))
        if above[worst] > self.slack:
            raise BenchmarkError(f"{self}: {name} bounds the margin of sample {worst} by "
                                 f"{bounds[worst]:.6g} and an attack reached "
                                 f"{self.reached[worst]:.6g}: one of them is wrong")

    def _gap(self, bounds: np.ndarray) -> float:
        return float(np.mean(self.attacked - bounds))

    def _asked(self, name: str, work: Callable[[], Any]) -> tuple[Any, list[float]]:
        """Like :meth:`_timed`, of somebody else's work: whatever it dies of, it has a name."""
        try:
            return self._timed(work)
        except Exception as error:
            raise BenchmarkError(f"{self}: {name}: {type(error).__name__}: "
                                 f"{' '.join(str(error).split())}") from error

    def _timed(self, work: Callable[[], Any]) -> tuple[Any, list[float]]:
        """Return what the work gives, and CPU seconds of each time; once more before, untimed.

        That compiles and caches. All samples take part: the first may be one that nothing is done
        for, and peers prepare for the very samples.
        """
        work()
        seconds = []
        for _ in range(self.effort.repeats):
            began = time.process_time()
            found = work()
            seconds.append(time.process_time() - began)
        return found, seconds

    def _add(self, who: str, method: str, seconds: list[float], tried: int,
             **numbers: float | None) -> None:
        each = [total / tried for total in seconds] if tried else []
        self.rows.append({
            "case": "certificates", "run": self.subject.name, "network": self.phase,
            "norm": self.norm, "radius": self.ball.radius, "n": len(self.outputs),
            "implementation": who, "method": method, "tried": tried, "attacked": None,
            "certified": None, "gap": None, "whole_seconds": None,
            "seconds": median(each) if each else None,
            "spread": spread(each) if each else None, **numbers})


def tables(found: Mapping[str, Any]) -> list[Table]:
    """Return a table for each network and radius."""
    places: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        places.setdefault(f"{row['run']}, {row['network']}, {row['norm']} radius "
                          f"{row['radius']:.4g}, {row['n']} samples", []).append(row)
    return [Table(title, ("attacked", "certified", "gap", "ms", "spread", "ms to the end"), tuple(
        (f"{row['implementation']}: {row['method']}".rstrip(": "), (
            row["attacked"], row["certified"], row["gap"], _ms(row["seconds"]),
            _ms(row["spread"]), _ms(row["whole_seconds"]))) for row in rows))
        for title, rows in places.items()]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds
