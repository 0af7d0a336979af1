"""The page of a run: everything of it in one file, and limits where a number has them."""

import pytest
from matplotlib.figure import Figure

import simulator as sim
from simulator.runs.table import SAMPLES, Table
from theory.drawing.style import new_figure
from theory.pages import run as page_of_run
from theory.pages.run import run_page
from theory.scaling import binomial_limits

from small import small_config
from theory_pages import Checker


@pytest.fixture(scope="module")
def run(brief_attacks):
    return sim.simulate(small_config(frames=0, m="2*d"))


@pytest.fixture(scope="module")
def page(run):
    return run_page(run, {"accuracy": lambda: Figure(figsize=(3, 2)), "broken": lambda: 1 / 0},
                    captions={"accuracy": "See <it> fall."}, conclusion="It fell.")


def test_the_page_is_one_file(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    outside = {address for address in checker.addresses if not address.startswith("data:")}
    assert outside == {"https://arxiv.org/abs/2005.10190"}  # a link, which nobody follows unasked


def test_it_says_what_was_run_and_what_came_of_it(page, run):
    assert "It fell." in page and "See &lt;it&gt; fall." in page
    assert "<dt>clean_steps</dt><dd>30</dd>" in page
    assert "<dt>m</dt><dd>40 (from 2*d)</dd>" in page
    assert "How to cite" in page and "arXiv:2005.10190" in page
    assert "<dt>numpy</dt>" in page


def test_an_accuracy_has_its_binomial_limits(page, run):
    share = run.summary["clean"]["attacked_accuracy"]
    low, high = binomial_limits(share, run.config.test_samples)
    assert f"[{low:.3g}, {high:.3g}]" in page


def test_a_figure_that_cannot_be_drawn_says_why(page):
    assert "figure broken: cannot be drawn: ZeroDivisionError" in page


def test_a_figure_wider_than_a_phone_is_there_in_both_forms(run):
    drawn = {"narrow": lambda: Figure(figsize=(3, 2)), "wide": lambda: Figure(figsize=(7, 2))}
    page = run_page(run, drawn, narrow={
        "narrow": lambda: 1 / 0, "wide": lambda: new_figure(1, 2, size=(7, 2))[0]})
    assert page.count("<source ") == 1 and 'width="340" height="400"' in page
    assert 'class="moves"' not in page and "cannot be drawn" not in page


def test_shares_limits_and_words_stand_in_their_cells():
    table = page_of_run._table(Table("a   b", (SAMPLES, "clean"), (
        ("right", (100, 0.9)), ("r99", (100, 0.2)), ("bracket", (None, "0.10 - 0.20")),
        ("ratio", (None, 0.5))), shares=("right",),
        limits={"r99": (None, (0.1, 0.3)), "bracket": (None, (0.05, 0.25))}))
    assert "a, b" in table
    low, high = binomial_limits(0.9, 100)
    assert f'0.9 <span class="limits">[{low:.3g}, {high:.3g}]</span>' in table
    assert '0.2 <span class="limits">[0.1, 0.3]</span>' in table
    assert '0.10 – 0.20 <span class="limits">[0.05, 0.25]</span>' in table
    assert ">0.5</td>" in table
