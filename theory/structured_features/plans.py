"""The families of runs that the claims of this paper share; see :mod:`theory.plans`."""

from typing import Any

from theory.plans import Family

__all__ = ["NETWORKS", "RACES"]


def _transitions(*cases: tuple[int, float]) -> tuple[dict[str, Any], ...]:
    """A family for each exponent q and start sigma_0, as in transition-q3-s20 (thousandths)."""
    return tuple({"name": f"transition-q{q}-s{round(1000 * scale)}", "q": q, "init_scale": scale}
                 for q, scale in cases)


NETWORKS = {
    "smoke": (Family("smoke", seeds=3),),
    "desk": (Family("desk"),),
    "paper": (Family("desk", tuple({"d": d} for d in (50, 100, 200, 400, 800)),
                     {"evaluation_chunk": 20}),)}

RACES = {
    "smoke": (Family("transition", _transitions((3, 0.02)),
                     {"d": 30, "nonrobust_patches": 20, "races": 3}, 3),),
    "desk": (Family("transition", _transitions((3, 0.005), (3, 0.02), (4, 0.02), (4, 0.05))),),
    "paper": (Family("transition",
                     _transitions((3, 0.002), (3, 0.005), (3, 0.02), (3, 0.05), (4, 0.01),
                                  (4, 0.02), (4, 0.05), (5, 0.05)), {"races": 12}),)}
