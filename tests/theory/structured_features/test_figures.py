"""The figures of a patch run, of trainings and of races."""

import numpy as np
import pytest

from simulator.experiments import config_of, experiment_module, preset
from theory import draw_run
from theory.drawing.style import house_style, narrow_form
from theory.pages.run import run_page
from theory.scaling import binomial_limits
from theory.structured_features.captions import CAPTIONS
from theory.structured_features.figures import (LEARNED, _over_classes, accuracy_figure,
                                                correlation_figure, figures)

from legible import faults

NAMES = ("accuracy", "correlations", "perturbation", "training")


def run_of(name, **changes):
    return experiment_module("patches").simulate(config_of(preset(name, "patches") | {
        "d": 12, "nonrobust_patches": 10} | changes))


@pytest.fixture(scope="module")
def run():
    return run_of("smoke", m=2, standard_steps=10, one_step_steps=10, pgd_steps=5,
                  multi_start_steps=2, test_samples=10, certified_samples=1)


@pytest.mark.slow
def test_all_figures_of_trainings_are_written(run, tmp_path):
    assert {path.name for path in draw_run(run, tmp_path)} == {
        f"{name}.{suffix}" for suffix in ("pdf", "png") for name in NAMES}


def test_every_figure_can_be_read(run):
    with house_style():
        drawn = {name: faults(draw(run)) for name, draw in figures(run).items()}
    assert drawn == dict.fromkeys(NAMES, [])


@pytest.mark.slow
def test_every_figure_can_be_read_on_a_phone(run):
    with narrow_form(), house_style():
        assert all(faults(draw(run)) == [] for draw in figures(run).values())


def test_races_have_a_figure_of_their_own(tmp_path):
    races = run_of("transition", races=1, kappa_points=3)
    assert {path.name for path in draw_run(races, tmp_path)} == {"transition.pdf",
                                                                 "transition.png"}
    with house_style():
        assert faults(figures(races)["transition"](races)) == []


def test_a_spectrum_has_a_figure_of_its_own():
    spectrum = run_of("spectrum", m=2, spectrum_points=3, one_step_steps=20, test_samples=10)
    with house_style():
        drawn = {name: faults(draw(spectrum)) for name, draw in figures(spectrum).items()}
    assert drawn == {"spectrum": []}
    for key in ("u", "v"):
        low, high = spectrum.limits[key]
        assert (low <= spectrum.history[key]).all() and (spectrum.history[key] <= high).all()


def test_the_legend_of_the_correlations_lies_beside_the_panels(run):
    figure = correlation_figure(run)
    assert all(axes.get_legend() is None for axes in figure.axes)
    assert len(figure.legends[0].get_texts()) == len(LEARNED) + 1  # and the bars
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert not any(legend.overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_the_bars_of_the_correlations_span_the_classes_of_their_mean(run):
    for name in ("standard", "multi_start"):
        rows = run.history["training"] == name
        for (key, *_), (low, high) in zip(LEARNED, _over_classes(run, name)):
            assert low - 1e-12 <= run.history[key][rows][-1] <= high + 1e-12


def test_an_accuracy_has_the_limits_of_as_many_samples_as_it_is_of(run):
    axes = accuracy_figure(run).axes[0]
    bars = [bar.get_segments()[0][:, 1] for bar in axes.collections]
    for key in ("accuracy", "certified_accuracy"):
        samples = len(run.arrays["margins_standard_certified"]) if key.startswith("cert") else (
            run.config.test_samples)
        limits = np.array(binomial_limits(run.summary["standard"][key], samples))
        assert any(np.allclose(bar, limits) for bar in bars), key


def test_its_page_has_its_numbers_and_a_caption_for_every_figure(run):
    page = run_page(run, {})  # the figures are drawn above
    assert "<h2>Numbers</h2>" in page and "Watch it train" not in page
    assert set(CAPTIONS) >= set(figures(run))
