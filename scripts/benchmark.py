"""``purify benchmark``: our steps beside plain NumPy, PyTorch and JAX, on the same arrays.

A clean step, an FGM adversarial step, PGD-20 and the whole run of the preset `lottery`, from
weights of a real run (init, mid of clean training, end), with the same dtype and thread count.
PyTorch and JAX come with ``pip install -e '.[bench]'``. Sizes follow the rules of the preset:
m = 20 d, and k = 8 at every d (``--set "k=round(d**0.4)"`` changes that).
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from scripts.command import OK, guarded, ready, show
from scripts.options import Parser, settings_of

if TYPE_CHECKING:
    from scripts.benchmarking.comparison import Plan

__all__ = ["main", "parser", "table"]

LOG = logging.getLogger("purify")
SIZES = (128, 512, 1024)
DTYPES = ("float32", "float64")
QUICK = {"d": 24, "k": 2, "batch_size": 60, "clean_steps": 24, "adversarial_steps": 12,
         "threads": 1}
# What all implementations have in common; others than ours know nothing else.
COMMON = {"norm": "l2", "smoothing": 0.0, "training_attack": "fgm", "bias_schedule": "linear"}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return the exit code."""
    return guarded("purify benchmark", lambda: _benchmark(parser().parse_args(argv)),
                   own=argv is None)


def _benchmark(arguments: argparse.Namespace) -> int:
    ready()
    from scripts.benchmarking.comparison import compare
    from scripts.benchmarking.workers import BenchmarkError
    from simulator.errors import RunError
    from simulator.runs.files import json_text
    plan = _plan(arguments)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as scratch, _Bar() as bar:
            found = compare(plan, arguments.out or Path(scratch), bar)
    except BenchmarkError as error:
        raise RunError(str(error)) from None
    text = json_text(found)
    show(text if arguments.format == "json" else table(found))
    if arguments.out is not None:
        from theory.drawing.benchmark import draw_benchmark
        (arguments.out / "benchmark.json").write_text(text + "\n", encoding="utf-8")
        draw_benchmark(found["rows"], arguments.out)
        LOG.info("figure and JSON: %s", arguments.out)
    return OK


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify benchmark", description=__doc__)
    built.add_argument("--set", metavar="KEY=VALUE", action="append", default=[],
                       help="a setting of the preset; d=512 restricts the sizes "
                       f"(default: {', '.join(map(str, SIZES))})")
    built.add_argument("--dtype", choices=DTYPES, help="one dtype instead of both")
    built.add_argument("--threads", metavar="N", help="threads of everybody (default: 2)")
    built.add_argument("--seed", metavar="N", help="seed of the run")
    built.add_argument("--repeats", metavar="N", type=int,
                       help="turns with a step, a third of it with longer cases (default: 9)")
    built.add_argument("--cases", metavar="LIST", default="clean,adversarial,pgd20,run",
                       help="default: %(default)s")
    built.add_argument("--whole-run", action="store_true", help="do every step of the case run, "
                       "instead of some in each of nine stretches of it")
    built.add_argument("--profile", action="store_true",
                       help="print where the time of our step goes")
    built.add_argument("--quick", action="store_true", help="a tiny size, to see that it works")
    built.add_argument("--out", metavar="DIR", type=Path,
                       help="keep JSON, figure and trained weights there")
    built.add_argument("--format", choices=("text", "json"), default="text")
    built.set_defaults(paper="purification", preset="lottery", default_preset="lottery",
                       config=None)
    return built


def _plan(arguments: argparse.Namespace) -> "Plan":
    """Check everything before anything is computed."""
    from scripts.benchmarking.comparison import CASES, Plan, memory
    from simulator.checks import require_choice, require_int
    from simulator.experiments.feature_purification.config import PurificationConfig
    from simulator.experiments.feature_purification.experiment import PurificationExperiment
    from simulator.runs.machine import cores, physical_memory
    repeats = arguments.repeats if arguments.repeats is not None else 2 if arguments.quick else 9
    require_int("--repeats", repeats, low=1)
    cases = tuple(filter(None, arguments.cases.split(",")))
    if not cases:
        raise ValueError(f"--cases: expected at least one of {', '.join(CASES)}, got none")
    for case in cases:
        require_choice("--cases", case, CASES)
    dtypes = (arguments.dtype,) if arguments.dtype else DTYPES
    given = {text.partition("=")[0].strip() for text in arguments.set}
    for flag in ("dtype", "threads", "seed"):
        if flag in given:
            raise ValueError(f"--set {flag}: expected --{flag}")
    settings = settings_of(arguments)
    if arguments.quick:
        given |= {"threads"} if arguments.threads is not None else set()
        settings |= {key: value for key, value in QUICK.items() if key not in given}
    sizes = [settings["d"]] if arguments.quick or "d" in given else list(SIZES)
    configs = []
    for d in sizes:
        # one run in the narrower dtype serves both: a float32 number is a float64 number
        config = PurificationConfig.from_settings(settings | {"d": d, "dtype": dtypes[0]})
        for key, value in COMMON.items():
            if getattr(config, key) != value:
                raise ValueError(f"{key}: expected {value}, got {getattr(config, key)}: "
                                 "the implementations have nothing else in common")
        if memory(config) > physical_memory():
            raise ValueError(f"d={config.d}, m={config.m}: expected a size that fits into memory, "
                             f"got one of {memory(config) / 2**30:.3g} GiB for all processes")
        PurificationExperiment(config)
        configs.append(config)
    if configs[0].threads > cores():
        raise ValueError(f"--threads: expected at most {cores()}, got {configs[0].threads}: there "
                         "are no more processors")
    return Plan(configs, dtypes, cases, configs[0].threads, repeats,
                0.0 if arguments.quick else 0.1, arguments.whole_run, arguments.profile)


