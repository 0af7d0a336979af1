"""The runs that all claims of this paper share; see :mod:`theory.plans`."""

from typing import Any

from theory.plans import Family, sizes

__all__ = ["KERNELS"]

# Float32: verify needs many runs.
_QUICK: dict[str, Any] = {"dtype": "float32"}

KERNELS = {
    "smoke": (Family("smoke", changes=_QUICK | {"transfer_samples": 60}, seeds=3),),
    "desk": (Family("desk", changes=_QUICK),),
    "paper": (Family("desk", sizes((100, 3), (200, 4)),
                     _QUICK | {"freeze_every": 50, "test_samples": 2000}),)}
