"""A run folder never holds half a file, never mixes two runs, and is only done if verified."""

import hashlib
import json
import logging
import os
import re
import stat

import numpy as np
import pytest

from simulator.errors import Busy, Damaged, Diverged, RunError
from simulator.experiments import stored_config
from simulator.runs.config import config_hash
from simulator.runs.files import locked, npz_bytes, sha256, write_npz
from simulator.runs.folder import RunFolder, environment, read_npz, write_atomic

from small import small_config


@pytest.fixture
def config():
    return small_config()


@pytest.fixture
def folder(tmp_path, config):
    return RunFolder.create(tmp_path, config)


def test_a_new_folder_is_named_by_its_settings_and_describes_them(folder, config):
    assert folder.path.name == f"smoke-{config_hash(config)}"
    assert stored_config(folder) == config
    assert folder.status()["state"] == "running"
    assert folder.read_json("env.json")["numpy"] == np.__version__
    assert not folder.is_done()


def test_an_unfinished_run_is_only_taken_up_with_resume(folder, config, tmp_path):
    with pytest.raises(RunError, match="unfinished run of these settings: add --resume"):
        RunFolder.create(tmp_path, config)
    assert RunFolder.create(tmp_path, config, resume=True).path == folder.path


def test_resuming_with_changed_settings_names_the_change(folder, tmp_path, caplog):
    changed = small_config(seed=3)
    with caplog.at_level(logging.WARNING, "purify"):
        other = RunFolder.create(tmp_path, changed, resume=True)
    assert other.path != folder.path
    assert re.search(r"begun anew: the settings changed since smoke-.* \(seed 0 -> 3\)",
                     caplog.text)


def test_resuming_where_nothing_was_started_starts(tmp_path, config, caplog):
    """One command for the first start and for every requeue."""
    with caplog.at_level(logging.WARNING, "purify"):
        first = RunFolder.create(tmp_path, config, resume=True)
    assert first.status()["state"] == "running" and caplog.text == ""
    assert RunFolder.create(tmp_path, config, resume=True).path == first.path


def test_two_that_begin_the_same_run_do_not_meet_in_its_folder(tmp_path, config, monkeypatch):
    """Whoever works in a folder clears it of half files: none may be on its way then."""
    written, write = [], RunFolder.write_json

    def meanwhile(self, name, content):
        with pytest.raises(Busy), locked(self.path, patience=0.0):
            pass
        written.append(name)
        write(self, name, content)

    monkeypatch.setattr(RunFolder, "write_json", meanwhile)
    RunFolder.create(tmp_path, config)
    assert written == ["config.json", "rules.json", "env.json", "status.json"]


def test_who_comes_second_at_the_begin_of_a_run_leaves_it_to_the_first(folder, config, tmp_path,
                                                                       monkeypatch):
    folder.write_status("running", 5)
    late = iter([False, True, False, True])
    monkeypatch.setattr(RunFolder, "_in_use", lambda self: next(late))
    with pytest.raises(Busy, match="another process has just begun this run"):
        RunFolder.create(tmp_path, config)
    assert RunFolder.create(tmp_path, config, resume=True).status()["step"] == 5


def test_a_diverged_run_says_so_and_at_which_step(folder, config, tmp_path):
    folder.write_status("diverged", 8, error=str(Diverged(11, float("nan"))))
    with pytest.raises(RunError, match=r"diverged \(training diverged at step 11: loss nan\): "
                       "change the settings, or add --resume to try again from its last good "
                       "state, step 8"):
        RunFolder.create(tmp_path, config)


def test_a_folder_from_before_a_setting_came_holds_the_same_run(folder, config, tmp_path):
    settings = {name: value for name, value in config.to_dict().items()
                if config.LATER.get(name) != value}
    assert len(settings) < len(config.to_dict())
    (folder.path / "config.json").write_text(json.dumps(settings, allow_nan=False))
    folder.write_status("interrupted", 8)
    assert RunFolder.create(tmp_path, config, resume=True).path == folder.path


def test_a_folder_of_another_run_is_left_alone(folder, config, tmp_path):
    other = config.to_dict() | {"seed": 5}
    folder.write_json("config.json", other)
    with pytest.raises(RunError, match=r"holds another run \(seed 5 -> 0\): choose another --out"):
        RunFolder.create(tmp_path, config, resume=True)
    assert folder.read_json("config.json") == other


def test_a_folder_with_foreign_files_is_left_alone(tmp_path, config):
    place = tmp_path / f"smoke-{config_hash(config)}"
    place.mkdir()
    (place / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="got a folder with other files"):
        RunFolder.create(tmp_path, config)
    assert [path.name for path in place.iterdir()] == ["thesis.tex"]


