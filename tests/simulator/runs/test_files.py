"""Damage is seen, the previous checkpoint takes over, and a folder has one writer at a time."""

import dataclasses
import logging
import multiprocessing
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import simulator
from scripts import simulate as command
from simulator.errors import Busy, Damaged, RunError, Stopped
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.run import simulate
from simulator.runs.files import locked, read_npz, table_bytes
from simulator.runs.folder import RunFolder

from small import small_config, small_flags

ROOT = Path(simulator.__file__).parents[1]
RESULTS = ("arrays.npz", "metrics.csv", "summary.json")

pytestmark = pytest.mark.usefixtures("brief_attacks")


@pytest.fixture
def config():
    return small_config()


@pytest.fixture
def folder(tmp_path, config):
    return RunFolder.create(tmp_path, config)


def results_of(path):
    return {name: (path / name).read_bytes() for name in RESULTS}


def test_one_flipped_bit_anywhere_is_refused_or_changes_nothing(tmp_path):
    """Every byte of an archive: the arrays come back as they were, or not at all."""
    arrays = {"weights": np.arange(6.0).reshape(2, 3), "step": np.array(3)}
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    whole = path.read_bytes()
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << (place % 8)
        path.write_bytes(content)
        try:
            back = read_npz(path)
        except Damaged:
            continue
        assert set(back) <= set(arrays)
        for name, array in back.items():
            assert np.array_equal(array, arrays[name]) and array.dtype == arrays[name].dtype


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, weights=np.arange(6.0))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(Damaged):
            read_npz(path)


def test_a_header_of_absurd_size_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * 99)
    with pytest.raises(Damaged):
        read_npz(path)
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }" + b" " * 48
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.npy",
                         b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    with pytest.raises(Damaged):
        read_npz(path)


def test_no_module_can_run_code_from_a_file():
    """Nothing unpickles, evaluates or executes text."""
    forbidden = re.compile(r"\b(import (pickle|marshal|shelve|yaml)|pickle\.|allow_pickle=True|"
                           r"(?<![\w.])eval\(|(?<![\w.])exec\()")
    for package in ("simulator", "theory", "scripts"):
        for path in (ROOT / package).rglob("*.py"):
            assert not forbidden.search(path.read_text()), path


@pytest.mark.parametrize("name", ["../up", "a/b", "/etc", "a\\b", "..", "a.b", ""])
def test_a_name_cannot_leave_the_folder_of_runs(name):
    with pytest.raises(ValueError, match="expected letters, digits, - and _"):
        small_config(name=name)


def stopped_at(folder, config, stop_at, every):
    def stop(step, total, what):
        if step == stop_at:
            raise Stopped

    with pytest.raises(Stopped):
        simulate(config, folder, stop, checkpoint_every=every)


@pytest.fixture(scope="module")
def whole(brief_attacks, tmp_path_factory):
    """The run that nobody disturbed."""
    config = small_config()
    folder = RunFolder.create(tmp_path_factory.mktemp("whole"), config)
    simulate(config, folder)
    return folder


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_checkpoint_falls_back_to_the_previous_one(folder, config, tmp_path, caplog,
                                                             whole, damage):
    stopped_at(folder, config, 25, every=10)
    path = folder.path / "checkpoint.npz"
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 3]
    else:
        content[len(content) // 3] ^= 4
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "purify"):
        simulate(config, RunFolder.create(tmp_path, config, resume=True))
    assert "continuing from the previous checkpoint, step 20" in caplog.text
    assert results_of(folder.path) == results_of(whole.path)
    assert (folder.path / "checkpoint.damaged.npz").read_bytes() == content


def test_two_damaged_checkpoints_are_an_error_and_stay(folder, config):
    stopped_at(folder, config, 25, every=10)
    for name in ("checkpoint.npz", "checkpoint.previous.npz"):
        (folder.path / name).write_bytes(b"half")
    with pytest.raises(RunError, match="checkpoint.previous.npz: expected an archive of arrays"):
        simulate(config, folder)
    assert (folder.path / "checkpoint.npz").read_bytes() == b"half"


def test_a_kill_between_the_two_renames_loses_nothing(folder, config):
    stopped_at(folder, config, 25, every=10)
    (folder.path / "checkpoint.npz").rename(folder.path / "checkpoint.next.npz")
    assert int(folder.load_checkpoint(config)["step"]) == 20


