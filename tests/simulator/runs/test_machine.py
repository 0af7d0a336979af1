"""Limits of clusters and containers are seen: memory, processors, and who else works here."""

import logging
import math
import os

import pytest

from simulator.runs import machine
from simulator.runs.stages import run_threads

MIB = 2.0**20
GIB = 2.0**30


def plant(root, files):
    """Write files below a root."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


MEMINFO = {"proc/meminfo": f"MemTotal: {2**24} kB\nMemAvailable: {2**23} kB\n"}  # 8 GiB free
V2 = MEMINFO | {"proc/self/cgroup": "0::/job.slice/step\n",
                "sys/fs/cgroup/job.slice/memory.max": f"{700 * 2**20}\n",
                "sys/fs/cgroup/job.slice/memory.current": f"{300 * 2**20}\n",
                "sys/fs/cgroup/job.slice/memory.stat": f"anon 5\ninactive_file {100 * 2**20}\n",
                "sys/fs/cgroup/job.slice/step/memory.max": "max\n",
                "sys/fs/cgroup/job.slice/cpu.max": "150000 100000\n",
                "sys/fs/cgroup/job.slice/step/cpu.max": "max 100000\n"}
V1 = MEMINFO | {"proc/self/cgroup": "5:cpu,cpuacct:/slurm/job\n7:memory:/slurm/job\n0::/\n",
                "sys/fs/cgroup/memory/slurm/job/memory.limit_in_bytes": f"{700 * 2**20}\n",
                "sys/fs/cgroup/memory/slurm/job/memory.usage_in_bytes": f"{300 * 2**20}\n",
                "sys/fs/cgroup/memory/slurm/job/memory.stat":
                    f"inactive_file 1\ntotal_inactive_file {100 * 2**20}\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/cpu,cpuacct/slurm/job/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu,cpuacct/slurm/job/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
# a container without a name space of its own: /proc has the outside's path, the mount is its own
CONTAINER = MEMINFO | {"proc/self/cgroup": "7:memory:/docker/abc\n",
                       "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{700 * 2**20}\n",
                       "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{200 * 2**20}\n"}


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(machine, "_machine_memory", lambda: 16.0 * GIB)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(machine, "_warned", False)


@pytest.mark.parametrize("files", [V2, V1, CONTAINER], ids=["v2", "v1", "container"])
def test_a_memory_limit_of_a_group_is_the_machines(tmp_path, files):
    plant(tmp_path, files)
    assert machine.physical_memory(tmp_path) == 700.0 * MIB
    assert machine.available_memory(tmp_path) == 500.0 * MIB


@pytest.mark.parametrize("files", [V2, V1], ids=["v2", "v1"])
def test_a_quota_of_processor_time_counts_whole_processors(tmp_path, files):
    assert machine.cores(plant(tmp_path, files)) == 1


@pytest.mark.parametrize("quota, expected", [("50000 100000", 1), ("400000 100000", 4),
                                             ("1600000 100000", 8), ("250000", 2)])
def test_a_quota_is_at_least_one_and_at_most_what_there_is(tmp_path, quota, expected):
    plant(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": quota})
    assert machine.cores(tmp_path) == expected


@pytest.mark.parametrize("files", [{}, {"proc/self/cgroup": "0::/\n"},
                                   {"proc/self/cgroup": "nonsense\n\n:::\n"},
                                   {"proc/self/cgroup": "0::/\n",
                                    "sys/fs/cgroup/memory.max": "max\n"}])
def test_without_limits_the_machine_counts(tmp_path, files):
    plant(tmp_path, files | MEMINFO)
    assert machine.physical_memory(tmp_path) == 16.0 * GIB
    assert machine.available_memory(tmp_path) == 8.0 * GIB
    assert machine.cores(tmp_path) == 8


def test_a_group_that_is_full_leaves_nothing(tmp_path):
    plant(tmp_path, V2 | {"sys/fs/cgroup/job.slice/memory.current": f"{900 * 2**20}"})
    assert machine.available_memory(tmp_path) == 0.0


def test_this_machine_answers():
    assert 0.0 < machine.available_memory() <= machine.physical_memory() < math.inf
    assert machine.cores() >= 1


@pytest.mark.parametrize("threads, load, free", [
    (2, "10.2 9.0 8.0 12/300 77", "1 processor is"), (8, "3.1 0.0 0.0 4/99 7", "5 processors are"),
    (9, "0.0 0.0 0.0 1/99 7", "8 processors are")])
def test_more_threads_than_free_processors_are_told_once(tmp_path, caplog, threads, load, free):
    plant(tmp_path, {"proc/loadavg": load})
    with caplog.at_level(logging.WARNING, "purify"):
        machine.warn_of_threads(threads, tmp_path)
        machine.warn_of_threads(threads, tmp_path)
    (message,) = caplog.messages
    assert message.startswith(f"threads: {threads} asked for, {free} free: products may get")


@pytest.mark.parametrize("threads, load", [
    (1, "10.2 9.0 8.0 12/300 77"), (8, "0.0 0.0 0.0 1/99 7"),
    (8, "7.9 9.0 8.0 1/300 77"),  # the run before this one has just ended
    (8, "0.1 0.0 0.0 9/300 77")])  # a blink
def test_threads_that_have_a_processor_each_are_not_talked_about(tmp_path, caplog, threads, load):
    plant(tmp_path, {"proc/loadavg": load})
    with caplog.at_level(logging.WARNING, "purify"):
        machine.warn_of_threads(threads, tmp_path)
    assert caplog.messages == []


def test_a_quota_below_the_threads_is_told(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "purify"):
        machine.warn_of_threads(2, plant(tmp_path, V2))
    assert "2 asked for, 1 processor is free" in caplog.text


def test_a_run_tells_of_its_threads(monkeypatch, caplog):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(1), raising=False)
    with caplog.at_level(logging.WARNING, "purify"), run_threads(2):
        pass
    assert "threads: 2 asked for, 1 processor is free" in caplog.text
