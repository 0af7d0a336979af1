"""The runs that all claims of this paper share; see :mod:`theory.plans`."""

from theory.plans import Family

__all__ = ["MASKS"]

MASKS = {
    "smoke": (Family("smoke", seeds=3),),
    "desk": (Family("desk"), Family("feature")),
    "paper": (Family("desk", ({"m": 1000}, {"m": 4000})),
              Family("better", ({"m": 1000}, {"m": 4000})),
              Family("feature", ({"m": 400}, {"m": 800})))}