def hold(path, ready):
    with locked(path):
        ready.set()
        time.sleep(60)


def test_a_folder_has_one_writer_and_a_dead_one_holds_nothing(folder, config):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=hold, args=(folder.path, ready))
    other.start()
    assert ready.wait(60)
    with pytest.raises(Busy, match="another process is working in this folder"):
        with locked(folder.path, patience=0.1):
            pass
    os.kill(other.pid, signal.SIGKILL)
    (folder.path / ".arrays.npz.x.part").write_bytes(b"left behind")
    with locked(folder.path, patience=10.0):
        pass
    other.join()
    assert not list(folder.path.glob("*.part"))


def test_two_commands_in_one_folder_are_one_line(folder, config, tmp_path, capsys, monkeypatch):
    with locked(folder.path):
        assert command.main([*small_flags(), "--out", str(tmp_path), "--resume"]) == 2
    error = capsys.readouterr().err
    assert "another process is working in this folder" in error and error.count("\n") == 1


def test_leftovers_of_a_kill_do_not_make_a_run(tmp_path, config):
    place = RunFolder.of(tmp_path, config).path
    place.mkdir()
    (place / ".config.json.abc.part").write_text("{")
    folder = RunFolder.create(tmp_path, config)
    (place / "env.json").unlink()
    RunFolder.create(tmp_path, config, resume=True)
    assert folder.read_json("env.json")["version"] == simulator.__version__


def test_a_run_of_another_version_is_not_continued(folder, config, tmp_path, caplog):
    stored = folder.read_json("env.json")
    folder.write_json("env.json", stored | {"version": "0.0.1"})
    with pytest.raises(RunError, match="begun by version 0.0.1, this is"):
        RunFolder.create(tmp_path, config, resume=True)
    folder.write_json("env.json", stored | {"numpy": "1.0"})
    with caplog.at_level(logging.WARNING, "purify"):
        RunFolder.create(tmp_path, config, resume=True)
    assert "numpy 1.0 -> " in caplog.text


def other_value(name, value):
    choices = {"dtype": ("float64", "float32")} | dict(PurificationConfig.CHOICES)
    if name in choices:
        return next(choice for choice in choices[name] if choice != value)
    return f"{value}x" if isinstance(value, str) else value + 1


@pytest.mark.parametrize("name", [name for name in PurificationConfig.types()
                                  if name != "name"])
def test_no_setting_can_change_between_a_kill_and_the_resume(folder, config, tmp_path, name,
                                                             caplog):
    """A run with another setting is another run: it begins in a folder of its own, and says so."""
    folder.save_checkpoint(config, {"x": np.zeros(1)})
    changed = dataclasses.replace(config, **{name: other_value(name, getattr(config, name))})
    with caplog.at_level(logging.WARNING, "purify"):
        other = RunFolder.create(tmp_path, changed, resume=True)
    assert re.search(rf"begun anew: the settings changed since .* \({name} ", caplog.text)
    assert other.path != folder.path and other.load_checkpoint(changed) is None


FULL = """
import resource, sys
from scripts.simulate import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def test_a_disk_that_fills_up_is_one_line_and_the_run_goes_on_later(whole, tmp_path):
    """No file may grow past a limit below the checkpoint's size, as on a full disk."""
    flags = [*small_flags(), "--out", str(tmp_path / "full"), "--no-figures"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", FULL, "6000", *flags], capture_output=True,
                          text=True, env=environment)
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert "checkpoint" in line and "cannot be written: File too large" in line
    (folder,) = (tmp_path / "full").iterdir()
    assert not list(folder.glob("*.npz"))
    assert command.main([*flags, "--resume"]) == 0
    assert results_of(folder) == results_of(whole.path)


def test_a_place_that_is_read_only_is_one_line(tmp_path, capsys, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert command.main([*small_flags(), "--out", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert "cannot be made: Read-only file system" in error and error.count("\n") == 1


def test_a_table_has_the_columns_of_its_first_row():
    assert table_bytes([{"a": 1, "b": 0.5}, {"b": float("nan"), "a": 2}]) == b"a,b\n1,0.5\n2,\n"
