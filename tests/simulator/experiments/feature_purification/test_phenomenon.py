"""The phenomenon at the sizes of the presets: slow, and attacked with all steps."""

from functools import cache

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.suites import strong_attacks
from simulator.experiments import preset
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.run import simulate
from simulator.robustness.bracket import bracket

from small import small_config


@pytest.mark.slow
def test_training_in_a_random_dictionary_gives_the_statistics_of_the_identity():
    """The run is rotation-equivariant in law: accuracies of the two agree up to sampling."""
    plain = simulate(small_config(clean_steps=150, adversarial_steps=0, test_samples=400))
    turned = simulate(small_config(clean_steps=150, adversarial_steps=0, test_samples=400,
                                   dictionary="random"))
    # two independent samples of 400: five standard errors of a difference near p = 1/2
    assert abs(plain.summary["clean"]["accuracy"]
               - turned.summary["clean"]["accuracy"]) < 5 * np.sqrt(2 * 0.25 / 400)


@cache
def desk(seed):
    """A run of the preset, simulated once for all that is asked of it."""
    return simulate(PurificationConfig.from_settings(preset("desk") | {"seed": seed}))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_desk_shows_the_phenomenon(seed):
    """The figures the README states, with room for the seed."""
    summary = desk(seed).summary
    clean, robust = summary["clean"], summary["adversarial"]
    assert clean["accuracy"] >= 0.99
    assert clean["universal_accuracy"] <= 0.35
    assert robust["universal_accuracy"] >= 0.97
    assert clean["mixture_ratio"] >= 5 * robust["mixture_ratio"]
    assert robust["r50"] >= 2 * clean["r50"]


@pytest.mark.slow
def test_lottery_mixtures_have_the_size_of_the_sparsity():
    """Mixture ratio within a factor 1.5 of p after clean training, at least 5x less after."""
    summary = simulate(PurificationConfig.from_settings(preset("lottery"))).summary
    clean, robust = summary["clean"], summary["adversarial"]
    assert 1 / 1.5 <= clean["mixture_ratio"] / summary["p"] <= 1.5
    assert clean["coverage"] >= 0.99 and clean["purity"] >= 0.75
    assert clean["mixture_ratio"] >= 5 * robust["mixture_ratio"]
    assert min(clean["accuracy"], robust["accuracy"]) >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_lottery_is_certified_after_adversarial_training(seed):
    """At (64, 4): at least 0.95 at 0.15 and 0.60 at 0.20, bracket closed to 0.15."""
    config = PurificationConfig.from_settings(
        preset("lottery") | {"d": 64, "k": 4, "seed": seed, "bracket_nodes": 100})
    rows = {row["radius"]: row for row in simulate(config).summary["adversarial"]["bracket"]}
    assert rows[0.15]["certified"] >= 0.95
    assert rows[0.20]["certified"] >= 0.60
    assert rows[0.20]["attacked"] - rows[0.20]["certified"] <= 0.15


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_one_radius_breaks_the_clean_network_and_is_certified_for_the_robust_one(seed):
    """``desk`` at radius 0.14, with the bracket of the clean network closed below its r50."""
    result = desk(seed)
    simulation = result.config.experiment()
    few = simulation.test_set[:200]
    adversary = Adversary(simulation.ball, simulation.attacks, seed=seed,
                          strong=strong_attacks(simulation.data.dense_direction))
    found = {}
    for phase in ("clean", "adversarial"):
        network = simulation.network(result.arrays[f"weights_{phase}"],
                                     float(result.arrays["bias"]))
        found[phase] = bracket(network, few, adversary, radii=[0.05, 0.08, 0.10, 0.12, 0.14])
    assert found["adversarial"][-1].certified >= 0.9
    assert found["clean"][-1].attacked <= 0.5
    for below in found["clean"][:-1]:
        assert below.width <= 0.02
