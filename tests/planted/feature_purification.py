"""Runs with a planted truth: networks written down instead of trained, measured as always.

A planted neuron is ``w = e_j + r sum_{j' != j} w*_j' e_j'``: its feature and a dense mixture of
ratio r. Summaries come from the simulator's own evaluation of those weights, so a claim sees
what it would see in a real run.
"""

import itertools
import math

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.suites import quick_attacks
from simulator.attacks.worst_case import worst_case
from simulator.experiments import preset
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.experiments.feature_purification.low_rank import train_low_rank
from simulator.experiments.feature_purification.measured import attacked, linear_radii
from simulator.experiments.records import from_text, unheard
from simulator.features import decompose, purification
from simulator.low_complexity import RADII
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.robustness.critical_radius import critical_radius
from theory.claim import Run
from theory.feature_purification import phase_picture

BIAS = 0.1
SHOWN = 30
SEEDS = (0, 1, 2)
WEAK = {"linear": (0.3, 0.2, 0.1, 0.1, 0.0), "degree 3": (0.6, 0.5, 0.4, 0.3, 0.2)}
PURIFIED = (0.9, 0.8, 0.7, 0.5, 0.4)  # certified: the comparison is at 1.5 tau


def evaluated(experiment, network):
    """What the stages of a run measure of a network without certificates, in one go."""
    radius = critical_radius(network, experiment.test_set, experiment.adversary, tolerance=0.04)
    return attacked(experiment, network) | {"r50": radius.value,
                                            "r50_tolerance": radius.tolerance}


def planted_config(d, k, seed, **changes):
    """Settings in the regime of every claim, with a test set that is quick to attack."""
    return PurificationConfig.from_settings(preset("lottery") | {
        "bracket_samples": 0,  # certificates take longer than all else; none is planted
        "d": d, "k": k, "seed": seed, "m": "2*d", "c_weak": 1.0, "noise": 0.05,
        "test_samples": 100, "evaluation_chunk": 100, "threads": 1} | changes)


def planted_weights(d, ratio, seed):
    """Two neurons a feature with a mixture of the given ratio, a little noise in all of it."""
    rng = np.random.default_rng(seed)
    weights = np.tile((1.0 - ratio) * np.eye(d) + ratio, (2, 1))
    return weights + 0.002 * rng.standard_normal(weights.shape)


def lottery_weights(config, ratio):
    """Each feature grown in the neuron that starts with most of it; the others only decayed."""
    start = PurificationExperiment(config).initial_weights()
    weights = 0.1 * start
    features = (1.0 - ratio) * np.eye(config.d) + ratio
    free = np.ones(len(start), bool)
    for feature in range(config.d):
        winner = int(np.argmax(free * start[:, feature]))
        free[winner] = False
        weights[winner] = start[winner] + features[feature]
    return weights


def planted_run(d, k, seed, before=0.25, after=0.01, weights=None, **changes):
    """Return a Run whose clean and robust networks have these mixture ratios.

    ``weights`` gives both weight matrices instead.
    """
    config = planted_config(d, k, seed, **changes)
    simulation = PurificationExperiment(config)
    simulation.adversary = Adversary(  # what is planted needs no strong attack to be seen
        simulation.ball, quick_attacks(simulation.data.dense_direction), seed=seed)
    clean, robust = weights or (planted_weights(d, before, seed), planted_weights(d, after, seed))
    labeler = simulation.data.signs
    summary = {"p": simulation.data.activation_probability, "tau": config.tau,
               "linear_r50": float(np.median(linear_radii(simulation)))}
    arrays = {"bias": np.array(BIAS), "labeler": labeler, "weights_clean": clean,
              "weights_adversarial": robust, "labels": simulation.test_set.y[:SHOWN]}
    for phase, matrix in (("clean", clean), ("adversarial", robust)):
        network = SymmetricReLU(matrix, BIAS)
        summary[phase] = evaluated(simulation, network)
        test = simulation.test_set
        arrays[f"perturbation_{phase}"] = worst_case(network, test[:SHOWN],
                                                     simulation.adversary).delta
    marked = decompose(clean, None, labeler).is_feature_neuron
    history = [{"step": 0, "phase": "adversarial", **purification(clean, robust, marked)}]
    return Run(config, summary, history, arrays)


