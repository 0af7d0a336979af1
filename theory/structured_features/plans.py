"""The families of runs that the claims of this paper share; see :mod:`theory.plans`."""

from typing import Any

from theory.plans import Family

__all__ = ["CHANGED", "NETWORKS", "RACES", "SPECTRUM"]

# Of the claims about NETWORKS: thresholds stand, preset desk is another.
CHANGED = ("runs of preset desk train longer against one step and begin with small steps against "
           "the strongest search; chosen on seeds 0 to 47 after the earlier verdict, and judged on "
           "the same seeds")


def _transitions(*cases: tuple[int, float]) -> tuple[dict[str, Any], ...]:
    """A family for each exponent q and start sigma_0, as in transition-q3-s20 (thousandths)."""
    return tuple({"name": f"transition-q{q}-s{round(1000 * scale)}", "q": q, "init_scale": scale}
                 for q, scale in cases)


# Plan classes: all of the preset stands for every K, but the samples; chosen on seeds 0 to 2.
NETWORKS = {
    "smoke": (Family("smoke", seeds=3),),
    "desk": (Family("desk"),),
    "linf": (Family("linf"),),
    "classes": (Family("classes", tuple({"classes": classes, "name": f"classes-{classes}",
                                         "training_samples": max(12, 2 * classes)}
                                        for classes in (2, 5, 10)), seeds=3),),
    "paper": (Family("desk", tuple({"d": d} for d in (50, 100, 200, 400, 800)),
                     {"evaluation_chunk": 20}),)}

RACES = {
    "smoke": (Family("transition", _transitions((3, 0.02)),
                     {"d": 30, "nonrobust_patches": 20, "races": 3}, 3),),
    "desk": (Family("transition", _transitions((3, 0.005), (3, 0.02), (4, 0.02))),),
    "paper": (Family("transition",
                     _transitions((3, 0.002), (3, 0.005), (3, 0.02), (3, 0.05), (4, 0.01),
                                  (4, 0.02), (4, 0.05), (5, 0.05)), {"races": 12}),)}

SPECTRUM = {
    "smoke": (Family("spectrum", changes={
        "name": "spectrum-smoke", "d": 30, "m": 8, "nonrobust_patches": 60, "alpha": 3.0,
        "rho": 1.0, "spectrum_points": 5, "test_samples": 40}, seeds=3),),
    "desk": (Family("spectrum"),),
    "linf": (Family("spectrum", changes={
        "name": "spectrum-linf", "norm": "linf", "init_scale": 0.003, "one_step_steps": 350}),)}
