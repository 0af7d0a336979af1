"""The phase picture: its limits, which runs it takes and its figure."""

import math

import numpy as np
import pytest

from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.runs.run import Run
from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.drawing.claims import draw, png
from theory.feature_purification.phase_picture import (POWERS, confront, first_order_radius,
                                                       on_curve, reading)
from theory.feature_purification.what_flips import NAMES

from planted.feature_purification import changed, phase_runs


def slope(d, radius):
    """Exponent between d and 2 d."""
    return math.log2(radius(2 * d) / radius(d))


# --- the formula and its limits -----------------------------------------------------------


def test_a_pure_network_has_the_radius_of_its_open_features():
    assert first_order_radius(100, 16, 0.0) == pytest.approx(0.25)


def test_a_network_of_nothing_but_mixtures_is_the_linear_classifier():
    assert first_order_radius(400, 5, 1e9) == pytest.approx(1 / math.sqrt(400), rel=1e-6)


@pytest.mark.parametrize("power", [0.36, 0.4, 0.45])
def test_the_readings_are_what_the_formula_tends_to(power):
    # d^(1/3) << d^power << d^(1/2) takes a d of which no run will ever be
    d = 2.0**400
    assert slope(d, lambda d: first_order_radius(d, d**power, d**power / d)) == pytest.approx(
        reading("clean", power), abs=1e-3)
    assert slope(d, lambda d: first_order_radius(d, d**power, 0.0)) == pytest.approx(
        reading("adversarial", power))
    assert reading("linear", power) == -0.5


def test_the_formula_is_the_radius_of_a_planted_network():
    """f with unit neurons and no bias, all gates of the active features open."""
    d, active, ratio = 50, 7, 0.03
    W = (1.0 - ratio) * np.eye(d) + ratio
    x = np.zeros(d)
    x[:active] = 1.0
    # a bias between <w, x> of the features off and on
    network = SymmetricReLU(W, 0.5)
    gradient = network.margin_gradient(x[None], np.ones(1))[0]
    margin = W[:active] @ x  # without the bias, as in the formula
    exact = margin.sum() / np.linalg.norm(gradient)
    # the formula counts a feature's own coordinate in the mixture too: r beside 1
    assert exact == pytest.approx(active * first_order_radius(d, active, ratio), rel=0.01)


# --- its verdicts ------------------------------------------------------------------------


def test_r1_holds_for_radii_with_the_exponents_of_the_readings(rng):
    finding = confront(phase_runs(rng))
    assert finding.verdict == HOLDS, finding.caveats
    assert abs(finding.measured) < 0.05


@pytest.mark.parametrize("network, other", [("linear", -0.25), ("clean", -0.2),
                                            ("adversarial", -0.5)])
def test_r1_fails_where_one_network_has_another_exponent(rng, network, other):
    def exponent(name, power):
        return other if name == network else reading(name, power)
    finding = confront(phase_runs(rng, exponent))
    assert finding.verdict == FAILS
    farthest = max((other - reading(network, power)
                    for power in POWERS), key=abs)
    assert finding.measured == pytest.approx(farthest, abs=0.05)
    assert NAMES[network] in finding.measurements[0].name


# --- which runs it takes ------------------------------------------------------------------


def test_a_size_lies_on_every_curve_whose_power_rounds_to_its_k(rng):
    runs = phase_runs(rng, sizes=(20,), seeds=1, powers=(0.34, 0.4))
    assert [run.config.k for run in runs] == [3, 3]
    assert [power for power in POWERS if on_curve(runs[0], power)] == [0.34, 0.4]


def test_three_sizes_or_a_factor_below_four_are_outside(rng):
    few = confront(phase_runs(rng, sizes=(64, 128, 512)))
    near = confront(phase_runs(rng, sizes=(64, 100, 128, 250)))
    assert few.verdict == near.verdict == OUTSIDE
    assert "at least 4 different sizes" in few.caveats[0]
    assert "a factor 4 apart" in near.caveats[0]


def test_runs_off_the_curves_are_left_out_and_named(rng):
    runs = phase_runs(rng, powers=(0.4,)) + phase_runs(rng, powers=(0.2,), sizes=(4096,))
    finding = confront(runs)
    assert finding.verdict == HOLDS
    assert any("(4096, 5): not fulfilled: k is round(d^a)" in note for note in finding.caveats)
    assert sum("is not tested" in note for note in finding.caveats) == 3


def test_another_family_is_measured_but_decides_nothing(rng):
    def flat(network, power):
        return -0.1
    runs = phase_runs(rng) + [renamed(run, "desk") for run in
                              phase_runs(rng, flat, powers=(0.45,))]
    finding = confront(runs)
    assert finding.verdict == HOLDS
    extra = [part for part in finding.measurements if part.name.startswith("desk runs, ")]
    assert [part.measured for part in extra] == pytest.approx([-0.1] * 3, abs=0.05)
    assert not any(part.decisive for part in extra)


