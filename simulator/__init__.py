"""The simulator of deep-learning theory: data, networks, attacks, training and what they show.

    import simulator as sim

    data = sim.SparseCoding(d=64, k=4)
    net = sim.SymmetricReLU.initialise(m=1280, d=64, scale=0.01, rng=0)
    sim.train(net, data, learning_rate=0.5, steps=500, schedule=sim.TrackingNorm(1.0))
    sim.feature_metrics(sim.decompose(net, data))

A name is imported when it is first used, so that ``purify --help`` loads neither NumPy nor Numba.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.attacks.adversary import Adversary as Adversary
    from simulator.attacks.directions import EraseAndWrite as EraseAndWrite
    from simulator.attacks.directions import Universal as Universal
    from simulator.attacks.gradient import FGM as FGM
    from simulator.attacks.gradient import PGD as PGD
    from simulator.attacks.gradient import AdaptivePGD as AdaptivePGD
    from simulator.attacks.gradient_masking import gradient_masking as gradient_masking
    from simulator.attacks.paired import PairedPatchSearch as PairedPatchSearch
    from simulator.attacks.patches import PatchSearch as PatchSearch
    from simulator.attacks.search import FeatureGreedy as FeatureGreedy
    from simulator.attacks.search import RandomSearch as RandomSearch
    from simulator.attacks.suites import sharp_attacks as sharp_attacks
    from simulator.attacks.suites import standard_attacks as standard_attacks
    from simulator.attacks.suites import strong_attacks as strong_attacks
    from simulator.attacks.worst_case import worst_case as worst_case
    from simulator.balls import L2Ball as L2Ball
    from simulator.balls import LinfBall as LinfBall
    from simulator.balls import PatchL2Ball as PatchL2Ball
    from simulator.bias_schedules import LinearThenConstant as LinearThenConstant
    from simulator.bias_schedules import TrackingNorm as TrackingNorm
    from simulator.certificates.margins import certify as certify
    from simulator.data.batches import FreshBatches as FreshBatches
    from simulator.data.batches import TrainingSet as TrainingSet
    from simulator.data.patches import PatchData as PatchData
    from simulator.data.sparse_coding import SparseCoding as SparseCoding
    from simulator.errors import Diverged as Diverged
    from simulator.experiments import presets as presets
    from simulator.experiments import simulate as simulate
    from simulator.experiments import stored as load
    from simulator.features import decompose as decompose
    from simulator.features import feature_metrics as feature_metrics
    from simulator.features import purification as purification
    from simulator.flips import flip_mechanism as flip_mechanism
    from simulator.networks.linear import LinearClassifier as LinearClassifier
    from simulator.networks.linearized import LinearizedReLU as LinearizedReLU
    from simulator.networks.low_rank import LowRankUpdate as LowRankUpdate
    from simulator.networks.masked import MaskedReLU as MaskedReLU
    from simulator.networks.polynomials import Polynomial as Polynomial
    from simulator.networks.polynomials import SymmetricCubic as SymmetricCubic
    from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN as SmoothedReLUCNN
    from simulator.networks.symmetric_relu import SymmetricReLU as SymmetricReLU
    from simulator.ntk.empirical import empirical_ntk as empirical_ntk
    from simulator.ntk.measures import distance as kernel_distance
    from simulator.protocols import Batch as Batch
    from simulator.robustness.accuracy import accuracy as accuracy
    from simulator.robustness.accuracy import accuracy_curves as accuracy_curves
    from simulator.robustness.bracket import bracket as bracket
    from simulator.robustness.critical_radius import critical_radius as critical_radius
    from simulator.sweeps import sweep as sweep
    from simulator.training import train as train

__all__ = [
    "SparseCoding", "PatchData", "Batch", "FreshBatches", "TrainingSet",
    "SymmetricReLU", "SmoothedReLUCNN", "LinearizedReLU", "MaskedReLU", "LinearClassifier",
    "Polynomial", "SymmetricCubic", "LowRankUpdate",
    "L2Ball", "LinfBall", "PatchL2Ball", "Adversary", "FGM", "PGD", "AdaptivePGD", "Universal",
    "RandomSearch", "FeatureGreedy", "EraseAndWrite", "PatchSearch", "PairedPatchSearch",
    "standard_attacks", "sharp_attacks", "strong_attacks", "worst_case",
    "train", "LinearThenConstant", "TrackingNorm", "Diverged",
    "decompose", "feature_metrics", "purification", "flip_mechanism",
    "accuracy", "accuracy_curves", "critical_radius", "certify", "bracket", "gradient_masking",
    "empirical_ntk", "kernel_distance",
    "simulate", "sweep", "load", "presets",
]
__version__ = "0.2.0"

_PLACES = {
    "data.sparse_coding": "SparseCoding", "data.patches": "PatchData", "protocols": "Batch",
    "data.batches": "FreshBatches TrainingSet",
    "networks.symmetric_relu": "SymmetricReLU", "networks.smoothed_relu_cnn": "SmoothedReLUCNN",
    "networks.linearized": "LinearizedReLU", "networks.masked": "MaskedReLU",
    "networks.linear": "LinearClassifier", "networks.polynomials": "Polynomial SymmetricCubic",
    "networks.low_rank": "LowRankUpdate",
    "balls": "L2Ball LinfBall PatchL2Ball", "attacks.adversary": "Adversary",
    "attacks.gradient": "FGM PGD AdaptivePGD", "attacks.directions": "Universal EraseAndWrite",
    "attacks.search": "RandomSearch FeatureGreedy", "attacks.patches": "PatchSearch",
    "attacks.paired": "PairedPatchSearch",
    "attacks.suites": "sharp_attacks standard_attacks strong_attacks",
    "attacks.worst_case": "worst_case",
    "attacks.gradient_masking": "gradient_masking",
    "training": "train", "bias_schedules": "LinearThenConstant TrackingNorm",
    "errors": "Diverged",
    "features": "decompose feature_metrics purification", "flips": "flip_mechanism",
    "robustness.accuracy": "accuracy accuracy_curves",
    "robustness.critical_radius": "critical_radius", "robustness.bracket": "bracket",
    "certificates.margins": "certify",
    "ntk.empirical": "empirical_ntk", "ntk.measures": "distance=kernel_distance",
    "experiments": "simulate presets stored=load", "sweeps": "sweep",
}

_WHERE = {name.split("=")[-1]: (f"simulator.{module}", name.split("=")[0])
          for module, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name == "contract":  # the checkers of classes of one's own: a module, not a name of it
        return importlib.import_module("simulator.contract")
    if name not in _WHERE:
        from simulator.names import hint  # light, and rarely needed
        raise AttributeError(f"simulator has no {name}; {hint(name, _WHERE)}"
                             if not name.startswith("_") else f"simulator has no {name}")
    module, attribute = _WHERE[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
