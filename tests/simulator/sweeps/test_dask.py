"""A sweep on Dask: the bytes of the serial one, from workers that share no disk with it."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import simulator
from scripts import sweep as command
from simulator.errors import RunError
from simulator.runs.folder import RunFolder
from simulator.sweeps import dask as dask_sweep
from simulator.sweeps import local as sweep

from small import small_config, small_flags
from sweeping import TINY, digests

ROOT = Path(simulator.__file__).parents[1]
GRID = [*small_flags(**TINY), "--grid", "d=20,24"]  # a run for each of two workers


def test_a_packed_run_comes_back_as_it_was(tmp_path):
    config = small_config(**TINY)
    list(sweep.here([config], tmp_path / "a"))
    folder = RunFolder.of(tmp_path / "a", config).path
    files = dask_sweep.pack(folder)
    assert files == dask_sweep.pack(folder)
    back = dask_sweep.unpack(files, hashlib.sha256(files).hexdigest(), config, tmp_path / "b")
    assert back.is_done()
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_results_that_are_damaged_or_of_another_run_are_refused(tmp_path):
    config, other = small_config(**TINY), small_config(**TINY, seed=1)
    list(sweep.here([config], tmp_path / "a"))
    folder = RunFolder.of(tmp_path / "a", config).path
    files = dask_sweep.pack(folder)
    digest = hashlib.sha256(files).hexdigest()
    with pytest.raises(RunError, match="they were damaged on the way"):
        dask_sweep.unpack(files + b"x", digest, config, tmp_path / "b")
    with pytest.raises(RunError, match="got those of another"):
        dask_sweep.unpack(files, digest, other, tmp_path / "b")
    (folder / "evil.sh").write_text("")
    files = dask_sweep.pack(folder)
    with pytest.raises(RunError, match="expected files of a run, got 'evil.sh'"):
        dask_sweep.unpack(files, hashlib.sha256(files).hexdigest(), config, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_task_of_another_version_is_refused():
    with pytest.raises(ValueError, match="expected version 9.9 of this project on the worker"):
        dask_sweep.run_task(json.dumps({"version": "9.9", "config": {}}))


def test_without_dask_the_command_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert command.main([*GRID, "--out", str(tmp_path), "--dask", "local"]) == 2
    assert "pip install 'feature-purification[dask]'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    pytest.importorskip("distributed")
    root = tmp_path_factory.mktemp("serial")
    assert command.main([*GRID, "--out", str(root), "--workers", "1"]) == 0
    return root


def test_a_local_cluster_gives_the_bytes_of_the_serial_sweep(serial, tmp_path, capfd):
    assert command.main([*GRID, "--out", str(tmp_path), "--dask", "local", "--workers", "2"]) == 0
    assert digests(tmp_path) == digests(serial)
    assert len(capfd.readouterr().err.splitlines()) < 8  # no log of the cluster


class Cluster:
    """A scheduler and workers as a user starts them, each in a folder of its own."""

    def __init__(self, place):
        self.place, self.processes = place, []
        file = place / "scheduler.json"
        self.start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                   "--scheduler-file", str(file))
        end = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert time.monotonic() < end and self.processes[0].poll() is None
            time.sleep(0.1)
        self.address = json.loads(file.read_text())["address"]

    def start(self, module, *flags, path=ROOT):
        folder = self.place / f"process-{len(self.processes)}"
        folder.mkdir()
        self.processes.append(subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *flags], cwd=folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(path)}))

    def worker(self, path=ROOT, threads=1):
        self.start("dask_worker", self.address, "--no-nanny", "--nthreads", str(threads),
                   "--no-dashboard", "--host", "127.0.0.1", path=path)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed")
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


def test_two_worker_processes_give_the_bytes_of_the_serial_sweep(serial, cluster, tmp_path):
    cluster.worker()
    cluster.worker(threads=2)  # does one run at a time all the same
    out = tmp_path / "runs"
    flags = [*GRID, "--out", str(out), "--dask", cluster.address]
    assert command.main(flags) == 0
    assert digests(out) == digests(serial)


def test_a_diverging_run_and_a_killed_worker_lose_no_other(cluster, tmp_path):
    cluster.worker()
    cluster.worker()
    out = tmp_path / "runs"
    flags = [*small_flags(clean_steps=400, adversarial_steps=6, test_samples=20),
             "--grid", "learning_rate=0.1,1e6,0.2", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.sweep", *flags, "--dask", cluster.address],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("smoke-*/status.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    cluster.processes[1].kill()
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 3, error
    (table,) = out.glob("sweep-*/summary.csv")
    states = [line.split(",")[3] for line in table.read_text().splitlines()[1:]]
    assert states == ["done", "diverged", "done"]


def test_workers_of_another_version_are_refused(cluster, tmp_path, capsys):
    other = tmp_path / "other" / "simulator"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text('__version__ = "0.0.9"\n')
    cluster.worker(path=other.parent)
    out = tmp_path / "runs"
    assert command.main([*GRID, "--out", str(out), "--dask", cluster.address]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(error) == 1
    assert f"expected version {simulator.__version__} of this project, got 0.0.9" in error[0]
    assert not list(out.glob("smoke-*"))


def test_a_scheduler_without_workers_or_out_of_reach_is_one_line(cluster, tmp_path, capsys,
                                                                 monkeypatch):
    monkeypatch.setattr(dask_sweep, "WORKER_PATIENCE", 1.0)
    monkeypatch.setattr(dask_sweep, "PATIENCE", 1.0)
    for address, message in ((cluster.address, "expected workers, got none within 1 s"),
                             ("tcp://127.0.0.1:9", "expected a scheduler, got no answer"),
                             ("nonsense", "expected a scheduler, got no answer"),
                             ("http://x:1", "expected a scheduler, got no answer")):
        begin = time.monotonic()
        out = tmp_path / "runs"
        assert command.main([*GRID, "--out", str(out), "--dask", address]) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert len(error) == 1 and message in error[0]
        assert time.monotonic() - begin < 10


@pytest.mark.parametrize("answer, said", [
    (b"", "expected a scheduler, got no answer within 1 s"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n",
     "expected a scheduler, got the answer of something else")])
def test_what_is_no_scheduler_is_one_line_in_time(tmp_path, capsys, monkeypatch, answer, said):
    pytest.importorskip("distributed", reason="extra dask not installed")
    monkeypatch.setattr(dask_sweep, "PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        callers = []

        def greet():
            callers.append(server.accept()[0])
            callers[0].sendall(answer)

        thread = threading.Thread(target=greet)
        thread.start()
        begin = time.monotonic()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert command.main([*GRID, "--out", str(tmp_path / "runs"), "--dask", address]) == 2
        assert time.monotonic() - begin < 5
        thread.join()
        callers[0].close()
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error
    assert not (tmp_path / "runs").exists()


def test_a_scheduler_that_dies_ends_the_sweep_with_one_line(cluster, tmp_path):
    cluster.worker()
    out = tmp_path / "runs"
    flags = [*small_flags(clean_steps=3000), "--seeds", "6", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.sweep", *flags, "--dask", cluster.address],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("smoke-*/status.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    cluster.processes[0].kill()
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 2, error
    assert "Traceback" not in error and "the scheduler has gone" in error
