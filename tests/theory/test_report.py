"""The page stands alone, says every verdict at a glance, and never runs anything."""

import html
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from simulator.runs.config import config_hash
from simulator.runs.folder import RunFolder
from theory.claim import (Claim, Measurement, Theorem, accepted_range, conclude, confront_all,
                          corrected, outside)
from theory.drawing.claims import draw_findings, draw_panel, png
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.feature_purification import dense_mixtures, purification
from theory.findings import Call
from theory.pages.mathematics import with_mathml
from theory.report import RunShown, html_report, settings_of

from planted.feature_purification import mixture_runs

VOID = {"meta", "img", "br", "link", "source"}
CALL = Call("2026-12-01", "purify verify --preset desk", ("A2", "A6"), {"numpy": "2", "blas": []})


class Checker(HTMLParser):
    """Collects tags and addresses, and sees tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources = [], set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

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
    shown = [RunShown(f"planted-{config_hash(run.config)}", run.config.to_dict()) for run in runs]
    return html_report(findings, shown, [CALL])


def rows(page):
    """The lines of the first screen."""
    return re.findall(r"<li>(.*?)</li>", page.split('id="claims"')[1].split("</ul>")[0], re.S)


def words(piece):
    return html.unescape(re.sub(r"<[^>]+>", " ", piece))


def a_claim(low, value, high, p_value=0.001, *more, **changes):
    claim = Claim("Z1", "mine", "s", "q", (), "q", "at least 1", 1.0, **changes)
    part = Measurement("x", value, low, high, (1.0, math.inf), p_value)
    return conclude(claim, [part, *more], [])


def test_the_page_is_well_formed_and_needs_no_other_file(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert all(source.startswith(("data:", "#")) for source in checker.sources)


def test_the_first_screen_is_a_line_a_claim(page, findings):
    """Verdict, interval against the accepted range, sizes and seeds: no figure stands before."""
    top = page.split("<section")[0]
    assert "<figure>" not in top and "expected" not in top
    lines = rows(page)
    assert len(lines) == len(findings)
    first, part = words(lines[0]), findings[0].measurements[0]
    assert findings[0].verdict in first and accepted_range(part) in first
    assert "3 seeds: 0-2" in first and lines[0].count("<svg") == 1
    assert "outside the regime" in words(lines[1]) and "<svg" not in lines[1]
    assert "nothing <was> measured" in words(lines[1])


def test_every_finding_is_told_in_full(page, findings, runs):
    for finding in findings:
        for text in (finding.claim.title, finding.claim.statement, finding.claim.source,
                     finding.claim.law, *finding.caveats):
            assert with_mathml(text) in page
        assert finding.verdict in page
    assert "nothing &lt;was&gt; measured &amp; nothing said" in page
    assert all(config_hash(run.config) in page for run in runs)
    assert "purify verify --preset desk" in page and "numpy" in page and "<math>" in page


def test_a_figure_is_there_for_a_page_and_for_a_phone(page):
    assert page.count("<figure>") == 1
    picture = page.split("<picture")[1].split("</picture>")[0]
    assert picture.count("data:image/svg+xml;base64,") == 2 and "max-width" in picture


def drawn(page):
    """The drawn interval of the first line: range, left and right end, middle."""
    line, = rows(page)[:1]
    x, width = re.search(r'<rect x="([\d.]+)" y="1" width="([\d.]+)"', line).groups()
    low, high = re.search(r"M([\d.]+) 7V15M[\d.]+ 11H([\d.]+)M", line).groups()
    middle, = re.findall(r'<circle cx="([\d.]+)"', line)
    return float(x), float(x) + float(width), float(low), float(high), float(middle)


@pytest.mark.parametrize("finding, inside", [
    (a_claim(1.5, 2.0, 2.5), True), (a_claim(0.5, 2.0, 2.5), False),
    (a_claim(100.0, 2e3, 5e4), True), (a_claim(-3.0, -2.0, -1.0), False)])
def test_an_interval_is_drawn_inside_the_accepted_range_exactly_if_it_is(finding, inside):
    left, right, low, high, middle = drawn(html_report([finding], [], []))
    assert 0.0 <= low < middle < high <= 184.0 and right == 184.0
    assert (left <= low) == inside
    colour = "--holds" if inside else "--fails"
    assert f'stroke="var({colour})" stroke-width="2"' in rows(html_report([finding], [], []))[0]


def test_the_part_that_is_outside_is_drawn_where_the_headline_is_inside():
    other = Measurement("the other part", 7.0, 6.0, 8.0, (0.0, 5.0), 1.0)
    line, = rows(html_report([a_claim(1.5, 2.0, 2.5, 0.001, other)], [], []))
    assert "the other part: measured 7" in line and "1 of 2 parts inside" in line


def test_a_verdict_that_the_correction_changed_says_so():
    weak = [replace(finding, claim=replace(finding.claim, id=name))
            for name in ("Z1", "Z2") for finding in [a_claim(1.5, 2.0, 2.5, 0.04)]]
    page = html_report(corrected(weak), [], [])
    assert all("fails" in words(line) and "not after Holm's correction" in words(line)
               for line in rows(page))


def test_a_verdict_of_which_no_range_was_kept_says_so():
    part = Measurement("headline", 2.0, 1.5, 2.5, (-math.inf, math.inf), 1.0, decisive=False)
    line, = rows(html_report([replace(a_claim(0.5, 2.0, 2.5), measurements=(part,))], [], []))
    assert "no range kept" in line and "<rect" not in line and "Holm" not in line


def test_exploration_and_a_change_after_a_verdict_are_told_in_the_line():
    finding = a_claim(1.5, 2.0, 2.5)
    explored = replace(finding, seeds_are="exploring")
    assert "exploration: no verdict" in words(rows(html_report([explored], [], []))[0])
    then = finding.to_dict() | {"date": "2026-11-30", "seeds": [2000, 2001, 2002],
                                "thresholds": {"x": {"accepted": [0.5, None]}}}
    moved = replace(finding, earlier=(then,))
    page = html_report([moved], [], [])
    assert "changed after a verdict" in words(rows(page)[0])
    assert "threshold of x was at least 0.5 when it was judged on 2026-11-30" in page
    same = replace(finding, earlier=(then | {"thresholds": finding.to_dict()["thresholds"]},))
    page = html_report([same], [], [])
    assert "changed after" not in rows(page)[0] and "as now" in page and "2000-2002" in page
    reason = html_report([a_claim(1.5, 2.0, 2.5, changed="a slip")], [], [])
    assert "changed after a verdict" in words(rows(reason)[0]) and "a slip" in reason


def test_verdicts_of_the_register_are_told(findings):
    """A2 was judged: its page says so wherever it is made."""
    page = html_report(findings[:1], [], [])
    assert "Verdicts on A2 on judging seeds before this one" in page


def test_two_verdicts_of_one_day_are_both_told_and_the_one_shown_is_not():
    finding = replace(a_claim(1.5, 2.0, 2.5), date="2026-11-30", seeds=(2000, 2001, 2002))
    now = finding.to_dict()
    first, second = (now | {"measured": value, "plan_hash": ""} for value in (1.19, 1.355))
    page = html_report([replace(finding, earlier=(first, second, now))], [], [])
    table = page[page.index("on judging seeds before this one"):]
    table = table[:table.index("</table>")]
    assert table.count("2026-11-30") == 2 and "1.19" in table and "1.35" in table


def test_the_title_is_said_once():
    page = html_report([], [], [], "Some title")
    assert page.count("claims and measurements") == 2  # of the window, of the page
    assert "<h1>Some title: claims and measurements</h1>" in page and "No claims." in page


def test_a_figure_that_cannot_be_drawn_is_a_line_of_the_report(findings):
    """Matplotlib cannot read the mathematics of a label: the verdict stands all the same."""
    broken = Picture("c", (Panel(r"$\nosuchword$", "y", ()),))
    page = html_report([replace(findings[0], data=broken)], [], [])
    assert "figure A2: cannot be drawn: " in page and "<figure>" not in page
    assert with_mathml(findings[0].claim.statement) in page


def test_a_report_without_runs_is_still_a_page():
    page = html_report([outside(purification.CLAIM, ["there are no runs"])], [], [])
    assert "The runs are not kept." in page and "They are not kept." in page


def test_the_runs_of_findings_are_shown_with_settings_and_page(tmp_path, runs):
    folder = RunFolder.create(tmp_path, runs[0].config)
    (folder.path / "report.html").write_text("")
    finding = replace(a_claim(1.5, 2.0, 2.5), runs=(folder.path.name, "gone-0000000000"))
    kept, gone = settings_of([finding, finding], tmp_path)
    assert kept.settings["d"] == runs[0].config.d
    assert kept.page == f"../{folder.path.name}/report.html"
    assert gone == RunShown("gone-0000000000", {})
    page = html_report([finding], [kept, gone], [])
    assert f'href="{kept.page}"' in page and "gone-0000000000" in page


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
    page = html_report([a_claim(1.5, 2.0, 2.5)], [], [])
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
