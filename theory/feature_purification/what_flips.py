"""What flips a sample at its critical radius: gates, mixtures, features (beside claim R1).

Each network of a run is attacked at its own r50, and what happens to the samples that flip is
split by :mod:`simulator.flips`: it says whether a radius comes about as its reading assumes.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from simulator.attacks.worst_case import strongest_case
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.features import decompose
from simulator.flips import flip_mechanism
from simulator.jit import fixed_threads
from theory.claim import Run, Size

__all__ = ["NAMES", "Flip", "chain", "mechanism", "slope", "what_flips"]

NAMES = {"linear": "linear classifier", "clean": "clean network",
         "adversarial": "purified network"}
FLIP_SAMPLES = 200


class Flip(NamedTuple):
    """What flips the samples of one network at r50.

    Attributes
    ----------
    shares : dict of str to float
        :meth:`simulator.flips.FlipMechanism.shares` over the samples flipped.
    first_order : float
        ``median(y f / ||df/dx||)`` over r50: 1 where the gradient at x already tells r50.
    margin, slope : float
        Medians of ``y f`` and ``||df/dx||`` in units of the gain, the sum of the peaks
        ``|C_{i,j(i)}|`` of the feature neurons of one feature.
    active : float
        Features whose neurons are open at x: the mean sum of the open peaks over the gain.
    dense : float
        Mixture ratio of the open neurons, each counted as often as it is open.
    """

    shares: dict[str, float]
    first_order: float
    margin: float
    slope: float
    active: float
    dense: float


def what_flips(run: Run, network: str) -> Flip:
    """Attack the first 200 test samples at r50 and split what happens to those that flip.

    Parameters
    ----------
    run : Run
    network : "clean" or "adversarial"
    """
    simulation, arrays = PurificationExperiment(run.config), run.arrays
    few = simulation.test_set[:FLIP_SAMPLES]
    X, y = few.X, few.y
    trained = simulation.network(arrays[f"weights_{network}"], float(arrays["bias"]))
    radius = run.summary[network]["r50"]
    dictionary = simulation.data.dictionary
    parts = decompose(trained.weights, dictionary, simulation.data.signs)
    with fixed_threads(run.config.threads):
        found = strongest_case(trained, few, simulation.adversary.at(radius))
        margins, gradient = trained.margins_and_gradient(X, y)
        flipped = (margins > 0.0) & (found.margins <= 0.0)
        split = flip_mechanism(trained, X[flipped], y[flipped], found.delta[flipped], parts,
                               dictionary)
        often = trained.gates(X).mean(axis=0)
    slopes = np.maximum(np.linalg.norm(gradient, axis=1), np.finfo(float).tiny)
    peaks = np.abs(parts.peaks)
    gain = peaks[parts.is_feature_neuron].sum() / run.config.d
    others = np.maximum(1, run.config.d - parts.is_pure.sum(axis=1))
    along = parts.signs * (parts.mixture @ parts.labeler) / others
    first_order = float(np.median(margins / slopes)) / radius if radius > 0.0 else math.inf
    return Flip(split.shares(), first_order,
                float(np.median(margins) / gain), float(np.median(slopes) / gain),
                float(often @ peaks / gain), float(often @ along / (often @ peaks)))


def mechanism(network: str, seen: Mapping[Size, Flip]) -> str:
    """Say through which neurons the samples of a network flip, at the sizes seen."""
    def of(name: str) -> str:
        values = [f"{100.0 * flip.shares[name]:.0f}" for flip in seen.values()]
        return "-".join(sorted({min(values, key=float), max(values, key=float)}, key=float)) + " %"

    ratios = [flip.first_order for flip in seen.values()]
    mixed = [flip.shares["mixture"] for flip in seen.values()]
    assumed = min(mixed) > 0.5 if network == "clean" else max(mixed) < 0.5
    return (f"what flips the {NAMES[network]} at r50 (one seed at {', '.join(map(str, seen))}): "
            f"{of('shifted')} of the change is carried by gates open at both ends, "
            f"{of('opened')} by opening and {of('closed')} by closing ones; {of('mixture')} goes "
            f"through dense mixtures, {'as' if assumed else 'not as'} its reading assumes, and "
            f"{of('loser')} through neurons without a feature; "
            f"median(y f/|df/dx|) is {min(ratios):.2f}-{max(ratios):.2f} r50")


def chain(power: float, low: Size, high: Size, seen: Mapping[Size, Flip]) -> str:
    """Exponents of what r50 is made of to first order, with those that its reading assumes."""
    assumed = {"margin": 0.0, "slope": 2.0 * power - 0.5, "active": power, "dense": power - 1.0}
    d, shown = np.array([low.d, high.d], float), []
    for name, expected in assumed.items():
        ends = np.array([getattr(seen[size], name) for size in (low, high)])
        found = slope(d, ends) if (ends > 0.0).all() else math.nan
        shown.append(f"{found:.2f} ({expected:.2f})")
    return ", ".join(shown)


def slope(d: np.ndarray, values: np.ndarray) -> float:
    """Return the exponent of values in d, by least squares in logarithms."""
    return float(np.polyfit(np.log(d), np.log(values), 1)[0])
