"""Intervals, exponents and corrections against formulas, SciPy and simulated truths."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from theory.scaling import (TooFew, difference_interval, equivalence_power, fit_exponent,
                            fit_exponents, holm, outside_probability, share_interval, t_interval,
                            vary_separately)

SIZES = np.array([1.0, 2.0, 4.0, 8.0])


def test_the_interval_is_students(rng):
    values = rng.standard_normal(7)
    found = t_interval(values)
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((values.mean(), low, high))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_covers_the_truth_at_its_level(rng, seeds):
    # 2000 repeats: two standard errors of the rate are 0.01
    covered = [found.low <= 1.0 <= found.high
               for found in (t_interval(1.0 + rng.standard_normal(seeds)) for _ in range(2000))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_fewer_than_three_seeds_are_refused():
    with pytest.raises(TooFew, match="at least 3 seeds, got 2"):
        t_interval([1.0, 2.0])
    with pytest.raises(TooFew, match="at least 3 seeds, got 2"):
        fit_exponent(SIZES, np.ones((2, 4)))


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="finite"):
        t_interval([1.0, 2.0, math.nan])
    with pytest.raises(ValueError, match="positive numbers"):
        fit_exponent(SIZES, np.array([[1.0, 1.0, 1.0, 0.0]] * 3))


def test_the_p_value_is_that_of_two_one_sided_t_tests(rng):
    values = 1.0 + 0.2 * rng.standard_normal(6)
    low = stats.ttest_1samp(values, 0.7, alternative="greater").pvalue
    high = stats.ttest_1samp(values, 1.3, alternative="less").pvalue
    assert outside_probability(values, (0.7, 1.3)) == pytest.approx(max(low, high))
    assert outside_probability(values, (0.7, math.inf)) == pytest.approx(low)


def test_seeds_that_agree_exactly_are_inside_or_outside():
    assert outside_probability([1.0, 1.0, 1.0], (0.5, 2.0)) == 0.0
    assert outside_probability([1.0, 1.0, 1.0], (1.5, 2.0)) == 1.0
    assert outside_probability([0.1, 0.1 + 1e-17, 0.1], (0.05, 1.0)) == 0.0


def test_a_truth_at_the_edge_passes_as_often_as_the_level_says(rng):
    passed = [outside_probability(0.7 + 0.1 * rng.standard_normal(5), (0.7, 1.3)) <= 0.05
              for _ in range(2000)]
    assert np.mean(passed) == pytest.approx(0.05, abs=0.015)


def test_no_error_in_few_samples_proves_little():
    # 3 x 100 samples, all right: Clopper & Pearson's lower end is 0.025^(1/300)
    found = share_interval([1.0, 1.0, 1.0], 100, (0.95, 1.0))
    assert found.low == pytest.approx(0.025 ** (1 / 300))
    assert (found.mean, found.high) == (1.0, 1.0)
    assert found.p_value == pytest.approx(0.95**300)
    assert share_interval([1.0] * 3, 10, (0.95, 1.0)).p_value > 0.05
    assert share_interval([0.0] * 3, 100, (0.0, 0.5)).p_value < 1e-50


def test_a_share_is_never_asked_to_prove_that_it_is_at_most_1():
    found = share_interval([0.998, 1.0, 1.0], 500, (0.9, 1.0))
    assert found.p_value < 1e-3 and found.high == 1.0
    assert share_interval([0.002, 0.0, 0.0], 500, (0.0, 0.1)).p_value < 1e-3


@pytest.mark.parametrize("right", [0, 1, 130, 299, 300])
def test_seeds_that_agree_leave_the_exact_binomial_law(right):
    found = share_interval([right / 300] * 3, 300)
    exact = stats.binomtest(3 * right, 900).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx(exact, rel=1e-9)
    for accepted, side, end in (((0.2, 1.0), "greater", 0.2), ((0.0, 0.6), "less", 0.6)):
        inside = accepted[0] <= right / 300 <= accepted[1]
        wanted = stats.binomtest(3 * right, 900, end, side).pvalue if inside else 1.0
        assert share_interval([right / 300] * 3, 300, accepted).p_value == pytest.approx(
            wanted, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("value, p_value", [(0.3, 0.0), (0.2, 0.5), (0.1, 1.0)])
def test_values_that_all_are_at_an_end_leave_it_open(value, p_value):
    assert outside_probability([value] * 4, (0.2, math.inf)) == p_value
    assert outside_probability([-value] * 4, (-math.inf, -0.2)) == p_value


def test_shares_that_agree_in_every_seed_are_not_certainly_equal():
    found = difference_interval([1.0] * 3, [1.0] * 3, (100, 50), (0.0, math.inf))
    assert found.mean == 0.0 and found.p_value == 1.0
    # nobody of 300 and of 150 is wrong: each true share may be 1 % and 3 % below 1
    assert (found.low, found.high) == pytest.approx((0.0125 ** (1 / 300) - 1,
                                                     1 - 0.0125 ** (1 / 150)))


@pytest.mark.parametrize("first, second, accepted", [
    (0.9, 0.3, (0.0, math.inf)), (0.3, 0.9, (-math.inf, 0.0)), (0.9, 0.3, (0.2, math.inf)),
    (1.0, 0.0, (0.0, math.inf)), (0.6, 0.5, (0.0, 0.9))])
def test_a_difference_holds_where_both_limits_leave_it_no_other_way(first, second, accepted):
    found = difference_interval([first] * 4, [second] * 4, (500, 500), accepted)
    assert accepted[0] <= found.low <= found.mean <= found.high <= accepted[1]
    assert found.p_value < 0.01
    turned = difference_interval([second] * 4, [first] * 4, (500, 500),
                                 (-accepted[1], -accepted[0]))
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert turned.p_value == pytest.approx(found.p_value)


def test_seeds_that_scatter_decide_a_difference_by_t():
    first, second = [0.9, 0.5, 0.7], [0.2, 0.3, 0.1]
    seeds = t_interval(np.subtract(first, second), (0.0, math.inf))
    assert difference_interval(first, second, (10**6, 10**6), (0.0, math.inf)) == seeds


def test_equal_shares_are_told_apart_as_seldom_as_the_level_says(rng):
    def one():
        return rng.binomial(20, 0.8, 3) / 20
    told = [difference_interval(one(), one(), (20, 20), (0.0, math.inf)).p_value <= 0.05
            for _ in range(1500)]
    assert np.mean(told) < 0.05


def test_a_share_interval_contains_that_of_the_seeds():
    seeds = t_interval([0.2, 0.5, 0.8])
    found = share_interval([0.2, 0.5, 0.8], 1000)
    assert found.low == max(0.0, seeds.low) and found.high == min(1.0, seeds.high)


@given(st.floats(-3, 3), st.floats(-2, 2))
def test_an_exact_power_law_is_found_exactly(slope, level):
    y = np.exp(level) * SIZES**slope
    fit = fit_exponent(SIZES, np.stack([y, 2 * y, 3 * y]))
    assert fit.slopes == pytest.approx([slope] * 3, abs=1e-9)
    assert np.exp(fit.intercepts) == pytest.approx(np.exp(level) * np.array([1, 2, 3]))
    assert fit.residual < 1e-9


def test_the_fit_is_least_squares(rng):
    x, y = np.exp(rng.uniform(0, 3, 6)), np.exp(rng.standard_normal((3, 6)))
    x[0], x[1] = 1.0, 9.0
    fit = fit_exponent(x, y)
    for row, slope, intercept in zip(y, fit.slopes, fit.intercepts):
        reference = stats.linregress(np.log(x), np.log(row))
        assert (slope, intercept) == pytest.approx((reference.slope, reference.intercept))


def test_too_few_or_too_close_sizes_are_refused():
    with pytest.raises(TooFew, match="at least 4 different sizes, got 3"):
        fit_exponent([1.0, 2.0, 2.0, 8.0], np.ones((3, 4)))
    with pytest.raises(TooFew, match="a factor 4 apart, got 3.9"):
        fit_exponent([1.0, 2.0, 3.0, 3.9], np.ones((3, 4)))
    fit_exponent([0.1, 0.2, 0.3, 0.1 + 0.3], np.ones((3, 4)))  # a factor 4 up to rounding
    with pytest.raises(ValueError, match=r"expected shape \(seeds, 4\)"):
        fit_exponent(SIZES, np.ones((3, 5)))


@pytest.mark.parametrize("d, k, separate", [
    ((64, 64, 128, 128), (4, 8, 4, 8), True), ((64, 128, 256), (4, 4, 4), False),
    ((64, 128, 256), (4, 8, 16), False), ((64, 64, 64), (2, 4, 8), False),
    ((64, 64, 128), (4, 8, 8), True)])
def test_d_and_k_vary_separately_only_if_each_does_at_fixed_other(d, k, separate):
    assert vary_separately(d, k) is separate


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.01, math.nan, 0.03]) == pytest.approx([0.03, 1.0, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_p_value_and_bonferroni(p_values):
    for raw, adjusted in zip(p_values, holm(p_values)):
        assert raw <= adjusted <= min(1.0, len(p_values) * raw) + 1e-15


def test_holm_keeps_the_chance_of_any_false_claim_below_the_level(rng):
    false = [min(holm(rng.random(6))) <= 0.05 for _ in range(2000)]
    assert np.mean(false) <= 0.05 + 0.015


# --- several exponents together -------------------------------------------------------------

D_AND_K = np.array([(64, 4), (64, 8), (128, 4), (128, 8), (256, 4), (256, 16)], float).T


def test_exponents_fitted_together_are_those_planted(rng):
    d, k = D_AND_K
    y = 0.3 * k**1.1 * d**-0.4 * np.exp(0.01 * rng.standard_normal((5, 6)))
    found = fit_exponents({"k": k, "d": d}, y)
    assert found["k"].slopes.mean() == pytest.approx(1.1, abs=0.03)
    assert found["d"].slopes.mean() == pytest.approx(-0.4, abs=0.03)
    assert 0.0 < found["k"].residual < 0.02
    exact = fit_exponents({"k": k, "d": d}, np.tile(k / d**0.5, (3, 1)))
    assert exact["d"].slopes == pytest.approx([-0.5] * 3, abs=1e-12)


def test_one_regressor_together_is_the_fit_of_one(rng):
    d, y = np.array([64.0, 128.0, 256.0, 512.0]), np.exp(rng.standard_normal((3, 4)))
    assert fit_exponents({"d": d}, y)["d"].slopes == pytest.approx(fit_exponent(d, y).slopes)


@pytest.mark.parametrize("d, k, message", [
    ([64, 128, 256], [4, 8, 4], "at least 4 sizes"),
    ([64, 128, 256, 512], [4, 8, 16, 32], "vary separately"),
    ([64, 128, 256, 512], [4, 5, 4, 5], "in k needs values a factor 1.5")])
def test_exponents_that_cannot_be_told_apart_are_refused(d, k, message):
    with pytest.raises(TooFew, match=message):
        fit_exponents({"k": k, "d": d}, np.ones((3, len(d))))


def test_exponents_of_what_has_no_logarithm_are_refused():
    d, k = D_AND_K
    with pytest.raises(ValueError, match="positive numbers"):
        fit_exponents({"k": k, "d": d}, np.zeros((3, 6)))
    with pytest.raises(ValueError, match="expected shape"):
        fit_exponents({"k": k, "d": d}, np.ones((3, 5)))


def test_the_power_of_an_equivalence_test_is_that_of_drawn_seeds():
    rng = np.random.default_rng(0)
    for spread, seeds, margin in ((0.02, 8, 0.03), (0.03, 8, 0.03), (0.05, 4, 0.03)):
        draws = rng.normal(0.0, spread, (4000, seeds))
        held = [outside_probability(each, (-margin, margin)) <= 0.025 for each in draws]
        assert equivalence_power(spread, seeds, margin) == pytest.approx(
            np.mean(held), abs=4.0 * 0.5 / math.sqrt(4000))  # four standard errors of a share
    assert equivalence_power(0.0, 8, 0.03) == 1.0
