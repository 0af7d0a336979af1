"""Claims C1 to C4: planted kernels and accuracies hold, controls fail, and one control is run."""

import math

import numpy as np
import pytest

from simulator.experiments import preset
from simulator.experiments.ntk_evolution.config import NTKConfig
from simulator.experiments.ntk_evolution.experiment import simulate
from theory import claims
from theory.claim import FAILS, HOLDS, OUTSIDE, Run, confront_all
from theory.drawing.claims import png
from theory.ntk_evolution import (adversarial_kernel_differs, fixed_kernel_trained_robust,
                                  its_kernel_is_robust, kernel_moves_then_rests)
from theory.ntk_evolution.quantities import frozen, lazy_velocity, path_share, velocities

CLAIMS = claims("ntk_evolution")

STEPS, EVERY = 400, 10
# (mode, data) -> attacked accuracy of phase 2 on any kernel but the first
ATTACKED = {("clean", "benign"): 0.1, ("clean", "adversarial"): 0.35, ("clean", "masked"): 0.2,
            ("adversarial", "benign"): 0.65, ("adversarial", "adversarial"): 0.8,
            ("adversarial", "masked"): 0.8}
SPEED = {"clean": lambda t: math.exp(-t / 20.0), "adversarial": lambda t: math.exp(-t / 40.0)}


def planted(seed, speed=None, attacked=None, between=0.1, within=(0.004, 0.02), robust=0.8):
    """A run with these velocities, accuracies and distances, a little different in each seed."""
    rng = np.random.default_rng(seed)
    speed, attacked = SPEED | (speed or {}), ATTACKED | (attacked or {})
    config = NTKConfig.from_settings(preset("desk", "ntk") | {"seed": seed})
    history = [{"mode": mode, "run": run, "step": float(step),
                "distance_to_pure": 0.1 if mode == "clean" else 0.01,
                "velocity": math.nan if step == 0 else
                1e-3 * speed[mode](step) * math.exp(0.05 * rng.standard_normal())}
               for run in (1, 2) for mode in speed for step in range(0, STEPS + 1, EVERY)]
    rows = [{"mode": mode, "time": time, "centred": centred, "data": data, "accuracy": 0.98,
             "attacked_accuracy": (value if time else 0.1) + 0.01 * rng.standard_normal(),
             "plain_attacked_accuracy": value + 0.1}
            for (mode, data), value in attacked.items() for time in config.freeze_times
            for centred in (0, 1)]
    noise = np.exp(0.05 * rng.standard_normal(3))
    summary = {"between": between * noise[0], "within_clean": within[0] * noise[1],
               "within_adversarial": within[1] * noise[2], "frozen": rows,
               "clean": {"accuracy": 0.99, "attacked_accuracy": 0.15},
               "adversarial": {"accuracy": 0.98, "attacked_accuracy": robust}}
    return Run(config, summary, history, {})


def runs(count=4, **changes):
    return [planted(seed, **changes) for seed in range(count)]


def holds(confront, seeds=8):
    finding = confront(runs(seeds))
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.seeds == tuple(range(seeds))
    assert png(finding.data).startswith(b"\x89PNG")


def test_all_claims_hold_together_on_what_they_say():
    findings = confront_all(runs(8), CLAIMS)
    assert [finding.verdict for finding in findings] == [HOLDS] * len(CLAIMS)


def test_c1_holds_for_a_kernel_that_comes_to_rest():
    holds(kernel_moves_then_rests.confront)


@pytest.mark.parametrize("speed", [
    {"adversarial": lambda t: 1.0}, {"clean": lambda t: math.exp(t / 100.0)}],
    ids=["never lazy", "faster and faster"])
def test_c1_fails_for_a_kernel_that_moves_on(speed):
    assert kernel_moves_then_rests.confront(runs(speed=speed)).verdict == FAILS


def test_c2_holds_for_kernels_far_apart():
    holds(adversarial_kernel_differs.confront)