def renamed(run, family):
    from dataclasses import replace
    return Run(replace(run.config, name=family), run.summary, run.history, run.arrays)


def test_seeds_that_straddle_the_edge_do_not_hold(rng):
    def at_the_edge(network, power):
        return reading(network, power) + 0.14
    finding = confront(phase_runs(rng, at_the_edge, noise=0.2))
    assert finding.verdict == FAILS


def test_the_headline_is_the_worst_and_every_exponent_is_measured(rng):
    def one_off(network, power):
        return reading(network, power) + (0.3 if (network, power) == ("clean", 0.45) else 0.0)
    finding = confront(phase_runs(rng, one_off))
    assert finding.measurements[0].name == ("farthest from its reading: clean network, a = 0.45, "
                                            "by")
    assert finding.measured == pytest.approx(0.3, abs=0.05)
    decisive = [part for part in finding.measurements if part.decisive]
    assert len(decisive) == 12 and sum(not part.holds for part in decisive) == 1


def test_a_radius_that_no_attack_reached_has_no_exponent(rng):
    finding = confront([changed(run, adversarial={"r50": math.inf}) for run in phase_runs(rng)])
    assert finding.verdict == FAILS and finding.p_value == 1.0
    decisive = [part for part in finding.measurements if part.decisive]
    assert len(decisive) == len(POWERS) and not any(part.holds for part in decisive)


@pytest.mark.parametrize("radius", [0.0, math.inf, math.nan])
def test_one_radius_that_is_no_number_fails_and_its_curve_is_not_passed_over(rng, radius):
    runs = phase_runs(rng)
    place = next(i for i, run in enumerate(runs) if on_curve(run, 0.45))
    runs[place] = changed(runs[place], adversarial={"r50": radius})
    finding = confront(runs)
    assert finding.verdict == FAILS
    bad = [part for part in finding.measurements if part.decisive and math.isnan(part.measured)]
    assert bad and {part.threshold for part in bad} <= {
        f"purified network, a = {power:g}: exponent of r50 in d" for power in POWERS}


def test_the_formula_of_finite_sizes_is_measured_beside_the_readings(rng):
    """Radii planted by the formula itself: its exponents hold though the readings fail."""
    runs = [changed(run, clean={"r50": first_order_radius(
        run.config.d, run.summary["p"] * run.config.d, run.summary["p"])})
        for run in phase_runs(rng)]
    finding = confront(runs)
    beside = [part for part in finding.measurements if "clean network" in part.name
              and "of the formula at these sizes" in part.name]
    assert len(beside) == 4
    assert [part.measured for part in beside] == pytest.approx([0.0] * 4, abs=1e-10)
    assert finding.verdict == FAILS


def test_the_large_sizes_have_exponents_beside_the_small_ones(rng):
    """Radii that bend at d = 512: the reading holds above and not below."""
    sizes = (64, 128, 256, 384, 512, 1024, 2048, 4096)

    def bent(network, power):
        return reading(network, power)
    runs = [changed(run, clean={"r50": run.summary["clean"]["r50"]
                                * min(1.0, run.config.d / 512.0)**-0.4})
            for run in phase_runs(rng, bent, sizes=sizes, powers=(0.5,))]
    found = {part.name: part for part in confront(runs).measurements}
    below, above = (found[f"clean network, a = 0.5, {words}: exponent less its reading"]
                    for words in ("d < 512", "d >= 512"))
    assert below.measured == pytest.approx(-0.4, abs=0.05) and not below.holds
    assert above.measured == pytest.approx(0.0, abs=0.05) and above.holds
    assert not below.decisive and not above.decisive


def test_a_half_with_too_few_sizes_is_named(rng):
    finding = confront(phase_runs(rng))  # 512 alone is large
    assert finding.verdict == HOLDS
    assert any("d >= 512: no exponent of this half" in note for note in finding.caveats)
    assert not any("d >= 512" in part.name for part in finding.measurements)


# --- the figure ---------------------------------------------------------------------------


def test_the_figure_has_a_panel_for_each_power_with_its_exponents(rng):
    picture = confront(phase_runs(rng)).data
    assert [panel.xlabel for panel in picture.panels] == [
        f"$d$, with $k = d^{{{power:g}}}$" for power in POWERS]
    figure = draw(picture)
    assert len(figure.axes) == 4
    shown = [text.get_text() for text in figure.axes[3].get_legend().get_texts()]
    assert all("0.5" in text for text in shown[:2]) and shown[3:] == ["reading", "formula"]
    assert png(picture).startswith(b"\x89PNG")
