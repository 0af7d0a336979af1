"""``purify sweep``: many runs, and one table of them all.

``purify sweep merge DIR`` writes the table of runs that were done in pieces. The path of the
table goes to stdout, progress and messages to stderr. A page beside it shows each quantity against
what varies (purify view).
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.command import DIVERGED, INTERRUPTED, OK, explained, guarded, ready, show, tell
from scripts.options import (Parser, add_config_options, add_out_option, add_workers_option, flat,
                             merged, read_file, require_free, require_memory)
from scripts.progress import Stop, shown

if TYPE_CHECKING:
    from simulator.runs.config import Config
    from simulator.sweeps.local import Outcome
    from simulator.sweeps.plan import Plan

__all__ = ["main", "parser"]

LOG = logging.getLogger("purify")
FILES = ("plan.json", "summary.csv", "summary_mean.csv", "report.html")  # of a sweep's folder
BUSY = "busy elsewhere"  # another process does it, and tells its end
EPILOG = """purify sweep merge DIR writes the table of a sweep from its run folders. Exit codes: 0
all runs are done, 2 bad input, 3 some run diverged, failed or is missing, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sweep or merge one; return the exit code."""
    typed = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        if typed[:1] == ["merge"]:
            return _merge(_merge_parser().parse_args(typed[1:]))
        return _sweep(parser().parse_args(typed))

    return guarded("purify sweep", work, own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify sweep", description=__doc__, epilog=EPILOG)
    add_config_options(built)
    built.add_argument("--grid", metavar="KEY=V,V", action="append", default=[],
                       help="values of a setting, as in d=64,128 or k=round(d**0.45)")
    built.add_argument("--seeds", metavar="N", type=int,
                       help="seeds of each combination, from --seed on (default: 1)")
    add_out_option(built)
    built.add_argument("--resume", action="store_true", help="continue unfinished runs")
    built.add_argument("--retry-failed", action="store_true",
                       help="try diverged and failed runs again")
    add_workers_option(built)
    where = built.add_mutually_exclusive_group()
    where.add_argument("--shard", metavar="I/N",
                       help="do piece I of N, from 0; afterwards purify sweep merge")
    where.add_argument("--dask", metavar="ADDRESS",
                       help="do the runs on a Dask scheduler, or local for one on this machine")
    built.add_argument("--pages", action="store_true",
                       help="also write the page of every run that has none, a few seconds each")
    built.add_argument("--dry-run", action="store_true",
                       help="list the runs with memory, disk and time, and do nothing")
    return built


def _merge_parser() -> Parser:
    built = Parser(prog="purify sweep merge",
                   description="Write the table of a sweep from its run folders.")
    built.add_argument("folder", metavar="DIR", type=Path,
                       help="the sweep's folder, or the folder for runs around it")
    return built


def _plan(arguments: argparse.Namespace) -> "Plan":
    """Put file and flags together: --grid replaces the file's values of the same setting."""
    from simulator.sweeps.plan import grid_axis, plan_runs
    content = read_file(arguments.config)
    tables = {key: content.pop(key, kind()) for key, kind in (("grid", dict), ("run", list))}
    for key, kind in (("grid", dict), ("run", list)):
        if not isinstance(tables[key], kind):
            raise ValueError(f"{arguments.config}: {key}: expected "
                             f"{'a table' if kind is dict else 'tables [[run]]'}")
    seeds = content.pop("seeds", 1)
    for table in tables["run"]:
        if not isinstance(table, dict):
            raise ValueError(f"{arguments.config}: run: expected tables [[run]]")
        flat(arguments.config, table)
    grid = {key: value if isinstance(value, list) else [value]
            for key, value in tables["grid"].items()}
    for values in grid.values():
        flat(arguments.config, dict(zip(map(str, range(len(values))), values)))
    axes = dict(map(grid_axis, arguments.grid))
    if len(axes) < len(arguments.grid):
        raise ValueError("--grid: expected each setting once: its values are separated by commas")
    settings = merged(arguments, {"threads": 1} | flat(arguments.config, content))
    return plan_runs(settings, grid | axes, tables["run"],
                     seeds if arguments.seeds is None else arguments.seeds)


