"""``purify benchmark``: our steps beside plain NumPy, PyTorch and JAX, on the same arrays.

A clean step, an FGM adversarial step, PGD-20 and the training of the preset `lottery`, from
weights of a real run (init, mid of clean training, end), with the same dtype and thread count;
and a whole run of ours, training and evaluation apart. PyTorch and JAX come with
``pip install -e '.[bench]'``. Sizes follow the rules of the preset: m = 20 d, and k = 8 at every d
(``--set "k=round(d**0.5)"`` or ``--sizes 512:23`` change that). Along sizes with k = sqrt(d), from
d = 256 up, the growth of a step's time is fitted.

With ``--cases certificates`` it is our lower bounds and attacks beside those of auto_LiRPA and
AutoAttack where these are installed, on the networks of small runs of the presets `desk` and
`lottery` or of a stored one: certified shares, gaps and CPU time of one thread.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from scripts.command import OK, guarded, ready, show
from scripts.options import Parser, add_force_option, require_free, require_memory, settings_of

if TYPE_CHECKING:
    from scripts.benchmarking.certificates import Effort
    from scripts.benchmarking.comparison import Plan
    from simulator.experiments.feature_purification.config import PurificationConfig

__all__ = ["certificates_table", "main", "parser"]

LOG = logging.getLogger("purify")
SIZES = (128, 512, 1024)
DTYPES = ("float32", "float64")
SECONDS = 60.0
QUICK = {"d": 24, "k": 2, "batch_size": 60, "clean_steps": 24, "adversarial_steps": 12,
         "test_samples": 20, "bracket_samples": 1, "record_every": 36, "threads": 1}
CERTIFICATES = "certificates"  # a case of its own: other networks, another table
SAMPLES, BOXES = 20, 200
QUICK_RUN = {"d": 24, "k": 2, "batch_size": 60, "clean_steps": 60, "adversarial_steps": 60,
             "test_samples": 20, "record_every": 60, "threads": 1}
QUICK_SAMPLES, QUICK_BOXES = 4, 8
# What all implementations have in common; others than ours know nothing else.
COMMON = {"norm": "l2", "smoothing": 0.0, "training_attack": "fgm", "bias_schedule": "linear"}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return the exit code."""
    return guarded("purify benchmark", lambda: _benchmark(parser().parse_args(argv)),
                   own=argv is None)


def _benchmark(arguments: argparse.Namespace) -> int:
    ready()
    if CERTIFICATES in arguments.cases.split(","):
        return _certificates(arguments)
    _refuse(arguments, ("run", "preset", "norm", "radius", "samples", "boxes"),
            f"--cases {CERTIFICATES}")
    from scripts.benchmarking.kept import read
    from scripts.benchmarking.report import report
    from simulator.runs.files import json_text
    _require_place(arguments, ("benchmark.json", "benchmark.pdf", "benchmark.png"),
                   arguments.weights_from)
    if arguments.show:
        found = read(arguments.show)
        _keep(arguments, found)
    else:
        found = _measured(arguments)
    show(json_text(found) if arguments.format == "json" else report(found, arguments.format))
    if arguments.out is not None:
        from theory.drawing.benchmark import draw_benchmark
        if found["rows"]:
            draw_benchmark(found["rows"], arguments.out)
        LOG.info("figure and JSON: %s", arguments.out)
    return OK


def _require_place(arguments: argparse.Namespace, names: Sequence[str],
                   runs: Sequence[Path]) -> None:
    """Raise ValueError where what --out is to keep is read now, or is there from before."""
    from simulator.runs.folder import RunFolder
    if arguments.out is not None:
        require_free([arguments.out / name for name in names], arguments.force,
                     read=[*(arguments.show or ()),
                           *(path for run in runs for path in RunFolder(run).files())])


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    from scripts.benchmarking.comparison import compare
    from scripts.benchmarking.workers import BenchmarkError
    from simulator.errors import RunError
    from simulator.runs.files import require_usable
    plan = _plan(arguments)
    if arguments.out is not None:
        require_usable(arguments.out)
    try:
        with tempfile.TemporaryDirectory() as scratch, _Bar() as bar:
            return compare(plan, arguments.out or Path(scratch), bar,
                           lambda found: _keep(arguments, found))
    except BenchmarkError as error:
        raise RunError(str(error)) from None


