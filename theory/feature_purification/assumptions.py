"""What the claims of Allen-Zhu & Li (arXiv 2005.10190) assume, checked on a run.

The theorem is about ``d^(1/3) << k << d^(1/2)`` and ``m = d^(1+c)`` with d sufficiently large. At
finite d the "<<" become "<=", and what the proof derives before it comes to a statement (that
training has found the features) is checked on the run itself. The lower bound on k makes the dense
mixtures outweigh what else an attacker can use: the claims about perturbations (A3, A4, A5, A7, A8,
A9) assume it, those about training (A1, A2, A6) do not use it.
"""

import math

import numpy as np

from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.randomness import Role, stream
from theory.claim import Assumption, Run

__all__ = ["ABOVE_CUBE_ROOT", "BELOW_SQUARE_ROOT", "COVERED", "EUCLIDEAN", "FRESH_SAMPLES",
           "LEARNED", "MORE_NEURONS", "PURIFIED", "expected_active", "typical_margin",
           "universal_shift"]

MARGIN_SAMPLES = 2000

BELOW_SQUARE_ROOT = Assumption("k is at most sqrt(d)",
                               lambda run: run.config.k**2 <= run.config.d)
ABOVE_CUBE_ROOT = Assumption("k is at least d^(1/3)",
                             lambda run: run.config.k**3 >= run.config.d)
# About a fifth of the neurons win a feature, so a share exp(-m / 5d) of the features is left
# without one: less than 5 % from m = 15 d on. A reading of "m = d^(1+c)".
MORE_NEURONS = Assumption("there are many more neurons than features (m >= 15 d)",
                          lambda run: run.config.m >= 15 * run.config.d)
FRESH_SAMPLES = Assumption("training sees fresh samples (the population gradient)",
                           lambda run: run.config.training_samples == 0)
EUCLIDEAN = Assumption("perturbations are measured in l2", lambda run: run.config.norm == "l2")
LEARNED = Assumption("the clean network is right on 95 % of the test samples",
                     lambda run: run.summary["clean"]["accuracy"] >= 0.95)
COVERED = Assumption("99 % of the features have a neuron after clean training",
                     lambda run: run.summary["clean"]["coverage"] >= 0.99)
PURIFIED = Assumption("there was an adversarial phase, at a positive radius",
                      lambda run: run.config.adversarial_steps > 0 and run.config.tau > 0.0)


def expected_active(run: Run) -> float:
    """Features that are on in an input, ``c_strong + c_weak k``."""
    return float(run.summary["p"] * run.config.d)


def universal_shift(run: Run) -> float:
    """How far the universal direction of length tau moves ``<w*, z>`` as the network sees it.

    A reading: with mixtures of ratio r, each of the ``a = P(gate open) d`` features whose neurons
    fire adds ``r <w*, z>`` to its own coordinate, so ``f ~ (1 + a r) <w*, z>``, of which the
    direction, along which only the mixtures lie, moves the part ``a r``, by ``tau sqrt(d)``. For
    large a r this is the linear classifier ``sign <w*, z>``.
    """
    clean = run.summary["clean"]
    weight = clean["gate_rate"] * run.config.d * max(clean["mixture_ratio"], 0.0)
    return weight / (1.0 + weight) * run.config.tau * math.sqrt(run.config.d)


def typical_margin(run: Run) -> float:
    """Median of ``|<w*, z>|`` over fresh samples.

    The universal direction takes half of the samples across if it moves them by this much.
    """
    data = PurificationExperiment(run.config).data
    codes = data.sample(MARGIN_SAMPLES, stream(run.config.seed, Role.CALIBRATION)).codes
    return float(np.median(np.abs(codes @ data.signs)))
