"""Frames are what the network was at their steps, cost a run no bit, and stay small."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.reach import within_reach
from simulator.attacks.worst_case import worst_case
from simulator.experiments import stored
from simulator.experiments.feature_purification import frames as module
from simulator.experiments.feature_purification.frames import Frames, frame_steps
from simulator.experiments.feature_purification.run import simulate
from simulator.features import decompose
from simulator.protocols import Batch
from simulator.runs.config import config_hash, counted
from simulator.runs.folder import RunFolder

from small import small_config

pytestmark = pytest.mark.usefixtures("brief_attacks")
MEGABYTES = 5  # that all frames of a run may take


@pytest.fixture(scope="module")
def finished(brief_attacks):
    return simulate(small_config(frames=10))


# --- which steps ------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"adversarial_steps": 0}, {"frames": 1},
                                     {"frames": 200, "clean_steps": 3}])
def test_every_phase_begins_and_ends_with_a_frame(changes):
    config = small_config(**{"frames": 40, **changes})
    steps = frame_steps(config)
    assert steps == sorted(set(steps))
    assert {0, config.clean_steps, config.clean_steps + config.adversarial_steps} <= set(steps)
    assert steps[-1] == config.clean_steps + config.adversarial_steps


def test_there_are_about_as_many_as_asked_for_and_most_in_the_beginning():
    steps = frame_steps(small_config(frames=40, clean_steps=1000, adversarial_steps=1000))
    assert 38 <= len(steps) <= 42
    assert sum(step <= 100 for step in steps) > 5 * sum(900 < step <= 1000 for step in steps) / 2


def test_no_frames_are_no_steps():
    assert frame_steps(small_config(frames=0)) == []


def test_more_than_fit_are_refused():
    with pytest.raises(ValueError, match="frames: expected .* got 201: they fill 5 MB"):
        small_config(frames=201)


# --- what they are not ------------------------------------------------------------------------


def test_runs_of_before_keep_their_names():
    config = small_config(frames=40)
    assert "frames" not in counted(config)
    settings = config.to_dict()
    del settings["frames"]
    assert config_hash(type(config).from_settings(settings)) == config_hash(config)
    assert config_hash(small_config(frames=0)) != config_hash(config)


def test_they_change_no_bit_of_the_run(finished):
    without = simulate(small_config(frames=0))
    assert without.frames == {}
    assert without.summary == finished.summary
    for name, array in without.arrays.items():
        np.testing.assert_array_equal(array, finished.arrays[name])


def test_they_are_a_file_of_their_own_that_a_run_can_be_without(finished, tmp_path):
    folder = RunFolder.create(tmp_path, finished.config)
    simulate(finished.config, folder)
    read = stored(folder.path).frames
    assert set(read) == set(finished.frames)
    for name, array in finished.frames.items():
        np.testing.assert_array_equal(read[name], array)
    status = folder.status()
    (folder.path / "frames.npz").unlink()
    del status["files"]["frames.npz"]
    folder.write_json("status.json", status)
    assert stored(folder.path).frames == {}


# --- what they are ----------------------------------------------------------------------------


def frame_at(run, step):
    place = list(run.frames["step"]).index(step)
    return {name: values[place] for name, values in run.frames.items()
            if values.ndim and len(values) == len(run.frames["step"]) and name != "features"}


@pytest.mark.parametrize("phase, step", [("clean", 30), ("adversarial", 50)])
def test_at_the_end_of_a_phase_they_are_the_network_of_that_phase(finished, phase, step):
    frame = frame_at(finished, step)
    assert frame["mixture_ratio"] == finished.summary[phase]["mixture_ratio"]
    assert frame["purity"] == finished.summary[phase]["purity"]
    parts = decompose(finished.network(phase), finished.data)
    for row, feature in zip(frame["coefficients"], finished.frames["features"]):
        own = [neuron for neuron in range(len(parts.stored)) if parts.feature[neuron] == feature
               and parts.is_feature_neuron[neuron]]
        if not own:
            assert np.isnan(row).all()
            continue
        best = max(own, key=lambda neuron: abs(parts.stored[neuron, feature]))
        along = [parts.signs[best] * parts.labeler[j] * parts.stored[best, j]
                 for j in finished.frames["features"]]
        np.testing.assert_allclose(row, along, rtol=1e-3, atol=1e-6)  # float16


def test_their_accuracy_is_that_of_the_attack(finished):
    frame, radii = frame_at(finished, 50), finished.frames["radii"]
    network, test = finished.network("adversarial"), finished.test_set
    ball = finished.adversary.ball
    attack = {"universal": Universal(finished.data.dense_direction)}
    lowest = 1.0
    for radius, share in zip(radii, frame["accuracy_universal"]):
        found = worst_case(network, Batch(test.X, test.y),
                           Adversary(ball.with_radius(radius), attack))
        lowest = min(lowest, found.accuracy("universal"))
        assert abs(share - lowest) <= 1.5 / len(test.X)  # a breaking point may lie between radii


def test_accuracy_never_rises_with_the_radius(finished):
    for attack in ("universal", "fgm"):
        assert (np.diff(finished.frames[f"accuracy_{attack}"], axis=1) <= 0.0).all()


def test_perturbations_lie_in_the_ball_and_point_to_the_other_label(finished):
    pushes = finished.frames["perturbations"].astype(float)
    assert pushes.shape[1:] == (2, finished.config.d)
    assert np.linalg.norm(pushes, axis=2).max() <= finished.config.tau * 1.001  # float16
    assert pushes[-1].sum() > 0.0


def test_no_neuron_is_missing_where_tau_is_beyond_the_curve(monkeypatch):
    """Neurons that only open beyond 1.5/sqrt(k) open within a tau of 1.2."""
    asked = []

    def heard(network, X, ball):
        asked.append(ball.radius)
        return within_reach(network, X, ball)

    monkeypatch.setattr(module, "within_reach", heard)
    for tau in (0.3, 1.2):
        asked.clear()
        simulate(small_config(frames=4, tau=tau))
        assert len(asked) > 2 and set(asked) == {max(tau, 1.5 / np.sqrt(2.0))}  # k = 2


def test_all_frames_of_a_large_run_fit():
    config = small_config(frames=40, d=800, k=10, m=60, clean_steps=1000, adversarial_steps=1000)
    experiment = config.experiment()
    frames = Frames(experiment)
    frames.at(0, experiment.initial_network())
    (frame,) = frames.taken
    size = sum(np.asarray(value).nbytes for value in frame.values())
    assert len(frame_steps(config)) * size < MEGABYTES * 2**20
    assert frame["coefficients"].shape == (100, 100)
