"""``purify check``: re-verify certificates from the weights alone.

A separate checker, which shares no code with the prover, evaluates each proof in exact arithmetic
and each counterexample too: what it accepts is true of real numbers. With --run the weights must be
those of that run; without it, the claims are about the networks that the folder holds. Exit code 0:
all of them verify, 1: some do not, and each is told with its reason.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.command import FAILED, OK, guarded, ready, show
from scripts.options import Parser, add_format_option
from scripts.progress import Progress

if TYPE_CHECKING:
    from simulator.certificates.checker.verdict import Checked
    from simulator.experiments.certificate_files import CertificateSet, Claim

__all__ = ["main", "parser"]


def main(argv: Sequence[str] | None = None) -> int:
    """Check certificates; return the exit code, 1 where some do not verify."""
    return guarded("purify check", lambda: _check(parser().parse_args(argv)), own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify check", description=__doc__)
    built.add_argument("certificates", metavar="CERTIFICATES", type=Path,
                       help="folder of certificates, as printed by purify certify")
    built.add_argument("--run", metavar="DIR", type=Path,
                       help="run folder whose networks they must be about")
    add_format_option(built, "what does and does not verify")
    return built


def _check(arguments: argparse.Namespace) -> int:
    ready()
    from simulator.experiments.certificate_files import read_certificates
    from simulator.experiments.certification import check_claims
    certificates = read_certificates(arguments.certificates)
    if arguments.run is not None:
        _require_weights(certificates, arguments.run)
    with Progress() as progress:
        found = list(check_claims(certificates, progress))
    _show(certificates, found, arguments.format)
    return OK if found and all(checked.holds for _, checked in found) else FAILED


def _require_weights(certificates: "CertificateSet", path: Path) -> None:
    """Raise RunError where the certificates are about other networks than a run's."""
    from simulator.errors import RunError
    from simulator.experiments import stored
    from simulator.experiments.certificate_files import digest
    run = stored(path)
    for name, network in certificates.networks.items():
        try:
            other: Any = run.network(name)
            there, here = digest(other.weights, other.bias), digest(*network)
        except (AttributeError, KeyError, ValueError):
            raise RunError(f"{path}: expected a run with a network {name}, got one without"
                           ) from None
        if there != here:
            raise RunError(f"{path}: network {name}: expected the weights of hash {here:.12}, "
                           f"which are certified, got those of {there:.12}")


def _show(certificates: "CertificateSet", found: "Sequence[tuple[Claim, Checked]]",
          form: str) -> None:
    from simulator.experiments.certificate_files import VERDICTS, digest
    from simulator.runs.files import json_text
    failed = [(claim, checked) for claim, checked in found if not checked.holds]
    if form == "json":
        show(json_text({"claims": len(found), "verified": len(found) - len(failed), "failed": [
            {"network": claim.network, "sample": claim.sample, "radius": claim.radius,
             "verdict": claim.verdict, "reason": checked.reason} for claim, checked in failed]}))
        return
    lines = [f"network {name}: SHA-256 {digest(*network)}"
             for name, network in certificates.networks.items()]
    for verdict in VERDICTS:
        those = [checked.holds for claim, checked in found if claim.verdict == verdict]
        lines.append(f"{verdict:<10}{sum(those)} of {len(those)} verify")
    lines += [f"{claim.network}, sample {claim.sample}, radius {claim.radius:.4g}: "
              f"{claim.verdict}: does not verify: {checked.reason}" for claim, checked in failed]
    show("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
