"""What a network, an attack or a data model of your own must fulfil, checked by one call each.

    check_network(network, X, y)
    check_attack(attack, network, batch, ball)
    check_data(data)

Each runs its rules in order (:data:`NETWORK_RULES`, :data:`ATTACK_RULES`, :data:`DATA_RULES`) and
raises :class:`ContractError` at the first that is broken, with what was expected, what came, why
it matters and where the rule is written. The classes of this project go through the same calls.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simulator.checks import require_array, require_int, require_real
from simulator.protocols import Attack, Ball, Batch, DataModel, Network
from simulator.randomness import Role, stream

__all__ = ["ATTACK_RULES", "DATA_RULES", "NETWORK_RULES", "ContractError", "Rule", "check_attack",
           "check_data", "check_network", "in_single"]

H = 1e-5  # step of the differences, relative: truncation and rounding are both about 1e-10
CLOSE = 1e-6  # error of a central difference; a wrong sign or a dropped term is of order 1
KINK = 1e-3  # one-sided differences this far apart have a kink between them
MOST_KINKS = 0.2  # share of entries that may lie at one
ENTRIES = 200  # entries of the weights, and of the inputs, that are moved
SIGMAS = 6.0  # of a share of labels: wrong once in 5e8 draws
ROUNDINGS = 1e3  # how many eps of its largest number a result may be off


class Rule(NamedTuple):
    """One sentence of the contract.

    Attributes
    ----------
    name : str
    holds : callable
        Takes the case; raises what :func:`_expect` raises where the rule is broken.
    why : str
        What goes wrong without it.
    source : str
        Where it is written.
    """

    name: str
    holds: Callable[[Any], None]
    why: str
    source: str


class ContractError(AssertionError):
    """A rule of the contract is broken.

    Attributes
    ----------
    rule : str
        Name of the rule.
    """

    def __init__(self, subject: Any, rule: Rule, found: str) -> None:
        super().__init__(f"{type(subject).__name__}: {rule.name}: {found}: {rule.why} "
                         f"({rule.source})")
        self.rule = rule.name


class _Broken(Exception):
    """Expected and got, on the way to the rule that knows why."""


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
    return _obeyed(network, NETWORK_RULES, case)


def check_attack(attack: Attack, network: Network, batch: Batch, ball: Ball, *,
                 seed: int = 0) -> tuple[str, ...]:
    """Check an attack on a network, a few samples and a ball.

    Parameters
    ----------
    attack : Attack
    network : Network
        One that the attack is made for, with float64 weights.
    batch : Batch
        At least two samples.
    ball : Ball
        Of a radius above 0.
    seed : int
        Of the attack's random numbers.

    Returns
    -------
    tuple of str
        The rules that hold.

    Raises
    ------
    ContractError
        A rule is broken.
    """
    if len(batch) < 2:
        raise ValueError(f"batch: expected at least two samples, got {len(batch)}")
    case = _AttackCase(attack, network, np.array(batch.X, np.float64), np.array(batch.y), ball,
                       require_int("seed", seed, low=0))
    return _obeyed(attack, ATTACK_RULES, case)


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
    return _obeyed(data, DATA_RULES, case)


def _obeyed(subject: Any, rules: tuple[Rule, ...], case: Any) -> tuple[str, ...]:
    for rule in rules:
        try:
            with np.errstate(all="ignore"):
                rule.holds(case)
        except _Broken as broken:
            raise ContractError(subject, rule, str(broken)) from None
        except ContractError:
            raise
        except Exception as error:  # whatever a foreign class does is told in one line
            raise ContractError(subject, rule, f"expected an answer, got {type(error).__name__}: "
                                f"{error}") from error
    return tuple(rule.name for rule in rules)


def _expect(holds: Any, expected: str, got: Any) -> None:
    if not holds:
        raise _Broken(f"expected {expected}, got {got}")


def _expect_methods(subject: Any, names: tuple[str, ...]) -> None:
    _expect(not isinstance(subject, type), "an object", f"the class {subject!r}")
    for name in names:
        _expect(callable(getattr(subject, name, None)), f"a method {name}", "none")


def _expect_equal(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    got, wanted = np.asarray(got), np.asarray(wanted)
    same = got.shape == wanted.shape and np.array_equal(got, wanted, equal_nan=True)
    _expect(same, what, "other numbers" if got.shape == wanted.shape else f"shape {got.shape}")


def _expect_near(got: Any, wanted: Any, what: str, dtype: Any = np.float64) -> None:
    """Equal up to rounding of the largest number."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    _expect(got.shape == wanted.shape, f"{what}, shape {wanted.shape}", f"shape {got.shape}")
    scale = float(np.abs(wanted).max(initial=0.0)) + float(np.abs(got).max(initial=0.0))
    error = float(np.abs(got - wanted).max(initial=0.0))
    _expect(error <= ROUNDINGS * float(np.finfo(dtype).eps) * scale, what,
            f"numbers that are off by {error:.2g}")


