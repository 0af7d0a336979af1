"""The abstract in one picture: what is certified is drawn as it was found, the window where it is.

Drawn from planted numbers: of which samples are certified how far, and where each curve falls.
"""

import numpy as np
import pytest

from theory.drawing.style import ADVERSARIAL, CLEAN, house_style, narrow_form
from theory.feature_purification.captions import CAPTIONS
from theory.feature_purification.figures import figures
from theory.feature_purification.window_figure import WINDOW, has_window, window_figure

from legible import faults
from planted.feature_purification import changed, planted_run

CERTIFIED = np.concatenate([[-np.inf], np.repeat([0.2, 0.25, 0.3], [1, 18, 20])])


def planted_window(r01=0.15, r99_certified=0.2):
    run = planted_run(20, 3, 0)
    radii = np.linspace(0.0, 0.8, 16)
    arrays = {"radii": radii, "certified_radii": CERTIFIED}
    for phase, half in (("clean", 0.1), ("adversarial", 0.4)):
        arrays[f"curve_{phase}_strongest"] = 1.0 / (1.0 + (radii / half)**8)
    learners = {"radii": [0.2, 0.4], "table": [
        {"learner": "linear", "training": "clean", "attacked": [0.1, 0.3]},
        {"learner": "linear", "training": "adversarial", "attacked": [0.4, 0.2]}]}
    return changed(run, {"learners": learners}, arrays, clean={"r01": r01},
                   adversarial={"r99_certified": r99_certified})


def test_it_can_be_read_on_a_phone():
    with narrow_form(), house_style():
        assert faults(window_figure(planted_window())) == []


@pytest.fixture
def axes():
    with house_style():
        figure = window_figure(planted_window())
        assert faults(figure) == []
        yield figure.axes


def drawn_in(axes, colour, width=None):
    return [(np.asarray(one.get_xdata(), float), np.asarray(one.get_ydata(), float))
            for one in axes.get_lines()
            if one.get_color() == colour and (width is None or one.get_linewidth() == width)]


def test_the_certified_curve_is_the_share_that_is_certified_at_each_radius(axes):
    ((at, held),) = drawn_in(axes[0], ADVERSARIAL, 2.0)
    assert np.array_equal(at, [0.0, 0.2, 0.25, 0.3])
    np.testing.assert_allclose(held, [np.mean(CERTIFIED >= radius) for radius in at])


def test_it_begins_with_what_is_certified_without_any_perturbation(axes):
    ((_, held),) = drawn_in(axes[0], ADVERSARIAL, 2.0)
    assert held[0] == 39 / 40


def test_both_panels_have_both_networks_and_the_best_of_each_learner(axes):
    for panel in axes:
        assert len(drawn_in(panel, CLEAN)) == 1 and len(drawn_in(panel, ADVERSARIAL)) == 2
        (learner,) = [one for one in panel.get_lines() if one.get_marker() == "v"]
        assert list(learner.get_ydata()) == [0.4, 0.3]


@pytest.mark.parametrize("r99, shaded", [(0.2, True), (0.15, False), (0.1, False)])
def test_the_window_is_shaded_where_it_is_open(r99, shaded):
    with house_style():
        figure = window_figure(planted_window(r99_certified=r99))
    spans = [patch for patch in figure.axes[0].patches
             if np.allclose(patch.get_facecolor()[:3], [int(WINDOW[i:i + 2], 16) / 255
                                                        for i in (1, 3, 5)])]
    assert bool(spans) == shaded
    assert figure.axes[1].get_title(loc="left") == ("the window" if shaded else "no window")


def test_a_run_without_certified_samples_has_no_such_figure():
    assert has_window(planted_window()) and set(CAPTIONS) == set(figures(planted_window()))
    assert not has_window(planted_run(20, 3, 0)) and "window" not in figures(planted_run(20, 3, 0))
