"""Dyadic arrays are fractions, to the last digit."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.certificates.checker.exact import Exact, float_below, quotient_up, root_up

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def fractions(values):
    return [values[at].fraction() for at in np.ndindex(values.shape)]


@settings(max_examples=200, deadline=None)
@given(values=st.lists(FINITE, min_size=1, max_size=5))
def test_a_float_is_taken_as_what_it_is(values):
    exact = Exact.of(values)
    assert fractions(exact) == [Fraction(value) for value in values]
    np.testing.assert_allclose(exact.nearest(), values, rtol=1e-15)


@settings(max_examples=200, deadline=None)
@given(a=st.lists(FINITE, min_size=3, max_size=3), b=st.lists(FINITE, min_size=3, max_size=3))
def test_sums_products_and_orders_are_those_of_fractions(a, b):
    x, y = Exact.of(a), Exact.of(b)
    pairs = list(zip(map(Fraction, a), map(Fraction, b)))
    assert fractions(x + y) == [p + q for p, q in pairs]
    assert fractions(x - y) == [p - q for p, q in pairs]
    assert fractions(x * y) == [p * q for p, q in pairs]
    assert fractions(x.minimum(y)) == [min(pair) for pair in pairs]
    assert fractions(x.maximum(y)) == [max(pair) for pair in pairs]
    assert list(x <= y) == [p <= q for p, q in pairs]
    assert list(x < y) == [p < q for p, q in pairs]
    assert (x @ y).fraction() == sum(p * q for p, q in pairs)
    assert abs(x - y).sum().fraction() == sum(abs(p - q) for p, q in pairs)


@settings(max_examples=200, deadline=None)
@given(a=st.floats(0.0, 1e300), b=st.floats(5e-324, 1e300), scale=st.integers(-50, 1100))
def test_roots_and_quotients_are_rounded_up_and_not_far(a, b, scale):
    root = root_up(Exact.of([a]))[0].fraction()
    assert root ** 2 >= Fraction(a)
    assert (root * (1 - Fraction(1, 2 ** 60))) ** 2 <= Fraction(a)
    quotient = quotient_up(Exact.of([a]), Exact.of([b]), scale)[0].fraction()
    unit = Fraction(2) ** -scale
    assert Fraction(a) / Fraction(b) <= quotient < Fraction(a) / Fraction(b) + unit
    raised = Exact.of([a]).raised(scale)[0].fraction()
    assert Fraction(a) <= raised < Fraction(a) + unit


@pytest.mark.parametrize("value", [Fraction(1, 3), Fraction(-1, 3), Fraction(10) ** 400,
                                   -Fraction(10) ** 400, Fraction(1, 10 ** 400), Fraction(0)])
def test_a_float_below_is_below_and_the_next_is_not(value):
    below = float_below(value)
    assert below == -math.inf or Fraction(below) <= value
    above = math.nextafter(below, math.inf)
    assert above == math.inf or Fraction(above) > value


def test_sums_of_nothing_are_zero():
    nothing = Exact.of(np.zeros(0))
    assert nothing.sum().fraction() == 0
    assert fractions(nothing @ Exact.of(np.zeros((0, 3)))) == [0, 0, 0]
    assert fractions(Exact.of(np.zeros((2, 0))) @ nothing) == [0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="expected finite floats"):
        Exact.of([1.0, value])
