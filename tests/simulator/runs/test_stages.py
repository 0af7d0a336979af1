"""A run of stages keeps what is finished, and goes on with the first stage that is not."""

import importlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import theory
from simulator.errors import Diverged, Stopped
from simulator.experiments import (PAPERS, config_class, config_of, experiment_module, preset,
                                   preset_names)
from simulator.heartbeat import beat
from simulator.runs import stages as engine
from simulator.runs.config import Config, config_hash
from simulator.runs.folder import RunFolder
from simulator.runs.stages import Stage, bar, run_stages, silent
from theory.plans import for_plan, plan_names, settings_of


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
    def first(done, saved, tick):
        calls.append("first")
        return {"x": np.arange(3.0)}

    def second(done, saved, tick):
        calls.append("second")
        if failing is not None:
            raise failing
        tick(5)
        return {"y": 2.0 * done["first"]["x"], "empty": np.zeros(0)}

    return [Stage("first", 5, first), Stage("second", 10, second)]


def counting(steps=20, at=None, error=None):
    """A stage that adds up its steps, keeps the sum, and meets an error before a step."""
    def work(done, saved, tick):
        step, total = (int(saved["step"]), saved["total"].copy()) if saved else (0, np.zeros(1))
        while step < steps:
            if step == at:
                raise error
            beat()
            total += step
            step += 1
            tick(step, lambda: {"step": np.array(step), "total": total.copy()})
        return {"total": total}

    return [Stage("counting", steps, work)]


def test_every_stage_sees_what_the_earlier_ones_found():
    told = []
    done = run_stages(ToyConfig(), stages([]), progress=lambda *entry: told.append(entry))
    assert list(done) == ["first", "second"]
    np.testing.assert_array_equal(done["second"]["y"], [0.0, 2.0, 4.0])
    assert told == [(0, 15, "first"), (5, 15, "second"), (10, 15, "second")]


@pytest.mark.parametrize("failing, state", [(Stopped(), "interrupted"),
                                            (KeyboardInterrupt(), "interrupted"),
                                            (Diverged(7, float("nan")), "diverged")], ids=repr)
def test_a_resumed_run_repeats_only_the_unfinished_stage(folder, failing, state):
    calls = []
    with pytest.raises(type(failing)):
        run_stages(ToyConfig(), stages(calls, failing), folder)
    assert folder.status()["state"] == state and folder.status()["step"] == 5
    done = run_stages(ToyConfig(), stages(calls), folder)
    assert calls == ["first", "second", "second"]
    fresh = run_stages(ToyConfig(), stages([]))
    assert {name: list(arrays) for name, arrays in done.items()} == {
        "first": ["x"], "second": ["y", "empty"]}
    np.testing.assert_array_equal(done["second"]["y"], fresh["second"]["y"])


def test_a_stage_without_arrays_is_not_repeated(folder):
    def nothing(done, saved, tick):
        calls.append(1)
        return {}

    calls: list[int] = []
    for _ in range(2):
        run_stages(ToyConfig(), [Stage("nothing", 1, nothing)], folder)
    assert calls == [1]


@pytest.mark.parametrize("stop_at", [1, 7, 19])
def test_a_stop_at_a_step_keeps_that_step(folder, stop_at):
    def stop(step, total, what):
        if step == stop_at:
            raise Stopped

    with pytest.raises(Stopped):
        run_stages(ToyConfig(), counting(), folder, stop)
    assert folder.status()["state"] == "interrupted" and folder.status()["step"] == stop_at
    told = []
    done = run_stages(ToyConfig(), counting(), folder, lambda step, *_: told.append(step))
    assert told[0] == stop_at and done["counting"]["total"] == sum(range(20))


def test_a_stop_between_two_steps_goes_back_to_what_was_kept(folder, monkeypatch):
    """A long attack beats: a stop waits a moment for the end of the step, then for nothing."""
    monkeypatch.setattr(engine, "BEATS", 0.0)
    monkeypatch.setattr(engine, "PATIENCE", 0.0)
    asked = []

    def stop(step, total, what):
        asked.append(step)
        if asked.count(13) == 2:  # once at the step, then at the beat after it
            raise Stopped

    with pytest.raises(Stopped):
        run_stages(ToyConfig(), counting(), folder, stop, checkpoint_every=5)
    assert folder.status()["step"] == 10
    assert run_stages(ToyConfig(), counting(), folder)["counting"]["total"] == sum(range(20))


def test_a_stop_heard_at_a_beat_waits_for_the_end_of_the_step(folder, monkeypatch):
    monkeypatch.setattr(engine, "BEATS", 0.0)
    monkeypatch.setattr(engine, "PATIENCE", 60.0)
    asked = []

    def stop(step, total, what):
        asked.append(step)
        if asked.count(13) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        run_stages(ToyConfig(), counting(), folder, stop, checkpoint_every=5)
    assert folder.status()["step"] == 14


@pytest.mark.parametrize("error, state", [(Diverged(12, float("nan")), "diverged"),
                                          (MemoryError(), "running")], ids=repr)
def test_a_stage_goes_on_from_its_last_checkpoint(folder, error, state):
    with pytest.raises(type(error)):
        run_stages(ToyConfig(), counting(at=12, error=error), folder, checkpoint_every=5)
    assert folder.status()["state"] == state and folder.status()["step"] == 10
    assert int(folder.load_checkpoint(ToyConfig())["counting/step"]) == 10
    assert run_stages(ToyConfig(), counting(), folder)["counting"]["total"] == sum(range(20))


def test_a_checkpoint_is_due_after_a_minute_even_of_few_steps(folder, monkeypatch):
    monkeypatch.setattr(engine, "KEPT", 0.0)
    with pytest.raises(MemoryError):
        run_stages(ToyConfig(), counting(at=3, error=MemoryError()), folder)
    assert folder.status()["step"] == 3


@pytest.mark.parametrize("share, saved", [(1.0, [5, 10, 15, 20]), (1e-9, [5, 20])])
def test_checkpoints_that_take_long_are_rare_but_the_end_is_kept(folder, monkeypatch, share, saved):
    monkeypatch.setattr(engine, "LONG", -1.0)  # as if each took long
    monkeypatch.setattr(engine, "SHARE", share)
    steps, save = [], RunFolder.save_checkpoint

    def counted(self, config, state):
        steps.append(int(state["step"]))
        save(self, config, state)

    monkeypatch.setattr(RunFolder, "save_checkpoint", counted)
    done = run_stages(ToyConfig(), counting(), folder, checkpoint_every=5)
    assert sorted(set(steps)) == saved
    assert done["counting"]["total"] == sum(range(20))
    assert run_stages(ToyConfig(), counting(at=0, error=MemoryError()), folder)["counting"] == \
        done["counting"]


def test_nobody_listens_once_the_run_is_over(folder):
    run_stages(ToyConfig(), counting(), folder, silent)
    beat()


def test_a_bar_takes_the_steps_of_a_run(capsys):
    with bar() as progress:
        run_stages(ToyConfig(), counting(), progress=progress)
    assert "counting: 100%" in capsys.readouterr().err


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
    claims = theory.claims(paper.name)
    assert {theorem.claim.id[0] for theorem in claims} <= set(paper.letters)
    for name in plan_names(claims):
        configs = [config_of(settings)
                   for settings in settings_of(for_plan(claims, name), name, 2, paper.name)]
        assert configs and len(set(configs)) == len(configs)
    figures = importlib.import_module(f"theory.{paper.name}.figures")
    assert callable(figures.figures)
