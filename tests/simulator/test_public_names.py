"""The front door: 46 names, found when they are used, and nothing heavy before."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import simulator as sim

ROOT = Path(sim.__file__).parents[1]


def test_there_are_46_names_and_each_is_what_it_says():
    assert len(sim.__all__) == 46
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
