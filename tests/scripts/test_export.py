"""``purify export``: what another tool reads is the run's network, samples and question."""

import csv
import json
import re

import numpy as np
import pytest

from scripts import export, simulate
from simulator.experiments import chosen, stored
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run

pytest.importorskip("onnx", reason="extra test not installed")

PATCHES = {"standard_steps": 40, "one_step_steps": 0, "pgd_steps": 0, "multi_start_steps": 0,
           "test_samples": 6, "certified_samples": 0, "training_samples": 20}


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("purify export: "), error
    return error


def arrays_of(path):
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def ends(text, relation):
    """The lower or upper ends of the box of a property."""
    return np.array([float(number) for number in re.findall(
        rf"\(assert \({relation} X_\d+ (\S+)\)\)", text)])


@pytest.fixture(scope="module")
def patch_folder(tmp_path_factory):
    """A finished run of the patch model, not to be changed."""
    root = tmp_path_factory.mktemp("patches")
    settings = [f"--set={key}={value}" for key, value in PATCHES.items()]
    assert simulate.main(["--paper", "structured_features", "--preset", "smoke", *settings,
                          "--no-figures", "--out", str(root)]) == 0
    (folder,) = root.iterdir()
    return folder


def test_boxes_ask_about_every_sample_radius_and_network(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert export.main([str(folder), "--norm", "linf", "--radius", "0.05", "0.02", "--samples", "3",
                        "--timeout", "9", "--out", str(out)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == [*(str(out / name) for name in ("clean.onnx", "adversarial.onnx", "inputs.npz",
                                                    "instances.csv")),
                     f"{out / 'vnnlib'}: 6 properties"]
    rows = list(csv.reader((out / "instances.csv").open(encoding="utf-8")))
    assert {row[2] for row in rows} == {"9"}
    assert len({tuple(row[:2]) for row in rows}) == 2 * 3 * 2
    assert all((out / name).is_file() for row in rows for name in row[:2])
    test = stored(folder).test_set
    for sample, radius in ((0, 0.02), (2, 0.05)):
        text = (out / f"vnnlib/sample_{sample}_radius_{radius}.vnnlib").read_text()
        assert np.allclose(ends(text, "<="), test.X[sample] + radius, rtol=1e-15, atol=1e-17)
        assert np.allclose(ends(text, ">="), test.X[sample] - radius, rtol=1e-15, atol=1e-17)
        assert ("(assert (<= Y_0 0.0))" in text) == (test.y[sample] > 0)
        assert folder.name in text.splitlines()[0]


def test_another_runtime_computes_the_networks_on_the_samples(folder, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="extra test not installed")
    assert export.main([str(folder), "--samples", "20", "--out", str(tmp_path / "out")]) == 0
    X = arrays_of(tmp_path / "out" / "inputs.npz")["X"]
    for phase in ("clean", "adversarial"):
        session = runtime.InferenceSession(str(tmp_path / "out" / f"{phase}.onnx"),
                                           providers=["CPUExecutionProvider"])
        f = [session.run(None, {"x": x[None].astype(np.float32)})[0][0, 0] for x in X]
        # outputs of size 1 to 10 in float32
        assert np.abs(f - stored(folder).network(phase).forward(X)).max() < 1e-5


def test_an_l2_run_is_told_that_there_are_boxes_only(folder, capsys):
    assert export.main([str(folder)]) == 0
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "VNN-LIB has boxes only" in told and "--norm linf" in told
    out, config = folder / "export", stored(folder).config
    assert sorted(path.name for path in out.iterdir()) == ["adversarial.onnx", "clean.onnx",
                                                           "inputs.npz"]
    found, test = arrays_of(out / "inputs.npz"), stored(folder).test_set
    n = config.bracket_samples
    assert np.array_equal(found["X"], test.X[:n]) and np.array_equal(found["y"], test.y[:n])
    assert (found["radii"].tolist(), str(found["norm"])) == ([config.tau], "l2")


def test_in_float64_the_file_is_the_network(folder, tmp_path):
    assert export.main([str(folder), "--dtype", "float64", "--format", "onnx,npz", "--phase",
                        "adversarial", "--out", str(tmp_path)]) == 0
    network = stored(folder).network("adversarial")
    again = SymmetricReLU.from_onnx(tmp_path / "adversarial.onnx")
    kept = arrays_of(tmp_path / "adversarial.npz")
    for weights, bias in ((again.weights, again.bias), (kept["weights"], kept["bias"])):
        assert np.array_equal(weights, network.weights) and bias == network.bias
    assert not (tmp_path / "clean.onnx").exists()


def test_the_patch_network_goes_out_with_its_patches(patch_folder, tmp_path, capsys):
    runtime = pytest.importorskip("onnxruntime", reason="extra test not installed")
    assert export.main([str(patch_folder), "--norm", "linf", "--radius", "0.1", "--samples", "4",
                        "--dtype", "float64", "--out", str(tmp_path)]) == 0
    run, found = stored(patch_folder), arrays_of(tmp_path / "inputs.npz")
    network = run.network("standard")
    session = runtime.InferenceSession(str(tmp_path / "standard.onnx"),
                                       providers=["CPUExecutionProvider"])
    F = np.concatenate([session.run(None, {"X": x[None]})[0] for x in found["X"]])
    assert np.abs(F - network.forward(found["X"])).max() < 1e-12
    again = SmoothedReLUCNN.from_onnx(tmp_path / "standard.onnx")
    assert np.array_equal(again.weights, network.weights)
    text = (tmp_path / "vnnlib/sample_0_radius_0.1.vnnlib").read_text()
    assert len(ends(text, "<=")) == found["X"][0].size
    wrong, right = 1 - int(found["y"][0]), int(found["y"][0])
    assert f"(assert (>= Y_{wrong} Y_{right}))" in text


def test_balls_of_patches_are_no_boxes(patch_folder, tmp_path, capsys):
    assert export.main([str(patch_folder), "--out", str(tmp_path)]) == 0
    assert "boxes only" in capsys.readouterr().err
    found = arrays_of(tmp_path / "inputs.npz")
    assert str(found["norm"]) == "l2 of each patch" and len(found["y"]) == PATCHES["test_samples"]
    assert found["radii"].tolist() == [stored(patch_folder).config.epsilon]


def test_nothing_is_written_over_unless_it_may_be(folder, tmp_path, capsys):
    words = [str(folder), "--format", "npz", "--out", str(tmp_path), "--samples", "2"]
    assert export.main(words) == 0
    before = (tmp_path / "inputs.npz").read_bytes()
    capsys.readouterr()
    assert export.main([*words[:-1], "3"]) == 2
    assert "expected a new file, got one that is there" in one_line(capsys)
    assert (tmp_path / "inputs.npz").read_bytes() == before
    assert export.main([*words[:-1], "3", "--force"]) == 0
    assert len(arrays_of(tmp_path / "inputs.npz")["y"]) == 3


def test_a_folder_holds_one_question(folder, tmp_path):
    """What an earlier one left would be asked again beside it; files of others stay."""
    words = [str(folder), "--out", str(tmp_path), "--force"]
    boxes = ["--norm", "linf", "--radius"]
    assert export.main([*words, *boxes, "0.01", "--samples", "3"]) == 0
    (tmp_path / "vnnlib" / "mine.vnnlib").write_text("of somebody")
    assert export.main([*words, *boxes, "0.03", "--samples", "2"]) == 0
    assert {path.name for path in (tmp_path / "vnnlib").iterdir()} == {
        "mine.vnnlib", "sample_0_radius_0.03.vnnlib", "sample_1_radius_0.03.vnnlib"}
    assert "0.01" not in (tmp_path / "instances.csv").read_text()
    assert export.main(words) == 0  # the l2 question of the run, which has no properties
    assert [path.name for path in (tmp_path / "vnnlib").iterdir()] == ["mine.vnnlib"]
    assert not (tmp_path / "instances.csv").exists()


@pytest.mark.parametrize("words, message", [
    (["--norm", "linf"], "--radius: expected one beside --norm linf, got none: the run's own"),
    (["--format", "onnxx"], "--format onnxx: unknown; did you mean onnx?"),
    (["--phase", "clear"], "--phase clear: unknown; did you mean clean?"),
    (["--samples", "0"], "--samples: expected at least 1, got 0"),
    (["--samples", "61"], "--samples: expected at most 60, got 61: the run has 60 test samples"),
    (["--radius", "nan"], "--radius: expected a finite number, got nan"),
    (["--radius", "-1"], "--radius: expected at least 0.0, got -1.0"),
    (["--timeout", "0"], "--timeout: expected at least 1, got 0")], ids=str)
def test_what_cannot_be_asked_is_one_line(folder, tmp_path, capsys, words, message):
    assert export.main([str(folder), "--out", str(tmp_path / "out"), *words]) == 2
    assert message in one_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("preset, changes", [
    ("ntk_evolution", {}), ("winning_tickets", {}), ("structured_features", {"races": 2}),
    ("structured_features", {"spectrum_points": 3})], ids=str)
def test_runs_of_other_papers_are_refused(preset, changes, tmp_path, capsys):
    config = chosen("smoke", preset, changes)
    folder = RunFolder.create(tmp_path, config)
    write_run(Run(config, {}), folder, 0)
    assert export.main([str(folder.path)]) == 2
    said = one_line(capsys)
    assert "feature_purification or one of structured_features with trainings" in said
    assert f"got one of {preset}" in said


def test_what_is_no_finished_run_is_refused(tmp_path, unfinished, capsys):
    assert export.main([str(tmp_path / "nowhere")]) == 2
    assert "expected a run folder" in one_line(capsys)
    assert export.main([str(unfinished)]) == 2
    assert "expected a finished run" in one_line(capsys)


def test_a_smoothed_network_is_refused(folder, capsys):
    status = json.loads((folder / "status.json").read_text())
    config = json.loads((folder / "config.json").read_text()) | {"smoothing": 0.1}
    (folder / "config.json").write_text(json.dumps(config))
    del status["files"]["config.json"]
    (folder / "status.json").write_text(json.dumps(status))
    assert export.main([str(folder)]) == 2
    assert "expected no smoothing, got 0.1" in one_line(capsys)
