"""`purify benchmark`: the same mathematics everywhere, honest tables, one line for bad input."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest

from scripts import benchmark
from scripts.benchmarking import breakdown, comparison, workers
from scripts.benchmarking.breakdown import CountingPasses
from scripts.benchmarking.peers import contract, implementation
from scripts.benchmarking.peers.ours import Ours
from scripts.benchmarking.report import report
from scripts.benchmarking.weights import Stages, stages_of_run
from scripts.options import settings_of
from simulator.errors import RunError, Stopped
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.run import simulate
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.runs.folder import RunFolder

ROW = {"case", "weights", "d", "m", "n", "dtype", "implementation", "median_ms", "spread",
       "live_fraction", "turns_ms", "turns"}
HERE = [name for name in contract.IMPLEMENTATIONS if contract.installed(name)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One quick comparison with every implementation that is installed."""
    folder = tmp_path_factory.mktemp("benchmark")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        code = benchmark.main(["--quick", "--repeats", "1", "--dtype", "float64", "--profile",
                               "--cases", "clean,adversarial,pgd20,run", "--format", "json",
                               "--out", str(folder)])
    assert code == 0, shown.getvalue()
    return folder, shown.getvalue().removesuffix("\n")


def test_every_implementation_is_measured_in_every_case(measured):
    found = json.loads(measured[1])
    assert set(found) == {"machine", "rows", "runs", "ratios", "growth"}
    assert found["runs"] == found["growth"] == []  # not asked for; too small
    for row in found["rows"]:
        assert ROW <= set(row)
        assert row["median_ms"] > 0.0 and row["spread"] == 0.0 and row["dtype"] == "float64"
        assert 0.0 < row["live_fraction"] <= 1.0
        assert row["m"] == 20 * row["d"] == 480 and row["peak_mib"] > 0.0
    places = [(case, weights) for weights in ("init", "mid", "end")
              for case in ("clean", "adversarial", "pgd20")] + [("run", "init")]
    assert sorted((row["case"], row["weights"], row["implementation"])
                  for row in found["rows"]) == sorted(
        (*place, name) for place in places for name in HERE)
    machine = found["machine"]
    assert machine["threads"] == 1 and machine["gemm"][0]["gflops"] > 0.0
    assert machine["processor"] and "core_type" in machine
    assert machine["absent"] == [name for name in contract.IMPLEMENTATIONS if name not in HERE]
    assert machine["weights"][0]["clean_steps"] == 24


def test_our_rows_say_what_the_step_spends_and_reaches(measured):
    ours = [row for row in json.loads(measured[1])["rows"]
            if row["implementation"] == "ours" and row["case"] in ("clean", "adversarial")]
    for row in ours:
        assert row["sampler_share"] > 0.0 and 0.0 < row["gemm_fraction"] < 2.0
        pieces = dict(row["pieces_ms"])
        assert len(pieces) > 2 and list(pieces)[-2:] == ["other", "total"]
        assert 0.0 < row["open_share"] <= row["computed_share"] <= 1.0
        assert row["computed_over_open"] == pytest.approx(row["computed_share"] / row["open_share"])
        assert sum(pieces.values()) == pytest.approx(2.0 * pieces["total"], rel=1e-6)


def test_the_folder_keeps_json_figure_and_weights(measured):
    folder, shown = measured
    assert (folder / "benchmark.json").read_text() == shown + "\n"
    names = {path.name for path in folder.iterdir()}
    assert {"benchmark.pdf", "benchmark.png"} <= names
    (weights,) = folder.glob("weights-*.npz")
    with np.load(weights, allow_pickle=False) as archive:
        assert {"init", "mid", "end", "step2"} <= set(archive.files)


