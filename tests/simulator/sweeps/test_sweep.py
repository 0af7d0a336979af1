"""A sweep from Python gives runs, in memory or stored, and bad ones in one line."""

import numpy as np
import pytest

from simulator.errors import RunError
from simulator.experiments import simulate
from simulator.sweeps import sweep

from small import SMALL, small_config
from sweeping import TINY

SETTINGS = SMALL | TINY | {"workers": 1}

pytestmark = pytest.mark.usefixtures("brief_attacks")


def test_a_grid_with_seeds_comes_back_in_order():
    runs = sweep("smoke", **SETTINGS | {"d": [20, 24]}, seeds=2)
    assert [(run.config.d, run.config.seed) for run in runs] == [
        (20, 0), (20, 1), (24, 0), (24, 1)]
    assert all(run.config.threads == 1 and run.folder is None for run in runs)
    alone = simulate("smoke", **SMALL | TINY, seed=1, threads=1)
    assert runs[1].config == alone.config and runs[1].summary == alone.summary
    for name, array in alone.arrays.items():
        assert np.array_equal(runs[1].arrays[name], array)


def test_what_follows_from_an_axis_follows():
    runs = sweep(small_config(**TINY, m="2*d"), d=np.array([20, 24]), workers=1)
    assert [run.config.m for run in runs] == [40, 48]


def test_a_stored_sweep_is_done_once(tmp_path, monkeypatch):
    runs = sweep("smoke", **SETTINGS | {"seed": range(2)}, folder=tmp_path)
    assert len(list(tmp_path.glob("sweep-*/summary.csv"))) == 1
    monkeypatch.setattr("simulator.sweeps.local.run_one", None)
    again = sweep("smoke", **SETTINGS | {"seed": range(2)}, folder=str(tmp_path))
    assert [run.summary for run in again] == [run.summary for run in runs]
    assert again[0].folder.path.parent == tmp_path


def test_processes_give_the_same_runs():
    alone, together = (sweep("smoke", **SETTINGS | {"workers": workers}, seeds=2)
                       for workers in (1, 2))
    assert [run.summary for run in alone] == [run.summary for run in together]


def test_a_run_that_diverges_is_named_and_the_others_are_kept(tmp_path):
    with pytest.raises(RunError, match=r"sweep: expected 2 finished runs, got 1 done, 1 diverged "
                       r"\(--retry-failed .*\); .*learning_rate=1e\+06.*: training diverged"):
        sweep("smoke", **SETTINGS, learning_rate=[0.1, 1e6], folder=tmp_path)
    assert len(list(tmp_path.glob("smoke-*/summary.json"))) == 1


@pytest.mark.parametrize("settings, error, message", [
    ({"dd": [1]}, ValueError, "dd: unknown setting; did you mean d"),
    ({"d": []}, ValueError, "d: expected at least one value, got none"),
    ({"k": [2, 99]}, ValueError, "run with k=99: k: expected at most 20, got 99"),
    ({"seeds": 0}, ValueError, "seeds: expected at least 1, got 0"),
    ({"workers": 0}, ValueError, "workers: expected at least 1, got 0"),
    ({"label_margin": [0.5, 40]}, ValueError, "expected a margin that codes of this k reach"),
    ({"what": 3}, TypeError, "expected the name of a preset or settings, got 3"),
    ({"what": "smok"}, ValueError, "preset smok: unknown; did you mean smoke")])
def test_a_bad_sweep_is_refused_before_anything_is_done(tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        sweep(**{"what": "smoke", "folder": tmp_path / "runs"} | SETTINGS | settings)
    assert not (tmp_path / "runs").exists()
