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
from scripts.benchmarking.whole_run import timed_run
from simulator.data.batches import drawn_ahead
from simulator.names import require_known
from simulator.runs.files import json_text

__all__ = ["ORDERS", "Worker", "main"]


class Worker:
    """One implementation and the arrays it works on.

    Parameters
    ----------
    name : str
    threads : int
    """

    def __init__(self, name: str, threads: int) -> None:
        self.one: Any = implementation(name, threads)
        self.own = name == "ours"
        self.weights, self.first = "", 0
        self.samples: list[Any] = []

    def prepare(self, config: dict[str, Any], weights: str) -> dict[str, Any]:
        """Take the settings of a size and the file of its weights."""
        from simulator.experiments.feature_purification.config import PurificationConfig
        from simulator.experiments.feature_purification.experiment import PurificationExperiment
        self.config = PurificationConfig.from_settings(config)
        self.batches = PurificationExperiment(self.config).batches
        self.file = weights
        return {}

    def load(self, weights: str, bias: float, step: int) -> dict[str, Any]:
        """Take stored weights, those before ``step`` of the run: what follows are its batches."""
        self.weights, self.bias, self.first, self.samples = weights, bias, step, []
        self._reset()
        return {}

    def _weights(self) -> np.ndarray:
        """The stored weights, read anew: a process holds one copy of them, in its library."""
        with np.load(self.file, allow_pickle=False) as archive:
            return np.asarray(archive[self.weights], dtype=self.config.dtype)

    def _reset(self) -> None:
        self.one.load(self._weights(), self.bias, self.config.weight_decay, self.config.tau)

    def _next(self, number: int) -> list[Any]:
        """The samples of the run's next steps, in the library's own arrays."""
        while len(self.samples) < number:
            batch = self.batches.batch(self.first + len(self.samples))
            self.samples.append(self.one.hand(batch.X, batch.y))
        return self.samples[:number]

    def check(self, attack: bool) -> list[float]:
        """Return losses that only right gradients lead to: before and after real steps.

        With ``attack`` the loss under PGD-20 comes last.
        """
        eta, (samples,) = self.config.learning_rate, self._next(1)
        losses = [self.one.clean(samples, eta), self.one.clean(samples, eta),
                  self.one.adversarial(samples, eta), self.one.clean(samples, eta)]
        self._reset()
        if attack:
            batch = self.batches.batch(self.first)
            reference = Numpy()
            reference.load(self._weights(), self.bias, 0.0, self.config.tau)
            margins = reference.margins(batch.X + np.asarray(self.one.pgd20(samples)), batch.y)
            losses.append(float(np.logaddexp(0.0, -margins.astype(np.float64)).mean()))
        return losses

    def warm(self, case: str) -> dict[str, float]:
        """Do a case twice, uncounted; return the seconds of the second time.

        From here on the peak of the memory is its own.
        """
        for samples in self._next(2):
            start = time.perf_counter()
            self._once(case, samples)
            seconds = time.perf_counter() - start
        self._reset()
        _reset_peak()
        return {"seconds": seconds}

    def time(self, case: str, times: int, wake: bool) -> dict[str, Any]:
        """Return the mean milliseconds of a case, after one more to wake the threads.

        These are the run's own steps from the stored weights on, with its batches and learning
        rate: what one step leaves behind for the next is what it would leave in training. The
        mean, because what is done in one of several steps belongs to all of them.
        """
        self._reset()
        first, *rest = self._next(times + wake)
        if wake:
            self._once(case, first)
        else:
            rest = [first, *rest]
        if self.own:
            self.one.passes.reset()
        start = time.perf_counter()
        for samples in rest:
            self._once(case, samples)
        seconds = time.perf_counter() - start
        answer: dict[str, Any] = {"ms": 1e3 * seconds / times, "peak_mib": _peak()}
        if self.own:
            answer |= {"counted": self.one.passes.counted.numbers(), "times": times}
        return answer

    def _once(self, case: str, samples: Any) -> None:
        if case == "pgd20":
            self.one.pgd20(samples)
        else:
            getattr(self.one, case)(samples, self.config.learning_rate)

    def run(self, stretches: list[dict[str, Any]]) -> dict[str, Any]:
        """Train through stretches of the run, sampler included; return the time of all of it.

        With more threads than one the next batch is drawn while this one is used, for everybody.
        """
        _reset_peak()
        total = 0.0
        losses, counted = [], []
        for part in stretches:
            if part["weights"] is not None:
                self.load(part["weights"], part["biases"][0], part["start"])
            if self.own:
                self.one.passes.reset()
            loss, seconds = self._stretch(part)
            total += seconds / max(1, len(part["biases"]) - 1) * part["length"]
            losses.append(loss)
            if self.own:
                counted.append({"step": part["start"], "length": part["length"],
                                **self.one.passes.counted.numbers()})
        return {"ms": 1e3 * total, "losses": losses, "peak_mib": _peak(), "counted": counted}

    def _stretch(self, part: dict[str, Any]) -> tuple[float, float]:
        """The last loss of a stretch, and the seconds of its steps after the first."""
        steps = range(part["start"], part["start"] + len(part["biases"]))
        move = self.one.adversarial if part["adversarial"] else self.one.clean
        loss, start = float("nan"), time.perf_counter()
        with drawn_ahead(self.batches, steps.stop) as batch_of:
            for step, self.one.bias in zip(steps, part["biases"]):
                if step == part["start"] + 1:  # the first one wakes the threads
                    start = time.perf_counter()
                batch = batch_of(step)
                loss = move(self.one.hand(batch.X, batch.y), self.config.learning_rate)
        return loss, time.perf_counter() - start

    def simulate(self, config: dict[str, Any], folder: str) -> dict[str, Any]:
        """Do one real run with all of its evaluation; see :func:`~.whole_run.timed_run`."""
        from simulator.experiments.feature_purification.config import PurificationConfig
        found = timed_run(PurificationConfig.from_settings(config), Path(folder))
        return found | {"peak_mib": _peak()}

    def compiles(self) -> dict[str, Any]:
        """Take a step of a tiny network: where a compiler does not work, this is an error."""
        ones = np.ones((2, 2), np.float32)
        self.one.load(ones, 0.1, 0.1, 0.1)
        self.one.clean(self.one.hand(ones, ones[0]), 0.1)
        return {}

    def product(self) -> float:
        """Return the GFLOP/s of ``X W^T``, the product that a forward pass cannot avoid."""
        X, W = self.batches.batch(0).X, self._weights()
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
        self._reset()
        first, second = self._next(2)
        self._once(case, first)
        with self.one.clocked() as spent:
            start = time.perf_counter()
            self._once(case, second)
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
        Worker.simulate, Worker.compiles, Worker.product, Worker.sampler, Worker.pieces,
        Worker.blas)}


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
