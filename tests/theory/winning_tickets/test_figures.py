"""The figures of a ticket run: every mask is seen, and every line told."""

import numpy as np
import pytest

from simulator.experiments import config_of, experiment_module, preset
from simulator.experiments.winning_tickets.config import MASKS, TRAINED
from theory import draw_run, winning_tickets
from theory.drawing.shares import LIMIT_WORDS
from theory.drawing.style import house_style, narrow_form, new_figure
from theory.pages.run import run_page
from theory.scaling import binomial_limits
from theory.winning_tickets.captions import CAPTIONS
from theory.winning_tickets.figures import (LINES, accuracy_panel, errors_figure, errors_panel,
                                            figures, flow_figure, where_figure)
from theory.winning_tickets.quantities import percents, value

from legible import faults

NAMES = ("errors", "accuracy", "where", "flow", "training")


@pytest.fixture(scope="module")
def run():
    return experiment_module("tickets").simulate(config_of(preset("desk", "tickets") | {
        "d": 12, "k": 2, "m": 30, "keep_percents": "50-20-10", "search_steps": 2, "swaps": 5,
        "transfer_steps": 3, "steps": 2, "record_every": 1, "batch_size": 30, "kernel_samples": 12,
        "flow_samples": 4, "test_samples": 20}))


def test_a_figure_is_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(winning_tickets.figures, "figures", lambda run: {"flow": flow_figure})
    assert {path.name for path in draw_run(run, tmp_path)} == {"flow.pdf", "flow.png"}


@pytest.mark.slow
def test_all_figures_are_written(run, tmp_path):
    assert {path.name for path in draw_run(run, tmp_path)} == {
        f"{name}.{suffix}" for name in NAMES for suffix in ("pdf", "png")}


def test_every_figure_can_be_read(run):
    with house_style():
        drawn = {name: faults(draw(run)) for name, draw in figures(run).items()}
    assert drawn == dict.fromkeys(NAMES, [])


@pytest.mark.slow
def test_every_figure_can_be_read_on_a_phone(run):
    with narrow_form(), house_style():
        assert all(faults(draw(run)) == [] for draw in figures(run).values())


def test_a_panel_alone_can_be_read(run):
    with house_style():
        assert faults(errors_panel(run)) == faults(accuracy_panel(run)) == []


def test_the_errors_are_those_of_the_summary(run):
    lines = [drawn for drawn in errors_panel(run, "kernel_error").axes[0].get_lines()
             if drawn.get_linestyle() != "None"]  # those are the ends of bars
    assert len(lines) == len(LINES) + 1
    for drawn, name in zip(lines, LINES):
        np.testing.assert_allclose(drawn.get_ydata(), [value(run, name, "kernel_error", percent)
                                                       for percent in (50, 20, 10)])


def test_an_error_has_its_limits_over_the_samples(run):
    axes = errors_panel(run, "own_trajectory_error").axes[0]
    bars = [segment[:, 1] for bar in axes.collections if hasattr(bar, "get_segments")
            for segment in bar.get_segments()]
    low, high = run.limits["own_trajectory_error_50"][:, run.config.masks.index("random")]
    assert low < value(run, "random", "own_trajectory_error", 50) < high
    assert any(np.allclose(bar, (low, high)) for bar in bars)


def test_every_line_and_area_of_the_errors_is_in_the_legend(run):
    figure = errors_figure(run)
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["the ticket", "tickets of single weights", *LINES, LIMIT_WORDS]


def test_each_mask_has_a_place_of_its_own(run):
    axes = accuracy_panel(run).axes[0]
    names = [*MASKS, TRAINED]
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    marks = [drawn for drawn in axes.get_lines() if drawn.get_marker() in ("o", "s", "^")]
    assert len(marks) == 3 * len(names)
    assert [label.get_text() for label in where_figure(run).axes[3].get_yticklabels()] == names


def test_the_bound_is_in_the_legend(run):
    told = [text.get_text() for text in flow_figure(run).legends[0].get_texts()]
    assert "distance" in told and "its bound" in told


def test_a_panel_is_drawn_into_given_axes(run):
    figure, axes = new_figure(1, 2, size=(6.0, 3.0))
    assert errors_panel(run, "kernel_error", axes[0, 1]) is figure
    assert axes[0, 1].get_lines() and not axes[0, 0].get_lines()


def test_every_accuracy_has_its_limits(run):
    axes = accuracy_panel(run).axes[0]
    bars = [bar.get_segments()[0][:, 1] for bar in axes.collections
            if hasattr(bar, "get_segments")]
    assert len(bars) == len(run.config.masks) * len(percents([run]))
    share = value(run, "random", "attacked_accuracy", percents([run])[0])
    expected = np.array(binomial_limits(share, run.config.test_samples))
    assert any(np.allclose(bar, expected) for bar in bars)


def test_its_page_has_its_numbers_and_a_caption_for_every_figure(run):
    page = run_page(run, {})  # the figures are drawn above
    assert "<h2>Numbers</h2>" in page and "Watch it train" not in page
    assert set(CAPTIONS) >= set(figures(run))
