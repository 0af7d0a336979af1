"""Which feature does adversarial training learn? The one-step training at radii from 0 to 2 beta.

At epsilon = 0 it is standard training; the theorems about the two (Li & Li, arXiv 2410.08503) say
nothing about what lies between, nor does one become the other at epsilon = 0: a reviewer of the
paper asked for the spectrum. Every radius has the same start and the same samples.
"""

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import Ascent
from simulator.errors import Diverged
from simulator.experiments.structured_features.config import StructuredConfig
from simulator.experiments.structured_features.experiment import (StructuredExperiment,
                                                                  correlations, of_classes)
from simulator.training import train

__all__ = ["COLUMNS", "at_radius", "overtaken_from", "radii"]

# What is kept of each radius: correlations at the end, the first recorded step from which on u is
# above v to the end (NaN: it is not), accuracies on samples, on D_R and on D_NR.
COLUMNS = ("u", "v", "overtaken_at", "accuracy", "on_robust", "on_nonrobust")


def radii(config: StructuredConfig) -> np.ndarray:
    """Return the values of epsilon, evenly spaced from 0 to 2 beta, shape (spectrum_points,)."""
    return np.linspace(0.0, 2.0 * config.beta, config.spectrum_points)


def at_radius(experiment: StructuredExperiment, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Train against one ascent step within a radius, and measure what comes out.

    Parameters
    ----------
    experiment : StructuredExperiment
    radius : float
        Of every patch's ball, in the norm of the experiment.

    Returns
    -------
    numbers : ndarray, shape (columns,)
        One a column of ``COLUMNS``; NaN where the training diverged.
    over_classes : ndarray, shape (2, 2)
        Of u and of v the smallest and the largest over the classes.
    """
    config, network = experiment.config, experiment.initial_network()
    adversary = Adversary(experiment.ball.with_radius(radius),
                          {"one_step": Ascent(config.ascent_size)}) if radius else None
    behind = [0]  # the last recorded step at which v was not below u

    def after_step(step: int, loss: float) -> None:
        if step % config.record_every == 0 or step == config.one_step_steps:
            learned = correlations(network, experiment.data)
            if learned["v"] >= learned["u"]:
                behind[0] = step

    try:
        train(network, experiment.batches, learning_rate=config.learning_rate, start=0,
              stop=config.one_step_steps, seed=config.seed, adversary=adversary,
              after_step=after_step)
    except Diverged:  # an answer as well: nothing is learned at this radius
        return np.full(len(COLUMNS), np.nan), np.full((2, 2), np.nan)
    data, test = experiment.data, experiment.test_set
    overtaken = (np.nan if behind[0] == config.one_step_steps
                 else behind[0] + config.record_every)
    shares = [float(np.mean(network.margins(X, test.y) > 0.0)) for X in (
        test.X, data.robust_only(test.X), data.nonrobust_only(test.X))]
    learned = of_classes(network.weights, data.robust_features, data.nonrobust_features)
    u, v = learned["u"], learned["v"]
    return (np.array([u.mean(), v.mean(), overtaken, *shares]),
            np.array([[one.min(), one.max()] for one in (u, v)]))


def overtaken_from(ratio: np.ndarray, spectrum: np.ndarray) -> float | None:
    """Return where u rises above v for good: by lines between the logarithms of u / v.

    Parameters
    ----------
    ratio : ndarray, shape (points,)
        epsilon / beta, rising.
    spectrum : ndarray, shape (points, columns)

    Returns
    -------
    float or None
        None where one of the two is above at every radius, or v at the last.
    """
    u, v = (np.maximum(spectrum[:, COLUMNS.index(name)], np.finfo(float).tiny)
            for name in ("u", "v"))
    lead = np.log(u / v)
    below = np.flatnonzero(~(lead > 0.0))  # NaN, where the training diverged, is not above
    if len(below) == 0 or below[-1] == len(ratio) - 1:
        return None
    last = int(below[-1])
    share = -lead[last] / (lead[last + 1] - lead[last]) if np.isfinite(lead[last]) else 0.5
    return float(ratio[last] + share * (ratio[last + 1] - ratio[last]))
