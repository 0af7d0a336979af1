"""What ``purify verify`` runs for the claims of this paper; see :mod:`theory.plans`."""

from typing import Any

__all__ = ["PLANS"]

# Float32: verify needs many runs.
_QUICK: dict[str, Any] = {"dtype": "float32"}
PLANS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": 3, "groups": ({"preset": "smoke", "runs": ({},), "set": _QUICK},)},
    "desk": {"seeds": 8, "groups": ({"preset": "desk", "runs": ({},), "set": _QUICK},)},
    "paper": {"seeds": 8, "groups": (
        {"preset": "desk", "runs": ({"d": 100, "k": 3}, {"d": 200, "k": 4}),
         "set": _QUICK | {"freeze_every": 50, "test_samples": 2000}},)},
}
