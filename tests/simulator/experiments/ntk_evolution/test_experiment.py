"""The kernel run: its stages, what they store, and that they are the one loop's work."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.data.batches import FreshBatches
from simulator.experiments import preset
from simulator.experiments.ntk_evolution.config import NTKConfig
from simulator.experiments.ntk_evolution.experiment import DATA, MODES, NTKExperiment
from simulator.experiments.ntk_evolution.run import check, cost, simulate
from simulator.experiments.ntk_evolution.summary import frozen_trainings
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.measures import distance
from simulator.randomness import Role, stream
from simulator.training import train
from theory import claims
from theory.plans import settings_of

SMALL = {"d": 16, "k": 2, "m": 40, "batch_size": 60, "steps": 20, "record_every": 5,
         "freeze_every": 10, "frozen_steps": 4, "probe_samples": 40, "spectrum_samples": 50,
         "test_samples": 30, "evaluation_chunk": 30}


def small_config(**changes):
    return NTKConfig.from_settings(preset("smoke", "ntk") | SMALL | changes)


@pytest.fixture(scope="module")
def finished():
    """(config, result) of a small run."""
    config = small_config()
    return config, simulate(config)


def test_every_preset_and_plan_is_a_config():
    for settings in (preset("desk", "ntk"), preset("smoke", "ntk"),
                     *settings_of(claims("ntk"), "paper", paper="ntk")):
        check(NTKConfig.from_settings(settings))


def test_phase_one_is_the_one_loop_on_fresh_samples(finished):
    config, result = finished
    data = NTKExperiment(config).data
    for mode in MODES:
        network = SymmetricReLU.initialise(config.m, config.d, config.init_scale,
                                           stream(config.seed, Role.INITIALISATION),
                                           bias=config.bias)
        adversary = None if mode == "clean" else Adversary(NTKExperiment(config).ball, FGM())
        train(network, FreshBatches(data, config.batch_size, config.seed),
              learning_rate=config.learning_rate, steps=config.steps,
              weight_decay=config.weight_decay, seed=config.seed, adversary=adversary)
        assert np.array_equal(result.arrays[f"weights_{mode}"][-1], network.weights)


def test_phase_two_is_the_one_loop_on_the_frozen_kernel(finished):
    config, result = finished
    simulation = NTKExperiment(config)
    network = LinearizedReLU(simulation.network(result.arrays["weights_adversarial"][1]), True)
    train(network, FreshBatches(simulation.data, config.batch_size, config.seed),
          learning_rate=config.frozen_learning_rate, start=config.steps,
          steps=config.frozen_steps, weight_decay=config.frozen_weight_decay, seed=config.seed)
    row, = (row for row in result.summary["frozen"] if row["mode"] == "adversarial"
            and row["time"] == 10 and row["centred"] and row["data"] == "benign")
    measured = simulation.evaluate(network)
    assert {name: row[name] for name in measured} == measured


def test_the_history_says_how_the_kernel_moved(finished):
    config, result = finished
    simulation = NTKExperiment(config)
    assert len(result.history.rows()) == 4 * (config.steps // config.record_every + 1)
    assert list(result.history.rows()[0]) == [
        "mode", "run", "step", "loss", "accuracy", "fgm_accuracy", "velocity",
        "distance_from_start", "effective_rank", "participation", "alignment",
        "centred_alignment", "distance_to_pure", "distance_to_linear", "gate_rate"]
    for mode in MODES:
        kernels = [simulation.kernel(weights) for weights in result.arrays[f"weights_{mode}"]]
        rows = {row["step"]: row for row in result.history.rows() if row["mode"] == mode
                and row["run"] == 1}
        for step, kernel in zip(config.freeze_times, kernels):
            assert rows[step]["distance_from_start"] == pytest.approx(
                distance(kernels[0], kernel), abs=1e-14)
        assert all(rows[step]["velocity"] >= 0.0 for step in rows if step)
        assert np.isnan(rows[0]["velocity"])


def test_distances_are_those_between_and_within(finished):
    config, result = finished
    moved = result.arrays["distances"]
    times = len(config.freeze_times)
    assert moved.shape == (4, times, 4, times)
    square = moved.reshape(4 * times, 4 * times)
    assert np.allclose(square, square.T, atol=1e-15)
    assert moved[0, 0, 1, 0] == pytest.approx(0.0, abs=1e-14)  # both modes start alike
    assert moved[0, 0, 2, 0] > 1e-3  # the second pair does not
    simulation = NTKExperiment(config)
    last = [simulation.kernel(result.arrays[f"weights_{mode}"][-1]) for mode in MODES]
    assert result.summary["between"] == pytest.approx(distance(*last), abs=1e-14)
    assert result.summary["within_clean"] == moved[0, -1, 2, -1]
    assert result.summary["within_adversarial"] == moved[1, -1, 3, -1]


def test_phase_two_has_every_combination_once(finished):
    config, result = finished
    rows = [(row["mode"], row["time"], row["centred"], row["data"])
            for row in result.summary["frozen"]]
    assert sorted(rows) == sorted((mode, time, centred, data) for mode in MODES
                                  for time in config.freeze_times for centred in (0, 1)
                                  for data in DATA)
    assert all(0.0 <= row["attacked_accuracy"] <= row["plain_attacked_accuracy"]
               <= row["accuracy"] <= 1.0 for row in result.summary["frozen"])


def test_the_cost_grows_with_what_it_is_made_of():
    small, config = cost(small_config()), small_config()
    assert cost(small_config(m=80)).training_flops == pytest.approx(2 * small.training_flops)
    assert cost(small_config(test_samples=60)).evaluation_flops == pytest.approx(
        2 * small.evaluation_flops)
    assert cost(small_config(probe_samples=2000)).memory > small.memory + 2000**2 * 8 * 10
    assert small.steps == 4 * config.steps + 5 * 6 * config.frozen_steps


def test_both_kinds_of_training_share_the_kernel_of_the_start():
    config = small_config()
    frozen = frozen_trainings(config)
    assert len(frozen) == len({entry.stage for entry in frozen}) == 5 * 2 * 3
    assert [entry.mode for entry in frozen if entry.time == 0] == ["clean"] * 6


def test_bad_settings_are_told():
    with pytest.raises(ValueError, match="freeze_every: expected a divisor of steps = 20, got 7"):
        small_config(freeze_every=7)
    with pytest.raises(ValueError, match="k: expected at most 16"):
        small_config(k=17)
    with pytest.raises(ValueError, match="bias: expected more than 0"):
        small_config(bias=0.0)
    with pytest.raises(ValueError, match="training_attack: expected one of fgm, pgd"):
        small_config(training_attack="apgd")
    with pytest.raises(ValueError, match="label_margin"):
        check(small_config(label_margin=50.0))
