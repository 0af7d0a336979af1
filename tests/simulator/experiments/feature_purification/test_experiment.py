"""A whole run: what it reports, that it resumes to the same bits, and how it stops."""

import math
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import Diverged, RunError, Stopped
from simulator.experiments import chosen, config_of, preset
from simulator.experiments import stored as load
from simulator.experiments.feature_purification import measured
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.experiments.feature_purification.run import check, simulate
from simulator.experiments.feature_purification.summary import tables
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.runs import stages as engine
from simulator.runs.config import config_hash
from simulator.runs.folder import RunFolder

from small import CERTIFIED, small_config

SUMMARY_KEYS = {"accuracy", "universal_accuracy", "attacked_accuracy", "mixture_ratio", "purity",
                "coverage", "gate_rate", "r50"}

pytestmark = pytest.mark.usefixtures("brief_attacks")


def files_of(folder):
    return {name: (folder.path / name).read_bytes()
            for name in ("arrays.npz", "metrics.csv", "summary.json", "verdicts.csv",
                         "counterexamples.npz") if (folder.path / name).exists()}


@pytest.fixture(scope="module")
def finished(brief_attacks, tmp_path_factory):
    """One uninterrupted small run and its folder."""
    config = small_config(**CERTIFIED | {"bracket_samples": 10})  # none is most of the work
    folder = RunFolder.create(tmp_path_factory.mktemp("whole"), config)
    return config, folder, simulate(config, folder)


def test_the_summary_has_the_documented_keys(finished):
    config, _, result = finished
    assert set(result.summary) == {"p", "tau", "boxes", "certified_samples", "linear_r50", "clean",
                                   "adversarial"}
    assert (result.summary["boxes"], result.summary["certified_samples"]) == (3, 10)
    for phase in ("clean", "adversarial"):
        assert SUMMARY_KEYS <= set(result.summary[phase])
        found = result.summary[phase]
        assert found["r50_limit_low"] <= found["r50"] <= found["r50_limit_high"]
        assert found["r99_low"] <= found["r99"] <= found["r50"] <= found["r01"]
        assert "r99_high" in found and "r01_high" not in found  # 60 samples limit no upper tail
    assert result.summary["tau"] == config.tau
    assert result.summary["p"] == pytest.approx((1.0 + 1.0 * 2) / 20)


def test_the_summary_brackets_both_networks_at_the_radii_of_the_paper(finished):
    config, _, result = finished
    for phase in ("clean", "adversarial"):
        rows = result.summary[phase]["bracket"]
        radii = [row["radius"] for row in rows]
        assert radii == sorted({0.05, 0.10, 0.15, 0.20, 0.25, config.tau})
        for row in rows:
            assert row["low"] <= row["certified"] <= row["attacked"] <= row["high"]
            assert row["samples"] == 10
        at_tau = rows[radii.index(config.tau)]
        assert result.summary[phase]["certified_accuracy"] == at_tau["certified"]
        assert result.summary[phase]["r99_certified"] == max(
            [0.0, *(row["radius"] for row in rows if row["certified"] >= 0.99)])
        assert result.summary[phase]["r50_low"] <= result.summary[phase]["r50_high"]
        assert isinstance(result.summary[phase]["masking"], list)


def test_the_folder_keeps_verdicts_and_counterexamples(finished):
    config, folder, result = finished
    verdicts, broken = folder.read_csv("verdicts.csv"), folder.read_npz("counterexamples.npz")
    assert list(verdicts[0]) == ["network", "sample", "radius", "verdict", "method", "lower",
                                 "upper"]
    for phase in ("clean", "adversarial"):
        for entry in result.summary[phase]["bracket"]:
            those = [row for row in verdicts
                     if (row["network"], row["radius"]) == (phase, entry["radius"])]
            assert [row["sample"] for row in those] == list(range(config.bracket_samples))
            words = [row["verdict"] for row in those]
            assert words.count("certified") / len(words) == entry["certified"]
            assert 1.0 - words.count("broken") / len(words) == pytest.approx(entry["attacked"])
            assert all(row["lower"] > 0.0 for row in those if row["verdict"] == "certified")
    listed = [(row["network"], row["sample"], row["radius"]) for row in verdicts
              if row["verdict"] == "broken"]
    assert listed and listed == list(zip(*(broken[name].tolist()
                                           for name in ("network", "sample", "radius"))))
    for phase, sample, radius, delta in zip(*(broken[name] for name in (
            "network", "sample", "radius", "delta"))):
        X, y = result.test_set.X[[sample]] + delta, result.test_set.y[[sample]]
        assert np.linalg.norm(delta) <= radius * (1.0 + 1e-12)
        assert result.network(str(phase)).margins(X, y)[0] <= 1e-12  # rounding of one product


