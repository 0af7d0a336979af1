"""What flips a sample: an exact split, and networks in which only one thing can happen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.data.sparse_coding import random_dictionary, random_signs
from simulator.features import decompose
from simulator.flips import EVENTS, KINDS, PARTS, flip_mechanism
from simulator.networks.symmetric_relu import SymmetricReLU

from references import flips as naive_mechanism

D = 6
BIAS = 0.1


def split(W, x, delta, y=1.0, b=BIAS, dictionary=None):
    """The mechanism of one sample."""
    W = np.asarray(W, float)
    parts = decompose(W, dictionary, np.ones(W.shape[1]))
    return flip_mechanism(SymmetricReLU(W, b), np.array([x], float), np.array([y]),
                          np.array([delta], float), parts, dictionary)


def table(mechanism):
    """The nonzero amounts of the only sample by name."""
    return {(EVENTS[e], PARTS[p], KINDS[k]): mechanism.amounts[0, e, p, k]
            for e, p, k in np.argwhere(mechanism.amounts[0]).tolist()}


# --- the identity -------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), m=st.integers(1, 12), length=st.floats(0.0, 3.0),
       b=st.floats(0.0, 1.0))
def test_the_amounts_add_up_to_the_change_of_the_margin(seed, m, length, b):
    rng = np.random.default_rng(seed)
    W, M = rng.standard_normal((m, D)), random_dictionary(D, rng)
    X, y = rng.standard_normal((4, D)), random_signs(4, rng)
    delta = length * rng.standard_normal((4, D))
    network = SymmetricReLU(W, b)
    found = flip_mechanism(network, X, y, delta, decompose(W, M, np.ones(D)), M)
    change = network.margins(X + delta, y) - network.margins(X, y)
    # rounding of sums over m neurons, whose terms can cancel
    scale = 1e-13 * (1.0 + np.abs(X @ W.T).sum() + np.abs(delta @ W.T).sum())
    assert np.allclose(found.change, change, rtol=0.0, atol=scale)
    assert np.allclose(found.amounts.sum(axis=(1, 2, 3)), found.change, rtol=0.0, atol=scale)


@given(seed=st.integers(0, 10**6), m=st.integers(1, 8), b=st.floats(0.0, 1.0))
def test_the_split_equals_the_loop_reference(seed, m, b):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((m, D)) * rng.choice([0.1, 1.0], (m, 1))
    X, y = rng.standard_normal((3, D)), random_signs(3, rng)
    delta = rng.standard_normal((3, D))
    parts = decompose(W, None, np.ones(D))
    found = flip_mechanism(SymmetricReLU(W, b), X, y, delta, parts)
    amounts, gates = naive_mechanism.split(W, b, X, y, delta)
    assert np.allclose(found.amounts, amounts, rtol=1e-9, atol=1e-12)
    assert np.array_equal(found.gates, gates)


def test_more_samples_than_fit_a_block_are_the_same_samples(rng):
    W, n = rng.standard_normal((5, D)), 230
    X, y, delta = rng.standard_normal((n, D)), random_signs(n, rng), rng.standard_normal((n, D))
    network, parts = SymmetricReLU(W, BIAS), decompose(W, None, np.ones(D))
    whole = flip_mechanism(network, X, y, delta, parts)
    for row in (0, 99, 100, 229):
        one = slice(row, row + 1)
        alone = flip_mechanism(network, X[one], y[one], delta[one], parts)
        assert np.allclose(whole.amounts[one], alone.amounts, rtol=1e-12, atol=1e-14)


# --- networks in which one thing happens --------------------------------------------------


def test_an_open_neuron_that_loses_its_feature_shifts_by_its_pure_part():
    found = split(np.eye(D), 0.8 * np.eye(D)[0], -0.3 * np.eye(D)[0])
    assert table(found) == {("shifted", "pure", "feature"): pytest.approx(-0.3)}
    assert found.gates[0].tolist() == [[1, 0], [0, 0], [0, 0]]


def test_a_neuron_pushed_along_the_other_features_shifts_by_its_mixture():
    W = np.array([[1.0, 0.2, 0.2, 0.2, 0.2, 0.2]])
    found = split(W, [0.8, 0, 0, 0, 0, 0], [0, -0.1, -0.1, -0.1, -0.1, -0.1])
    assert table(found) == {("shifted", "mixture", "feature"): pytest.approx(-0.1)}


def test_a_feature_written_into_the_input_opens_its_gate_past_the_bias():
    found = split(np.eye(D), 0.8 * np.eye(D)[0], -0.5 * np.eye(D)[3])
    assert table(found) == {("opened", "pure", "feature"): pytest.approx(-(0.5 - BIAS))}
    assert found.gates[0].tolist() == [[1, 0], [1, 0], [0, 0]]


def test_a_feature_wiped_out_closes_its_gate():
    found = split(np.eye(D), 0.3 * np.eye(D)[0], -0.3 * np.eye(D)[0])
    assert table(found) == {("closed", "pure", "feature"): pytest.approx(-(0.3 - BIAS))}
    assert found.gates[0].tolist() == [[0, 0], [0, 0], [1, 0]]


def test_an_opening_gate_shares_its_change_as_its_step_is_shared():
    W = np.array([[1.0, 0.5]])
    # of a step of 0.4 + 0.2 the last 0.5 are past the bias
    found = split(W, [0.0, 0.0], [0.4, 0.4])
    assert table(found) == {("opened", "pure", "feature"): pytest.approx(0.5 * 2 / 3),
                            ("opened", "mixture", "feature"): pytest.approx(0.5 / 3)}


def test_a_neuron_far_smaller_than_the_largest_is_a_loser():
    found = split([[1.0, 0.0], [0.0, 0.2]], [0.0, 0.0], [0.0, -1.0])
    assert table(found) == {("opened", "pure", "loser"): pytest.approx(-(0.2 - BIAS))}
    assert found.gates[0].tolist() == [[0, 0], [0, 1], [0, 0]]


def test_a_neuron_pushed_to_the_other_side_stays_open_but_not_all_the_way():
    found = split([[1.0, 0.0]], [0.3, 0.0], [-0.6, 0.0])
    assert table(found) == {("shifted", "pure", "feature"): pytest.approx(-2 * (0.3 - BIAS))}


def test_the_label_turns_the_sign(rng):
    W, x, delta = rng.standard_normal((4, D)), rng.standard_normal(D), rng.standard_normal(D)
    assert np.allclose(split(W, x, delta, -1.0).amounts, -split(W, x, delta, 1.0).amounts)


def test_no_perturbation_changes_nothing():
    found = split(np.eye(D), np.ones(D), np.zeros(D))
    assert not found.change.any() and not found.amounts.any()
    assert all(np.isnan(value) for value in found.shares().values())


def test_the_split_does_not_depend_on_the_dictionary(rng):
    C, z, delta = (rng.standard_normal(shape) for shape in ((9, D), D, D))
    straight = split(C, z, delta)
    M = random_dictionary(D, rng)
    turned = split(C @ M.T, M @ z, M @ delta, dictionary=M)
    assert np.allclose(turned.amounts, straight.amounts, rtol=1e-9, atol=1e-12)
    assert np.array_equal(turned.gates, straight.gates)


def test_single_precision_weights_are_split_in_double_precision(rng):
    W = rng.standard_normal((4, D)).astype(np.float32)
    X, y, delta = rng.standard_normal((1, D)), np.ones(1), rng.standard_normal((1, D))
    parts = decompose(W, None, np.ones(D))
    found = flip_mechanism(SymmetricReLU(W, BIAS), X, y, delta, parts)
    double = SymmetricReLU(W.astype(float), BIAS)
    assert found.change == pytest.approx(double.margins(X + delta, y) - double.margins(X, y),
                                         rel=1e-12)


# --- shares -------------------------------------------------------------------------------


def test_shares_of_each_way_of_splitting_add_up_to_one(rng):
    W = rng.standard_normal((30, D)) * rng.choice([0.1, 1.0], (30, 1))
    X, y, delta = rng.standard_normal((20, D)), random_signs(20, rng), rng.standard_normal((20, D))
    shares = flip_mechanism(SymmetricReLU(W, 0.5), X, y, delta,
                            decompose(W, None, np.ones(D))).shares()
    for names in (EVENTS, PARTS, KINDS, [f"{e} {p}" for e in EVENTS for p in PARTS]):
        assert sum(shares[name] for name in names) == pytest.approx(1.0, rel=1e-10)
    assert len(shares) == 13


def test_shares_weigh_samples_by_their_change():
    network = SymmetricReLU(np.eye(2), BIAS)
    found = flip_mechanism(network, np.array([[0.8, 0.0], [0.8, 0.0]]), np.ones(2),
                           np.array([[-0.3, 0.0], [0.0, -0.2]]), decompose(np.eye(2), None,
                                                                           np.ones(2)))
    assert found.shares()["shifted"] == pytest.approx(0.75)
    assert found.shares()["opened"] == pytest.approx(0.25)


# --- bad input ----------------------------------------------------------------------------


def test_a_smoothed_network_is_refused():
    parts = decompose(np.eye(2), None, np.ones(2))
    with pytest.raises(ValueError, match="network: expected no smoothing, got 0.3: .* gates"):
        flip_mechanism(SymmetricReLU(np.eye(2), BIAS, 0.3), np.ones((1, 2)), np.ones(1),
                       np.ones((1, 2)), parts)


@pytest.mark.parametrize("X, y, delta, neurons, message", [
    (np.ones((1, 3)), np.ones(1), np.ones((1, 3)), 2, "reads d = 2 coordinates"),
    (np.ones((1, 2)), np.zeros(1), np.ones((1, 2)), 2, "labels -1 and"),
    (np.ones((2, 2)), np.ones(2), np.ones((1, 2)), 2, "one perturbation a sample"),
    (np.ones((1, 2)), np.ones(1), np.ones((1, 2)), 1, "parts: .* got another, of 1 neurons"),
])
def test_shapes_that_do_not_fit_are_refused(X, y, delta, neurons, message):
    with pytest.raises(ValueError, match=message):
        flip_mechanism(SymmetricReLU(np.eye(2), BIAS), X, y, delta,
                       decompose(np.eye(2)[:neurons], None, np.ones(2)))


def test_parts_in_another_dictionary_are_refused(rng):
    W, M = rng.standard_normal((3, D)), random_dictionary(D, rng)
    for parts, other in ((decompose(W, M, np.ones(D)), None),
                         (decompose(W, None, np.ones(D)), M)):
        with pytest.raises(ValueError, match="parts: .* in this dictionary"):
            flip_mechanism(SymmetricReLU(W, BIAS), np.ones((1, D)), np.ones(1),
                           np.ones((1, D)), parts, other)
