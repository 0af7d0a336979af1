"""The page of a sweep: quantities against what varies, means, every run and its page."""

import math

import pytest

from simulator.experiments import preset
from simulator.runs.files import table_bytes
from simulator.runs.folder import RunFolder
from simulator.sweeps.plan import plan_runs
from theory.drawing.claims import draw
from theory.drawing.picture import Picture
from theory.pages import sweep
from theory.pages.sweep import quantities, sweep_page

from small import SMALL
from theory_pages import Checker

WORDS = {"accuracy": "clean accuracy", "attacked_accuracy": "attacked", "r50": "r50"}


def plan(**grid):
    return plan_runs(preset("smoke") | SMALL, grid, seeds=2)


@pytest.fixture
def written(tmp_path):
    """A plan of four runs with tables that somebody measured, and one run's page."""
    made = plan(d=[20, 40])
    folder = tmp_path / made.folder_name
    folder.mkdir()
    rows = [{"seed": config.seed, "d": config.d, "m": config.m, "run": "x", "state": "done",
             "error": "", "clean_accuracy": 0.9 + 0.01 * config.seed,
             "adversarial_accuracy": config.d / 100} for config in made.configs]
    rows[-1] = rows[-1] | {"state": "diverged", "clean_accuracy": math.nan}
    (folder / "summary.csv").write_bytes(table_bytes(rows))
    (folder / "summary_mean.csv").write_bytes(table_bytes([
        {"d": 20, "m": 40, "seeds": 2, "clean_accuracy": 0.905,
         "clean_accuracy_mean_low": 0.85, "clean_accuracy_mean_high": 0.96}]))
    page = RunFolder.of(tmp_path, made.configs[0]).path
    page.mkdir()
    (page / "report.html").write_text("")
    return folder, made, page.name


def test_the_page_shows_quantities_runs_and_means(written):
    folder, made, name = written
    page = sweep_page(folder, made)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert f"../{name}/report.html" in checker.addresses
    assert all(address.startswith("data:") or address == f"../{name}/report.html"
               for address in checker.addresses)
    assert "Sweep over d" in page and "3 of 4 runs are done: d = 20, 40; 2 seeds." in page
    assert 'alt="clean accuracy against d"' in page
    assert '0.905 <span class="limits">[0.85, 0.96]</span>' in page
    assert "diverged" in page and "1 of 4 runs have a page" in page
    assert page.count('class="sortable"') == 2


def test_a_sweep_of_which_nothing_is_done_has_a_page(written):
    folder, made, _ = written
    (folder / "summary.csv").write_bytes(table_bytes(
        [{"seed": config.seed, "d": config.d, "m": config.m, "run": "x", "state": "missing",
          "error": ""} for config in made.configs]))
    assert "0 of 4 runs are done" in sweep_page(folder, made)


def test_a_column_belongs_to_the_longest_key_it_ends_in():
    row = {"clean_accuracy": 1.0, "clean_attacked_accuracy": 0.5, "r50": 0.1, "tau": 0.2,
           "adversarial_accuracy": math.nan, "clean_fgm_accuracy": 0.1}
    assert quantities(WORDS, [row]) == {
        "clean accuracy": {"clean": "clean_accuracy"},
        "attacked": {"clean": "clean_attacked_accuracy"}, "r50": {"": "r50"}}


def test_values_stand_by_seed_and_by_what_varies():
    rows = [{"seed": 0.0, "d": 20.0, "q": 1.0}, {"seed": 1.0, "d": 20.0, "q": 2.0},
            {"seed": 0.0, "d": 40.0, "q": 3.0}]
    panel = sweep._panel("d", rows, "words", {"clean": "q"})
    (series,) = panel.series
    assert series.x.tolist() == [20.0, 40.0] and series.joined
    assert series.values[0].tolist() == [1.0, 3.0]
    assert series.values[1][0] == 2.0 and math.isnan(series.values[1][1])


def test_limits_are_cut_at_what_is_possible_and_no_further():
    row = {f"{name}_mean_{end}": value for name in ("clean_accuracy", "r50", "mixture_ratio")
           for end, value in (("low", -0.5), ("high", 1.5))}
    told = [str(sweep._mean(row | {name: 0.5}, name)[1])
            for name in ("clean_accuracy", "r50", "mixture_ratio")]
    assert [words.partition("[")[2].partition("]")[0] for words in told] == [
        "0, 1", "0, 1.5", "−0.5, 1.5"]
    rows = [{"seed": float(seed), "d": d, "clean_accuracy": 0.9 + 0.1 * seed}
            for seed in range(2) for d in (20.0, 40.0)]
    assert sweep._panel("d", rows, "words", {"clean": "clean_accuracy"}).possible == (0.0, 1.0)


def test_a_sweep_over_seeds_alone_has_a_dot_each():
    rows = [{"seed": float(seed), "q": seed / 10} for seed in range(3)]
    panel = sweep._panel("seed", rows, "words", {"": "q"})
    (series,) = panel.series
    assert panel.ticks == ("0", "1", "2")  # no seed is 0.5
    assert draw(Picture("", (panel,))).get_supxlabel() == "one seed each: no interval"
    assert not series.joined and series.values.tolist() == [[0.0, 0.1, 0.2]]


def test_words_are_counted_and_a_wide_axis_is_logarithmic():
    rows = [{"seed": 0.0, "norm": name, "q": 1.0} for name in ("l2", "linf")]
    assert sweep._panel("norm", rows, "words", {"": "q"}).ticks == ("l2", "linf")
    rows = [{"seed": 0.0, "d": d, "q": 1.0} for d in (10.0, 100.0)]
    assert sweep._panel("d", rows, "words", {"": "q"}).log == "x"


def test_settings_that_vary_beside_the_first_make_pictures_of_their_own():
    made = plan(d=[20, 40, 60], tau=[0.1, 0.2])
    rows = [{"d": float(config.d), "tau": config.tau, "seed": float(config.seed)}
            for config in made.configs]
    axis, others = sweep._axes(made, rows)
    assert (axis, others) == ("d", ["tau"])
    assert list(sweep._choices(rows, others)) == [{"tau": 0.1}, {"tau": 0.2}]
    drawn = sweep._pictures(made, rows, {"what varies": {"": "d"}, "other": {"": "seed"}})
    assert drawn.count("<figure") == 2 and "what varies" not in drawn  # against itself
