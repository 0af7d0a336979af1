"""``purify bracket``: a network from elsewhere is bracketed as one of ours, and slips are told."""

import csv
import io
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from scripts import bracket, export
from simulator.errors import Unavailable
from simulator.heartbeat import beat
from simulator.networks.symmetric_relu import SymmetricReLU

GOOD = {"weights": np.eye(3), "bias": 0.1}
SAMPLES = {"X": np.array([[0.5, 0.0, 0.1], [-0.3, -0.3, 0.0]]), "y": np.array([1, -1])}


@pytest.fixture
def files(tmp_path):
    """A function that writes weights and inputs, changed as asked, and returns where."""
    def written(weights=GOOD, inputs=SAMPLES):
        np.savez(tmp_path / "weights.npz", **weights)
        np.savez(tmp_path / "inputs.npz", **inputs)
        return [str(tmp_path / "weights.npz"), str(tmp_path / "inputs.npz")]
    return written


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("purify bracket: error: "), error
    return error


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_verdicts_of_a_network_that_can_be_done_by_hand(norm, files, capsys):
    """One feature a neuron: f is the sum of S_b(x_j), .4 for the first sample, twice -.2 for the
    second. To .3 a disc leaves .1 of the first, and closes both gates of the second (.2 sqrt 2); a
    box opens gates on the other side as well.
    """
    words = [*files(), "--norm", norm, "--radius", "0.3", "0.15", "--format", "json"]
    assert bracket.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] == 1.0 and found["norm"] == norm
    assert [each["radius"] for each in found["bracket"]] == [0.15, 0.3]
    verdicts = {(row["radius"], row["sample"]): row["verdict"] for row in found["verdicts"]}
    assert verdicts == {(0.15, 0): "certified", (0.15, 1): "certified",
                        (0.3, 0): "broken" if norm == "linf" else "certified",
                        (0.3, 1): "broken"}


def test_the_verdict_of_each_sample_is_printed_and_kept(files, tmp_path, capsys, rng):
    network = SymmetricReLU(rng.standard_normal((12, 5)), 0.4)
    X = rng.standard_normal((8, 5))
    y = np.where(network.forward(X) > 0.0, 1, -1)
    y[0] *= -1  # wrong as it is
    words = files({"weights": network.weights.astype(np.float32), "bias": np.array([0.4])},
                  {"X": X, "y": y})
    out, deltas = tmp_path / "verdicts.csv", tmp_path / "deltas.npz"
    assert bracket.main([*words, "--radius", "0.05", "0.4", "--format", "csv", "--out", str(out),
                         "--deltas", str(deltas)]) == 0
    shown = capsys.readouterr().out
    assert shown == out.read_text()
    rows = rows_of(shown)
    assert [(float(row["radius"]), int(row["sample"])) for row in rows] == [
        (radius, sample) for radius in (0.05, 0.4) for sample in range(8)]
    assert [int(row["label"]) for row in rows[:8]] == y.tolist()
    assert (rows[0]["verdict"], rows[0]["method"]) == ("broken", "clean")
    assert {row["verdict"] for row in rows} <= {"certified", "broken", "open"}
    assert any(row["verdict"] == "certified" for row in rows)
    with np.load(deltas) as kept:
        moved = network.margins(np.tile(X, (2, 1)) + kept["delta"].reshape(16, 5), np.tile(y, 2))
    # the network is read in float32 and the worst perturbation known is one of float64
    for row, reached in zip(rows, moved):
        assert float(row["lower"]) <= reached + 1e-5
        assert row["verdict"] != "broken" or reached <= 1e-5
        assert row["verdict"] != "certified" or float(row["lower"]) > 0.0
    assert bracket.main([*words, "--radius", "0.05", "0.4"]) == 0
    table = capsys.readouterr().out
    safe = np.mean([row["verdict"] == "certified" for row in rows[:8]])
    assert "8 samples, 7 of them right" in table and "certified" in table
    line = next(line for line in table.splitlines() if line.startswith("l2 radius 0.05"))
    assert float(line.split()[3]) == safe
    assert max(map(len, table.splitlines())) <= 100


