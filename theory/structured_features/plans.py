"""What ``purify verify`` runs for the claims of this paper; see :mod:`theory.plans`."""

from typing import Any

__all__ = ["PLANS"]


def _transitions(*cases: tuple[int, float]) -> tuple[dict[str, Any], ...]:
    """A family for each exponent q and start sigma_0, as in transition-q3-s20 (thousandths)."""
    return tuple({"name": f"transition-q{q}-s{round(1000 * scale)}", "q": q, "init_scale": scale}
                 for q, scale in cases)


PLANS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": 3, "groups": (
        {"preset": "smoke", "runs": ({},)},
        {"preset": "transition", "runs": _transitions((3, 0.02)), "claims": ("B3",),
         "set": {"d": 30, "nonrobust_patches": 20, "races": 3}})},
    "desk": {"seeds": 8, "groups": (
        {"preset": "desk", "runs": ({},)},
        {"preset": "transition", "claims": ("B3",),
         "runs": _transitions((3, 0.005), (3, 0.02), (4, 0.02), (4, 0.05))})},
    "paper": {"seeds": 8, "groups": (
        {"preset": "desk", "runs": tuple({"d": d} for d in (50, 100, 200, 400, 800)),
         "claims": ("B1", "B2"), "set": {"evaluation_chunk": 20}},
        {"preset": "transition", "claims": ("B3",), "set": {"races": 12},
         "runs": _transitions((3, 0.002), (3, 0.005), (3, 0.02), (3, 0.05), (4, 0.01),
                              (4, 0.02), (4, 0.05), (5, 0.05))})},
}
