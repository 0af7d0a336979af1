"""Pictures of many sizes, many seeds and long words can be read at the width of a page."""

import json

import numpy as np
import pytest

from theory.drawing.claims import draw
from theory.drawing.picture import Curve, Panel, Picture, Series, picture_from_dict, picture_to_dict
from theory.drawing.style import COLUMN, PAGE, house_style

from legible import faults

ROLES = ("clean", "adversarial", "linear", "other")


def panel(sizes, log="", labels=("after adversarial training", "clean network")):
    rng = np.random.default_rng(sizes)
    series = tuple(Series(label, np.arange(sizes, dtype=float), 0.5 + 0.1 * rng.random((3, sizes)),
                          role) for label, role in zip(labels, ROLES))
    return Panel("d, k", "test accuracy of a network", series,
                 (Curve("accepted from here", (-0.4, sizes - 0.6), (0.5, 0.5)),), log=log,
                 ticks=tuple(f"{100 + size}, {size}\nlottery" for size in range(sizes)))


@pytest.mark.parametrize("count, width", [(1, COLUMN), (3, PAGE), (4, PAGE)])
@pytest.mark.parametrize("sizes", [1, 7, 30])
def test_any_number_of_sizes_can_be_read(count, width, sizes):
    with house_style():
        figure = draw(Picture("", (panel(sizes),) * count))
        assert figure.get_size_inches()[0] == width
        assert faults(figure) == []


@pytest.mark.parametrize("low, high", [(0.9, 1.1), (0.02, 0.09), (0.1, 3.0), (1e-12, 1e-3),
                                       (0.5, 3e5)])
def test_logarithmic_axes_have_numbers_that_can_be_read(low, high):
    series = (Series("a", np.array([low, high]), np.array([[low, high]] * 3), joined=True),)
    with house_style():
        figure = draw(Picture("", (Panel("x", "y", series, log="xy"),) * 3))
        assert faults(figure) == []
        for axes in figure.axes:
            shown = [tick for tick in axes.get_yticks() if low <= tick <= high]
            assert len(shown) >= 2


def test_what_is_measured_stands_before_what_is_accepted():
    with house_style():
        figure = draw(Picture("", (panel(2),)))
    told = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert told == ["after adversarial training", "clean network", "accepted from here"]


def test_the_figure_says_over_how_many_seeds():
    few = Series("a", np.arange(2.0), np.array([[1.0, 2.0], [1.0, 2.0], [np.nan] * 2]))
    full = Series("b", np.arange(2.0), np.ones((5, 2)))
    with house_style():
        figure = draw(Picture("", (Panel("x", "y", (few,)), Panel("x", "y", (full,)))))
        assert "over 2 to 5 seeds" in figure.get_supxlabel()
        assert not draw(Picture("", (Panel("x", "y", ()),))).get_supxlabel()


@pytest.mark.parametrize("joined, told", [((False,), "a dot"), ((True, True), "a faint line"),
                                          ((True, False), "a dot or a faint line")])
def test_the_figure_says_how_each_seed_is_drawn(joined, told):
    series = tuple(Series("a", np.arange(2.0), np.ones((3, 2)), joined=one) for one in joined)
    with house_style():
        figure = draw(Picture("", (Panel("x", "y", series),)))
        assert figure.get_supxlabel().endswith(f"each {told}")


def test_series_are_told_apart_in_grey():
    with house_style():
        figure = draw(Picture("", (panel(3, labels="abcd"),)))
    marks = [container.lines[0].get_marker() for container in figure.axes[0].containers]
    assert len(set(marks)) == len(marks) == 4


def test_a_bar_that_leaves_the_panel_ends_in_an_arrow():
    """Nobody takes the edge of the panel for the end of the interval."""
    wide = Series("a", np.array([0.0]), np.array([[0.0], [0.5], [1.0]]))
    with house_style():
        axes, = draw(Picture("", (Panel("x", "y", (wide,), ticks=("1",), ylim=(0.0, 1.0)),))).axes
    arrows = {line.get_marker(): line.get_ydata() for line in axes.get_lines()
              if line.get_marker() in (6, 7)}
    assert set(arrows) == {6, 7}
    assert (float(arrows[7][0]), float(arrows[6][0])) == axes.get_ylim()


@pytest.mark.parametrize("apart, told", [(0.5, True), (0.001, False)])
def test_arrowheads_are_told_where_there_are_any(apart, told):
    values = 0.5 + apart * np.array([[-1.0], [0.0], [1.0]])
    series = Series("a", np.array([0.0]), values)
    with house_style():
        figure = draw(Picture("", (Panel("x", "y", (series,), ticks=("1",), ylim=(0.0, 1.0)),)))
        assert faults(figure) == []
    assert ("arrowhead" in figure.get_supxlabel()) == told


@pytest.mark.parametrize("joined", [True, False])
def test_an_interval_is_cut_where_nothing_can_be(joined):
    values = np.array([[0.1, 0.9], [0.9, 0.99]])  # two seeds: t reaches far out of [0, 1]
    series = Series("a", np.arange(2.0), values, joined=joined)
    with house_style():
        axes, = draw(Picture("", (Panel("x", "y", (series,), possible=(0.0, 1.0)),))).axes
    heights = np.concatenate([path.vertices[:, 1] for path in axes.collections[0].get_paths()])
    assert heights.min() == 0.0 and heights.max() == 1.0
    assert not [drawn for drawn in axes.get_lines() if drawn.get_gid() == "arrow"]


def test_what_is_held_against_has_its_band_but_no_markers():
    level = Series("network", np.array([0.0, 1.0]), np.array([[0.4] * 2, [0.5] * 2, [0.6] * 2]),
                   "linear", joined=True, dash="--")
    with house_style():
        axes, = draw(Picture("", (Panel("x", "y", (level,)),))).axes
    mean, *_ = axes.get_lines()
    assert (mean.get_linestyle(), mean.get_marker()) == ("--", "None")
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.min() < 0.4 < 0.6 < heights.max()  # the interval of three seeds


@pytest.mark.parametrize("count", [1, 3, 4])
def test_for_a_phone_panels_lie_below_each_other(count):
    with house_style():
        figure = draw(Picture("", (panel(3),) * count), 1)
        assert figure.get_size_inches()[0] == COLUMN and faults(figure) == []
    assert len({round(axes.get_position().x0, 2) for axes in figure.axes}) == 1


def test_a_picture_survives_json():
    series = Series("a", np.array([0.0, 1.0]), np.array([[1.0, np.nan]]), "other", True, "--")
    picture = Picture("c", (Panel("x", "y", (series,), (Curve("law", (0.0, np.nan), (1.0, 2.0)),),
                                  "xy", ("1", "2"), (0.0, 1.0), (0.1, 2.0)), panel(2)))
    content = json.loads(json.dumps(picture_to_dict(picture), allow_nan=False))
    assert picture_to_dict(picture_from_dict(content)) == picture_to_dict(picture)
    read = picture_from_dict(content).panels[0]
    assert read.ylim == (0.1, 2.0) and np.isnan(read.series[0].values[0, 1])
