"""The rows of `purify benchmark`: every implementation on the same arrays, in turns.

Before anything is timed, the losses of all implementations must agree, on the way through real
steps with the preset's learning rate (so the gradients are compared too) and under PGD-20 where
that is timed.

How often a case is repeated depends on how long it takes: a row is bounded by seconds for each
implementation, and has at least three turns of everybody.
"""

import dataclasses
import importlib.metadata
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.benchmarking.growth import together
from scripts.benchmarking.peers.contract import IMPLEMENTATIONS, PACKAGES, installed
from scripts.benchmarking.weights import Stages, stages_of_run
from scripts.benchmarking.workers import BenchmarkError, Workers, check_agreement, median, spread
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.runs.folder import environment

__all__ = ["CASES", "Plan", "compare", "memory", "turns_of"]

LOG = logging.getLogger("purify")
STEPS = ("clean", "adversarial", "pgd20")
CASES = (*STEPS, "run", "simulate")
# A loss after a few steps: rounding, enlarged by the learning rate.
TOLERANCE = {"float32": 2e-3, "float64": 1e-8}
# ... after thousands of steps.
RUN_TOLERANCE = {"float32": 5e-2, "float64": 1e-5}
FEWEST = 3  # turns of everybody, however long they take
TURN, MOST = 0.5, 10  # seconds of a turn, and its most steps
SLOW = 0.3  # seconds of a step from which on no thread needs waking
HEAVY = 2e9  # n m d from which on implementations are checked one by one: at once they take memory
PROCESS = 0.4e9  # bytes of a process that has imported its library
WORKING = 4  # (m, d) and (n, m) arrays of the one at work; the others hold their weights


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes
    ----------
    configs : list of PurificationConfig
        One for each size; they are trained as they stand, and measured in every dtype.
    dtypes, cases : tuple of str
    threads : int
    repeats : int
        Turns of each implementation with a step; a third of it (at least 3) with longer cases.
    pause : float
        Seconds between turns.
    whole_run : bool
        Run every step of the case "run" instead of some in each stretch.
    profile : bool
        Time the pieces of our step too.
    seconds : float
        Bound for one implementation in one row; at least three turns are done all the same.
    weights : tuple of Path
        Run folders whose weights are taken, instead of being trained, for the sizes they fit.
    """

    configs: list[PurificationConfig]
    dtypes: tuple[str, ...]
    cases: tuple[str, ...]
    threads: int
    repeats: int
    pause: float
    whole_run: bool
    profile: bool
    seconds: float = 60.0
    weights: tuple[Path, ...] = field(default=())


def memory(config: PurificationConfig, dtype: str) -> float:
    """Return a bound on the bytes of all processes together, while one of them works.

    Each holds its weights, and a second copy while it takes them up; the one at work has
    `WORKING` arrays of the weights' and of the pre-activations' shape, at a size of some weight.
    Below it (`HEAVY`) all are checked at once, and then all of them have.
    """
    item = 4.0 if dtype == "float32" else 8.0
    weights, gates = item * config.m * config.d, item * config.m * config.batch_size
    processes = len(IMPLEMENTATIONS)
    at_once = 1 if _is_heavy(config) else processes
    return (processes * (PROCESS + 2.0 * weights)
            + at_once * WORKING * (weights + gates))


def _is_heavy(config: PurificationConfig) -> bool:
    return float(config.batch_size) * config.m * config.d > HEAVY


def turns_of(seconds: Mapping[str, float], repeats: int, bound: float,
             long: bool) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return how many turns a row has, and how many steps each implementation takes in one.

    Parameters
    ----------
    seconds : mapping of str to float
        Of a step of each implementation.
    repeats : int
        Turns where they take less than ``bound`` seconds for each implementation.
    bound : float
    long : bool
        One step a turn, and none to wake the threads.

    Returns
    -------
    rounds : int
        At most ``repeats``, and not fewer than three of them for the bound's sake.
    each : dict of str to dict
        ``times``, the steps that are timed, as many as `TURN` seconds hold; ``wake``, whether there
        is one before. Ours always has one where it is not long: it finds what others have left.
    """
    each = {name: {"times": 1 if long else min(MOST, max(1, int(TURN / max(one, 1e-9)))),
                   "wake": not long and (one <= SLOW or name == "ours")}
            for name, one in seconds.items()}
    slowest = max(one * (each[name]["times"] + each[name]["wake"])
                  for name, one in seconds.items())
    fewest = min(repeats, FEWEST)
    return max(fewest, min(repeats, int(bound / max(slowest, 1e-9)))), each


