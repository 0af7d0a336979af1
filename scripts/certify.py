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
from scripts.options import (Parser, add_force_option, add_format_option, add_selection_options,
                             chosen_radii, chosen_samples, require_free)
from scripts.progress import Progress
from simulator.names import require_known

if TYPE_CHECKING:
    from simulator.experiments.certificate_files import CertificateSet
    from simulator.runs.run import Run

__all__ = ["main", "parser"]

LOG = logging.getLogger("purify")
BOXES = 200  # close nearly every bracket of the presets


def main(argv: Sequence[str] | None = None) -> int:
    """Certify the samples of a run; return the exit code."""
    return guarded("purify certify", lambda: _certify(parser().parse_args(argv)), own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify certify", description=__doc__)
    built.add_argument("run", metavar="RUN", type=Path,
                       help="run folder, as printed by purify simulate")
    add_selection_options(built)
    built.add_argument("--boxes", metavar="N", type=int, default=BOXES,
                       help="boxes of branch and bound for each sample and radius (default: "
                       f"{BOXES})")
    built.add_argument("--out", metavar="DIR", type=Path,
                       help="folder for the certificates (default: certificates in the run folder)")
    add_force_option(built)
    built.add_argument("--dry-run", action="store_true", help="say what would be done, and where")
    add_format_option(built, "the table")
    return built


def _certify(arguments: argparse.Namespace) -> int:
    ready()
    from simulator.experiments import stored
    from simulator.experiments.certificate_files import FILES, write_certificates
    from simulator.runs.folder import RunFolder
    run = stored(arguments.run)
    wanted = _wanted(run, arguments)
    place: Path = arguments.out or arguments.run / "certificates"
    require_free([place / name for name in FILES], arguments.force,
                 read=RunFolder(arguments.run).files())
    if arguments.dry_run:
        show(f"networks  {', '.join(wanted['networks'])}\n"
             f"radii     {', '.join(f'{radius:.4g}' for radius in wanted['radii'])}\n"
             f"samples   {len(wanted['batch'])}\nboxes     {arguments.boxes} for each of them\n"
             f"folder    {place}")
        return OK
    from simulator.experiments.certification import certificates_of
    from simulator.runs.files import require_usable
    require_usable(next(path for path in (place, *place.absolute().parents) if path.exists()))
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
    from simulator.checks import require_int
    from simulator.errors import RunError
    from simulator.experiments import PAPERS, paper
    from simulator.experiments.feature_purification.experiment import PHASES
    from simulator.runs.config import config_hash
    config = run.config
    if paper(config.MODEL) != PAPERS[0]:
        raise RunError(f"{arguments.run}: expected a run of {PAPERS[0].name}, got one of "
                       f"{paper(config.MODEL).name}: certificates are written for the symmetric "
                       "network alone")
    if config.smoothing > 0.0:
        raise RunError(f"{arguments.run}: expected networks without smoothing, got smoothing="
                       f"{config.smoothing:g}: the bounds are for the plain soft threshold")
    phases = [require_known("--phase", name, PHASES) for name in arguments.phase or PHASES]
    samples = chosen_samples(arguments.samples, config.bracket_samples, config.test_samples)
    require_int("--boxes", arguments.boxes, low=1)
    radii = chosen_radii(arguments.radius or [config.tau])
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
