"""Timing of implementations side by side: each in a process of its own, taking turns.

Separate processes, because the threads of one library spin on for a while after their work and
would slow the next one down. Turns, because a machine's speed drifts: what disturbs one
implementation disturbs its neighbours too. Parent and worker speak JSON lines.

The other side is :mod:`scripts.benchmarking.worker`; it answers one order at a time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulator.runs.files import json_text, with_nan

__all__ = ["BenchmarkError", "Workers", "check_agreement", "median", "spread"]

ROOT = Path(__file__).resolve().parents[2]
POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
         "VECLIB_MAXIMUM_THREADS", "NPROC")  # NPROC: the pool of XLA


class BenchmarkError(Exception):
    """A worker failed, or the implementations disagree; the message is one line."""


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return float(np.median(values))


def spread(values: Sequence[float]) -> float:
    """Return the interquartile range."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low)


class Workers:
    """One process for each implementation, alive in a ``with`` block.

    Parameters
    ----------
    names : sequence of str
    threads : int
        Threads of every pool in every process, and processors it may run on.
    pause : float
        Seconds before each turn, in which the threads of the last one fall asleep.
    """

    def __init__(self, names: Sequence[str], threads: int, pause: float) -> None:
        self.names, self.threads, self.pause = tuple(names), threads, pause
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._errors: dict[str, Any] = {}

    def __enter__(self) -> "Workers":
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = dict(os.environ, JAX_PLATFORMS="cpu",
                           PYTHONPATH=os.pathsep.join(filter(None, paths)))
        environment |= {pool: str(self.threads) for pool in POOLS}
        for name in self.names:
            self._errors[name] = tempfile.TemporaryFile("w+")
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "scripts.benchmarking.worker", name, str(self.threads)],
                text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors[name],
                env=environment)
        return self

    def __exit__(self, *error: object) -> None:
        for name, process in self._processes.items():
            process.kill()
            process.communicate()
            self._errors[name].close()

    def ask(self, name: str, do: str, **order: Any) -> Any:
        """Send an order to one worker and wait for its answer.

        Raises
        ------
        BenchmarkError
            The worker met an error or died.
        """
        self._send(name, do, order)
        return self._answer(name)

    def ask_all(self, do: str, together: bool = True, **order: Any) -> dict[str, Any]:
        """Send the same order to every worker, at once or one by one: for what is not timed."""
        if not together:
            return {name: self.ask(name, do, **order) for name in self.names}
        for name in self.names:
            self._send(name, do, order)
        return {name: self._answer(name) for name in self.names}

    def _send(self, name: str, do: str, order: dict[str, Any]) -> None:
        pipe = self._processes[name].stdin
        assert pipe is not None
        try:
            pipe.write(json_text({"do": do, **order}, None) + "\n")
            pipe.flush()
        except BrokenPipeError:
            raise self._death(name) from None

    def _answer(self, name: str) -> Any:
        pipe = self._processes[name].stdout
        assert pipe is not None
        line = pipe.readline()
        if not line:
            raise self._death(name)
        answer = with_nan(json.loads(line))
        if isinstance(answer, dict) and "error" in answer:
            raise BenchmarkError(f"{name}: {answer['error']}")
        return answer

    def _death(self, name: str) -> BenchmarkError:
        code = self._processes[name].wait()
        self._errors[name].seek(0)
        said = self._errors[name].read().strip().splitlines()
        return BenchmarkError(f"{name}: its process ended with code {code}: "
                              f"{said[-1] if said else 'out of memory?'}")

    def turns(self, rounds: int, do: str, each: Mapping[str, dict[str, Any]] | None = None,
              **order: Any) -> dict[str, list[Any]]:
        """Send the same order to all in turn, round after round, each round from another one on.

        ``each`` adds what one of them is told beside it.
        """
        answers: dict[str, list[Any]] = {name: [] for name in self.names}
        for turn in range(rounds):
            first = turn % len(self.names)
            for name in self.names[first:] + self.names[:first]:
                time.sleep(self.pause)
                answers[name].append(self.ask(name, do, **order, **(each or {}).get(name, {})))
        return answers


def check_agreement(found: dict[str, list[float]], tolerance: float, where: str) -> None:
    """Compare what all implementations computed with what plain NumPy did.

    Raises
    ------
    BenchmarkError
        They differ by more than ``tolerance`` relatively: their times compare nothing.
    """
    expected = found["numpy"]
    for name, values in found.items():
        for i, (value, right) in enumerate(zip(values, expected, strict=True)):
            if not abs(value - right) <= tolerance * abs(right):
                raise BenchmarkError(f"{where}: {name} computes loss {value:.10g} where numpy has "
                                     f"{right:.10g} (number {i + 1}, tolerance {tolerance:g}): "
                                     "different mathematics must not be compared")
