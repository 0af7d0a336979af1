"""What ``purify verify`` runs for the claims of this paper; see :mod:`theory.plans`."""

from typing import Any

__all__ = ["PLANS"]

_ONE: tuple[dict[str, Any], ...] = ({},)
PLANS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": 3, "groups": ({"preset": "smoke", "runs": _ONE},)},
    "desk": {"seeds": 8, "groups": ({"preset": "desk", "runs": _ONE},
                                    {"preset": "feature", "runs": _ONE})},
    "paper": {"seeds": 8, "groups": (
        {"preset": "desk", "runs": ({"m": 1000}, {"m": 4000})},
        {"preset": "better", "runs": ({"m": 1000}, {"m": 4000})},
        {"preset": "feature", "runs": ({"m": 400}, {"m": 800})})},
}
