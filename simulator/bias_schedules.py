"""Bias schedules: how the one bias b of the symmetric network moves while it is trained.

Large b keeps most neurons silent, as in the lottery of Allen-Zhu & Li (arXiv 2005.10190); small
b lets many fire. A schedule is any object with ``bias(step, network)``.
"""

import math
from dataclasses import dataclass

import numpy as np

from simulator.checks import require_real
from simulator.protocols import Network

__all__ = ["LinearThenConstant", "TrackingNorm"]


@dataclass(frozen=True)
class LinearThenConstant:
    """``b(t) = min(start + slope t, maximum)``.

    The bias grows while the neurons that won the lottery grow, so that the others stay
    silent, and then stays (a reading of Allen-Zhu & Li, arXiv 2005.10190).
    """

    start: float
    slope: float
    maximum: float

    def __post_init__(self) -> None:
        for name in ("start", "slope", "maximum"):
            require_real(name, getattr(self, name), low=0.0)

    def bias(self, step: int, network: Network) -> float:
        """Return b(step)."""
        return min(self.start + self.slope * step, self.maximum)


@dataclass(frozen=True)
class TrackingNorm:
    """``b = scale sqrt(log d) mean_i ||w_i|| / sqrt(d)``: the noise level of an average neuron.

    The bias stays on the scale of ``<w_i, xi>`` for a dense xi of unit norm, so that many
    neurons keep firing and the dense parts dominate.
    """

    scale: float

    def __post_init__(self) -> None:
        require_real("scale", self.scale, low=0.0)

    def bias(self, step: int, network: Network) -> float:
        """Return b for the present weights."""
        W = network.weights
        if W.ndim != 2:
            raise TypeError("network: expected weights of shape (m, d), one row a neuron, got "
                            f"shape {W.shape}: the bias tracks the norm of an average neuron")
        d = W.shape[1]
        norms = np.sqrt(np.einsum("ij,ij->i", W, W))
        return float(self.scale * math.sqrt(math.log(d) / d) * norms.mean(dtype=np.float64))
