"""What no command does to files: writing over what it reads, or removing what is somebody's."""

import json
import os

import numpy as np
import pytest

from scripts import benchmark, certify, export, plot, sweep, verify
from scripts.options import require_free
from simulator.runs.folder import RunFolder
from theory.feature_purification import figures

READ = "expected another file than those that are read"
BOXES = ["--format", "npz,vnnlib", "--norm", "linf", "--radius"]
FOREIGN = {  # by name files of purify export, by content somebody's
    "clean.npz": None, "instances.csv": "own.onnx,vnnlib/own.vnnlib,60\n",
    "vnnlib/sample_7_radius_0.5.vnnlib": "; somebody's property\n"}


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and ": error: " in error, error
    return error


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def foreign_files(folder):
    """Write the foreign files and return what the folder holds."""
    (folder / "vnnlib").mkdir(parents=True)
    for name, text in FOREIGN.items():
        if text is not None:
            (folder / name).write_text(text)
    np.savez(folder / "clean.npz", weights=np.eye(2), bias=0.1)
    return contents(folder)


def test_two_names_of_one_file_are_no_two_outputs(tmp_path):
    (tmp_path / "a").write_text("")
    os.link(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match="/b: expected a file for each output, got one for two"):
        require_free([tmp_path / "a", tmp_path / "b"], force=True)
    (tmp_path / "folder").symlink_to(tmp_path)  # neither file is there yet
    for other in ("folder/new", "folder/../{}/new".format(tmp_path.name)):
        with pytest.raises(ValueError, match="/new: expected a file for each output"):
            require_free([tmp_path / "new", tmp_path / other], force=False)


def test_an_input_is_known_by_every_name_that_leads_to_it(tmp_path):
    (tmp_path / "input").write_text("")
    (tmp_path / "inner").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path)
    for name in ("input", "inner/../input", "folder/input"):
        with pytest.raises(ValueError, match=READ):
            require_free([tmp_path / name], force=True, read=[tmp_path / "input"])
    require_free([tmp_path / "other"], force=True, read=[tmp_path / "input"])


def test_certificates_do_not_replace_the_verdicts_of_their_run(folder, tmp_path, capsys):
    before = contents(folder)
    (tmp_path / "link").symlink_to(folder)
    for place in (folder, tmp_path / "link", folder / "figures" / ".."):
        assert certify.main([str(folder), "--samples", "1", "--boxes", "1", "--force",
                             "--out", str(place)]) == 2
        assert f"verdicts.csv: {READ}" in one_line(capsys)
    assert contents(folder) == before


def test_figures_are_not_drawn_through_a_link_to_a_file_of_the_run(folder, monkeypatch, capsys):
    monkeypatch.setattr(figures, "figures", lambda run: {"history": figures.history_figure})
    arrays = (folder / "arrays.npz").read_bytes()
    (folder / "figures" / "history.png").unlink()
    os.link(folder / "arrays.npz", folder / "figures" / "history.png")
    assert plot.main([str(folder), "--force"]) == 2
    assert f"history.png: {READ}" in one_line(capsys)
    assert (folder / "arrays.npz").read_bytes() == arrays


def test_an_export_is_not_written_over_a_file_of_the_run(folder, capsys):
    (folder / "export").mkdir()
    (folder / "export" / "inputs.npz").symlink_to("../arrays.npz")
    assert export.main([str(folder), "--format", "npz", "--force"]) == 2
    assert f"inputs.npz: {READ}" in one_line(capsys)
    assert (folder / "export" / "inputs.npz").is_symlink()


def test_a_sweep_does_not_replace_its_own_file(tmp_path, capsys):
    words = ["--preset", "smoke", "--out", str(tmp_path), "--grid", "seed=1,2", "--dry-run"]
    file = tmp_path / "sweep.toml"
    file.write_text("seeds = 1\n")
    words += ["--config", str(file)]
    plan = sweep._plan(sweep.parser().parse_args(words))
    (tmp_path / plan.folder_name).mkdir()
    (tmp_path / plan.folder_name / "summary.csv").symlink_to(file)
    assert sweep.main(words) == 2
    assert f"summary.csv: {READ}" in one_line(capsys)


@pytest.mark.parametrize("names", [["a"], ["a", "b"]], ids=" ".join)
def test_a_benchmark_that_is_shown_is_not_replaced(names, tmp_path, capsys):
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "benchmark.json").write_text("{}")
    shown = [str(tmp_path / name / "benchmark.json") for name in names]
    assert benchmark.main(["--show", *shown, "--out", str(tmp_path / "a"), "--force"]) == 2
    assert f"benchmark.json: {READ}" in one_line(capsys)
    assert (tmp_path / "a" / "benchmark.json").read_text() == "{}"


