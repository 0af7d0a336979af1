"""Every claim holds where its truth is planted and fails where its opposite is.

The networks are written down, not trained (see planted.py), so each verdict is known before.
"""

import math

import numpy as np
import pytest

import theory
from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.worst_case import worst_case
from simulator.experiments.feature_purification.experiment import Simulation
from simulator.networks.symmetric_relu import SymmetricReLU
from theory.claim import FAILS, HOLDS, OUTSIDE, confront_all
from theory.feature_purification import (dense_mixtures, features_are_found,
                                         low_complexity_is_not_robust, low_rank_update,
                                         one_direction_breaks, perturbation_is_dense,
                                         perturbation_transfers, phase_picture, purification,
                                         robust_to_any)
from theory.feature_purification.features_are_found import features_found
from theory.feature_purification.low_rank_update import trained_update
from theory.feature_purification.perturbation_is_dense import participation, top_share

from planted.feature_purification import (bracketed, changed, lottery_weights, mixture_runs,
                                          no_flips, phase_runs, planted_config, planted_run)
from planted.learners import WEAK, learner_runs

CLAIMS = theory.claims()
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def planted():
    """Dense before, pure after; three seeds at one size."""
    return [planted_run(144, 8, seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def unpurified():
    """Dense before and as dense after."""
    return [planted_run(144, 8, seed, after=0.25) for seed in SEEDS]


@pytest.fixture(scope="module")
def found():
    """All neurons of a run, most of them losers, at two sizes."""
    runs = []
    for d, k in ((16, 4), (64, 4)):
        for seed in SEEDS:
            weights = lottery_weights(planted_config(d, k, seed, m="15*d"), 0.02)
            runs.append(planted_run(d, k, seed, weights=(weights, weights), m="15*d"))
    return runs


def isotropic(like, seed=0):
    """Random directions of the same lengths."""
    rng = np.random.default_rng(seed)
    random = rng.standard_normal(like.shape)
    lengths = np.linalg.norm(like, axis=1, keepdims=True)
    return random * lengths / np.linalg.norm(random, axis=1, keepdims=True)


def isotropic_of(run, simulation):
    X = simulation.test_set.X
    return isotropic(np.full(X.shape, run.config.tau / math.sqrt(X.shape[1])), run.config.seed)


def random_update(clean, adversarial):
    """A random update of the same norm as the trained one."""
    update = np.random.default_rng(0).standard_normal(clean.shape)
    return update * np.linalg.norm(adversarial - clean) / np.linalg.norm(update)


def under_a_random_direction(run):
    """The run with the universal direction replaced by a random one, really measured."""
    simulation = Simulation(run.config)
    network = SymmetricReLU(run.arrays["weights_clean"], float(run.arrays["bias"]))
    direction = np.random.default_rng(run.config.seed).standard_normal(run.config.d)
    test = simulation.test_set
    adversary = Adversary(simulation.ball, {"universal": Universal(direction)})
    accuracy = worst_case(network, test, adversary).accuracy("universal")
    return changed(run, clean={"universal_accuracy": accuracy})


# --- planted truths -----------------------------------------------------------------------


def test_a1_holds_where_every_feature_has_its_neuron(found):
    finding = features_are_found.confront(found)
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured > 0.95


def test_a2_holds_for_mixtures_of_size_k_over_d(rng):
    finding = dense_mixtures.confront(mixture_runs(rng))
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.low < 1.0 < finding.high


def test_a3_holds_for_dense_mixtures(planted):
    finding = one_direction_breaks.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats


def test_a4_holds_from_dense_to_pure(planted):
    finding = perturbation_is_dense.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats


def test_a5_holds_between_networks_with_the_same_dense_direction(planted):
    finding = perturbation_transfers.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats


def test_a6_holds_where_the_mixtures_are_taken_out(planted):
    finding = purification.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured > 15.0


def test_a7_holds_where_it_is_certified(planted):
    runs = [bracketed(run, (0.1, 0.3), (0.8, 0.9)) for run in planted]
    finding = robust_to_any.confront(runs)
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(0.8)


def test_a8_holds_where_every_learner_falls_below_the_certificate():
    finding = low_complexity_is_not_robust.confront(learner_runs())
    assert finding.verdict == HOLDS, finding.caveats


def test_a9_holds_where_the_update_removes_one_direction(planted):
    finding = low_rank_update.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats


def test_r1_holds_for_radii_with_the_exponents_of_the_readings(rng):
    finding = phase_picture.confront(phase_runs(rng), no_flips)
    assert finding.verdict == HOLDS, finding.caveats
    assert abs(finding.measured) < 0.05


# --- negative controls --------------------------------------------------------------------


def test_a1_fails_with_a_shuffled_dictionary(found):
    shuffled = []
    for run in found:
        Q = np.linalg.qr(np.random.default_rng(1).standard_normal((run.config.d,) * 2))[0]
        shuffled.append(changed(run, arrays={"dictionary": Q}))
    finding = features_are_found.confront(shuffled)
    assert finding.verdict == FAILS
    assert finding.measured < 0.1


def test_a2_fails_for_mixtures_of_another_exponent(rng):
    finding = dense_mixtures.confront(mixture_runs(rng, exponent=0.5))
    assert finding.verdict == FAILS
    assert finding.measured == pytest.approx(0.5, abs=0.1)


def test_a3_fails_for_a_random_direction(planted):
    finding = one_direction_breaks.confront([under_a_random_direction(run) for run in planted])
    assert finding.verdict == FAILS
    assert finding.measured > 0.9


def test_a4_fails_for_isotropic_perturbations(planted):
    runs = [changed(run, arrays={f"perturbation_{phase}": isotropic(
        run.arrays[f"perturbation_{phase}"]) for phase in ("clean", "adversarial")})
        for run in planted]
    assert perturbation_is_dense.confront(runs).verdict == FAILS


def test_a4_fails_for_an_unpurified_network(unpurified):
    assert perturbation_is_dense.confront(unpurified).verdict == FAILS


def test_a5_fails_for_isotropic_perturbations(planted):
    finding = perturbation_transfers.confront(planted, isotropic_of)
    assert finding.verdict == FAILS
    assert abs(finding.measured) < 0.1


def test_a6_fails_for_an_unpurified_network(unpurified):
    finding = purification.confront(unpurified)
    assert finding.verdict == FAILS
    assert finding.measured == pytest.approx(1.0)


def test_a7_fails_for_the_clean_network(planted):
    runs = [bracketed(run, (0.1, 0.3), (0.1, 0.3)) for run in planted]
    assert robust_to_any.confront(runs).verdict == FAILS


def test_a7_fails_where_little_is_certified_however_well_attacks_do(planted):
    runs = [bracketed(run, (0.1, 0.3), (0.4, 0.99)) for run in planted]
    assert robust_to_any.confront(runs).verdict == FAILS


def test_a8_fails_where_one_learner_is_as_robust_as_the_network():
    robust = {"degree 3": (0.9, 0.8, 0.7, 0.6, 0.5)}
    assert low_complexity_is_not_robust.confront(
        learner_runs(attacked=WEAK | robust)).verdict == FAILS


def test_a9_fails_for_a_random_update_of_equal_norm(planted):
    finding = low_rank_update.confront(planted, random_update)
    assert finding.verdict == FAILS
    assert finding.measured < 0.3


@pytest.mark.parametrize("network, other", [("linear", -0.25), ("clean", -0.2),
                                            ("adversarial", -0.5)])
def test_r1_fails_where_one_network_has_another_exponent(rng, network, other):
    def exponent(name, power):
        return other if name == network else phase_picture.reading(name, power)
    finding = phase_picture.confront(phase_runs(rng, exponent), no_flips)
    assert finding.verdict == FAILS
    farthest = max((other - phase_picture.reading(network, power)
                    for power in phase_picture.POWERS), key=abs)
    assert finding.measured == pytest.approx(farthest, abs=0.05)
    assert phase_picture.NAMES[network] in finding.measurements[0].name


# --- power and false alarms ---------------------------------------------------------------


def holding(rng, **truth):
    """Share of 200 simulated data sets in which A2 holds."""
    verdicts = [dense_mixtures.confront(mixture_runs(rng, **truth)).verdict for _ in range(200)]
    return np.mean([verdict == HOLDS for verdict in verdicts])


@pytest.mark.parametrize("noise", [0.05, 0.2, 0.5])
def test_a2_is_rarely_fooled_by_an_exponent_of_one_half(rng, noise):
    assert holding(rng, exponent=0.5, noise=noise) < 0.05


def test_a2_is_not_fooled_at_the_edge_of_its_range(rng):
    # a true slope of 0.7 sits on the edge: an equivalence test at 2.5 % a side
    assert holding(rng, exponent=0.7, noise=0.1) < 0.05


def test_a2_sees_its_exponent_through_the_scatter_of_real_runs(rng):
    assert holding(rng, noise=0.03) > 0.95


# --- outside the regime -------------------------------------------------------------------


def test_every_claim_is_outside_without_runs():
    for theorem in CLAIMS:
        finding = theorem.confront([])
        assert finding.verdict == OUTSIDE and finding.caveats and math.isnan(finding.measured)


def test_a7_is_outside_where_no_bracket_was_computed(planted):
    finding = robust_to_any.confront(planted)
    assert finding.verdict == OUTSIDE
    assert "bracket" in finding.caveats[0]


def test_a7_is_outside_where_the_bracket_is_at_another_radius(planted):
    runs = [bracketed(run, (0.1, 0.3), (0.8, 0.9)) for run in planted]
    for run in runs:
        run.summary["adversarial"]["bracket"][0]["radius"] *= 0.5
    assert robust_to_any.confront(runs).verdict == OUTSIDE


def test_a2_is_outside_where_only_d_varies(rng):
    runs = mixture_runs(rng, sizes=((64, 4), (128, 4), (256, 4), (512, 4)))
    finding = dense_mixtures.confront(runs)
    assert finding.verdict == OUTSIDE
    assert "d and k vary separately" in finding.caveats[0]


def test_a2_is_outside_over_too_few_sizes_or_too_short_a_range(rng):
    few = dense_mixtures.confront(mixture_runs(rng, sizes=((64, 4), (64, 8), (128, 4))))
    near = dense_mixtures.confront(mixture_runs(rng, sizes=((64, 4), (64, 5), (70, 4), (70, 5))))
    assert few.verdict == near.verdict == OUTSIDE
    assert "at least 4 different sizes" in few.caveats[0]
    assert "a factor 4 apart" in near.caveats[0]


def test_a3_is_outside_where_the_direction_is_too_weak_to_tell():
    runs = [planted_run(64, 8, seed, before=0.02) for seed in SEEDS]
    finding = one_direction_breaks.confront(runs)
    assert finding.verdict == OUTSIDE
    assert "d is large enough" in finding.caveats[0]


def test_a2_does_not_take_the_logarithm_of_a_ratio_that_is_not_positive(rng):
    finding = dense_mixtures.confront([changed(run, clean={"mixture_ratio": -0.01})
                                       for run in mixture_runs(rng)])
    assert finding.verdict == FAILS and math.isnan(finding.measured)
    assert finding.to_dict()["measured"] is None


# --- the registry and the quantities ------------------------------------------------------


def test_confronting_all_claims_keeps_their_order(planted):
    findings = confront_all([bracketed(run, (0.1, 0.3), (0.8, 0.9)) for run in planted], CLAIMS)
    assert [finding.id for finding in findings] == [theorem.claim.id for theorem in CLAIMS]
    assert {finding.id for finding in findings if finding.verdict == HOLDS} >= {"A6", "A7", "A9"}


def test_a_feature_is_found_only_where_its_coefficient_stands_out(rng):
    d = 50
    assert features_found(np.eye(d), None, np.ones(d)) == 1.0
    assert features_found(rng.standard_normal((1000, d)), None, np.ones(d)) == 0.0
    half = np.concatenate([np.eye(d)[:25], rng.standard_normal((100, d)) / 10])
    assert features_found(half, None, np.ones(d)) == 0.5


def test_participation_counts_the_features_of_a_perturbation(rng):
    assert participation(np.eye(7)[:3]) == pytest.approx(1.0)
    assert participation(np.ones((2, 30))) == pytest.approx(30.0)
    # a Gaussian direction: d/3 up to corrections of order 1/d
    assert participation(rng.standard_normal((2000, 300))) == pytest.approx(100.0, rel=0.03)
    assert participation(np.array([[0.0, 0.0], [1.0, 0.0]])) == 1.0
    assert math.isnan(participation(np.zeros((3, 4))))
    assert participation(1e-200 * np.ones((1, 4))) == pytest.approx(4.0)


def test_the_top_share_is_that_of_the_largest_squares():
    assert top_share(np.array([[3.0, 4.0, 0.0]]), 1) == pytest.approx(16 / 25)
    assert top_share(np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]]), 2) == pytest.approx(1.0)
    assert math.isnan(top_share(np.zeros((2, 3)), 1))


def test_the_trained_update_is_the_difference():
    assert np.array_equal(trained_update(np.ones((2, 3)), np.zeros((2, 3))), -np.ones((2, 3)))