# --- networks -----------------------------------------------------------------------------


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
    _expect_methods(case.network, ("margins", "margin_gradient", "loss_gradient",
                                   "gradient_step"))
    weights = getattr(case.network, "weights", None)
    _expect(isinstance(weights, np.ndarray) and weights.dtype == np.float64,
            "an attribute weights, a float64 array", getattr(weights, "dtype", type(weights)))
    _expect(np.isfinite(case.network.weights).all() and case.network.weights.any(),
            "finite weights, not all zero", "others")


def _has_its_shapes(case: _NetworkCase) -> None:
    _shapes_and_dtypes(case.network, case, np.float64)


def _shapes_and_dtypes(network: Any, case: _NetworkCase, dtype: Any) -> None:
    loss, gradient = case.loss_gradient(network)
    for name, array, shape in (
            ("margins", network.margins(case.X, case.y), (len(case.X),)),
            ("margin_gradient", network.margin_gradient(case.X, case.y), case.X.shape),
            ("the gradient of loss_gradient", gradient, network.weights.shape)):
        _expect(isinstance(array, np.ndarray), f"{name}: an array", type(array).__name__)
        _expect(array.shape == shape, f"{name}: shape {shape}", array.shape)
        _expect(array.dtype == dtype, f"{name}: {np.dtype(dtype)} as the weights", array.dtype)
    _expect(isinstance(loss, float) and math.isfinite(loss), "the loss: a finite float",
            repr(loss))


def _keeps_its_inputs(case: _NetworkCase) -> None:
    network = case.copied()
    X, y = case.X.copy(), case.y.copy()
    network.margins(X, y), network.margin_gradient(X, y), case.loss_gradient(network, X, y)
    _expect_equal(network.weights, case.network.weights, "weights that passes leave alone")
    network.gradient_step(X, y, 0.1, case.weight_decay, case.noise())
    _expect_equal(X, case.X, "X as it was")
    _expect_equal(y, case.y, "y as it was")


def _takes_read_only_arrays(case: _NetworkCase) -> None:
    network, X, y = case.copied(), case.X.copy(), case.y.copy()
    X.flags.writeable = y.flags.writeable = False
    network.margins(X, y), network.margin_gradient(X, y), case.loss_gradient(network, X, y)
    network.gradient_step(X, y, 0.1, case.weight_decay, case.noise())


def _answers_alike_twice(case: _NetworkCase) -> None:
    network = case.copied()
    first = network.margins(case.X, case.y).copy(), network.margin_gradient(case.X, case.y).copy()
    case.loss_gradient(network)
    _expect_equal(network.margins(case.X, case.y), first[0], "the same margins again")
    _expect_equal(network.margin_gradient(case.X, case.y), first[1], "the same gradient again")