def test_an_exported_run_is_bracketed_from_its_files(folder, tmp_path, capsys):
    """Export and bracket fit together: ONNX in float64 gives what the arrays give."""
    pytest.importorskip("onnx", reason="extra test not installed")
    assert export.main([str(folder), "--format", "onnx,npz", "--dtype", "float64", "--samples", "5",
                        "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    shown = []
    for name in ("adversarial.onnx", "adversarial.npz"):
        assert bracket.main([str(tmp_path / name), str(tmp_path / "inputs.npz"), "--radius", "0.1",
                             "--format", "csv", "--boxes", "5"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and len(rows_of(shown[0])) == 5


def test_labels_the_wrong_way_round_are_told(files, capsys):
    assert bracket.main([*files(inputs=SAMPLES | {"y": -SAMPLES["y"]}), "--radius", "0.1"]) == 0
    told = capsys.readouterr()
    assert "0 of 2 samples are right without any perturbation" in told.err
    assert "0 of them right" in told.out


def test_ones_alone_are_labels(files):
    weights, inputs = map(Path, files(inputs={"X": np.ones((2, 3)), "y": np.ones(2, bool)}))
    assert bracket.read_samples(inputs, bracket.read_network(weights)).y.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("weights, inputs, message", [
    ({"W": np.eye(3), "b": 0.1}, SAMPLES, "weights.npz: expected arrays weights and bias, got W"),
    ({"weights": np.eye(3)}, SAMPLES, "expected arrays weights and bias, got weights"),
    (GOOD | {"weights": np.ones(3)}, SAMPLES, r"weights: expected shape (any, any), got (3,): one"),
    (GOOD | {"weights": np.ones((0, 3))}, SAMPLES, "weights: expected at least one neuron"),
    (GOOD | {"weights": np.full((2, 3), np.nan)}, SAMPLES, "weights: expected finite numbers, got"),
    (GOOD | {"weights": np.full((2, 3), "a")}, SAMPLES, "weights: expected an array of numbers"),
    (GOOD | {"bias": np.ones(3)}, SAMPLES, "bias: expected the one number that all neurons share"),
    (GOOD | {"bias": -0.1}, SAMPLES, "bias: expected b >= 0 of relu(<w, x> - b), got -0.1: what a"),
    (GOOD | {"bias": np.inf}, SAMPLES, "bias: expected finite numbers, got 1 NaN or inf"),
    (GOOD, {"X": np.ones((2, 3)), "labels": np.ones(2)}, "expected arrays X and y, got X, labels"),
    (GOOD, SAMPLES | {"X": np.ones((2, 4))}, "X: expected shape (any, 3), got (2, 4): the network"),
    (GOOD, SAMPLES | {"X": np.ones((2, 3, 1))}, "X: expected shape (any, 3), got (2, 3, 1)"),
    (GOOD, SAMPLES | {"X": np.full((2, 3), -np.inf)}, "X: expected finite numbers, got 6 NaN"),
    (GOOD, {"X": np.ones((0, 3)), "y": np.ones(0)}, "X: expected at least one sample, got none"),
    (GOOD, SAMPLES | {"y": np.array([0, 1])}, "expected labels -1 and +1, got 0 and 1: write 2"),
    (GOOD, SAMPLES | {"y": np.array([False, True])}, "got 0 and 1: write 2 * y - 1"),
    (GOOD, SAMPLES | {"y": np.array([1, 2])}, "y: expected labels -1 and +1, got others"),
    (GOOD, SAMPLES | {"y": np.array([1.0, np.nan])}, "y: expected labels -1 and +1, got others"),
    (GOOD, SAMPLES | {"y": np.ones(3)}, "y: expected shape (2,), got (3,): one label per sample"),
    (GOOD, SAMPLES | {"y": np.ones((2, 1))}, "y: expected shape (2,), got (2, 1)")], ids=str)
def test_what_does_not_fit_is_one_line(weights, inputs, message, files, capsys):
    assert bracket.main([*files(weights, inputs), "--radius", "0.1"]) == 2
    assert message in one_line(capsys)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04half"],
                         ids=["empty", "text", "half"])
def test_what_is_no_npz_is_one_line(content, files, tmp_path, capsys):
    words = files()
    for name in ("weights.npz", "inputs.npz"):
        (tmp_path / name).write_bytes(content)
        assert bracket.main([*words, "--radius", "0.1"]) == 2
        assert f"{name}: expected an archive of arrays" in one_line(capsys)
        files()
    np.save(tmp_path / "one.npy", np.eye(3))
    assert bracket.main([str(tmp_path / "one.npy"), words[1], "--radius", "0.1"]) == 2
    assert "one.npy: expected an archive of arrays" in one_line(capsys)
    assert bracket.main([str(tmp_path / "nowhere.npz"), words[1], "--radius", "0.1"]) == 2
    assert "nowhere.npz: cannot be read: No such file" in one_line(capsys)


@pytest.mark.parametrize("words, message", [
    (["--radius", "nan"], "--radius: expected a finite number, got nan"),
    (["--radius", "-0.1"], "--radius: expected at least 0.0, got -0.1"),
    (["--radius", "0.1", "--boxes", "0"], "boxes: expected at least 1, got 0"),
    (["--radius", "0.1", "--seed", "-1"], "seed: expected at least 0, got -1")], ids=str)
def test_what_cannot_be_asked_is_one_line(words, message, files, capsys):
    assert bracket.main([*files(), *words]) == 2
    assert message in one_line(capsys)


def test_an_interrupt_is_answered_at_a_heartbeat(files, tmp_path, capsys, monkeypatch):
    """In the midst of a certificate, long before its pass ends; nothing is written."""
    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        beat()
        raise AssertionError("went on")

    monkeypatch.setattr("simulator.robustness.bracket.bracket", interrupted)
    out = tmp_path / "verdicts.csv"
    assert bracket.main([*files(), "--radius", "0.1", "--out", str(out)]) == 130
    assert capsys.readouterr().err == "purify bracket: interrupted\n"
    assert not out.exists()


def test_verdicts_are_not_written_over_unless_they_may_be(files, tmp_path, capsys):
    out = tmp_path / "verdicts.csv"
    out.write_text("kept")
    words = [*files(), "--radius", "0.1", "--out", str(out)]
    assert bracket.main(words) == 2
    assert "expected a new file, got one that is there" in one_line(capsys)
    assert out.read_text() == "kept"
    assert bracket.main([*words, "--force"]) == 0
    assert len(rows_of(out.read_text())) == 2


def test_what_is_read_is_not_written_over_even_if_files_may_be(files, tmp_path, capsys):
    """By whatever name; and two contents do not go into one file."""
    weights, inputs = files()
    before = [Path(path).read_bytes() for path in (weights, inputs)]
    (tmp_path / "link.csv").symlink_to(weights)
    os.link(inputs, tmp_path / "hard.npz")
    words = [weights, inputs, "--radius", "0.1", "--force"]
    for name, path in (("--out", weights), ("--deltas", inputs),
                       ("--out", str(tmp_path / "link.csv")),
                       ("--deltas", str(tmp_path / "hard.npz"))):
        assert bracket.main([*words, name, path]) == 2
        assert f"{path}: expected another file than those that are read" in one_line(capsys)
    both = str(tmp_path / "both")
    assert bracket.main([*words, "--out", both, "--deltas", f"{tmp_path}/./both"]) == 2
    assert "expected a file for each output, got one for two of them" in one_line(capsys)
    assert [Path(path).read_bytes() for path in (weights, inputs)] == before
    assert not Path(both).exists()


@pytest.mark.parametrize("option", ["--out", "--deltas"])
def test_a_folder_is_no_file_to_write(option, files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("simulator.robustness.bracket.bracket", None)  # hours of work, for nothing
    assert bracket.main([*files(), "--radius", "0.1", "--force", option, str(tmp_path)]) == 2
    assert f"{tmp_path}: expected a file, got a folder" in one_line(capsys)


def test_a_disk_that_is_full_in_the_end_costs_no_result(files, tmp_path, capsys, monkeypatch):
    def full(path, content):
        raise Unavailable(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr("simulator.runs.files.write_atomic", full)
    out = str(tmp_path / "verdicts.csv")
    assert bracket.main([*files(), "--radius", "0.1", "--format", "csv", "--out", out]) == 2
    shown = capsys.readouterr()
    assert len(rows_of(shown.out)) == 2
    assert shown.err.endswith(f"error: {out}: cannot be written: No space left on device\n")


def test_where_verdicts_cannot_be_kept_nothing_is_computed(files, tmp_path, capsys, monkeypatch):
    """A folder that is missing is made, as every command does."""
    def computed(*arguments, **options):
        raise AssertionError("hours of work, for nothing")

    (tmp_path / "file").write_text("no folder")
    words = [*files(), "--radius", "0.1", "--out"]
    with monkeypatch.context() as patch:
        patch.setattr("simulator.robustness.bracket.bracket", computed)
        assert bracket.main([*words, str(tmp_path / "file" / "verdicts.csv")]) == 2
    assert "file: expected a folder to write in" in one_line(capsys)
    out = tmp_path / "new" / "verdicts.csv"
    assert bracket.main([*words, str(out)]) == 0 and len(rows_of(out.read_text())) == 2
