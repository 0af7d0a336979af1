"""``purify plot``: draw the figures of a finished run from its folder, or its training as a GIF."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.command import OK, guarded, ready, show
from scripts.options import Parser, add_force_option, require_free

__all__ = ["main", "parser"]


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the figures; return 0, or 2 where there is no finished run."""
    return guarded("purify plot", lambda: _plot(parser().parse_args(argv)), own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify plot", description=__doc__)
    built.add_argument("run", metavar="RUN", type=Path,
                       help="run folder, as printed by purify simulate")
    built.add_argument("--out", metavar="DIR", type=Path,
                       help="folder for the figures (default: figures in the run folder, where "
                       "they are drawn anew)")
    built.add_argument("--animate", action="store_true",
                       help="write its training as training.gif, in place of the figures")
    add_force_option(built)
    return built


def _plot(arguments: argparse.Namespace) -> int:
    ready()
    from simulator.experiments import stored
    from simulator.runs.folder import RunFolder
    from theory import animate, draw_run, drawings
    from theory.drawing.style import SUFFIXES
    run, own = stored(arguments.run), arguments.run / "figures"
    folder: Path = arguments.out or own
    figures = {} if arguments.animate else drawings(run)
    files = [f"{name}.{suffix}" for name in figures for suffix in SUFFIXES]
    require_free([folder / name for name in files or ["training.gif"]],
                 arguments.force or folder.resolve() == own.resolve(),
                 read=RunFolder(arguments.run).files())
    drawn = ([animate(run, folder / "training.gif")] if arguments.animate
             else draw_run(run, folder, figures))
    show("\n".join(map(str, drawn)))
    return OK


if __name__ == "__main__":
    sys.exit(main())
