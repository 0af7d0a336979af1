"""The front door: 50 names, found when they are used, and nothing heavy before."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import simulator as sim

ROOT = Path(sim.__file__).parents[1]


def test_there_are_50_names_and_each_is_what_it_says():
    assert len(sim.__all__) == 50
    assert set(sim.__all__) == set(sim._WHERE)
    for name in sim.__all__:
        value = getattr(sim, name)
        assert callable(value) and value.__doc__
    assert sim.kernel_distance.__name__ == "distance" and sim.load.__name__ == "stored"


def test_the_names_are_listed_where_one_looks_for_them():
    assert set(sim.__all__) <= set(dir(sim))


def test_the_type_checker_sees_the_same_names():
    """The block it reads and the table that is used cannot drift apart."""
    tree = ast.parse(Path(sim.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {alias.asname: (node.module, alias.name) for node in block.body
            for alias in node.names}
    assert told == sim._WHERE


def test_the_checkers_are_found_where_the_first_page_calls_them():
    use = "import simulator as sim; sim.contract.check_data"
    done = subprocess.run([sys.executable, "-c", use], cwd=ROOT, capture_output=True, text=True,
                          timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_slip_is_answered_with_the_nearest_name():
    with pytest.raises(AttributeError, match="simulator has no SymetricReLU; did you mean Symm"):
        sim.SymetricReLU


def test_the_door_alone_loads_neither_numpy_nor_numba():
    report = ("import sys, simulator as sim; dir(sim)\n"
              "heavy = [m for m in ('numpy', 'numba', 'scipy', 'matplotlib') if m in sys.modules]\n"
              "sim.L2Ball; print(heavy, 'numpy' in sys.modules, 'numba' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True,
                          timeout=60)
    assert done.stdout.strip() == "[] True False", done.stderr


def _shown():
    """One object of every public class, by its name."""
    net, W = sim.SymmetricReLU(np.ones((300, 200)), 0.1), np.ones((300, 200))
    data = sim.SparseCoding(d=200, k=4, dictionary=np.eye(200))
    ball, attack = sim.L2Ball(0.1), sim.FGM()
    return [
        data, sim.PatchData(200, np.ones(30), np.ones(40)), data.sample(100, 0),
        sim.FreshBatches(data, 10, 0), sim.TrainingSet(data, 12, 6, 0), net,
        sim.SmoothedReLUCNN(np.ones((3, 20, 200))), sim.LinearizedReLU(net),
        sim.MaskedReLU(W, W > 0.0, 0.1), sim.LinearClassifier(W[0]), sim.Polynomial(30, 2),
        sim.SymmetricCubic(np.ones(200)),
        sim.LowRankUpdate.initialise(net, 2), ball, sim.LinfBall(0.1), sim.PatchL2Ball(0.1),
        sim.Adversary(ball, sim.strong_attacks(W[0])), attack,
        sim.PGD(20), sim.AdaptivePGD(20), sim.Universal(W[0]), sim.RandomSearch(20),
        sim.FeatureGreedy(np.eye(200)), sim.PatchSearch(np.eye(200)),
        sim.PairedPatchSearch(np.eye(200)), sim.EraseAndWrite(W[:3], np.ones(40)),
        sim.LinearThenConstant(0.1, 0.0, 0.2), sim.TrackingNorm(1.0),
        sim.Diverged(3, np.nan)]


def test_every_public_object_is_shown_in_one_short_line():
    shown = {type(value).__name__: repr(value) for value in _shown()}
    assert set(shown) == {name for name in sim.__all__ if isinstance(getattr(sim, name), type)}
    for name, line in shown.items():
        assert line.startswith(name) and "\n" not in line and len(line) < 200, line
