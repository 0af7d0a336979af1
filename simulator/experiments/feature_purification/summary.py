"""How a purification run is shown: its numbers in words, clean beside adversarial."""

from collections.abc import Mapping
from typing import Any

from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.runs.table import Table, by_network

__all__ = ["NETWORKS", "ROWS", "current", "tables"]

ROWS = {"accuracy": "clean accuracy", "universal_accuracy": "under the universal direction",
        "attacked_accuracy": "under the strongest attack", "mixture_ratio": "mixture ratio",
        "purity": "purity", "coverage": "coverage", "gate_rate": "gate rate",
        "r50": "critical radius r50"}
NETWORKS = ("clean", "adversarial")


def current(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary in today's words, whenever it was written."""
    return dict(summary)


def tables(config: PurificationConfig, summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables that show a summary."""
    networks = {name: summary[name] for name in NETWORKS}
    shown = [by_network(f"p = P(z_j != 0) = {summary['p']:.4f}   tau = {summary['tau']:.4f}   "
                        f"linear r50 = {summary['linear_r50']:.4f}", networks, ROWS),
             _bracket(config, networks)]
    if "learners" in summary:
        shown.append(_learners(config, summary["learners"]))
    return shown


def _bracket(config: PurificationConfig, networks: Mapping[str, Mapping[str, Any]]) -> Table:
    """Certified to attacked accuracy on the same samples; the true one lies in between."""
    brackets = [numbers["bracket"] for numbers in networks.values()]
    if not all(brackets):
        why = ("a smoothed network has no certificate" if config.smoothing
               else "bracket_samples is 0")
        return Table(f"nothing certified: {why}", (), ())
    rows = [(f"radius {ends[0]['radius']:.4f}" + " (tau)" * (ends[0]["radius"] == config.tau),
             tuple(f"{end['certified']:.2f} - {end['attacked']:.2f}" for end in ends))
            for ends in zip(*brackets)]
    rows.append(("r50, certified to attacked", tuple(
        f"{numbers['r50_low']:.3f} - {numbers['r50_high']:.3f}" for numbers in networks.values())))
    if any(numbers["masking"] for numbers in networks.values()):
        rows.append(("signs of masked gradients", tuple(
            ", ".join(numbers["masking"]).replace("_", " ") or "none" for numbers in networks.values())))
    return Table(f"certified to attacked accuracy on {brackets[0][0]['samples']} samples, against "
                 f"ANY {config.norm} perturbation", tuple(networks), tuple(rows))


def _learners(config: PurificationConfig, learners: Mapping[str, Any]) -> Table:
    """Attacked accuracy of the best member of each class, at every radius."""
    return Table("attacked accuracy of low-complexity learners (best of a grid), at radius / tau",
                 tuple(f"{radius / config.tau:.3g}" for radius in learners["radii"]),
                 tuple((f"{entry['learner']}, {entry['training']}", tuple(entry["attacked"]))
                       for entry in learners["table"]))
