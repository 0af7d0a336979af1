"""The commands as a user types them: results, messages, exit codes, nothing lost."""

import json
import os
import signal
import subprocess
import sys

import pytest

from scripts import cli, info, plot, simulate

from small import CERTIFIED, small_flags

FIGURES = {f"{name}.{kind}" for name in ("accuracy", "coefficients", "history", "perturbation")
           for kind in ("pdf", "png")}


def run_folder(root):
    (folder,) = root.iterdir()
    return folder


def test_simulate_runs_the_smoke_preset_from_data_to_figures(tmp_path, capsys):
    assert simulate.main(["--preset", "smoke", "--out", str(tmp_path)]) == 0
    folder = run_folder(tmp_path)
    assert {path.name for path in (folder / "figures").iterdir()} == FIGURES
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "env.json", "checkpoint.npz", "metrics.csv", "arrays.npz", "summary.json",
        "status.json", "figures", ".lock"}
    text = capsys.readouterr().out
    assert "mixture ratio" in text
    assert "certified to attacked accuracy on 50 samples, against ANY l2 perturbation" in text
    assert "(tau)" in text and "r50, certified to attacked" in text


@pytest.mark.parametrize("changes, words", [({}, "bracket_samples is 0"), (
    {"smoothing": 0.1, **CERTIFIED}, "a smoothed network has no certificate")])
def test_the_table_says_why_nothing_is_certified(tmp_path, capsys, changes, words):
    assert simulate.main([*small_flags(**changes), "--out", str(tmp_path), "--no-figures"]) == 0
    assert f"nothing certified: {words}" in capsys.readouterr().out


def test_json_stands_alone_on_stdout_and_a_finished_run_is_not_run_again(tmp_path, capsys):
    command = [*small_flags(), "--out", str(tmp_path), "--format", "json", "--no-figures"]
    assert simulate.main(command) == 0
    first = capsys.readouterr().out
    assert {"p", "tau", "linear_r50", "clean", "adversarial"} == set(json.loads(first))
    checkpoint = run_folder(tmp_path) / "checkpoint.npz"
    stamp = checkpoint.stat().st_mtime_ns
    assert simulate.main(command) == 0
    assert capsys.readouterr().out == first
    assert checkpoint.stat().st_mtime_ns == stamp


def test_a_run_can_be_repeated_from_its_own_config(tmp_path, capsys):
    flags = ["--no-figures", "--format", "json"]
    assert simulate.main([*small_flags(), "--out", str(tmp_path / "a"), *flags]) == 0
    first = capsys.readouterr().out
    config = run_folder(tmp_path / "a") / "config.json"
    assert simulate.main(["--config", str(config), "--out", str(tmp_path / "b"), *flags]) == 0
    assert capsys.readouterr().out == first


