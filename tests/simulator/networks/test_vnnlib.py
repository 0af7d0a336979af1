"""A property says what it should: a parser of others reads it, and its box holds the whole ball."""

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.networks.vnnlib import box_property

BOUND = re.compile(r"\(assert \((<=|>=) X_(\d+) (-?\d+\.\d+)\)\)")
numbers = st.floats(-1e6, 1e6)


def ends(text, d):
    """The box of a property in version 1.0: exact lower and upper ends."""
    low, high = [None] * d, [None] * d
    for relation, place, literal in BOUND.findall(text):
        (high if relation == "<=" else low)[int(place)] = Fraction(Decimal(literal))
    return low, high


@given(st.lists(numbers, min_size=1, max_size=4), st.floats(0.0, 1e3))
def test_the_box_holds_the_ball_in_real_arithmetic_and_hardly_more(x, radius):
    low, high = ends(box_property(np.array(x), radius, 1), len(x))
    for entry, below, above in zip(x, low, high):
        true_low, true_high = Fraction(entry) - Fraction(radius), Fraction(entry) + Fraction(radius)
        assert below <= true_low and true_high <= above
        # 17 digits: the outward step is at most 1e-16 of the end itself
        assert true_low - below <= abs(true_low) * Fraction(1, 10**16)
        assert above - true_high <= abs(true_high) * Fraction(1, 10**16)


@pytest.mark.parametrize("label, relation", [(1, "<="), (-1, ">=")])
def test_the_wrong_answer_of_one_output_is_the_other_sign_or_none(label, relation):
    lines = box_property(np.zeros(2), 0.5, label).splitlines()
    assert lines[-1] == f"(assert ({relation} Y_0 0.0))"
    assert lines[1:4] == ["(declare-const X_0 Real)", "(declare-const X_1 Real)",
                          "(declare-const Y_0 Real)"]


def test_the_wrong_answer_of_classes_is_any_other_that_is_not_below():
    assert box_property(np.zeros((2, 2)), 0.5, 1, classes=2).splitlines()[-1] == (
        "(assert (>= Y_0 Y_1))")
    assert box_property(np.zeros((2, 2)), 0.5, 1, classes=3).splitlines()[-1] == (
        "(assert (or (and (>= Y_0 Y_1)) (and (>= Y_2 Y_1))))")


def test_no_number_has_an_exponent():
    text = box_property(np.array([1e-30, -1e20, 0.0]), 0.0, 1)
    assert "0.00000000000000000000000000000" in text and "-100000000000000000000.0)" in text
    assert len(BOUND.findall(text)) == 6


@pytest.mark.parametrize("classes, shape", [(0, (3,)), (2, (2, 3)), (4, (2, 3))])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_parser_of_others_reads_the_same_box_and_outputs(classes, shape, dtype, rng):
    vnnlib = pytest.importorskip("vnnlib", reason="extra test not installed")
    compat = pytest.importorskip("vnnlib.compat", reason="extra test not installed")
    x = rng.standard_normal(shape)
    text = box_property(x, 0.25, 1, classes=classes, version="2.0", dtype=dtype, about="a sample")
    query = vnnlib.parse_query_string(text)
    (network,) = query.networks
    (reads,), (gives,) = network.inputs, network.outputs
    assert (list(reads.shape), list(gives.shape)) == ([1, *shape], [1, max(classes, 1)])
    assert (reads.dtype == vnnlib.DType.F32) == (dtype == "float32")
    (case,) = compat.transform(query)
    box = np.array(case.input_box)
    # the ends were rounded outward to 17 digits, then to the nearest float
    assert np.allclose(box[:, 0], x.ravel() - 0.25, rtol=4e-16, atol=0)
    assert np.allclose(box[:, 1], x.ravel() + 0.25, rtol=4e-16, atol=0)
    rows = {tuple(np.ravel(polytope.coeff_matrix)) for polytope in case.output_constraints}
    wrong = {tuple(float(i == 1) - float(i == j) for i in range(classes))
             for j in range(classes) if j != 1}  # F_1 - F_j <= 0
    assert rows == (wrong if classes else {(1.0,)})
    assert all(not np.any(polytope.rhs) for polytope in case.output_constraints)


def test_both_versions_say_the_same(rng):
    x = rng.standard_normal((2, 3))
    old, new = (box_property(x, 0.1, 0, classes=3, version=version).splitlines()
                for version in ("1.0", "2.0"))
    renamed = [re.sub(r"Y_(\d)", r"Y[0,\1]", re.sub(
        r"X_(\d)", lambda at: f"X[0,{int(at[1]) // 3},{int(at[1]) % 3}]", line)) for line in old
        if line.startswith("(assert")]
    assert renamed == [line for line in new if line.startswith("(assert")]


@pytest.mark.parametrize("arguments, options, message", [
    ((np.array([np.nan]), 0.1, 1), {}, "x: expected finite numbers"),
    ((np.zeros(2), np.inf, 1), {}, "radius: expected a finite number"),
    ((np.zeros(2), -0.1, 1), {}, "radius: expected at least 0"),
    ((np.zeros(2), 0.1, 0), {}, "label: expected -1 or 1 of a network with one output, got 0"),
    ((np.zeros((1, 2)), 0.1, 2), {"classes": 2}, "label: expected at most 1, got 2"),
    ((np.zeros(2), 0.1, 1), {"version": "3.0"}, "version: expected one of 1.0, 2.0, got '3.0'"),
    ((np.zeros(2), 0.1, 1), {"dtype": "int8"}, "dtype: expected one of float32, float64")])
def test_what_is_no_question_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        box_property(*arguments, **options)
