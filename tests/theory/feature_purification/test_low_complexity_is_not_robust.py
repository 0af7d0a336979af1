"""Claim A8: its rule, its verdicts on planted tables, and controls that are really measured."""

import numpy as np
import pytest

from simulator.attacks.gradient import FGM
from simulator.attacks.suites import standard_attacks
from simulator.balls import L2Ball
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.low_complexity import Learner, LearnerTask, measure
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.drawing.claims import draw_findings
from theory.feature_purification.low_complexity_is_not_robust import (comparison_radius, confront,
                                                                      strong_features_decide)

from planted.feature_purification import PURIFIED, WEAK, learner_runs, planted_weights


def test_a8_holds_where_every_learner_falls_and_the_network_is_certified():
    finding = confront(learner_runs())
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(0.4)
    assert finding.caveats == (
        "lottery: holds from (64, 4) on, the smallest size",
        "lottery (64, 4) at 1.5 tau, 0.70 certified for the network: linear 0.10, degree 3 0.40")


def test_a8_fails_where_one_learner_is_as_robust_as_the_network():
    finding = confront(learner_runs(attacked=WEAK | {"tangent kernel": (0.9, 0.8, 0.7, 0.6, 0.5)}))
    assert finding.verdict == FAILS
    assert finding.measured == pytest.approx(0.7)
    assert any("above 0.5: tangent kernel" in line for line in finding.caveats)


def test_it_says_from_which_size_on_it_holds():
    """Per family: where every larger size holds too, or that the largest does not."""
    strong = WEAK | {"symmetric cubic": (0.9, 0.8, 0.7, 0.6, 0.5)}

    def lines(*pairs):
        runs = [run for d, k, attacked in pairs
                for run in learner_runs(attacked=attacked, d=d, k=k)]
        return [line for line in confront(runs).caveats if line.startswith("lottery: ")]

    assert lines((36, 4, strong), (64, 4, WEAK), (100, 5, WEAK)) == [
        "lottery: holds from (64, 4) on, not at (36, 4)"]
    assert lines((64, 4, WEAK), (100, 5, strong)) == [
        "lottery: does not hold at (100, 5), the largest size, against the symmetric cubic"]


def test_sizes_are_drawn_beside_each_other():
    runs = learner_runs() + learner_runs(d=100, k=5)
    panel = confront(runs).data.panels[-1]
    assert panel.ticks == ("64, 4", "100, 5") or len(panel.ticks) == 2
    assert [series.label for series in panel.series] == [
        "linear", "degree 3", "certified, purified network"]
    assert panel.series[1].values.shape == (3, 2)
    assert np.allclose(panel.series[1].values.mean(axis=0), 0.6)


def test_the_better_way_of_training_counts():
    # learner_runs makes adversarial training 0.1 better than clean training
    finding = confront(learner_runs(attacked={"linear": (0.7, 0.6, 0.55, 0.4, 0.3)}))
    assert finding.verdict == FAILS and finding.measured == pytest.approx(0.55)


def test_the_radius_is_the_largest_that_every_seed_certifies():
    assert comparison_radius(learner_runs()) == 2
    assert comparison_radius(learner_runs(certified=(0.9, 0.8, 0.59, 0.5, 0.4))) == 1
    mixed = learner_runs()
    mixed[1].summary["adversarial"]["bracket"][2]["certified"] = 0.59
    assert comparison_radius(mixed) == 1
    assert comparison_radius(learner_runs(certified=(0.5,) * 5)) is None


def test_certificates_of_the_more_samples_tell_the_radius():
    """A radius of exactly 1.5 tau counts there, up to rounding; the bracket has 20 samples."""
    far = np.repeat((1.5 * (1.0 - 1e-12), 2.0, 1.3), (59, 1, 40))  # 60 % at 1.5 tau, 1 % beyond
    low = (0.9, 0.5, 0.5, 0.5, 0.5)
    assert comparison_radius(learner_runs(certified=low)) == 0
    assert comparison_radius(learner_runs(certified=low, tail=far)) == 2
    assert comparison_radius(learner_runs(certified=low, tail=np.append(far[1:], 1.3))) == 1
    assert comparison_radius(learner_runs(certified=low, tail=far[:20])) == 0  # no more than it has
    assert "at 1.5 tau, 0.60 certified for the network" in confront(
        learner_runs(certified=low, tail=far)).caveats[-1]


def test_of_a_huge_network_the_bracket_tells_the_radius():
    """Its samples were asked how far they are certified up to r99 and no further."""
    huge = dict(d=2000, k=13, m="6*d", weak_high=1.9, c_strong=0.0)
    assert comparison_radius(learner_runs(tail=np.full(300, 1.1), **huge)) == 2
    assert comparison_radius(learner_runs(tail=np.full(300, 1.1))) == 0


