"""Many runs: plans, local processes, Dask; and :func:`sweep`, which does them all from Python."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from simulator.checks import require_int
from simulator.errors import RunError
from simulator.experiments import chosen, experiment_module, stored
from simulator.runs.config import Config
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run
from simulator.sweeps.local import here, left_to_do, processes, tally, worker_count, write_summary
from simulator.sweeps.plan import Plan, describe, distinct, plan_runs, save_plan

__all__ = ["sweep"]


def sweep(what: str | Config = "desk", *, paper: str | None = None, seeds: int = 1,
          folder: Path | str | None = None, workers: int | None = None, progress: bool = False,
          **changes: Any) -> list[Run]:
    """Do all combinations of settings and return their runs.

    ``sweep("lottery", d=[64, 128, 256], seeds=3)`` is nine runs, seeds varying fastest.

    Parameters
    ----------
    what : str or Config
        The name of a preset, or settings.
    paper : str or None
        Whose preset; None takes the first paper that has one of this name.
    seeds : int
        Seeds of each combination: ``seed``, ``seed + 1``, ...
    folder : path or None
        Folder for runs, as in ``purify sweep --out``: what is finished there is not done again,
        what was interrupted or failed goes on. None keeps all runs in memory.
    workers : int or None
        Runs at once, in processes of one thread each; 1 does them in this one. None: one a
        processor, fewer where memory is short. A script needs ``if __name__ == "__main__":``
        around what it does, since every process imports it.
    progress : bool
        Show a bar.
    **changes
        Settings to change. A list (tuple, range, array) is a grid's axis; a number may be an
        expression, and what follows from a changed setting follows. ``threads`` is 1 where a
        preset is named and nothing else is said.

    Returns
    -------
    list of Run
        In the order of the grid; combinations that resolve to equal settings are one run.

    Raises
    ------
    TypeError, ValueError
        Settings that are unknown, out of range or do not fit together; nothing has been run then.
    RunError
        A run failed or diverged, or its place cannot be used. With a folder the others are kept.
    """
    plan = _plan(what, paper, seeds, changes)
    if workers is not None:
        require_int("workers", workers, low=1)
    for config in distinct(plan.configs):
        experiment_module(config.MODEL).check(config)
    with (tempfile.TemporaryDirectory(prefix="purify-") if folder is None
          else nullcontext(folder)) as place:
        root = Path(place)
        _do(plan, root, workers, progress)
        _, outcomes = write_summary(save_plan(root, plan), plan)
        bad = [outcome for outcome in outcomes if outcome.state != "done"]
        if bad:
            first = f"{describe(plan, bad[0].config)}: {bad[0].error or bad[0].state}"
            raise RunError(f"sweep: expected {len(outcomes)} finished runs, got "
                           f"{tally(outcomes)}; {first}")
        runs = [stored(RunFolder.of(root, config).path) for config in plan.configs]
        if folder is None:  # their files go with the folder
            runs = [Run(run.config, run.summary, run.history, run.arrays) for run in runs]
    return runs


def _plan(what: str | Config, paper: str | None, seeds: int, changes: Mapping[str, Any]) -> Plan:
    grid = {name: list(value) for name, value in changes.items()
            if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str)}
    fixed = {name: value for name, value in changes.items() if name not in grid}
    if isinstance(what, str):
        fixed = {"threads": 1} | fixed
    # a setting on an axis needs no value of its own, so the first one stands in
    base = chosen(what, paper, fixed | {name: values[0] for name, values in grid.items() if values})
    return plan_runs({key: value for key, value in base.to_settings().items() if key not in grid},
                     grid, seeds=seeds)


def _do(plan: Plan, root: Path, workers: int | None, progress: bool) -> None:
    """Do what is left of the runs."""
    from tqdm.auto import tqdm
    todo, settled = left_to_do(root, plan.configs, resume=True, retry_failed=True)
    outcomes = (here(todo, root) if workers == 1
                else processes(todo, root, worker_count(todo, workers)))
    with tqdm(total=len(plan.configs), initial=len(settled), unit="run",
              disable=not progress) as shown:
        for _ in outcomes:
            shown.update()
