"""The rows of `purify benchmark`: every implementation on the same arrays, in turns.

Before anything is timed, the losses of all implementations must agree, on the way through real
steps with the preset's learning rate (so the gradients are compared too) and under PGD-20.
"""

import dataclasses
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.benchmarking.peers.contract import IMPLEMENTATIONS, PACKAGES, installed
from scripts.benchmarking.weights import WEIGHTS, Stages
from scripts.benchmarking.workers import Workers, check_agreement, median, spread
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.runs.folder import environment

__all__ = ["CASES", "Plan", "compare", "memory"]

LOG = logging.getLogger("purify")
CASES = ("clean", "adversarial", "pgd20", "run")
# A loss after a few steps: rounding, enlarged by the learning rate.
TOLERANCE = {"float32": 2e-3, "float64": 1e-8}
# ... after thousands of steps.
RUN_TOLERANCE = {"float32": 5e-2, "float64": 1e-5}


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
    """

    configs: list[PurificationConfig]
    dtypes: tuple[str, ...]
    cases: tuple[str, ...]
    threads: int
    repeats: int
    pause: float
    whole_run: bool
    profile: bool


def memory(config: PurificationConfig) -> float:
    """Return a bound on the bytes of all processes: five (m, d) and (n, m) arrays in each."""
    arrays = 5.0 * 8.0 * config.m * (config.d + config.batch_size)
    return len(IMPLEMENTATIONS) * (arrays + 0.4e9)


def compare(plan: Plan, folder: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Train the weights (or find them in ``folder``), measure, and return machine and rows.

    Raises
    ------
    BenchmarkError
        A process failed, or the implementations do not compute the same.
    Diverged
        The settings do not train.
    """
    names = [name for name in IMPLEMENTATIONS if installed(name)]
    machine = environment(plan.threads) | {
        "forced_core_type": os.environ.get("OPENBLAS_CORETYPE"),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {package: importlib.metadata.version(package)
                     for kind, package in PACKAGES.items() if installed(kind)},
        "absent": [name for name in IMPLEMENTATIONS if name not in names],
        "weights": [], "gemm": []}
    rows: list[dict[str, Any]] = []
    for config in plan.configs:
        stages = Stages(config, folder)
        if stages.path.exists():
            LOG.info("d=%d: weights of %s", config.d, stages.path)
        else:
            LOG.info("d=%d: training %s for %d clean and %d adversarial steps", config.d,
                     config.name, config.clean_steps, config.adversarial_steps)
            start = time.perf_counter()
            stages.train(progress)
            LOG.info("d=%d: trained in %.0f s", config.d, time.perf_counter() - start)
        machine["weights"].append({key: getattr(config, key) for key in (
            "name", "d", "k", "m", "clean_steps", "adversarial_steps", "dtype", "seed")})
        with Workers(names, plan.threads, plan.pause) as workers:
            for dtype in plan.dtypes:
                _Size(plan, stages, dtype, workers, machine, rows).measure()
            blas = workers.ask("numpy", "blas")
    machine["blas_of_numpy"] = [
        {key: pool.get(key) for key in ("internal_api", "version", "num_threads")} for pool in blas]
    machine["core_type"] = blas[0].get("architecture") if blas else None
    return {"machine": machine, "rows": rows}


class _Size:
    """The rows of one size and dtype."""

    def __init__(self, plan: Plan, stages: Stages, dtype: str, workers: Workers,
                 machine: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        self.plan, self.stages, self.dtype, self.workers = plan, stages, dtype, workers
        self.machine, self.rows = machine, rows
        self.config = stages.config.with_(dtype=dtype, threads=plan.threads)
        self.few = min(plan.repeats, max(3, plan.repeats // 3))

    def measure(self) -> None:
        """Add all rows."""
        plan, workers, config = self.plan, self.workers, self.config
        workers.ask_all("prepare", config=config.to_dict(), weights=str(self.stages.path))
        self.rate = self.sampler = 0.0
        steps = [case for case in plan.cases if case != "run"]
        for weights in WEIGHTS:
            workers.ask_all("load", weights=weights,
                            bias=self.stages.bias(self.stages.step_of[weights]))
            where = f"d={config.d} {self.dtype} {weights}"
            LOG.info("%s: comparing losses", where)
            check_agreement(workers.ask_all("check"), TOLERANCE[self.dtype], where)
            if weights == WEIGHTS[0]:
                self._rates()
            for case in steps:
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
        self.machine["gemm"].append({"d": self.config.d, "dtype": self.dtype,
                                     "gflops": round(self.rate, 2),
                                     "sampler_ms": round(self.sampler, 3)})

    def _step(self, case: str, weights: str) -> None:
        long = case == "pgd20"
        self.workers.ask_all("warm", case=case)
        answers = self.workers.turns(self.few if long else self.plan.repeats, "time", case=case,
                                     times=1 if long else 3, wake=not long)
        ours = answers["ours"][-1]
        own = {"gemm_fraction": ours["flops"] * 1e-6 / median(
            [answer["ms"] for answer in answers["ours"]]) / self.rate}
        if not long:
            own["sampler_share"] = self.sampler / median(
                [answer["ms"] for answer in answers["ours"]])
            if self.plan.profile:
                pieces = [self.workers.ask("ours", "pieces", case=case)
                          for _ in range(self.plan.repeats)]
                own["pieces_ms"] = {name: median([found[name] for found in pieces])
                                    for name in pieces[0]}
        self._add(case, weights, answers, ours["live"], own)

    def _run(self) -> None:
        whole = self.plan.whole_run
        stretches = self.stages.whole_run() if whole else self.stages.sampled_run(4)
        parts = [dataclasses.asdict(part) for part in stretches]
        answers = self.workers.turns(1 if whole else self.few, "run", stretches=parts)
        tolerance = (RUN_TOLERANCE if whole else TOLERANCE)[self.dtype]
        check_agreement({name: found[-1]["losses"] for name, found in answers.items()}, tolerance,
                        f"d={self.config.d} {self.dtype} run")
        extra = {"steps": self.stages.steps,
                 "steps_done": sum(len(part.biases) for part in stretches)}
        self._add("run", WEIGHTS[0], answers, answers["ours"][-1]["live"], {}, extra)

    def _add(self, case: str, weights: str, answers: dict[str, list[Any]], live: float,
             own: dict[str, Any], extra: dict[str, Any] | None = None) -> None:
        config = self.config
        for name, found in answers.items():
            times = [answer["ms"] for answer in found]
            self.rows.append({
                "case": case, "weights": weights, "d": config.d, "m": config.m,
                "n": config.batch_size, "dtype": self.dtype, "implementation": name,
                "median_ms": median(times), "spread": spread(times), "live_fraction": live,
                "k": config.k, "peak_mib": max(answer["peak_mib"] for answer in found),
                **(extra or {}), **(own if name == "ours" else {})})
