"""The runs that all claims of this paper share; see :mod:`theory.plans`."""

from theory.plans import Family

__all__ = ["MASKS"]

MASKS = {
    "smoke": (Family("smoke", changes={"rescaling": "better", "transfer_steps": 50}, seeds=3),),
    "desk": (Family("desk"), Family("feature", changes={"keep_percents": "20-10"})),
    "paper": (Family("desk", ({"m": 1000}, {"m": 4000})),
              Family("one-rule", ({"m": 1000}, {"m": 4000})),
              Family("feature", ({"m": 400}, {"m": 800})))}