def through_low_rank(run, steps=100):
    """The run trained through updates of rank 1 and d/10 too, from its planted clean network."""
    config = run.config.with_(low_rank=math.ceil(run.config.d / 10), adversarial_steps=4 * steps,
                              batch_size=200)
    simulation = PurificationExperiment(config)
    simulation.adversary = Adversary(
        simulation.ball, quick_attacks(simulation.data.dense_direction), seed=config.seed)
    done = {"clean": {"weights": run.arrays["weights_clean"], "bias": run.arrays["bias"]}}
    table = []
    for rank in (1, config.low_rank):
        arrays = train_low_rank(simulation, rank, done, None, unheard)
        network = simulation.network(arrays["weights"], float(arrays["bias"]))
        table.append(from_text(arrays["update"]) | attacked(simulation, network))
    return Run(config, dict(run.summary) | {"low_rank": table}, run.history, run.arrays)


def changed(run, summary=None, arrays=None, **phases):
    """Return the run with some entries of its summary, of a phase or of its arrays replaced."""
    new = dict(run.summary) | (summary or {})
    for phase, entries in phases.items():
        new[phase] = dict(new[phase]) | entries
    return Run(run.config, new, run.history, dict(run.arrays) | (arrays or {}))


def bracketed(run, clean, adversarial):
    """Return the run with brackets at tau: (certified, attacked) of each network."""
    def entry(values):
        return [{"radius": run.config.tau, "certified": values[0], "attacked": values[1],
                 "low": values[0] - 0.03, "high": values[1] + 0.03, "samples": 100}]
    return changed(run, clean={"bracket": entry(clean)},
                   adversarial={"bracket": entry(adversarial)})


def mixture_runs(rng, exponent=1.0, noise=0.03, seeds=3, constant=1.0,
                 sizes=((64, 4), (64, 8), (128, 4), (128, 8), (256, 4), (256, 8)),
                 norm=(1.0, -0.5), quantile=0.0, largest=0.0, misaligned=1.0, worse=-0.5):
    """Return runs with nothing but mixtures, log-normal.

    Their ratio is ``constant p^exponent``, their norm ``s^norm[0] d^norm[1]`` of s features on,
    their quantile and largest coefficient ``2 p`` and ``4 p`` times ``(d/64)`` to the power of
    that name, and ``1 - alignment = .1 misaligned (d/64)^worse``.
    """
    runs = []
    for seed in range(seeds):
        for d, k in sizes:
            config = planted_config(d, k, seed, m="15*d")
            p = (config.c_strong + config.c_weak * k) / d
            ratio = constant * p**exponent * np.exp(noise * rng.standard_normal())
            scatter = np.exp(noise * rng.standard_normal(4))
            mixtures = {"several": 0.1, "many": 0.0, "rest": 0.02,
                        "norm": (p * d)**norm[0] * d**norm[1] * scatter[0],
                        "quantile": 2.0 * p * (d / 64.0)**quantile * scatter[1],
                        "largest": 4.0 * p * (d / 64.0)**largest * scatter[2],
                        "alignment": 1.0 - 0.1 * misaligned * (d / 64.0)**worse * scatter[3]}
            summary = {"p": p, "tau": config.tau, "clean": {
                "accuracy": 1.0, "coverage": 1.0, "mixture_ratio": ratio,
                "mixtures": mixtures}}
            runs.append(Run(config, summary, [], {}))
    return runs


def phase_runs(rng, exponent=phase_picture.reading, noise=0.02, seeds=3, sizes=(64, 128, 256, 512),
               powers=phase_picture.POWERS):
    """Return runs with nothing but critical radii: ``d^exponent(network, a)``, log-normal."""
    runs = []
    for seed, d, power in itertools.product(range(seeds), sizes, powers):
        config = planted_config(d, round(d**power), seed, m="15*d", c_weak=0.5)
        radii = {network: d**exponent(network, power) * np.exp(noise * rng.standard_normal())
                 for network in ("linear", "clean", "adversarial")}
        summary = {"p": (config.c_strong + config.c_weak * config.k) / d, "tau": config.tau,
                   "linear_r50": radii["linear"],
                   **{phase: {"accuracy": 1.0, "coverage": 1.0, "r50": radii[phase]}
                      for phase in ("clean", "adversarial")}}
        runs.append(Run(config, summary, [], {}))
    return runs


