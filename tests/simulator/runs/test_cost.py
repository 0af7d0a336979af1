"""The memory a run is said to need is what it takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import simulator
from simulator.experiments import preset
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.cost import cost
from simulator.runs.cost import duration, gemm_rate, seconds

from small import small_config

ROOT = Path(simulator.__file__).parents[1]

# The peak of this process's own address space: ru_maxrss would also count the parent's.
MEASURE = """
import json, sys, tempfile
from pathlib import Path
from types import SimpleNamespace
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.runs.folder import RunFolder
from simulator.experiments.feature_purification.run import simulate
from small import shorten_attacks
shorten_attacks(SimpleNamespace(setattr=setattr))  # more steps take no more memory
config = PurificationConfig.from_settings(json.loads(sys.stdin.read()))
with tempfile.TemporaryDirectory() as place:
    simulate(config, RunFolder.create(Path(place), config), checkpoint_every=2)
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(line.split()[1])
"""

SIZES = [
    {"d": 32, "k": 4, "m": 3000, "batch_size": 3000},  # the pre-activations
    {"d": 300, "k": 4, "m": 1200, "batch_size": 50},  # the weights
]
OTHER_SIZES = [
    {},  # the process itself
    {"d": 500, "k": 4, "m": 8000, "batch_size": 50},
    {"d": 500, "k": 4, "m": 4000, "batch_size": 50, "dtype": "float32"},
    {"d": 64, "k": 4, "m": 5000, "batch_size": 2000, "smoothing": 0.01,
     "smoothing_mode": "sampled"},
    {"d": 500, "k": 4, "m": 10, "training_samples": 50000},
    {"d": 1000, "k": 4, "m": 10, "batch_size": 10000},
    {"d": 1500, "k": 4, "m": 10, "dictionary": "random"},
    {"d": 80, "k": 4, "m": 10, "batch_size": 2000, "learner_steps": 2},
]


def measured(config):
    import json
    done = subprocess.run([sys.executable, "-c", MEASURE], input=json.dumps(config.to_dict()),
                          capture_output=True, text=True,
                          env=os.environ | {
                              "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"})
    assert done.returncode == 0, done.stderr
    return 1024.0 * int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the peak from /proc")
@pytest.mark.parametrize("changes", SIZES + [pytest.param(changes, marks=pytest.mark.slow)
                                             for changes in OTHER_SIZES], ids=str)
def test_the_memory_estimate_is_within_half_of_the_measured_peak(changes):
    config = small_config(clean_steps=3, adversarial_steps=3, record_every=3, test_samples=4,
                          bias_schedule="linear", bias_max=0.1, bias_scale=3.0,
                          **changes)
    ratio = cost(config).memory / measured(config)
    print(f"estimate / measured = {ratio:.2f}")
    assert 1 / 1.5 <= ratio <= 1.5, f"estimate / measured = {ratio:.2f}"


def test_more_of_anything_costs_more():
    base, rate = small_config(), 1e9
    for change in ({"m": 4000}, {"d": 200}, {"batch_size": 5000}, {"learner_steps": 50}):
        assert cost(small_config(**change)).memory > cost(base).memory
        assert seconds(cost(small_config(**change)), rate) > seconds(cost(base), rate)


def test_the_rate_of_a_product_is_that_of_a_computer():
    assert 1e6 < gemm_rate((40, 30, 20), "float64", 1, budget=0.02) < 1e15


def test_durations_are_words():
    assert [duration(length) for length in (3.2, 600, 9000)] == ["3 s", "10 min", "2.5 h"]


# Seconds that runs of plan `width` took, one thread each and two at once (EPYC, seed 2002).
@pytest.mark.parametrize("d, k, measured", [(200, 6, 43), (400, 8, 109), (1600, 12, 1600),
                                            (3200, 15, 3600)])
def test_the_time_estimate_is_within_a_factor_of_one_and_a_half(d, k, measured):
    config = PurificationConfig.from_settings(preset("theorem") | {
        "d": d, "k": k, "test_samples": 500, "bracket_samples": 0, "record_every": 200})
    assert 1 / 1.5 <= seconds(cost(config), rate=1e11) / measured <= 1.5
