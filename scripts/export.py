"""``purify export``: the networks and samples of a run for other verifiers, as ONNX and VNN-LIB.

One folder gets <network>.onnx for each network; inputs.npz with the first test samples (X, y),
radii and norm; and, where the question is about boxes, a property for each sample and radius in
vnnlib/ with instances.csv, the list of network, property and seconds that VNN-COMP uses.

VNN-LIB has boxes only: for a run in l2 the properties are left out, unless --norm linf asks for
boxes of a given --radius. Networks are rounded to float32, which most tools need; --dtype float64
is exact. ONNX comes with pip install 'feature-purification[export]'.

With --force the folder holds one export, this one: what an earlier one wrote and this one does not
(networks, instances.csv, properties of other radii or samples) is removed once all new files are
written. Files of others stay, also by the same names.
"""

import argparse
import logging
import re
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.command import OK, guarded, ready, show
from scripts.options import (Parser, add_force_option, add_selection_options, chosen_radii,
                             chosen_samples, require_free)
from simulator.names import require_known

if TYPE_CHECKING:
    from simulator.protocols import Batch
    from simulator.runs.run import Run

__all__ = ["main", "parser"]

LOG = logging.getLogger("purify")
FORMATS = ("onnx", "vnnlib", "npz")
LIST, PROPERTIES = "instances.csv", "vnnlib"
PROPERTY = r"sample_(\d+)_radius_([\d.e+-]+)\.vnnlib"
MARK, OURS = "written_by", "purify export"  # in every network, so that it is known again

