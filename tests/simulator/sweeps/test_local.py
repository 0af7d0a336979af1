"""A sweep gives the same bytes however it is done, and no run can take another with it."""

import json
import math
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from scripts import sweep as command
from simulator.errors import RunError, Unavailable
from simulator.experiments import preset
from simulator.experiments.feature_purification import run as simulation
from simulator.experiments.feature_purification.cost import cost
from simulator.runs.files import locked, read_csv
from simulator.runs.folder import RunFolder
from simulator.sweeps import local as sweep
from simulator.sweeps.plan import plan_runs, save_plan

from processes import run_script, start
from small import SMALL, small_config, small_flags
from sweeping import GRID, NAMES, TINY, digests

SETTINGS = preset("smoke") | SMALL

pytestmark = pytest.mark.usefixtures("brief_attacks")


def run_sweep(root, *flags):
    return command.main([*GRID, "--out", str(root), *flags])


@pytest.fixture(scope="module")
def serial(brief_attacks, tmp_path_factory):
    """The sweep done in this process, one run after the other."""
    root = tmp_path_factory.mktemp("serial")
    assert run_sweep(root, "--workers", "1") == 0
    return root


def test_processes_give_the_bytes_of_the_serial_sweep(serial, tmp_path):
    assert run_sweep(tmp_path, "--workers", "2") == 0
    assert digests(tmp_path) == digests(serial)
    assert len(digests(serial)) == 1 + 4 * len(NAMES)


def test_the_longest_runs_begin_first(tmp_path):
    """A long run that begins last would keep one process busy while the others have nothing."""
    configs = [small_config(**TINY | {"clean_steps": steps}) for steps in (10, 14, 12)]
    order = [outcome.config.clean_steps for outcome in sweep.processes(configs, tmp_path, 1)]
    assert order == [14, 12, 10]


