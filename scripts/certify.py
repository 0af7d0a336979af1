"""``purify certify``: certificates of a run's networks that anybody can check.

For each network, radius and sample: all attacks, then the bounds from cheap to dear, up to branch
and bound. The verdicts, the proofs behind them and the counterexamples go to a folder, with the
inputs and the weights that they are about; purify check re-verifies them from these alone. The
table on stdout has the shares of samples that are certified, broken and left open.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.command import OK, guarded, ready, show
from scripts.options import Parser, add_format_option
from scripts.progress import Progress

if TYPE_CHECKING:
    from simulator.experiments.certificate_files import CertificateSet
    from simulator.runs.run import Run

__all__ = ["main", "parser"]

LOG = logging.getLogger("purify")
BOXES = 200  # close nearly every bracket of the presets
FEW = 20  # samples, where the run certified none itself


def main(argv: Sequence[str] | None = None) -> int:
    """Certify the samples of a run; return the exit code."""
    return guarded("purify certify", lambda: _certify(parser().parse_args(argv)), own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify certify", description=__doc__)
    built.add_argument("run", metavar="RUN", type=Path,
                       help="run folder, as printed by purify simulate")
    built.add_argument("--radius", metavar="R", type=float, action="append", dest="radii",
                       help="of the perturbations; may be given again (default: the run's tau)")
    built.add_argument("--samples", metavar="N", type=int,
                       help="the first N test samples (default: as many as the run certified, "
                       f"or {FEW})")
    built.add_argument("--phase", metavar="NAME", action="append", dest="phases",
                       help="clean or adversarial; may be given again (default: both)")
    built.add_argument("--boxes", metavar="N", type=int, default=BOXES,
                       help="boxes of branch and bound for each sample and radius (default: "
                       f"{BOXES})")
    built.add_argument("--out", metavar="DIR", type=Path,
                       help="folder for the certificates (default: certificates in the run folder)")
    built.add_argument("--force", action="store_true", help="write over certificates")
    built.add_argument("--dry-run", action="store_true", help="say what would be done, and where")
    add_format_option(built, "the table")
    return built


def _certify(arguments: argparse.Namespace) -> int:
    ready()
    from simulator.errors import RunError
    from simulator.experiments import stored
    from simulator.experiments.certificate_files import occupied, write_certificates
    run = stored(arguments.run)
    wanted = _wanted(run, arguments)
    place = arguments.out or arguments.run / "certificates"
    if occupied(place) and not arguments.force:
        raise RunError(f"{place}: expected no certificates, found some: choose another --out, or "
                       "--force to write over them")
    if arguments.dry_run:
        show(f"networks  {', '.join(wanted['networks'])}\n"
             f"radii     {', '.join(f'{radius:.4g}' for radius in wanted['radii'])}\n"
             f"samples   {len(wanted['batch'])}\nboxes     {arguments.boxes} for each of them\n"
             f"folder    {place}")
        return OK
    from simulator.experiments.certification import certificates_of
    with Progress() as progress:
        found = certificates_of(**wanted, boxes=arguments.boxes, progress=progress)
    write_certificates(place, found, arguments.force)
    _show(found, arguments.format)
    LOG.info("certificates: %s; purify check re-verifies them", place)
    return OK


def _wanted(run: "Run", arguments: argparse.Namespace) -> dict[str, Any]:
    """What is certified of a run, as arguments of certificates_of.

    Raises
    ------
    RunError
        The run is one of another model, or its networks have no certificate.
    ValueError
        A phase, a radius or a number of samples that the run does not have.
    """
    from simulator.balls import L2Ball
    from simulator.checks import require_choice, require_int, require_radii
    from simulator.errors import RunError
    from simulator.experiments import PAPERS, paper
    from simulator.runs.config import config_hash
    config = run.config
    if paper(config.MODEL) != PAPERS[0]:
        raise RunError(f"{arguments.run}: expected a run of {PAPERS[0].name}, got one of "
                       f"{paper(config.MODEL).name}: certificates are written for the symmetric "
                       "network alone")
    if config.smoothing > 0.0:
        raise RunError(f"{arguments.run}: expected networks without smoothing, got smoothing="
                       f"{config.smoothing:g}: the bounds are for the plain soft threshold")
    known = ("clean", "adversarial")
    phases = [require_choice("--phase", name, known) for name in arguments.phases or known]
    samples = (config.bracket_samples or min(FEW, config.test_samples)
               if arguments.samples is None else
               require_int("--samples", arguments.samples, low=1, high=config.test_samples,
                           why="the run has that many test samples"))
    radii = require_radii("--radius", sorted(set(arguments.radii or [config.tau])))
    require_int("--boxes", arguments.boxes, low=1)
    dictionary = run.experiment.data.dictionary if isinstance(run.adversary.ball, L2Ball) else None
    return {"networks": {name: run.network(name) for name in dict.fromkeys(phases)},
            "batch": run.test_set[:samples], "adversary": run.adversary, "radii": radii,
            "dictionary": dictionary,
            "settings": {"run": f"{config.name}-{config_hash(config)}"}}


def _show(found: "CertificateSet", form: str) -> None:
    from scripts.tables import table_lines
    from simulator.experiments.certification import shares
    from simulator.runs.files import json_text
    table = shares(found)
    if form == "json":
        show(json_text([{"what": label, **dict(zip(table.columns, cells)), "n": len(found.X)}
                        for label, cells in table.rows]))
    else:
        show("\n".join(table_lines(table)))


if __name__ == "__main__":
    sys.exit(main())