def _sees_one_sample_at_a_time(case: _NetworkCase) -> None:
    network = case.network
    some = slice(0, 1)
    _expect_near(network.margins(case.X[some], case.y[some]),
                 network.margins(case.X, case.y)[some], "the margin a sample has alone")
    _expect_near(network.margin_gradient(case.X[some], case.y[some]),
                 network.margin_gradient(case.X, case.y)[some], "the gradient it has alone")


def _joins_margins_and_gradient(case: _NetworkCase) -> None:
    network = case.network
    if hasattr(network, "margins_and_gradient"):
        margins, gradient = network.margins_and_gradient(case.X, case.y)
        _expect_near(margins, network.margins(case.X, case.y), "the margins of margins()")
        _expect_near(gradient, network.margin_gradient(case.X, case.y),
                     "the gradient of margin_gradient()")


def _has_a_mean_loss(case: _NetworkCase) -> None:
    if case.draws_noise():
        return  # the noise of a sample depends on its place in the batch
    whole = case.loss_gradient(case.network, weight_decay=0.0)[0]
    alone = [case.loss_gradient(case.network, case.X[n:n + 1], case.y[n:n + 1], 0.0)[0]
             for n in range(len(case.X))]
    _expect_near(whole, np.mean(alone), "the mean of the losses of single samples")


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
    _expect(np.shares_memory(flat, network.weights), "contiguous weights", "a strided array")
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
        _expect(not gradient[fixed].any(), "gradient 0 at the weights that are not free",
                "others")


def _expect_derivative(gradient: np.ndarray, values: np.ndarray, step: float, what: str) -> None:
    """Central differences; at a kink the derivative lies between the one-sided ones."""
    below, here, above = values
    left, right, central = (here - below) / step, (above - here) / step, (above - below) / (
        2.0 * step)
    scale = float(np.abs(central).max(initial=0.0)) + float(np.abs(gradient).max(initial=0.0))
    _expect(scale > 0.0, f"{what}: a derivative that is not 0 everywhere", "0")
    kinks = np.abs(left - right) > KINK * scale
    _expect(kinks.mean() <= MOST_KINKS, f"{what}: samples away from kinks",
            f"{kinks.mean():.0%} of the entries at one")
    error = np.abs(gradient - central)
    low, high = np.minimum(left, right), np.maximum(left, right)
    error[kinks] = np.maximum(np.maximum(low - gradient, gradient - high)[kinks], 0.0)
    worst = float(error.max(initial=0.0)) / scale
    # rounding of a difference of numbers of this size
    slack = 8.0 * float(np.finfo(float).eps) * float(np.abs(here).max(initial=0.0)) / step / scale
    _expect(worst <= CLOSE + slack, f"{what}: the derivative, by central differences",
            f"one that is off by {worst:.2g} of the largest entry")


def _steps_along_its_gradient(case: _NetworkCase) -> None:
    network, eta = case.copied(), 0.1
    held = network.weights
    loss, gradient = case.loss_gradient(network)
    wanted = held - eta * gradient
    before = network.gradient_step(case.X, case.y, eta, case.weight_decay, case.noise())
    _expect(network.weights is held or np.shares_memory(network.weights, held),
            "weights that are changed in place", "a new array")
    _expect_near(before, loss, "the loss before the step from gradient_step")
    _expect_near(network.weights, wanted, "weights - learning_rate * gradient after the step")


def _lets_nan_reach_the_loss(case: _NetworkCase) -> None:
    network = case.copied()
    gradient = case.loss_gradient(network)[1].ravel()
    place = case.movable()[np.abs(gradient[case.movable()]).argmax()]
    network.weights.reshape(-1)[place] = np.nan
    _expect(not math.isfinite(case.loss_gradient(network)[0]),
            "a loss of NaN from loss_gradient where a weight is NaN", "a finite one")
    loss = network.gradient_step(case.X, case.y, 0.1, case.weight_decay, case.noise())
    _expect(not math.isfinite(loss), "a loss of NaN from gradient_step where a weight is NaN",
            "a finite one")