def test_pieces_merge_to_the_bytes_of_the_serial_sweep(serial, tmp_path, capsys):
    for piece in ("2/3", "0/3", "1/3"):
        assert run_sweep(tmp_path, "--workers", "1", "--shard", piece) == 0
    assert not list(tmp_path.glob("*/summary.csv"))
    capsys.readouterr()
    assert command.main(["merge", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip().endswith("summary.csv")
    assert digests(tmp_path) == digests(serial)


def test_the_table_has_settings_hash_state_and_every_number(serial):
    (table,) = serial.glob("sweep-*/summary.csv")
    lines = table.read_text().splitlines()
    assert lines[0].startswith("seed,d,learning_rate,weight_decay,run,state,error,p,tau,boxes,"
                               "certified_samples,linear_r50,clean_accuracy,")
    assert "adversarial_r50" in lines[0] and len(lines) == 5
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["0", "20"], ["1", "20"], ["0", "24"], ["1", "24"]]


@pytest.mark.parametrize("grid", ["smoothing=0.05,0", "smoothing=0,0.05"])
def test_the_table_has_every_number_that_any_run_has(tmp_path, grid):
    """A smoothed network has no certificate: its cells are empty, whoever comes first."""
    flags = small_flags(**TINY, bracket_samples=3, bracket_nodes=2)
    assert command.main([*flags, "--grid", grid, "--workers", "1", "--out", str(tmp_path)]) == 0
    (table,) = tmp_path.glob("sweep-*/summary.csv")
    rows = {row["smoothing"]: row for row in read_csv(table)}
    for name in ("clean_certified_accuracy", "adversarial_r50_low",
                 "adversarial_bracket_0_certified", "clean_bracket_0_radius"):
        assert math.isnan(rows[0.05][name]) and rows[0.0][name] >= 0.0
    assert rows[0.0]["clean_accuracy"] >= 0.0 and rows[0.05]["clean_accuracy"] >= 0.0


def test_a_finished_sweep_is_not_done_again(serial, monkeypatch):
    before = digests(serial)
    monkeypatch.setattr(sweep, "run_one", None)
    assert run_sweep(serial, "--workers", "1") == 0
    assert digests(serial) == before


def test_a_finished_run_with_a_changed_file_is_not_believed(tmp_path, capsys, caplog):
    flags = [*small_flags(**TINY), "--out", str(tmp_path), "--workers", "1"]
    assert command.main(flags) == 0
    before = digests(tmp_path)
    (path,) = tmp_path.glob("smoke-*/arrays.npz")
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert command.main(flags) == 3
    assert "finished, but its files have changed since" in next(
        tmp_path.glob("sweep-*/summary.csv")).read_text()
    assert f"{path.parent}: arrays.npz changed or gone since it was finished" in caplog.text
    assert command.main([*flags, "--retry-failed"]) == 0
    assert digests(tmp_path) == before


def test_one_failing_run_loses_no_other(tmp_path, caplog):
    flags = [*small_flags(**TINY), "--grid", "learning_rate=0.1,1e6,0.2", "--out", str(tmp_path)]
    with caplog.at_level("INFO", "purify"):
        assert command.main([*flags, "--workers", "2"]) == 3
    assert "training diverged at step" in caplog.text
    (table,) = tmp_path.glob("sweep-*/summary.csv")
    states = [line.split(",")[3] for line in table.read_text().splitlines()[1:]]
    assert states == ["done", "diverged", "done"]
    before = table.read_bytes()
    assert command.main([*flags, "--workers", "1", "--retry-failed"]) == 3
    assert table.read_bytes() == before


@pytest.mark.parametrize("trouble", [
    MemoryError("no room\nat all"), OSError(28, "No space left on device"),
    Unavailable("arrays.npz: cannot be written: No space left on device")])
def test_trouble_of_the_node_is_tried_again_with_resume(tmp_path, monkeypatch, trouble):
    config = small_config(**TINY)

    def fail(self, network):
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr(simulation, "attacked", fail)
        (outcome,) = sweep.here([config], tmp_path)
    assert outcome.state == "unfinished" and "no" in outcome.error.lower()
    assert "\n" not in outcome.error and sweep.standing(tmp_path, config) == outcome
    with pytest.raises(RunError, match="add --resume"):
        sweep.left_to_do(tmp_path, [config])
    todo, _ = sweep.left_to_do(tmp_path, [config], resume=True)
    assert [again.state for again in sweep.here(todo, tmp_path)] == ["done"]


def test_how_runs_stand_is_one_line_that_says_what_does_the_rest():
    states = ["done", "failed", "done", "unfinished", "busy elsewhere"]
    assert sweep.tally(sweep.Outcome(small_config(), state) for state in states) == (
        "2 done, 1 failed (--retry-failed tries them again), "
        "1 unfinished (--resume continues them), 1 busy elsewhere")


NO_GUARD = """
from pathlib import Path
from small import small_config
from simulator.errors import RunError
from simulator.sweeps.local import processes

try:
    print([outcome.state for outcome in processes([small_config()], Path("runs"), 1)])
except RunError as error:
    print(error)
"""


def test_a_script_without_main_guard_is_one_line(tmp_path):
    (tmp_path / "script.py").write_text(NO_GUARD)
    done = run_script("script.py", cwd=tmp_path)
    assert done.stdout.startswith("sweep: expected a script that starts runs below if __name__")
    assert done.stdout.count("\n") == 1 and done.stderr == ""
    assert not (tmp_path / "runs").exists()


def test_a_script_that_cannot_be_imported_is_one_line():
    done = run_script("-", input=NO_GUARD)
    assert done.stdout.startswith("sweep: expected a script that worker processes can import, got")
    assert done.stdout.count("\n") == 1 and done.stderr == ""


WARNING = """
import numpy as np
from pathlib import Path
from scripts.command import guarded
from simulator.sweeps import local
from small import small_config

def overflow(config, root, stop):
    np.array([1e300]) * 1e300
    np.array([1.0]) / 0.0
    return local.Outcome(config, "diverged" if config.seed == 2 else "done")

local.run_one = overflow
if __name__ == "__main__":
    configs = [small_config(seed=seed) for seed in range(3)]
    guarded("sweep", lambda: [*local.processes(configs, Path("."), 2)] and 0, own=False)
"""


def test_what_numpy_warns_of_in_workers_is_one_line(tmp_path):
    (tmp_path / "script.py").write_text(WARNING)
    done = run_script("script.py", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ("warning: overflow encountered in multiply; "
                           "divide by zero encountered in divide\n")


def test_an_unexpected_error_is_recorded_and_can_be_tried_again(tmp_path, monkeypatch):
    config = small_config(**TINY)

    def fail(self, network):
        raise ArithmeticError("no sense\nat all")

    with monkeypatch.context() as patch:
        patch.setattr(simulation, "attacked", fail)
        (outcome,) = sweep.here([config], tmp_path)
    assert (outcome.state, outcome.error) == ("failed", "ArithmeticError: no sense")
    assert sweep.standing(tmp_path, config) == outcome
    assert sweep.left_to_do(tmp_path, [config]) == ([], [outcome])
    todo, _ = sweep.left_to_do(tmp_path, [config], retry_failed=True)
    assert [again.state for again in sweep.here(todo, tmp_path)] == ["done"]


def test_unfinished_runs_are_only_continued_with_resume(tmp_path, capsys):
    RunFolder.create(tmp_path, small_config(**TINY))
    flags = [*small_flags(**TINY), "--out", str(tmp_path), "--workers", "1"]
    assert command.main(flags) == 2
    assert "holds 1 unfinished runs of this sweep: add --resume" in capsys.readouterr().err
    assert command.main([*flags, "--resume"]) == 0


def test_a_run_that_another_process_works_on_is_left_alone(tmp_path):
    config = small_config(**TINY)
    folder = RunFolder.create(tmp_path, config)
    with locked(folder.path):
        (outcome,) = sweep.here([config], tmp_path)
    assert (outcome.state, outcome.error) == ("busy elsewhere", "")
    assert sweep.standing(tmp_path, config).state == "unfinished"


def test_a_run_that_cannot_be_taken_up_stays_as_it_was(tmp_path):
    """That of another version is finished there: it must not count as failed there either."""
    config = small_config(**TINY)
    folder = RunFolder.create(tmp_path, config)
    folder.write_status("interrupted", 2)
    folder.write_json("env.json", folder.read_json("env.json") | {"version": "0.1.0"})
    before = folder.status()
    (outcome,) = sweep.here([config], tmp_path)
    assert outcome.state == "failed" and "begun by version 0.1.0" in outcome.error
    assert folder.status() == before
    assert sweep.left_to_do(tmp_path, [config], resume=True)[0] == [config]


def test_a_folder_with_another_run_is_not_that_run_done(serial, tmp_path):
    own, other = (small_config(**TINY, d=20, seed=seed) for seed in (0, 7))
    shutil.copytree(RunFolder.of(serial, own).path, RunFolder.of(tmp_path, other).path)
    before = digests(tmp_path)
    (outcome,) = sweep.here([other], tmp_path)
    assert (outcome.state, outcome.error) == ("failed", "its folder holds another run")
    assert digests(tmp_path) == before


def test_damaged_status_files_are_failed_runs(tmp_path):
    config = small_config(**TINY)
    folder = RunFolder.create(tmp_path, config)
    (folder.path / "status.json").write_text("{")
    outcome = sweep.standing(tmp_path, config)
    assert outcome.state == "failed"
    assert outcome.error.startswith(f"{folder.path.name}/status.json: expected JSON")
    folder.write_json("config.json", small_config(**TINY, seed=3).to_dict())
    folder.write_status("running", 0)
    assert sweep.standing(tmp_path, config).error == "its folder holds another run"


def test_stop_ends_a_sweep_where_it_can_be_resumed(serial, tmp_path):
    plan = plan_runs(SETTINGS | TINY, {"d": [20, 24]}, seeds=2)
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 20

    outcomes = list(sweep.here(plan.configs, tmp_path, stop))
    assert outcomes[-1].state == "unfinished" and len(outcomes) < 4
    list(sweep.here(sweep.left_to_do(tmp_path, plan.configs, resume=True)[0], tmp_path))
    sweep.write_summary(save_plan(tmp_path, plan), plan)
    assert [value for key, value in digests(tmp_path).items() if "smoke" in key] == [
        value for key, value in digests(serial).items() if "smoke" in key]


def test_workers_have_a_core_and_memory_each(monkeypatch):
    configs = [small_config(seed=seed) for seed in range(50)]
    monkeypatch.setattr(sweep, "available_memory", lambda root: 1e15)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8), raising=False)
    assert sweep.worker_count(configs) == 8
    assert sweep.worker_count([small_config(threads=3)] * 9) == 2
    assert sweep.worker_count(configs, 40) == 40
    assert sweep.worker_count(configs[:3]) == 3
    monkeypatch.setattr(sweep, "available_memory", lambda root: 3.9 * cost(configs[0]).memory)
    assert sweep.worker_count(configs, 40) == 3
    monkeypatch.setattr(sweep, "available_memory", lambda root: 1.0)
    assert sweep.worker_count(configs) == 1
    assert sweep.worker_count([]) == 1