def compare(plan: Plan, folder: Path, progress: Callable[[int, int], None],
            keep: Callable[[dict[str, Any]], None] = lambda found: None) -> dict[str, Any]:
    """Train the weights (or find them in ``folder``), measure, and return what was found.

    ``keep`` is told after each size what is known so far.

    Returns
    -------
    dict
        ``machine``; ``rows``, one for each implementation, case, weights, size and dtype; ``runs``,
        the whole runs of ours; ``ratios`` and ``growth``, see :mod:`.growth`.

    Raises
    ------
    BenchmarkError
        A process failed, or the implementations do not compute the same.
    Diverged
        The settings do not train.
    RunError
        A run folder that has no weights to take.
    """
    chosen = [_stages(plan, config, folder) for config in plan.configs]
    _require_all_used(plan, chosen)
    names, absent = _usable(plan.threads) if {*plan.cases} - {"simulate"} else (["ours"], [])
    machine = environment(plan.threads) | {
        "forced_core_type": os.environ.get("OPENBLAS_CORETYPE"),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {package: importlib.metadata.version(package)
                     for kind, package in PACKAGES.items() if installed(kind)},
        "absent": absent, "seconds": plan.seconds, "weights": [], "gemm": []}
    found: dict[str, Any] = {"machine": machine, "rows": [], "runs": []}
    for stages in chosen:
        if "simulate" in plan.cases:
            found["runs"] += [_whole_run(plan, stages.config.with_(dtype=dtype), folder)
                              for dtype in plan.dtypes]
        if {*plan.cases} - {"simulate"}:
            _steps(plan, stages, names, found, progress)
        found |= together(found["rows"])
        keep(found)
    return found


def _usable(threads: int) -> tuple[list[str], list[str]]:
    """Implementations that start here, and the names of those that do not."""
    names = [name for name in IMPLEMENTATIONS if installed(name)]
    for name in [name for name in names if name.endswith("-compiled")]:
        try:  # a compiler may be there and not work: it is tried on a small network
            with Workers([name], threads, 0.0) as alone:
                alone.ask(name, "compiles")
        except BenchmarkError as error:
            LOG.warning("%s: left out: %s", name, error)
            names.remove(name)
    return names, [name for name in IMPLEMENTATIONS if name not in names]


def _stages(plan: Plan, config: PurificationConfig, folder: Path) -> Stages:
    found = [stages_of_run(path, config, folder) for path in plan.weights]
    return next(filter(None, found), Stages(config, folder))


def _require_all_used(plan: Plan, chosen: list[Stages]) -> None:
    used = {stages.source for stages in chosen}
    for path in plan.weights:
        if path not in used:
            raise BenchmarkError(f"{path}: expected a run of one of the sizes, with the same seed, "
                                 "dtype and training: its weights would stand for another run")
    if "run" in plan.cases and used != {None}:
        raise BenchmarkError("--weights-from: expected --cases without run: a run folder keeps "
                             "no weights along the way, and no time can be made up from its ends")


def _whole_run(plan: Plan, config: PurificationConfig, folder: Path) -> dict[str, Any]:
    """One real run of ours in a process of its own; its folder is kept beside the weights."""
    config = config.with_(threads=plan.threads)
    LOG.info("d=%d %s: a whole run with its evaluation", config.d, config.dtype)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        with Workers(["ours"], plan.threads, plan.pause) as workers:
            spent = workers.ask("ours", "simulate", config=config.to_dict(), folder=scratch)
        name = spent.pop("folder")
        if not (folder / name).exists():
            (Path(scratch) / name).rename(folder / name)
    return {**_size(config), **spent}


