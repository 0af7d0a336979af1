"""``purify simulate``: run one simulation, and show what came of it.

The numbers go to stdout, progress and messages to stderr; everything is kept in a run folder,
with figures and a page to read (purify view). The same command again finds the run and shows its
numbers; --resume goes on with one that was interrupted, and starts where there is none.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scripts.command import DIVERGED, INTERRUPTED, OK, explained, guarded, ready, show, tell
from scripts.options import (Parser, add_config_options, add_format_option, add_out_option,
                             require_memory, settings_of)
from scripts.progress import Progress

if TYPE_CHECKING:
    from simulator.runs.config import Config
    from simulator.runs.folder import RunFolder
    from simulator.runs.run import Run

__all__ = ["main", "parser"]

LOG = logging.getLogger("purify")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a simulation; return the exit code."""
    return guarded("purify simulate", lambda: _simulate(parser().parse_args(argv)),
                   own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify simulate", description=__doc__)
    add_config_options(built)
    add_out_option(built)
    built.add_argument("--resume", action="store_true",
                       help="continue an unfinished run, or start one where there is none")
    built.add_argument("--dry-run", action="store_true",
                       help="print settings, memory, disk and time, and do nothing")
    built.add_argument("--no-figures", action="store_true",
                       help="leave the figures and the page out")
    add_format_option(built, "the summary")
    return built


def _simulate(arguments: argparse.Namespace) -> int:
    from simulator.experiments import config_of, experiment_module
    settings = settings_of(arguments)
    ready()
    from simulator.runs.folder import RunFolder
    config = config_of(settings)
    require_memory([config])
    experiment_module(config.MODEL).check(config)
    if arguments.dry_run:
        return _tell_cost(config)
    before = RunFolder.of(arguments.out, config)
    if (not arguments.resume and (before.path / "config.json").exists()
            and before.status().get("state") == "diverged"):
        tell(f"purify simulate: {before.path}: {before.status().get('error', 'diverged')}: the "
             "same settings diverge again: change them, or add --resume to try from its last good "
             "state")
        return DIVERGED
    return _run(arguments, config, RunFolder.create(arguments.out, config, arguments.resume))


def _run(arguments: argparse.Namespace, config: "Config", folder: "RunFolder") -> int:
    """Do the run or find it done; show its numbers before anything is drawn."""
    from simulator.errors import Diverged, Stopped
    from simulator.experiments import experiment_module, stored
    there = folder.status().get("state") == "done"
    if there:
        result = stored(folder.path)
    else:
        try:
            with Progress() as progress:
                result = experiment_module(config.MODEL).simulate(config, folder, progress)
        except Diverged as error:
            tell(f"purify simulate: {error}; {folder.path} keeps the last good state")
            return DIVERGED
        except Stopped:
            tell(f"purify simulate: interrupted; add --resume to continue {folder.path}")
            return INTERRUPTED
    from scripts.tables import summary_text
    from simulator.runs.files import json_text
    show(json_text(result.summary) if arguments.format == "json"
         else summary_text(config, result.summary))
    if there:
        LOG.info("%s: was there already, nothing to run; purify plot draws its figures, purify "
                 "view opens its page", folder.path)
        return OK
    LOG.info("run folder: %s", folder.path)
    return OK if arguments.no_figures else _draw(result, folder)


def _draw(result: "Run", folder: "RunFolder") -> int:
    """Draw the figures; the run is complete, whatever Matplotlib or the place do."""
    try:
        from scripts.view import write_run_page
        from theory import draw_run, drawings
        drawn = drawings(result)
        draw_run(result, folder.path / "figures", drawn)
        LOG.info("page: %s (purify view %s opens it)", write_run_page(folder.path, drawn),
                 folder.path)
    except KeyboardInterrupt:
        tell(f"purify simulate: interrupted while drawing; {folder.path} is complete, and purify "
             "plot draws its figures")
        return INTERRUPTED
    except Exception as error:
        LOG.warning("warning: no figures: %s", explained(error)[1])
    return OK


def _tell_cost(config: "Config") -> int:
    from scripts.costs import size
    from simulator.experiments import experiment_module
    from simulator.runs.cost import duration, gemm_rate, seconds
    from simulator.runs.files import json_text
    need = experiment_module(config.MODEL).cost(config)
    rate = gemm_rate(need.product, config.dtype, config.threads)
    show(f"""{json_text(config.to_dict())}
memory      {need.memory / 2**20:.0f} MiB at the peak
disk        about {size(need.disk)}
products    {(need.training_flops + need.evaluation_flops) / 1e12:.3g} Tflop
steps       {need.steps} of training
time        about {duration(seconds(need, rate))} (an estimate from a product timed just now: \
{rate / 1e9:.3g} Gflop/s)""")
    return OK


if __name__ == "__main__":
    sys.exit(main())