def learner_runs(certified=PURIFIED, attacked=None, seeds=3, d=64, k=4, tail=None, **changes):
    """Return runs with a certified accuracy at each radius and the best of each learner.

    The data are such that strong features decide less than half of the labels. ``certified`` is
    that of the bracket, of 20 samples; ``tail`` certified radii of samples, in units of tau.
    """
    attacked = WEAK if attacked is None else attacked
    runs = []
    for seed in range(seeds):
        config = planted_config(d, k, seed, **({"weak_high": 2.0} | changes))
        radii = [share * config.tau for share in RADII]
        shift = 0.01 * (seed - 1)  # seeds differ
        table = [{"learner": name, "training": training, "accuracy": [1.0] * len(RADII),
                  "attacked": [max(0.0, value + shift - worse) for value in values],
                  "best": [""] * len(RADII)} for name, values in attacked.items()
                 for training, worse in (("clean", 0.1), ("adversarial", 0.0))]
        bracket = [{"radius": radius, "certified": value, "attacked": value, "samples": 20}
                   for radius, value in zip(radii, certified)]
        summary = {"tau": config.tau, "clean": {"accuracy": 1.0},
                   "adversarial": {"bracket": bracket},
                   "learners": {"radii": radii, "table": table}}
        if tail is not None:
            summary["adversarial"]["certified_tail"] = {"samples": len(tail), "at_tau": 1.0}
        runs.append(Run(config, summary, [],
                        {} if tail is None else {"certified_radii": config.tau * tail}))
    return runs


def window_runs(rng, clean=0.5, robust=0.8, certified=0.75, noise=0.02, seeds=3, samples=300,
                sizes=((100, 5), (200, 7), (400, 9), (800, 11)), widening=0.0, learner=None,
                **at_tau):
    """Return runs with nothing but a window: r01 of the clean network, r99 of the robust one.

    In units of 1/sqrt(k), the robust radii ``(d/100)^widening`` times as large; ``samples`` are
    certified. ``at_tau`` replaces the accuracies at tau, which is .6/sqrt(k).
    """
    shares = {"accuracy": 1.0, "attacked": 0.001, "certified": 0.999, "held": 0.999} | at_tau
    runs = []
    for seed, (d, k) in itertools.product(range(seeds), sizes):
        config = planted_config(d, k, seed, m="3*d", tau="0.6/sqrt(k)", bracket_samples=samples,
                                test_samples=1000, name="window")
        unit, wide = np.exp(noise * rng.standard_normal(2)) / np.sqrt(k)
        wide *= (d / 100.0)**widening
        near = {f"{name}{end}": value * share for name, value in (("r01", clean * unit),)
                for end, share in (("", 1.0), ("_low", 0.95), ("_high", 1.05))}
        far = {f"r99{end}": robust * wide * share
               for end, share in (("", 1.0), ("_low", 0.95), ("_high", 1.05))}
        bracket = [{"radius": config.tau, "certified": shares["certified"],
                    "attacked": shares["held"], "samples": samples}] if samples else []
        summary = {"p": 0.05, "tau": config.tau,
                   "clean": {"accuracy": shares["accuracy"], "r99": 0.1 * unit, **near,
                             "attacked_accuracy": shares["attacked"]},
                   "adversarial": {"accuracy": 1.0, "r01": 2.0 * wide, **far, "bracket": bracket,
                                   "attacked_accuracy": shares["held"],
                                   "r99_certified": certified * wide}}
        if learner is not None:
            summary["learners"] = {"radii": [config.tau, 1.5 * config.tau], "table": [
                {"learner": "linear", "training": "clean", "attacked": [learner, 0.0]},
                {"learner": "degree 3", "training": "adversarial",
                 "attacked": [0.9 * learner, 0.0]}]}
        runs.append(Run(config, summary, [], {}))
    return runs


def won_run(d, k, seed, by="start", luck=0.2):
    """A run whose winners, a tenth of the neurons each with one feature, are chosen by ``by``.

    "start": the largest ``w*_j <w_i(0), M_j>``, all but a share ``luck`` of them; "wrong sign":
    the smallest; "chance": any.
    """
    config = planted_config(d, k, seed, m="15*d", labeler="signs")
    experiment = PurificationExperiment(config)
    rng = np.random.default_rng(seed + 1)
    start, signs = experiment.initial_weights(), experiment.data.signs
    scores = start * signs * {"start": 1.0, "wrong sign": -1.0, "chance": 0.0}[by]
    scores = scores + 1e-9 * rng.standard_normal(scores.shape)
    best = scores.max(axis=1)
    chosen = np.argsort(-best)[:len(start) // 10]
    lucky = rng.random(len(chosen)) < luck
    feature = np.where(lucky, rng.integers(0, d, len(chosen)), scores[chosen].argmax(axis=1))
    weights = 0.1 * start
    weights[chosen, feature] += signs[feature]
    summary = {"p": experiment.data.activation_probability, "tau": config.tau,
               "clean": {"accuracy": 1.0}}
    return Run(config, summary, [], {"weights_clean": weights, "labeler": signs})