def test_the_table_names_what_is_absent(measured):
    found = json.loads(measured[1])
    gone = [name for name in contract.IMPLEMENTATIONS if name.startswith("jax")]
    found["rows"] = [row for row in found["rows"] if row["implementation"] not in gone]
    found["machine"]["absent"] = gone
    text = report(found, "text")
    assert "absent: jax-autograd, jax-manual (" in text
    assert "trained for 24 clean and 12 adversarial steps" in text
    assert "where our step's time goes" in text
    assert text.count("jax-") == len(gone)  # no column without a number


def test_absent_peers_are_left_out(tmp_path, capsys, monkeypatch):
    missing = {"torch": "no_such_torch", "jax": "no_such_jax"}
    monkeypatch.setattr(contract, "PACKAGES", missing)
    monkeypatch.setattr(comparison, "PACKAGES", missing)
    assert benchmark.main(["--quick", "--repeats", "1", "--dtype", "float32",
                           "--cases", "clean"]) == 0
    text = capsys.readouterr().out
    assert ("absent: torch-autograd, torch-manual, torch-compiled, jax-autograd, jax-manual"
            in text)
    assert "float32" in text and "float64" not in text


@pytest.mark.parametrize("name", contract.IMPLEMENTATIONS[2:])
def test_a_peer_steps_and_attacks_as_the_simulator_does(rng, name):
    if not contract.installed(name):
        pytest.skip("bench extra not installed")
    W, X = 0.1 * rng.standard_normal((30, 6)), rng.standard_normal((20, 6))
    y = np.where(rng.random(20) < 0.5, -1.0, 1.0)
    results = []
    for one in (Ours(1), implementation(name, 1)):
        one.load(W, 0.05, 0.01, 0.3)
        samples = one.hand(X, y)
        delta = np.asarray(one.pgd20(samples))
        losses = [one.clean(samples, 0.5), one.clean(samples, 0.5),
                  one.adversarial(samples, 0.5), one.clean(samples, 0.5)]
        results.append((delta, losses))
    (delta, losses), (theirs, their_losses) = results
    assert their_losses == pytest.approx(losses, rel=1e-10)
    net = SymmetricReLU(W, 0.05)
    assert net.margins(X + theirs, y) == pytest.approx(net.margins(X + delta, y), abs=1e-10)


def test_different_mathematics_is_an_error():
    same = {"numpy": [1.0, 2.0], "ours": [1.0, 2.0 + 1e-12]}
    workers.check_agreement(same, 1e-8, "here")
    for wrong in (2.1, float("nan")):
        with pytest.raises(workers.BenchmarkError, match="different mathematics"):
            workers.check_agreement(same | {"ours": [1.0, wrong]}, 1e-8, "here")


def test_a_worker_that_fails_or_dies_is_one_line(capsys, monkeypatch):
    with workers.Workers(["numpy", "numpi"], 1, 0.0) as both:
        for name, order, error in (("numpy", "sampla", "order sampla: unknown; did you mean"),
                                   ("numpi", "blas", "implementation numpi: unknown; did you")):
            with pytest.raises(workers.BenchmarkError, match=f"{name}: ValueError: {error}"):
                both.ask(name, order)
        both._processes["numpy"].kill()
        with pytest.raises(workers.BenchmarkError, match="numpy: its process ended with code -9"):
            both.ask("numpy", "blas")

    def disagree(*arguments):
        raise workers.BenchmarkError("they differ")
    monkeypatch.setattr(comparison, "compare", disagree)
    assert benchmark.main(["--quick"]) == 2
    assert capsys.readouterr().err == "purify benchmark: error: they differ\n"


