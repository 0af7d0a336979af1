"""The ``purify`` command. Each subcommand is loaded only when it runs, so ``--help`` is quick.

Exit codes: 0 ok, 1 a claim failed, 2 bad input, 3 diverged, 130 interrupted.
"""

import importlib
import sys
from collections.abc import Sequence

from scripts.options import Parser

__all__ = ["main"]

COMMANDS = {
    "simulate": "run clean then adversarial training and look at the network",
    "sweep": "many runs: a grid, in processes, pieces or on Dask, and one table",
    "verify": "confront the claims of the theory with runs; verdicts and a report",
    "plot": "redraw the figures of a run from its folder",
    "benchmark": "time our steps beside NumPy, PyTorch and JAX",
    "info": "versions, processor, BLAS and threads",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(prog="purify", description="Simulate the theory of adversarial training: "
                    "why adversarial examples exist and what adversarial training does.")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    if not argv or argv[0] in ("-h", "--help"):
        parser.print_help()
        return 0
    if argv[0] not in COMMANDS:
        parser.error(f"{argv[0]}: expected one of {', '.join(COMMANDS)}")
    command = importlib.import_module(f"scripts.{argv[0]}")
    return int(command.main(argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
