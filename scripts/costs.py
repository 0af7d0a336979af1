"""What runs will cost, as ``--dry-run`` of the commands tells it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.runs.config import Config
    from simulator.runs.cost import Cost

__all__ = ["cost_lines", "size"]


def size(count: float) -> str:
    """Return bytes in words: ``12 MiB``, ``3.4 GiB``."""
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


def cost_lines(configs: "Sequence[Config]", out: Path, workers: int | None,
               describe: "Callable[[Config], str]") -> list[str]:
    """Return a line for each run, and one for all of them together.

    Parameters
    ----------
    configs : sequence of Config
    out : Path
        Folder for runs: those done in it cost nothing more.
    workers : int or None
        Runs at once, or None for the default.
    describe : callable
        What tells a run apart.
    """
    from simulator.runs.config import config_hash
    from simulator.runs.cost import START_SECONDS, duration
    from simulator.sweeps.local import standing, worker_count
    needs = _costs(configs)
    lines, left, disk = [], 0.0, 0.0
    for config, (need, length) in zip(configs, needs):
        state = standing(out, config).state
        if state in ("missing", "unfinished"):
            left += length - START_SECONDS  # a process starts once and does many runs
            disk += need.disk
        lines.append(f"{config_hash(config)}  {size(need.memory):>8}  {duration(length):>8}  "
                     f"{state:10}  {describe(config)}")
    at_once = worker_count(configs, workers)
    memory = max((need.memory for need, _ in needs), default=0.0)
    time = left / at_once + START_SECONDS * (left > 0.0)
    return [*lines, f"{len(configs)} runs, {at_once} at once: about {size(memory * at_once)} of "
            f"memory, {size(disk)} of disk and {duration(time)} (estimates; time from a "
            "product timed just now)"]


def _costs(configs: "Sequence[Config]") -> "list[tuple[Cost, float]]":
    """What each run needs, and its duration in seconds; equal products are timed once."""
    from simulator.experiments import experiment_module
    from simulator.runs.cost import gemm_rate, seconds
    rates: dict[tuple[tuple[int, int, int], str, int], float] = {}
    found = []
    for config in configs:
        need = experiment_module(config.MODEL).cost(config)
        key = (need.product, config.dtype, config.threads)
        if key not in rates:
            rates[key] = gemm_rate(*key)
        found.append((need, seconds(need, rates[key])))
    return found