@pytest.mark.parametrize("changes", [{"between": 0.02}, {"within": (0.09, 0.02)}],
                         ids=["same kernel", "runs scatter"])
def test_c2_fails_for_kernels_as_near_as_two_runs(changes):
    assert adversarial_kernel_differs.confront(runs(**changes)).verdict == FAILS


def test_c3_holds_for_a_robust_kernel():
    holds(its_kernel_is_robust.confront)


@pytest.mark.parametrize("attacked", [{("adversarial", "benign"): 0.3}, {("clean", "benign"): 0.6}],
                         ids=["not robust", "robust either way"])
def test_c3_fails_for_others(attacked):
    assert its_kernel_is_robust.confront(runs(attacked=attacked)).verdict == FAILS


def test_c4_holds_for_a_gain_in_part():
    holds(fixed_kernel_trained_robust.confront)


@pytest.mark.parametrize("attacked", [
    {("clean", "adversarial"): 0.1, ("clean", "benign"): 0.2}, {("clean", "adversarial"): 0.75}],
    ids=["nothing gained", "as good as the other kernel"])
def test_c4_fails_without_a_gain_or_with_a_whole_one(attacked):
    assert fixed_kernel_trained_robust.confront(runs(attacked=attacked)).verdict == FAILS


def test_a_slower_lazy_phase_is_said_and_decides_nothing():
    finding = kernel_moves_then_rests.confront(runs())
    assert finding.verdict == HOLDS
    assert any("slower to become lazy" in caveat for caveat in finding.caveats)
    alike = kernel_moves_then_rests.confront(
        runs(speed={"adversarial": lambda t: 0.3 * math.exp(-t / 20.0)}))
    assert not any("slower to become lazy" in caveat for caveat in alike.caveats)


def test_without_a_robust_network_nothing_is_said_about_its_kernel():
    for claim in (adversarial_kernel_differs, its_kernel_is_robust, fixed_kernel_trained_robust):
        finding = claim.confront(runs(robust=0.3))
        assert finding.verdict == OUTSIDE
        assert any("raises the attacked accuracy" in caveat for caveat in finding.caveats)


def test_two_seeds_are_too_few():
    assert all(theorem.confront(runs(2)).verdict == OUTSIDE for theorem in CLAIMS)


def test_the_velocity_is_that_of_the_first_run():
    run = planted(0)
    steps, speed = velocities(run, "clean")
    assert np.array_equal(steps, np.arange(EVERY, STEPS + 1, EVERY))
    rows = [row for row in run.history.rows() if row["run"] == 1]
    late = [row["velocity"] for row in rows if row["mode"] == "clean"
            and row["step"] > 300]
    early = [row["velocity"] for row in run.history.rows() if row["run"] == 1
             and row["mode"] == "clean" and 0 < row["step"] <= 100]
    assert lazy_velocity(run, "clean") == pytest.approx(np.mean(late) / np.mean(early))
    assert path_share(run, "clean") == pytest.approx(np.sum(early) / np.sum(speed))


def test_a_missing_training_is_not_a_number():
    run = planted(0)
    assert frozen(run, "clean", 100, "benign", True) == pytest.approx(0.1, abs=0.05)
    assert math.isnan(frozen(run, "clean", 123, "benign", True))


@pytest.mark.slow
def test_adversarial_training_at_a_tiny_radius_has_the_kernel_of_clean_training():
    """The whole pipeline as a control: without an adversary no claim about it is confirmed."""
    settings = preset("smoke", "ntk") | {"tau": 1e-4, "frozen_steps": 10, "dtype": "float32"}
    found = []
    for seed in range(3):
        config = NTKConfig.from_settings(settings | {"seed": seed})
        found.append(simulate(config))
    assert all(run.summary["between"] < run.summary["within_clean"] for run in found)
    claims = (adversarial_kernel_differs, its_kernel_is_robust, fixed_kernel_trained_robust)
    for confront in (claim.confront for claim in claims):
        assert confront(found).verdict == OUTSIDE  # no robustness to speak of was trained
