"""What the bounds rest on, written down as proofs in the user's units."""

from collections.abc import Sequence

import numpy as np

from simulator.balls import LinfBall
from simulator.certificates.branch_and_bound import Part
from simulator.certificates.cored import CoredRelaxation, cores
from simulator.certificates.inputs import SignedInputs
from simulator.certificates.proofs import Leaf, Proof
from simulator.certificates.relaxation import Dual
from simulator.certificates.shared import SharedBounds

__all__ = ["linear_proofs", "separable_proofs", "shared_proofs", "tree_proof"]

NONE = np.zeros(0, np.int64)


def linear_proofs(inputs: SignedInputs, bounds: np.ndarray, slopes: np.ndarray) -> list[Proof]:
    """Return a proof for each sample from its slopes (n, m)."""
    found = []
    for bound, line in zip(bounds, slopes):
        named = np.flatnonzero(line)
        flat = Dual(line[named], np.zeros(len(named)), np.zeros(1), np.zeros(inputs.W.shape[1]))
        found.append(Proof("linear", float(bound * inputs.unit), NONE, inputs.neurons[named],
                           (_leaf(inputs, NONE, (), flat),)))
    return found


def separable_proofs(inputs: SignedInputs, bounds: np.ndarray, lam: np.ndarray) -> list[Proof]:
    """Return a proof for each sample from its lam (n,)."""
    scale = inputs.unit / inputs.length**2
    return [Proof("separable", float(bound * inputs.unit), NONE, NONE, (), float(one * scale))
            for bound, one in zip(bounds, lam)]


def shared_proofs(inputs: SignedInputs, found: SharedBounds) -> list[Proof]:
    """Return a proof for each sample: one leaf, with a multiplier for every live neuron."""
    wide = inputs.W.shape[1] if isinstance(inputs.ball, LinfBall) else 1
    return [Proof("shared", float(bound * inputs.unit), NONE, inputs.neurons,
                  (_leaf(inputs, NONE, (), Dual(slopes, lam * found.curvatures,
                                                np.full(wide, lam), point)),))
            for bound, slopes, lam, point in zip(found.bounds, found.slopes, found.lam,
                                                 found.points)]


def tree_proof(inputs: SignedInputs, method: str, bound: float, parts: Sequence[Part]) -> Proof:
    """Return the proof of one sample from the parts of its ball and what bounds each."""
    root = parts[0][0]
    neurons, leaves = inputs.neurons[root.neurons], []
    for box, dual in parts:
        if isinstance(dual, Dual):
            leaves.append(_leaf(inputs, neurons, box.cuts, dual))
        else:
            none = Dual(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))
            leaves.append(_leaf(inputs, neurons, box.cuts, none, int(neurons[dual])))
    return Proof(method, float(bound * inputs.unit), inputs.neurons[root.linear_neurons], neurons,
                 tuple(leaves), cores=np.flatnonzero(cores(root.W))
                 if isinstance(root, CoredRelaxation) else NONE)


def _leaf(inputs: SignedInputs, neurons: np.ndarray, cuts: Sequence[tuple[int, float, float]],
          dual: Dual, empty: int = -1) -> Leaf:
    unit, length = inputs.unit, inputs.length
    cut, side, v = np.array(cuts, float).reshape(-1, 3).T
    # without a curvature lam has nothing to outweigh, whatever the ascent has left there
    lam = dual.lam if dual.curvatures.any() else np.zeros_like(
        dual.point if isinstance(inputs.ball, LinfBall) else dual.lam)
    rest, core = (*np.atleast_2d(dual.slopes), np.zeros(0))[:2]
    return Leaf(neurons[cut.astype(np.int64)], side, side * v * unit, rest, dual.curvatures / unit,
                lam * (unit / length**2), dual.point * length, empty, core)