Files = dict[str, Callable[[], bytes]]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files; return 0, or 2 where there is no run that can be exported."""
    return guarded("purify export", lambda: _export(parser().parse_args(argv)), own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify export", description=__doc__)
    built.add_argument("run", metavar="RUN", type=Path,
                       help="run folder, as printed by purify simulate")
    built.add_argument("--format", metavar="NAMES", default="onnx,vnnlib",
                       help="of onnx, vnnlib and npz (weights as arrays), with commas between "
                       "(default: onnx,vnnlib)")
    built.add_argument("--out", metavar="DIR", type=Path,
                       help="folder for the files (default: export in the run folder)")
    add_selection_options(built)
    built.add_argument("--norm", choices=("l2", "linf"),
                       help="of the question (default: the run's); linf writes boxes")
    built.add_argument("--dtype", choices=("float32", "float64"), default="float32",
                       help="of the networks (default: float32)")
    built.add_argument("--vnnlib-version", choices=("1.0", "2.0"), default="1.0",
                       help="1.0 is what most verifiers read (default: 1.0)")
    built.add_argument("--timeout", metavar="SECONDS", type=int, default=60,
                       help="of each line of instances.csv (default: 60)")
    add_force_option(built)
    return built


class _Task(NamedTuple):
    """What is exported: networks by name, samples, radii, and the norm of the question."""

    networks: dict[str, Any]
    patches: int
    batch: "Batch"
    radii: list[float]
    norm: str


def _export(arguments: argparse.Namespace) -> int:
    formats = [require_known("--format", name.strip(), FORMATS)
               for name in arguments.format.split(",")]
    ready()
    from simulator.checks import require_int
    from simulator.experiments import stored
    from simulator.runs.files import write_atomic
    from simulator.runs.folder import RunFolder
    require_int("--timeout", arguments.timeout, low=1)
    task = _task(arguments, stored(arguments.run))
    files = _files(task, formats, arguments)
    folder: Path = arguments.out or arguments.run / "export"
    require_free([folder / name for name in dict.fromkeys((*files, LIST))], arguments.force,
                 read=RunFolder(arguments.run).files())
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / name, content())
    if arguments.force:
        _clear(folder, files)
    asked = [name for name in files if name.startswith(f"{PROPERTIES}/")]
    show("\n".join([*(str(folder / name) for name in files if name not in asked),
                    *([f"{folder / PROPERTIES}: {len(asked)} properties"] if asked else [])]))
    if "vnnlib" in formats and task.norm != "linf":
        LOG.info("no properties: VNN-LIB has boxes only and this question is about %s balls, which "
                 "inputs.npz holds; --norm linf --radius R writes boxes", task.norm)
    return OK


def _task(arguments: argparse.Namespace, run: "Run") -> _Task:
    """Return what was asked for, or raise in one line."""
    from simulator.errors import RunError
    from simulator.experiments import PAPERS
    from simulator.experiments.feature_purification.experiment import PHASES
    from simulator.experiments.structured_features.config import TRAININGS
    config, patches = run.config, 0
    if config.MODEL == "purification":
        names, own, radius = list(PHASES), config.norm, config.tau
        certified = config.bracket_samples
    elif config.MODEL == "patches" and not (config.races or config.spectrum_points):
        names, own, radius = list(TRAININGS), config.norm, config.epsilon
        certified, patches = config.certified_samples, config.patches
    else:
        paper = next(entry.name for entry in PAPERS if entry.model == config.MODEL)
        raise RunError(f"{arguments.run}: expected a run of feature_purification or one of "
                       f"structured_features with trainings, got one of {paper}: only their "
                       "networks have a form that other tools read")
    arrays = run.arrays
    names = [name for name in names if f"weights_{name}" in arrays]
    chosen = [require_known("--phase", name, names) for name in arguments.phase or names]
    norm = arguments.norm or own
    if norm != own and arguments.radius is None:
        raise ValueError(f"--radius: expected one beside --norm {norm}, got none: the run's own, "
                         f"{radius:g}, is one of {own}")
    test = run.test_set
    samples = chosen_samples(arguments.samples, certified, len(test.y))
    return _Task({name: run.experiment.network_of(name, arrays) for name in chosen}, patches,
                 test[:samples], chosen_radii(arguments.radius or [radius]), norm)


def _files(task: _Task, formats: Sequence[str], arguments: argparse.Namespace) -> Files:
    """Return the content of every file, by name; the list of instances comes last."""
    from simulator.runs.files import npz_bytes
    sizes = (task.patches,) if task.patches else ()
    files: Files = {}
    for name, network in task.networks.items():
        if "onnx" in formats:
            files[f"{name}.onnx"] = partial(_onnx, network, *sizes, dtype=arguments.dtype)
        if "npz" in formats:
            files[f"{name}.npz"] = partial(npz_bytes, _arrays(network) | {MARK: OURS})
    norm = f"{task.norm} of each patch" if task.patches and task.norm == "l2" else task.norm
    files["inputs.npz"] = partial(npz_bytes, {"X": task.batch.X, "y": task.batch.y,
                                              "radii": task.radii, "norm": norm})
    if "vnnlib" in formats and task.norm == "linf":
        properties = _properties(task, arguments)
        files |= properties
        lines = [f"{network}.onnx,{name},{arguments.timeout}\n" for network in task.networks
                 for name in properties]
        files[LIST] = "".join(lines).encode
    return files


def _properties(task: _Task, arguments: argparse.Namespace) -> Files:
    """Return a property for each sample and radius; it is about any of the networks."""
    from simulator.networks.vnnlib import box_property
    classes = next(iter(task.networks.values())).classes if task.patches else 0

    def content(sample: int, radius: float) -> bytes:
        label = int(task.batch.y[sample])
        return box_property(
            task.batch.X[sample], radius, label, classes=classes, dtype=arguments.dtype,
            version=arguments.vnnlib_version,
            about=f"{arguments.run.name}, sample {sample}, label {label}, l_inf radius {radius!r}"
        ).encode()

    return {f"{PROPERTIES}/sample_{sample}_radius_{radius!r}.vnnlib":
            partial(content, sample, radius)
            for radius in task.radii for sample in range(len(task.batch.y))}


def _onnx(network: Any, *sizes: int, dtype: str) -> bytes:
    """The content of an ONNX file with our mark at its end: models one behind another are one."""
    content: bytes = network.onnx_content(*sizes, dtype=dtype)
    import onnx
    entry = onnx.StringStringEntryProto(key=MARK, value=OURS)
    mark: bytes = onnx.ModelProto(metadata_props=[entry]).SerializeToString()
    return content + mark


def _clear(folder: Path, files: Collection[str]) -> None:
    """Remove what an earlier export left in a folder and this one, of these files, did not write.

    The list of instances goes first: it never names a property that is gone.
    """
    from simulator.experiments.feature_purification.experiment import PHASES
    from simulator.experiments.structured_features.config import TRAININGS
    networks = (*PHASES, *TRAININGS)
    names = [LIST, *(f"{name}.{kind}" for name in networks for kind in ("onnx", "npz")),
             *sorted(f"{PROPERTIES}/{path.name}"
                     for path in (folder / PROPERTIES).glob("sample_*_radius_*.vnnlib"))]
    gone = [name for name in names if name not in files and _is_ours(folder / name, networks)]
    for name in gone:
        (folder / name).unlink()
    if any(name.startswith(f"{PROPERTIES}/") for name in gone):
        with suppress(OSError):  # holds something else
            (folder / PROPERTIES).rmdir()
    if gone:
        LOG.info("removed %d files of an earlier export that this one does not write", len(gone))


def _is_ours(path: Path, networks: Sequence[str]) -> bool:
    """True if a file is there and has in it what this command writes under its name."""
    from simulator.errors import Damaged
    from simulator.runs.files import read_npz
    if path.is_symlink() or not path.is_file():
        return False
    if path.suffix == ".npz":
        try:
            return str(read_npz(path).get(MARK)) == OURS
        except Damaged:
            return False
    if path.suffix == ".onnx":
        return path.read_bytes().endswith(OURS.encode())
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    if path.name == LIST:
        instance = rf"({'|'.join(networks)})\.onnx,{PROPERTIES}/{PROPERTY},\d+"
        return all(re.fullmatch(instance, line) for line in lines)
    found = re.fullmatch(PROPERTY, path.name)
    return found is not None and re.fullmatch(
        rf"; .*, sample {found[1]}, label -?\d+, l_inf radius {re.escape(found[2])}",
        lines[0]) is not None


def _arrays(network: Any) -> dict[str, Any]:
    """What a network is made of."""
    return {name: getattr(network, name) for name in ("weights", "bias", "q", "rho")
            if hasattr(network, name)}


if __name__ == "__main__":
    sys.exit(main())
