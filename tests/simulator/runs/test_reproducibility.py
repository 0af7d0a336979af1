"""The same settings give the same bytes: elsewhere, after kills, and without anything extra."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from scripts import cli, plot
from scripts import simulate as command
from simulator.experiments import stored

from processes import ROOT, start
from small import small_flags

DATA = ROOT / "tests" / "data"
NAMES = ("arrays.npz", "metrics.csv", "summary.json", "config.json", "summary.csv")

pytestmark = pytest.mark.usefixtures("brief_attacks")


def digests(root):
    """SHA-256 of every result below a folder for runs."""
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.glob("*/*")) if path.name in NAMES}


def finish(process):
    error = process.communicate()[1]
    assert process.returncode == 0, error
    return error


def test_another_folder_hash_seed_and_thread_environment_change_no_byte(tmp_path):
    """Two processes that share nothing but the settings."""
    found = []
    for name, variables in (("a", {"PYTHONHASHSEED": "1", "OPENBLAS_NUM_THREADS": "1"}),
                            ("b/c", {"PYTHONHASHSEED": "2", "OPENBLAS_NUM_THREADS": "2",
                                     "NUMBA_NUM_THREADS": "2", "LC_ALL": "C"})):
        root = tmp_path / name / "runs"
        root.mkdir(parents=True)
        flags = small_flags(clean_steps=12, adversarial_steps=6, test_samples=20)
        finish(start("simulate", *flags, "--no-figures", "--out", str(root), variables=variables,
                     cwd=root.parent))
        found.append(digests(root))
    assert found[0] == found[1] and len(found[0]) == 4


def test_a_run_folder_can_be_run_again_from_its_own_config(tmp_path):
    assert command.main([*small_flags(seed=5), "--no-figures", "--out", str(tmp_path / "a")]) == 0
    (config,) = (tmp_path / "a").glob("*/config.json")
    assert command.main(["--config", str(config), "--no-figures",
                         "--out", str(tmp_path / "b")]) == 0
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.parametrize("place", sorted(DATA.glob("run-format-*")), ids=lambda path: path.name)
def test_run_folders_of_every_format_stay_readable(place, tmp_path):
    """Only that they load and can be drawn: numbers belong to the version that made them."""
    copy = tmp_path / place.name
    shutil.copytree(place, copy)
    result = stored(copy)
    config = result.config
    assert result.arrays["weights_adversarial"].shape == (config.m, config.d)
    assert result.history["step"][-1] == config.clean_steps + config.adversarial_steps
    assert {"clean", "adversarial"} <= set(result.summary)
    assert plot.main([str(copy)]) == 0
    assert sum(path.stat().st_size for path in place.iterdir()) < 50_000


BARE = """
import importlib.abc, socket, sys

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("dask", "distributed", "torch", "jax", "hypothesis", "pytest"):
            raise ModuleNotFoundError(name)

def offline(*arguments):
    raise OSError("no network")

