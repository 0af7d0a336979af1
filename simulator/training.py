"""The one gradient-descent loop: clean training, and adversarial training with an attack.

    W <- W - eta grad_W L(x + delta(x, y; W), y),    delta = 0 in clean training.

Adversarial training starts from the clean network and keeps its bias, as in Allen-Zhu & Li
(arXiv 2005.10190). Loo, Hasani, Amini & Rus (arXiv 2210.12030) take two updates a batch, one at the
samples as they are, then one at perturbed ones (``clean_first``). Bias schedules are objects; the
loop asks them before every step.
"""

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import held, require_adversary
from simulator.checks import require_int, require_real
from simulator.data.batches import FreshBatches, drawn_ahead
from simulator.errors import Diverged
from simulator.heartbeat import beat
from simulator.jit import fixed_threads
from simulator.protocols import Batches, BiasSchedule, DataModel, Network
from simulator.randomness import Role, stream

__all__ = ["train"]

BLOW_UP = 1e3  # a loss this many times the loss of a blind guess, log 2, will not come back


def train(network: Network, data: DataModel | Batches, *, learning_rate: float,
          steps: int | None = None, start: int = 0, stop: int | None = None,
          weight_decay: float = 0.0, seed: int = 0, schedule: BiasSchedule | None = None,
          adversary: Adversary | None = None, clean_first: bool = False,
          before_step: Callable[[int, np.ndarray, np.ndarray], None] | None = None,
          after_step: Callable[[int, float], None] | None = None, batch_size: int = 1000,
          threads: int | None = None, progress: bool = False) -> None:
    """Train ``network`` in place over ``steps`` steps, or over ``start <= step < stop``.

    Parameters
    ----------
    network : Network
    data : DataModel or Batches
        Source of the samples of each step. A data model gives fresh ones at every step, of the
        dtype of the weights; a finite set is a :class:`~simulator.data.batches.TrainingSet`.
    learning_rate : float
        eta.
    steps : int or None
        How many steps; instead of ``stop``, which is then ``start + steps``.
    start, stop : int
        Steps are numbered over the whole run, so a resumed run continues the same streams.
    weight_decay : float
        lam.
    seed : int
        Seed of the streams of fresh samples, of the attack and of the smoothing noise.
    schedule : BiasSchedule or None
        Sets ``network.bias`` before each step and once after the last; None leaves it.
    adversary : Adversary or None
        Adversarial training against its only attack, whose result is projected onto its ball.
        The attack draws from streams of ``seed``, not of the adversary's own.
    clean_first : bool
        Two updates a step: one at the samples themselves, then one at the perturbed ones, which the
        attack finds after the first. The loss is that of the second.
    before_step : callable or None
        Called with (steps done by then, X, y) before the update whose loss is told: the samples as
        they are perturbed, the network as it is. It must change neither.
    after_step : callable or None
        Called with (steps done, loss) after each step: recording, checkpoints, progress.
    batch_size : int
        Samples of a step where ``data`` is a data model.
    threads : int or None
        BLAS and Numba threads, as in a run; None leaves them. On a busy machine a second
        thread may take many times longer than one.
    progress : bool
        Show a bar, in a terminal or a notebook.

    Raises
    ------
    TypeError, ValueError
        Something that is no network, data, adversary or schedule; a number out of range; a clean
        update before one that nobody perturbs.
    Diverged
        The loss of a step was NaN, infinite or absurdly large.
    """
    require_real("learning_rate", learning_rate, low=0.0, open_low=True)
    require_real("weight_decay", weight_decay, low=0.0)
    first, last = _span(steps, start, stop)
    _require_trainable(network)
    batches = _batches(data, network, batch_size, seed)
    _require_schedule(schedule, network)
    if adversary is not None:
        require_adversary(adversary)
        attack, ball = adversary.attack, adversary.ball
    elif clean_first:
        raise ValueError("clean_first: expected an adversary for the second update, got none")
    with _threads(threads), held(network), drawn_ahead(batches, last) as batch_of:
        for step in _shown(range(first, last), progress):
            beat()
            _set_bias(network, schedule, step)
            batch = batch_of(step)
            X, noise = batch.X, stream(seed, Role.SMOOTHING_NOISE, step)
            if clean_first:
                network.gradient_step(X, batch.y, learning_rate, weight_decay, noise)
            if adversary is not None:
                result = attack.perturb(network, X, batch.y, ball,
                                        stream(seed, Role.TRAINING_ATTACK, step))
                X = X + ball.project(result.delta)
            if before_step is not None:
                before_step(step, X, batch.y)
            loss = network.gradient_step(X, batch.y, learning_rate, weight_decay, noise)
            if not abs(loss) < BLOW_UP * math.log(2.0):  # written so that NaN stops it too
                raise Diverged(step, loss)
            if after_step is not None:
                after_step(step + 1, loss)
        _set_bias(network, schedule, last)


def _span(steps: int | None, start: int, stop: int | None) -> tuple[int, int]:
    require_int("start", start, low=0)
    if (steps is None) == (stop is None):
        raise ValueError("steps, stop: expected one of the two, got "
                         f"{'neither' if steps is None else 'both'}")
    if steps is not None:
        return start, start + require_int("steps", steps, low=0)
    return start, require_int("stop", stop, low=start)


def _batches(data: DataModel | Batches, network: Network, batch_size: int, seed: int) -> Batches:
    """Return the source of batches, made from a data model if need be."""
    require_int("batch_size", batch_size, low=1)
    if hasattr(data, "batch"):
        return cast(Batches, data)
    if hasattr(data, "sample"):
        return FreshBatches(data, batch_size, seed, network.weights.dtype)
    hint = (": a finite set of samples is a TrainingSet" if hasattr(data, "X") else "")
    raise TypeError("data: expected a data model with sample(n, rng, dtype) or batches with "
                    f"batch(step), got a value of type {type(data).__name__}{hint}")


def _require_trainable(network: Any) -> None:
    for name in ("gradient_step", "weights"):
        if not hasattr(network, name):
            raise TypeError(f"network: expected one with {name}, got a value of type "
                            f"{type(network).__name__}: see simulator.protocols.Network")


def _require_schedule(schedule: Any, network: Any) -> None:
    if schedule is None:
        return
    if not hasattr(schedule, "bias") or isinstance(schedule, type):
        raise TypeError(f"schedule: expected one such as TrackingNorm(1.0), got {schedule!r}")
    if not hasattr(network, "bias"):
        raise TypeError("schedule: expected None, got a schedule of the bias: a "
                        f"{type(network).__name__} has no bias")


def _set_bias(network: Any, schedule: BiasSchedule | None, step: int) -> None:
    if schedule is not None:
        network.bias = schedule.bias(step, network)


def _threads(threads: int | None) -> AbstractContextManager[None]:
    if threads is None:
        return nullcontext()
    return fixed_threads(require_int("threads", threads, low=1))


def _shown(steps: range, progress: bool) -> Iterable[int]:
    if not progress:
        return steps
    from tqdm.auto import tqdm  # light where no bar is asked for

    bar: Iterable[int] = tqdm(steps, desc="training", unit="step")
    return bar
