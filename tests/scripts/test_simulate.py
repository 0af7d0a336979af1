"""``purify simulate`` as a user types it: results, messages, exit codes, nothing lost."""

import json
import signal
import subprocess
import time

import pytest

from scripts import simulate
from simulator.experiments import simulate as run_in_memory
from simulator.experiments.feature_purification.config import PurificationConfig

from processes import start
from small import CERTIFIED, small_config, small_flags

RUN = small_flags(**CERTIFIED)
FIGURES = {f"{name}.{kind}" for name in ("accuracy", "coefficients", "history", "perturbation")
           for kind in ("pdf", "png")}
FAST = {"clean_steps": 3, "adversarial_steps": 2, "test_samples": 5}

pytestmark = pytest.mark.usefixtures("brief_attacks")


def the(root):
    (folder,) = root.iterdir()
    return folder


def one_line(capsys, command="simulate"):
    """The only line on stderr, of a command that printed nothing else."""
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and error.startswith(f"purify {command}: ")
    return error


# --- a run from data to figures


def test_a_run_leaves_everything_that_it_found(finished):
    folder = the(finished)
    assert {path.name for path in (folder / "figures").iterdir()} == FIGURES
    assert {path.name for path in folder.iterdir()} >= {
        "config.json", "env.json", "checkpoint.npz", "metrics.csv", "arrays.npz", "summary.json",
        "status.json", "figures"}
    assert not [path for path in folder.rglob("*.part")]


def test_the_numbers_are_shown_in_words_and_fit_a_terminal(runs, capsys):
    assert simulate.main([*RUN, "--out", str(runs)]) == 0
    text = capsys.readouterr().out
    for words in ("clean", "adversarial", "clean accuracy", "mixture ratio", "purity", "tau",
                  "certified", "4 samples"):
        assert words in text
    assert "_" not in text.replace("z_j", "")  # words, not the keys of the summary
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("changes, words", [({}, "bracket_samples is 0"), (
    {"smoothing": 0.1, **CERTIFIED}, "a smoothed network has no certificate")])
def test_the_table_says_why_nothing_is_certified(tmp_path, capsys, changes, words):
    flags = [*small_flags(**FAST | changes), "--out", str(tmp_path), "--no-figures"]
    assert simulate.main(flags) == 0
    assert f"nothing certified: {words}" in capsys.readouterr().out
    assert not (the(tmp_path) / "figures").exists()


def test_a_finished_run_is_shown_again_and_neither_run_nor_drawn(runs, folder, capsys):
    files = [*folder.rglob("*.npz"), *folder.glob("figures/*")]
    stamps = [path.stat().st_mtime_ns for path in files]
    for flags in ([], ["--resume"]):
        assert simulate.main([*RUN, "--out", str(runs), *flags]) == 0
        shown = capsys.readouterr()
        assert "clean accuracy" in shown.out
        assert "was there already" in shown.err and "purify plot" in shown.err
    assert [path.stat().st_mtime_ns for path in files] == stamps


def test_json_stands_alone_on_stdout_and_is_strict(runs, folder, capsys):
    assert simulate.main([*RUN, "--out", str(runs), "--format", "json"]) == 0

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found == json.loads((folder / "summary.json").read_text(), parse_constant=refuse)


def test_a_run_can_be_repeated_from_its_own_config(runs, folder, tmp_path, capsys):
    flags = ["--format", "json", "--no-figures"]
    assert simulate.main([*RUN, "--out", str(runs), *flags]) == 0
    first = capsys.readouterr().out
    config = folder / "config.json"
    assert simulate.main(["--config", str(config), "--out", str(tmp_path / "again"), *flags]) == 0
    assert capsys.readouterr().out == first


# --- where settings come from


def dry(arguments, capsys):
    """The settings that a command resolves to."""
    assert simulate.main([*arguments, "--dry-run"]) == 0
    text = capsys.readouterr().out
    return json.loads(text[:text.index("\n}") + 2])


