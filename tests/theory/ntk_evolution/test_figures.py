"""Every line of a kernel figure is in its legend, and every axis says what it counts."""

import numpy as np
import pytest

from simulator.experiments import config_of, experiment_module, preset
from theory import draw_run, ntk_evolution
from theory.drawing.style import house_style, new_figure
from theory.ntk_evolution.figures import (distances_figure, eigenvectors_figure, figures,
                                          frozen_panel, movement_figure, rank_panel,
                                          spectrum_figure, spectrum_panel)
from theory.scaling import binomial_limits

from legible import faults

NAMES = ("movement", "distances", "frozen", "spectrum", "eigenvectors")


@pytest.fixture(scope="module")
def run():
    config = config_of(preset("smoke", "ntk") | {
        "d": 12, "k": 2, "m": 40, "batch_size": 40, "steps": 20, "record_every": 5,
        "freeze_every": 10, "frozen_steps": 2, "probe_samples": 30, "spectrum_samples": 40,
        "test_samples": 30, "evaluation_chunk": 30})
    return experiment_module("ntk").simulate(config)


def test_a_figure_is_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ntk_evolution.figures, "figures",
                        lambda run: {"distances": distances_figure})
    assert {path.name for path in draw_run(run, tmp_path)} == {"distances.pdf", "distances.png"}


@pytest.mark.slow
def test_all_figures_are_written(run, tmp_path):
    assert {path.name for path in draw_run(run, tmp_path)} == {
        f"{name}.{suffix}" for name in NAMES for suffix in ("pdf", "png")}


def test_every_figure_can_be_read(run):
    with house_style():
        drawn = {name: faults(draw(run)) for name, draw in figures(run).items()}
    assert drawn == dict.fromkeys(NAMES, [])


@pytest.mark.parametrize("panel", [frozen_panel, spectrum_panel, rank_panel])
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


def test_no_words_lie_over_the_bars_of_an_eigenvector(run):
    for axes in eigenvectors_figure(run).axes:
        assert not axes.texts and "cosine with" in axes.get_title(loc="right")


def test_each_kernel_of_the_distances_has_its_step(run):
    axes = distances_figure(run).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == [str(step) for step in run.arrays["times"]] * 4


def test_a_panel_is_drawn_into_given_axes(run):
    figure, axes = new_figure(1, 2, size=(6.0, 3.0))
    assert frozen_panel(run, False, axes[0, 0]) is figure
    assert axes[0, 0].get_lines() and not axes[0, 1].get_lines()


def test_a_frozen_kernel_has_the_limits_of_its_accuracy(run):
    axes = frozen_panel(run).axes[0]
    row = next(row for row in run.summary["frozen"] if row["centred"])
    limits = np.array(binomial_limits(row["attacked_accuracy"], run.config.test_samples))
    bars = [segment[:, 1] for bar in axes.collections if hasattr(bar, "get_segments")
            for segment in bar.get_segments()]
    assert any(np.allclose(bar, limits) for bar in bars)


def test_the_second_run_stands_beside_the_first_in_every_curve_over_time(run):
    thin = [drawn for drawn in rank_panel(run).axes[0].get_lines()
            if drawn.get_linewidth() == 0.5]
    assert len(thin) == 4  # two measures of two trainings