sys.meta_path.insert(0, Hidden())
socket.socket.connect = offline
"""
COMMAND = """
from scripts.cli import main
sys.exit(main(sys.argv[1:]))
"""
# A kernel that is compiled, then two commands, of which the second needs an extra.
SEVERAL = """
import numpy as np, simulator as sim
net = sim.SymmetricReLU(np.eye(2), 0.5, smoothing=0.1)
assert net.forward(np.ones((1, 2))).shape == (1,)
from scripts.cli import main
from theory.feature_purification import figures
figures.figures = lambda run: {"history": figures.history_figure}
assert main(["plot", sys.argv[1], "--out", "figures"]) == 0
sys.exit(main(["sweep", "--preset", "smoke", "--grid", "d=20,24", "--dask", "local"]))
"""


@pytest.fixture
def bare(tmp_path):
    """Run commands from an installation that cannot be written, without home or extras.

    A file in the place of each cache folder stops the superuser as well, whom no permission
    would stop.
    """
    package = tmp_path / "package"
    for name in ("simulator", "theory", "scripts"):
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [path for path in package.rglob("*") if path.is_dir()]:
        (folder / "__pycache__").write_text("")
        folder.chmod(0o555)

    def run(code, *flags):
        variables = {"PATH": os.environ["PATH"], "HOME": "/dev/null/nonexistent",
                     "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1",
                     "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, "-c", BARE + code, *flags], capture_output=True,
                              text=True, env=variables, cwd=tmp_path)

    yield run
    for folder in [path for path in package.rglob("*") if path.is_dir()]:
        folder.chmod(0o755)


@pytest.mark.slow
def test_it_runs_read_only_offline_without_home_and_without_extras(bare, tmp_path):
    flags = small_flags(clean_steps=6, adversarial_steps=3, test_samples=10)
    done = bare(COMMAND, "simulate", *flags, "--out", "runs")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/figures/*.pdf"))


def test_it_computes_and_draws_read_only_offline_without_home_and_without_extras(bare, tmp_path):
    done = bare(SEVERAL, str(shutil.copytree(DATA / "run-format-1", tmp_path / "run")))
    assert done.returncode == 2 and "pip install" in done.stderr.splitlines()[-1], done.stderr
    assert list(tmp_path.glob("figures/*.pdf"))


def kill_until_done(module, flags, root, kills, longest, runs):
    """Kill a command at random moments and resume it each time, then let it finish.

    A sweep that is killed once is a test of its own: tests/simulator/sweeps/test_local.py.

    Returns how many kills found the command at work with runs still to do.
    """
    rng, flags = random.Random(kills), [*flags, "--out", str(root)]
    hit = attempts = 0
    while hit < kills and attempts < 2 * kills:
        resume = ["--resume"] if any(root.glob("smoke-*/config.json")) else []
        process = start(module, *flags, *resume)
        if attempts % 4 < 3:  # otherwise also in the middle of the imports
            begun = time.time()
            while process.poll() is None and not touched_since(root, begun):
                time.sleep(0.002)
        time.sleep(rng.uniform(0.0, longest))
        process.kill()
        process.communicate()
        attempts += 1
        hit += process.returncode == -signal.SIGKILL and finished(root) < runs
    resume = ["--resume"] if any(root.glob("smoke-*/config.json")) else []
    finish(start(module, *flags, *resume))
    return hit


def touched_since(root, moment):
    """True once the command has written into a run folder."""
    return any(path.stat().st_mtime > moment for path in root.glob("smoke-*"))


def finished(root):
    """How many runs say that they are done."""
    return sum(json.loads(path.read_text())["state"] == "done"
               for path in root.glob("smoke-*/status.json"))


SIMULATE = [*small_flags(clean_steps=3000, adversarial_steps=3000, record_every=100),
            "--no-figures"]
SWEEP = [*small_flags(clean_steps=1500, adversarial_steps=500, record_every=100),
         "--grid", "d=20,24", "--seeds", "3", "--workers", "2"]
SHORT = [*small_flags(clean_steps=300, adversarial_steps=150, test_samples=20), "--no-figures"]


@pytest.mark.parametrize("module, flags, kills, longest", [
    ("simulate", SHORT, 1, 0.2),
    pytest.param("simulate", SIMULATE, 25, 0.3, marks=pytest.mark.slow),
    pytest.param("sweep", SWEEP, 25, 0.4, marks=pytest.mark.slow)],
    ids=["simulate", "simulate-often", "sweep-often"])
def test_kills_at_random_moments_change_no_byte(tmp_path, module, flags, kills, longest):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        root.mkdir()
    assert cli.main([module, *flags, "--out", str(whole)]) == 0
    hit = kill_until_done(module, flags, killed, kills, longest, runs=finished(whole))
    print(f"{hit} kills")
    assert hit >= min(kills, 20)  # a fast machine may be done before the last ones
    assert digests(killed) == digests(whole)
    assert finished(killed) == finished(whole)
    assert not list(killed.glob("*/.*.part"))
