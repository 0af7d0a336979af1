"""What a data model must fulfil."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.checks import require_array, require_int
from simulator.contract.rules import Rule, expect, expect_equal, expect_methods, expect_near, obeyed
from simulator.protocols import DataModel
from simulator.randomness import Role, stream

__all__ = ["DATA_RULES", "check_data"]

SIGMAS = 6.0  # of a share of labels: wrong once in 5e8 draws


@dataclass(frozen=True)
class _DataCase:
    data: Any
    shares: Mapping[float, float] | None
    samples: int
    seed: int

    def sample(self, n: int, dtype: Any = np.float64, seed: int | None = None) -> Any:
        return self.data.sample(n, stream(self.seed if seed is None else seed,
                                          Role.TRAINING_DATA), dtype)


def _data_has_its_method(case: _DataCase) -> None:
    expect_methods(case.data, ("sample",))


def _answers_with_a_batch(case: _DataCase) -> None:
    shape = None
    for n in (7, 1, 0):
        batch = case.sample(n)
        for name in ("X", "y", "codes"):
            expect(hasattr(batch, name), "a Batch(X, y, codes)", type(batch).__name__)
        X = require_array("X", np.reshape(batch.X, (len(batch.X), -1)), (n, None)) if n else (
            batch.X)
        expect(len(batch.X) == n and batch.X.ndim >= 2, f"X of {n} samples, (n, d) or (n, P, d)",
               f"shape {np.shape(batch.X)}")
        shape = batch.X.shape[1:] if shape is None else shape
        expect(batch.X.shape[1:] == shape, f"samples of shape {shape}", batch.X.shape[1:])
        expect(np.shape(batch.y) == (n,), f"y of shape ({n},)", np.shape(batch.y))
        expect(np.isfinite(X).all(), "finite inputs", "NaN or infinite ones")
        expect(batch.codes is None or batch.codes.shape[0] == n, f"codes of {n} samples",
               getattr(batch.codes, "shape", None))


def _draws_the_same_again(case: _DataCase) -> None:
    first, again = case.sample(5), case.sample(5)
    expect_equal(again.X, first.X, "the same inputs from the same seed")
    expect_equal(again.y, first.y, "the same labels from the same seed")
    other = case.sample(5, seed=case.seed + 1)
    expect(not np.array_equal(other.X, first.X), "other inputs from another seed", "the same")
    rng = stream(case.seed, Role.TRAINING_DATA)
    one, two = (case.data.sample(5, rng, np.float64).X for _ in range(2))
    expect(not np.array_equal(one, two), "other inputs when drawn again from one generator",
           "the same")


def _draws_single_precision(case: _DataCase) -> None:
    double, single = case.sample(50), case.sample(50, np.float32)
    expect(double.X.dtype == np.float64, "float64 inputs where asked for", double.X.dtype)
    expect(single.X.dtype == np.float32, "float32 inputs where asked for", single.X.dtype)
    expect_near(single.X, double.X, "the inputs of float64, rounded", np.float32)
    expect_equal(np.asarray(single.y, np.float64), np.asarray(double.y, np.float64),
                 "the labels of float64")


def _has_its_labels(case: _DataCase) -> None:
    y = np.asarray(case.sample(case.samples).y, np.float64)
    values, counts = np.unique(y, return_counts=True)
    fine = np.array_equal(values, [-1.0, 1.0]) or (
        len(values) > 1 and np.array_equal(values, np.arange(len(values))))
    expect(fine, "labels -1 and +1, or classes 0 to K - 1, each of which occurs",
           f"{values[:5].tolist()}")
    shares = (dict.fromkeys(values.tolist(), 1.0 / len(values)) if case.shares is None
              else dict(case.shares))
    for value, count in zip(values.tolist(), counts.tolist()):
        wanted = shares.get(value, 0.0)
        spread = math.sqrt(max(wanted * (1.0 - wanted), 1e-12) / case.samples)
        expect(abs(count / case.samples - wanted) <= SIGMAS * spread,
               f"label {value:g} with probability {wanted:.3g} (+- {SIGMAS * spread:.2g})",
               f"a share of {count / case.samples:.3g}")


_DATA = "simulator/protocols.py, DataModel"

DATA_RULES = (
    Rule("method", _data_has_its_method, "batches are drawn with it", _DATA),
    Rule("batch", _answers_with_a_batch, "a batch holds n samples",
         "simulator/protocols.py, Batch"),
    Rule("same seed", _draws_the_same_again, "equal settings give equal runs, steps see new data",
         "simulator/randomness.py"),
    Rule("float32", _draws_single_precision, "both dtypes see the same samples", _DATA),
    Rule("labels", _has_its_labels, "margins and accuracies are read by them",
         "simulator/protocols.py, Batch"),
)


def check_data(data: DataModel, *, shares: Mapping[float, float] | None = None,
               samples: int = 2000, seed: int = 0) -> tuple[str, ...]:
    """Check a data model.

    Parameters
    ----------
    data : DataModel
    shares : mapping of label to float, or None
        How likely each label is; None: all that occur are equally likely.
    samples : int
        How many are drawn to see that.
    seed : int

    Returns
    -------
    tuple of str
        The rules that hold.

    Raises
    ------
    ContractError
        A rule is broken.
    """
    case = _DataCase(data, shares, require_int("samples", samples, low=100),
                     require_int("seed", seed, low=0))
    return obeyed(data, DATA_RULES, case)
