"""``purify plot RUN``: redraw the figures of a finished run from its folder."""

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.options import Parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the figures; return 0, or 2 where there is no finished run."""
    parser = Parser(prog="purify plot", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder, as printed by purify simulate")
    arguments = parser.parse_args(argv)
    from simulator.errors import RunError
    from simulator.experiments import stored_config
    from simulator.runs.folder import RunFolder
    from simulator.runs.stages import stored_result
    try:
        folder = RunFolder.existing(arguments.run)
        if not folder.is_done():
            state = folder.status().get("state", "without a status")
            raise RunError(f"{folder.path}: expected a finished run, got one that is "
                           f"{state if state != 'done' else 'done but has changed files'}")
        config, result = stored_config(folder), stored_result(folder)
    except RunError as error:
        print(f"purify plot: error: {error}", file=sys.stderr)
        return 2
    from theory.papers import draw_run
    for path in draw_run(config, result, folder.path / "figures"):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
