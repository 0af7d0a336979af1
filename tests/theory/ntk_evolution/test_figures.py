"""Every line of a kernel figure is in its legend, and every axis says what it counts."""

import numpy as np
import pytest

from simulator.experiments import config_of, experiment_module, preset
from theory import draw_run, ntk_evolution
from theory.drawing.style import house_style, narrow_form, new_figure
from theory.ntk_evolution.captions import CAPTIONS
from theory.ntk_evolution.figures import (distances_figure, dynamics_panel, eigenvectors_figure,
                                          figures, frozen_figure, frozen_panel, movement_figure,
                                          rank_panel, seen_figure, spectrum_figure, spectrum_panel,
                                          transfer_figure)
from theory.pages.run import run_page
from theory.scaling import binomial_limits

from legible import faults

SHORT = ("training", "movement", "distances", "frozen", "spectrum", "eigenvectors")
NAMES = (*SHORT, "seen", "transfer")
SMALL = {"d": 12, "k": 2, "m": 40, "batch_size": 40, "steps": 20, "record_every": 5,
         "freeze_every": 10, "frozen_steps": 2, "probe_samples": 30, "spectrum_samples": 40,
         "test_samples": 30, "evaluation_chunk": 30}


@pytest.fixture(scope="module")
def run():
    return experiment_module("ntk").simulate(config_of(preset("desk", "ntk") | SMALL | {
        "early_freezes": 2, "transfer_samples": 20}))


@pytest.fixture(scope="module")
def short_run():
    return experiment_module("ntk").simulate(config_of(preset("smoke", "ntk") | SMALL))


def test_a_figure_is_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ntk_evolution.figures, "figures",
                        lambda run: {"distances": distances_figure})
    assert {path.name for path in draw_run(run, tmp_path)} == {"distances.pdf", "distances.png"}


@pytest.mark.slow
def test_all_figures_are_written(run, tmp_path):
    assert {path.name for path in draw_run(run, tmp_path)} == {
        f"{name}.{suffix}" for name in NAMES for suffix in ("pdf", "png")}


def test_every_figure_can_be_read(run, short_run):
    with house_style():
        drawn = {name: faults(draw(run)) for name, draw in figures(run).items()}
        assert drawn == dict.fromkeys(NAMES, [])
        assert tuple(figures(short_run)) == SHORT
        assert faults(frozen_figure(short_run)) == []  # the others have nothing that is less


@pytest.mark.slow
def test_every_figure_can_be_read_on_a_phone(run, short_run):
    with narrow_form(), house_style():
        for each in (run, short_run):
            assert all(faults(draw(each)) == [] for draw in figures(each).values())


@pytest.mark.parametrize("panel", [frozen_panel, dynamics_panel, spectrum_panel, rank_panel])
def test_a_panel_alone_can_be_read(run, panel):
    with house_style():
        assert faults(panel(run)) == []


def test_every_line_of_the_movement_is_in_the_legend(run):
    figure = movement_figure(run)
    told = {(handle.get_color(), handle.get_linewidth())
            for handle in figure.legends[0].get_lines()}
    for axes in figure.axes:
        assert {(drawn.get_color(), drawn.get_linewidth()) for drawn in axes.get_lines()} == told


def test_the_spectrum_is_drawn_over_the_index(run):
    left = spectrum_figure(run).axes[0]
    assert left.get_xlabel() == "index of the eigenvalue"
    assert left.get_ylabel() == "eigenvalue / trace"


def test_spectra_and_what_eigenvectors_see_have_their_limits_as_bands(run, short_run):
    for each in (run, short_run):
        bands = spectrum_panel(each).axes[0].collections
        assert len(bands) == 1 + len(each.config.modes)
        for kernel in ("start", *each.config.modes):
            low, high = each.limits[f"spectrum_{kernel}"]
            values = each.arrays[f"spectrum_{kernel}"]
            known = values > 1e-6
            assert (low[known] < values[known]).all() and (values[known] < high[known]).all()
    assert all(len(panel.collections) == 1 + len(run.config.modes)
               for panel in seen_figure(run).axes)


def test_no_words_lie_over_the_bars_of_an_eigenvector(run):
    for axes in eigenvectors_figure(run).axes:
        assert not axes.texts and "cosine with" in axes.get_title(loc="right")


def test_each_kernel_of_the_distances_has_its_step(run):
    axes = distances_figure(run).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    times = [str(step) for step in run.arrays["times"]]
    assert len(labels) == 7 * len(times)  # seven runs of phase 1
    assert set(labels) <= {*times, ""} and times[0] in labels


def test_a_panel_is_drawn_into_given_axes(run):
    figure, axes = new_figure(1, 2, size=(6.0, 3.0))
    assert frozen_panel(run, "mixed", axes[0, 0]) is figure
    assert axes[0, 0].get_lines() and not axes[0, 1].get_lines()


def test_a_frozen_kernel_has_the_limits_of_its_accuracy(run):
    axes = frozen_panel(run).axes[0]
    row = next(row for row in run.summary["frozen"] if row["dynamics"] == "centred")
    limits = np.array(binomial_limits(row["attacked_accuracy"], run.config.test_samples))
    bars = [segment[:, 1] for bar in axes.collections if hasattr(bar, "get_segments")
            for segment in bar.get_segments()]
    assert any(np.allclose(bar, limits) for bar in bars)


def test_the_second_run_stands_beside_the_first_in_every_curve_over_time(run):
    thin = [drawn for drawn in rank_panel(run).axes[0].get_lines()
            if drawn.get_linewidth() == 0.5 and len(drawn.get_xdata())]
    assert len(thin) == 2 * 3  # two measures of three trainings that have a second run


def test_phase_two_is_drawn_by_its_data_for_every_kind_of_checkpoint(run):
    axes = frozen_figure(run).axes
    assert [panel.get_title().split()[0] for panel in axes[:3]] == ["benign", "adversarial",
                                                                    "mixed"]
    rows = [row["attacked_accuracy"] for row in run.summary["frozen"]
            if (row["mode"], row["data"], row["dynamics"]) == ("mixed", "benign", "centred")]
    drawn, = (each for each in axes[0].get_lines() if each.get_marker() == "D")
    assert list(drawn.get_ydata()) == rows


def test_the_transfer_matrix_says_every_accuracy(run):
    axes = transfer_figure(run).axes[0]
    assert [text.get_text() for text in axes.texts] == [
        f"{row['accuracy']:.2f}" for row in run.summary["transfer"]]
    assert axes.get_xlabel() == "shown to" and axes.get_ylabel() == "examples made on"


def test_what_eigenvectors_see_is_held_against_chance(run):
    for panel in seen_figure(run).axes:
        *kernels, chance = panel.get_lines()
        assert len(kernels) == 1 + len(run.config.modes)
        assert chance.get_ydata()[0] == pytest.approx(1.0 / run.config.spectrum_samples)


def test_its_page_has_its_numbers_and_a_caption_for_every_figure(run):
    page = run_page(run, {})  # the figures are drawn above
    assert "<h2>Numbers</h2>" in page and "Watch it train" not in page
    assert set(CAPTIONS) >= set(figures(run))
