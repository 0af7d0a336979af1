"""``purify sweep`` as a user types it: what is listed, refused and left to do."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from scripts import sweep
from simulator.runs.folder import RunFolder

from small import small_flags

pytestmark = pytest.mark.usefixtures("brief_attacks")

QUICK = small_flags(clean_steps=3, adversarial_steps=2, test_samples=5)


BAD = [
    (["--grid", "d=20,k+"], "d: expected a number or an expression"),
    (["--grid", "d=20,"], "expected KEY=VALUE,VALUE"),
    (["--grid", "dd=20"], "dd: unknown setting; did you mean d?"),
    (["--grid", "d=20", "--grid", "d=30"], "expected each setting once"),
    (["--grid", "k=1,99"], "run with k=99: k: expected at most 20, got 99"),
    (["--seeds", "0"], "seeds: expected at least 1, got 0"),
    (["--shard", "2/2"], "expected i from 0 to n - 1 = 1, got 2"),
    (["--shard", "x"], "shard x: expected i/n"),
    (["--shard", ""], "shard : expected i/n"),
    (["--shard", "1/0"], "at least 1"),
    (["--preset", ""], "--preset: expected a name, got ''"),
    (["--workers", "0"], "workers: expected at least 1, got 0"),
    (["--grid", "d=20,10**9"], "expected a run that fits into memory"),
    (["--grid", "label_margin=0.5,40"], "expected a margin that codes of this k reach"),
    (["--config", "missing.toml"], "missing.toml: cannot be read"),
]


@pytest.mark.parametrize("flags, message", BAD, ids=lambda value: " ".join(value)
                         if isinstance(value, list) else "")
def test_bad_input_is_one_line_with_exit_code_2_and_nothing_written(
        tmp_path, capsys, flags, message):
    out = tmp_path / "runs"
    assert sweep.main([*small_flags(), *flags, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1 and error.startswith("purify sweep: error: ")
    assert not out.exists()


def test_merging_what_is_no_sweep_is_one_line(tmp_path, capsys):
    assert sweep.main(["merge", str(tmp_path)]) == 2
    assert "expected the folder of one sweep, found no plan.json" in capsys.readouterr().err


def test_a_sweep_can_be_written_in_a_file(tmp_path, capsys):
    file = tmp_path / "sweep.toml"
    file.write_text('preset = "smoke"\nseeds = 2\nm = 40\n[grid]\nd = [20, 30]\n'
                    'k = "round(d**0.3)"\n[[run]]\nc_weak = 1.0\n[[run]]\nc_weak = 0.5\n')
    flags = ["--config", str(file), "--out", str(tmp_path / "runs"), "--dry-run"]
    assert sweep.main([*flags, "--grid", "d=20,24"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9 and "8 runs" in lines[-1] and "estimates" in lines[-1]
    assert "d=24 k=3 c_weak=0.5" in lines[-2] and "missing" in lines[-2]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text, message", [
    ("grid = 3", "grid: expected a table"), ("run = 3", "run: expected tables"),
    ("run = [3]", "run: expected tables"), ("[grid]\nd = [[1]]", "expected a number or a word"),
    ("[grid]\nd = []", "d: expected at least one value"), ("[other]\nd = 3", "got a table"),
    ('seeds = "x"', "seeds: expected an integer"), ("[[run]]\nd = [3]", "got a list")])
def test_a_bad_sweep_file_is_one_line(tmp_path, capsys, text, message):
    file = tmp_path / "sweep.toml"
    file.write_text(text)
    assert sweep.main(["--config", str(file), "--out", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


# --- pieces, and what others do


def test_a_piece_beyond_the_runs_has_nothing_to_do(tmp_path, capsys):
    flags = [*QUICK, "--seeds", "2", "--out", str(tmp_path / "runs"), "--shard", "2/16"]
    for dry in ([], ["--dry-run"]):
        assert sweep.main([*flags, *dry]) == 0
        shown = capsys.readouterr()
        assert shown.out == "" and shown.err.startswith("nothing to do for shard 2/16")
    assert not (tmp_path / "runs").exists()


def test_half_a_number_in_a_grid_is_pointed_out(capsys):
    assert sweep.main([*QUICK, "--grid", "tau=0,25", "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "2 runs" in shown.out
    assert shown.err.count("\n") == 1 and "decimal comma, write 0.25" in shown.err


def test_a_run_that_another_process_does_is_no_failure(tmp_path, capsys, monkeypatch):
    from simulator.sweeps import local
    one = local.here

    def busy(configs, root, stop):
        for outcome in one(configs, root, stop):
            RunFolder.of(root, outcome.config).write_status("running", 1)
            yield replace(outcome, state="busy elsewhere")

    monkeypatch.setattr(local, "here", busy)
    assert sweep.main([*QUICK, "--workers", "1", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err.endswith("1 busy elsewhere\n")


def test_a_dry_run_tells_memory_disk_and_time(tmp_path, capsys):
    flags = [*QUICK, "--seeds", "2", "--workers", "1", "--out", str(tmp_path)]
    assert sweep.main([*flags, "--dry-run"]) == 0
    before = capsys.readouterr().out.splitlines()
    assert len(before) == 3 and all("missing" in line for line in before[:2])
    assert "MiB of memory" in before[-1] and "MiB of disk" in before[-1]
    assert sweep.main(flags) == 0
    capsys.readouterr()
    assert sweep.main([*flags, "--dry-run"]) == 0
    after = capsys.readouterr().out.splitlines()
    assert all("done" in line for line in after[:2])
    assert "0 MiB of disk and 0 s" in after[-1]


def test_a_list_that_nobody_reads_to_its_end_is_quiet():
    flags = ["--preset", "smoke", "--grid", "tau=0.1,0.2,0.3", "--seeds", "30", "--dry-run"]
    command = f"{sys.executable} -m scripts.sweep {' '.join(flags)} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True,
                          env=os.environ | {"PYTHONUNBUFFERED": "1"})
    assert done.stderr == "" and done.stdout.count("\n") == 1