def test_workers_share_what_a_control_group_leaves(tmp_path):
    """A job of 700 MiB and one processor's time holds fewer runs than the machine would."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/job\n")
    group = tmp_path / "sys/fs/cgroup/job"
    group.mkdir(parents=True)
    configs = [small_config(seed=seed) for seed in range(50)]
    (group / "memory.max").write_text(f"{int(3.9 * cost(configs[0]).memory)}")
    assert sweep.worker_count(configs, 40, tmp_path) == 3
    (group / "cpu.max").write_text("100000 100000")
    assert sweep.worker_count(configs, None, tmp_path) == 1


def holders(path):
    """The processes that have a file open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(path):
                found.add(int(link.parts[2]))
        except OSError:  # another user's, or gone meanwhile
            pass
    return found


def kill_holders(path, kills):
    """Kill, so many times, whoever holds a file: the worker that does the run of this lock."""
    for _ in range(kills):
        while not (found := holders(path)):
            time.sleep(0.02)
        for process in found:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.3)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds the worker in /proc")
@pytest.mark.parametrize("kills, second", [
    (1, "1 done "),
    pytest.param(2, f"1 failed {sweep.KILLED}", marks=pytest.mark.slow)], ids=["once", "twice"])
def test_a_killed_worker_loses_no_run(tmp_path, kills, second):
    """Killed once, a run is continued; killed again while alone, it alone has failed."""
    configs = [small_config(**TINY | {"clean_steps": 1000 if seed == 1 else 12}, seed=seed)
               for seed in range(3)]
    lock = RunFolder.of(tmp_path, configs[1]).path / ".lock"
    killer = threading.Thread(target=kill_holders, args=(lock, kills), daemon=True)
    killer.start()
    outcomes = [f"{outcome.config.seed} {outcome.state} {outcome.error}"
                for outcome in sweep.processes(configs, tmp_path, 2)]
    assert sorted(outcomes) == ["0 done ", second, "2 done "]
    assert not killer.is_alive()


