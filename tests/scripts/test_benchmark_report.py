"""What the benchmark makes of its rows: exponents, ratios, whole runs, and tables of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts import benchmark
from scripts.benchmarking import comparison, whole_run
from scripts.benchmarking.comparison import Plan, memory, turns_of
from scripts.benchmarking.growth import exponent, growth, ratios, training_seconds
from scripts.benchmarking.kept import read
from scripts.benchmarking.report import report, tables
from simulator.runs import machine
from simulator.runs.files import json_text

SIZES = ((128, 11), (256, 16), (512, 23), (1024, 32), (2048, 45))


def row(d, k, name, milliseconds, case="clean", weights="end", **more):
    """One row as the comparison leaves it, with planted times."""
    found = {"case": case, "weights": weights, "d": d, "m": 20 * d, "n": 1000, "k": k,
             "dtype": "float32", "clean_steps": 1800, "adversarial_steps": 1000,
             "implementation": name, "median_ms": milliseconds, "spread": 0.1 * milliseconds,
             "turns_ms": [0.9 * milliseconds, milliseconds, 1.1 * milliseconds], "turns": 3,
             "steps_a_turn": 1, "live_fraction": 0.2, "peak_mib": 300.0}
    if name == "ours":
        found |= {"open_share": 0.003, "computed_share": 0.004, "computed_over_open": 4 / 3,
                  "product_share": 0.0, "gemm_fraction": 0.3}
    return found | more


def planted(powers, sizes=SIZES):
    """Rows of implementations whose step grows as d to a given power."""
    return [row(d, k, name, level * d**power, case) for d, k in sizes
            for name, (level, power) in powers.items() for case in ("clean", "adversarial")]


def found_of(rows, runs=()):
    """What the comparison returns of these rows."""
    sizes = dict.fromkeys((one["d"], one["k"]) for one in rows)
    gemm = [{"d": d, "k": k, "dtype": "float32", "gflops": 200.0, "sampler_ms": 2.0}
            for d, k in sizes]
    weights = [{"name": "lottery", "d": d, "k": k, "m": 20 * d, "clean_steps": 1800,
                "adversarial_steps": 1000, "dtype": "float32", "seed": 0, "run": None,
                "steps": {"init": 0, "mid": 900, "end": 2800}} for d, k in sizes]
    return {"machine": {"processor": "a processor", "cores": 2, "threads": 2, "load_before": 0.1,
                        "blas": ["openblas"], "forced_core_type": None, "numpy": "2", "numba": "1",
                        "versions": {}, "absent": [], "seconds": 60.0, "gemm": gemm,
                        "weights": weights},
            "rows": rows, "runs": list(runs), "ratios": ratios(rows), "growth": growth(rows)}


def test_exponents_are_those_of_planted_times():
    rows = planted({"ours": (1e-2, 1.5), "torch-manual": (1e-4, 2.0)})
    fits = {(one["implementation"], one["case"]): one for one in growth(rows)}
    assert len(fits) == 4
    for (name, _), one in fits.items():
        assert one["exponent"] == pytest.approx(1.5 if name == "ours" else 2.0)
        assert one["error"] == pytest.approx(0.0, abs=1e-9)
        assert one["d"] == [256, 512, 1024, 2048] and one["k"] == [16, 23, 32, 45]
    text = " ".join(report(found_of(rows), "text").split())
    assert "(d, k) = (256, 16), (512, 23), (1024, 32), (2048, 45), float32" in text
    assert "1.50 (0.00)" in text and "2.00 (0.00)" in text


def test_a_size_off_the_line_shows_in_the_residual():
    slope, error = exponent([256, 512, 1024], [1.0, 8.0, 4.0])
    assert slope == pytest.approx(1.0) and error == pytest.approx(4.0 / 3.0 * np.log(2.0))


@pytest.mark.parametrize("sizes", [((512, 8), (1024, 8)), ((128, 11), (256, 16)), ((512, 23),)])
def test_without_two_sizes_of_the_rule_there_is_no_growth(sizes):
    rows = planted({"ours": (1.0, 1.0)}, sizes)
    assert growth(rows) == []
    assert "growth: none, for want of two sizes" in report(found_of(rows), "text")


def test_sizes_of_another_shape_are_not_fitted_together():
    rows = planted({"ours": (1.0, 1.0)})
    for one in rows:
        one["n"] = 1000 if one["d"] < 2048 else 500
    assert growth(rows) == []


def test_the_ratio_is_to_the_fastest_of_the_peers_and_numpy_is_none():
    rows = [row(512, 8, name, ms) for name, ms in (
        ("ours", 10.0), ("numpy", 5.0), ("torch-manual", 80.0), ("jax-manual", 90.0))]
    (one,) = ratios(rows)
    assert one["fastest"] == "torch-manual" and one["ratio"] == one["low"] == one["high"] == 8.0
    assert ratios(rows[:2]) == []
    (line,) = [line for line in report(found_of(rows), "markdown").splitlines()
               if line.startswith("| clean, end")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["clean, end", "10 (1)", "8", "5 (0.5)", "80 (8)", "90 (9)", "0.200", "0.30%",
                     "1.33", "30%", "3 x 1"]


def test_a_product_is_marked():
    rows = [row(512, 8, "ours", 10.0, product_share=0.5, computed_over_open=300.0)]
    assert "300*" in report(found_of(rows), "text")


def test_markdown_is_whole_tables():
    rows = planted({"ours": (1e-2, 1.5), "torch-manual": (1e-4, 2.0)})
    text, made = report(found_of(rows), "markdown"), tables(found_of(rows))
    assert all(f"**{table.title}**" in text for table in made) and len(made) == 5 + 1 + 1
    widths = [len(line.split("|")) for line in text.splitlines() if line.startswith("|")]
    assert len(widths) == sum(2 + len(table.rows) for table in made)
    assert "a processor, 2 cores, 2 threads for everybody; load before 0.1" in text


# --- whole runs ----------------------------------------------------------------------------


def test_a_run_is_split_into_training_and_evaluation(monkeypatch):
    wall, cpu = iter([0.0, 1.0, 5.0, 7.0, 10.0, 14.0, 15.0]), iter([0.0, 0, 4, 6, 8, 9, 9.5])
    monkeypatch.setattr(whole_run.time, "perf_counter", lambda: float(next(wall)))
    monkeypatch.setattr(whole_run.time, "process_time", lambda: float(next(cpu)))
    clock = whole_run.StageClock()
    for stage in ("clean", "adversarial", "clean: curves", "adversarial: curves",
                  "learner: linear"):
        clock(0, 9, stage)
        clock(5, 9, stage)
    clock.turn("")
    found = whole_run.parts(clock.spent)
    assert found["training"] == {"wall_s": 6.0, "cpu_s": 6.0}
    assert found["evaluation"] == {"wall_s": 8.0, "cpu_s": 3.5}
    assert found["by_part"] == {"curves": {"wall_s": 7.0, "cpu_s": 3.0},
                                "learner": {"wall_s": 1.0, "cpu_s": 0.5}}
    rows = [row(512, 23, name, ms, case) for case in ("clean", "adversarial")
            for name, ms in (("ours", 10.0), ("jax-manual", 98.0 if case == "clean" else 198.0))]
    run = {"d": 512, "k": 23, "m": 10240, "n": 1000, "dtype": "float32", "clean_steps": 1800,
           "adversarial_steps": 1000, "peak_mib": 900.0, **found}
    text = report(found_of(rows, [run]), "markdown")
    assert "| 6 (6) | 8 (3.5) | 0.583 | 7 (3) | 1 (0.5) | 900 | 380 (jax-manual) |" in text


def test_the_training_of_peers_is_their_row_or_their_steps():
    rows = [row(512, 23, name, 100.0, case) for case in ("clean", "adversarial")
            for name in ("ours", "jax-manual")]
    size = rows[0]
    assert training_seconds(rows, size, 2.0) == {"jax-manual": pytest.approx(2800 * 0.102)}
    rows.append(row(512, 23, "ours", 5e4, "run", "init"))
    assert training_seconds(rows, size, 2.0) == {"ours": 50.0}
    assert training_seconds(rows, size | {"k": 8}, 2.0) == {}


@pytest.mark.slow
def test_one_real_run_is_timed_and_kept(tmp_path, capsys):
    assert benchmark.main(["--quick", "--dtype", "float32", "--cases", "simulate", "--out",
                           str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "whole runs of ours" in text and "curves" in text
    (folder,) = tmp_path.glob("lottery-*")
    assert (folder / "summary.json").exists()


# --- kept, and shown again -----------------------------------------------------------------


def kept(folder, name, found, **machine):
    """The file that a command has kept."""
    path = folder / name
    path.write_text(json_text(found | {"machine": found["machine"] | machine}), encoding="utf-8")
    return str(path)


def test_files_of_one_machine_are_one_table(tmp_path, capsys):
    powers = {"ours": (1e-2, 1.5), "torch-manual": (1e-4, 2.0)}
    small, large = planted(powers, SIZES[1:3]), planted(powers, SIZES[3:])
    paths = [kept(tmp_path, "a.json", found_of(small), load_before=0.5),
             kept(tmp_path, "b.json", found_of(large))]
    assert benchmark.main(["--show", *paths, "--format", "markdown", "--out",
                           str(tmp_path / "both")]) == 0
    whole = found_of(small + large)
    whole["machine"]["load_before"] = "0.5, 0.1"
    assert capsys.readouterr().out == report(whole, "markdown") + "\n"
    assert read([tmp_path / "both" / "benchmark.json"]) == whole
    assert (tmp_path / "both" / "benchmark.png").exists()


@pytest.mark.parametrize("change, message", [
    ({"processor": "another"}, "processor: expected a processor as in .*a.json, got another"),
    ({"threads": 1}, "threads: expected 2"), ({}, "expected each row once, got two of 256, 16")])
def test_files_of_two_machines_or_of_the_same_rows_are_refused(tmp_path, change, message):
    found = found_of(planted({"ours": (1.0, 1.0)}, SIZES[1:2]))
    paths = [kept(tmp_path, "a.json", found), kept(tmp_path, "b.json", found, **change)]
    with pytest.raises(ValueError, match=message):
        read([Path(path) for path in paths])


def test_a_file_of_another_kind_is_refused(tmp_path, capsys):
    (tmp_path / "a.json").write_text("[1]", encoding="utf-8")
    assert benchmark.main(["--show", str(tmp_path / "a.json")]) == 2
    assert "a.json: expected benchmark.json of purify benchmark --out" in capsys.readouterr().err


@pytest.mark.parametrize("content, message", [
    ({"machine": {}, "rows": [], "runs": []}, "without load_before, weights, gemm, absent"),
    ({"machine": dict.fromkeys(("load_before", "weights", "gemm", "absent"), []),
      "rows": [{"d": 1}], "runs": []}, "without k, dtype, case, weights, implementation")])
def test_a_file_that_lacks_something_is_one_line(tmp_path, capsys, content, message):
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    assert benchmark.main(["--show", str(tmp_path / "a.json")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error


# --- how often, and how large --------------------------------------------------------------


def test_repeats_adapt_to_the_slowest_and_never_fall_below_three():
    rounds, each = turns_of({"ours": 0.01, "numpy": 0.1}, 9, 60.0, False)
    assert rounds == 9
    assert each == {"ours": {"times": 10, "wake": True}, "numpy": {"times": 5, "wake": True}}
    rounds, each = turns_of({"ours": 0.4, "numpy": 10.0}, 9, 50.0, False)
    assert rounds == 5 and each["numpy"] == {"times": 1, "wake": False}
    assert each["ours"] == {"times": 1, "wake": True}
    assert turns_of({"ours": 0.4, "numpy": 90.0}, 9, 60.0, True)[0] == 3
    assert turns_of({"ours": 0.4, "numpy": 90.0}, 2, 60.0, True)[0] == 2  # asked for


def test_a_size_beyond_the_memory_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(machine, "physical_memory", lambda: 12.0 * 2**30)
    flags = ["--sizes", "2048:45", "--cases", "clean", "--threads", "1"]
    arguments = benchmark.parser().parse_args([*flags, "--dtype", "float32"])
    plan = benchmark._plan(arguments)
    assert isinstance(plan, Plan) and (plan.configs[0].m, plan.configs[0].k) == (40960, 45)
    need = memory(plan.configs[0], "float64")
    assert need == pytest.approx(2 * memory(plan.configs[0], "float32"), rel=0.2)
    assert benchmark.main([*flags, "--dtype", "float64"]) == 2
    error = capsys.readouterr().err
    assert "d=2048, m=40960: expected a size that fits into memory, got one of" in error
    assert error.count("\n") == 1


def test_a_compiler_that_does_not_work_is_an_absent_implementation(monkeypatch, caplog):
    monkeypatch.setattr(comparison, "IMPLEMENTATIONS", ("numpy", "no-compiled"))
    monkeypatch.setattr(comparison, "installed", lambda name: True)
    names, absent = comparison._usable(1)
    assert names == ["numpy"] and absent == ["no-compiled"]
    assert "no-compiled: left out: no-compiled: ValueError: implementation no-compiled" in (
        caplog.text)
