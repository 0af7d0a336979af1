"""A0: an open window, and every way in which it is none."""

import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.drawing.claims import draw
from theory.drawing.style import house_style
from theory.feature_purification.same_radius_window import confront
from theory.regime import by_size

from legible import faults
from planted.feature_purification import changed, window_runs


def decisive(finding):
    return [part for part in finding.measurements if part.decisive]


def part_of(finding, words):
    (found,) = [part for part in finding.measurements if words in part.name]
    return found


def test_a0_holds_where_the_certified_window_is_open(rng):
    finding = confront(window_runs(rng, learner=0.3))
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(0.75 / 0.5, rel=0.05)
    assert len(decisive(finding)) == 4
    assert part_of(finding, "low-complexity").measured == pytest.approx(0.3)
    assert part_of(finding, ", attacked, at").measured == pytest.approx(1.6, rel=0.05)
    assert part_of(finding, "limits within").measured == pytest.approx(
        0.8 * 0.95 / 0.525, rel=0.05)


@pytest.mark.parametrize("truth", [
    {"certified": 0.49},  # closed for proofs though open for attacks
    {"clean": 0.76},  # closed: the clean network gives way too late
    {"accuracy": 0.98}, {"attacked": 0.02}, {"attacked": 0.0099}])  # too near to say
def test_a0_fails_where_one_part_of_the_abstract_does(rng, truth):
    if "certified" in truth:
        runs = window_runs(rng, **truth)
    else:
        runs = window_runs(rng, **{"learner": 0.3} | truth)
    assert confront(runs).verdict == FAILS


def test_a0_fails_where_certificates_hold_for_too_few_at_tau(rng):
    runs = [changed(run, adversarial={"bracket": [
        run.summary["adversarial"]["bracket"][0] | {"certified": 0.985}]})
        for run in window_runs(rng)]
    finding = confront(runs)
    assert finding.verdict == FAILS
    assert part_of(finding, "certified accuracy").measured == pytest.approx(0.985)


def test_a0_fails_where_nothing_is_certified(rng):
    runs = [changed(run, adversarial={"r99_certified": 0.0}) for run in window_runs(rng)]
    finding = confront(runs)
    assert finding.verdict == FAILS
    with house_style():
        assert faults(draw(finding.data)) == []


def test_a_share_that_all_seeds_agree_on_still_has_binomial_limits(rng):
    """All of 300 samples in 3 seeds: at least .9959; all of 300 in one would be .988."""
    part = part_of(confront(window_runs(rng, certified=0.75)), "certified accuracy")
    assert 0.99 < part.low < 0.999
    runs = window_runs(rng)
    for run in runs:
        run.summary["adversarial"]["bracket"][0].update(certified=0.9933)
    assert confront(runs).verdict == FAILS  # 894 of 900: not sure enough of .99


@pytest.mark.parametrize("samples", [0, 299])
def test_a0_is_outside_where_fewer_than_300_samples_are_certified(rng, samples):
    finding = confront(window_runs(rng, samples=samples))
    assert finding.verdict == OUTSIDE
    assert "at least 300 samples" in finding.caveats[0]


def test_a0_is_outside_where_the_tails_were_not_searched(rng):
    runs = [changed(run, clean={"r01": float("nan")}) for run in window_runs(rng)]
    assert confront(runs).verdict == OUTSIDE


def test_a0_is_outside_where_the_clean_network_is_lost_without_an_attack(rng):
    runs = [changed(run, clean={"r01": 0.0}) for run in window_runs(rng)]
    finding = confront(runs)
    assert finding.verdict == OUTSIDE and "a positive r01" in finding.caveats[0]


def test_a0_is_judged_at_the_largest_size_that_is_certified(rng):
    """The theorem speaks of large d: a window that is closed at small ones is no objection."""
    closed = window_runs(rng, clean=0.9, sizes=((100, 5), (200, 7)))
    finding = confront(closed + window_runs(rng, sizes=((400, 9),)))
    assert finding.verdict == HOLDS, finding.caveats
    assert "(400, 9)" in finding.measurements[0].name
    uncertified = window_runs(rng, samples=0, sizes=((800, 11),))
    beyond = confront(closed + window_runs(rng, sizes=((400, 9),)) + uncertified)
    assert beyond.verdict == HOLDS and "(400, 9)" in beyond.measurements[0].name
    assert any("(800, 11)" in note for note in beyond.caveats)
    uneven = confront(window_runs(rng, sizes=((100, 5),), seeds=5) + window_runs(
        rng, sizes=((400, 9),)))
    assert uneven.seeds == (0, 1, 2)  # those that the verdict is of, not those that are shown
    assert any("(100, 5): 0-4; (400, 9): 0-2" in note for note in uneven.caveats)
    turned = confront(window_runs(rng, sizes=((100, 5), (200, 7))) + window_runs(
        rng, clean=0.9, sizes=((400, 9),)))
    assert turned.verdict == FAILS


def test_the_width_has_an_exponent_in_d_where_there_are_enough_sizes(rng):
    wide = part_of(confront(window_runs(rng, widening=0.3)), "attacked, exponent")
    assert wide.measured == pytest.approx(0.3, abs=0.05) and not wide.decisive
    few = confront(window_runs(rng, sizes=((100, 5), (200, 7))))
    assert few.verdict == HOLDS
    assert any("exponent" in note and "at least 4" in note for note in few.caveats)


def test_an_older_summary_has_its_certified_radius_in_the_bracket(rng):
    runs = window_runs(rng)
    for run in runs:
        del run.summary["adversarial"]["r99_certified"]
    finding = confront(runs)
    (size,) = [size for size in by_size(runs) if size.d == 800]
    assert finding.verdict == HOLDS and size in finding.sizes
    assert finding.measured == pytest.approx(0.6 / 0.5, rel=0.05)  # tau over r01


def test_the_samples_certified_together_count_where_there_are_any(rng):
    for share, verdict in ((0.9967, HOLDS), (0.98, FAILS)):
        runs = [changed(run, adversarial={"certified_tail": {"samples": 300, "at_tau": share}})
                for run in window_runs(rng, samples=20)]
        finding = confront(runs)
        assert finding.verdict == verdict
        assert part_of(finding, "certified accuracy").measured == pytest.approx(share)


def test_the_figure_of_a0_can_be_read(rng):
    for runs in (window_runs(rng, learner=0.3, widening=0.2),
                 window_runs(rng, sizes=((200, 7),))):
        with house_style():
            assert faults(draw(confront(runs).data)) == []
