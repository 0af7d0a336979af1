"""The house style: nobody's settings leak into a figure, and nobody's are taken away."""

import hashlib
import logging
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from theory.drawing.style import (COLUMN, PAGE, DrawingError, broken, draw_all, house_style,
                                  is_narrow, legend, line, name_y, narrow_form, new_figure,
                                  one_panel, plain_numbers, save_figures)

from syntax import ROOT

# What somebody may have set for the figures of another paper.
THEIRS = """text.parse_math: False
image.cmap: jet
savefig.bbox: tight
savefig.dpi: 33
figure.autolayout: True
axes.formatter.use_locale: True
font.size: 20
lines.linewidth: 5
"""
DRAW = """
import sys
from pathlib import Path
from theory.drawing.style import new_figure, save_figures

def draw():
    figure, axes = new_figure(1, 2, size=(4, 2))
    axes[0, 0].imshow([[0.0, 1.0]])
    axes[0, 1].plot([1e-3, 2e3], label="$\\\\ell_2$")
    axes[0, 1].set_xlabel("$\\\\ell_2$ radius")
    axes[0, 1].legend()
    return figure

save_figures({"a": draw}, Path(sys.argv[1]))
"""


def python(code, *words, **environment):
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=ROOT, text=True,
                          capture_output=True, timeout=120, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.iterdir()}


def a_figure():
    figure, axes = new_figure(size=(2.0, 2.0))
    axes[0, 0].plot([0.0, 1.0])
    return figure


