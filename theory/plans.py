"""The runs that a verification makes.

Each paper has a module ``plans`` with ``PLANS``, what ``purify verify`` runs by the name of
``--preset``: ``{"seeds": n, "groups": (group, ...)}``. A group has a ``preset``, its ``runs``
(settings that tell its sizes apart), and where needed ``set`` (changes of the preset), ``seeds``
(its own number) and ``claims`` (ids: it is needed for those alone). A plan with ``claims`` is
made for those: they are confronted where the user names none.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.experiments import DEFAULT, paper, preset
from simulator.names import require_known

__all__ = ["plan", "plan_names", "plan_settings"]


def plan_names(word: str = DEFAULT.name) -> list[str]:
    """Return the names of a paper's plans."""
    return list(_plans(word))


def plan(name: str, word: str = DEFAULT.name) -> dict[str, Any]:
    """Return the plan of a verification, or raise ValueError with the nearest name."""
    plans = _plans(word)
    return dict(plans[require_known("preset", name, plans)])


def plan_settings(chosen: Mapping[str, Any], claims: Sequence[str], seeds: int | None = None,
                  word: str = DEFAULT.name) -> list[dict[str, Any]]:
    """Return the settings of every run that ``claims`` need; ``seeds`` replaces the plan's.

    All sizes of a seed come before the next seed: an interrupted verification is complete for
    the seeds it has.
    """
    groups = [(group, seeds or group.get("seeds", chosen["seeds"])) for group in chosen["groups"]
              if not group.get("claims") or set(claims) & set(group["claims"])]
    return [preset(group["preset"], word) | group.get("set", {}) | run | {"seed": seed}
            for seed in range(max((count for _, count in groups), default=0))
            for group, count in groups if seed < count for run in group["runs"]]


def _plans(word: str) -> Mapping[str, dict[str, Any]]:
    module = importlib.import_module(f"theory.{paper(word).name}.plans")
    return module.PLANS  # type: ignore[no-any-return]
