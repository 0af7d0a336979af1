"""A run of stages keeps what is finished, and goes on with the first stage that is not."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from simulator.errors import Diverged, Stopped
from simulator.experiments import (PAPERS, config_class, config_of, experiment_module, preset,
                                   preset_names)
from simulator.runs.config import Config, config_hash
from simulator.runs.folder import RunFolder
from simulator.runs.stages import Result, Stage, run_stages, stored_result, write_result
from theory.papers import figures_module
from theory.papers import paper as claims_module
from theory.plans import plan, plan_names, plan_settings


@dataclass(frozen=True, kw_only=True)
class ToyConfig(Config):
    """Settings of a run that only adds."""

    name: str = "toy"
    seed: int = 0
    d: int = 3
    scale: float = 1.0
    mode: str = "up"
    dtype: str = "float64"
    threads: int = 1
    MODEL: ClassVar[str] = "toy"
    CHOICES: ClassVar[dict[str, tuple[str, ...]]] = {"mode": ("up", "down")}
    POSITIVE: ClassVar[tuple[str, ...]] = ("scale",)

    @property
    def size(self):
        return self.d, 1


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path, ToyConfig())


def stages(calls, failing=None):
    """Two stages; the second doubles what the first found."""
    def first(done, tick):
        calls.append("first")
        return {"x": np.arange(3.0)}

    def second(done, tick):
        calls.append("second")
        if failing is not None:
            raise failing
        tick(5)
        return {"y": 2.0 * done["first"]["x"], "empty": np.zeros(0)}

    return [Stage("first", 5, first), Stage("second", 10, second)]


def test_every_stage_sees_what_the_earlier_ones_found():
    told = []
    done = run_stages(ToyConfig(), stages([]), progress=lambda *entry: told.append(entry))
    assert list(done) == ["first", "second"]
    np.testing.assert_array_equal(done["second"]["y"], [0.0, 2.0, 4.0])
    assert told == [(0, 15, "first"), (5, 15, "second"), (10, 15, "second")]


@pytest.mark.parametrize("failing, state", [(Stopped(), "interrupted"),
                                            (Diverged(7, float("nan")), "diverged")], ids=str)
def test_a_resumed_run_repeats_only_the_unfinished_stage(folder, failing, state):
    calls = []
    with pytest.raises(type(failing)):
        run_stages(ToyConfig(), stages(calls, failing), folder)
    assert folder.status()["state"] == state
    done = run_stages(ToyConfig(), stages(calls), folder)
    assert calls == ["first", "second", "second"]
    fresh = run_stages(ToyConfig(), stages([]))
    assert {name: list(arrays) for name, arrays in done.items()} == {
        "first": ["x"], "second": ["y", "empty"]}
    np.testing.assert_array_equal(done["second"]["y"], fresh["second"]["y"])


def test_a_stage_without_arrays_is_not_repeated(folder):
    def nothing(done, tick):
        calls.append(1)
        return {}

    calls: list[int] = []
    for _ in range(2):
        run_stages(ToyConfig(), [Stage("nothing", 1, nothing)], folder)
    assert calls == [1]


def test_a_written_result_is_believed_and_read_back(folder):
    result = Result({"a": 1.5, "net": {"b": 2.0}}, [{"step": 0, "loss": 0.5}],
                    {"x": np.arange(4)})
    assert write_result(folder, result, 3) is result
    assert folder.is_done() and folder.status()["step"] == 3
    again = stored_result(folder)
    assert again.summary == result.summary
    assert again.history == [{"step": 0.0, "loss": 0.5}]
    np.testing.assert_array_equal(again.arrays["x"], result.arrays["x"])


def test_settings_of_any_model_are_checked_and_hashed():
    config = ToyConfig.from_settings({**ToyConfig().to_dict(), "scale": "2*d"})
    assert config.scale == 6.0
    assert config_hash(config) != config_hash(ToyConfig())
    with pytest.raises(ValueError, match="mode: expected one of up, down, got 'left'"):
        ToyConfig(mode="left")
    with pytest.raises(ValueError, match="scale: expected more than 0.0"):
        ToyConfig(scale=0.0)
    with pytest.raises(ValueError, match="scal: unknown setting; did you mean scale"):
        ToyConfig.from_settings({**ToyConfig().to_dict(), "scal": 1.0})
    assert ToyConfig().with_seed(4).seed == 4


def test_an_unknown_model_offers_the_nearest():
    with pytest.raises(ValueError, match="model patch: unknown; did you mean patches?"):
        config_of({"model": "patch"})
    with pytest.raises(ValueError, match="there are purification"):
        config_of({"model": "zzz"})


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_the_module_of_a_paper_has_all_that_is_asked_of_it(paper):
    module = experiment_module(paper.name)
    assert config_class({"model": paper.model}) is module.CONFIG
    assert module.CONFIG.MODEL == paper.model
    assert all(callable(getattr(module, name)) for name in ("check", "cost", "simulate"))


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_paper_has_presets_plans_claims_and_figures(paper):
    assert {"smoke", "desk"} <= set(preset_names(paper.name))
    for name in preset_names(paper.name):
        config = config_of(preset(name, paper.name))
        assert config.MODEL == paper.model and config_of(config.to_dict()) == config
    ids = [theorem.claim.id for theorem in claims_module(paper.name).CLAIMS]
    assert {name[0] for name in ids} <= set(paper.letters)
    for name in plan_names(paper.name):
        configs = [config_of(settings)
                   for settings in plan_settings(plan(name, paper.name), ids, 2, paper.name)]
        assert configs and len(set(configs)) == len(configs)
    assert callable(figures_module(paper.name).draw_run)
