"""Which feature does standard training learn? Many short trainings over a range of kappa.

From a small start ``<w, u>`` grows like ``sum alpha^q <w, u>^(q-1)`` and ``<w, v>`` like
``sum beta^q <w, v>^(q-1)`` (Li & Li, arXiv 2410.08503). For q > 2 both blow up in finite time,
and whichever is first fits the samples and takes the gradient from the other. With u_0, v_0 the
largest initial correlations over the neurons of a class, v is first if

    kappa (v_0 / u_0)^(q-2) > 1,    kappa = sum beta^q / sum alpha^q.

This condition is a reading: derived here from the two equations, and confronted with the races.
It puts the transition at kappa = 1, where u_0 and v_0 have the same distribution, with a width
that comes from the lottery of the start alone.
"""

from typing import NamedTuple

import numpy as np
import scipy

from simulator.data.batches import TrainingSet
from simulator.data.patches import PatchData
from simulator.experiments.structured_features.config import StructuredConfig
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.randomness import Role, stream
from simulator.training import train

__all__ = ["Transition", "alpha_for", "first_feature", "fit_transition", "kappas", "race",
           "race_settings"]

ROUND = 25  # steps between two looks at who has won


class Transition(NamedTuple):
    """A logistic curve ``P(v wins) = 1 / (1 + exp(-(log kappa - log midpoint) / width))``.

    Attributes
    ----------
    midpoint : float
        kappa at which both win equally often.
    width : float
        In log kappa: the share goes from .27 to .73 within one width to both sides.
    """

    midpoint: float
    width: float


def kappas(config: StructuredConfig) -> np.ndarray:
    """Return the values of kappa, evenly spaced in logarithm, shape (kappa_points,)."""
    return np.geomspace(1.0 / config.kappa_span, config.kappa_span, config.kappa_points)


def alpha_for(kappa: float, config: StructuredConfig) -> float:
    """Return the strength of the robust patches that gives this kappa; all else stays."""
    total = config.nonrobust_patches * config.beta**config.q
    return float((total / (kappa * config.robust_patches)) ** (1.0 / config.q))


def race(config: StructuredConfig, kappa: float, index: int) -> np.ndarray:
    """Train once from a start of its own until a feature is learned.

    Parameters
    ----------
    config : StructuredConfig
    kappa : float
    index : int
        Number of the race within the run: its start and its samples.

    Returns
    -------
    ndarray, shape (K, 4)
        For each class the largest ``<w, u>`` and ``<w, v>`` over its neurons, at the end and at
        the start.
    """
    seed = int(stream(config.seed, Role.RACE, index).integers(2**32))
    data = PatchData(config.d, np.full(config.robust_patches, alpha_for(kappa, config)),
                     np.full(config.nonrobust_patches, config.beta), config.classes,
                     config.jitter, config.noise)
    network = SmoothedReLUCNN.initialise(
        config.classes, config.m, config.d, config.init_scale, config.q, config.rho,
        stream(seed, Role.INITIALISATION), config.dtype)
    batches = TrainingSet(data, config.training_samples, config.training_samples, seed,
                          config.dtype)
    start = _largest(network, data)
    for first in range(0, config.standard_steps, ROUND):
        train(network, batches, learning_rate=config.learning_rate, start=first,
              stop=min(first + ROUND, config.standard_steps), seed=seed)
        if network.margins(batches.samples.X, batches.samples.y).min() > 1.0:
            break  # all samples are fitted: nothing left to win
    return np.concatenate([_largest(network, data), start], axis=1)


def race_settings(config: StructuredConfig) -> np.ndarray:
    """Return kappa of every race of a run in order, shape (kappa_points * races,)."""
    return np.repeat(kappas(config), config.races)


def first_feature(kappa: np.ndarray, starts: np.ndarray, q: int) -> np.ndarray:
    """Predict the races from their starts: True where v should win (a reading).

    Parameters
    ----------
    kappa : ndarray, shape (points,)
    starts : ndarray, shape (points, races, K, 2)
        Largest initial correlations with u and v.
    q : int
    """
    u, v = np.moveaxis(np.maximum(starts, 0.0) ** (q - 2), -1, 0)  # below 0 nothing grows
    wins: np.ndarray = kappa[:, None, None] * v > u
    return wins


def fit_transition(kappa: np.ndarray, wins: np.ndarray) -> Transition:
    """Fit the logistic curve by maximum likelihood.

    Parameters
    ----------
    kappa : ndarray, shape (points,)
    wins : ndarray of bool, shape (points, trials)
        Where v won.

    Returns
    -------
    Transition
        NaN if one of the features won everywhere: then kappa missed the transition. Where the
        outcomes are separated without overlap any steep curve fits; the width is then the
        smallest one allowed, a tenth of the spacing.

    Raises
    ------
    ValueError
        Shapes that do not match.
    """
    kappa, wins = np.asarray(kappa, np.float64), np.asarray(wins, bool)
    if wins.ndim != 2 or kappa.shape != wins.shape[:1]:
        raise ValueError(f"wins: expected shape ({len(kappa)}, trials), got {wins.shape}")
    if wins.all() or not wins.any():
        return Transition(np.nan, np.nan)
    x = np.log(kappa)[:, None]
    sign = np.where(wins, 1.0, -1.0)
    spacing = float(np.min(np.diff(np.sort(x[:, 0]))))

    def surprise(point: np.ndarray) -> float:
        return float(np.logaddexp(0.0, -sign * (x - point[0]) / np.exp(point[1])).sum())

    bounds = ((float(x.min()), float(x.max())), (np.log(0.1 * spacing), np.log(10.0 * np.ptp(x))))
    starts = [(middle, np.log(width)) for middle in (-0.5 * spacing, 0.0, 0.5 * spacing)
              for width in (spacing, 4.0 * spacing)]
    found = min((scipy.optimize.minimize(surprise, start, bounds=bounds) for start in starts),
                key=lambda result: result.fun)
    return Transition(float(np.exp(found.x[0])), float(np.exp(found.x[1])))


def _largest(network: SmoothedReLUCNN, data: PatchData) -> np.ndarray:
    """Return ``max_r <w_y,r, u_y>`` and the same for v, shape (K, 2)."""
    return np.stack([np.einsum("ird,id->ir", network.weights, features).max(axis=1)
                     for features in (data.robust_features, data.nonrobust_features)], axis=1)
