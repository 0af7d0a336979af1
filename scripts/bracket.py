"""``purify bracket``: certified and attacked accuracy of a network that was trained elsewhere.

The network is f(x) = sum_i [relu(<w_i, x> - b) - relu(-<w_i, x> - b)], its label the sign of f.
WEIGHTS is an npz file with arrays weights (m, d) and bias (the one number b >= 0), or an ONNX file
of such a network; INPUTS an npz file with X (n, d) and labels y (n,), -1 or +1.

For each radius the share of samples that provably no perturbation breaks, the share that no attack
broke, and limits that hold the robust accuracy of the population with 95 % confidence. --out keeps
the verdict of every sample, with what its worst margin is known to be between, and --deltas the
worst perturbations.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.command import OK, guarded, ready, show
from scripts.options import Parser, add_force_option, chosen_radii, require_free
from scripts.progress import Progress

if TYPE_CHECKING:
    from simulator.attacks.adversary import Adversary
    from simulator.networks.symmetric_relu import SymmetricReLU
    from simulator.protocols import Batch
    from simulator.robustness.bracket import Bracket

__all__ = ["main", "parser", "read_network", "read_samples"]

LOG = logging.getLogger("purify")
STEPS, RESTARTS = 100, 2  # of each attack with gradients, from each of its starts


def main(argv: Sequence[str] | None = None) -> int:
    """Bracket the robust accuracy; return the exit code."""
    return guarded("purify bracket", lambda: _bracket(parser().parse_args(argv)), own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify bracket", description=__doc__)
    built.add_argument("weights", metavar="WEIGHTS", type=Path,
                       help="npz file with weights and bias, or an ONNX file")
    built.add_argument("inputs", metavar="INPUTS", type=Path, help="npz file with X and y")
    built.add_argument("--norm", choices=("l2", "linf"), default="l2",
                       help="of the perturbations (default: l2)")
    built.add_argument("--radius", metavar="R", type=float, nargs="+", action="extend",
                       required=True, help="their radii")
    built.add_argument("--boxes", metavar="N", type=int, default=200,
                       help="of branch and bound, for each sample and radius that nothing else "
                       "decides (default: 200)")
    built.add_argument("--seed", metavar="N", type=int, default=0,
                       help="of the attacks' random starts (default: 0)")
    built.add_argument("--format", choices=("table", "json", "csv"), default="table",
                       help="of what is printed; csv has a line for each sample and radius, json "
                       "both (default: table)")
    built.add_argument("--out", metavar="FILE", type=Path,
                       help="CSV file for the verdict of each sample at each radius")
    built.add_argument("--deltas", metavar="FILE", type=Path,
                       help="npz file for the worst perturbation known of each: radii (r,), delta "
                       "(r, n, d)")
    add_force_option(built)
    return built


def _bracket(arguments: argparse.Namespace) -> int:
    radii = chosen_radii(arguments.radius)
    ready()
    from simulator.heartbeat import listening
    from simulator.robustness.bracket import PASSES, bracket
    from simulator.runs.files import npz_bytes, require_usable, table_bytes, write_atomic
    network = read_network(arguments.weights)
    batch = read_samples(arguments.inputs, network)
    outputs = [path for path in (arguments.out, arguments.deltas) if path is not None]
    require_free(outputs, arguments.force, read=(arguments.weights, arguments.inputs))
    for path in outputs:
        require_usable(path.parent)
    n, right = len(batch.y), int((network.margins(batch.X, batch.y) > 0.0).sum())
    if 2 * right < n:
        LOG.warning("warning: %d of %d samples are right without any perturbation: have labels or "
                    "outputs another sign?", right, n)
    with Progress() as progress, listening(progress.require_time):
        found = bracket(network, batch, _adversary(arguments), radii=radii, boxes=arguments.boxes,
                        tick=lambda done, keep: progress(done, PASSES * len(radii), "bracket"))
    verdicts = _verdicts(found, batch)
    table = table_bytes(verdicts)
    try:
        if arguments.out is not None:
            write_atomic(arguments.out, table)
        if arguments.deltas is not None:
            write_atomic(arguments.deltas, npz_bytes({
                "radii": radii, "delta": [each.delta for each in found]}))
    finally:  # a disk that is full by now costs no result
        show(table.decode().rstrip("\n") if arguments.format == "csv"
             else _json(arguments, found, verdicts, right / n) if arguments.format == "json"
             else _text(arguments, network, found, right))
    return OK


def read_network(path: Path) -> "SymmetricReLU":
    """Return the network in an npz or ONNX file, or raise in one line that names the file."""
    from simulator.checks import require_array, require_finite
    from simulator.networks.symmetric_relu import SymmetricReLU
    if path.suffix.lower() == ".onnx":
        return SymmetricReLU.from_onnx(path)
    arrays = _arrays(path, ("weights", "bias"))
    name = f"{path}: weights"
    weights = require_finite(name, require_array(name, arrays["weights"], (None, None),
                                                 why="one row a neuron"))
    if weights.size == 0:
        raise ValueError(f"{name}: expected at least one neuron and one coordinate, got "
                         f"{weights.shape}")
    if arrays["bias"].size != 1:
        raise ValueError(f"{path}: bias: expected the one number that all neurons share, got "
                         f"shape {arrays['bias'].shape}")
    name = f"{path}: bias"
    bias = float(require_finite(name, require_array(name, arrays["bias"].reshape(1), (1,)))[0])
    if bias < 0.0:
        raise ValueError(f"{name}: expected b >= 0 of relu(<w, x> - b), got {bias:g}: what a layer "
                         "adds is -b")
    return SymmetricReLU(weights, bias)


def read_samples(path: Path, network: "SymmetricReLU") -> "Batch":
    """Return the samples in an npz file, or raise in one line that names the file."""
    import numpy as np

    from simulator.checks import require_array, require_finite, require_labels
    from simulator.protocols import Batch
    arrays, d = _arrays(path, ("X", "y")), network.weights.shape[1]
    X = require_array(f"{path}: X", arrays["X"], (None, d),
                      why=f"the network reads d = {d} coordinates, a row a sample")
    require_finite(f"{path}: X", X)
    if len(X) == 0:
        raise ValueError(f"{path}: X: expected at least one sample, got none")
    labels = arrays["y"]
    if labels.shape == (len(X),) and labels.dtype.kind in "fiub" and np.isin(labels, (0, 1)).all():
        if not labels.all():  # a one alone is a label of both kinds
            raise ValueError(f"{path}: y: expected labels -1 and +1, got 0 and 1: write 2 * y - 1")
    return Batch(X, require_labels(f"{path}: y", labels, len(X), X.dtype))


def _arrays(path: Path, wanted: tuple[str, ...]) -> "Mapping[str, Any]":
    from simulator.runs.files import read_npz
    arrays = read_npz(path)
    for name in wanted:
        if name not in arrays:
            raise ValueError(f"{path}: expected arrays {' and '.join(wanted)}, got "
                             f"{', '.join(arrays) or 'none'}")
    return arrays


def _adversary(arguments: argparse.Namespace) -> "Adversary":
    """Who attacks: what needs no knowledge of the data, features being the coordinates."""
    from simulator.attacks.adversary import Adversary
    from simulator.attacks.gradient import PGD, AdaptivePGD
    from simulator.attacks.search import FeatureGreedy, RandomSearch
    from simulator.balls import ball_of
    starts = ("zero", "random")
    return Adversary(ball_of(arguments.norm, 0.0), seed=arguments.seed, strong={
        "pgd-long": PGD(STEPS, starts, RESTARTS), "adaptive": AdaptivePGD(STEPS, starts, RESTARTS),
        "features": FeatureGreedy(), "random": RandomSearch(4 * STEPS)})


def _verdicts(found: "Sequence[Bracket]", batch: "Batch") -> list[dict[str, Any]]:
    """Return a row for each radius and sample: certified, broken or open, and by what."""
    rows = []
    for at_radius in found:
        for sample, decided in enumerate(at_radius.decided_by.tolist()):
            verdict, _, method = decided.partition(": ")
            rows.append({"radius": at_radius.radius, "sample": sample,
                         "label": int(batch.y[sample]), "verdict": verdict, "method": method,
                         "lower": float(at_radius.lower[sample]),
                         "upper": float(at_radius.upper[sample])})
    return rows


def _json(arguments: argparse.Namespace, found: "Sequence[Bracket]",
          verdicts: list[dict[str, Any]], accuracy: float) -> str:
    from simulator.runs.files import json_text
    return json_text({"norm": arguments.norm, "boxes": arguments.boxes, "accuracy": accuracy,
                      "bracket": [at_radius.numbers() for at_radius in found],
                      "verdicts": verdicts})


def _text(arguments: argparse.Namespace, network: "SymmetricReLU", found: "Sequence[Bracket]",
          right: int) -> str:
    from scripts.tables import tables_text
    from simulator.runs.table import Table
    rows = tuple((f"{arguments.norm} radius {each.radius:g}", (
        each.certified, each.attacked, each.width, each.low, each.high, each.seconds))
        for each in found)
    return tables_text([Table(
        f"{network!r} on {found[0].samples} samples, {right} of them right as they are. "
        "Low and high hold the robust accuracy of the population with 95 % confidence.",
        ("certified", "attacked", "open", "low", "high", "seconds"), rows)])


if __name__ == "__main__":
    sys.exit(main())
