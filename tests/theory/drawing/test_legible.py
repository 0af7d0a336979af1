"""The check of a figure's letters finds what it is for, and nothing where all is well."""

import pytest

from theory.drawing.style import COLUMN, house_style, new_figure

from legible import faults


def a_figure(width=COLUMN):
    figure, axes = new_figure(size=(width, 2.0))
    axes[0, 0].plot([0.0, 1.0], label="$x^2$")
    axes[0, 0].set(xlabel="step", ylabel="loss", title="a title")
    axes[0, 0].legend()
    return figure


def small(axes):
    axes.set_xlabel("step", fontsize=7.5)


def small_ticks(axes):
    axes.tick_params(labelsize=6)


def cut_off(axes):
    axes.text(0.5, 0.5, "words " * 20).set_in_layout(False)


def long_ylabel(axes):
    axes.set_ylabel("a label that is longer than the figure is high")


def crowded(axes):
    axes.set_xticks(range(8), ["long names"] * 8)


def steep_and_crowded(axes):
    axes.set_xticks([0.1 * place for place in range(40)], ["name"] * 40, rotation=50, ha="right",
                    rotation_mode="anchor")


def over_the_title(axes):
    axes.text(0.5, 1.05, "words over words", transform=axes.transAxes, ha="center")


@pytest.mark.parametrize("offence, told", [
    (small, "'step': 7.5 pt"), (small_ticks, "6 pt"), (cut_off, "sticks out"),
    (long_ylabel, "sticks out"), (crowded, "'long names' over 'long names'"),
    (steep_and_crowded, "'name' over 'name'"), (over_the_title, "'words over words' over")])
def test_a_planted_offence_is_told(offence, told):
    with house_style():
        figure = a_figure()
        offence(figure.axes[0])
        assert any(told in fault or told in " over ".join(reversed(fault.split(" over ")))
                   for fault in faults(figure))


def test_a_width_that_no_paper_has_is_told():
    with house_style():
        assert faults(a_figure(5.0)) == ["5 in wide: neither a column nor a page"]


def test_nothing_is_told_where_all_is_well():
    """Labels beyond the ends of an axis are not drawn, steep ones do not meet as their boxes do."""
    with house_style():
        figure = a_figure()
        figure.axes[0].set_xticks([0.0, 0.1, 0.2, 0.3, 5.0], ["longer name"] * 5, rotation=50,
                                  ha="right", rotation_mode="anchor")
        figure.axes[0].set_xlim(0.0, 0.5)
        assert faults(figure) == []
