"""A config is checked before anything runs, and its hash stands for all of it."""

import dataclasses

import pytest

from scripts.presets import preset, preset_names
from simulator.runs.config import SimulationConfig, config_hash
from simulator.runs.cost import cost, physical_memory

from small import small_config

BAD = [
    ({"k": 50}, ValueError, r"k: expected at most 20, got 50: a code has no more entries"),
    ({"k": 0}, ValueError, "k: expected at least 1, got 0"),
    ({"d": 0}, ValueError, "d: expected at least 1, got 0"),
    ({"d": 2.5}, ValueError, r"d: expected an integer, got 2.5 \(try round"),
    ({"d": True}, TypeError, "d: expected a number, got True"),
    ({"d": None}, TypeError, "d: expected a number, got None"),
    ({"tau": -1}, ValueError, "tau: expected at least 0.0, got -1.0"),
    ({"tau": float("nan")}, ValueError, "tau: expected a finite number, got nan"),
    ({"tau": float("inf")}, ValueError, "tau: expected a finite number, got inf"),
    ({"noise": -0.1}, ValueError, "noise: expected at least 0.0"),
    ({"weight_decay": -1}, ValueError, "weight_decay: expected at least 0.0"),
    ({"learning_rate": 0}, ValueError, "learning_rate: expected more than 0.0"),
    ({"norm": "l1"}, ValueError, "norm: expected one of l2, linf, got 'l1'"),
    ({"norm": 2}, TypeError, "norm: expected a word, got 2"),
    ({"dtype": "float16"}, ValueError, "dtype: expected one of float64, float32"),
    ({"seed": -1}, ValueError, "seed: expected at least 0"),
    ({"clean_steps": 0}, ValueError, "clean_steps: expected at least 1"),
    ({"name": "../x"}, ValueError, "name: expected letters, digits"),
    ({"learning_rat": 1}, ValueError, "learning_rat: unknown setting; did you mean learning_rate"),
    ({"zzzzzz": 1}, ValueError, "zzzzzz: unknown setting; the settings are name, seed"),
    ({"m": "20*q"}, ValueError, "m: 'q' is not a number setting"),
]


@pytest.mark.parametrize("change, error, message", BAD)
def test_a_bad_setting_is_named_with_what_was_expected(change, error, message):
    with pytest.raises(error, match=message):
        small_config(**change)


def test_a_missing_setting_is_named():
    settings = preset("smoke")
    del settings["tau"]
    with pytest.raises(ValueError, match="tau: expected a value, got none"):
        SimulationConfig.from_settings(settings)


@pytest.mark.parametrize("name", preset_names("purification"))
def test_every_preset_is_a_valid_config(name):
    config = SimulationConfig.from_settings(preset(name))
    assert config.name == name
    assert SimulationConfig.from_settings(config.to_dict()) == config


def test_an_unknown_preset_offers_the_nearest():
    with pytest.raises(ValueError, match="preset dekc: unknown; did you mean desk?"):
        preset("dekc")
    with pytest.raises(ValueError, match="preset qqq: unknown; there are desk, lottery, smoke"):
        preset("qqq")


def test_the_hash_changes_with_every_setting():
    config = small_config()
    other = {str: "x", int: 7, float: 0.123}
    hashes = {config_hash(config)}
    for name, kind in config.types().items():
        changed = dataclasses.replace(config)
        object.__setattr__(changed, name, other[kind])  # past the checks: only the hash matters
        hashes.add(config_hash(changed))
    assert len(hashes) == len(config.types()) + 1


def test_a_known_key_is_returned():
    assert SimulationConfig.known_key("d") == "d"


def test_cost_grows_with_the_size_and_shrinks_with_float32():
    small, wide = cost(small_config()), cost(small_config(m=4000))
    single = cost(small_config(m=4000, dtype="float32"))
    assert small.memory < single.memory < wide.memory < physical_memory()
    assert wide.training_flops == pytest.approx(100 * small.training_flops)
    with_set = cost(small_config(training_samples=10**6))
    assert with_set.memory - small.memory == pytest.approx(10**6 * 20 * 8)