def test_a_folder_of_before_has_no_verdicts_and_opens(finished, tmp_path):
    _, folder, result = finished
    old = RunFolder(tmp_path / folder.path.name)
    shutil.copytree(folder.path, old.path)
    for name in ("verdicts.csv", "counterexamples.npz"):
        assert name in old.status()["files"]
        (old.path / name).unlink()
    with pytest.raises(RunError, match="verdicts.csv, counterexamples.npz changed or gone"):
        load(old.path)
    old.finish(result.config.clean_steps)
    assert load(old.path).summary == result.summary


def test_an_linf_run_is_bracketed_at_quarters_of_tau():
    summary = simulate(small_config(norm="linf", tau=0.04, **CERTIFIED)).summary
    assert [row["radius"] for row in summary["clean"]["bracket"]] == pytest.approx(
        [0.01, 0.02, 0.03, 0.04, 0.05])
    assert "certified_accuracy" in summary["clean"]


def test_the_default_radius_is_one_of_its_norm():
    euclidean, cube = (config_of(preset("desk") | {"d": 100, "k": 5, "norm": norm})
                       for norm in ("l2", "linf"))
    assert euclidean.tau == 0.5 / math.sqrt(5) and cube.tau == 0.5 / math.sqrt(500)
    assert euclidean.with_(norm="linf") == cube and cube.with_(norm="l2") == euclidean
    assert chosen("desk", None, {"d": 100, "k": 5, "norm": "linf"}) == cube
    # the dense direction is as long in the one ball as in the other
    dense = euclidean.sparse_coding().dense_direction[None]
    lengths = [np.linalg.norm(config.experiment().ball.steepest(dense))
               for config in (euclidean, cube)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-12)


def test_settings_of_l2_runs_keep_their_names():
    assert config_hash(config_of(preset("desk") | {"bracket_nodes": 4})) == "3650eea278"
    assert config_hash(config_of(preset("smoke") | {"bracket_nodes": 4})) == "fc570960cc"


def test_an_l2_radius_in_an_linf_run_is_refused():
    check(small_config(norm="linf", tau=0.35))
    with pytest.raises(ValueError, match=r"tau: expected less than 0.5/sqrt\(k\) = 0.3536, half of "
                                         "a feature, where norm is linf, got 0.3536, which"):
        check(small_config(norm="linf", tau="0.5/sqrt(k)"))
    check(small_config(norm="l2", tau=1.0))


def test_the_curves_of_an_linf_run_reach_beyond_its_radius():
    for changes in ({}, {"tau": 0.03}):
        experiment = config_of(preset("desk") | {"norm": "linf", **changes}).experiment()
        radii, tau = experiment.radii(), experiment.ball.radius
        assert radii[0] == 0.0 and 4.0 * tau < radii[-1] < experiment.config.half_feature


@pytest.mark.parametrize("changes", [{"bracket_samples": 0}, {"smoothing": 0.1, **CERTIFIED}])
def test_without_samples_or_with_smoothing_the_bracket_is_empty(changes):
    summary = simulate(small_config(**changes)).summary
    assert summary["clean"]["bracket"] == summary["adversarial"]["bracket"] == []
    assert "r50_low" not in summary["clean"]


def test_the_history_covers_both_phases_at_the_chosen_steps(finished):
    _, _, result = finished
    assert result.history["step"].tolist() == [0, 10, 20, 30, 40, 50]
    assert result.history["phase"].tolist() == ["clean"] * 4 + ["adversarial"] * 2
    assert all(np.isnan(row["beta"]) == (row["phase"] == "clean") for row in result.history.rows())


def test_a_row_is_of_the_first_test_samples_and_the_last_of_a_phase_of_all(monkeypatch):
    monkeypatch.setattr(measured, "HISTORY_SAMPLES", 25)
    result = simulate(small_config())
    words = ("accuracy", "universal_accuracy", "fgm_accuracy", "gate_rate")
    rows = list(result.history.rows())
    assert all(rows[-1][word] == result.summary["adversarial"][word] for word in words)
    assert 60 * rows[3]["accuracy"] == pytest.approx(60 * result.summary["clean"]["accuracy"])
    shares = np.array([[row[word] for word in words[:3]] for row in rows[:3] + rows[4:5]])
    assert np.allclose(25 * shares, np.round(25 * shares), rtol=0.0, atol=1e-9)


def test_attacked_accuracy_is_never_above_any_single_attack(finished):
    summary = finished[2].summary
    for phase in ("clean", "adversarial"):
        for single in ("accuracy", "universal_accuracy", "fgm_accuracy"):
            assert summary[phase]["attacked_accuracy"] <= summary[phase][single]


