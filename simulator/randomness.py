"""Every random number comes from here: one independent stream per (seed, role, step).

A stream is rebuilt from its three integers whenever it is needed, so a resumed run needs no
stored generator state and draws exactly what the uninterrupted run would have drawn.
Kernels never draw: numbers are made in Python and handed to them.
"""

from enum import IntEnum
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from simulator.checks import require_int

__all__ = ["Rng", "Role", "require_generator", "stream"]

Rng: TypeAlias = np.random.Generator | int


class Role(IntEnum):
    """What a stream is for. The numbers are part of the file format: never reuse one."""

    DICTIONARY = 0
    LABELER = 1
    INITIALISATION = 2
    TRAINING_DATA = 3
    TRAINING_ATTACK = 4
    SMOOTHING_NOISE = 5
    EVALUATION_DATA = 6
    EVALUATION_ATTACK = 7
    CALIBRATION = 8
    SHUFFLING = 9
    RACE = 10
    SECOND_RUN = 14
    TICKET_SEARCH = 20
    MASK = 21
    KERNEL_SAMPLES = 22


def stream(seed: int, role: Role, step: int = 0) -> np.random.Generator:
    """Return the generator of one role at one step.

    Parameters
    ----------
    seed : int
        Seed of the run, at least 0.
    role : Role
        What the numbers are for; two roles never share numbers.
    step : int
        Step (or epoch) of the run, at least 0.
    """
    require_int("seed", seed, low=0)
    require_int("step", step, low=0)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(role), step)))


def require_generator(name: str, rng: Any) -> np.random.Generator:
    """Return ``rng`` if it is a generator, a new one of an integer seed, or raise TypeError.

    A seed gives the generator of ``numpy.random.default_rng(seed)``.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, Integral):
        raise TypeError(f"{name}: expected a seed or a numpy Generator, got {rng!r}")
    return np.random.default_rng(require_int(name, rng, low=0))
