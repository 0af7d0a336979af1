"""Make certificates that others can check, and check them.

For each network, radius and sample: all attacks of the adversary, strong ones among them, then the
certificates from cheap to dear, with the multipliers or boxes that prove the bound. What comes of
it is a :class:`~simulator.experiments.certificate_files.CertificateSet`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import WorstCase, require_adversary, worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.certificates.checker.verdict import (Checked, ExactNetwork, check_counterexample,
                                                    check_proof)
from simulator.certificates.margins import certify
from simulator.checks import require_int, require_radii
from simulator.experiments.certificate_files import (BROKEN, CERTIFIED, OPEN, VERDICTS,
                                                     CertificateSet, Claim)
from simulator.heartbeat import beat, listening
from simulator.jit import fixed_threads
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.robustness.bracket import in_double
from simulator.runs.stages import Progress, silent
from simulator.runs.table import Table

__all__ = ["certificates_of", "check_claims", "shares"]

PAUSE = 0.2  # seconds between two heartbeats that are passed on


def certificates_of(networks: Mapping[str, SymmetricReLU], batch: Batch, adversary: Adversary, *,
                    radii: Sequence[float], boxes: int = 200,
                    dictionary: np.ndarray | None = None,
                    settings: Mapping[str, Any] | None = None,
                    progress: Progress = silent) -> CertificateSet:
    """Attack and certify every sample for every network and radius.

    Parameters
    ----------
    networks : mapping of str to SymmetricReLU
        Without smoothing.
    batch : Batch
        At least one sample.
    adversary : Adversary
        In an l2 or l_inf ball, whose own radius is not used.
    radii : sequence of float
        Ascending.
    boxes : int
        Of branch and bound, for each sample and radius.
    dictionary : ndarray, shape (d, d), or None
        For the separable bounds in an l2 ball; None is the identity.
    settings : mapping or None
        Plain data to be stored with the certificates, beside ``boxes`` and ``seed``.
    progress : callable
        Called with (samples done, samples in all, which network and radius); may raise Stopped.

    Raises
    ------
    TypeError, ValueError
        Networks, samples, radii or an adversary that have no certificate.
    """
    require_adversary(adversary)
    radii = require_radii("radii", radii)
    require_int("boxes", boxes, low=1)
    if not isinstance(adversary.ball, (L2Ball, LinfBall)):
        raise TypeError(f"adversary: expected an L2Ball or a LinfBall, got {adversary.ball!r}: the "
                        "certificates know these")
    plain = {name: in_double(network, batch) for name, network in networks.items()}
    _, X, y = next(iter(plain.values()))
    claims: list[Claim] = []
    total = len(plain) * len(radii) * len(X)
    with fixed_threads(1):  # small matrices, one sample at a time: a second thread waits
        for name, (network, _, _) in plain.items():
            for key, radius in enumerate(radii):
                threat = replace(adversary.at(radius),
                                 attacks={**adversary.attacks, **adversary.strong})
                with _heard(progress, len(claims), total, f"{name}, radius {radius:.4g}"):
                    attacked = worst_case(network, Batch(X, y), threat, key=key)
                for sample in range(len(X)):
                    with _heard(progress, len(claims), total, f"{name}, radius {radius:.4g}"):
                        claims.append(_claim(name, network, Batch(X, y), sample, threat, attacked,
                                             boxes, dictionary))
    weights = {name: (network.weights, float(network.bias))
               for name, (network, _, _) in plain.items()}
    return CertificateSet("l2" if isinstance(adversary.ball, L2Ball) else "linf", weights, X, y,
                          tuple(claims), dictionary,
                          {"boxes": boxes, "seed": adversary.seed, **(settings or {})})


def _claim(name: str, network: SymmetricReLU, batch: Batch, sample: int, threat: Adversary,
           attacked: WorstCase, boxes: int, dictionary: np.ndarray | None) -> Claim:
    """Certify one sample from where the attacks ended."""
    rows = slice(sample, sample + 1)
    found = certify(network, batch[rows], threat, start=attacked.delta[rows], boxes=boxes,
                    dictionary=dictionary, proofs=True)
    upper, proof = float(found.upper[0]), found.proofs[0]
    lower = float("nan") if proof is None else proof.lower
    if upper <= 0.0:
        verdict, method = BROKEN, _breaker(attacked, sample)
    elif proof is not None and lower > 0.0:
        verdict, method = CERTIFIED, proof.method
    else:
        verdict, method = OPEN, ""
    return Claim(name, sample, threat.ball.radius, verdict, method, lower, upper,
                 found.delta[0], proof)


def _breaker(attacked: WorstCase, sample: int) -> str:
    """The first attack that broke a sample, or the search of the certificates."""
    broke = [name for name, margins in attacked.margins_of.items() if not margins[sample] > 0.0]
    return next(iter(broke), "search")


def check_claims(certificates: CertificateSet,
                 progress: Progress = silent) -> Iterator[tuple[Claim, Checked]]:
    """Go through the claims with the separate checker: what it says of each.

    Parameters
    ----------
    certificates : CertificateSet
    progress : callable
        Called with (claims done, claims in all, which network and radius); may raise Stopped.

    Yields
    ------
    Claim, Checked
        ``Checked.holds`` where the verdict, ``lower`` and ``upper`` all follow from the weights.
    """
    exact = {name: ExactNetwork.of(*network) for name, network in certificates.networks.items()}
    total = len(certificates.claims)
    for number, claim in enumerate(certificates.claims):
        with _heard(progress, number, total, f"{claim.network}, radius {claim.radius:.4g}"):
            beat()
            found = _checked(certificates, exact[claim.network], claim)
        yield claim, found


def _checked(certificates: CertificateSet, network: ExactNetwork, claim: Claim) -> Checked:
    """Check the parts of one claim until one does not hold."""
    x, y = certificates.X[claim.sample], float(certificates.y[claim.sample])
    ball = certificates.ball(claim.radius)
    met = check_counterexample(network, x, y, ball, claim.delta, claim.upper)
    if not met.holds:
        return met
    if claim.verdict == BROKEN and claim.upper > 0.0:
        return Checked(False, met.value, f"upper: expected at most 0 of a broken sample, got "
                       f"{claim.upper:.6g}")
    if claim.proof is None:
        if claim.verdict == CERTIFIED or claim.lower == claim.lower:
            return Checked(False, met.value, "proof: expected one of a lower bound, got none")
        return met
    for name, told, own in (("lower", claim.lower, claim.proof.lower),
                            ("method", claim.method, claim.proof.method)):
        if told != own and (name == "lower" or claim.verdict == CERTIFIED):
            return Checked(False, met.value, f"{name}: expected that of the proof, {own}, got "
                           f"{told}")
    if claim.verdict == CERTIFIED and not claim.lower > 0.0:
        return Checked(False, met.value, f"lower: expected more than 0 of a certified sample, got "
                       f"{claim.lower:.6g}")
    return check_proof(network, x, y, ball, claim.proof, dictionary=certificates.dictionary)


def shares(certificates: CertificateSet) -> Table:
    """Return the shares of verdicts for each network and radius, and by which methods."""
    rows: dict[str, list[Claim]] = {}
    for claim in certificates.claims:
        rows.setdefault(f"{claim.network}, radius {claim.radius:.4g}", []).append(claim)
    return Table(f"shares of {len(certificates.X)} samples, {certificates.norm}",
                 (*VERDICTS, "by"), tuple((label, (
                     *(float(np.mean([claim.verdict == verdict for claim in claims]))
                       for verdict in VERDICTS),
                     _methods(claims))) for label, claims in rows.items()))


def _methods(claims: Sequence[Claim]) -> str:
    methods = [claim.method for claim in claims if claim.verdict == CERTIFIED]
    return ", ".join(f"{name} {methods.count(name)}" for name in dict.fromkeys(methods))


@contextmanager
def _heard(progress: Progress, done: int, total: int, what: str) -> Iterator[None]:
    """Tell ``progress`` where the work is, now and at its heartbeats; it may stop it by raising."""
    last = -float("inf")

    def hear() -> None:
        nonlocal last
        if time.monotonic() - last >= PAUSE:
            last = time.monotonic()
            progress(done, total, what)

    hear()
    with listening(hear):
        yield
