"""How a run is shown: a column for each of its networks."""

from collections.abc import Mapping
from typing import Any

from simulator.runs.config import Config
from simulator.runs.table import Table, by_network

__all__ = ["tables"]


def tables(config: Config, summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables that show a summary."""
    networks = {name.replace("_", " "): numbers for name, numbers in summary.items()
                if isinstance(numbers, dict)}
    keys = dict.fromkeys(key for numbers in networks.values() for key, value in numbers.items()
                         if not isinstance(value, (dict, list)))
    title = "   ".join(f"{name.replace('_', ' ')} = "
                       f"{f'{value:.4g}' if isinstance(value, float) else value}"
                       for name, value in summary.items() if not isinstance(value, (dict, list)))
    return [by_network(title, networks, {key: key.replace("_", " ") for key in keys})]
