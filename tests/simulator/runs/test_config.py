"""A config is checked before anything runs, and its hash stands for all of it."""

import dataclasses
import pickle

import numpy as np
import pytest

from simulator.experiments import preset, preset_names
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.cost import cost
from simulator.runs.config import config_hash
from simulator.runs.files import read_settings
from simulator.runs.folder import RunFolder
from simulator.runs.machine import physical_memory

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
    ({"d": 1e308}, ValueError, r"d: expected at most 1e\+15, got 1e\+308"),
    ({"noise": 10**400}, ValueError, "noise: expected a finite number, got about 10\\^400"),
    ({"d": 10**5000}, ValueError, "d: expected a finite number, got about 10\\^5000"),
    ({"init_scale": 1e300}, ValueError, r"init_scale: expected at most 1e\+15, got 1e\+300"),
    ({"seed": 10**60}, ValueError, "seed: expected at most"),
    ({"m": "round(1e300)*round(1e300)"}, ValueError, "m: .* has no value"),
    ({"name": "a" * 300}, ValueError, "name: expected at most 100 bytes, got 300"),
    ({"name": "\u00e4" * 60}, ValueError, "name: expected at most 100 bytes, got 120"),
    ({"d": np.bool_(True)}, TypeError, "d: expected a number, got"),
    ({"tau": np.array([0.1])}, TypeError, "tau: expected a number, got array"),
]


@pytest.mark.parametrize("change, error, message", BAD)
def test_a_bad_setting_is_named_with_what_was_expected(change, error, message):
    with pytest.raises(error, match=message):
        small_config(**change)


def test_a_missing_setting_is_named():
    settings = preset("smoke")
    del settings["tau"]
    with pytest.raises(ValueError, match="tau: expected a value, got none"):
        PurificationConfig.from_settings(settings)


@pytest.mark.parametrize("name", preset_names("purification"))
def test_every_preset_is_a_valid_config(name):
    config = PurificationConfig.from_settings(preset(name))
    assert config.name == name
    assert PurificationConfig.from_settings(config.to_dict()) == config


def test_an_unknown_preset_offers_the_nearest():
    with pytest.raises(ValueError, match="preset dekc: unknown; did you mean desk?"):
        preset("dekc")
    with pytest.raises(ValueError, match="preset qqq: unknown; there are desk, lottery, theorem, "
                                         "smoke"):
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


@pytest.mark.parametrize("number", [np.int64, np.int32, np.uint8, np.float64, np.float32])
def test_numpy_scalars_are_numbers(number):
    config = small_config(seed=number(3), d=number(20), tau=number(2))
    assert config == small_config(seed=3, d=20, tau=2.0)
    assert config_hash(config) == config_hash(small_config(seed=3, tau=2))
    assert type(config.d) is int and type(config.tau) is float
    assert config.with_seed(np.int64(5)) == config.with_(seed=5)
    assert type(dataclasses.replace(config, seed=np.int64(5)).seed) is int


def test_the_entropy_of_numpy_is_a_seed():
    entropy = np.random.SeedSequence().entropy
    assert small_config(seed=entropy).seed == entropy


def test_a_changed_setting_takes_along_those_that_follow_from_it():
    config = small_config(m="3*d", k="round(d**0.3)", noise="0.1*seed", tau="0.25*2")
    assert config.rules == {"m": "3*d", "k": "round(d**0.3)", "noise": "0.1*seed"} | {
        name: rule for name, rule in config.rules.items() if name not in ("m", "k", "noise")}
    wider = config.with_(d=100, seed=2)
    assert (wider.m, wider.k, wider.noise, wider.tau) == (300, 4, 0.2, 0.5)
    assert wider.with_(d=200).m == 600  # and again
    assert config.with_seed(4).noise == 0.4
    fixed = wider.with_(m=7)
    assert "m" not in fixed.rules and fixed.with_(d=200).m == 7


def test_rules_are_no_part_of_what_a_config_is():
    ruled, plain = small_config(m="2*d"), small_config(m=40)
    assert ruled == plain and hash(ruled) == hash(plain)
    assert config_hash(ruled) == config_hash(plain) and ruled.to_dict() == plain.to_dict()
    assert pickle.loads(pickle.dumps(ruled)).rules == ruled.rules
    back = PurificationConfig.from_settings(ruled.to_settings())
    assert back == ruled and back.rules == ruled.rules


def test_a_stored_config_keeps_its_rules(tmp_path):
    config = small_config(m="2*d")
    folder = RunFolder.create(tmp_path, config)
    settings = read_settings(folder.path / "config.json")
    assert PurificationConfig.from_settings(settings) == config
    assert PurificationConfig.from_settings(settings | {"d": 30}).m == 60
    assert folder.read_json("config.json") == config.to_dict()  # as older versions wrote it
    (folder.path / "rules.json").write_text("{")
    assert PurificationConfig.from_settings(read_settings(folder.path / "config.json")) == config


def test_a_bad_change_is_named():
    with pytest.raises(ValueError, match="dd: unknown setting; did you mean d"):
        small_config().with_(dd=3)


def test_a_known_key_is_returned():
    assert PurificationConfig.known_key("d") == "d"


def test_cost_grows_with_the_size_and_shrinks_with_float32():
    small, wide = cost(small_config()), cost(small_config(m=4000))
    single = cost(small_config(m=4000, dtype="float32"))
    assert small.memory < single.memory < wide.memory < physical_memory()
    assert wide.training_flops == pytest.approx(100 * small.training_flops)
    with_set = cost(small_config(training_samples=10**6))
    assert with_set.memory - small.memory == pytest.approx(10**6 * 20 * 8)
