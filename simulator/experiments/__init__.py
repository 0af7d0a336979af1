"""The models that can be simulated, by the name that ``--model`` takes. To add one: a line here.

The module of a model has

    CONFIG              its settings, a subclass of :class:`simulator.runs.config.Config`
    check(config)       raises TypeError or ValueError where settings do not fit together
    cost(config)        what a run will cost, a :class:`simulator.runs.cost.Cost`
    simulate(config, folder=None, progress=silent)
                        does a run and returns its :class:`simulator.runs.stages.Result`

and is imported when it is asked for.
"""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from simulator.names import require_known
from simulator.runs.config import Config

__all__ = ["MODELS", "config_class", "config_of", "module_of"]

MODELS = {
    "purification": "simulator.experiments.feature_purification.experiment",
    "patches": "simulator.experiments.structured_features.experiment",
    "ntk": "simulator.experiments.ntk_evolution.experiment",
    "tickets": "simulator.experiments.winning_tickets.run",
}


def module_of(model: str) -> ModuleType:
    """Return the module of a model, or raise ValueError with the nearest name."""
    return importlib.import_module(MODELS[require_known("model", model, MODELS)])


def config_class(settings: Mapping[str, Any]) -> type[Config]:
    """Return the class of settings; those that name no model are of a purification run."""
    return module_of(settings.get("model", "purification")).CONFIG  # type: ignore[no-any-return]


def config_of(settings: Mapping[str, Any]) -> Config:
    """Return the config that settings resolve to; see :meth:`Config.from_settings`."""
    return config_class(settings).from_settings(settings)
