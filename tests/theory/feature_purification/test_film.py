"""The film of a run: the page's bytes are the frames, the GIF has them all."""

import base64
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import theory
from simulator.experiments.feature_purification.run import simulate
from theory.claim import Run
from theory.drawing.style import COLUMN, DrawingError, house_style, narrow_form
from theory.feature_purification import film
from theory.feature_purification.captions import CAPTIONS, conclusion
from theory.feature_purification.figures import figures
from theory.feature_purification.player import _step_ticks, player
from theory.pages.run import run_page

from legible import faults
from small import small_config


@pytest.fixture(scope="module")
def run(brief_attacks):
    return simulate(small_config(frames=6))


@pytest.fixture(scope="module")
def without(brief_attacks):
    return simulate(small_config(frames=0))


@pytest.fixture(scope="module")
def told(run):
    """What the script is told, and the page around it."""
    page = player(run)
    return json.loads(re.search(r'id="frames">(.*?)</script>', page).group(1)), page


def test_the_bytes_of_the_page_are_the_frames(run, told):
    data, _ = told
    F = len(data["features"])
    limit = np.full((F, F), film.colour_limit(run))
    np.fill_diagonal(limit, film.black_limit(run))
    shades = np.frombuffer(base64.b64decode(data["map"]), np.uint8).reshape(-1, F, F)
    rows = run.frames["coefficients"].astype(float)
    assert shades.shape == rows.shape
    np.testing.assert_array_equal(shades == 0, np.isnan(rows))
    seen = (shades.astype(float) - 128) / 127 * limit
    known = ~np.isnan(rows)
    np.testing.assert_allclose((seen / limit)[known], np.clip(rows / limit, -1, 1)[known],
                               atol=0.51 / 127)
    alone = np.nan_to_num(rows[:, film.watched(run)])
    for name, true in (("perturbations", run.frames["perturbations"].astype(float)),
                       ("neuron", alone)):
        bars, reach = np.frombuffer(base64.b64decode(data[name]), "<i2"), np.abs(true).max()
        np.testing.assert_allclose(bars.reshape(true.shape) / 32767 * reach, true,
                                   atol=0.51 * reach / 32767)
    assert data["reach"] == np.abs(alone).max() and data["row"] == film.watched(run)
    for attack in ("universal", "fgm"):
        np.testing.assert_allclose(np.array(data[attack]) / data["samples"],
                                   run.frames[f"accuracy_{attack}"])
    assert data["steps"] == run.frames["step"].tolist()


def test_the_neuron_shown_alone_is_there_all_along_and_holds_as_much_as_most():
    rows = np.full((3, 5, 5), 0.1)
    rows[:, range(5), range(5)] = 1.0
    rows[1, 0] = np.nan  # no neuron has feature 0 for a while
    for row, mixture in ((0, 0.3), (1, 0.9), (2, 0.2), (3, 0.4), (4, 0.0)):
        rows[-1, row, (row + 1) % 5] = mixture
    config = SimpleNamespace(clean_steps=2)
    run = SimpleNamespace(frames={"step": np.arange(3), "coefficients": rows}, config=config)
    assert film.watched(run) == 3  # of 1 to 4, by .9, .2, .4, 0: the middle one, or the next above
    rows[:] = np.nan
    assert 0 <= film.watched(run) < 5 and film.colour_limit(run) == film.black_limit(run) == 1.0


def test_a_network_that_nothing_fools_has_a_film_too(run):
    still = dict(run.frames) | {"perturbations": np.zeros_like(run.frames["perturbations"])}
    page = player(Run(run.config, run.summary, run.history, run.arrays, frames=still))
    panels = re.findall("<svg.*?</svg>", page, re.S)
    assert len(panels) == 5 and not any("nan" in panel for panel in panels)


def test_the_band_is_the_exact_binomial_interval(told):
    data, _ = told
    low, high, n = data["low"], data["high"], data["samples"]
    assert len(low) == len(high) == n + 1
    assert low[0] == 0.0 and high[n] == 1.0
    assert high[0] == pytest.approx(1 - 0.025 ** (1 / n), abs=1e-3)  # none of n: (1-p)^n = .025
    assert all(a <= count / n <= b for count, (a, b) in enumerate(zip(low, high)))


@pytest.mark.parametrize("phase", ["clean", "adversarial"])
def test_the_thin_lines_are_the_curves_of_the_strongest_attack(run, told, phase):
    _, page = told
    svg = re.search(r'<svg id="accuracy".*?</svg>', page, re.S).group(0)
    left, top, right, bottom = (float(end) for end in re.search(
        r'data-box="(.*?)"', svg).group(1).split())
    (x0, x1), (y0, y1) = ([float(end) for end in re.search(rf'data-{axis}="(.*?)"', svg).group(1)
                           .split()] for axis in "xy")
    line = re.search(rf'class="end-{phase}" d="M(.*?)"', svg).group(1)
    x, y = np.array([point.split() for point in line.split("L")], float).T
    np.testing.assert_allclose(x0 + (x - left) / (right - left) * (x1 - x0), run.arrays["radii"],
                               atol=1e-3)
    np.testing.assert_allclose(y0 + (bottom - y) / (bottom - top) * (y1 - y0),
                               run.arrays[f"curve_{phase}_strongest"], atol=1e-3)


def test_the_steps_below_the_axis_keep_apart(run):
    places = sorted(_step_ticks(run))
    assert len(places) >= 2 and (np.diff(places) > 0.1 * (len(run.frames["step"]) - 1)).all()


def test_without_javascript_start_and_end_stand_side_by_side(told):
    _, page = told
    assert 'id="player" class="player"' in page and "hidden>" in page
    assert "<img" in re.search(r"<noscript>(.*?)</noscript>", page, re.S).group(1)


def test_the_stops_are_the_ends_of_the_phases(run):
    assert film.stop_names(run) == {0: "before training", list(run.frames["step"]).index(30):
                                    "after clean training", len(run.frames["step"]) - 1:
                                    "after adversarial training"}


def test_the_figure_of_the_stops_can_be_read(run):
    with house_style():
        assert faults(film.stops_figure(run)) == []
        with narrow_form():
            small = film.stops_figure(run)
        assert faults(small) == [] and small.get_size_inches()[0] == COLUMN


def test_the_gif_has_every_frame(run, tmp_path):
    with Image.open(theory.animate(run, tmp_path / "training.gif")) as picture:
        assert picture.n_frames == len(run.frames["step"])
        first = np.array(picture.convert("RGB"))
        picture.seek(picture.n_frames - 1)
        assert (np.array(picture.convert("RGB")) != first).mean() > 0.02


def test_a_run_without_frames_has_a_page_and_no_film(without, tmp_path):
    assert player(without) == ""
    with pytest.raises(DrawingError, match="has no frames to animate"):
        theory.animate(without, tmp_path / "training.gif")
    assert "Watch it train" not in run_page(without, {})


def test_every_figure_has_a_caption(run):
    assert set(CAPTIONS) == {*figures(run), "window"}  # that one: tests of window_figure


def test_the_conclusion_has_the_numbers_of_the_table(run):
    said = conclusion(run)
    assert f"{100 * run.summary['clean']['attacked_accuracy']:.3g} %" in said
    assert f"{run.summary['adversarial']['mixture_ratio']:.2g}" in said
