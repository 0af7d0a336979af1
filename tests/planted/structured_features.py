"""Networks of the patch model written down instead of trained, measured by a run's own evaluation.

Races follow a transition that is written down too.
"""

import numpy as np

from simulator.experiments import config_of, preset
from simulator.experiments.structured_features.experiment import StructuredExperiment, correlations
from simulator.experiments.structured_features.races import kappas
from simulator.experiments.structured_features.spectrum import radii
from simulator.experiments.structured_features.summary import accuracies
from simulator.experiments.structured_features.summary import spectrum_run as made
from theory.claim import Run

SEEDS = (0, 1, 2, 3, 4)  # Holm over six claims asks for five
SIZE = {"d": 12, "m": 8, "nonrobust_patches": 48, "alpha": 3.5, "rho": 2.0, "noise": 0.1,
        "test_samples": 100, "evaluation_chunk": 100, "attack_steps": 3, "certified_samples": 0,
        "multi_start_steps": 1, "pgd_steps": 0, "one_step_steps": 1, "threads": 1}


def standard_weights(run):
    """Each class reads its non-robust feature, and next to nothing of the robust one."""
    weights = run.initial_network().weights.copy()
    weights[:, 0] += 0.7 * run.data.nonrobust_features
    return weights


def robust_weights(run):
    """Each class reads its robust feature, inhibited by the other one's non-robust feature."""
    V = run.data.nonrobust_features
    weights = run.initial_network().weights.copy()
    weights[:, 0] += run.data.robust_features - V[::-1]
    return weights


def overtaking(start, at=5, last=10):
    """A one-step training in which v is learned at once and u overtakes it at step 10 ``at``."""
    rows = [{"training": "one_step", "step": 0, "loss": 0.7, **start}]
    return rows + [{"training": "one_step", "step": 10 * step, "loss": 0.1, "v": 0.7,
                    "u": 1.4 if step >= at else 0.1, "against_v": 0.0}
                   for step in range(1, last + 1)]


def planted_run(seed, standard=standard_weights, adversarial=robust_weights, crossing=None,
                one_step=None, **changes):
    """A run with written-down weights for each training, measured as always."""
    config = config_of(preset("smoke", "patches") | SIZE | {"seed": seed} | changes)
    run = StructuredExperiment(config)
    start = correlations(run.initial_network(), run.data)
    summary, arrays = {"kappa": config.kappa, "tau": config.epsilon}, {}
    for name, weights in (("standard", standard(run)), ("one_step", (one_step or standard)(run)),
                          ("multi_start", adversarial(run))):
        network = run.network(weights)
        found = run.attack(network)
        arrays |= {f"{part}_{name}": found[part] for part in ("parts", "along_v")}
        summary[name] = correlations(network, run.data) | accuracies(found)
        arrays[f"weights_{name}"] = weights
    history = [{"training": "standard", "step": 0, "loss": 0.7, **start}]
    history += overtaking(start) if crossing is None else crossing(start)
    return Run(config, summary, history, arrays)


def racing_run(seed, midpoint=1.0, width=0.25, noise=0.0, **changes):
    """Races whose outcomes follow a planted transition; starts to match."""
    config = config_of(preset("transition", "patches") | {
        "seed": seed, "races": 20, "name": "transition-a"} | changes)
    rng = np.random.default_rng(seed)
    kappa = kappas(config)
    share = 1.0 / (1.0 + np.exp(-np.log(kappa / midpoint) / width))
    share = (1.0 - noise) * share + 0.5 * noise
    wins = rng.random((len(kappa), config.races, 2)) < share[:, None, None]
    races = np.ones((*wins.shape, 4))
    races[..., 0] += ~wins
    races[..., 1] += wins
    races[..., 3] = np.exp(width * rng.logistic(size=wins.shape))
    return Run(config, {}, [], {"kappas": kappa, "races": races})


def spectrum_run(seed, change=0.9, steep=8.0, **changes):
    """Trainings at nine radii: u over v follows a planted curve in epsilon / beta."""
    config = config_of(preset("spectrum", "patches") | {"seed": seed} | changes)
    rng = np.random.default_rng(seed)
    ratio = radii(config) / config.beta
    lead = steep * (ratio - change) + 0.05 * rng.standard_normal(len(ratio))
    u = 0.7 * np.exp(np.clip(lead, -3.0, 0.8))
    spectrum = np.column_stack([u, np.full_like(u, 0.7), *np.full((4, len(u)), 1.0)])
    return made(config, spectrum)