def _sweep(arguments: argparse.Namespace) -> int:
    ready()
    from simulator.checks import require_int
    from simulator.sweeps.local import left_to_do, write_summary
    from simulator.sweeps.plan import describe, save_plan, shard_of
    if arguments.workers is not None:
        require_int("--workers", arguments.workers, low=1)
    piece = shard_of(arguments.shard) if arguments.shard is not None else None
    plan = _plan(arguments)
    require_free([arguments.out / plan.folder_name / name for name in FILES], force=True,
                 read=[] if arguments.config is None else [arguments.config])
    _check_runs(plan.configs)
    configs = plan.configs if piece is None else plan.shard(*piece)
    if not configs:
        LOG.info("nothing to do for shard %s: there are %d runs, one to a piece", arguments.shard,
                 len(plan.configs))
        return OK
    if arguments.dry_run:
        return _list(plan, configs, arguments)
    todo, settled = left_to_do(arguments.out, configs, arguments.resume, arguments.retry_failed)
    if arguments.dask and todo:
        from simulator.sweeps.dask import reach
        reach(arguments.dask)
    folder = save_plan(arguments.out, plan)
    LOG.info("%s: %d runs, %d settled before, %d to do", folder, len(configs), len(settled),
             len(todo))
    with Stop() as stop:
        for outcome in shown(len(configs), len(settled), _engine(arguments, todo, stop),
                             lambda config: describe(plan, config)):
            settled.append(outcome)
    busy = {outcome.config for outcome in settled if outcome.state == BUSY}
    if piece is not None:
        LOG.info("when every piece is done: purify sweep merge %s", folder)
    else:
        path, settled = write_summary(folder, plan)
        show(str(path))
        _write_pages(folder, settled if arguments.pages else ())
    if stop():
        tell(f"purify sweep: interrupted; add --resume to continue {folder}")
        return INTERRUPTED
    return _closing(arguments.out, [replace(outcome, state=BUSY)
                                    if outcome.config in busy and outcome.state != "done"
                                    else outcome for outcome in settled])


def _check_runs(configs: "Sequence[Config]") -> None:
    """Refuse, before anything is done, settings that no run could be made of."""
    from simulator.experiments import experiment_module
    from simulator.sweeps.plan import distinct
    require_memory(distinct(configs))
    for config in distinct(configs):
        experiment_module(config.MODEL).check(config)


def _engine(arguments: argparse.Namespace, todo: "list[Config]",
            stop: Stop) -> "Iterator[Outcome]":
    """Return the iterator that does the runs."""
    from simulator.sweeps.local import here, processes, worker_count
    if arguments.dask:
        from simulator.sweeps.dask import on_dask
        return on_dask(todo, arguments.out, arguments.dask, arguments.workers, stop)
    workers = worker_count(todo, arguments.workers)
    if arguments.workers is not None and workers < min(arguments.workers, len(todo)):
        LOG.warning("%d at once instead of %d: memory is short", workers, arguments.workers)
    if arguments.workers == 1:
        return here(todo, arguments.out, stop)
    return processes(todo, arguments.out, workers, stop)


def _merge(arguments: argparse.Namespace) -> int:
    ready()
    from simulator.sweeps.local import merge
    path, outcomes = merge(arguments.folder)
    show(str(path))
    _write_pages(path.parent, ())
    return _closing(path.parent.parent, outcomes)


def _write_pages(folder: Path, outcomes: "Sequence[Outcome]") -> None:
    """Write the page of a sweep, after those of its runs; the tables stand, whatever happens."""
    from scripts.view import PAGE, write_run_page, write_sweep_page
    from simulator.runs.folder import RunFolder
    try:
        for outcome in outcomes:
            run = RunFolder.of(folder.parent, outcome.config).path
            if outcome.state == "done" and not (run / PAGE).is_file():
                write_run_page(run)
        LOG.info("page: %s (purify view %s opens it)", write_sweep_page(folder), folder)
    except Exception as error:  # whatever Matplotlib or its settings do
        LOG.warning("warning: no page: %s", explained(error)[1])


def _closing(root: Path, outcomes: "Sequence[Outcome]") -> int:
    """Say how the runs stand; return the exit code."""
    from simulator.runs.folder import RunFolder
    from simulator.sweeps.local import CHANGED, tally
    for outcome in outcomes:
        if outcome.error == CHANGED:
            folder = RunFolder.of(root, outcome.config)
            LOG.warning("%s: %s changed or gone since it was finished", folder.path,
                        ", ".join(folder.changed()))
    LOG.info("%s", tally(outcomes))
    return OK if {outcome.state for outcome in outcomes} <= {"done", BUSY} else DIVERGED


def _list(plan: "Plan", configs: "Sequence[Config]", arguments: argparse.Namespace) -> int:
    """Print the runs with what they will cost."""
    from scripts.costs import cost_lines
    from simulator.sweeps.plan import describe
    show("\n".join(cost_lines(configs, arguments.out, arguments.workers,
                              lambda config: describe(plan, config))))
    return OK


if __name__ == "__main__":
    sys.exit(main())
