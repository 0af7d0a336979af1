"""Keep the registers of verdicts, ``theory/<paper>/judged.json``: for those who change claims.

    python -m scripts.register                                # thresholds and plans as they are now
    python -m scripts.register runs/verify-desk/findings.json # and the verdicts of these findings

Run it after a change of a claim's thresholds or runs, and after its verdicts were written into a
README. What was entered stays: a claim that differs from a verdict of its own must say why
(``changed``), and tests/house asks for it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import theory
from scripts.command import OK, guarded, show
from scripts.verify import today
from simulator.experiments import PAPERS
from simulator.runs.files import read_json, write_json
from theory.confirmation import entered

__all__ = ["main"]

ROOT = Path(theory.__file__).parent


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the registers; return the exit code."""
    return guarded("scripts.register", lambda: _register(argv), own=argv is None)


def _register(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.register", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("findings", nargs="*", type=Path, metavar="FILE",
                        help="findings.json with verdicts on judging seeds, to be entered")
    given = [entry for file in parser.parse_args(argv).findings
             for entry in read_json(file).get("findings", ())]
    known = {entry.name: theory.claims(entry.name) for entry in PAPERS}
    strange = {entry["id"] for entry in given} - {
        theorem.claim.id for theorems in known.values() for theorem in theorems}
    if strange:
        raise ValueError(f"findings: expected claims of the project, got {', '.join(strange)}")
    new = {}
    for paper, theorems in known.items():
        file = ROOT / paper / "judged.json"
        ids = {theorem.claim.id for theorem in theorems}
        new[file] = entered(read_json(file) if file.exists() else {}, theorems, paper, today(),
                            [entry for entry in given if entry["id"] in ids])
    for file, register in new.items():  # all or none
        write_json(file, register)
        show(f"{file}: {len(register)} claims, "
             f"{sum(len(entry['verdicts']) for entry in register.values())} verdicts")
    return OK


if __name__ == "__main__":
    sys.exit(main())
