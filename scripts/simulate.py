"""``purify simulate``: clean training, adversarial training, and what they did.

Results go to stdout, progress and messages to stderr.
"""

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.options import Parser, add_config_options, settings_of

__all__ = ["Progress", "main"]

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
    from simulator.config import SimulationConfig
    from simulator.cost import cost, physical_memory
    from simulator.runs import RunError, RunFolder
    try:
        config = SimulationConfig.from_settings(settings_of(arguments))
        need = cost(config)
        if need.memory > physical_memory():
            raise ValueError(f"d={config.d}, m={config.m}: expected a run that fits into memory, "
                             f"got one of {need.memory / 2**30:.3g} GiB: this machine has "
                             f"{physical_memory() / 2**30:.3g} GiB")
        from simulator.simulation import Simulation
        Simulation(config)
        if arguments.dry_run:
            _print_cost(config, need)
            return 0
        folder = RunFolder.create(arguments.out, config, arguments.resume)
        return _run(arguments, config, folder)
    except (RunError, TypeError, ValueError) as error:
        print(f"purify simulate: error: {error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace, config: Any, folder: Any) -> int:
    from simulator.runs import RunError
    from simulator.simulation import Stopped, simulate, stored_result
    from simulator.training import Diverged
    if folder.status().get("state") == "done":
        if not folder.is_done():
            raise RunError(f"{folder.path}: finished, but its files have changed since: "
                           "delete the folder to run again")
        LOG.info("%s: already done, nothing to run", folder.path)
        result = stored_result(folder)
    else:
        try:
            with Progress() as progress:
                result = simulate(config, folder, progress)
        except Diverged as error:
            print(f"purify simulate: {error}; {folder.path} keeps the last good state",
                  file=sys.stderr)
            return 3
        except Stopped:
            print(f"purify simulate: interrupted; add --resume to continue {folder.path}",
                  file=sys.stderr)
            return 130
    if not arguments.no_figures:
        from theory.plots import draw_run
        draw_run(config, result, folder.path / "figures")
    if arguments.format == "json":
        print(json.dumps(result.summary, indent=2))
    else:
        print(_table(result.summary))
        print(_bracket_table(config, result.summary))
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


def _print_cost(config: Any, need: Any) -> None:
    from simulator.cost import duration, gemm_rate, seconds
    print(json.dumps(config.to_dict(), indent=2))
    print(f"memory      {need.memory / 2**20:.0f} MiB at the peak")
    print(f"training    {need.training_flops / 1e12:.3g} Tflop in "
          f"{config.clean_steps} clean and {config.adversarial_steps} adversarial steps")
    print(f"evaluation  {need.evaluation_flops / 1e12:.3g} Tflop")
    rate = gemm_rate(config)
    print(f"time        about {duration(seconds(config, rate))} (an estimate from a product timed "
          f"just now: {rate / 1e9:.0f} Gflop/s)")


class Progress:
    """A bar on a terminal, a line every few seconds elsewhere; stops a run on Ctrl-C.

    The first SIGINT or SIGTERM stops the run after the current step, with a checkpoint.
    """

    EVERY = 10.0  # seconds between lines

    def __enter__(self) -> "Progress":
        from tqdm import tqdm
        self.bar: Any = tqdm(unit="step", disable=not sys.stderr.isatty(), file=sys.stderr)
        self.shown = time.monotonic()
        self.stop = False
        self.before = {number: signal.signal(number, self._ask_to_stop)
                       for number in map(int, (signal.SIGINT, signal.SIGTERM))}
        return self

    def _ask_to_stop(self, number: int, frame: Any) -> None:
        self.stop = True
        signal.signal(number, self.before[number])  # a second one kills

    def __exit__(self, *error: object) -> None:
        self.bar.close()
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def __call__(self, step: int, total: int, what: str) -> None:
        from simulator.simulation import Stopped
        self.bar.total = total
        self.bar.set_description(what, refresh=False)
        self.bar.update(step - self.bar.n)
        if self.bar.disable and time.monotonic() - self.shown > self.EVERY:
            self.shown = time.monotonic()
            LOG.info("step %d of %d, %s", step, total, what)
        if self.stop:
            raise Stopped


if __name__ == "__main__":
    sys.exit(main())
