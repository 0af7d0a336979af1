"""What a network must fulfil."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.checks import require_int, require_real
from simulator.contract.rules import Rule, expect, expect_equal, expect_methods, expect_near, obeyed
from simulator.protocols import Network
from simulator.randomness import Role, stream

__all__ = ["NETWORK_RULES", "check_network", "in_single"]

H = 1e-5  # step of the differences, relative: truncation and rounding are both about 1e-10
CLOSE = 1e-6  # error of a central difference; a wrong sign or a dropped term is of order 1
KINK = 1e-3  # one-sided differences this far apart have a kink between them
MOST_KINKS = 0.2  # share of entries that may lie at one
ENTRIES = 200  # entries of the weights, and of the inputs, that are moved


@dataclass(frozen=True)
class _NetworkCase:
    network: Any
    X: np.ndarray
    y: np.ndarray
    weight_decay: float
    free: np.ndarray | None
    seed: int

    def copied(self) -> Any:
        return copy.deepcopy(self.network)

    def noise(self) -> np.random.Generator:
        """The same numbers for every call: a sampled loss is then one function."""
        return stream(self.seed, Role.SMOOTHING_NOISE)

    def loss_gradient(self, network: Any, X: np.ndarray | None = None, y: np.ndarray | None = None,
                      weight_decay: float | None = None) -> tuple[float, np.ndarray]:
        decay = self.weight_decay if weight_decay is None else weight_decay
        loss, gradient = network.loss_gradient(self.X if X is None else X,
                                               self.y if y is None else y, decay, self.noise())
        return loss, gradient

    def draws_noise(self) -> bool:
        """Whether the loss depends on the generator."""
        losses = [self.network.loss_gradient(self.X, self.y, 0.0, stream(
            self.seed, Role.SMOOTHING_NOISE, step))[0] for step in (0, 1)]
        return bool(losses[0] != losses[1])

    def movable(self) -> np.ndarray:
        """Which weights training may move, flat."""
        weights = self.network.weights
        if self.free is None:
            return np.arange(weights.size)
        return np.flatnonzero(np.broadcast_to(self.free, weights.shape))

    def chosen(self, places: np.ndarray) -> np.ndarray:
        """At most `ENTRIES` of these places."""
        if len(places) <= ENTRIES:
            return places
        return np.sort(stream(self.seed, Role.CALIBRATION).choice(places, ENTRIES, replace=False))


def _has_its_methods(case: _NetworkCase) -> None:
    expect_methods(case.network, ("margins", "margin_gradient", "loss_gradient",
                                  "gradient_step"))
    weights = getattr(case.network, "weights", None)
    expect(isinstance(weights, np.ndarray) and weights.dtype == np.float64,
           "an attribute weights, a float64 array", getattr(weights, "dtype", type(weights)))
    expect(np.isfinite(case.network.weights).all() and case.network.weights.any(),
           "finite weights, not all zero", "others")


def _has_its_shapes(case: _NetworkCase) -> None:
    _shapes_and_dtypes(case.network, case, np.float64)


def _shapes_and_dtypes(network: Any, case: _NetworkCase, dtype: Any) -> None:
    loss, gradient = case.loss_gradient(network)
    for name, array, shape in (
            ("margins", network.margins(case.X, case.y), (len(case.X),)),
            ("margin_gradient", network.margin_gradient(case.X, case.y), case.X.shape),
            ("the gradient of loss_gradient", gradient, network.weights.shape)):
        expect(isinstance(array, np.ndarray), f"{name}: an array", type(array).__name__)
        expect(array.shape == shape, f"{name}: shape {shape}", array.shape)
        expect(array.dtype == dtype, f"{name}: {np.dtype(dtype)} as the weights", array.dtype)
    expect(isinstance(loss, float) and math.isfinite(loss), "the loss: a finite float",
           repr(loss))


def _keeps_its_inputs(case: _NetworkCase) -> None:
    network = case.copied()
    X, y = case.X.copy(), case.y.copy()
    network.margins(X, y), network.margin_gradient(X, y), case.loss_gradient(network, X, y)
    expect_equal(network.weights, case.network.weights, "weights that passes leave alone")
    network.gradient_step(X, y, 0.1, case.weight_decay, case.noise())
    expect_equal(X, case.X, "X as it was")
    expect_equal(y, case.y, "y as it was")


def _takes_read_only_arrays(case: _NetworkCase) -> None:
    network, X, y = case.copied(), case.X.copy(), case.y.copy()
    X.flags.writeable = y.flags.writeable = False
    network.margins(X, y), network.margin_gradient(X, y), case.loss_gradient(network, X, y)
    network.gradient_step(X, y, 0.1, case.weight_decay, case.noise())


def _answers_alike_twice(case: _NetworkCase) -> None:
    network = case.copied()
    first = network.margins(case.X, case.y).copy(), network.margin_gradient(case.X, case.y).copy()
    case.loss_gradient(network)
    expect_equal(network.margins(case.X, case.y), first[0], "the same margins again")
    expect_equal(network.margin_gradient(case.X, case.y), first[1], "the same gradient again")


def _sees_one_sample_at_a_time(case: _NetworkCase) -> None:
    network = case.network
    some = slice(0, 1)
    expect_near(network.margins(case.X[some], case.y[some]),
                network.margins(case.X, case.y)[some], "the margin a sample has alone")
    expect_near(network.margin_gradient(case.X[some], case.y[some]),
                network.margin_gradient(case.X, case.y)[some], "the gradient it has alone")


def _joins_margins_and_gradient(case: _NetworkCase) -> None:
    network = case.network
    if hasattr(network, "margins_and_gradient"):
        margins, gradient = network.margins_and_gradient(case.X, case.y)
        expect_near(margins, network.margins(case.X, case.y), "the margins of margins()")
        expect_near(gradient, network.margin_gradient(case.X, case.y),
                    "the gradient of margin_gradient()")


def _has_a_mean_loss(case: _NetworkCase) -> None:
    if case.draws_noise():
        return  # the noise of a sample depends on its place in the batch
    whole = case.loss_gradient(case.network, weight_decay=0.0)[0]
    alone = [case.loss_gradient(case.network, case.X[n:n + 1], case.y[n:n + 1], 0.0)[0]
             for n in range(len(case.X))]
    expect_near(whole, np.mean(alone), "the mean of the losses of single samples")


def _differentiates_its_margin(case: _NetworkCase) -> None:
    gradient = case.network.margin_gradient(case.X, case.y)
    size = case.X[0].size

    def margins(places: np.ndarray, move: float) -> np.ndarray:
        """Margins with coordinate ``place % size`` of sample ``place // size`` moved."""
        rows = places // size
        moved = case.X[rows].reshape(len(rows), size).copy()
        moved[np.arange(len(rows)), places % size] += move
        return np.asarray(case.network.margins(moved.reshape(len(rows), *case.X.shape[1:]),
                                               case.y[rows]))

    places = case.chosen(np.arange(case.X.size))
    step = H * max(1.0, float(np.abs(case.X).max()))
    values = np.array([margins(places, move) for move in (-step, 0.0, step)])
    _expect_derivative(gradient.ravel()[places], values, step, "margins by X")


