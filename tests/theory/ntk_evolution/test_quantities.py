"""What the claims about kernels read off a run, all of them together, and a control that is run."""

import math

import numpy as np
import pytest

from simulator.experiments import config_of, experiment_module, preset
from theory import claims
from theory.claim import HOLDS, OUTSIDE, Run, confront_all
from theory.ntk_evolution import (adversarial_kernel_differs, fixed_kernel_trained_robust,
                                  its_kernel_is_robust)
from theory.ntk_evolution.quantities import frozen, lazy_velocity, path_share, settled, velocities

from planted.ntk_evolution import EVERY, STEPS, accuracy_run, transfer_run

CLAIMS = claims("ntk_evolution")


def test_all_claims_hold_together_on_what_they_say():
    findings = confront_all([transfer_run(seed) for seed in range(8)], CLAIMS)
    assert [finding.verdict for finding in findings] == [HOLDS] * len(CLAIMS)


def test_two_seeds_are_too_few():
    runs = [accuracy_run(seed) for seed in range(2)]
    assert all(theorem.confront(runs).verdict == OUTSIDE for theorem in CLAIMS)


def test_the_velocity_is_that_of_the_first_run():
    run = accuracy_run(0)
    steps, speed = velocities(run, "clean")
    assert np.array_equal(steps, np.arange(EVERY, STEPS + 1, EVERY))
    rows = [row for row in run.history.rows() if row["run"] == 1 and row["mode"] == "clean"]
    late = [row["velocity"] for row in rows if row["step"] > 300]
    early = [row["velocity"] for row in rows if 0 < row["step"] <= 100]
    assert lazy_velocity(run, "clean") == pytest.approx(np.mean(late) / np.mean(early))
    assert path_share(run, "clean") == pytest.approx(np.sum(early) / np.sum(speed))


def test_a_kernel_has_settled_when_it_comes_no_further_away_again():
    run = accuracy_run(0, speed={"clean": lambda t: 1.0})  # a straight way at one speed
    assert settled(run, "clean", 0.1) == pytest.approx(0.9, abs=0.03)
    rows = run.history.rows()
    for row in rows:
        if row["step"] == 390.0:
            row["distance_to_last"] = 1.0  # back once more
    assert settled(Run(run.config, run.summary, rows, {}), "clean", 0.1) == 1.0


def test_a_missing_training_is_not_a_number():
    run = accuracy_run(0)
    assert frozen(run, "clean", 100, "benign") == pytest.approx(0.1, abs=0.05)
    assert math.isnan(frozen(run, "clean", 123, "benign"))


@pytest.mark.slow
def test_adversarial_training_at_a_tiny_radius_has_the_kernel_of_clean_training():
    """The whole pipeline as a control: without an adversary no claim about it is confirmed."""
    settings = preset("smoke", "ntk") | {"tau": 1e-4, "frozen_steps": 10, "dtype": "float32"}
    found = [experiment_module("ntk").simulate(config_of(settings | {"seed": seed}))
             for seed in range(3)]
    assert all(run.summary["between"] < run.summary["within_clean"] for run in found)
    for claim in (adversarial_kernel_differs, its_kernel_is_robust, fixed_kernel_trained_robust):
        assert claim.confront(found).verdict == OUTSIDE  # no robustness to speak of was trained
