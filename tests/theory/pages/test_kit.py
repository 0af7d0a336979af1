"""The pieces of a page: escaped, labelled, whole in one file, and readable in every light."""

import base64
import io
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from theory.drawing.style import house_style, new_figure, settle
from theory.pages import kit

from theory_pages import Checker


def drawn():
    figure, axes = new_figure(size=(3.0, 2.0))
    axes[0, 0].plot([0, 1], [1, 0])
    return figure


@pytest.fixture(scope="module")
def page():
    return kit.page(
        "a < b", kit.lead("x & y"), "",
        kit.section("Part one", kit.paragraph("<b>"), kit.figure(
            drawn(), alt='falls "at once"', caption="See it fall.", narrow=drawn())),
        kit.table(["name", "size"], [["<i>", 2.0], ["b", math.nan]], caption="sizes",
                  sortable=True),
        kit.folded("more", kit.pairs({"k": [1, 2]})))


def test_a_page_is_well_formed_and_holds_all_it_shows(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.addresses
    assert all(address.startswith("data:") for address in checker.addresses)
    assert "default-src 'none'" in page


def test_text_is_escaped_and_pieces_are_not(page):
    assert "<h1>a &lt; b</h1>" in page
    assert "x &amp; y" in page
    assert "<p>&lt;b&gt;</p>" in page
    assert "&lt;i&gt;" in page
    assert 'alt="falls &quot;at once&quot;"' in page
    assert "falls \"at once\"" not in page
    assert "<dt>k</dt><dd>1, 2</dd>" in page


def test_plain_text_among_the_parts_is_no_html():
    assert "&lt;script&gt;" in kit.page("t", "<script>")


def test_numbers_stand_right_and_carry_what_they_are_sorted_by():
    table = kit.table(["run", "r50"], [["a", (0.12, "0.12 ± 0.01")], ["b", math.nan]], caption="c")
    assert '<th scope="col" class="number">r50</th>' in table
    assert '<td class="number" data-value="0.12">0.12 ± 0.01</td>' in table
    assert '<td class="number">–</td>' in table


def test_a_column_of_words_does_not_stand_right():
    assert '<th scope="col">b</th>' in kit.table(["a", "b"], [["x", "y"]], caption="c")


def test_a_table_of_many_columns_is_a_list_on_a_phone_with_a_head_at_each_cell():
    wide = kit.table(list("abcde"), [["x", 1.0, 2.0, 3.0, ""]], caption="c")
    assert '<table class="listed">' in wide and 'data-head="c">2</td>' in wide
    assert "data-head" not in kit.table(list("abcd"), [["x", 1.0, 2.0, 3.0]], caption="c")
    assert "data-head" not in kit.table(list("abcde"), [["x", 1.0, 2.0, 3.0, 4.0]], caption="c",
                                        sortable=True)


def test_a_figure_of_many_points_is_a_picture_of_points(monkeypatch):
    assert kit.image(drawn()).startswith("data:image/svg")
    monkeypatch.setattr(kit, "HEAVY", 0)
    monkeypatch.setattr(kit, "_file_of", lambda figure, form, sharpness: {
        "svg": b"long" * 9, "png": b"short"}[form])
    assert kit.image(drawn()).startswith("data:image/png")
    monkeypatch.setattr(kit, "_file_of", lambda figure, form, sharpness: {
        "svg": b"short", "png": b"long" * 9}[form])
    assert kit.image(drawn()).startswith("data:image/svg")


def test_the_script_of_sorting_is_there_only_where_a_table_asks_for_it(page):
    assert "<script>" in page
    assert "<script>" not in kit.page("t", kit.table(["a"], [["x"]], caption="c"))


def test_a_script_that_would_end_its_own_tag_is_refused():
    with pytest.raises(ValueError, match="expected no </script"):
        kit.page("t", script="const a = '</script>'")


def test_equal_figures_are_equal_bytes():
    assert kit.image(drawn()) == kit.image(drawn())


@pytest.mark.parametrize("form, begins", [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_figure_is_an_image_of_its_form(form, begins):
    address = kit.image(drawn(), form)
    assert base64.b64decode(address.split(",")[1]).startswith(begins)


def test_a_shortened_picture_shows_the_same():
    whole = io.BytesIO()
    with house_style():
        figure = drawn()
        settle(figure)
        figure.savefig(whole, format="svg")
    short = base64.b64decode(kit.image(figure).split(",")[1])
    assert len(short) < 0.95 * len(whole.getvalue())
    found = [[path.get("d", "") for path in ElementTree.fromstring(svg).findall(".//{*}path")]
             for svg in (whole.getvalue(), short)]
    assert len(found[0]) == len(found[1]) > 5
    for one, other in zip(*found):
        (letters, numbers), (other_letters, others) = (
            (re.findall("[A-Za-z]", path), np.array(re.findall(r"-?[\d.]+", path), float))
            for path in (one, other))
        assert letters == other_letters
        np.testing.assert_allclose(others, numbers, rtol=0, atol=0.01)


def test_a_form_that_is_none_is_refused():
    with pytest.raises(ValueError, match="expected svg or png, got 'gif'"):
        kit.image(drawn(), "gif")


def test_letters_of_eight_points_are_eleven_pixels_high():
    assert 8 / 72 * kit.SHOWN_DPI >= 11
    assert 'width="300" height="200"' in kit.figure(drawn(), alt="a", caption="c")


# --- contrast -------------------------------------------------------------------------------

LIGHT, DARK = "light", "dark"


def colours():
    """The variables of the style sheet, in the light and in the dark."""
    sheet = (kit.HERE / "kit.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", sheet, re.S)
    return {name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
            for name, block in zip((LIGHT, DARK), blocks)}


def luminance(colour):
    parts = (int(colour[place:place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055)**2.4 for part in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("light", [LIGHT, DARK])
def test_text_and_marks_stand_out_from_their_ground(light):
    shades = colours()[light]
    for name, colour in shades.items():
        least = 4.5 if name in ("ink", "soft", "link", "clean", "adversarial", "linear", "holds",
                                "fails", "outside") else 3.0
        if name in ("paper", "shade", "rule"):
            continue
        for ground in ("paper", "shade"):
            assert contrast(colour, shades[ground]) >= least, (name, ground)


def test_both_lights_know_the_same_colours():
    assert set(colours()[LIGHT]) == set(colours()[DARK])


def test_black_on_white_has_all_the_contrast_there_is():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)


def test_no_size_of_text_is_below_eleven_pixels():
    sheet = (kit.HERE / "kit.css").read_text(encoding="utf-8")
    rem = [float(size) for size in re.findall(r"font-size: ([\d.]+)rem", sheet)]
    assert rem and min(rem) * 16 >= 11