def _size(config: PurificationConfig) -> dict[str, Any]:
    return {"d": config.d, "m": config.m, "n": config.batch_size, "k": config.k,
            "dtype": config.dtype, "clean_steps": config.clean_steps,
            "adversarial_steps": config.adversarial_steps}


def _steps(plan: Plan, stages: Stages, names: list[str], found: dict[str, Any],
           progress: Callable[[int, int], None]) -> None:
    """Add the rows of one size."""
    config, machine = stages.config, found["machine"]
    if stages.path.exists():
        LOG.info("d=%d: weights of %s", config.d, stages.path)
    elif stages.source is not None:
        LOG.info("d=%d: weights of %s", config.d, stages.source)
        stages.take()
    else:
        LOG.info("d=%d: training %s for %d clean and %d adversarial steps", config.d,
                 config.name, config.clean_steps, config.adversarial_steps)
        start = time.perf_counter()
        stages.train(progress)
        LOG.info("d=%d: trained in %.0f s", config.d, time.perf_counter() - start)
    machine["weights"].append({key: getattr(config, key) for key in (
        "name", "d", "k", "m", "clean_steps", "adversarial_steps", "dtype", "seed")} | {
        "steps": stages.step_of, "run": stages.source.name if stages.source else None})
    with Workers(names, plan.threads, plan.pause) as workers:
        for dtype in plan.dtypes:
            _Size(plan, stages, dtype, workers, machine, found["rows"]).measure()
        blas = workers.ask("numpy", "blas")
    machine["blas_of_numpy"] = [
        {key: pool.get(key) for key in ("internal_api", "version", "num_threads")} for pool in blas]
    machine["core_type"] = blas[0].get("architecture") if blas else None