def test_settings_come_from_preset_then_file_then_flags(tmp_path, capsys):
    file = tmp_path / "run.toml"
    file.write_text('preset = "smoke"\nd = 30\nk = 2\nm = "2*d"\n')
    found = dry(["--config", str(file), "--set", "k=3", "--seed", "7"], capsys)
    assert (found["d"], found["k"], found["m"], found["seed"]) == (30, 3, 60, 7)


@pytest.mark.parametrize("flag", ["--paper", "--model"])
@pytest.mark.parametrize("words, model", [
    (("feature_purification", "purification"), "purification"),
    (("structured_features", "structured", "patches"), "patches"),
    (("ntk_evolution", "ntk"), "ntk"), (("winning_tickets", "tickets"), "tickets")])
def test_a_paper_has_a_name_and_short_names(capsys, flag, words, model):
    for word in words:
        assert dry([flag, word, "--preset", "smoke"], capsys)["model"] == model


def test_the_paper_of_a_stored_config_is_known(folder, capsys):
    config = str(folder / "config.json")
    assert dry(["--config", config], capsys)["model"] == "purification"
    assert simulate.main(["--config", config, "--paper", "ntk", "--dry-run"]) == 2
    assert "expected a run of ntk_evolution, got one of feature_purification" in one_line(capsys)


def test_the_config_of_a_run_keeps_its_rules(tmp_path, capsys):
    settings = {"d": 20, "k": 2}
    flags = ["--preset", "smoke", *(f"--set={key}={value}" for key, value in settings.items()),
             "--set=clean_steps=5", "--set=adversarial_steps=2", "--set=test_samples=5",
             "--set=bracket_samples=0", "--out", str(tmp_path), "--no-figures"]
    assert simulate.main(flags) == 0
    capsys.readouterr()
    config = the(tmp_path) / "config.json"
    found = dry(["--config", str(config), "--set", "d=40"], capsys)
    assert (found["d"], found["m"]) == (40, 120)


def test_a_preset_beside_the_config_of_a_run_is_refused(folder, capsys):
    config = folder / "config.json"
    for name in ("desk", json.loads(config.read_text())["name"]):
        assert simulate.main(["--config", str(config), "--preset", name, "--dry-run"]) == 2
        error = one_line(capsys)
        assert f"--preset {name}: expected no preset beside {config}" in error


def test_what_the_config_of_an_older_run_lacks_is_what_that_run_did(folder, tmp_path, capsys):
    """A preset of today would train low-complexity learners, and it would be another run."""
    held = json.loads((folder / "config.json").read_text())
    later = PurificationConfig.LATER
    older = {key: value for key, value in held.items() if key not in later}
    (tmp_path / "config.json").write_text(json.dumps(older))
    found = dry(["--config", str(tmp_path / "config.json")], capsys)
    assert found == held | {key: found[key] for key in later}
    assert PurificationConfig.from_settings(found) == PurificationConfig.from_settings(older)


def test_a_preset_gives_what_a_file_leaves_and_is_stronger_than_that_in_it(tmp_path, capsys):
    file = tmp_path / "run.toml"
    file.write_text('preset = "smoke"\nd = 30\n')
    found = dry(["--config", str(file), "--preset", "lottery"], capsys)
    assert (found["name"], found["d"], found["m"]) == ("lottery", 30, 600)


@pytest.mark.parametrize("name, content", [
    ("run.toml", b'\xef\xbb\xbfpreset = "smoke"\r\nd = 30\r\n'),
    ("run.json", b'\xef\xbb\xbf{"preset": "smoke", "d": 30}')])
def test_a_file_of_a_windows_editor_is_read(tmp_path, capsys, name, content):
    (tmp_path / name).write_bytes(content)
    assert dry(["--config", str(tmp_path / name)], capsys)["d"] == 30


