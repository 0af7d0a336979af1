"""Masks to compare a ticket with: at random, by size, by sensitivity, by neuron, by lottery.

========== =============================================================== ====================
mask       keeps                                                           source
========== =============================================================== ====================
random     weights drawn at random                                         (a control)
neurons    whole neurons drawn at random                                   (a control)
magnitude  the largest ``|w|`` at initialisation                           Han et al. 2015
snip       the largest ``|w dL/dw|`` at initialisation                     Lee et al. 2019
saliency   the largest ``<K, dK/dmask>``: what a weight is for the kernel  a reading of NTK-SAP
lottery    the largest ``|w|`` after training, rewound                     Frankle & Carbin 2019
========== =============================================================== ====================

The lottery mask alone has seen a whole training. What the survivors are multiplied by is a
choice of its own, :class:`Rescaling`.
"""

from dataclasses import dataclass

import numpy as np

from simulator.checks import require_choice, require_int, require_real
from simulator.tickets.dynamics import Dynamics

__all__ = ["Rescaling", "kept_count", "largest", "lottery_mask", "magnitude_mask", "neuron_mask",
           "random_mask", "rescaling", "saliency_mask", "snip_mask"]


@dataclass(frozen=True)
class Rescaling:
    """What makes up for the weights that are gone.

    ``f(x) = sum_i S_bias(scale <mask_i o w_i, x>)``, with ``scale = 1/sqrt(keep)``:

    * "weights": ``bias`` stays b. A neuron's pre-activations keep their size if its weights are
      thinned out evenly.
    * "outputs": ``bias = scale b``, so that ``f = scale sum_i S_b(<mask_i o w_i, x>)``. The gates
      are those of the masked weights as they are; a neuron kept whole keeps its gates.

    Attributes
    ----------
    scale, bias : float
    """

    scale: float
    bias: float


def rescaling(rule: str, keep: float, bias: float) -> Rescaling:
    """Return the rescaling of a rule, "none", "weights" or "outputs"."""
    require_choice("rule", rule, ("none", "weights", "outputs"))
    require_real("keep", keep, low=0.0, high=1.0, open_low=True)
    scale = 1.0 if rule == "none" else keep**-0.5
    return Rescaling(scale, bias * scale if rule == "outputs" else bias)


def kept_count(shape: tuple[int, ...], keep: float) -> int:
    """Return how many weights a keep fraction leaves: at least one."""
    require_real("keep", keep, low=0.0, high=1.0, open_low=True)
    return max(1, round(keep * float(np.prod(shape))))


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the mask of the ``count`` largest scores, shape of scores; ties by position."""
    count = require_int("count", count, low=0, high=scores.size)
    order = np.argsort(-scores, axis=None, kind="stable")
    mask = np.zeros(scores.size, bool)
    mask[order[:count]] = True
    return mask.reshape(scores.shape)


def random_mask(shape: tuple[int, int], keep: float, rng: np.random.Generator) -> np.ndarray:
    """Draw which weights to keep."""
    return largest(rng.random(shape), kept_count(shape, keep))


def neuron_mask(shape: tuple[int, int], keep: float, rng: np.random.Generator) -> np.ndarray:
    """Draw which neurons to keep, with all their weights."""
    m, d = shape
    return np.repeat(largest(rng.random((m, 1)), kept_count((m, 1), keep)), d, axis=1)


def magnitude_mask(weights: np.ndarray, keep: float) -> np.ndarray:
    """Keep the largest weights."""
    return largest(np.abs(weights), kept_count(weights.shape, keep))


def snip_mask(weights: np.ndarray, gradient: np.ndarray, keep: float) -> np.ndarray:
    """Keep the weights whose removal would change the loss most, to first order."""
    return largest(np.abs(weights * gradient), kept_count(weights.shape, keep))


def saliency_mask(dynamics: Dynamics, keep: float) -> np.ndarray:
    """Keep the weights that carry most of the dense network's kernel."""
    scores = dynamics.saliency(np.ones(dynamics.weights.shape, bool))
    return largest(scores, kept_count(scores.shape, keep))


def lottery_mask(trained: np.ndarray, keep: float) -> np.ndarray:
    """Keep the weights that are largest after training; the values are rewound by the caller."""
    return magnitude_mask(trained, keep)
