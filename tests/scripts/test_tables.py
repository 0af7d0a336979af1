"""Tables fit a terminal, and lose nothing for it."""

import math

import pytest

from scripts.tables import WIDTH, cell_text, table_lines, tables_text
from simulator.runs.table import Table


def test_a_small_table_is_one_block_under_its_title():
    table = Table("two networks", ("clean", "adversarial"),
                  (("accuracy", (1.0, 0.99)), ("radius", (None, 0.123456))))
    assert table_lines(table) == [
        "two networks", "",
        "             clean  adversarial",
        "accuracy         1         0.99",
        "radius                   0.1235"]


def test_heads_of_several_words_stand_on_several_lines():
    lines = table_lines(Table("", ("benign on adversarial kernel",), (("a", (0.5,)),)))
    assert [line.strip() for line in lines[:3]] == ["benign on", "adversarial", "kernel"]


@pytest.mark.parametrize("count", [1, 7, 12, 40])
def test_a_wide_table_comes_in_blocks_that_fit_and_hold_every_number(count):
    heads = tuple(f"mask number {at}" for at in range(count))
    rows = tuple((f"a long label {row}", tuple(1000.0 + 50 * row + at for at in range(count)))
                 for row in range(3))
    text = tables_text([Table("title " * 40, heads, rows)])
    assert max(map(len, text.splitlines())) <= WIDTH
    assert all(cell_text(value) in text.split() for _, cells in rows for value in cells)


def test_a_row_without_numbers_for_a_block_is_left_out_of_it():
    heads = tuple(f"{at}" * 30 for at in range(1, 5))
    rows = (("everywhere", (1, 1, 1, 1)), ("first", (1, None, None, None)))
    lines = table_lines(Table("", heads, rows))
    assert sum(line.startswith("everywhere") for line in lines) == 2
    assert sum(line.startswith("first") for line in lines) == 1


@pytest.mark.parametrize("value, text", [
    (None, ""), (math.nan, "-"), (math.inf, "-"), (0.25, "0.25"), (12345.678, "1.235e+04"),
    (12345, "12345"), ("ticket", "ticket")])
def test_a_cell(value, text):
    assert cell_text(value) == text