def _differentiates_its_loss(case: _NetworkCase) -> None:
    network = case.copied()
    flat = network.weights.reshape(-1)
    expect(np.shares_memory(flat, network.weights), "contiguous weights", "a strided array")
    gradient = case.loss_gradient(network)[1].ravel().copy()
    places = case.chosen(case.movable())
    step = H * max(1e-3, float(np.abs(flat).max()))
    values = np.empty((3, len(places)))
    for column, place in enumerate(places):
        kept = flat[place]
        for row, move in enumerate((-step, 0.0, step)):
            flat[place] = kept + move
            values[row, column] = case.loss_gradient(network)[0]
        flat[place] = kept
    _expect_derivative(gradient[places], values, step, "the loss by the weights")
    if case.free is not None:
        fixed = np.setdiff1d(np.arange(flat.size), case.movable())
        expect(not gradient[fixed].any(), "gradient 0 at the weights that are not free",
               "others")


def _expect_derivative(gradient: np.ndarray, values: np.ndarray, step: float, what: str) -> None:
    """Central differences; at a kink the derivative lies between the one-sided ones."""
    below, here, above = values
    left, right, central = (here - below) / step, (above - here) / step, (above - below) / (
        2.0 * step)
    scale = float(np.abs(central).max(initial=0.0)) + float(np.abs(gradient).max(initial=0.0))
    expect(scale > 0.0, f"{what}: a derivative that is not 0 everywhere", "0")
    kinks = np.abs(left - right) > KINK * scale
    expect(kinks.mean() <= MOST_KINKS, f"{what}: samples away from kinks",
           f"{kinks.mean():.0%} of the entries at one")
    error = np.abs(gradient - central)
    low, high = np.minimum(left, right), np.maximum(left, right)
    error[kinks] = np.maximum(np.maximum(low - gradient, gradient - high)[kinks], 0.0)
    worst = float(error.max(initial=0.0)) / scale
    # rounding of a difference of numbers of this size
    slack = 8.0 * float(np.finfo(float).eps) * float(np.abs(here).max(initial=0.0)) / step / scale
    expect(worst <= CLOSE + slack, f"{what}: the derivative, by central differences",
           f"one that is off by {worst:.2g} of the largest entry")


def _steps_along_its_gradient(case: _NetworkCase) -> None:
    network, eta = case.copied(), 0.1
    held = network.weights
    loss, gradient = case.loss_gradient(network)
    wanted = held - eta * gradient
    before = network.gradient_step(case.X, case.y, eta, case.weight_decay, case.noise())
    expect(network.weights is held or np.shares_memory(network.weights, held),
           "weights that are changed in place", "a new array")
    expect_near(before, loss, "the loss before the step from gradient_step")
    expect_near(network.weights, wanted, "weights - learning_rate * gradient after the step")