def test_a_run_folder_is_not_a_folder_for_runs(folder, config):
    with pytest.raises(RunError, match="expected a folder for runs, got a run folder"):
        RunFolder.create(folder.path, config)


def test_a_place_that_cannot_be_made_is_one_line(tmp_path, config):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made: Not a directory"):
        RunFolder.create(tmp_path / "file", config)


def test_done_means_that_every_hash_agrees(folder):
    folder.write_csv("metrics.csv", [{"step": 0, "r": 0.1}])
    folder.write_status("done", 3, ["metrics.csv"])
    assert folder.is_done()
    content = bytearray((folder.path / "metrics.csv").read_bytes())
    content[-2] ^= 1
    (folder.path / "metrics.csv").write_bytes(content)
    assert not folder.is_done()
    (folder.path / "metrics.csv").unlink()
    assert not folder.is_done()


def test_files_of_a_finished_run_that_changed_are_told_by_name_with_a_way_out(folder):
    names = ["config.json", "metrics.csv", "summary.json", "arrays.npz"]
    for name in names:
        (folder.path / name).write_text("whole")
    folder.write_status("done", 3, names)
    folder.require_unchanged()
    (folder.path / "summary.json").write_text("who")
    (folder.path / "arrays.npz").unlink()
    assert folder.changed() == ["summary.json", "arrays.npz"]
    with pytest.raises(RunError, match="got summary.json, arrays.npz changed or gone since: delete "
                       "the folder .* purify simulate --config .*config.json --out ANOTHER$"):
        folder.require_unchanged()
    (folder.path / "config.json").write_text("{}")
    with pytest.raises(RunError) as caught:
        folder.require_unchanged()
    assert "got config.json, summary.json" in str(caught.value)
    assert "--config" not in str(caught.value)  # it would be another run


def test_tables_keep_every_digit(folder):
    rows = [{"step": 1, "phase": "clean", "r": 0.1 + 0.2, "beta": float("nan")}]
    folder.write_csv("t.csv", rows)
    back = folder.read_csv("t.csv")[0]
    assert back["r"] == 0.1 + 0.2 and back["phase"] == "clean" and np.isnan(back["beta"])
    folder.write_csv("empty.csv", [])
    assert folder.read_csv("empty.csv") == []


def test_equal_arrays_give_equal_bytes(folder):
    folder.write_npz("a.npz", {"W": np.arange(5.0)})
    folder.write_npz("b.npz", {"W": np.arange(5.0)})
    assert (folder.path / "a.npz").read_bytes() == (folder.path / "b.npz").read_bytes()


def test_a_checkpoint_comes_back_bit_for_bit(folder, config):
    assert folder.load_checkpoint(config) is None
    W = np.random.default_rng(0).standard_normal((3, 4))
    folder.save_checkpoint(config, {"weights": W})
    assert np.array_equal(folder.load_checkpoint(config)["weights"], W)


def test_a_checkpoint_of_other_settings_is_refused(folder, config):
    folder.save_checkpoint(small_config(seed=1), {})
    with pytest.raises(RunError, match="belongs to other settings"):
        folder.load_checkpoint(config)


def test_a_foreign_archive_is_refused(folder, config):
    folder.write_npz("checkpoint.npz", {"x": np.zeros(2)})
    with pytest.raises(RunError, match="expected a checkpoint, got an archive of x"):
        folder.load_checkpoint(config)


def test_a_checkpoint_of_another_format_is_refused(folder, config):
    folder.write_npz("checkpoint.npz", {"format": np.array(99), "config_hash": np.array("a")})
    with pytest.raises(RunError, match="expected format 2, got 99"):
        folder.load_checkpoint(config)


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text"])
def test_a_damaged_checkpoint_is_refused(folder, config, damage):
    folder.save_checkpoint(config, {"weights": np.random.default_rng(0).random(1000)})
    path = folder.path / "checkpoint.npz"
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "empty":
        content = bytearray()
    else:
        content = bytearray(b"not an archive")
    path.write_bytes(content)
    with pytest.raises(RunError, match="damaged or foreign file"):
        folder.load_checkpoint(config)