def test_workers_do_not_outlive_a_killed_sweep_and_it_goes_on_to_the_same_bytes(tmp_path):
    settings, killed = TINY | {"clean_steps": 800, "batch_size": 10}, tmp_path / "killed"
    flags = [*small_flags(**settings), "--seeds", "2", "--out", str(killed)]
    process = start("sweep", *flags, "--workers", "2")
    while len(list(killed.glob("smoke-*/checkpoint.npz"))) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    for folder in killed.glob("smoke-*"):
        with locked(folder, patience=10.0):  # nobody works there any more
            assert json.loads((folder / "status.json").read_text())["state"] == "running"
    assert command.main([*flags, "--workers", "1", "--resume"]) == 0
    whole = small_config(**settings, seed=1, threads=1)
    list(sweep.here([whole], tmp_path / "whole"))
    found = digests(killed)
    assert digests(tmp_path / "whole").items() <= found.items() and len(found) == 9


def test_an_interrupt_ends_a_sweep_with_checkpoints(tmp_path):
    flags = [*small_flags(clean_steps=10**6), "--seeds", "2", "--workers", "2"]
    process = start("sweep", *flags, "--out", str(tmp_path))
    while len(list(tmp_path.glob("smoke-*/checkpoint.npz"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "interrupted; add --resume" in error
    for status in tmp_path.glob("smoke-*/status.json"):
        assert json.loads(status.read_text())["state"] == "interrupted"


def test_a_summary_that_cannot_be_written_is_one_line(serial, monkeypatch, capsys):
    def refuse(path, content):
        raise RunError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(sweep, "write_atomic", refuse)
    assert run_sweep(serial, "--workers", "1") == 2
    assert "summary.csv: cannot be written: No space left" in capsys.readouterr().err


# --- means over seeds -------------------------------------------------------------------------


def test_means_are_over_the_seeds_of_runs_that_are_done():
    rows = [{"d": d, "seed": seed, "run": "x", "state": state, "error": "", "right": value}
            for d, seed, state, value in ((20, 0, "done", 0.5), (20, 1, "done", 0.7),
                                          (20, 2, "failed", 9.0), (40, 0, "done", 0.25))]
    rows[0]["rare"], rows[3]["word"] = math.nan, "linf"
    means = sweep._means(["d"], rows)
    half = stats.t.ppf(0.975, 1) * np.std([0.5, 0.7], ddof=1) / math.sqrt(2)
    assert [row["d"] for row in means] == [20, 40] and [row["seeds"] for row in means] == [2, 1]
    assert means[0]["right"] == pytest.approx(0.6)
    assert means[0]["right_mean_low"] == pytest.approx(0.6 - half)
    assert means[0]["right_mean_high"] == pytest.approx(0.6 + half)
    assert means[1] == {"d": 40, "seeds": 1, "right": 0.25}