def _works_in_single_precision(case: _NetworkCase) -> None:
    single = in_single(case.network)
    _shapes_and_dtypes(single, case, np.float32)
    if not case.draws_noise():  # numbers of another type are other numbers
        _expect_near(case.loss_gradient(single)[0], case.loss_gradient(case.network)[0],
                     "the loss of float64, rounded", np.float32)
        _expect_near(case.loss_gradient(single)[1], case.loss_gradient(case.network)[1],
                     "the gradient of float64, rounded", np.float32)
    single.gradient_step(case.X, case.y, 0.1, case.weight_decay, case.noise())
    _expect(single.weights.dtype == np.float32, "float32 weights after a step",
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


# --- attacks ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _AttackCase:
    attack: Any
    network: Any
    X: np.ndarray
    y: np.ndarray
    ball: Any
    seed: int

    def perturb(self, X: np.ndarray | None = None, y: np.ndarray | None = None,
                network: Any = None) -> Any:
        return self.attack.perturb(self.network if network is None else network,
                                   self.X if X is None else X, self.y if y is None else y,
                                   self.ball, stream(self.seed, Role.EVALUATION_ATTACK))


def _attack_has_its_method(case: _AttackCase) -> None:
    _expect_methods(case.attack, ("perturb",))


def _answers_with_a_perturbation(case: _AttackCase) -> None:
    found = case.perturb()
    for name in ("delta", "zero_gradients"):
        _expect(hasattr(found, name), "a Perturbation(delta, zero_gradients)",
                type(found).__name__)
    _expect(isinstance(found.delta, np.ndarray) and found.delta.shape == case.X.shape,
            f"delta of shape {case.X.shape}", getattr(found.delta, "shape", type(found.delta)))
    _expect(found.delta.dtype == np.float64, "delta of the dtype of X, float64",
            found.delta.dtype)
    _expect(np.isfinite(found.delta).all(), "a finite delta", "NaN or infinite entries")
    blind = found.zero_gradients
    _expect(isinstance(blind, (int, np.integer)) and not isinstance(blind, bool)
            and 0 <= blind <= len(case.X), f"zero_gradients from 0 to {len(case.X)}", repr(blind))


def _searches_its_ball(case: _AttackCase) -> None:
    delta = case.ball.project(case.perturb().delta)
    lengths = case.ball.norm(delta)
    _expect((lengths <= case.ball.radius * (1.0 + 1e-9)).all(),
            f"a projection of length up to {case.ball.radius:g}", f"{lengths.max():g}")
    _expect(lengths.any(), "a perturbation of at least one sample", "zero for all of them")


def _attack_keeps_its_inputs(case: _AttackCase) -> None:
    network, X, y = copy.deepcopy(case.network), case.X.copy(), case.y.copy()
    case.perturb(X, y, network)
    _expect_equal(X, case.X, "X as it was")
    _expect_equal(y, case.y, "y as it was")
    _expect_equal(network.weights, case.network.weights, "weights as they were")


def _attack_takes_read_only_arrays(case: _AttackCase) -> None:
    X, y = case.X.copy(), case.y.copy()
    X.flags.writeable = y.flags.writeable = False
    case.perturb(X, y)


def _draws_from_its_generator(case: _AttackCase) -> None:
    _expect_equal(case.perturb().delta, case.perturb().delta, "the same delta from the same seed")


def _attack_works_in_single_precision(case: _AttackCase) -> None:
    network = in_single(case.network)
    labels = case.y.astype(np.float32) if case.y.dtype == np.float64 else case.y
    delta = case.perturb(case.X.astype(np.float32), labels, network).delta
    _expect(delta.dtype == np.float32, "delta of the dtype of X, float32", delta.dtype)


_ATTACK = "simulator/protocols.py, Attack"

ATTACK_RULES = (
    Rule("method", _attack_has_its_method, "training and evaluation call it", _ATTACK),
    Rule("perturbation", _answers_with_a_perturbation, "the caller projects it and scores it again",
         "simulator/protocols.py, Perturbation"),
    Rule("ball", _searches_its_ball, "an attack that moves nothing shows no robustness", _ATTACK),
    Rule("inputs", _attack_keeps_its_inputs, "the next attack sees the same samples", _ATTACK),
    Rule("read-only", _attack_takes_read_only_arrays,
         "stored and shared samples cannot be written to", _ATTACK),
    Rule("same seed", _draws_from_its_generator, "equal settings give equal runs",
         "simulator/randomness.py"),
    Rule("float32", _attack_works_in_single_precision, "large sweeps run in it",
         "simulator/protocols.py: every array of a run has one dtype"),
)


# --- data models --------------------------------------------------------------------------


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
    _expect_methods(case.data, ("sample",))


def _answers_with_a_batch(case: _DataCase) -> None:
    shape = None
    for n in (7, 1, 0):
        batch = case.sample(n)
        for name in ("X", "y", "codes"):
            _expect(hasattr(batch, name), "a Batch(X, y, codes)", type(batch).__name__)
        X = require_array("X", np.reshape(batch.X, (len(batch.X), -1)), (n, None)) if n else (
            batch.X)
        _expect(len(batch.X) == n and batch.X.ndim >= 2, f"X of {n} samples, (n, d) or (n, P, d)",
                f"shape {np.shape(batch.X)}")
        shape = batch.X.shape[1:] if shape is None else shape
        _expect(batch.X.shape[1:] == shape, f"samples of shape {shape}", batch.X.shape[1:])
        _expect(np.shape(batch.y) == (n,), f"y of shape ({n},)", np.shape(batch.y))
        _expect(np.isfinite(X).all(), "finite inputs", "NaN or infinite ones")
        _expect(batch.codes is None or batch.codes.shape[0] == n, f"codes of {n} samples",
                getattr(batch.codes, "shape", None))


def _draws_the_same_again(case: _DataCase) -> None:
    first, again = case.sample(5), case.sample(5)
    _expect_equal(again.X, first.X, "the same inputs from the same seed")
    _expect_equal(again.y, first.y, "the same labels from the same seed")
    other = case.sample(5, seed=case.seed + 1)
    _expect(not np.array_equal(other.X, first.X), "other inputs from another seed", "the same")
    rng = stream(case.seed, Role.TRAINING_DATA)
    one, two = (case.data.sample(5, rng, np.float64).X for _ in range(2))
    _expect(not np.array_equal(one, two), "other inputs when drawn again from one generator",
            "the same")


def _draws_single_precision(case: _DataCase) -> None:
    double, single = case.sample(50), case.sample(50, np.float32)
    _expect(double.X.dtype == np.float64, "float64 inputs where asked for", double.X.dtype)
    _expect(single.X.dtype == np.float32, "float32 inputs where asked for", single.X.dtype)
    _expect_near(single.X, double.X, "the inputs of float64, rounded", np.float32)
    _expect_equal(np.asarray(single.y, np.float64), np.asarray(double.y, np.float64),
                  "the labels of float64")


def _has_its_labels(case: _DataCase) -> None:
    y = np.asarray(case.sample(case.samples).y, np.float64)
    values, counts = np.unique(y, return_counts=True)
    fine = np.array_equal(values, [-1.0, 1.0]) or (
        len(values) > 1 and np.array_equal(values, np.arange(len(values))))
    _expect(fine, "labels -1 and +1, or classes 0 to K - 1, each of which occurs",
            f"{values[:5].tolist()}")
    shares = (dict.fromkeys(values.tolist(), 1.0 / len(values)) if case.shares is None
              else dict(case.shares))
    for value, count in zip(values.tolist(), counts.tolist()):
        wanted = shares.get(value, 0.0)
        spread = math.sqrt(max(wanted * (1.0 - wanted), 1e-12) / case.samples)
        _expect(abs(count / case.samples - wanted) <= SIGMAS * spread,
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