def test_an_archive_of_objects_is_never_unpickled(tmp_path):
    np.savez(tmp_path / "evil.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(RunError, match="damaged or foreign"):
        read_npz(tmp_path / "evil.npz")
    with pytest.raises(RunError, match="cannot be read"):
        read_npz(tmp_path / "missing.npz")


def test_bad_json_is_refused(folder):
    (folder.path / "config.json").write_text('{"d": ')
    with pytest.raises(RunError, match="expected JSON, got something else or half a file"):
        stored_config(folder)
    (folder.path / "config.json").write_text("[1]")
    with pytest.raises(RunError, match="expected a JSON object, got list"):
        stored_config(folder)
    (folder.path / "config.json").write_text("{}")
    with pytest.raises(RunError, match="expected a value, got none"):
        stored_config(folder)
    with pytest.raises(RunError, match="cannot be read: No such file"):
        folder.read_json("missing.json")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="found no config.json"):
        RunFolder.existing(tmp_path)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, failing):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(RunError, match="cannot be written: No space left on device"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_archive_written_piece_by_piece_has_the_bytes_of_the_one_in_memory(tmp_path):
    arrays = {"a": np.arange(5.0), "empty": np.zeros((0, 3)), "word": np.array("x")}
    write_npz(tmp_path / "a.npz", arrays)
    content = npz_bytes(arrays)
    assert (tmp_path / "a.npz").read_bytes() == content
    assert sha256(tmp_path / "a.npz") == hashlib.sha256(content).hexdigest()


def test_files_can_be_read_by_others(tmp_path):
    write_atomic(tmp_path / "file", b"x")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) & 0o044 == 0o044


def test_the_environment_is_plain_data():
    facts = environment(2)
    assert json.loads(json.dumps(facts)) == facts
    assert {"numpy", "numba", "scipy", "blas", "processor", "threads"} <= set(facts)


@pytest.mark.parametrize("status, message", [
    ({"state": "running", "files": [1]}, r"files: expected a table, got \[1\]"),
    ({"state": 3}, "state: expected a word, got 3"),
    ({"state": "done", "step": "x"}, "step: expected an integer, got 'x'"),
    ({"state": "failed", "error": None}, "error: expected a word, got None")])
def test_a_status_of_another_kind_is_named(folder, status, message):
    (folder.path / "status.json").write_text(json.dumps(status))
    for ask in (folder.status, folder.is_done):
        with pytest.raises(Damaged, match=f"status.json: {message}"):
            ask()


def stored(folder, config, **changes):
    """Write a checkpoint, then change what is in it behind the product's back."""
    folder.save_checkpoint(config, {"step": np.array(3), "weights": np.ones((4, 2)),
                                    "bias": np.array(0.5)})
    path = folder.path / "checkpoint.npz"
    with np.load(path) as archive:
        arrays = dict(archive) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize("changes, message", [
    ({"weights": None}, r"expected weights float64 \(4, 2\), got nothing in its place"),
    ({"weights": np.ones(3)}, r"expected weights float64 \(4, 2\), got weights float64 \(3,\)"),
    ({"weights": np.ones((4, 2), np.float32)}, r"got weights float32 \(4, 2\)"),
    ({"extra": np.ones(1)}, r"expected nothing in its place, got extra float64 \(1,\)"),
    ({"step": None}, r"expected step int64 \(\), got nothing in its place"),
    ({"format": None}, "expected a checkpoint, got an archive of bias, step, weights"),
    ({"format": np.array([9, 9])}, r"expected format 2, got \[9, 9\]"),
    ({"config_hash": np.array("0")}, "expected a checkpoint of run")])
def test_a_changed_checkpoint_is_refused_by_name(folder, config, changes, message):
    stored(folder, config, **changes)
    with pytest.raises(RunError, match=rf"checkpoint.npz: .*{message}"):
        folder.load_checkpoint(config)


def test_a_checkpoint_comes_back_as_it_was_also_from_before_manifests(folder, config):
    for changes in ({}, {"manifest": None}):
        stored(folder, config, **changes)
        state = folder.load_checkpoint(config)
        assert set(state) == {"step", "weights", "bias"} and state["weights"].shape == (4, 2)


def test_a_changed_checkpoint_gives_way_to_the_one_before(folder, config, caplog):
    folder.save_checkpoint(config, {"step": np.array(1), "weights": np.zeros((4, 2))})
    stored(folder, config, weights=None)
    assert int(folder.load_checkpoint(config)["step"]) == 1
    assert "continuing from the previous checkpoint, step 1" in caplog.text


def test_an_unfinished_run_of_the_version_before_is_refused_in_one_line(tmp_path):
    """Its checkpoint has another format, and no version would end with its bits."""
    config = small_config()
    folder = RunFolder.create(tmp_path, config)
    folder.write_json("env.json", folder.read_json("env.json") | {"version": "0.1.0"})
    with pytest.raises(RunError, match=r"begun by version 0\.1\.0, this is (?!0\.1\.)"):
        RunFolder.create(tmp_path, config, resume=True)