def test_a_run_resumed_again_and_again_ends_with_the_same_bytes(finished, tmp_path):
    config, whole, _ = finished
    folder = RunFolder.create(tmp_path, config)
    for stop_at in (7, 30, 31, 44, 50):
        def stop(step, total, what):
            if step == stop_at:
                raise Stopped

        with pytest.raises(Stopped):
            simulate(config, RunFolder.create(tmp_path, config, resume=True), stop,
                     checkpoint_every=9)
        assert folder.status()["state"] in ("interrupted", "running")
    simulate(config, RunFolder.create(tmp_path, config, resume=True))
    assert folder.is_done()
    assert files_of(folder) == files_of(whole)


def test_a_run_that_was_killed_starts_from_its_last_checkpoint(finished, tmp_path):
    config, whole, _ = finished
    folder = RunFolder.create(tmp_path, config)

    def die(step, total, what):
        if step == 25:
            raise MemoryError  # nothing in the run expects it, as nothing expects SIGKILL

    with pytest.raises(MemoryError):
        simulate(config, folder, die, checkpoint_every=10)
    assert int(folder.load_checkpoint(config)["step"]) == 20
    simulate(config, folder)
    assert files_of(folder) == files_of(whole)


@pytest.mark.parametrize("changes", [
    {"smoothing": 0.02}, {"smoothing": 0.02, "smoothing_mode": "sampled"},
    {"training_samples": 120, "batch_size": 50}, {"norm": "linf", "tau": 0.05},
    {"training_attack": "pgd", "training_pgd_steps": 3}, {"dtype": "float32"},
    {"dictionary": "random", "labeler": "signs"},
    {"bias_schedule": "linear", "bias_scale": 1.5, "bias_growth": 0.3, "bias_max": 0.12},
    {"adversarial_steps": 0}], ids=str)
def test_every_kind_of_run_resumes_to_the_same_bits(tmp_path, changes):
    steps = {"clean_steps": 12, "adversarial_steps": 8, "test_samples": 20, "record_every": 5}
    config = small_config(**steps | changes)
    folder = RunFolder.create(tmp_path, config)
    whole = simulate(config)

    def stop(step, total, what):
        if step == 9:
            raise Stopped

    with pytest.raises(Stopped):
        simulate(config, folder, stop)
    resumed = simulate(config, folder)
    assert resumed.summary == whole.summary
    assert np.array_equal(resumed.arrays["weights_adversarial"],
                          whole.arrays["weights_adversarial"])


@pytest.fixture
def restless(monkeypatch):
    """Ask at every heartbeat, and stop at it."""
    monkeypatch.setattr(engine, "BEATS", 0.0)
    monkeypatch.setattr(engine, "PATIENCE", 0.0)


class Asked:
    """A progress callback that notes every question, and stops at one of those of a stage."""

    def __init__(self, stage=None, place=0, error=Stopped):
        self.names, self.steps, self.moments = [], [], []
        self.stage, self.left, self.error = stage, place, error

    def __call__(self, step, total, what):
        self.names.append(what)
        self.steps.append(step)
        self.moments.append(time.process_time())
        if what == self.stage:
            self.left -= 1
            if self.left < 0:
                raise self.error


STAGES = ("clean", "adversarial", *(f"{phase}: {what}" for phase in ("clean", "adversarial")
                                    for what in ("attacks", "curves", "r50", "tails", "masking",
                                                 "bracket", "interval")))


