"""One process of the benchmark: an implementation, and the arrays that it works on.

``python -m scripts.benchmarking.worker NAME THREADS`` reads orders as JSON lines, ``{"do": ...}``
with the arguments of a method of :class:`Worker`, and answers each with a line; an error is an
answer too. :class:`scripts.benchmarking.workers.Workers` is the other side.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmarking.peers import implementation
from scripts.benchmarking.peers.plain_numpy import Numpy
from scripts.benchmarking.workers import median
from simulator.names import require_known
from simulator.runs.files import json_text

__all__ = ["ORDERS", "Worker", "main"]

NO_STEP = 1e-12  # learning rate of a timed step: all the work, and the weights stay


class Worker:
    """One implementation and the arrays it works on.

    Parameters
    ----------
    name : str
    threads : int
    """

    def __init__(self, name: str, threads: int) -> None:
        self.one: Any = implementation(name, threads)

    def prepare(self, config: dict[str, Any], weights: str) -> dict[str, Any]:
        """Take the settings of a size and the file of its weights."""
        from simulator.experiments.feature_purification.config import PurificationConfig
        from simulator.experiments.feature_purification.experiment import PurificationExperiment
        self.config = PurificationConfig.from_settings(config)
        self.batches = PurificationExperiment(self.config).batches
        self.file = weights
        self.batch = self.batches.batch(0)
        self.samples = self.one.hand(self.batch.X, self.batch.y)
        return {}

    def load(self, weights: str, bias: float) -> dict[str, Any]:
        """Take stored weights."""
        with np.load(self.file, allow_pickle=False) as archive:
            self.W = archive[weights].astype(self.config.dtype)
        self.bias = bias
        self._reset()
        return {}

    def _reset(self) -> None:
        self.one.load(self.W, self.bias, self.config.weight_decay, self.config.tau)

    def check(self) -> list[float]:
        """Return losses that only right gradients lead to: before and after real steps."""
        eta = self.config.learning_rate
        losses = [self.one.clean(self.samples, eta), self.one.clean(self.samples, eta),
                  self.one.adversarial(self.samples, eta), self.one.clean(self.samples, eta)]
        self._reset()
        reference = Numpy()
        reference.load(self.W, self.bias, 0.0, self.config.tau)
        X, y = self.batch.X, self.batch.y
        margins = reference.margins(X + np.asarray(self.one.pgd20(self.samples)), y)
        return [*losses, float(np.logaddexp(0.0, -margins.astype(np.float64)).mean())]

    def warm(self, case: str) -> dict[str, Any]:
        """Do a case once, uncounted; from here on the peak of the memory is its own."""
        self._once(case)
        _reset_peak()
        return {}

    def time(self, case: str, times: int, wake: bool) -> dict[str, float]:
        """Return the median milliseconds of a case, after one more to wake the threads."""
        if wake:
            self._once(case)
        passes = getattr(self.one, "passes", None)
        if passes is not None:
            passes.reset()
        seconds = []
        for _ in range(times):
            start = time.perf_counter()
            self._once(case)
            seconds.append(time.perf_counter() - start)
        answer = {"ms": 1e3 * median(seconds), "peak_mib": _peak()}
        if passes is not None:
            answer |= {"flops": passes.flops / times, "live": float(np.mean(passes.live))}
        return answer

    def _once(self, case: str) -> None:
        if case == "pgd20":
            self.one.pgd20(self.samples)
        else:
            getattr(self.one, case)(self.samples, NO_STEP)

    def run(self, stretches: list[dict[str, Any]]) -> dict[str, Any]:
        """Train through stretches of the run, sampler included; return the time of all of it."""
        _reset_peak()
        total = live = 0.0
        losses = []
        for part in stretches:
            if part["weights"] is not None:
                self.load(part["weights"], part["biases"][0])
            passes = getattr(self.one, "passes", None)
            if passes is not None:
                passes.reset()
            start = time.perf_counter()
            for step, self.one.bias in enumerate(part["biases"], part["start"]):
                if step == part["start"] + 1:  # the first one wakes the threads
                    start = time.perf_counter()
                batch = self.batches.batch(step)
                samples = self.one.hand(batch.X, batch.y)
                move = self.one.adversarial if part["adversarial"] else self.one.clean
                loss = move(samples, self.config.learning_rate)
            counted = max(1, len(part["biases"]) - 1)
            total += (time.perf_counter() - start) / counted * part["length"]
            losses.append(loss)
            if passes is not None:
                live += part["length"] * float(np.mean(passes.live))
        answer = {"ms": 1e3 * total, "losses": losses, "peak_mib": _peak()}
        return answer | {"live": live / sum(part["length"] for part in stretches)}

    def product(self) -> float:
        """Return the GFLOP/s of ``X W^T``, the product that a forward pass cannot avoid."""
        X, W = self.batch.X, self.W
        U = np.empty((len(X), len(W)), X.dtype)
        np.matmul(X, W.T, out=U)
        start = time.perf_counter()
        np.matmul(X, W.T, out=U)
        return 2e-9 * X.size * len(W) / (time.perf_counter() - start)

    def sampler(self) -> float:
        """Return the milliseconds of drawing one batch."""
        start = time.perf_counter()
        self.batches.batch(1)
        return 1e3 * (time.perf_counter() - start)

    def pieces(self, case: str) -> dict[str, float]:
        """Return the milliseconds of each piece of our step, and of the step as "total"."""
        self._once(case)
        with self.one.clocked() as spent:
            start = time.perf_counter()
            self._once(case)
            total = time.perf_counter() - start
        answer = {name: 1e3 * seconds for name, seconds in spent.items()}
        return answer | {"other": 1e3 * (total - sum(spent.values())), "total": 1e3 * total}

    def blas(self) -> list[dict[str, Any]]:
        """Return what threadpoolctl knows about the BLAS of NumPy in this process."""
        import threadpoolctl
        return [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


# what the parent may ask for
ORDERS: dict[str, Callable[..., Any]] = {
    order.__name__: order for order in (
        Worker.prepare, Worker.load, Worker.check, Worker.warm, Worker.time, Worker.run,
        Worker.product, Worker.sampler, Worker.pieces, Worker.blas)}


def _reset_peak() -> None:
    """Let the kernel forget the peak so far, where it can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pass


def _peak() -> float:
    """Peak memory in MiB: since the last reset, or of the whole process."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 2**10
    except OSError:
        pass
    import resource
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


def main(argv: Sequence[str] | None = None) -> int:
    """Answer orders until the input ends."""
    name, threads = list(sys.argv[1:] if argv is None else argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(threads)])
    # libraries may print: what they print must not reach the pipe
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            worker = worker or Worker(name, int(threads))
            answer = ORDERS[require_known("order", order.pop("do"), ORDERS)](worker, **order)
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            answer = {"error": f"{type(error).__name__}: {first}"}
        print(json_text(answer, None), file=pipe, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
