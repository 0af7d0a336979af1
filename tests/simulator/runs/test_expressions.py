"""Settings written as arithmetic are evaluated by a tiny parser that executes nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.runs.expressions import evaluate, resolve


def none(name):
    raise ValueError(f"{name!r} is not a number setting")


@pytest.mark.parametrize("text, value", [
    ("3", 3), ("2*8 + 1", 17), ("-3**2", -9), ("7 // 2", 3), ("7 % 4", 3), ("1/4", 0.25),
    ("round(64**0.5)", 8), ("sqrt(2)", math.sqrt(2)), ("max(1, min(5, 3))", 3), ("+2", 2),
    ("ceil(1.2) + floor(1.8)", 3), ("log(exp(1))", 1), ("abs(-2)", 2), ("1e-3", 1e-3)])
def test_arithmetic_has_its_usual_value(text, value):
    assert evaluate(text, none) == value


@pytest.mark.parametrize("text", [
    "", "__import__('os')", "d.real", "[1]", "(1,)", "'a'", "True", "1 if 1 else 2", "x := 3",
    "lambda: 0", "f(1)", "round(number=1)", "1 < 2", "not 1", "1j", "open('x')", "2 ** 'a'",
    "()", "1 +", "~1", "1 << 3", "sqrt(-1)", "1/0", "9**9**9", "log(0)", "1e999", "round()",
    "(-8)**0.5", "1" + "+1" * 200])
def test_everything_else_is_refused_with_a_value_error(text):
    with pytest.raises(ValueError):
        evaluate(text, none)


@given(st.text(max_size=30))
def test_no_text_does_more_than_give_a_number_or_a_value_error(text):
    try:
        assert math.isfinite(evaluate(text, none))
    except ValueError:
        pass


def test_settings_are_resolved_in_the_order_they_need():
    settings = {"tau": "0.5/sqrt(k)", "m": "20*d", "k": "round(d**0.5)", "d": 64, "norm": "l2"}
    assert resolve(settings, frozenset({"norm"})) == {
        "d": 64, "k": 8, "m": 1280, "tau": 0.5 / math.sqrt(8), "norm": "l2"}


CHOICE = '0.5/sqrt(k) if norm == "l2" else 0.5/sqrt(k*d)'


@pytest.mark.parametrize("norm, tau", [("l2", 0.25), ("linf", 0.025)])
def test_a_word_chooses_between_expressions(norm, tau):
    settings = {"tau": CHOICE, "d": 100, "k": 4, "norm": norm}
    assert resolve(settings, frozenset({"norm"}))["tau"] == pytest.approx(tau, rel=1e-15)


@pytest.mark.parametrize("text", [
    '1 if norm else 2', '1 if norm != "l2" else 2', '1 if "l2" == norm else 2',
    '1 if norm == "l2" == norm else 2', '1 if d == "l2" else 2', '1 if nope == "l2" else 2',
    '1 if norm == d else 2', 'norm == "l2"', '"l2" if norm == "l2" else 1'])
def test_a_choice_asks_for_nothing_but_a_word(text):
    with pytest.raises(ValueError, match="^a: "):
        resolve({"a": text, "d": 3, "norm": "l2"}, frozenset({"norm"}))


@pytest.mark.parametrize("settings, message", [
    ({"a": "b", "b": "a"}, "a -> b -> a: settings defined by each other"),
    ({"a": "nope + 1"}, "a: 'nope' is not a number setting"),
    ({"a": "norm", "norm": "l2"}, "a: 'norm' is not a number setting")])
def test_settings_that_cannot_be_resolved_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        resolve(settings, frozenset({"norm"}))