def test_settings_come_from_preset_then_file_then_flags(tmp_path, capsys):
    file = tmp_path / "run.toml"
    file.write_text('preset = "smoke"\nd = 30\nk = 2\nm = "2*d"\n')
    assert simulate.main(["--config", str(file), "--set", "k=3", "--seed", "7", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert '"d": 30' in text and '"k": 3' in text and '"m": 60' in text and '"seed": 7' in text
    assert "memory" in text and "Tflop" in text


def test_a_dry_run_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert simulate.main([*small_flags(), "--dry-run"]) == 0
    assert list(tmp_path.iterdir()) == []


BAD = [
    (["--set", "k=999"], "k: expected at most 50, got 999"),
    (["--set", "d=0"], "d: expected at least 1, got 0"),
    (["--set", "tau=-1"], "tau: expected at least 0.0, got -1.0"),
    (["--set", "noise=nan"], "noise: 'nan' is not a number setting"),
    (["--set", "noise=-1"], "noise: expected at least 0.0"),
    (["--set", "lerning_rate=1"], "did you mean learning_rate?"),
    (["--set", "d"], "--set d: expected KEY=VALUE"),
    (["--set", "d=a.b"], "expected numbers, settings"),
    (["--preset", "smok"], "did you mean smoke?"),
    (["--config", "missing.toml"], "missing.toml: cannot be read: No such file"),
    (["--seed", "x"], "seed: 'x' is not a number setting"),
    (["--dtype", "half"], "dtype: expected one of float64, float32, got 'half'"),
    (["--set", "c_weak=100"], "the events of a coordinate exclude each other"),
    (["--set", "d=1000000000"], "expected a run that fits into memory"),
    (["--resume"], "nothing to resume"),
    (["--set", "label_margin=40"], "expected a margin that codes of this k reach"),
]


@pytest.mark.parametrize("flags, message", BAD, ids=lambda value: " ".join(value)
                         if isinstance(value, list) else "")
def test_bad_input_is_one_line_with_exit_code_2_and_nothing_written(
        tmp_path, capsys, flags, message):
    out = tmp_path / "runs"
    flags = ["--preset", "smoke", *flags] if "--preset" not in flags else flags
    assert simulate.main([*flags, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1 and error.startswith("purify simulate: error: ")
    assert not out.exists() or not any(out.iterdir())


@pytest.mark.parametrize("text, message", [
    ("d = [1, 2]", "d: expected a number or a word, got a list"),
    ("[data]\nd = 3", "data: expected a number or a word, got a table"),
    ("d = ", "expected TOML"), ("preset = 3", "preset: expected a name, got 3"),
    ('d = "abc"', "d: 'abc' is not a number setting"), ("d = true", "expected a number, got True"),
    ("norm = 2", "norm: expected a word, got 2")])
def test_a_bad_config_file_is_one_line(tmp_path, capsys, text, message):
    file = tmp_path / "run.toml"
    file.write_text(text)
    assert simulate.main(["--config", str(file), "--out", str(tmp_path / "runs")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_json_config_that_is_no_object_is_one_line(tmp_path, capsys):
    (tmp_path / "c.json").write_text("[1]")
    assert simulate.main(["--config", str(tmp_path / "c.json")]) == 2
    assert "expected settings, got list" in capsys.readouterr().err
    (tmp_path / "c.json").write_bytes(b"\xff\xfe")
    assert simulate.main(["--config", str(tmp_path / "c.json")]) == 2
    assert "it is not text" in capsys.readouterr().err


def test_divergence_exits_with_3(tmp_path, capsys):
    assert simulate.main([*small_flags(learning_rate=1e6), "--out", str(tmp_path)]) == 3
    assert "diverged at step" in capsys.readouterr().err
    assert json.loads((run_folder(tmp_path) / "status.json").read_text())["state"] == "diverged"


def test_a_truncated_checkpoint_is_refused_and_kept(tmp_path, capsys):
    flags = [*small_flags(), "--out", str(tmp_path), "--no-figures"]
    assert simulate.main(flags) == 0
    folder = run_folder(tmp_path)
    (folder / "checkpoint.npz").write_bytes(b"half")
    (folder / "status.json").write_text('{"state": "interrupted"}')
    capsys.readouterr()
    assert simulate.main([*flags, "--resume"]) == 2
    assert "checkpoint.npz: expected an archive of arrays" in capsys.readouterr().err
    assert (folder / "checkpoint.npz").read_bytes() == b"half"


def test_a_finished_run_whose_files_changed_is_refused(tmp_path, capsys):
    flags = [*small_flags(), "--out", str(tmp_path), "--no-figures"]
    assert simulate.main(flags) == 0
    (run_folder(tmp_path) / "summary.json").write_text("{}")
    assert simulate.main(flags) == 2
    assert "its files have changed since" in capsys.readouterr().err
    assert plot.main([str(run_folder(tmp_path))]) == 2
    assert "done but has changed files" in capsys.readouterr().err


def test_plot_redraws_the_same_figures_from_the_folder(tmp_path, capsys):
    assert simulate.main([*small_flags(), "--out", str(tmp_path)]) == 0
    figures = run_folder(tmp_path) / "figures"
    before = {path.name: path.read_bytes() for path in figures.iterdir()}
    for path in figures.iterdir():
        path.unlink()
    capsys.readouterr()
    assert plot.main([str(run_folder(tmp_path))]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(FIGURES)
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == before


def test_plot_refuses_what_is_no_finished_run(tmp_path, capsys):
    assert plot.main([str(tmp_path)]) == 2
    assert "found no config.json" in capsys.readouterr().err


@pytest.mark.parametrize("changes", [{"norm": "linf", "tau": 0.05, **CERTIFIED},
                                     CERTIFIED, {"dictionary": "random"},
                                     {"labeler": "signs"}, {"tau": 0}, {"d": 5, "k": 1, "m": 1}],
                         ids=str)
def test_every_kind_of_run_can_be_drawn(tmp_path, changes):
    assert simulate.main([*small_flags(**changes), "--out", str(tmp_path)]) == 0


def test_info_prints_the_environment(capsys):
    assert info.main([]) == 0
    assert "numba" in capsys.readouterr().out
    assert info.main(["--format", "json"]) == 0
    assert "blas" in json.loads(capsys.readouterr().out)


def test_the_command_dispatches_and_explains_itself(capsys):
    assert cli.main([]) == 0
    assert "simulate" in capsys.readouterr().out
    assert cli.main(["info"]) == 0
    with pytest.raises(SystemExit) as stop:
        cli.main(["simulat"])
    assert stop.value.code == 2
    assert "expected one of" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        simulate.main(["--nonsense"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_interrupt_leaves_a_run_that_resumes(tmp_path):
    flags = [*small_flags(clean_steps=20000), "--out", str(tmp_path), "--no-figures"]
    process = subprocess.Popen([sys.executable, "-m", "scripts.simulate", *flags],
                               stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    while not list(tmp_path.glob("*/checkpoint.npz")):
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode == 130
    assert "interrupted; add --resume" in error
    status = json.loads((run_folder(tmp_path) / "status.json").read_text())
    assert status["state"] == "interrupted" and status["step"] > 0