def _keep(arguments: argparse.Namespace, found: dict[str, Any]) -> None:
    from simulator.runs.files import json_text, write_atomic
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_atomic(arguments.out / "benchmark.json", (json_text(found) + "\n").encode())


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify benchmark", description=__doc__)
    built.add_argument("--set", metavar="KEY=VALUE", action="append", default=[],
                       help="a setting of the preset; d=512 is one size alone")
    built.add_argument("--sizes", metavar="LIST", help="d or d:k, as in 256:16,512:23,2048:45 "
                       f"(default: {','.join(map(str, SIZES))})")
    built.add_argument("--dtype", choices=DTYPES, help="one dtype instead of both")
    built.add_argument("--threads", metavar="N", help="threads of everybody (default: "
                       f"2, with --quick {QUICK['threads']})")
    built.add_argument("--seed", metavar="N", help="seed of the run")
    built.add_argument("--repeats", metavar="N", type=int,
                       help="turns with a step, a third of it with longer cases (default: 9)")
    built.add_argument("--seconds", metavar="S", type=float, help="bound for one implementation "
                       f"in one row, which at least 3 turns may exceed (default: {SECONDS:g})")
    built.add_argument("--cases", metavar="LIST", default="clean,adversarial,pgd20,run,simulate",
                       help=f"default: %(default)s; or {CERTIFICATES} alone")
    built.add_argument("--weights-from", metavar="RUN", type=Path, nargs="+", action="extend",
                       default=[], help="run folders whose weights are taken instead of being "
                       "trained, for the sizes of these runs")
    group = built.add_argument_group(f"with --cases {CERTIFICATES}")
    group.add_argument("--run", metavar="RUN", type=Path, nargs="+", action="extend",
                       help="run folders, instead of runs trained now")
    group.add_argument("--preset", choices=("desk", "lottery"), help="train this one alone")
    group.add_argument("--norm", choices=("l2", "linf"), help="default: that of the run, or l2")
    group.add_argument("--radius", metavar="R", type=float, nargs="+", action="extend",
                       help="default: shares of the run's tau")
    group.add_argument("--samples", metavar="N", type=int, help=f"default: {SAMPLES}")
    group.add_argument("--boxes", metavar="N", type=int,
                       help=f"boxes of our branch and bound for each sample (default: {BOXES})")
    built.add_argument("--whole-run", action="store_true", help="do every step of the case run, "
                       "instead of some in each of nine stretches of it")
    built.add_argument("--profile", action="store_true",
                       help="print where the time of our step goes")
    built.add_argument("--quick", action="store_true", help="a tiny size, to see that it works")
    built.add_argument("--out", metavar="DIR", type=Path,
                       help="keep JSON, figure and trained weights there")
    add_force_option(built)
    built.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    built.add_argument("--show", metavar="JSON", type=Path, nargs="+", action="extend",
                       help="measure nothing: print what --out has kept, of several times together")
    built.set_defaults(paper="purification", default_preset="lottery", config=None)
    return built


def _refuse(arguments: argparse.Namespace, flags: Sequence[str], case: str) -> None:
    """Raise ValueError for a flag that says nothing in this case."""
    given = next((flag for flag in flags if getattr(arguments, flag)), None)
    if given is not None:
        raise ValueError(f"--{given.replace('_', '-')}: expected together with {case} only")