def test_a_certified_tail_makes_the_claim_fail_where_learners_are_as_robust():
    finding = confront(learner_runs(certified=(0.9,) * 5, tail=np.full(300, 1.1)))
    assert finding.verdict == FAILS and finding.measured == pytest.approx(0.6)


def test_an_interval_that_reaches_past_one_half_is_no_proof():
    runs = learner_runs(attacked={"linear": (0.9, 0.7, 0.49, 0.3, 0.2)})
    finding = confront(runs)
    assert finding.verdict == FAILS
    assert "more seeds would decide" in finding.caveats[0]


def test_it_is_outside_without_learners_without_certificates_and_with_too_few_seeds():
    bare = learner_runs()
    for run in bare:
        del run.summary["learners"]
    for runs, why in ((bare, "learners were trained"), (learner_runs(seeds=2), "at least 3"),
                      (learner_runs(certified=(0.5,) * 5), "60 % of the samples")):
        finding = confront(runs)
        assert finding.verdict == OUTSIDE and why in " ".join(finding.caveats)


def test_it_is_outside_where_different_seeds_certify_at_different_radii_only():
    runs = learner_runs()
    for run, place in zip(runs, (0, 1, 2)):
        for index, entry in enumerate(run.summary["adversarial"]["bracket"]):
            entry["certified"] = 0.7 if index == place else 0.1
    finding = confront(runs)
    assert finding.verdict == OUTSIDE and "every seed" in finding.caveats[0]
    assert any("nowhere" in line for line in finding.caveats)


def test_it_is_outside_where_strong_features_decide_and_still_tells_the_numbers():
    runs = learner_runs(d=64, k=8, weak_high=1.2, c_weak=0.5)
    assert strong_features_decide(runs[0]) > 0.6
    finding = confront(runs)
    assert finding.verdict == OUTSIDE
    assert any("strong features alone" in line for line in finding.caveats)
    assert any("linear 0.10, degree 3 0.40" in line for line in finding.caveats)


def test_strong_features_decide_everything_where_there_are_no_others():
    # a tie of strong features, which label_margin rejects, would be the only exception
    runs = learner_runs(c_weak=0.0)
    assert strong_features_decide(runs[0]) == 1.0


def test_its_figure_is_drawn(tmp_path):
    finding = confront(learner_runs())
    panel = finding.data.panels[0]
    assert panel.ticks == ("linear", "degree\n3")
    assert panel.series[1].values.shape == (3, 2)
    assert np.isnan(panel.series[2].values).all()  # nothing was planted under "known"
    draw_findings([finding], tmp_path)
    assert list(tmp_path.glob("*A8*")) or list(tmp_path.glob("*a8*"))


# --- controls that are measured -----------------------------------------------------------


def with_entries(runs, task, learner):
    """The runs with a measured learner added to their tables."""
    found = [vars(entry) for entry in measure(learner, task)]
    for run in runs:
        run.summary["learners"]["table"] += found
    return runs


def task_of(data, tau, steps=20):
    def draw(n, seed):
        return data.sample(n, np.random.default_rng(seed))
    return LearnerTask(FreshBatches(data, 100, 0), draw(60, 1), draw(60, 2), L2Ball(tau), steps, 0)


def test_it_fails_where_the_purified_network_is_passed_off_as_a_learner():
    runs = learner_runs(d=36, k=4)
    data = SparseCoding(d=36, k=4, c_weak=1.0, weak_high=2.0, noise=0.05)
    weights = planted_weights(36, 0.0, 0)

    def purified():
        return SymmetricReLU(weights.copy(), 0.2)

    passed_off = Learner("passed off", purified, FGM(), standard_attacks(data.dense_direction, 5),
                         36, (purified(),))
    finding = confront(with_entries(runs, task_of(data, runs[0].config.tau), passed_off))
    assert finding.verdict == FAILS
    assert "above 0.5: passed off" in " ".join(finding.caveats)


class Separable:
    """Labels that a linear classifier reads with a large margin: x = y e_1 and a little noise."""

    def sample(self, n, rng, dtype=np.float64):
        y = rng.choice([-1.0, 1.0], n)
        X = 0.01 * rng.standard_normal((n, 36))
        X[:, 0] += y
        return Batch(X.astype(dtype), y.astype(dtype))


def test_it_fails_where_a_linear_classifier_is_robust():
    runs = learner_runs(d=36, k=4)
    linear = Learner("linear", lambda: LinearClassifier(np.zeros(36)), FGM(),
                     standard_attacks(np.eye(36)[0], 5), 36)
    finding = confront(with_entries(runs, task_of(Separable(), runs[0].config.tau, 60), linear))
    assert finding.verdict == FAILS
    assert finding.measured > 0.95


def test_what_is_planted_is_what_the_rule_reads():
    assert PURIFIED[2] >= 0.6 > PURIFIED[3] and max(v[2] for v in WEAK.values()) < 0.5
