"""A patch run: its parts, its arrays, what is measured, and what is refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.paired import PairedPatchSearch
from simulator.balls import LinfBall
from simulator.data.patches import PatchData, random_features
from simulator.experiments import config_of, preset
from simulator.experiments.structured_features.config import TRAININGS
from simulator.experiments.structured_features.experiment import (StructuredExperiment, Training,
                                                                  correlations, parts_of)
from simulator.experiments.structured_features.run import certify, check, simulate, train_network
from simulator.experiments.structured_features.spectrum import COLUMNS, overtaken_from
from simulator.experiments.structured_features.summary import tables
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.runs.config import config_hash

SMALL = {"d": 20, "m": 8, "nonrobust_patches": 20, "alpha": 2.0, "learning_rate": 0.5,
         "standard_steps": 60, "one_step_steps": 30, "pgd_steps": 10, "multi_start_steps": 10,
         "test_samples": 20, "attack_steps": 2, "evaluation_chunk": 20, "certified_samples": 2,
         "certificate_boxes": 2, "threads": 1}


def small(**changes):
    return config_of(preset("smoke", "patches") | SMALL | changes)


@pytest.fixture(scope="module")
def result():
    return simulate(small())


# --- the run --------------------------------------------------------------------------------


def test_the_run_holds_every_training_under_every_attack(result):
    config = small()
    attacks = StructuredExperiment(config).attacks
    assert list(result.summary) == ["kappa", "tau", "certified_samples", *TRAININGS]
    assert result.summary["kappa"] == pytest.approx(20 * 0.98**3 / 8.0, rel=1e-12)
    for name in TRAININGS:
        numbers, arrays = result.summary[name], result.arrays
        margins = {key: arrays[f"margins_{name}_{key}"] for key in ("clean", *attacks)}
        strongest = arrays[f"margins_{name}_strongest"]
        assert np.array_equal(strongest, np.min(list(margins.values()), axis=0))
        for key, values in margins.items():
            assert numbers["accuracy" if key == "clean" else key] == np.mean(values > 0.0)
        assert numbers["attacked_accuracy"] == np.mean(strongest > 0.0)
        assert arrays[f"weights_{name}"].shape == (2, 8, 20)
        assert arrays[f"parts_{name}"].shape == (16, 21, 5)


def test_no_attack_beats_the_certificate(result):
    for name in TRAININGS:
        proved = result.arrays[f"margins_{name}_certified"]
        met = result.arrays[f"margins_{name}_strongest"][:len(proved)]
        assert np.all(proved <= met)
        assert 0.0 <= result.summary[name]["certified_radius"] <= 2.0 * small().epsilon


def test_a_network_that_is_not_even_right_has_no_certified_radius():
    run = StructuredExperiment(small())
    wrong = run.initial_network().weights[::-1].copy()
    wrong[:, 0] += run.data.nonrobust_features[::-1]  # every class reads the other one's feature
    proved = certify(run, run.network(wrong))
    assert proved["radius"] == 0.0 and np.all(proved["margins"] < 0.0)


def test_training_changes_the_weights_and_the_history_follows_it(result):
    run = StructuredExperiment(small())
    first = result.history.rows()[0]
    assert first["training"] == "standard" and first["step"] == 0
    assert first["loss"] == pytest.approx(np.log(2.0))
    for name in TRAININGS:
        rows = [row for row in result.history.rows() if row["training"] == name]
        weights = result.arrays[f"weights_{name}"]
        assert {key: rows[-1][key] for key in ("u", "v", "against_v")} == correlations(
            run.network(weights), run.data)
        assert not np.array_equal(weights, result.arrays["weights_start"])
        assert all(row["loss_low"] <= row["loss"] <= row["loss_high"] for row in rows)
    steps = [row["step"] for row in result.history.rows() if row["training"] != "standard"]
    assert steps == sorted(steps) and steps[-1] == 50


def test_a_training_of_no_steps_is_left_out():
    short = simulate(small(pgd_steps=0, multi_start_steps=0, certified_samples=0))
    assert [name for name in TRAININGS if name in short.summary] == ["standard", "one_step"]
    assert "certified_accuracy" not in short.summary["standard"]


def test_the_adversarial_trainings_never_share_a_random_stream():
    assert StructuredExperiment(small()).trainings()[1:] == [
        Training("one_step", 0, 30, None), Training("pgd", 30, 40, "one_step"),
        Training("multi_start", 40, 50, "pgd")]


@pytest.mark.parametrize("features", ["axes", "random"])
def test_a_rotation_of_everything_changes_nothing(features):
    # features "random" are rows of a rotation: same start and noise in those coordinates
    config = small(features=features, noise=0.0)
    run = StructuredExperiment(config)
    network = run.initial_network()
    standard = Training("standard", 0, 40, None)
    out = train_network(run, standard, network)
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((20, 20)))[0]
    turned = StructuredExperiment(config)
    turned.data = PatchData(20, run.data.alpha, run.data.beta, noise=0.0,
                            features=run.features @ rotation)
    turned.batches = dataclasses.replace(run.batches, data=turned.data)
    start = turned.network(run.initial_network().weights @ rotation)
    other = train_network(turned, standard, start)
    assert np.allclose(other["weights"], out["weights"] @ rotation, atol=1e-10)


# --- what is measured -----------------------------------------------------------------------


def test_correlations_are_the_planted_ones():
    data = PatchData(9, np.ones(1), np.ones(1), classes=3)
    W = np.zeros((3, 2, 9))
    for i in range(3):
        W[i, 0], W[i, 1] = (0.5 + i) * data.robust_features[i], 0.2 * data.nonrobust_features[i]
        W[i, 1] -= 0.3 * data.nonrobust_features[(i + 1) % 3]
    found = correlations(SmoothedReLUCNN(W, 3, 1.0), data)
    # each class: max over its neurons; against_v: -0.3 for one of the two others, 0 for the rest
    assert found == pytest.approx({"u": 1.5, "v": 0.2, "against_v": -0.15}, rel=1e-14)


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 3))
def test_the_parts_of_a_perturbation_are_the_planted_ones(seed, classes):
    rng = np.random.default_rng(seed)
    features = random_features(classes, 10, rng)
    data = PatchData(10, np.ones(1), np.ones(2), classes, features=features)
    y = rng.integers(0, classes, 4)
    other = (y + 1) % classes
    a = rng.uniform(0.1, 1.0, (4, 3, 5))
    U, V = data.robust_features, data.nonrobust_features
    aside = rng.standard_normal((4, 3, 10))
    for features in (U, V):
        aside -= aside @ features.T @ features
    aside /= np.linalg.norm(aside, axis=2, keepdims=True)
    delta = (-a[..., :1] * U[y][:, None] + a[..., 1:2] * U[other][:, None]
             - a[..., 2:3] * V[y][:, None] + a[..., 3:4] * V[other][:, None] + a[..., 4:] * aside)
    assert np.allclose(parts_of(delta, y, data), a, atol=1e-12)


# --- refusals and costs -----------------------------------------------------------------------


@pytest.mark.parametrize("changes, message", [
    ({"robust_patches": 0}, "robust_patches: expected at least 1, got 0"),
    ({"nonrobust_patches": 0}, "nonrobust_patches: expected at least 1, got 0"),
    ({"d": 3}, "d: expected at least 2 K = 4"),
    ({"classes": 1}, "d: expected at least 2 K = 4 with K >= 2 classes"),
    ({"q": 1}, "q: expected at least 2, got 1"),
    ({"rho": 0.0}, "rho: expected more than 0.0, got 0.0"),
    ({"jitter": 1.0}, "jitter: expected less than 1, got 1.0"),
    ({"epsilon": 0.0}, "epsilon: expected more than 0.0"),
    ({"features": "fourier"}, "features: expected one of axes, random, got 'fourier'"),
    ({"races": 2, "kappa_span": 1.0}, "kappa_span: expected more than 1, got 1.0"),
    ({"races": 2, "kappa_points": 2}, "kappa_points: expected at least 3, got 2"),
    ({"radius": 1.0}, "radius: unknown setting"),
])
def test_bad_settings_are_told_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        check(small(**changes))
    assert "\n" not in str(error.value)


def test_float32_finds_what_float64_finds():
    found = simulate(small(dtype="float32", certified_samples=0, multi_start_steps=0))
    reference = simulate(small(certified_samples=0, multi_start_steps=0))
    assert found.arrays["weights_standard"].dtype == np.float32
    for name in ("standard", "one_step"):  # rounding grows with the weights, by their 90 steps
        assert found.summary[name]["v"] == pytest.approx(reference.summary[name]["v"], rel=1e-3)


# --- cubes, balanced labels, the paired search, feature-only data -----------------------------


def test_settings_that_came_later_leave_the_hash_of_older_runs():
    config = small()
    for name, value in type(config).LATER.items():
        assert getattr(config, name) == value
    assert config_hash(config) == config_hash(config.with_(norm="l2", spectrum_points=0))
    assert config_hash(config) != config_hash(config.with_(norm="linf"))


def test_in_cubes_the_published_perturbation_is_one_of_the_attacks():
    run = StructuredExperiment(small(norm="linf", patch_search="paired"))
    assert isinstance(run.ball, LinfBall) and "erase_and_write" in run.attacks
    assert "erase_and_write" not in StructuredExperiment(small()).attacks
    network = run.initial_network()
    network.weights[:, 0] += run.data.nonrobust_features
    found = run.attack(network)
    assert np.all(found["margins_erase_and_write"] < 0.0)
    assert np.all(found["margins_strongest"] <= found["margins_erase_and_write"])


def test_a_run_in_cubes_is_certified_below_its_attacks():
    config = small(norm="linf", patch_search="paired", init_scale=0.003, pgd_steps=0,
                   standard_steps=20, one_step_steps=5, multi_start_steps=2,
                   fine_learning_rate=1e-4)
    result = simulate(config)
    for name in ("standard", "one_step", "multi_start"):
        proved = result.arrays[f"margins_{name}_certified"]
        met = result.arrays[f"margins_{name}_strongest"][:len(proved)]
        assert np.all(proved <= met + 1e-9)


def test_feature_only_accuracies_tell_what_a_network_reads():
    run = StructuredExperiment(small())
    network = run.initial_network()
    network.weights[:] = 0.0
    network.weights[:, 0] = run.data.nonrobust_features
    found = run.attack(network)
    assert np.mean(found["margins_on_nonrobust"] > 0.0) == 1.0
    assert np.mean(np.abs(found["margins_on_robust"])) < 1e-2 * np.mean(
        found["margins_on_nonrobust"])


def test_balanced_labels_and_rates_of_their_own_reach_the_training():
    run = StructuredExperiment(small(training_labels="balanced", late_learning_rate=0.5,
                                     late_after=4, training_samples=8, patch_search="paired",
                                     restarts=2))
    assert np.bincount(run.batches.samples.y).tolist() == [4, 4]
    fine = run.config.fine_learning_rate
    rates = [run.learning_rates(training) for training in run.trainings()]
    assert rates == [[(60, 0.5)], [(30, 0.5)], [(40, fine)], [(44, fine), (50, 0.5)]]
    attack = run.training_adversary("multi_start").attack
    assert isinstance(attack, PairedPatchSearch) and attack.starts == 3


# --- the spectrum ---------------------------------------------------------------------------


def test_a_spectrum_begins_with_standard_training_and_ends_at_twice_beta():
    config = small(spectrum_points=3, one_step_steps=60, standard_steps=60)
    result = simulate(config)
    assert result.arrays["epsilons"].tolist() == pytest.approx([0.0, 0.98, 1.96])
    assert result.arrays["spectrum"].shape == (3, len(COLUMNS))
    plain = simulate(small(one_step_steps=0, pgd_steps=0, multi_start_steps=0))
    assert result.history.rows()[0]["u"] == plain.summary["standard"]["u"]
    assert result.summary["points"] == 3 and tables(config, result.summary)[0].rows


def test_u_overtakes_between_the_radii_at_which_its_lead_changes_sign():
    ratio = np.array([0.0, 0.5, 1.0, 1.5])
    rows = np.ones((4, len(COLUMNS)))
    rows[:, 0] = 0.1, 0.5, 2.0, 3.0  # u; v = 1
    assert overtaken_from(ratio, rows) == pytest.approx(0.75)
    assert overtaken_from(ratio, rows[::-1]) is None and overtaken_from(ratio[2:], rows[2:]) is None
    rows[1] = np.nan  # diverged: not above
    assert overtaken_from(ratio, rows) == pytest.approx(0.75)


def test_a_spectrum_beside_races_is_refused():
    with pytest.raises(ValueError, match="spectrum_points: expected at least 3, no races"):
        small(spectrum_points=2)
