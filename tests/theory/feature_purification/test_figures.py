"""The figures of a run say what it stored: bracket on its own samples, pure diagonal, own axes."""

import numpy as np
import pytest

from simulator.experiments.feature_purification.run import simulate
from theory import draw_run
from theory.drawing.style import COLUMN, house_style, narrow_form, new_figure
from theory.feature_purification.figures import (_of_neurons, _second_features, accuracy_figure,
                                                 bracket_panel, coefficients_figure, colour_end,
                                                 curves_panel, figures)
from theory.scaling import binomial_limits

from legible import faults
from small import small_config

NAMES = {"accuracy", "coefficients", "history", "perturbation"}


@pytest.fixture(scope="module")
def run(brief_attacks):
    return simulate(small_config(bracket_samples=5, bracket_nodes=3))


@pytest.mark.slow  # in the default suite the command writes them: tests/scripts/test_simulate.py
def test_all_figures_are_drawn_and_written(run, tmp_path):
    written = draw_run(run, tmp_path)
    assert {path.name for path in written} == {f"{name}.{suffix}" for name in NAMES
                                               for suffix in ("pdf", "png")}


def test_every_figure_can_be_read(run):
    with house_style():
        drawn = {name: faults(draw(run)) for name, draw in figures(run).items()}
    assert drawn == dict.fromkeys(NAMES, [])


@pytest.mark.slow
def test_every_figure_can_be_read_on_a_phone(run):
    with narrow_form(), house_style():
        assert all(faults(draw(run)) == [] for draw in figures(run).values())


def test_certified_is_never_above_what_is_drawn_as_attacked(run):
    """Certificates are for fewer samples than the curves: the two share no panel."""
    figure = accuracy_figure(run)
    curves, bracket = figure.axes
    assert "5 samples" in bracket.get_title()
    assert f"{run.config.test_samples} samples" in curves.get_title()
    by_marker = {}
    for drawn in bracket.get_lines():
        if drawn.get_marker() in "^v":
            by_marker.setdefault(drawn.get_marker(), []).append(np.asarray(drawn.get_ydata()))
    assert not any(drawn.get_marker() in "^v" for drawn in curves.get_lines())
    for certified, attacked in zip(by_marker["^"], by_marker["v"], strict=True):
        assert (certified <= attacked).all()


def test_without_certificates_there_is_one_panel(brief_attacks):
    with house_style():
        figure = accuracy_figure(simulate(small_config(bracket_samples=0)))
        assert faults(figure) == [] and figure.get_size_inches()[0] == COLUMN
    assert len(figure.axes) == 1
    assert not any("certified" in text.get_text() for text in figure.legends[0].get_texts())


@pytest.mark.parametrize("panel", [curves_panel, bracket_panel])
def test_a_panel_is_drawn_into_given_axes(run, panel):
    figure, axes = new_figure(1, 2, size=(6.0, 3.0))
    assert panel(run, axes[0, 1]) is figure
    assert not axes[0, 0].get_lines() and axes[0, 1].get_lines()
    with house_style():
        alone = panel(run)
        assert alone.axes[0].get_title() and faults(alone) == []


def test_the_colours_of_the_coefficients_are_for_what_is_beside_the_diagonal(run):
    left = coefficients_figure(run).axes[0]
    shown, own = (image.get_array() for image in left.get_images())
    assert np.isnan(np.diag(np.ma.filled(shown, np.nan))).all()
    own = np.ma.filled(own, np.nan)
    assert np.isnan(own[~np.eye(len(own), dtype=bool)]).all()


def test_colours_go_up_to_one_but_where_the_mixture_were_too_pale():
    rng = np.random.default_rng(0)
    assert colour_end(rng.random((50, 50))) == 1.0
    assert 0.02 < colour_end(0.1 * rng.random((50, 50))) <= 0.1


def test_second_features_are_ringed_by_row_and_column():
    rows = np.array([[1.0, 0.2, -0.6], [0.5, 1.0, 0.1], [np.nan] * 3])
    assert [index.tolist() for index in _second_features(rows)] == [[0], [2]]


def test_equal_marks_of_the_two_networks_do_not_hide_each_other(run):
    axes = bracket_panel(run).axes[0]
    clean, adversarial = (drawn for drawn in axes.get_lines() if drawn.get_marker() == "v")
    assert list(clean.get_xdata()) == list(adversarial.get_xdata())
    point = clean.get_xdata()[0], 0.5
    places = [drawn.get_transform().transform(point) for drawn in (clean, adversarial)]
    apart = (places[1] - places[0]) * 72.0 / axes.figure.dpi
    assert apart[0] > clean.get_markersize() and apart[1] == 0.0


def test_every_curve_of_the_accuracy_has_its_limits(run):
    """Seven curves: three attacks on each network, and the linear classifier."""
    axes = curves_panel(run).axes[0]
    bands = [band.get_paths()[0].vertices for band in axes.collections]
    assert len(bands) == 7
    low, high = binomial_limits(run.arrays["curve_clean_pgd"], run.config.test_samples)
    assert any(np.isin(np.append(low, high), band[:, 1]).all() for band in bands)


def test_the_bars_of_the_history_are_over_the_neurons_it_is_the_mean_of(run):
    for phase in ("clean", "adversarial"):
        values = _of_neurons(run, phase)
        for name in ("mixture_ratio", "purity"):
            assert values[name].mean() == pytest.approx(run.summary[phase][name])
            assert len(values[name]) == run.history["feature_neurons"][
                run.history["phase"] == phase][-1]