@pytest.fixture(scope="module")
def questions(finished):
    """Every question that an uninterrupted run asks, as the name of the stage that asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "BEATS", 0.0)
        asked = Asked()
        simulate(finished[0], progress=asked)
    return asked


def test_the_evaluation_is_counted_and_asks_at_least_every_two_seconds(questions):
    assert tuple(dict.fromkeys(questions.names)) == STAGES
    assert np.diff(questions.moments).max() < 2.0  # of CPU: what a stop request waits at most


SHARES = (("clean", 0.8), ("adversarial", 0.3), ("clean: attacks", 0.5), ("clean: r50", 0.6),
          ("clean: masking", 0.5), ("clean: bracket", 0.2), ("adversarial: curves", 0.7),
          ("adversarial: tails", 0.6), ("adversarial: bracket", 0.5),
          ("adversarial: interval", 0.8))


def test_a_run_stopped_at_any_heartbeat_resumes_to_the_same_bytes(finished, questions, restless,
                                                                  tmp_path):
    """One run, stopped inside one stage after the other."""
    config, whole, _ = finished
    folder = RunFolder.create(tmp_path, config)
    for name, share in SHARES:
        place = int(share * questions.names.count(name))
        with pytest.raises(Stopped):
            simulate(config, RunFolder.create(tmp_path, config, resume=True), Asked(name, place))
        assert folder.status()["state"] == "interrupted"
    simulate(config, RunFolder.create(tmp_path, config, resume=True))
    assert folder.is_done() and files_of(folder) == files_of(whole)


@pytest.mark.slow
@pytest.mark.parametrize("name, share", [*SHARES, ("adversarial: bracket", 0.9)])
def test_a_stop_at_any_heartbeat_resumes_to_the_same_bytes(finished, questions, restless, tmp_path,
                                                           name, share):
    config, whole, _ = finished
    folder = RunFolder.create(tmp_path, config)
    with pytest.raises(Stopped):
        simulate(config, folder, Asked(name, int(share * questions.names.count(name))))
    assert folder.status()["state"] == "interrupted"
    simulate(config, RunFolder.create(tmp_path, config, resume=True))
    assert folder.is_done() and files_of(folder) == files_of(whole)


@pytest.mark.parametrize("name", ["clean: curves", "adversarial: bracket"])
def test_a_kill_inside_the_evaluation_repeats_little_of_it(finished, questions, restless, tmp_path,
                                                           monkeypatch, name):
    """With a checkpoint at every tick: what was done before the last of them is not done again."""
    monkeypatch.setattr(engine, "KEPT", 0.0)
    config, whole, _ = finished
    whole_stage, first = questions.names.count(name), questions.names.index(name)
    steps = questions.steps[first:first + int(0.98 * whole_stage)]
    kept = steps.index(steps[-1])  # the first question about the step that the kill interrupts
    assert kept > 0.3 * whole_stage
    folder = RunFolder.create(tmp_path, config)
    with pytest.raises(MemoryError):
        simulate(config, folder, Asked(name, int(0.98 * whole_stage), MemoryError))
    rest = Asked()
    simulate(config, folder, rest)
    # it asks where it begins, and about the step before once more
    assert rest.names.count(name) <= whole_stage - kept + 2
    assert len(rest.names) < len(questions.names) - first
    assert files_of(folder) == files_of(whole)


def test_divergence_keeps_the_last_good_state(tmp_path):
    config = small_config(learning_rate=1e6)
    folder = RunFolder.create(tmp_path, config)
    with pytest.raises(Diverged, match="training diverged at step"):
        simulate(config, folder, checkpoint_every=1)
    assert folder.status()["state"] == "diverged"
    assert all(np.isfinite(array).all() for key, array in folder.load_checkpoint(config).items()
               if key.endswith("/weights"))


def test_weights_that_are_not_finite_never_become_a_checkpoint(tmp_path, monkeypatch):
    config = small_config()
    folder = RunFolder.create(tmp_path, config)
    honest_step = SymmetricReLU.gradient_step
    calls = []

    def poisoned(self, *arguments):
        loss = honest_step(self, *arguments)
        calls.append(1)
        if len(calls) == 12:
            self.weights[0, 0] = np.inf
        return loss

    monkeypatch.setattr(SymmetricReLU, "gradient_step", poisoned)
    with pytest.raises(Diverged):
        simulate(config, folder, checkpoint_every=4)
    assert int(folder.load_checkpoint(config)["step"]) == 8


def test_the_seed_changes_everything_random():
    first, second = (small_config(seed=seed).experiment() for seed in (0, 1))
    assert not np.array_equal(first.initial_network().weights, second.initial_network().weights)
    assert not np.array_equal(first.batches.batch(0).X, second.batches.batch(0).X)
    assert not np.array_equal(first.test_set.X, second.test_set.X)


def test_test_samples_are_never_training_samples():
    simulation = PurificationExperiment(small_config())
    assert not np.isin(simulation.test_set.X, simulation.batches.batch(0).X).any()


def test_most_samples_are_certified_together_on_a_grid_that_has_tau():
    """Certified is never more than attacked, of the same samples at the same radius."""
    config = small_config(tail_samples=40, clean_steps=60, adversarial_steps=60)
    run = simulate(config)
    robust, radii = run.summary["adversarial"], run.arrays["certified_radii"]
    assert robust["certified_tail"] == {"samples": 40, "at_tau": np.mean(radii >= config.tau)}
    (shown,) = [table for table in tables(config, run.summary) if "same radius" in table.title]
    assert shown.rows[0][1][1:] == (run.summary["clean"]["r01"], 1.0)
    assert shown.rows[2][1][:2] == (40, robust["r99_certified"])
    attacked = robust["attacked_accuracy"] * config.test_samples / 40.0
    assert 0.0 < robust["certified_tail"]["at_tau"] <= min(1.0, attacked)
    assert robust["r99_certified"] <= robust["r01"] and "bracket" not in robust["certified_tail"]
    assert "certified_tail" not in simulate(replace(config, tail_samples=0)).summary["adversarial"]
