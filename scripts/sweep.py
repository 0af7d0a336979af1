"""``purify sweep``: many runs, and one table of them all.

``purify sweep merge DIR`` writes the table of runs that were done in pieces. The path of the
table goes to stdout, progress and messages to stderr.
"""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.options import Parser, add_config_options, flat, merged, read_file, require_memory
from scripts.progress import Stop, shown

__all__ = ["main"]

LOG = logging.getLogger("purify")
EPILOG = """purify sweep merge DIR writes the table of a sweep from its run folders. Exit codes: 0
all runs are done, 2 bad input, 3 some run diverged or failed, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sweep or merge one; return the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    LOG.setLevel(logging.INFO)
    if argv[:1] == ["merge"]:
        parser = Parser(prog="purify sweep merge",
                        description="Write the table of a sweep from its run folders.")
        parser.add_argument("folder", metavar="DIR", type=Path,
                            help="the sweep's folder, or the folder for runs around it")
        command, arguments = _merge, parser.parse_args(argv[1:])
    else:
        command, arguments = _sweep, _parser().parse_args(argv)
    from simulator.errors import RunError
    try:
        return command(arguments)
    except (RunError, TypeError, ValueError) as error:
        print(f"purify sweep: error: {error}", file=sys.stderr)
        return 2


def _parser() -> Parser:
    parser = Parser(prog="purify sweep", description=__doc__, epilog=EPILOG)
    add_config_options(parser)
    parser.add_argument("--grid", metavar="KEY=V,V", action="append", default=[],
                        help="values of a setting, as in d=64,128 or k=round(d**0.45)")
    parser.add_argument("--seeds", metavar="N", type=int,
                        help="seeds of each combination, from --seed on (default: 1)")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs"),
                        help="folder that holds the run folders (default: runs)")
    parser.add_argument("--resume", action="store_true", help="continue unfinished runs")
    parser.add_argument("--retry-failed", action="store_true",
                        help="try diverged and failed runs again")
    parser.add_argument("--workers", metavar="N", type=int,
                        help="runs at once; 1 does them in this process (default: one a core, "
                             "fewer where memory is short)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--shard", metavar="I/N",
                       help="do piece I of N, from 0; afterwards purify sweep merge")
    where.add_argument("--dask", metavar="ADDRESS",
                       help="do the runs on a Dask scheduler, or local for one on this machine")
    parser.add_argument("--dry-run", action="store_true",
                        help="list the runs with memory and time, and do nothing")
    return parser


def _plan(arguments: argparse.Namespace) -> Any:
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
    from simulator.checks import require_int
    from simulator.sweeps.local import left_to_do, write_summary
    from simulator.sweeps.plan import describe, save_plan, shard_of
    plan = _plan(arguments)
    configs = plan.configs
    if arguments.workers is not None:
        require_int("workers", arguments.workers, low=1)
    if arguments.shard:
        configs = plan.shard(*shard_of(arguments.shard))
        if not configs:
            raise ValueError(f"shard {arguments.shard}: expected at most {len(plan.configs)} "
                             "pieces, one run each: this one would be empty")
    _check_runs(configs)
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
    if arguments.shard:
        LOG.info("when every piece is done: purify sweep merge %s", folder)
    else:
        path, settled = write_summary(folder, plan)
        print(path)
    if stop():
        print(f"purify sweep: interrupted; add --resume to continue {folder}", file=sys.stderr)
        return 130
    return _closing(settled)


def _check_runs(configs: Iterable[Any]) -> None:
    """Refuse, before anything is done, settings that no run could be made of."""
    from simulator.experiments import experiment_module
    from simulator.sweeps.plan import distinct
    for config in distinct(configs):
        require_memory(config)
        experiment_module(config.MODEL).check(config)


def _engine(arguments: argparse.Namespace, todo: list[Any], stop: Stop) -> Iterator[Any]:
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
    from simulator.sweeps.local import merge
    path, outcomes = merge(arguments.folder)
    print(path)
    return _closing(outcomes)


def _closing(outcomes: Sequence[Any]) -> int:
    """Say how the runs stand; return the exit code."""
    counts = Counter(outcome.state for outcome in outcomes)
    LOG.info("%s", ", ".join(f"{number} {state}" for state, number in counts.items()))
    return 0 if set(counts) <= {"done"} else 3


def _list(plan: Any, configs: Sequence[Any], arguments: argparse.Namespace) -> int:
    """Print the runs with what they will cost."""
    from simulator.experiments import experiment_module
    from simulator.runs.config import config_hash
    from simulator.runs.cost import duration, gemm_rate, seconds
    from simulator.sweeps.local import standing, worker_count
    from simulator.sweeps.plan import describe
    left, most, rates = 0.0, 0.0, {}
    for config in configs:
        need = experiment_module(config.MODEL).cost(config)
        state = standing(arguments.out, config).state
        size = (need.product, config.dtype, config.threads)
        if size not in rates:
            rates[size] = gemm_rate(*size)
        time_needed = seconds(need, rates[size])
        most = max(most, need.memory)
        left += time_needed if state in ("missing", "unfinished") else 0.0
        print(f"{config_hash(config)}  {need.memory / 2**20:6.0f} MiB  "
              f"{duration(time_needed):>8}  {state:10}  {describe(plan, config)}")
    workers = worker_count(configs, arguments.workers)
    print(f"{len(configs)} runs, {workers} at once: about {most * workers / 2**20:.0f} MiB and "
          f"{duration(left / workers)} (estimates; time from a product timed just now)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