@pytest.mark.parametrize("flags, message", [
    (["--set", "d=0"], "d: expected at least 1, got 0"),
    (["--set", "d"], "--set d: expected KEY=VALUE"),
    (["--set", "dd=3"], "did you mean"),
    (["--set", "d=1000000"], "expected a size that fits into memory"),
    (["--set", "norm=linf"], "norm: expected l2, got linf"),
    (["--set", "smoothing=0.1"], "nothing else in common"),
    (["--set", "dtype=float32"], "--set dtype: expected --dtype"),
    (["--sizes", "24,32:x"], "--sizes 32:x: expected d or d:k, as in 512 or 512:23"),
    (["--sizes", "24,24"], "--sizes 24,24: expected each size once"),
    (["--sizes", "24", "--set", "d=30"], "--set d: expected either --sizes or --set"),
    (["--sizes", "0"], "d: expected at least 1, got 0"),
    (["--seconds", "-1"], "--seconds: expected at least 0"),
    (["--weights-from", "nowhere"], "nowhere"),
    (["--threads", "0"], "threads: expected at least 1, got 0"),
    (["--threads", "100000"], "there are no more processors"),
    (["--repeats", "0"], "--repeats: expected at least 1, got 0"),
    (["--cases", "clean,fgm"], "--cases: expected one of clean, adversarial, pgd20, run, "
     "simulate, certificates, got 'fgm'"),
    (["--cases", ","], "--cases: expected at least one of clean, adversarial, pgd20, run, "
     "simulate, or certificates alone, got none"),
    (["--seed", "x"], "seed: 'x' is not a number setting"),
    (["--out", __file__], f"{__file__}: expected a folder to write in"),
], ids=lambda value: " ".join(value) if isinstance(value, list) and len(value[1]) < 30 else "")
def test_bad_input_is_one_line_with_exit_code_2(capsys, flags, message):
    assert benchmark.main(["--quick", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1 and error.startswith("purify benchmark: error: ")


@pytest.mark.parametrize("flags", [["--dtype", "half"], ["--repeats", "x"], ["--nonsense"]])
def test_bad_flags_are_one_line_too(capsys, flags):
    with pytest.raises(SystemExit) as stop:
        benchmark.main(flags)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def small_stages(folder):
    arguments = benchmark.parser().parse_args([])
    return Stages(PurificationConfig.from_settings(
        settings_of(arguments) | benchmark.QUICK | {
            "dtype": "float64", "test_samples": 20, "record_every": 36}), folder)


def test_the_stretches_stand_for_the_whole_run(tmp_path):
    stages = small_stages(tmp_path)
    for stretches in (stages.sampled_run(3), stages.whole_run()):
        assert sum(part.length for part in stretches) == 36
        assert sum(part.length for part in stretches if part.adversarial) == 12
    assert sum(len(part.biases) for part in stages.whole_run()) == 36
    assert all(len(part.biases) <= 3 for part in stages.sampled_run(3))


def test_stored_weights_are_those_of_the_run(tmp_path):
    def stop_before_the_evaluation(step, total, what):
        if what not in ("clean", "adversarial"):
            raise Stopped
    stages = small_stages(tmp_path)
    stages.train(lambda step, total: None)
    folder = RunFolder.create(tmp_path / "runs", stages.config)
    with pytest.raises(Stopped):
        simulate(stages.config, folder, stop_before_the_evaluation)
    state = folder.load_checkpoint(stages.config)
    with np.load(stages.path, allow_pickle=False) as archive:
        assert np.array_equal(archive["end"], state["adversarial/weights"])
        assert np.array_equal(archive["init"], stages.simulation.initial_network().weights)
    assert stages.bias(36) == float(state["adversarial/bias"])


def stopped_run(root, config, stage):
    """The folder of a run that was stopped when a stage began."""
    def stop(step, total, what):
        if what == stage:
            raise Stopped
    folder = RunFolder.create(root / stage[:5], config)
    with pytest.raises(Stopped):
        simulate(config, folder, stop)
    return folder


def test_a_stored_run_gives_its_weights(tmp_path):
    config = small_stages(tmp_path).config
    other = config.with_(record_every=18)  # which moves no weight
    folder = stopped_run(tmp_path, other, "clean: attacks")
    stages = stages_of_run(folder.path, config, tmp_path)
    assert stages.step_of == {"init": 0, "clean": 24, "end": 36}
    stages.take()
    state = folder.load_checkpoint(other)
    with np.load(stages.path, allow_pickle=False) as archive:
        assert np.array_equal(archive["init"], stages.simulation.initial_network().weights)
        assert np.array_equal(archive["clean"], state["clean/weights"])
        assert np.array_equal(archive["end"], state["adversarial/weights"])
    assert stages_of_run(folder.path, config.with_(seed=9), tmp_path) is None


def test_a_stored_run_must_be_trained_and_of_a_size(tmp_path):
    config = small_stages(tmp_path).config
    folder = stopped_run(tmp_path, config, "adversarial")
    with pytest.raises(RunError, match="a run whose training is finished, got one at step 24 of"):
        stages_of_run(folder.path, config, tmp_path).take()
    plan = comparison.Plan([config.with_(seed=9)], ("float64",), ("clean",), 1, 1, 0.0, False,
                           False, weights=(folder.path,))
    for change, message in (({}, "expected a run of one of the sizes"),
                            ({"configs": [config], "cases": ("run",)}, "--cases without run")):
        with pytest.raises(workers.BenchmarkError, match=message):
            comparison.compare(dataclasses.replace(plan, **change), tmp_path, None)


@pytest.mark.slow
def test_steps_are_timed_from_the_weights_of_a_stored_run(tmp_path, monkeypatch):
    config = small_stages(tmp_path).config
    folder = stopped_run(tmp_path, config, "clean: attacks")
    monkeypatch.setattr(comparison, "installed", lambda name: name in ("ours", "numpy"))
    plan = comparison.Plan([config], ("float64",), ("clean",), 1, 1, 0.0, False, False,
                           weights=(folder.path,))
    found = comparison.compare(plan, tmp_path, lambda step, total: None)
    assert {row["weights"] for row in found["rows"]} == {"init", "clean", "end"}
    assert found["machine"]["weights"][0]["run"] == folder.path.name
    assert "clean is the end of clean training" in report(found, "text")


def test_counted_work_is_that_of_the_products(rng):
    X, W = rng.standard_normal((10, 5)), rng.standard_normal((8, 5))
    net = SymmetricReLU(W, 0.0)
    net.passes = counting = CountingPasses(net.passes)
    net.gradient_step(X, np.ones(10), 0.1)
    counted = counting.counted
    assert counted.flops == 2 * (2 * 10 * 8 * 5) and counted.live == [1.0]
    assert counted.pairs == counted.pairs_open == counted.pairs_computed == 80
    opened = int((np.abs(net.pre_activations(X)) > 0.5).sum())
    net.bias = 0.5
    net.margins_and_gradient(X, np.ones(10))
    assert counted.pairs_open == 80 + opened and counted.passes == 2
    counting.reset()
    assert counting.counted.numbers()["pairs"] == 0


def test_the_pieces_of_a_step_are_timed_in_place_and_change_nothing(rng):
    ours, y = Ours(1), np.ones(10)
    X, W = rng.standard_normal((10, 5)), rng.standard_normal((8, 5))
    ours.load(W, 0.1, 0.0, 0.2)
    losses = [ours.adversarial((X, y), 0.0)]
    with ours.clocked() as spent:
        losses.append(ours.clean((X, y), 0.0))
        assert len(spent) > 1 and min(spent.values()) > 0.0 and "ball" not in spent
        losses.append(ours.adversarial((X, y), 0.0))
    assert spent["ball"] > 0.0 and losses[0] == losses[2]
    assert np.array_equal(ours.network.weights, W)
    again = dict(spent)
    ours.adversarial((X, y), 0.0)  # nobody times any more
    assert spent == again


def test_pieces_have_any_names_and_one_within_another_stops_it(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(breakdown.time, "perf_counter", lambda: float(next(ticks)))
    watch = breakdown.Stopwatch()
    with watch("pairs"):
        with watch("a block"):
            pass
        with watch("pairs"):
            pass
    assert watch.spent == {"pairs": 4.0, "a block": 1.0} and list(watch.spent)[0] == "pairs"