def test_a_dry_run_tells_the_cost_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert simulate.main([*RUN, "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("memory", "disk", "Tflop", "time"))
    assert list(tmp_path.iterdir()) == []


def test_a_slow_machine_has_a_rate_too(monkeypatch, capsys):
    from simulator.runs import cost
    monkeypatch.setattr(cost, "gemm_rate", lambda product, dtype, threads: 3.14e8)
    assert simulate.main([*RUN, "--dry-run"]) == 0
    assert ": 0.314 Gflop/s)" in capsys.readouterr().out


# --- bad input

BAD = [
    (["--set", "k=999"], "k: expected at most 50, got 999"),
    (["--set", "d=0"], "d: expected at least 1, got 0"),
    (["--set", "d=1e308"], "d: "),
    (["--set", "tau=-1"], "tau: expected at least 0.0, got -1.0"),
    (["--set", "tau=0,3"], "tau: "),
    (["--set", "norm=linf", "--set", "tau=0.3"], "tau: expected less than 0.5/sqrt(k) = 0.2887"),
    (["--set", "norm=linf", "--set", "tau=0.3", "--dry-run"], "tau: expected less than 0.5"),
    (["--set", "noise=nan"], "noise: 'nan' is not a number setting"),
    (["--set", "noise=-1"], "noise: expected at least 0.0"),
    (["--set", "lerning_rate=1"], "did you mean learning_rate?"),
    (["--set", "d"], "--set d: expected KEY=VALUE"),
    (["--set", "d="], "--set d=: expected KEY=VALUE"),
    (["--set", "d=a.b"], "expected numbers, settings"),
    (["--set", f"name={'a' * 300}"], "name"),
    (["--preset", "smok"], "did you mean smoke?"),
    (["--preset", ""], "--preset: expected a name, got ''"),
    (["--paper", ""], "--paper: expected a name, got ''"),
    (["--model", " "], "--paper: expected a name, got ' '"),
    (["--paper", "purificatoin"], "did you mean purification?"),
    (["--preset", "transition"], "--paper structured_features"),
    (["--config", "missing.toml"], "missing.toml: cannot be read: No such file"),
    (["--config", "."], ".: cannot be read"),
    (["--seed", "x"], "seed: 'x' is not a number setting"),
    (["--dtype", "half"], "dtype: expected one of float64, float32, got 'half'"),
    (["--set", "c_weak=100"], "the events of a coordinate exclude each other"),
    (["--set", "d=1000000000"], "expected a run that fits into memory"),
    (["--set", "label_margin=40"], "expected a margin that codes of this k reach"),
]


@pytest.mark.parametrize("flags, message", BAD, ids=lambda value: " ".join(value)[:40]
                         if isinstance(value, list) else "")
def test_bad_input_is_one_line_with_exit_code_2_and_nothing_written(
        tmp_path, capsys, flags, message):
    out = tmp_path / "runs"
    flags = ["--preset", "smoke", *flags] if "--preset" not in flags else flags
    assert simulate.main([*flags, "--out", str(out)]) == 2
    assert message in one_line(capsys)
    assert not out.exists() or not any(out.iterdir())


@pytest.mark.parametrize("name, text, message", [
    ("a.toml", "d = [1, 2]", "d: expected a number or a word, got a list"),
    ("a.toml", "[data]\nd = 3", "data: expected a number or a word, got a table"),
    ("a.toml", "d = ", "expected TOML"),
    ("a.toml", "preset = 3", "preset: expected a name, got 3"),
    ("a.toml", 'd = "abc"', "d: 'abc' is not a number setting"),
    ("a.toml", "d = true", "expected a number, got True"),
    ("a.toml", "norm = 2", "norm: expected a word, got 2"),
    ("a.toml", 'model = "moons"', "moons"),
    ("a.toml", f"d = {'[' * 50_000}{']' * 50_000}", "nested too deep"),
    ("a.json", f'{{"noise": 1{"0" * 400}}}', "noise: "),
    ("a.json", "[1]", "expected settings, got list"),
    ("a.json", b"\xff", "cannot be read")])
def test_a_bad_config_file_is_one_line(tmp_path, capsys, name, text, message):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert simulate.main(["--config", str(file), "--out", str(tmp_path / "runs")]) == 2
    assert message in one_line(capsys)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["runs", "runs/inner"])
def test_a_place_that_is_a_file_is_one_line(tmp_path, capsys, name):
    (tmp_path / "runs").write_text("")
    assert simulate.main([*RUN, "--out", str(tmp_path / name)]) == 2
    assert str(tmp_path / name) in one_line(capsys)


# --- what is already there


def test_a_run_that_was_interrupted_needs_resume(runs, unfinished, capsys):
    assert simulate.main([*RUN, "--out", str(runs)]) == 2
    assert "holds an unfinished run of these settings: add --resume" in one_line(capsys)
    assert simulate.main([*RUN, "--out", str(runs), "--resume", "--no-figures"]) == 0


def test_resume_starts_where_nothing_is(tmp_path, capsys):
    flags = [*small_flags(**FAST), "--no-figures"]
    assert simulate.main([*flags, "--out", str(tmp_path / "new"), "--resume"]) == 0
    assert "clean accuracy" in capsys.readouterr().out


def test_divergence_exits_with_3_and_is_known_the_next_time(tmp_path, capsys):
    command = [*small_flags(learning_rate=1e6), "--out", str(tmp_path)]
    assert simulate.main(command) == 3
    assert "diverged at step" in one_line(capsys)
    status = (the(tmp_path) / "status.json").read_bytes()
    assert json.loads(status)["state"] == "diverged"
    assert simulate.main(command) == 3
    error = one_line(capsys)
    assert "diverged at step" in error and "the same settings diverge again" in error
    assert (the(tmp_path) / "status.json").read_bytes() == status
    assert simulate.main([*command, "--resume"]) == 3
    assert "diverged at step" in one_line(capsys)


@pytest.mark.parametrize("changes", [{"init_scale": 1e300}, {"noise": 1e300}], ids=str)
def test_numbers_that_overflow_are_one_line(tmp_path, capsys, changes):
    code = simulate.main([*small_flags(**changes), "--out", str(tmp_path), "--no-figures"])
    assert code in (2, 3)
    one_line(capsys)


def test_a_truncated_checkpoint_is_refused_and_kept(runs, unfinished, capsys):
    (unfinished / "checkpoint.npz").write_bytes(b"half")
    assert simulate.main([*RUN, "--out", str(runs), "--resume"]) == 2
    assert "checkpoint.npz: expected an archive of arrays" in one_line(capsys)
    assert (unfinished / "checkpoint.npz").read_bytes() == b"half"


@pytest.mark.parametrize("name, content", [("summary.json", "{}"), ("status.json", "half"),
                                           ("status.json", '{"state": "done", "files": [1]}'),
                                           ("config.json", "[]"), ("config.json", "{}")])
def test_a_run_whose_files_were_changed_is_refused_by_name(runs, folder, capsys, name, content):
    (folder / name).write_text(content)
    assert simulate.main([*RUN, "--out", str(runs)]) == 2
    assert folder.name in one_line(capsys)


def test_a_run_with_half_a_file_is_done_again_as_the_error_says(runs, folder, tmp_path, capsys):
    whole = (folder / "summary.json").read_bytes()
    (folder / "summary.json").write_bytes(whole[:100])
    assert simulate.main([*RUN, "--out", str(runs)]) == 2
    error = one_line(capsys)
    assert "got summary.json changed or gone since" in error
    words = error.partition("purify simulate --config ")[2].split()
    assert simulate.main(["--config", words[0], "--out", str(tmp_path / "again"),
                          "--no-figures"]) == 0
    assert (tmp_path / "again" / folder.name / "summary.json").read_bytes() == whole


# --- drawing changes nothing


def fresh(out, *flags):
    return simulate.main([*small_flags(**FAST), "--out", str(out), *flags])


def test_no_trouble_with_figures_changes_the_exit_code(tmp_path, monkeypatch, capsys):
    import theory

    def broken(*arguments):
        raise RuntimeError("no font\nfound")

    monkeypatch.setattr(theory, "draw_run", broken)
    assert fresh(tmp_path) == 0
    shown = capsys.readouterr()
    assert "clean accuracy" in shown.out
    assert [line for line in shown.err.splitlines() if "no figures" in line
            and "no font found" in line]


def test_figures_that_are_a_file_are_one_line(tmp_path, monkeypatch, capsys):
    from simulator.runs.folder import RunFolder
    finish = RunFolder.finish

    def spoilt(folder, step, extras):
        (folder.path / "figures").write_text("")
        finish(folder, step, extras)

    monkeypatch.setattr(RunFolder, "finish", spoilt)
    assert fresh(tmp_path) == 0
    shown = capsys.readouterr()
    assert "clean accuracy" in shown.out
    assert len([line for line in shown.err.splitlines() if "no figures" in line]) == 1


def test_the_table_is_printed_before_anything_is_drawn(tmp_path, monkeypatch, capsys):
    import theory
    before = []
    monkeypatch.setattr(theory, "draw_run", lambda *arguments: before.append(
        capsys.readouterr().out))
    assert fresh(tmp_path) == 0
    assert "clean accuracy" in before[0]


def test_an_interrupt_while_figures_are_drawn_says_that_the_run_is_complete(
        tmp_path, monkeypatch, capsys):
    import theory

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(theory, "draw_run", interrupted)
    assert fresh(tmp_path) == 130
    shown = capsys.readouterr()
    assert "clean accuracy" in shown.out and "is complete" in shown.err
    assert fresh(tmp_path) == 0


@pytest.mark.parametrize("changes", [
    {"norm": "linf", "tau": 0.05, **CERTIFIED}, {"d": 5, "k": 1, "m": 1, "tau": 0},
    *(pytest.param(changes, marks=pytest.mark.slow) for changes in (
        {"dictionary": "random"}, {"labeler": "signs"}, {"tau": 0}, {"d": 5, "k": 1, "m": 1}))],
    ids=str)
def test_every_kind_of_run_can_be_drawn(changes):
    """As figures, not as files: those of one run are looked at above."""
    import theory
    drawn = theory.figures(run_in_memory(small_config(**FAST | changes)))
    assert {f"{name}.{kind}" for name in drawn for kind in ("pdf", "png")} == FIGURES
    for figure in drawn.values():
        figure.draw_without_rendering()  # ticks and texts are made here, or fail here


# --- the process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_run_that_resumes(tmp_path, number):
    process = start("simulate", *small_flags(clean_steps=20000), "--out", str(tmp_path),
                    "--no-figures")
    while not list(tmp_path.glob("*/checkpoint.npz")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(number)
    error = process.communicate()[1]
    assert process.returncode == 130
    assert error.endswith(f"interrupted; add --resume to continue {the(tmp_path)}\n")
    status = json.loads((the(tmp_path) / "status.json").read_text())
    assert status["state"] == "interrupted" and status["step"] > 0


@pytest.mark.slow  # in the default suite tests/theory/drawing/test_style.py asks for such a backend
def test_the_backend_of_a_notebook_does_not_matter(tmp_path):
    process = start("simulate", *small_flags(**FAST), "--out", str(tmp_path),
                    variables={"MPLBACKEND": "module://no_such_backend"}, stdout=subprocess.PIPE)
    out, error = process.communicate()
    assert process.returncode == 0 and "clean accuracy" in out
    assert "no figures" not in error
    assert {path.name for path in the(tmp_path).glob("figures/*")} == FIGURES