class _Size:
    """The rows of one size and dtype."""

    def __init__(self, plan: Plan, stages: Stages, dtype: str, workers: Workers,
                 machine: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        self.plan, self.stages, self.dtype, self.workers = plan, stages, dtype, workers
        self.machine, self.rows = machine, rows
        self.config = stages.config.with_(dtype=dtype, threads=plan.threads)
        self.few = min(plan.repeats, max(FEWEST, plan.repeats // 3))
        self.together = not _is_heavy(self.config)

    def measure(self) -> None:
        """Add all rows."""
        plan, workers, config = self.plan, self.workers, self.config
        workers.ask_all("prepare", config=config.to_dict(), weights=str(self.stages.path))
        self.rate = self.sampler = 0.0
        for weights, step in self.stages.step_of.items():
            workers.ask_all("load", weights=weights, bias=self.stages.bias(step), step=step)
            where = f"d={config.d} {self.dtype} {weights}"
            LOG.info("%s: comparing losses", where)
            losses = workers.ask_all("check", self.together, attack="pgd20" in plan.cases)
            check_agreement(losses, TOLERANCE[self.dtype], where)
            if step == 0:
                self._rates()
            for case in [case for case in STEPS if case in plan.cases]:
                LOG.info("%s: timing %s", where, case)
                self._step(case, weights)
        if "run" in plan.cases:
            LOG.info("d=%d %s: timing run", config.d, self.dtype)
            self._run()

    def _rates(self) -> None:
        """Speed of the machine and of the sampler."""
        workers, rounds = self.workers, max(5, self.plan.repeats)
        self.rate = median([workers.ask("numpy", "product") for _ in range(rounds)])
        self.sampler = median([workers.ask("ours", "sampler") for _ in range(rounds)])
        self.machine["gemm"].append({"d": self.config.d, "k": self.config.k, "dtype": self.dtype,
                                     "gflops": round(self.rate, 2),
                                     "sampler_ms": round(self.sampler, 3)})

    def _step(self, case: str, weights: str) -> None:
        long = case == "pgd20"
        # one by one: how long a step takes tells how many of them a turn has
        warm = self.workers.ask_all("warm", False, case=case)
        rounds, each = turns_of({name: answer["seconds"] for name, answer in warm.items()},
                                self.few if long else self.plan.repeats, self.plan.seconds, long)
        answers = self.workers.turns(rounds, "time", each, case=case)
        milliseconds = median([answer["ms"] for answer in answers["ours"]])
        counted = answers["ours"][-1]["counted"]
        flops = counted["flops"] / answers["ours"][-1]["times"]
        own = {"gemm_fraction": flops * 1e-6 / milliseconds / self.rate, **_shares([counted])}
        if not long:
            own["sampler_share"] = self.sampler / milliseconds
            if self.plan.profile:
                own["pieces_ms"] = self._pieces(case)
        self._add(case, weights, answers, counted["live"], own,
                  {name: {"turns": rounds, "steps_a_turn": how["times"]}
                   for name, how in each.items()})

    def _pieces(self, case: str) -> dict[str, float]:
        found = [self.workers.ask("ours", "pieces", case=case) for _ in range(self.plan.repeats)]
        names = dict.fromkeys(name for one in found for name in one)
        ends = [name for name in ("other", "total") if names.pop(name, 0) is None]
        return {name: median([one.get(name, 0.0) for one in found]) for name in [*names, *ends]}

    def _run(self) -> None:
        whole = self.plan.whole_run
        stretches = self.stages.whole_run() if whole else self.stages.sampled_run(4)
        parts = [dataclasses.asdict(part) for part in stretches]
        rounds = 1 if whole else self.few
        answers = self.workers.turns(rounds, "run", stretches=parts)
        tolerance = (RUN_TOLERANCE if whole else TOLERANCE)[self.dtype]
        check_agreement({name: found[-1]["losses"] for name, found in answers.items()}, tolerance,
                        f"d={self.config.d} {self.dtype} run")
        counted = answers["ours"][-1]["counted"]
        live = (sum(part["length"] * part["live"] for part in counted)
                / sum(part["length"] for part in counted))
        standing = [_times(part, stretch.length / len(stretch.biases))
                    for part, stretch in zip(counted, stretches)]
        own = _shares(standing) | {"stretches": [{"step": part["step"], **_shares([part])}
                                                 for part in counted]}
        extra = {"steps": self.stages.steps, "turns": rounds,
                 "steps_done": sum(len(part.biases) for part in stretches)}
        self._add("run", next(iter(self.stages.step_of)), answers, live, own,
                  {name: extra for name in answers})

    def _add(self, case: str, weights: str, answers: dict[str, list[Any]], live: float,
             own: dict[str, Any], extra: Mapping[str, dict[str, Any]]) -> None:
        for name, found in answers.items():
            times = [answer["ms"] for answer in found]
            self.rows.append({
                "case": case, "weights": weights, **_size(self.config), "implementation": name,
                "median_ms": median(times), "spread": spread(times), "turns_ms": times,
                "live_fraction": live, "peak_mib": max(answer["peak_mib"] for answer in found),
                **extra[name], **(own if name == "ours" else {})})


def _times(counted: dict[str, Any], factor: float) -> dict[str, Any]:
    """What a stretch counted, for all the steps that it stands for."""
    return {name: factor * value for name, value in counted.items()}


def _shares(counted: list[dict[str, Any]]) -> dict[str, Any]:
    """What share of the pairs is open, how many were computed for one of these, and how."""
    pairs, opened, computed, products, passes = (
        sum(part[name] for part in counted)
        for name in ("pairs", "pairs_open", "pairs_computed", "products", "passes"))
    return {"open_share": opened / max(1, pairs), "computed_share": computed / max(1, pairs),
            "computed_over_open": computed / opened if opened else None,
            "product_share": products / max(1, passes)}
