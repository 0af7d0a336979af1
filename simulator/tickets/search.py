"""Tickets: masks at initialisation under which training goes as it does without them.

A dynamics-preserving ticket (Shi et al., arXiv 2202.06488) keeps a given number of the weights
of the symmetric ReLU network such that, on adversarial examples of the dense network, outputs and
empirical tangent kernel are nearly those of the dense network: the objective J of
:mod:`simulator.tickets.dynamics` is small. The same outputs and the same kernel give the same first
steps of (adversarial) gradient descent.

The search is straight-through: real scores, of which the largest make the mask, follow the
gradient of J by the mask, taken at fixed gates. Gates do move with the mask; the swaps of
:mod:`simulator.tickets.swaps` see that. The masks it competes with are in
:mod:`simulator.tickets.masks`.
"""

from collections.abc import Callable

import numpy as np

from simulator.checks import require_int, require_real
from simulator.heartbeat import beat
from simulator.tickets.dynamics import Dynamics
from simulator.tickets.masks import kept_count, largest

__all__ = ["straight_through"]


def straight_through(examples: Callable[[int], Dynamics], scores: np.ndarray, keep: float,
                     scale: float = 1.0, bias: float | None = None, steps: int = 60,
                     gamma: float = 1.0, output_weight: float = 1.0, rate: float = 0.3,
                     whole_neurons: bool = False) -> np.ndarray:
    """Search a dynamics-preserving mask by gradient descent on scores.

    Parameters
    ----------
    examples : callable
        Returns the target of a step, fresh adversarial examples or always the same.
    scores : ndarray, shape (m, d)
        Where to begin; the largest are kept.
    keep : float
        Share of the weights to keep.
    scale : float
        s.
    bias : float or None
        Threshold of the masked network; None: that of the dense one.
    steps : int
    gamma, output_weight : float
        Factors of the kernel's and of the outputs' part, as in :meth:`Dynamics.gradient`.
    rate : float
        Root mean square of the first step, in standard deviations of the initial scores; it
        falls linearly to zero.
    whole_neurons : bool
        Keep or drop whole neurons: all weights of one share the mean of their scores.

    Returns
    -------
    mask : ndarray of bool, shape (m, d)
    """
    require_int("steps", steps, low=0)
    require_real("rate", rate, low=0.0)
    scores = np.array(scores, np.float64)
    d = scores.shape[1]
    if whole_neurons:
        scores = scores.mean(axis=1, keepdims=True)
    count, unit = kept_count(scores.shape, keep), float(scores.std()) or 1.0
    for step in range(steps):
        beat()
        mask = np.repeat(largest(scores, count), d // scores.shape[1], axis=1)
        gradient = examples(step).gradient(mask, scale, bias, gamma, output_weight)
        if whole_neurons:
            gradient = gradient.mean(axis=1, keepdims=True)
        peak = np.abs(gradient).max()
        if peak == 0.0:  # nothing more to gain
            break
        gradient /= peak
        size = rate * unit * (1.0 - step / steps)
        scores -= size / np.sqrt(np.mean(gradient**2)) * gradient
    return np.repeat(largest(scores, count), d // scores.shape[1], axis=1)
