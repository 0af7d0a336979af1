"""The kernel run: its stages, what they store, and that they are the one loop's work."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.data.batches import FreshBatches
from simulator.experiments import preset
from simulator.experiments.ntk_evolution.config import MODES as ALL
from simulator.experiments.ntk_evolution.config import SHORT as MODES
from simulator.experiments.ntk_evolution.config import NTKConfig
from simulator.experiments.ntk_evolution.experiment import SHORT_DATA, NTKExperiment
from simulator.experiments.ntk_evolution.run import check, cost, simulate
from simulator.experiments.ntk_evolution.summary import current, frozen_trainings, passing
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.measures import distance
from simulator.randomness import Role, stream
from simulator.runs.config import config_hash
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
            and row["time"] == 10 and row["dynamics"] == "centred" and row["data"] == "benign")
    measured = simulation.evaluate(network)
    assert {name: row[name] for name in measured} == measured


def test_the_history_says_how_the_kernel_moved(finished):
    config, result = finished
    simulation = NTKExperiment(config)
    assert len(result.history.rows()) == 4 * (config.steps // config.record_every + 1)
    assert list(result.history.rows()[0]) == [
        "mode", "run", "step", "loss", "loss_low", "loss_high", "accuracy", "fgm_accuracy",
        "velocity", "distance_from_start", "effective_rank", "participation", "alignment",
        "centred_alignment", "distance_to_pure", "distance_to_linear", "gate_rate",
        "distance_to_last"]
    low, high = result.history["loss_low"], result.history["loss_high"]
    assert (low <= result.history["loss"]).all() and (result.history["loss"] <= high).all()
    for mode in MODES:
        kernels = [simulation.kernel(weights) for weights in result.arrays[f"weights_{mode}"]]
        rows = {row["step"]: row for row in result.history.rows() if row["mode"] == mode
                and row["run"] == 1}
        for step, kernel in zip(config.freeze_times, kernels):
            assert rows[step]["distance_from_start"] == pytest.approx(
                distance(kernels[0], kernel), abs=1e-14)
            assert rows[step]["distance_to_last"] == pytest.approx(
                distance(kernel, kernels[-1]), abs=1e-6)  # they wait in float32
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
    rows = [(row["mode"], row["time"], row["dynamics"], row["data"])
            for row in result.summary["frozen"]]
    assert sorted(rows) == sorted((mode, time, dynamics, data) for mode in MODES
                                  for time in config.freeze_times
                                  for dynamics in ("centred", "uncentred") for data in SHORT_DATA)
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


# --- as published -------------------------------------------------------------------------


PUBLISHED = {"protocol": "published", "early_freezes": 2, "transfer_samples": 20}


@pytest.fixture(scope="module")
def published():
    """(config, result) of a small run with all trainings."""
    config = small_config(**PUBLISHED)
    return config, simulate(config)


def test_the_settings_of_before_name_the_same_folder():
    assert small_config(protocol="short", early_freezes=0, transfer_samples=0) == small_config()
    before = {name: value for name, value in small_config().to_dict().items()
              if name not in PUBLISHED}
    assert config_hash(NTKConfig.from_settings(before)) == config_hash(small_config())
    assert config_hash(small_config(**PUBLISHED)) != config_hash(small_config())


def test_checkpoints_are_dense_at_the_start_and_double_later():
    config = small_config(**PUBLISHED | {"steps": 80, "freeze_every": 10, "early_freezes": 3})
    assert config.regular_times == (0, 10, 20, 40, 80)
    assert config.freeze_times == (0, 1, 2, 5, 10, 20, 40, 80)
    assert small_config(steps=80, freeze_every=20).freeze_times == (0, 20, 40, 60, 80)


def test_more_trainings_change_none_that_there_were(finished, published):
    """Clean and adversarial trainings are the same, whatever else the run does."""
    (_, short), (config, result) = finished, published
    for mode in MODES:
        places = [config.freeze_times.index(time) for time in (0, 10, 20)]
        assert np.array_equal(result.arrays[f"weights_{mode}"][places],
                              short.arrays[f"weights_{mode}"])
        assert result.summary[mode] == short.summary[mode]
    rows = {(row["mode"], row["time"], row["dynamics"], row["data"]): row
            for row in result.summary["frozen"]}
    shared = [row for row in short.summary["frozen"]
              if (row["mode"], row["time"], row["dynamics"], row["data"]) in rows]
    assert len(shared) > 12
    for row in shared:
        assert rows[row["mode"], row["time"], row["dynamics"], row["data"]] == row


def test_a_mixed_training_takes_a_clean_and_an_adversarial_step_on_every_batch(published):
    config, result = published
    experiment = NTKExperiment(config)
    network, batches = experiment.initial_network(), experiment.batches()
    for step in range(config.steps):
        batch = batches.batch(step)
        network.gradient_step(batch.X, batch.y, config.learning_rate, config.weight_decay)
        delta = FGM().perturb(network, batch.X, batch.y, experiment.ball).delta
        network.gradient_step(batch.X + experiment.ball.project(delta), batch.y,
                              config.learning_rate, config.weight_decay)
    # within a training neurons without an open gate catch up with their decay: another last bit
    assert np.allclose(result.arrays["weights_mixed"][-1], network.weights, rtol=0, atol=1e-13)


def test_a_flip_is_clean_training_until_half_time(published):
    config, result = published
    place = config.freeze_times.index(config.flip_step)
    clean, flip = (result.arrays[f"weights_{mode}"] for mode in ("clean", "flip"))
    assert np.array_equal(clean[:place + 1], flip[:place + 1])
    assert not np.array_equal(clean[-1], flip[-1])
    experiment = NTKExperiment(config)
    network = experiment.network(flip[place].copy())
    train(network, experiment.batches(), learning_rate=config.learning_rate,
          start=config.flip_step, stop=config.steps, weight_decay=config.weight_decay,
          seed=config.seed, adversary=Adversary(experiment.ball, FGM()))
    assert np.array_equal(network.weights, flip[-1])


def test_the_full_dynamics_go_on_with_the_network_itself(published):
    config, result = published
    experiment = NTKExperiment(config)
    network = experiment.network(result.arrays["weights_clean"][
        config.freeze_times.index(10)].copy())
    train(network, experiment.batches(), learning_rate=config.learning_rate, start=config.steps,
          steps=config.frozen_steps, weight_decay=config.weight_decay, seed=config.seed)
    row, = (row for row in result.summary["frozen"]
            if (row["mode"], row["time"], row["dynamics"], row["data"])
            == ("clean", 10, "full", "benign"))
    measured = experiment.evaluate(network)
    assert {name: row[name] for name in measured} == measured


def test_examples_are_passed_on_from_every_network_to_every_other(published):
    config, result = published
    names = list(passing(config))
    assert {*ALL, "kernel of the start", "kernel of clean, 10", "kernel of mixed, 20",
            "linear"} <= set(names)
    rows = {(row["source"], row["target"]): row["accuracy"] for row in result.summary["transfer"]}
    assert len(rows) == len(result.summary["transfer"]) == (len(names) + 2) * len(names)
    experiment = NTKExperiment(config)
    few = experiment.test_set[:20]
    clean, mixed = (experiment.network(result.arrays[f"weights_{mode}"][-1])
                    for mode in ("clean", "mixed"))
    delta = experiment.examples.worst_case(clean, few).delta
    assert rows["clean", "mixed"] == np.mean(mixed.margins(few.X + delta, few.y) > 0.0)
    assert rows["none", "mixed"] == np.mean(mixed.margins(few.X, few.y) > 0.0)
    assert all(rows[name, name] <= rows["none", name] for name in names)


def test_what_the_eigenvectors_see_grows_to_all_there_is(published):
    config, result = published
    for name in ("start", *ALL):
        seen = result.arrays[f"seen_{name}"]
        assert seen.shape == (3, config.spectrum_samples)
        assert (np.diff(seen, axis=1) >= -1e-12).all()
        assert seen[:, -1] == pytest.approx(1.0)  # all eigenvectors span everything


def test_a_summary_of_before_is_read_in_todays_words():
    before = {"p": 0.1, "frozen": [{"time": 0, "centred": 1, "data": "benign"},
                                   {"time": 0, "centred": 0, "data": "benign"}]}
    assert current(before) == {"p": 0.1, "frozen": [
        {"time": 0, "dynamics": "centred", "data": "benign"},
        {"time": 0, "dynamics": "uncentred", "data": "benign"}]}
    assert current(current(before)) == current(before)


def test_bad_settings_of_the_published_protocol_are_told():
    with pytest.raises(ValueError, match="early_freezes: expected no more halves than"):
        small_config(early_freezes=4)
    with pytest.raises(ValueError, match="transfer_samples: expected at most 30"):
        small_config(transfer_samples=31)
    with pytest.raises(ValueError, match="protocol: expected one of short, published"):
        small_config(protocol="long")
