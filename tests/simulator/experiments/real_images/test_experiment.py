"""A run on real images: what it trains on, what it keeps, and what it says of bad settings."""

import sys

import numpy as np
import pytest

from scripts.simulate import main
from simulator.errors import RunError, Stopped
from simulator.experiments import config_of, preset
from simulator.experiments.real_images import measured
from simulator.experiments.real_images.experiment import ImageExperiment
from simulator.experiments.real_images.run import cost, simulate
from simulator.protocols import Batch
from simulator.runs.config import config_hash
from simulator.runs.folder import RunFolder

pytest.importorskip("sklearn")
pytest.importorskip("skimage")

SMALL = {"m": 12, "clean_steps": 20, "adversarial_steps": 10, "record_every": 10,
         "training_samples": 120, "test_samples": 24, "certified_samples": 4,
         "certificate_boxes": 2, "natural_patches": 400, "features": 20}


def small(**changes):
    return config_of(preset("smoke", "images") | SMALL | changes)


@pytest.fixture(scope="module")
def result():
    return simulate(small())


@pytest.fixture
def file(tmp_path, rng):
    """Images of the user's: bright below or above."""
    X, y = 0.3 * rng.random((80, 4, 4)), np.arange(80) % 2
    X[y == 0, :2] += 0.6
    X[y == 1, 2:] += 0.6
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    return tmp_path / "mine.npz"


def test_a_run_is_made_of_images_that_nobody_trained_on(result):
    task = result.experiment.data
    assert not {row.tobytes() for row in task.test.X} & {row.tobytes() for row in task.training.X}
    assert result.summary["test_images"] == 24 and result.summary["training_images"] == 120
    np.testing.assert_array_equal(result.test_set.X, task.test.X)


def test_longer_and_adversarial_training_begin_at_the_clean_network(result):
    rows = {phase: [row["step"] for row in result.history.rows() if row["phase"] == phase]
            for phase in ("clean", "longer", "adversarial")}
    assert rows == {"clean": [10, 20], "longer": [30], "adversarial": [30]}
    none = simulate(small(adversarial_steps=1, learning_rate=1e-12))
    for phase in ("longer", "adversarial"):
        np.testing.assert_allclose(none.arrays[f"weights_{phase}"], none.arrays["weights_clean"],
                                   atol=1e-9)
    assert not np.allclose(none.arrays["weights_second_clean"], none.arrays["weights_clean"])


def test_what_is_certified_is_not_broken_and_the_curve_falls(result):
    for phase in ("clean", "longer", "adversarial"):
        assert (np.diff(result.arrays[f"curve_{phase}"]) <= 0.0).all()
        for entry in result.summary[phase]["bracket"]:
            assert entry["certified"] <= entry["attacked"]
        lengths = np.linalg.norm(result.arrays[f"delta_{phase}"], axis=1)
        assert lengths.max() <= result.config.tau * (1.0 + 1e-9)


def test_a_network_of_the_run_comes_back(result):
    network = result.network("second adversarial")
    np.testing.assert_array_equal(network.weights, result.arrays["weights_second_adversarial"])
    with pytest.raises(ValueError, match="phase: expected one of clean, longer"):
        result.network("third")
    with pytest.raises(ValueError, match="their dictionary is learned"):
        result.parts("clean")


def test_a_file_of_ones_own_is_trained_on(file):
    run = simulate(small(source="file", file=str(file), task="halves", d=16, training_samples=0,
                         test_samples=0, clean_steps=60))
    assert run.summary["clean"]["accuracy"] > 0.9


def test_a_file_that_changed_during_a_run_is_told(file, tmp_path):
    config = small(source="file", file=str(file), task="0-1", d=16, training_samples=0,
                   test_samples=0)

    def stop(step, total, what):
        if what == "longer":
            raise Stopped

    with pytest.raises(Stopped):
        simulate(config, RunFolder.create(tmp_path / "runs", config), stop)
    np.savez(file, X=np.random.default_rng(1).random((80, 4, 4)), y=np.arange(80) % 2)
    with pytest.raises(RunError, match="expected the images with which the run began, got others"):
        simulate(config, RunFolder.create(tmp_path / "runs", config, resume=True))


