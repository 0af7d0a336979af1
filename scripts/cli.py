"""The ``purify`` command. Each subcommand is loaded only when it runs, so ``--help`` is quick.

Exit codes: 0 ok, 1 a claim failed or a certificate does not verify, 2 bad input, 3 diverged or
some run is not done, 130 interrupted.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scripts.command import guarded, show

if TYPE_CHECKING:
    from scripts.options import Parser

__all__ = ["COMMANDS", "command", "main"]

COMMANDS = {
    "simulate": "run clean then adversarial training and look at the network",
    "sweep": "many runs: a grid, in processes, pieces or on Dask, and one table",
    "verify": "confront the claims of the theory with runs; verdicts and a report",
    "certify": "prove what holds around samples of a run, so that others can check it",
    "check": "re-verify certificates from the weights alone",
    "plot": "redraw the figures of a run from its folder, or its training as a GIF",
    "view": "open the page of a run, of a sweep or of verdicts in the browser",
    "export": "the networks and samples of a run for other verifiers: ONNX, VNN-LIB",
    "bracket": "certified and attacked accuracy of a network that was trained elsewhere",
    "benchmark": "time our steps beside NumPy, PyTorch and JAX",
    "settings": "every setting of a run: type, meaning, value in each preset",
    "info": "version, processor, BLAS, threads and caches",
    "completion": "a script by which bash or zsh complete the commands",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit code."""
    typed = list(sys.argv[1:] if argv is None else argv)
    return guarded("purify", lambda: _dispatch(typed), own=argv is None)


def command(name: str) -> "Parser":
    """Return the parser of a subcommand."""
    parser: Parser = importlib.import_module(f"scripts.{name}").parser()
    return parser


def _dispatch(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        return int(importlib.import_module(f"scripts.{argv[0]}").main(argv[1:]))
    if argv[:1] == ["--version"]:
        from simulator import __version__
        show(f"purify {__version__}")
        return 0
    from scripts.options import Parser
    from simulator.names import hint
    parser = Parser(prog="purify", description="Simulate the theory of adversarial training: "
                    "why adversarial examples exist and what adversarial training does.",
                    epilog="purify COMMAND --help explains a command.")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    if not argv or argv[0] in ("-h", "--help"):
        parser.print_help()
        return 0
    parser.error(f"{argv[0]}: expected a command; {hint(argv[0], COMMANDS)}")


if __name__ == "__main__":
    sys.exit(main())