def _lets_nan_reach_the_loss(case: _NetworkCase) -> None:
    network = case.copied()
    gradient = case.loss_gradient(network)[1].ravel()
    place = case.movable()[np.abs(gradient[case.movable()]).argmax()]
    network.weights.reshape(-1)[place] = np.nan
    expect(not math.isfinite(case.loss_gradient(network)[0]),
           "a loss of NaN from loss_gradient where a weight is NaN", "a finite one")
    loss = network.gradient_step(case.X, case.y, 0.1, case.weight_decay, case.noise())
    expect(not math.isfinite(loss), "a loss of NaN from gradient_step where a weight is NaN",
           "a finite one")


def _works_in_single_precision(case: _NetworkCase) -> None:
    single = in_single(case.network)
    _shapes_and_dtypes(single, case, np.float32)
    if not case.draws_noise():  # numbers of another type are other numbers
        expect_near(case.loss_gradient(single)[0], case.loss_gradient(case.network)[0],
                    "the loss of float64, rounded", np.float32)
        expect_near(case.loss_gradient(single)[1], case.loss_gradient(case.network)[1],
                    "the gradient of float64, rounded", np.float32)
    single.gradient_step(case.X, case.y, 0.1, case.weight_decay, case.noise())
    expect(single.weights.dtype == np.float32, "float32 weights after a step",
           single.weights.dtype)


def in_single(network: Any) -> Any:
    """Return a deep copy in which every float64 array is rounded to float32.

    Parameters
    ----------
    network : Network
        An array that two attributes share is shared in the copy as well.
    """
    arrays = {id(array): array for array in _arrays(network, set())}
    return copy.deepcopy(network, {key: array.astype(np.float32)
                                   for key, array in arrays.items()})


def _arrays(thing: Any, seen: set[int]) -> Iterator[np.ndarray]:
    """Yield the float64 arrays that an object holds, itself or through others."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        if thing.dtype == np.float64:
            yield thing
    elif isinstance(thing, Mapping):
        for value in thing.values():
            yield from _arrays(value, seen)
    elif isinstance(thing, (list, tuple)):
        for value in thing:
            yield from _arrays(value, seen)
    elif hasattr(thing, "__dict__") and not isinstance(thing, type) and not callable(thing):
        yield from _arrays(vars(thing), seen)


_NETWORK = "simulator/protocols.py, Network"

NETWORK_RULES = (
    Rule("methods", _has_its_methods, "training and attacks call them", _NETWORK),
    Rule("shapes", _has_its_shapes, "a batch holds n samples; every array has one dtype",
         _NETWORK),
    Rule("inputs", _keeps_its_inputs, "the next attack sees the same samples", _NETWORK),
    Rule("read-only", _takes_read_only_arrays, "stored and shared samples cannot be written to",
         _NETWORK),
    Rule("repetition", _answers_alike_twice, "an attack compares margins of many calls",
         _NETWORK),
    Rule("samples", _sees_one_sample_at_a_time, "samples are evaluated in chunks", _NETWORK),
    Rule("one pass", _joins_margins_and_gradient, "PGD takes both from it", _NETWORK),
    Rule("mean loss", _has_a_mean_loss, "learning rates do not depend on the batch size",
         _NETWORK),
    Rule("margin gradient", _differentiates_its_margin,
         "an attack that follows another gradient reports robustness that is not there",
         _NETWORK + ".margin_gradient"),
    Rule("loss gradient", _differentiates_its_loss, "training descends it",
         _NETWORK + ".loss_gradient"),
    Rule("step", _steps_along_its_gradient, "gradient_step descends what loss_gradient says",
         _NETWORK + ".gradient_step"),
    Rule("NaN", _lets_nan_reach_the_loss, "the training loop stops on it",
         "simulator/training.py, Diverged"),
    Rule("float32", _works_in_single_precision, "large sweeps run in it",
         "simulator/protocols.py: every array of a run has one dtype"),
)


def check_network(network: Network, X: np.ndarray, y: np.ndarray, *, weight_decay: float = 0.1,
                  free: np.ndarray | None = None, seed: int = 0) -> tuple[str, ...]:
    """Check a network on a few samples; it is copied, not changed.

    Parameters
    ----------
    network : Network
        With float64 weights, not all zero: a small one, of which every pass takes no time.
    X : ndarray, shape (n, ...)
        At least two samples, away from the kinks of the network (random ones are).
    y : ndarray, shape (n,)
        Labels as the network takes them.
    weight_decay : float
        With which the loss is differentiated too.
    free : ndarray of bool, shape of the weights, or None
        The weights that training may move; None: all.
    seed : int
        Of the entries that are moved, and of the noise of networks that draw some.

    Returns
    -------
    tuple of str
        The rules that hold.

    Raises
    ------
    ContractError
        A rule is broken: its line says which, what was expected, what came and why.
    """
    case = _NetworkCase(network, np.array(X, np.float64), np.array(y),
                        require_real("weight_decay", weight_decay, low=0.0), free,
                        require_int("seed", seed, low=0))
    if len(case.X) < 2:
        raise ValueError(f"X: expected at least two samples, got {len(case.X)}")
    return obeyed(network, NETWORK_RULES, case)
