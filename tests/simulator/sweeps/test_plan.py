"""A plan is checked as a whole before anything runs, and fixes the order of everything."""

import json
import logging

import pytest

from simulator.errors import RunError
from simulator.experiments import preset
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.sweeps.plan import (describe, distinct, grid_axis, load_plan, plan_runs, save_plan,
                                   shard_of)

from small import SMALL

SETTINGS = preset("smoke") | SMALL


def points(plan, *names):
    return [tuple(getattr(config, name) for name in names) for config in plan.configs]


def test_a_grid_is_every_combination_and_seeds_vary_fastest():
    plan = plan_runs(SETTINGS, {"d": [20, 30], "k": ["2", "round(d**0.4)"]}, seeds=2)
    assert points(plan, "d", "k", "seed") == [
        (20, 2, 0), (20, 2, 1), (20, 3, 0), (20, 3, 1),
        (30, 2, 0), (30, 2, 1), (30, 4, 0), (30, 4, 1)]
    assert plan.swept == ("d", "k")


def test_what_follows_from_a_swept_setting_is_a_column_too():
    plan = plan_runs(SETTINGS | {"m": "2*d"}, {"d": [20, 30]})
    assert plan.columns == ("seed", "d", "m", "learning_rate", "weight_decay")
    assert describe(plan, plan.configs[1]).startswith("seed=0 d=30 m=60")


def test_combinations_that_mean_the_same_run_appear_once():
    assert len(plan_runs(SETTINGS, {"k": [2, "2", "round(2.2)"]}).configs) == 1


def test_listed_runs_are_combined_with_the_grid():
    plan = plan_runs(SETTINGS, {"seed": [4, 5]}, [{"d": 20, "k": 3}, {"d": 22}])
    assert points(plan, "d", "k", "seed") == [(20, 3, 4), (20, 3, 5), (22, 2, 4), (22, 2, 5)]


def test_a_plan_without_grid_is_one_run():
    plan = plan_runs(SETTINGS)
    assert plan.configs == (PurificationConfig.from_settings(SETTINGS),)
    assert plan.columns == ("seed",)


def test_shards_cover_the_plan_without_overlap():
    plan = plan_runs(SETTINGS, seeds=7)
    shards = [plan.shard(index, 3) for index in range(3)]
    assert sorted(config.seed for shard in shards for config in shard) == list(range(7))


def test_configs_that_differ_in_the_seed_alone_are_checked_once():
    assert len(distinct(plan_runs(SETTINGS, {"d": [20, 30]}, seeds=5).configs)) == 2


@pytest.mark.parametrize("grid, runs, seeds, message", [
    ({"d": []}, (), 1, "d: expected at least one value, got none"),
    ({"dd": [1]}, (), 1, "dd: unknown setting"),
    ({}, [{"tua": 1}], 1, "did you mean tau"),
    ({"d": [20, "k+"]}, (), 1, r"run with d=k\+: d: expected a number or an expression"),
    ({"d": [20], "k": [2, 50]}, (), 1, "run with d=20, k=50: k: expected at most 20, got 50"),
    ({"d": [20]}, [{"d": 30}], 1, "d: expected it in a run or in the grid, got both"),
    ({"seed": [1, 2]}, (), 2, "seed, seeds: expected one of them, got both"),
    ({}, (), 0, "seeds: expected at least 1, got 0"),
    ({}, (), 10**6, "expected at most 100000 runs, got 1000000"),
    ({"k": ["d.real"]}, (), 1, "expected numbers, settings")])
def test_a_bad_plan_says_which_run_is_bad(grid, runs, seeds, message):
    with pytest.raises(ValueError, match=message):
        plan_runs(SETTINGS, grid, runs, seeds)


def test_commas_in_parentheses_belong_to_the_expression():
    assert grid_axis("k = 4, min(d, 8) ,max(2,min(3,d))") == (
        "k", ["4", "min(d, 8)", "max(2,min(3,d))"])


@pytest.mark.parametrize("axis, hint", [
    ("tau=0,25", "tau=0,25: taken as the 2 values 0 and 25; if it is a decimal comma, write 0.25"),
    ("tau=0,1,0,2", "4 values 0 and 1 and 0 and 2; if it is a decimal comma, write 0.1,0.2"),
    ("tau=0,1,2", ""), ("tau=0.0,25", ""), ("d=20,25", ""), ("tau=0,k", "")])
def test_a_value_that_looks_like_half_a_number_is_told(caplog, axis, hint):
    with caplog.at_level(logging.WARNING, "purify"):
        plan_runs(SETTINGS, dict([grid_axis(axis)]))
    assert hint in caplog.text and bool(caplog.messages) == bool(hint)


@pytest.mark.parametrize("text", ["d", "d=", "=3", "d=3,,4", "d=3,"])
def test_a_bad_axis_is_refused(text):
    with pytest.raises(ValueError, match="expected KEY=VALUE,VALUE"):
        grid_axis(text)


@pytest.mark.parametrize("text, message", [
    ("4/4", "expected i from 0 to n - 1 = 3, got 4"), ("0/0", "expected at least 1 piece, got 0"),
    ("1/0", "expected at least 1 piece, got 0"),
    ("1", "expected i/n"), ("-1/4", "expected i/n"), ("a/b", "expected i/n")])
def test_a_bad_shard_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        shard_of(text)
    assert shard_of("3/4") == (3, 4)


def test_a_plan_comes_back_from_its_folder(tmp_path):
    plan = plan_runs(SETTINGS, {"d": [20, 30]}, seeds=2)
    folder = save_plan(tmp_path, plan)
    assert load_plan(folder) == load_plan(tmp_path) == (folder, plan)
    stamp = (folder / "plan.json").stat().st_mtime_ns
    save_plan(tmp_path, plan)
    assert (folder / "plan.json").stat().st_mtime_ns == stamp


def test_a_plan_that_is_not_there_or_changed_is_refused(tmp_path):
    with pytest.raises(RunError, match="found no plan.json"):
        load_plan(tmp_path)
    folder = save_plan(tmp_path, plan_runs(SETTINGS))
    save_plan(tmp_path, plan_runs(SETTINGS, seeds=2))
    with pytest.raises(RunError, match="found 2 plan.json in it: name one of sweep-"):
        load_plan(tmp_path)
    path = folder / "plan.json"
    content = json.loads(path.read_text())
    for bad, message in (({"format": 9}, "expected format 1, got 9"), ({"runs": 3}, "plan of a"),
                         ({"runs": []}, "expected a value, got none"),
                         ({"swept": ["d"]}, "it was changed or moved")):
        path.write_text(json.dumps(content | bad))
        with pytest.raises(RunError, match=message):
            load_plan(folder)
    path.write_text("{")
    with pytest.raises(RunError, match="expected JSON, got something else"):
        load_plan(folder)


def test_a_place_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made: Not a directory"):
        save_plan(tmp_path / "file", plan_runs(SETTINGS))