def not_a_figure():
    raise FloatingPointError("no\nnumbers")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(folder, words): figures of a process without settings, and what was loaded when."""
    folder = tmp_path_factory.mktemp("undisturbed") / "figures"
    return folder, python(
        "import sys\nimport theory, theory.drawing.style, theory.drawing.benchmark\n"
        f"print('matplotlib' in sys.modules)\n{DRAW}\n"
        "print('matplotlib.pyplot' in sys.modules)", folder).split()


def test_a_matplotlibrc_changes_no_byte_of_a_figure(undisturbed, tmp_path):
    (tmp_path / "matplotlibrc").write_text(THEIRS, encoding="utf-8")
    python(DRAW, tmp_path / "theirs", MATPLOTLIBRC=str(tmp_path / "matplotlibrc"))
    assert hashes(tmp_path / "theirs") == hashes(undisturbed[0])
    assert len(hashes(undisturbed[0])) == 2


@pytest.mark.parametrize("backend", [
    "module://no.such.module", *(pytest.param(name, marks=pytest.mark.slow) for name in (
        "Qt4Agg", "module://matplotlib_inline.backend_inline"))])
def test_a_backend_that_is_not_there_is_not_needed(tmp_path, backend):
    python(DRAW, tmp_path / "figures", MPLBACKEND=backend)
    assert len(hashes(tmp_path / "figures")) == 2


def test_the_backend_of_the_environment_still_counts_afterwards(tmp_path):
    shown = python(DRAW + "\nimport matplotlib, os\n"
                   "print(matplotlib.get_backend(), os.environ['MPLBACKEND'])", tmp_path / "a",
                   MPLBACKEND="svg")
    assert shown.split() == ["svg", "svg"]


def test_a_notebook_keeps_its_backend_its_settings_and_its_figures(tmp_path):
    shown = python("import matplotlib\nmatplotlib.use('svg')\n"
                   "import matplotlib.pyplot as plt\nplt.figure()\n"
                   "matplotlib.rcParams['font.size'] = 17\n" + DRAW
                   + "\nprint(matplotlib.get_backend(), matplotlib.rcParams['font.size'], "
                   "plt.get_fignums())", tmp_path / "a")
    assert shown.split() == ["svg", "17.0", "[1]"]


def test_drawing_loads_no_pyplot_and_importing_it_no_matplotlib(undisturbed):
    assert undisturbed[1] == ["False", "False"]


def test_equal_figures_are_equal_files(tmp_path):
    first = save_figures({"a": a_figure}, tmp_path / "one")
    second = save_figures({"a": a_figure}, tmp_path / "two")
    assert [path.name for path in first] == ["a.pdf", "a.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_date_of_a_font_is_no_news_and_everything_else_of_it_is(tmp_path, caplog):
    fonts = logging.getLogger("fontTools.ttLib.tables._h_e_a_d")

    def draw():
        from matplotlib.text import Text

        class Loud(Text):
            def draw(self, renderer):
                fonts.warning("'%s' timestamp out of range; ignoring top bytes", "created")
                super().draw(renderer)

        figure, _ = new_figure(size=(COLUMN, 2.0))
        figure.add_artist(Loud(0.5, 0.5, "words", fontfamily="cmr10"))
        return figure

    with house_style():
        draw().savefig(tmp_path / "plain.pdf")
    assert "timestamp seems very low" in caplog.text  # or there is nothing to silence
    caplog.clear()
    filters = list(fonts.filters)
    save_figures({"one": draw}, tmp_path)
    assert {record.getMessage() for record in caplog.records if record.name == fonts.name} == {
        "'created' timestamp out of range; ignoring top bytes"}
    assert fonts.filters == filters


def test_a_figure_that_cannot_be_drawn_is_one_line_and_keeps_none_of_the_others(tmp_path):
    figures = {"a": a_figure, "bad": not_a_figure, "z": a_figure}
    with pytest.raises(DrawingError, match="^figure bad: cannot be drawn: FloatingPointError: "
                                           "no numbers$"):
        save_figures(figures, tmp_path)
    assert sorted(hashes(tmp_path)) == ["a.pdf", "a.png", "z.pdf", "z.png"]
    with pytest.raises(DrawingError, match="figure bad"):
        draw_all(figures)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "figures").write_text("", encoding="utf-8")
    with pytest.raises(DrawingError, match="cannot be written") as told:
        save_figures({"a": a_figure, "b": a_figure}, tmp_path / "figures")
    assert "\n" not in str(told.value) and str(told.value).count("cannot be written") == 1


def test_a_panel_is_drawn_where_it_is_told(tmp_path):
    figure, axes = new_figure(1, 2, size=(4.0, 2.0))
    same, there = one_panel(axes[0, 1], (9.0, 9.0))
    assert same is figure and there is axes[0, 1]
    alone, there = one_panel(None, (3.0, 2.0))
    assert alone.axes == [there] and tuple(alone.get_size_inches()) == (3.0, 2.0)


def test_numbers_on_a_logarithmic_axis_are_plain():
    with house_style():
        figure, axes = new_figure(size=(3.0, 2.0))
        axes[0, 0].plot([1.0, 2.0], [0.2, 7.0])
        axes[0, 0].set_yscale("log")
        plain_numbers(axes[0, 0].yaxis)
        figure.draw_without_rendering()
        shown = [label.get_text() for label in axes[0, 0].get_yticklabels()]
    assert {"0.2", "0.5", "1", "2", "5"} <= set(shown)


def test_the_settings_come_back_after_an_error():
    import matplotlib
    before = dict(matplotlib.rcParams)
    with pytest.raises(DrawingError):
        draw_all({"bad": partial(not_a_figure)})
    assert dict(matplotlib.rcParams) == before
    with house_style():
        assert matplotlib.rcParams["font.size"] == 8
    assert np.isclose(matplotlib.rcParams["font.size"], before["font.size"])


# --- the form for a phone -------------------------------------------------------------------


def places(axes):
    """Row and column of each panel in its figure."""
    return [[(panel.get_subplotspec().rowspan.start, panel.get_subplotspec().colspan.start)
             for panel in row] for row in axes]


@pytest.mark.parametrize("across, expected", [
    (1, [[(0, 0), (2, 0), (4, 0)], [(1, 0), (3, 0), (5, 0)]]),  # column by column
    (2, [[(0, 0), (1, 0), (2, 0)], [(0, 1), (1, 1), (2, 1)]]),
    (3, [[(0, 0), (0, 1), (0, 2)], [(1, 0), (1, 1), (1, 2)]])])
def test_panels_lie_below_each_other_on_a_phone_and_are_shared_as_before(across, expected):
    with narrow_form():
        figure, axes = new_figure(2, 3, size=(PAGE, 4.0), sharey="row", across=across,
                                  height_ratios=(1, 2))
    assert axes.shape == (2, 3) and figure.get_size_inches()[0] == COLUMN
    assert places(axes) == expected
    axes[1, 2].set_ylim(2.0, 3.0)
    assert axes[1, 0].get_ylim() == (2.0, 3.0) != axes[0, 0].get_ylim()


def test_what_is_a_column_wide_is_the_same_on_a_phone_and_everything_else_elsewhere():
    for draw in (partial(new_figure, 1, 2, size=(COLUMN, 2.0)),
                 partial(new_figure, 1, 2, size=(PAGE, 2.0))):
        wide = draw()[0]
        with narrow_form():
            assert is_narrow()
            small = draw()[0]
        assert not is_narrow()
        same = wide.get_size_inches()[0] == COLUMN
        assert (tuple(wide.get_size_inches()) == tuple(small.get_size_inches())) == same


def test_a_legend_has_fewer_columns_on_a_phone_and_the_figure_room_for_its_lines():
    handles = [line(f"a label of some length {number}") for number in range(6)]
    found = {}
    for narrow in (False, True):
        if narrow:
            with narrow_form():
                figure, axes = new_figure(1, 2, size=(PAGE, 2.0))
                legend(figure, handles, loc="outside lower center", ncols=3)
                name_y(axes[0], "loss")
        else:
            figure, axes = new_figure(1, 2, size=(PAGE, 2.0))
            legend(figure, handles, loc="outside lower center", ncols=3)
            name_y(axes[0], "loss")
        found[narrow] = (figure.legends[0]._ncols, figure.get_size_inches()[1],
                         [panel.get_ylabel() for panel in axes[0]])
    assert found[False] == (3, 2.0, ["loss", ""])
    columns, height, names = found[True]
    assert columns == 1 and height > 4.0 and names == ["loss", "loss"]


def test_long_words_are_broken_on_a_phone_alone():
    words = "a title that is much longer than a column is wide"
    assert broken(words, 20) == words
    with narrow_form():
        assert max(map(len, broken(words, 20).split("\n"))) <= 20