@pytest.mark.parametrize("case, name", [("clean", "benchmark.json"), ("clean", "benchmark.png"),
                                        ("certificates", "certificates.json")])
def test_measurements_are_not_written_over_unless_they_may_be(case, name, tmp_path, capsys):
    (tmp_path / name).write_text("hours of work")
    assert benchmark.main(["--quick", "--cases", case, "--out", str(tmp_path)]) == 2
    assert f"{name}: expected a new file, got one that is there" in one_line(capsys)
    assert contents(tmp_path) == {name: b"hours of work"}


def test_without_force_an_export_removes_nothing(folder, tmp_path, capsys):
    words = [str(folder), "--out", str(tmp_path / "out"), *BOXES]
    foreign_files(tmp_path / "out")
    (tmp_path / "out" / "instances.csv").unlink()
    assert export.main([*words, "0.02", "--samples", "2", "--phase", "adversarial"]) == 0
    for name in ("adversarial.npz", "inputs.npz", "instances.csv"):
        (tmp_path / "out" / name).unlink()
    before = contents(tmp_path / "out")
    assert len(before) == 4  # two of others, two properties of before
    assert export.main([*words, "0.01", "--samples", "1", "--phase", "adversarial"]) == 0
    after = contents(tmp_path / "out")
    assert before.items() <= after.items()
    assert "removed" not in capsys.readouterr().err


def test_by_force_an_export_removes_nothing_of_others(folder, tmp_path):
    before = foreign_files(tmp_path / "out")
    assert export.main([str(folder), "--format", "npz", "--samples", "1", "--phase", "adversarial",
                        "--out", str(tmp_path / "out"), "--force"]) == 0
    assert before.items() <= contents(tmp_path / "out").items()


@pytest.mark.parametrize("form", ["npz", pytest.param("onnx", id="onnx")])
def test_by_force_an_export_replaces_all_that_it_wrote_before(form, folder, tmp_path, capsys):
    if form == "onnx":
        pytest.importorskip("onnx", reason="extra test not installed")
    words = [str(folder), "--out", str(tmp_path / "out"), "--force"]
    boxes = [*BOXES[2:], "0.01", "--samples", "3", "--format", f"{form},vnnlib"]
    assert export.main([*words, *boxes]) == 0
    assert {f"clean.{form}", f"adversarial.{form}"} <= contents(tmp_path / "out").keys()
    capsys.readouterr()
    assert export.main([*words, "--format", "npz", "--phase", "clean", "--samples", "2"]) == 0
    assert set(contents(tmp_path / "out")) == {"clean.npz", "inputs.npz"}
    assert not (tmp_path / "out" / "vnnlib").exists()
    gone = 3 + 1 + (1 if form == "npz" else 2)  # properties, their list, networks
    assert f"removed {gone} files of an earlier export" in capsys.readouterr().err


def test_an_export_that_fails_removes_nothing(folder, tmp_path, monkeypatch, capsys):
    words = [str(folder), "--out", str(tmp_path / "out"), "--force", *BOXES]
    assert export.main([*words, "0.01", "--samples", "2"]) == 0
    before = set(contents(tmp_path / "out"))
    capsys.readouterr()
    write = export._properties
    monkeypatch.setattr(export, "_properties", lambda *given: {
        name: (lambda: 1 / 0) for name in write(*given)})
    assert export.main([*words, "0.03", "--samples", "2"]) == 2
    assert before <= set(contents(tmp_path / "out"))


def test_claims_are_not_replaced_by_their_verdicts(tmp_path, capsys, monkeypatch):
    file = tmp_path / "own.py"
    file.write_text("")
    task = verify._Task("", "", "verify-smoke", "smoke", (), (), {}, {}, ())
    monkeypatch.setattr(verify, "_task", lambda arguments: task)
    (tmp_path / "verify-smoke").mkdir()
    os.link(file, tmp_path / "verify-smoke" / "report.html")
    assert verify.main(["--claims-from", str(file), "--out", str(tmp_path), "--dry-run"]) == 2
    assert f"report.html: {READ}" in one_line(capsys)


def test_the_files_of_a_run_are_those_that_it_is_read_from(folder):
    names = {path.name for path in RunFolder(folder).files()}
    hashed = json.loads((folder / "status.json").read_text(encoding="utf-8"))["files"]
    assert names == {"config.json", "rules.json", "status.json", *hashed}
    assert "verdicts.csv" in names
