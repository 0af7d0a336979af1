"""Races between features: who wins, who was ahead at the start, and the fit of the transition."""

import numpy as np
import pytest

from simulator.data.patches import PatchData
from simulator.experiments import config_of, preset
from simulator.experiments import stored as load
from simulator.experiments.structured_features.races import (alpha_for, first_feature,
                                                             fit_transition, kappas, race,
                                                             race_settings)
from simulator.experiments.structured_features.run import simulate
from simulator.runs.folder import RunFolder

RACES = {"d": 20, "nonrobust_patches": 20, "races": 2, "kappa_points": 5}


def races(**changes):
    return config_of(preset("transition", "patches") | RACES | changes)


def test_the_strength_gives_the_kappa():
    config = races()
    for kappa in kappas(config):
        data = PatchData(20, np.full(1, alpha_for(kappa, config)), np.full(20, config.beta))
        assert data.kappa(config.q) == pytest.approx(kappa, rel=1e-12)
    assert kappas(config)[[0, -1]] == pytest.approx([1.0 / 8.0, 8.0])


def test_a_race_is_won_by_u_far_below_the_transition_and_by_v_far_above():
    config = races()
    for index in range(3):
        low, high = (race(config, kappa, index) for kappa in (0.02, 50.0))
        assert np.all(low[:, 0] > 5.0 * low[:, 1]) and np.all(high[:, 1] > 5.0 * high[:, 0])
        assert np.array_equal(low[:, 2:], high[:, 2:])  # the same start


def test_the_start_predicts_the_races_of_q_3():
    config = races(races=4, init_scale=0.005, noise=0.2)
    found = np.array([race(config, kappa, index) for index, kappa
                      in enumerate(race_settings(config))]).reshape(5, 4, 2, 4)
    wins = found[..., 1] > found[..., 0]
    predicted = first_feature(kappas(config), found[..., 2:], 3)
    assert np.mean(wins == predicted) > 0.9
    shuffled = first_feature(kappas(config)[::-1], found[..., 2:], 3)
    assert np.mean(wins == shuffled) < 0.5


def test_the_first_to_blow_up_is_the_larger_start_times_kappa():
    starts = np.array([[[[0.1, 0.2]], [[0.2, 0.1]]]])  # u, v: one kappa, two races, one class
    for q, kappa, expected in ((3, 1.0, [True, False]), (3, 0.4, [False, False]),
                               (3, 3.0, [True, True]), (4, 3.0, [True, False])):
        assert first_feature(np.array([kappa]), starts, q)[0, :, 0].tolist() == expected


def test_a_feature_without_a_neuron_never_wins():
    starts = np.array([[[[-0.1, 0.2], [0.2, -0.1], [-0.1, -0.2]]]])
    assert first_feature(np.array([1.0]), starts, 3).tolist() == [[[True, False, False]]]


@pytest.mark.parametrize("midpoint, width", [(1.0, 0.3), (2.0, 0.6), (0.6, 0.2)])
def test_the_fit_finds_a_planted_transition(midpoint, width):
    kappa = np.geomspace(1 / 8, 8, 11)
    share = 1.0 / (1.0 + np.exp(-np.log(kappa / midpoint) / width))
    trials = 400
    wins = np.arange(trials) < np.round(share * trials)[:, None]
    found = fit_transition(kappa, wins)
    assert found.midpoint == pytest.approx(midpoint, rel=0.02)
    assert found.width == pytest.approx(width, rel=0.03)


def test_separated_outcomes_have_the_smallest_width_and_one_sided_ones_no_midpoint():
    kappa = np.geomspace(0.25, 4.0, 5)
    found = fit_transition(kappa, np.repeat([[False], [False], [True], [True], [True]], 4, axis=1))
    assert 0.5 < found.midpoint < 1.0 and found.width <= 0.5 * np.log(2.0)
    assert np.isnan(fit_transition(kappa, np.ones((5, 4), bool)).midpoint)
    with pytest.raises(ValueError, match=r"wins: expected shape \(5, trials\), got \(4, 4\)"):
        fit_transition(kappa, np.ones((4, 4), bool))


def test_a_run_of_races_holds_the_transition(tmp_path):
    config = races(kappa_points=3, kappa_span=20.0)
    folder = RunFolder.create(tmp_path, config)
    result = simulate(config, folder)
    assert result.arrays["races"].shape == (3, 2, 2, 4)
    assert result.history["v_wins"].tolist()[::2] == [0.0, 1.0]
    assert 1 / 20 < result.summary["midpoint"] < 20.0
    assert load(folder.path).summary == result.summary
