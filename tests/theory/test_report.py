"""The report stands alone, says every verdict, and never runs anything."""

import base64
import html
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from theory.claim import (Claim, Measurement, Theorem, accepted_range, conclude, confront_all,
                          outside)
from theory.drawing.claims import draw_findings, draw_panel, png
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.feature_purification import dense_mixtures, purification
from theory.report import html_report, number, written

from planted.feature_purification import mixture_runs

VOID = {"meta", "img", "br", "link"}


class Checker(HTMLParser):
    """Collects tags and sources, and sees tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources = [], set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def runs():
    return mixture_runs(np.random.default_rng(1))


@pytest.fixture(scope="module")
def findings(runs):
    return confront_all(runs, (Theorem(dense_mixtures.CLAIM, dense_mixtures.confront),)) + [
        outside(purification.CLAIM, ["nothing <was> measured & nothing said"])]


@pytest.fixture(scope="module")
def page(findings, runs):
    return html_report(findings, runs, "purify verify --preset desk", {"numpy": "2", "blas": []})


def test_the_page_is_well_formed_and_needs_no_other_file(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert "script" not in checker.tags and "link" not in checker.tags
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in checker.sources)


def test_every_finding_is_told_in_full(page, findings, runs):
    for finding in findings:
        for text in (finding.claim.title, finding.claim.statement, finding.claim.source,
                     finding.claim.law, finding.verdict, *finding.caveats):
            assert html.escape(written(text)) in page
    assert "nothing &lt;was&gt; measured &amp; nothing said" in page
    assert f"{number(findings[0].measured)}" in page
    from simulator.runs.config import config_hash
    assert all(config_hash(run.config) in page for run in runs)
    assert "purify verify --preset desk" in page and "numpy" in page


def test_figures_are_png_inside_the_page(page, findings):
    images = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert len(images) == 1
    assert base64.b64decode(images[0]).startswith(b"\x89PNG")
    assert base64.b64decode(images[0]) == png(findings[0].data)


def test_the_first_figure_is_near_and_the_accepted_range_on_top(page, findings):
    """What a claim says stands with its figure: above it is only the table of verdicts."""
    top, below = page.split("<figure>", 1)
    assert "accepted" in top.split("<tbody>")[0]
    assert accepted_range(findings[0].measurements[0]) in top.split("</tbody>")[0]
    assert html.escape(written(findings[0].claim.source)) in below
    assert "expected" not in top.split("</tbody>")[0]


def test_the_title_is_said_once():
    page = html_report([], [], "x", {}, "Some title")
    assert page.count("claims and measurements") == 1
    assert "<h1>Some title: claims and measurements</h1>" in page


def test_a_figure_that_cannot_be_drawn_is_a_line_of_the_report(findings, runs):
    """Matplotlib cannot read the mathematics of a label: the verdict stands all the same."""
    broken = Picture("c", (Panel(r"$\nosuchword$", "y", ()),))
    page = html_report([replace(findings[0], data=broken)], runs, "x", {})
    assert "figure A2: cannot be drawn: " in page and "<figure>" not in page
    assert html.escape(written(findings[0].claim.statement)) in page


@pytest.mark.parametrize("text, shown", [
    ("k <= sqrt(d), tau -> 0", "k ≤ √(d), τ → 0"),
    ("<w*, z> and <w, v> over", "⟨w⋆, z⟩ and ⟨w, v⟩ over"),
    ("kappa = sum beta^q / sum alpha^q", "κ = sum β^q / sum α^q"),
    ("sqrt(d)/k^2 of size Theta(k/d)", "√(d)/k² of size Θ(k/d)"), ("a theatre", "a theatre"),
    ("sigma_0 = 1e-3", "σ_0 = 1e-3"), ("nothing <was> measured", "nothing <was> measured")])
def test_mathematics_is_shown_as_such(text, shown):
    assert written(text) == shown


def test_a_report_without_runs_is_still_a_page():
    page = html_report([outside(purification.CLAIM, ["there are no runs"])], [], "x", {})
    assert "There were no runs" in page


@pytest.mark.parametrize("value, text", [
    (1.23456, "1.23"), (-0.5, "−0.5"), (math.nan, "–"), (math.inf, "∞"), (-math.inf, "−∞"),
    (0.0, "0"), (12345.0, "1.23e+04")])
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_figures_are_written_for_findings_that_have_one(findings, tmp_path):
    written = draw_findings(findings, tmp_path / "figures")
    assert [path.name for path in written] == ["A2.pdf", "A2.png"]
    before = [path.read_bytes() for path in written]
    draw_findings(findings, tmp_path / "figures")
    assert [path.read_bytes() for path in written] == before  # no date in them


@pytest.mark.parametrize("panel", [
    Panel("x", "y", (Series("a", np.arange(2.0), np.full((3, 2), np.nan)),), ticks=("1", "2")),
    Panel("x", "y", (Series("a", np.arange(2.0), np.ones((1, 2)), joined=True),)),
    Panel("x", "y", (Series("a", np.array([1.0, 2.0]), np.ones((3, 2)), "linear"),),
          (Curve("law", [1, 2], [1, 2]),), log="xy"),
    Panel("x", "y", tuple(Series(str(n), np.arange(9.0), np.ones((3, 9))) for n in range(4)),
          ticks=tuple("123456789"), ylim=(0, 2)),
], ids=["nothing to show", "one seed", "logarithms", "crowded"])
def test_any_picture_can_be_drawn(panel):
    assert png(Picture("caption", (panel,))).startswith(b"\x89PNG")


def test_a_claim_of_ones_own_needs_no_change_here(runs):
    claim = Claim("Z1", "mine", "s", "q", (), "q", "at least 1", 1.0)
    part = Measurement("x", 2.0, 1.5, 2.5, (1.0, math.inf), 0.01)
    page = html_report([conclude(claim, [part], runs)], runs, "x", {})
    assert 'id="Z1"' in page and "at least 1" in page


def test_bars_stay_on_a_logarithmic_axis():
    """Mean and interval are those of the logarithms: none is below zero, zeros are left out."""
    values = np.array([[1e-4, 0.0], [1e-2, 1.0], [1.0, 100.0]])
    panel = Panel("x", "y", (Series("a", np.array([1.0, 2.0]), values, joined=True),), log="y")
    figure = draw_panel(panel)
    drawn, *_ = figure.axes[0].get_lines()
    np.testing.assert_allclose(drawn.get_ydata(), [1e-2, 10.0])
    band, = figure.axes[0].collections
    assert (band.get_paths()[0].vertices[:, 1] > 0.0).all()


def test_the_dots_of_the_seeds_lie_beside_their_bar():
    panel = Panel("x", "y", (Series("a", np.array([0.0]), np.array([[1.0], [2.0], [3.0]])),),
                  ticks=("1",))
    figure = draw_panel(panel)
    axes = figure.axes[0]
    dots = next(drawn for drawn in axes.get_lines() if drawn.get_marker() == ".")
    moved = dots.get_transform().transform((0.0, 2.0)) - axes.transData.transform((0.0, 2.0))
    assert moved[0] > 3.0 and moved[1] == pytest.approx(0.0)