def table(found: dict[str, Any]) -> str:
    """Return what was found as text."""
    from scripts.benchmarking.peers.contract import IMPLEMENTATIONS
    machine, rows = found["machine"], found["rows"]
    lines = [_machine(machine), ""]
    for size in machine["gemm"]:
        own = [row for row in rows if (row["d"], row["dtype"]) == (size["d"], size["dtype"])]
        if not own:
            continue
        first = own[0]
        lines += [f"d = {first['d']}, m = {first['m']}, n = {first['n']}, k = {first['k']}, "
                  f"{first['dtype']}: GEMM {size['gflops']:.0f} GFLOP/s, sampler "
                  f"{size['sampler_ms']:.2f} ms a batch",
                  f"{'case':<12}{'weights':<8}{'live':>6}" + "".join(
                      f"{name:>19}" for name in IMPLEMENTATIONS) + f"{'x':>7}{'GEMM':>7}"]
        for case, weights in dict.fromkeys((row["case"], row["weights"]) for row in own):
            here = {row["implementation"]: row for row in own
                    if (row["case"], row["weights"]) == (case, weights)}
            lines.append(_line(case, weights, here))
        peaks = {name: max((row["peak_mib"] for row in own if row["implementation"] == name),
                           default=None) for name in IMPLEMENTATIONS}
        lines += [f"{'peak MiB':<26}" + "".join(
            f"{'absent' if peak is None else f'{peak:.0f}':>19}" for peak in peaks.values()), ""]
        lines += _profile(own)
    lines.append("Milliseconds, median (interquartile range). x: the fastest of PyTorch and JAX "
                 "over ours.\nGEMM: share of the GEMM rate that our step reaches, by the work it "
                 "cannot leave out.")
    runs = [row for row in rows if row["case"] == "run" and row["steps_done"] < row["steps"]]
    if runs:
        lines.append(f"run: all {runs[0]['steps']} steps, from the time of {runs[0]['steps_done']} "
                     "in nine stretches of the run, sampler included.")
    return "\n".join(lines)


def _machine(machine: dict[str, Any]) -> str:
    forced = machine["forced_core_type"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; "
             f"load before {machine['load_before']}",
             f"BLAS of NumPy: {', '.join(machine['blas'])}"
             + (f" (forced by OPENBLAS_CORETYPE={forced})" if forced else ""),
             f"NumPy {machine['numpy']}, Numba {machine['numba']}"
             + (f", {versions}" if versions else "")]
    for run in machine["weights"]:
        lines.append(f"weights: {run['name']} at d = {run['d']}, k = {run['k']}, trained for "
                     f"{run['clean_steps']} clean and {run['adversarial_steps']} adversarial "
                     f"steps in {run['dtype']}")
    if machine["absent"]:
        lines.append(f"absent: {', '.join(machine['absent'])} (pip install -e '.[bench]')")
    return "\n".join(lines)


def _line(case: str, weights: str, here: dict[str, Any]) -> str:
    from scripts.benchmarking.peers.contract import IMPLEMENTATIONS
    cells = []
    for name in IMPLEMENTATIONS:
        row = here.get(name)
        cells.append(f"{_short(row['median_ms'])} ({_short(row['spread'])})" if row
                     else "absent")
    peers = [row["median_ms"] for name, row in here.items() if name not in ("ours", "numpy")]
    ours = here["ours"]
    ratio = f"{min(peers) / ours['median_ms']:.2f}" if peers else "-"
    share = f"{ours['gemm_fraction']:.0%}" if "gemm_fraction" in ours else "-"
    return (f"{case:<12}{weights:<8}{ours['live_fraction']:>6.3f}"
            + "".join(f"{cell:>19}" for cell in cells) + f"{ratio:>7}{share:>7}")


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 1000.0 else f"{number:.0f}"


def _profile(rows: list[dict[str, Any]]) -> list[str]:
    """Where the time of our step goes, and the sampler beside it."""
    rows = [row for row in rows if "pieces_ms" in row]
    if not rows:
        return []
    pieces = list(rows[0]["pieces_ms"])
    lines = ["where our step's time goes, ms",
             f"{'case':<12}{'weights':<8}" + "".join(f"{name:>10}" for name in pieces)
             + f"{'sampler/step':>14}"]
    for row in rows:
        lines.append(f"{row['case']:<12}{row['weights']:<8}" + "".join(
            f"{row['pieces_ms'][name]:>10.3g}" for name in pieces)
            + f"{row['sampler_share']:>14.1%}")
    return [*lines, ""]


class _Bar:
    """A bar for the training of the weights, on a terminal only."""

    def __enter__(self) -> "_Bar":
        from tqdm import tqdm
        self.bar: tqdm[NoReturn] = tqdm(unit="step", disable=not sys.stderr.isatty(),
                                        file=sys.stderr, leave=False)
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def __call__(self, step: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(step - self.bar.n)


if __name__ == "__main__":
    sys.exit(main())
