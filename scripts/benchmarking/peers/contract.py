"""What the benchmark asks of an implementation, and which ones there are.

PGD takes 20 steps of 2.5/20 of the radius from zero and keeps the smallest margin that it met,
one full FGM step among them.
"""

import importlib.util
import os
import shutil
from typing import Any, Protocol

import numpy as np

__all__ = ["IMPLEMENTATIONS", "PACKAGES", "PGD_STEPS", "STEP", "TINY", "Implementation",
           "installed"]

IMPLEMENTATIONS = ("ours", "numpy", "torch-autograd", "torch-manual", "torch-compiled",
                   "jax-autograd", "jax-manual")
PACKAGES = {"torch": "torch", "jax": "jax"}  # what an implementation's first word needs
COMPILERS = ("c++", "g++", "clang++")  # PyTorch's own needs one of them, or $CXX
PGD_STEPS = 20
STEP = 2.5 / PGD_STEPS  # in units of the radius
TINY = 1e-30  # below any square of a gradient's norm that matters; a zero gradient stays zero


class Implementation(Protocol):
    """What the benchmark calls. Every call returns when its work is done, not when it is queued."""

    bias: float

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """Take a copy of the weights, and the constants."""
        ...

    def hand(self, X: np.ndarray, y: np.ndarray) -> Any:
        """Return the samples as the library's own arrays."""
        ...

    def clean(self, samples: Any, learning_rate: float) -> float:
        """Take one gradient step in place; return the loss before it."""
        ...

    def adversarial(self, samples: Any, learning_rate: float) -> float:
        """Take one gradient step on the samples that FGM perturbed; return their loss."""
        ...

    def pgd20(self, samples: Any) -> Any:
        """Return the perturbation with the smallest margin that PGD-20 met, shape (n, d)."""
        ...


def installed(name: str) -> bool:
    """Whether what an implementation needs is there (its library is not imported here)."""
    kind, _, how = name.partition("-")
    package = PACKAGES.get(kind)
    if package is not None and importlib.util.find_spec(package) is None:
        return False
    return how != "compiled" or any(map(shutil.which, (os.environ.get("CXX") or COMPILERS[0],
                                                       *COMPILERS)))
