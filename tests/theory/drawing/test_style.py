"""The house style: nobody's settings leak into a figure, and nobody's are taken away."""

import hashlib
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from theory.drawing.style import (DrawingError, draw_all, house_style, new_figure, one_panel,
                                  plain_numbers, save_figures)

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
