"""Which sizes a statement speaks about, and which assumption the others break.

The theorem of Allen-Zhu & Li (arXiv 2005.10190) is about ``d^(1/3) << k << d^(1/2)`` and
``m = d^(1+c)`` with d sufficiently large. At finite d the "<<" become "<=", and what the proof
derives before it comes to a statement (that training has found the features) is checked on the
run itself. The lower bound on k makes the dense mixtures outweigh what else an attacker can use:
the claims about perturbations (A3, A4, A5, A7, A8, A9) assume it, those about training (A1, A2, A6)
do not use it. A size is left out as a whole if any of its seeds breaks an assumption: leaving out
single seeds would select the luckier ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.experiments.feature_purification.experiment import Simulation
from simulator.randomness import Role, stream
from theory.claim import Assumption, Claim, Run, Size

__all__ = ["ABOVE_CUBE_ROOT", "BELOW_SQUARE_ROOT", "COVERED", "EUCLIDEAN", "FRESH_SAMPLES",
           "LEARNED", "MORE_NEURONS", "PURIFIED", "Regime", "by_size", "expected_active",
           "largest_family", "same_seeds", "typical_margin", "universal_shift", "within"]

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


@dataclass(frozen=True)
class Regime:
    """The runs a claim speaks about.

    Attributes
    ----------
    runs : tuple of Run
        Inside.
    broken : dict of Size to tuple of str
        Names of the assumptions broken at each size that was left out.
    """

    runs: tuple[Run, ...]
    broken: dict[Size, tuple[str, ...]]

    @property
    def caveats(self) -> list[str]:
        """One line for each set of broken assumptions: where, and which."""
        sizes: dict[tuple[str, ...], list[Size]] = {}
        for size, names in self.broken.items():
            sizes.setdefault(names, []).append(size)
        return [f"left out {_listed(places)}: not fulfilled: {'; '.join(names)}"
                for names, places in sizes.items()]


def within(claim: Claim, runs: Sequence[Run]) -> Regime:
    """Split runs into those a claim speaks about and the sizes where it says nothing.

    A number that is not there (NaN, or a measurement the summary lacks) fulfils nothing.
    """
    broken: dict[Size, tuple[str, ...]] = {}
    inside: list[Run] = []
    for size, members in by_size(runs).items():
        names = tuple(assumption.name for assumption in claim.assumptions
                      if not all(assumption.fulfilled(run) for run in members))
        if names:
            broken[size] = names
        else:
            inside += members
    return Regime(tuple(inside), broken)


def by_size(runs: Sequence[Run]) -> dict[Size, list[Run]]:
    """Group runs by size, in order of size and then of seed.

    Raises
    ------
    ValueError
        Two runs of one size and seed: they would count as two seeds.
    """
    groups: dict[Size, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.size, run.config.seed)):
        group = groups.setdefault(run.size, [])
        if group and group[-1].config.seed == run.config.seed:
            raise ValueError(f"seed {run.config.seed} at {run.size.family} {run.size}: expected "
                             "one run, got several: repeats of a seed are no new evidence")
        group.append(run)
    return groups


def same_seeds(runs: Sequence[Run]) -> dict[Size, list[Run]]:
    """Group by size, with only the seeds that every size has: a fit per seed needs all."""
    groups = by_size(runs)
    if not groups:
        return {}
    common = set.intersection(*({run.config.seed for run in group}
                                for group in groups.values()))
    return {size: [run for run in group if run.config.seed in common]
            for size, group in groups.items()}


def largest_family(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Return the runs of the family with the most sizes, and a caveat about the others.

    Sizes of two families differ in more than d and k: no exponent runs through both.
    """
    sizes = sorted({run.size for run in runs})
    families = sorted({size.family for size in sizes},
                      key=lambda name: (-sum(size.family == name for size in sizes), name))
    if not families:
        return [], []
    left = [f"the exponent is that of the {families[0]} runs; {', '.join(families[1:])} runs "
            "have other constants"] if len(families) > 1 else []
    return [run for run in runs if run.config.name == families[0]], left


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
    data = Simulation(run.config).data
    codes = data.sample(MARGIN_SAMPLES, stream(run.config.seed, Role.CALIBRATION)).codes
    return float(np.median(np.abs(codes @ data.signs)))


def _listed(sizes: Sequence[Size]) -> str:
    families: dict[str, list[str]] = {}
    for size in sizes:
        families.setdefault(size.family, []).append(str(size))
    return "; ".join(f"{name} {', '.join(places)}" for name, places in families.items())
