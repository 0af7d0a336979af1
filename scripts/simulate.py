"""``purify simulate``: clean training, adversarial training, and what they did.

Results go to stdout, progress and messages to stderr.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.options import Parser, add_config_options, require_memory, settings_of
from scripts.progress import Progress

__all__ = ["main"]

LOG = logging.getLogger("purify")
ROWS = (("accuracy", "clean accuracy"), ("universal_accuracy", "under the universal direction"),
        ("attacked_accuracy", "under the strongest attack"), ("mixture_ratio", "mixture ratio"),
        ("purity", "purity"), ("coverage", "coverage"), ("gate_rate", "gate rate"),
        ("r50", "critical radius r50"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a simulation; return the exit code."""
    parser = Parser(prog="purify simulate", description=__doc__)
    add_config_options(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs"),
                        help="folder that holds the run folders (default: runs)")
    parser.add_argument("--resume", action="store_true", help="continue an unfinished run")
    parser.add_argument("--dry-run", action="store_true",
                        help="print sizes, memory and work, and do nothing")
    parser.add_argument("--no-figures", action="store_true", help="leave the figures out")
    parser.add_argument("--format", choices=("text", "json"), default="text",
                        help="json prints the summary alone on stdout")
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    LOG.setLevel(logging.INFO)
    from simulator.errors import RunError
    from simulator.experiments import config_of, experiment_module
    from simulator.runs.folder import RunFolder
    try:
        config = config_of(settings_of(arguments))
        require_memory(config)
        experiment_module(config.MODEL).check(config)
        if arguments.dry_run:
            _print_cost(config)
            return 0
        folder = RunFolder.create(arguments.out, config, arguments.resume)
        return _run(arguments, config, folder)
    except (RunError, TypeError, ValueError) as error:
        print(f"purify simulate: error: {error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace, config: Any, folder: Any) -> int:
    from simulator.errors import Diverged, RunError, Stopped
    from simulator.experiments import experiment_module
    from simulator.runs.stages import stored_result
    if folder.status().get("state") == "done":
        if not folder.is_done():
            raise RunError(f"{folder.path}: finished, but its files have changed since: "
                           "delete the folder to run again")
        LOG.info("%s: already done, nothing to run", folder.path)
        result = stored_result(folder)
    else:
        try:
            with Progress() as progress:
                result = experiment_module(config.MODEL).simulate(config, folder, progress)
        except Diverged as error:
            print(f"purify simulate: {error}; {folder.path} keeps the last good state",
                  file=sys.stderr)
            return 3
        except Stopped:
            print(f"purify simulate: interrupted; add --resume to continue {folder.path}",
                  file=sys.stderr)
            return 130
    if not arguments.no_figures:
        from theory.papers import draw_run
        draw_run(config, result, folder.path / "figures")
    if arguments.format == "json":
        print(json.dumps(result.summary, indent=2))
    elif config.MODEL == "purification":
        print(_table(result.summary))
        print(_bracket_table(config, result.summary))
        if "learners" in result.summary:
            print(_learner_table(config, result.summary["learners"]))
    else:
        print(_columns(result.summary))
    LOG.info("run folder: %s", folder.path)
    return 0


def _table(summary: dict[str, Any]) -> str:
    lines = [f"p = P(z_j != 0) = {summary['p']:.4f}   tau = {summary['tau']:.4f}   "
             f"linear r50 = {summary['linear_r50']:.4f}", "",
             f"{'':32}{'clean':>10}  ->  {'adversarial':>11}"]
    for key, label in ROWS:
        before, after = summary["clean"][key], summary["adversarial"][key]
        lines.append(f"{label:<32}{before:>10.4f}  ->  {after:>11.4f}")
    return "\n".join(lines)


def _columns(summary: dict[str, Any]) -> str:
    """The numbers of the run, then a column for each network of its summary."""
    networks = {name: numbers for name, numbers in summary.items() if isinstance(numbers, dict)}
    lines = ["   ".join(f"{_words(name)} = {_shown(value)}" for name, value in summary.items()
                        if name not in networks and not isinstance(value, list)), ""]
    rows = [row for row in dict.fromkeys(key for numbers in networks.values() for key in numbers)
            if not any(isinstance(numbers.get(row), (dict, list)) for numbers in networks.values())]
    width = max(map(len, rows), default=0) + 2
    widths = [max(len(_words(name)), 8) + 2 for name in networks]
    lines.append(" " * width + "".join(f"{_words(name):>{space}}"
                                       for name, space in zip(networks, widths)))
    for row in rows:
        cells = [_shown(numbers.get(row, "")) for numbers in networks.values()]
        lines.append(f"{_words(row):<{width}}"
                     + "".join(f"{cell:>{space}}" for cell, space in zip(cells, widths)))
    return "\n".join(lines)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _bracket_table(config: Any, summary: dict[str, Any]) -> str:
    """Certified to attacked accuracy on the same samples; the true one lies in between."""
    if not summary["clean"]["bracket"]:
        why = ("a smoothed network has no certificate" if config.smoothing
               else "bracket_samples is 0")
        return f"\nnothing certified: {why}"
    samples = summary["clean"]["bracket"][0]["samples"]
    lines = ["", f"certified to attacked accuracy on {samples} samples, against ANY "
             f"{config.norm} perturbation"]
    for before, after in zip(summary["clean"]["bracket"], summary["adversarial"]["bracket"]):
        mark = " (tau)" if before["radius"] == config.tau else ""
        ends = [f"{found['certified']:.2f} - {found['attacked']:.2f}" for found in (before, after)]
        lines.append(f"radius {before['radius']:.4f}{mark:<13}{ends[0]:>16}  ->  {ends[1]:>11}")
    ends = [f"{summary[phase]['r50_low']:.3f} - {summary[phase]['r50_high']:.3f}"
            for phase in ("clean", "adversarial")]
    lines.append(f"{'r50, certified to attacked':<26}{ends[0]:>16}  ->  {ends[1]:>11}")
    for phase in ("clean", "adversarial"):
        if summary[phase]["masking"]:
            lines.append(f"{phase}: signs of masked gradients: "
                         f"{', '.join(summary[phase]['masking'])}")
    return "\n".join(lines)


def _learner_table(config: Any, learners: dict[str, Any]) -> str:
    """Attacked accuracy of the best member of each class, at every radius."""
    shares = "".join(f"{radius / config.tau:>9.3g}" for radius in learners["radii"])
    lines = ["", "attacked accuracy of low-complexity learners (best of a grid), at radius / tau",
             f"{'':32}{shares}"]
    for entry in learners["table"]:
        cells = "".join(f"{value:>9.3f}" for value in entry["attacked"])
        lines.append(f"{entry['learner'] + ', ' + entry['training']:<32}{cells}")
    return "\n".join(lines)


def _print_cost(config: Any) -> None:
    from simulator.experiments import experiment_module
    from simulator.runs.cost import duration, gemm_rate, seconds
    need = experiment_module(config.MODEL).cost(config)
    print(json.dumps(config.to_dict(), indent=2))
    print(f"memory      {need.memory / 2**20:.0f} MiB at the peak")
    print(f"training    {need.training_flops / 1e12:.3g} Tflop in {need.steps} steps")
    print(f"evaluation  {need.evaluation_flops / 1e12:.3g} Tflop")
    rate = gemm_rate(need.product, config.dtype, config.threads)
    print(f"time        about {duration(seconds(need, rate))} (an estimate from a product timed "
          f"just now: {rate / 1e9:.0f} Gflop/s)")


if __name__ == "__main__":
    sys.exit(main())
