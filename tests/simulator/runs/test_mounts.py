"""Files on the mounts, with the umasks and under the memory limits that clusters have."""

import errno
import json
import logging
import os
import stat

import pytest

from simulator.errors import RunError, Unavailable
from simulator.runs import files
from simulator.runs.folder import RunFolder

from small import small_config


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(files, "_warned", set())


def refuse(number, only_folders):
    """An ``os.fsync`` that a file system does not offer, for folders or for all."""
    flush = os.fsync

    def fsync(descriptor):
        if not only_folders or stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)
    return fsync


@pytest.mark.parametrize("only_folders", [True, False])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_where_nothing_can_be_flushed_files_are_written_with_one_warning(
        tmp_path, monkeypatch, caplog, number, only_folders):
    monkeypatch.setattr(os, "fsync", refuse(number, only_folders))
    with caplog.at_level(logging.WARNING, "purify"):
        for content in (b"one", b"two"):
            files.write_atomic(tmp_path / "a.json", content)
    assert (tmp_path / "a.json").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert len(caplog.messages) == (1 if only_folders else 2)
    assert "cannot be flushed to disk here" in caplog.text


def test_a_run_folder_is_made_where_no_folder_can_be_flushed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL, True))
    folder = RunFolder.create(tmp_path, small_config())
    assert folder.status()["state"] == "running"


def test_a_disk_that_fails_while_flushing_is_an_error(tmp_path, monkeypatch):
    files.write_atomic(tmp_path / "a.json", b"old")
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO, False))
    with pytest.raises(RunError, match="a.json: cannot be written: Input/output error"):
        files.write_atomic(tmp_path / "a.json", b"new")
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_system_that_opens_no_folder_still_writes(tmp_path, monkeypatch, caplog):
    open_any = os.open

    def no_folders(path, *arguments, **options):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return open_any(path, *arguments, **options)

    monkeypatch.setattr(os, "open", no_folders)
    with caplog.at_level(logging.WARNING, "purify"):
        folder = RunFolder.create(tmp_path, small_config())
        with folder.locked():
            folder.write_status("running", 1)
    assert folder.status()["step"] == 1 and len(caplog.messages) == 1


@pytest.mark.parametrize("umask, mode", [(0o077, 0o600), (0o002, 0o664), (0o022, 0o644)])
def test_the_umask_decides_who_reads_and_writes(tmp_path, umask, mode):
    tmp_path.chmod(0o2775)
    before = os.umask(umask)
    try:
        folder = RunFolder.create(tmp_path, small_config())
        with folder.locked():
            folder.write_csv("metrics.csv", [{"step": 1}])
    finally:
        os.umask(before)
    for path in folder.path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
        assert path.stat().st_gid == tmp_path.stat().st_gid
    assert stat.S_IMODE(folder.path.stat().st_mode) & 0o777 == 0o777 & ~umask


def test_no_mode_is_set_where_modes_cannot_be(tmp_path, monkeypatch):
    def forbid(*arguments, **options):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chmod", forbid)
    files.write_json(tmp_path / "a.json", {"d": 3})
    assert json.loads((tmp_path / "a.json").read_text()) == {"d": 3}


def test_a_place_that_cannot_be_looked_at_is_one_line(tmp_path):
    too_long = tmp_path / ("a" * 300)
    with pytest.raises(Unavailable, match="cannot be read: File name too long"):
        RunFolder.create(too_long, small_config())
    with pytest.raises(Unavailable, match="cannot be read: File name too long"):
        RunFolder.existing(too_long)
