"""Named settings of every model, and the plans of a verification.

A value may be an expression in the other settings, so that ``--set d=256`` moves everything that
scales with d along with it.

Each model has a module here with ``PRESETS``, settings by name, and ``PLANS``, what ``purify
verify`` runs: ``{"seeds": n, "groups": (group, ...)}``. A group has a ``preset``, its ``runs``
(settings that tell its sizes apart), and where needed ``set`` (changes of the preset), ``seeds``
(its own number) and ``claims`` (ids: it is needed for those alone). A plan with ``claims`` is
made for those: they are confronted where the user names none.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from simulator.names import require_known

__all__ = ["MODELS", "plan", "plan_names", "plan_settings", "preset", "preset_names"]

FOLDERS = {"purification": "feature_purification", "patches": "structured_features",
           "ntk": "ntk_evolution", "tickets": "winning_tickets"}
MODELS = tuple(FOLDERS)


def preset_names(model: str) -> list[str]:
    """Return the names of a model's presets."""
    return list(_module(model).PRESETS)


def plan_names(model: str) -> list[str]:
    """Return the names of a model's plans."""
    return list(_module(model).PLANS)


def preset(name: str, model: str = "purification") -> dict[str, Any]:
    """Return the settings of a preset, or raise ValueError with the nearest name."""
    presets = _module(model).PRESETS
    return {"model": model} | presets[require_known("preset", name, presets)]


def plan(name: str, model: str = "purification") -> dict[str, Any]:
    """Return the plan of a verification, or raise ValueError with the nearest name."""
    plans = _module(model).PLANS
    return dict(plans[require_known("preset", name, plans)])


def plan_settings(chosen: dict[str, Any], claims: Sequence[str], seeds: int | None = None,
                  model: str = "purification") -> list[dict[str, Any]]:
    """Return the settings of every run that ``claims`` need; ``seeds`` replaces the plan's.

    All sizes of a seed come before the next seed: an interrupted verification is complete for
    the seeds it has.
    """
    groups = [(group, seeds or group.get("seeds", chosen["seeds"])) for group in chosen["groups"]
              if not group.get("claims") or set(claims) & set(group["claims"])]
    return [preset(group["preset"], model) | group.get("set", {}) | run | {"seed": seed}
            for seed in range(max((count for _, count in groups), default=0))
            for group, count in groups if seed < count for run in group["runs"]]


def _module(model: str) -> ModuleType:
    folder = FOLDERS[require_known("model", model, FOLDERS)]
    return importlib.import_module(f"simulator.experiments.{folder}.presets")