def _plan(arguments: argparse.Namespace) -> "Plan":
    """Check everything before anything is computed."""
    from scripts.benchmarking.comparison import CASES, Plan, memory
    from simulator.checks import require_choice, require_int, require_real
    from simulator.experiments.feature_purification.config import PurificationConfig
    from simulator.experiments.feature_purification.experiment import PurificationExperiment
    from simulator.runs.machine import cores, physical_memory
    repeats = arguments.repeats if arguments.repeats is not None else 2 if arguments.quick else 9
    require_int("--repeats", repeats, low=1)
    cases = tuple(filter(None, arguments.cases.split(",")))
    if not cases:
        raise ValueError(f"--cases: expected at least one of {', '.join(CASES)}, or "
                         f"{CERTIFICATES} alone, got none")
    for case in cases:
        require_choice("--cases", case, (*CASES, CERTIFICATES))  # which alone does not come here
    dtypes = (arguments.dtype,) if arguments.dtype else DTYPES
    seconds = require_real("--seconds", SECONDS if arguments.seconds is None
                           else arguments.seconds, low=0.0)
    # one run in the narrower dtype serves both: a float32 number is a float64 number
    configs = [PurificationConfig.from_settings(settings | {"dtype": dtypes[0]})
               for settings in _sizes(arguments)]
    for config in configs:
        for key, value in COMMON.items():
            if getattr(config, key) != value:
                raise ValueError(f"{key}: expected {value}, got {getattr(config, key)}: "
                                 "the implementations have nothing else in common")
        need = max(memory(config, dtype) for dtype in dtypes)
        if need > physical_memory():
            raise ValueError(f"d={config.d}, m={config.m}: expected a size that fits into memory, "
                             f"got one of {need / 2**30:.3g} GiB for all processes: this machine "
                             f"has {physical_memory() / 2**30:.3g} GiB")
        PurificationExperiment(config)
    if "simulate" in cases:
        require_memory(config.with_(dtype=dtype) for config in configs for dtype in dtypes)
    if configs[0].threads > cores():
        raise ValueError(f"--threads: expected at most {cores()}, got {configs[0].threads}: there "
                         "are no more processors")
    return Plan(configs, dtypes, cases, configs[0].threads, repeats,
                0.0 if arguments.quick else 0.1, arguments.whole_run, arguments.profile,
                seconds, tuple(arguments.weights_from))