def test_patches_of_two_photographs_are_a_task():
    task = ImageExperiment(small(source="photographs", task="brick-grass", d=36)).data
    assert task.shape == (6, 6, 1) and task.names == ("brick", "grass")
    assert len(task.training) == 120 and len(task.test) == 24


@pytest.mark.parametrize("changes, message", [
    ({"d": 63}, "d: expected 64, the numbers of an image"),
    ({"task": "3-x"}, "task: expected halves or two classes"),
    ({"source": "photographs", "task": "brick-grass", "d": 35}, "d: expected a square"),
    ({"source": "photographs", "task": "brick-moan"}, "photograph: expected one of"),
    ({"source": "photographs", "training_samples": 0}, "expected numbers of patches, got 0"),
    ({"source": "file"}, "file: expected images where source is file, got none"),
    ({"file": "a.npz"}, "file: expected none where source is digits, got a.npz"),
    ({"source": "file", "file": "nowhere.npz"}, "nowhere.npz: expected a file or folder"),
    ({"record_every": 30}, "record_every: expected at most 20"),
    ({"labels": "wrong"}, "labels: expected one of true, shuffled"),
    ({"test_samples": 4000}, "test_samples: expected at most"),
])
def test_settings_that_do_not_fit_are_told(changes, message):
    with pytest.raises(ValueError, match=message):
        ImageExperiment(small(**changes))


def test_without_the_extra_a_run_says_what_to_install(monkeypatch, tmp_path, capsys):
    for name in ("sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    code = main(["--paper", "real_images", "--preset", "smoke", "--out", str(tmp_path / "runs")])
    said = capsys.readouterr().err.strip()
    assert code == 2 and "pip install 'feature-purification[images]'" in said
    assert len(said.splitlines()) == 1 and not (tmp_path / "runs").exists()


def test_every_setting_has_a_place_in_the_hash():
    assert config_hash(small(labels="shuffled")) != config_hash(small())
    assert cost(small(clean_steps=40)).steps == cost(small()).steps + 40


# --- what is measured ---------------------------------------------------------------------


def test_a_checkerboard_is_of_high_frequency_and_a_ramp_is_not(rng):
    rows, columns = np.indices((8, 8))
    pictures = np.stack([(-1.0)**(rows + columns), rows - 3.5]).reshape(2, 64)
    high, low = measured.high_frequency(pictures, (8, 8, 1))
    assert high > 0.9 and low < 0.05
    noise = measured.high_frequency(rng.standard_normal((2000, 64)), (8, 8, 1)).mean()
    assert noise == pytest.approx(0.5625, abs=0.01)  # 36 of 64 frequencies
    assert np.isnan(measured.high_frequency(np.zeros((1, 64)), (8, 8, 1))).all()


def test_the_way_to_the_nearest_other_image_leads_there(rng):
    training = Batch(rng.standard_normal((30, 5)), np.resize([1.0, -1.0], 30))
    batch = Batch(rng.standard_normal((4, 5)), np.array([1.0, -1.0, 1.0, -1.0]))
    ends = batch.X + measured.nearest_other(batch, training)
    for x, y, end in zip(batch.X, batch.y, ends):
        others = training.X[training.y == -y]
        wanted = others[np.linalg.norm(others - x, axis=1).argmin()]
        np.testing.assert_allclose(end, wanted)


def test_neurons_split_into_a_multiple_and_what_is_orthogonal_to_it(rng):
    clean, other = rng.standard_normal((2, 20, 6))
    clean[0] *= 1e-3
    marked, kept, removed = measured.parts_of_neurons(clean, other)
    assert not marked[0] and marked[np.linalg.norm(clean, axis=1).argmax()]
    np.testing.assert_allclose(kept + removed, clean[marked])
    np.testing.assert_allclose((removed * other[marked]).sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.abs(measured.along(kept, other[marked])), 1.0)