def _sizes(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The settings of each size."""
    given = {text.partition("=")[0].strip() for text in arguments.set}
    for flag in ("dtype", "threads", "seed"):
        if flag in given:
            raise ValueError(f"--set {flag}: expected --{flag}")
    settings = settings_of(arguments)
    if arguments.quick:
        given |= {"threads"} if arguments.threads is not None else set()
        settings |= {key: value for key, value in QUICK.items() if key not in given}
    if arguments.sizes is None:
        return [settings | {"d": d} for d in (
            [settings["d"]] if arguments.quick or "d" in given else SIZES)]
    sizes = [_size(word, given) for word in arguments.sizes.split(",")]
    if len({tuple(size.items()) for size in sizes}) < len(sizes):
        raise ValueError(f"--sizes {arguments.sizes}: expected each size once")
    return [settings | size for size in sizes]


def _size(word: str, given: set[str]) -> dict[str, int]:
    """Read one of ``--sizes``."""
    numbers = dict(zip(("d", "k"), word.split(":")))
    if word.count(":") > 1 or not all(number.strip().isdecimal() for number in numbers.values()):
        raise ValueError(f"--sizes {word}: expected d or d:k, as in 512 or 512:23")
    for key in given & {*numbers}:
        raise ValueError(f"--set {key}: expected either --sizes or --set to say what {key} is")
    return {key: int(number) for key, number in numbers.items()}


def _certificates(arguments: argparse.Namespace) -> int:
    """Measure the case "certificates"."""
    from scripts.benchmarking.certificates import compare_certificates
    from scripts.benchmarking.workers import BenchmarkError
    from simulator.errors import RunError
    from simulator.runs.files import json_text, require_usable, write_atomic
    _refuse(arguments, ("whole_run", "profile", "threads", "dtype", "sizes", "seconds",
                        "weights_from", "show"), "the other cases")
    if arguments.format == "markdown":
        raise ValueError("--format markdown: expected text or json for these tables")
    if arguments.cases != CERTIFICATES:
        raise ValueError(f"--cases {arguments.cases}: expected {CERTIFICATES} alone: its networks "
                         "and its table are others")
    effort, configs = _effort(arguments), [] if arguments.run else _configs(arguments)
    if arguments.run:
        _refuse(arguments, ("set", "preset", "seed"), "networks that are trained now")
    _require_place(arguments, ("certificates.json",), arguments.run or ())
    if arguments.out is not None:
        require_usable(arguments.out)
    with tempfile.TemporaryDirectory() as scratch:
        subjects = _subjects(arguments, configs, arguments.out or Path(scratch))
        try:
            found = compare_certificates(subjects, effort)
        except BenchmarkError as error:
            raise RunError(str(error)) from None
    text = json_text(found)
    show(text if arguments.format == "json" else certificates_table(found))
    if arguments.out is not None:
        write_atomic(arguments.out / "certificates.json", (text + "\n").encode())
        LOG.info("JSON and runs: %s", arguments.out)
    return OK


def _effort(arguments: argparse.Namespace) -> "Effort":
    from scripts.benchmarking.certificates import Effort
    from simulator.checks import require_int
    quick = arguments.quick
    given = {name: value for name in ("boxes", "repeats")
             if (value := getattr(arguments, name)) is not None}
    chosen = {"boxes": QUICK_BOXES if quick else BOXES, "repeats": 1 if quick else 3} | given
    for name, value in chosen.items():
        require_int(f"--{name}", value, low=1)
    return Effort(**chosen, iterations=20 if quick else 100, queries=100 if quick else 5000)


def _configs(arguments: argparse.Namespace) -> "list[PurificationConfig]":
    """The runs to be trained."""
    from scripts.benchmarking.subjects import SIZES
    from simulator.experiments.feature_purification.config import PurificationConfig
    from simulator.experiments.feature_purification.experiment import PurificationExperiment
    names = [arguments.preset] if arguments.preset else list(SIZES)[:1 if arguments.quick else 2]
    given = {text.partition("=")[0].strip() for text in arguments.set}
    configs = []
    for name in names:
        own = QUICK_RUN if arguments.quick else SIZES[name]
        chosen = argparse.Namespace(**vars(arguments) | {"preset": name})
        settings = settings_of(chosen) | {key: value for key, value in own.items()
                                          if key not in given}
        settings |= {"bracket_samples": 0}  # what the run would certify is certified here
        if arguments.norm is not None:
            settings["norm"] = arguments.norm
        configs.append(PurificationConfig.from_settings(settings))
        PurificationExperiment(configs[-1])
    return configs


def _subjects(arguments: argparse.Namespace, configs: "list[PurificationConfig]",
              root: Path) -> list[Any]:
    """The networks and samples that are measured; runs are trained last, when all else is right."""
    from scripts.benchmarking.subjects import stored_run, subject_of, trained_run
    from scripts.options import chosen_radii
    from simulator.checks import require_int
    samples = arguments.samples
    if samples is None:
        samples = QUICK_SAMPLES if arguments.quick else SAMPLES
    require_int("--samples", samples, low=1)
    radii = chosen_radii(arguments.radius) if arguments.radius else []
    require_memory(configs)
    for config in configs:
        require_int("--samples", samples, low=1, high=config.test_samples,
                    why=f"a run has {config.test_samples} test samples")
    runs = ([stored_run(path) for path in arguments.run] if arguments.run
            else [trained_run(config, root) for config in configs])
    return [subject_of(run, samples, arguments.norm, radii) for run in runs]


def certificates_table(found: dict[str, Any]) -> str:
    """Return what was found in the case "certificates" as text."""
    from scripts.benchmarking.certificates import tables
    from scripts.tables import tables_text
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [f"{machine['processor']}, one thread; load before {machine['load_before']}",
             f"NumPy {machine['numpy']}, Numba {machine['numba']}"
             + (f", {versions}" if versions else "")]
    lines += [f"absent: {line}" for line in machine["absent"]] + machine["refused"]
    return "\n".join([
        *lines, "", tables_text(tables(found)), "",
        "attacked: share that the attack leaves right; certified: share with a bound above 0; gap: "
        "margin that\nour attacks reached less the bound, in the mean. ms: CPU milliseconds a "
        "sample, median (spread:\ninterquartile range) of "
        f"{machine['repeats']}; of our bounds until the sign is known, on samples that our attacks "
        f"left\nopen. Branching up to {machine['boxes']} boxes, alpha-CROWN "
        f"{machine['iterations']} steps, Square {machine['queries']} queries."])


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
