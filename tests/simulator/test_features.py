"""Pure parts and mixtures of planted neurons, whose metrics are known in closed form."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import features
from simulator.data.patches import PatchData
from simulator.data.sparse_coding import SparseCoding, random_dictionary, random_signs
from simulator.features import (correlations, cosines, decompose, feature_metrics, gate_rate,
                                mixture_metrics, participation_ratio, purification)
from simulator.networks.linear import LinearClassifier
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.networks.symmetric_relu import SymmetricReLU

from references import symmetric_relu as naive

D = 10
METRICS = ("feature_neurons", "coverage", "mixture_ratio", "mixture_norm_ratio",
           "mixture_alignment", "purity")


@pytest.fixture
def w(rng):
    """A labeler of signs."""
    return random_signs(D, rng)


def planted(features, peaks, delta, w):
    """Coefficients: ``peaks`` on ``features``, and delta times the label's sign elsewhere."""
    C = np.zeros((len(features), len(w)))
    for i, (j, peak) in enumerate(zip(features, peaks)):
        C[i] = np.sign(peak * w[j]) * delta * w
        C[i, j] = peak
    return C


# --- closed forms -------------------------------------------------------------------------


@pytest.mark.parametrize("dictionary", [None, random_dictionary(D, np.random.default_rng(3))],
                         ids=["identity", "rotated"])
def test_planted_mixtures_have_the_metrics_of_their_closed_forms(w, dictionary):
    a, delta = 2.0, 0.05
    features = np.array([0, 3, 3, 7, 9])
    C = planted(features, a * np.array([1, -1, 1, 1, -1]), delta, w)
    W = C if dictionary is None else C @ dictionary.T
    parts = decompose(W, dictionary, w)
    assert np.allclose(parts.coefficients, C, atol=1e-14)
    assert np.array_equal(parts.feature, features)
    assert np.array_equal(parts.signs, np.sign(C[np.arange(5), features] * w[features]))
    metrics = feature_metrics(parts)
    square = (D - 1) * delta**2
    closed = {"feature_neurons": 5.0, "coverage": 4 / D, "mixture_ratio": delta / a,
              "mixture_norm_ratio": np.sqrt(square) / a,
              "mixture_alignment": np.sqrt((D - 1) / D), "purity": a**2 / (a**2 + square)}
    assert tuple(metrics) == METRICS
    # products of a rotation and its inverse: a few rounding errors
    assert metrics == pytest.approx(closed, rel=1e-12)


def test_a_mixture_against_the_labels_has_a_negative_ratio(w):
    metrics = feature_metrics(decompose(planted([1], [1.0], -0.1, w), None, w))
    assert metrics["mixture_ratio"] == pytest.approx(-0.1, rel=1e-13)
    assert metrics["mixture_alignment"] == pytest.approx(-np.sqrt(0.9), rel=1e-13)


def test_pure_neurons_have_no_mixture(w):
    metrics = feature_metrics(decompose(np.diag(np.linspace(1.0, 2.0, D)), None, w))
    assert metrics == {"feature_neurons": 10.0, "coverage": 1.0, "mixture_ratio": 0.0,
                       "mixture_norm_ratio": 0.0, "mixture_alignment": 0.0, "purity": 1.0}


@given(m=st.integers(1, 6), d=st.integers(1, 7), seed=st.integers(0, 10**6), signs=st.booleans())
def test_metrics_equal_the_loop_reference_in_any_dictionary(m, d, seed, signs):
    rng = np.random.default_rng(seed)
    W, M = rng.standard_normal((m, d)), random_dictionary(d, rng)
    w = random_signs(d, rng) if signs else rng.uniform(0.5, 2.0, d) * random_signs(d, rng)
    metrics = feature_metrics(decompose(W, M, w))
    assert metrics == pytest.approx(naive.feature_metrics(naive.coefficients(W, M), w),
                                    rel=1e-10, abs=1e-12)


@given(m=st.integers(1, 6), d=st.integers(2, 7), seed=st.integers(0, 10**6))
def test_pure_part_and_mixture_split_the_neuron(m, d, seed):
    W = np.random.default_rng(seed).standard_normal((m, d))
    parts = decompose(W, None, np.ones(d))
    assert np.array_equal(parts.pure + parts.mixture, W)
    assert not np.any((parts.pure != 0.0) & (parts.mixture != 0.0))
    assert np.array_equal(parts.peaks, parts.pure[np.arange(m), parts.feature])
    assert np.array_equal(np.abs(parts.peaks), np.abs(W).max(axis=1))
    assert (parts.is_pure.sum(axis=1) == 1).all()  # a tie is one feature too


def test_the_parts_of_some_neurons_are_rows_of_all(rng, w):
    parts = decompose(rng.standard_normal((9, D)), random_dictionary(D, rng), w)
    marked = np.arange(9) % 3 > 0
    few = parts.of(marked)
    assert np.array_equal(few.mixture, parts.mixture[marked])
    assert np.array_equal(few.pure, parts.pure[marked])
    assert np.array_equal(few.peaks, parts.peaks[marked])
    assert np.array_equal(few.signs, parts.signs[marked]) and few.labeler is parts.labeler


@pytest.mark.parametrize("dictionary, labeler", [(False, False), (True, True), (True, False)])
def test_a_network_and_its_data_are_all_that_is_needed(rng, dictionary, labeler):
    data = SparseCoding(D, 2, dictionary=random_dictionary(D, rng) if dictionary else None,
                        labeler=random_signs(D, rng) if labeler else None)
    network = SymmetricReLU.initialise(7, D)
    short, long = decompose(network, data), decompose(network.weights, data.dictionary, data.signs)
    assert all(map(np.array_equal, vars(short).values(), vars(long).values()))


def test_metrics_do_not_depend_on_the_dictionary(rng, w):
    C = rng.standard_normal((30, D)) + 4.0 * np.eye(D)[rng.integers(0, D, 30)]
    straight = feature_metrics(decompose(C, None, w))
    for _ in range(3):
        M = random_dictionary(D, rng)
        assert feature_metrics(decompose(C @ M.T, M, w)) == pytest.approx(straight, rel=1e-10)


def test_single_precision_weights_are_decomposed_in_double_precision(rng, w):
    W = rng.standard_normal((4, D)).astype(np.float32)
    parts = decompose(W, None, w)
    assert parts.coefficients.dtype == np.float64
    assert np.array_equal(parts.coefficients, W.astype(float))


# --- which neurons are feature neurons ----------------------------------------------------


def test_losers_are_excluded_from_every_metric(w):
    winners = planted([0, 4, 5], [1.0, -1.2, 2.0], 0.07, w)
    losers = 0.29 * 2.0 * np.eye(D)[[1, 2]] - 0.2 * np.eye(D)[[3, 3]]
    parts = decompose(np.vstack([winners, losers]), None, w)
    assert parts.is_feature_neuron.tolist() == [True] * 3 + [False] * 2
    assert feature_metrics(parts) == feature_metrics(decompose(winners, None, w))


def test_the_threshold_of_a_feature_neuron_is_three_tenths_of_the_largest(w):
    C = np.diag([1.0, 0.3, 0.299, -0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])[:4]
    assert decompose(C, None, w).is_feature_neuron.tolist() == [True, True, False, True]


# --- degenerate neurons -------------------------------------------------------------------


def test_zero_weights_have_no_features(w):
    metrics = feature_metrics(decompose(np.zeros((3, D)), None, w))
    assert metrics["feature_neurons"] == metrics["coverage"] == 0.0
    assert all(np.isnan(metrics[name]) for name in METRICS[2:])


def test_a_zero_neuron_among_others_is_a_loser(w):
    C = planted([0, 4], [1.0, -1.2], 0.07, w)
    assert feature_metrics(decompose(np.vstack([C, np.zeros((1, D))]), None, w)) \
        == feature_metrics(decompose(C, None, w))


def test_in_one_dimension_nothing_is_left_for_a_mixture():
    metrics = feature_metrics(decompose(np.array([[2.0], [-1.0]]), None, np.array([-1.0])))
    assert metrics == {"feature_neurons": 2.0, "coverage": 1.0, "mixture_ratio": 0.0,
                       "mixture_norm_ratio": 0.0, "mixture_alignment": 0.0, "purity": 1.0}


# --- gates and correlations ---------------------------------------------------------------


def test_the_gate_rate_is_the_share_of_open_gates(rng):
    net = SymmetricReLU(rng.standard_normal((7, 4)), 0.9)
    X = rng.standard_normal((20, 4))
    marked = np.array([1, 0, 1, 1, 0, 0, 1], bool)
    rate = naive.gate_rate(net.weights, 0.9, X, np.flatnonzero(marked))
    assert 0.0 < rate < 1.0
    assert gate_rate(net, X, marked) == pytest.approx(rate, abs=1e-15)
    assert np.isnan(gate_rate(net, X, np.zeros(7, bool)))


def test_the_gate_rate_of_a_smoothed_network_is_a_mean_probability(rng):
    net = SymmetricReLU(rng.standard_normal((5, 4)), 0.9, smoothing=0.3)
    X = rng.standard_normal((20, 4))
    assert gate_rate(net, X, np.ones(5, bool)) == pytest.approx(
        naive.gates(net.weights, 0.9, X, 0.3).mean(), abs=1e-14)


@pytest.mark.parametrize("rotated", [False, True])
def test_a_dense_mixture_agrees_with_the_mean_input_and_with_no_single_one(rotated):
    d = 100
    rng = np.random.default_rng(0)
    w = random_signs(d, rng)
    M = random_dictionary(d, rng) if rotated else None
    data = SparseCoding(d, 4, noise=0.0, dictionary=M, labeler=w)
    batch = data.sample(5000, rng)
    C = planted(np.arange(d), np.ones(d), 0.02, w)
    parts = decompose(C if M is None else C @ M.T, M, w)
    found = correlations(parts, batch.X, batch.y, M)
    # v_i is w* without coordinate j(i), and E[y z] = c w* up to an error of relative size
    # sqrt(d E||z||^2 / 5000) / (d c), below 0.1
    assert found["correlation_with_mean"] > 0.98
    # exactly: |<v, z>| / (||v|| ||z||) <= sqrt(||z||_0 / (d - 1)), about sqrt(3 / 99)
    bound = np.sqrt(np.diff(batch.codes.indptr) / (d - 1)).mean()
    assert found["correlation_with_inputs"] <= bound < 0.2


def test_correlations_equal_the_loop_formula(rng, w):
    C = planted([0, 4, 4], [1.0, -1.2, 0.9], 0.1, w) + 0.05 * rng.standard_normal((3, D))
    X, y = rng.standard_normal((15, D)), rng.choice([-1.0, 1.0], 15)
    found = correlations(decompose(C, None, w), X, y, None)
    mean = [naive.dot(y, X[:, j]) / 15 for j in range(D)]
    with_mean, with_inputs = [], []
    for c in C:
        j = naive.largest(c)
        v = np.where(np.arange(D) == j, 0.0, c)
        s = np.sign(c[j] * w[j])
        with_mean.append(s * naive.dot(v, mean) / (naive.norm(v) * naive.norm(mean)))
        with_inputs += [abs(naive.dot(v, x)) / (naive.norm(v) * naive.norm(x)) for x in X]
    assert found["correlation_with_mean"] == pytest.approx(np.mean(with_mean), rel=1e-12)
    assert found["correlation_with_inputs"] == pytest.approx(np.mean(with_inputs), rel=1e-12)


def test_a_pure_network_correlates_with_nothing(rng, w):
    found = correlations(decompose(np.eye(D), None, w), rng.standard_normal((5, D)), np.ones(5),
                         None)
    assert found == {"correlation_with_mean": 0.0, "correlation_with_inputs": 0.0}


# --- clean against adversarial ------------------------------------------------------------


def test_purification_recovers_a_planted_fit(rng):
    A = rng.standard_normal((6, D))
    V = rng.standard_normal((6, D))
    V -= (np.einsum("ij,ij->i", V, A) / np.einsum("ij,ij->i", A, A))[:, None] * A  # v orthogonal
    beta = np.array([0.5, 1.5, 2.0, -0.25, 0.75, 100.0])
    W = beta[:, None] * A + V
    marked = np.array([True] * 5 + [False])
    found = purification(W, A, marked)
    ratios = np.abs(beta) * np.linalg.norm(A, axis=1) / np.linalg.norm(V, axis=1)
    assert found["beta"] == pytest.approx(0.9, rel=1e-12)
    assert found["beta_positive"] == 0.8
    assert found["kept_over_removed"] == pytest.approx(np.median(ratios[:5]), rel=1e-12)


def test_purification_does_not_depend_on_the_dictionary(rng):
    W, A = rng.standard_normal((2, 6, D))
    M, marked = random_dictionary(D, rng), np.ones(6, bool)
    straight = purification(W, A, marked)
    assert purification(W @ M.T, A @ M.T, marked) == pytest.approx(straight, rel=1e-10)


def test_a_neuron_that_training_erased_keeps_nothing(rng):
    W = rng.standard_normal((3, D))
    assert purification(W, np.zeros((3, D)), np.ones(3, bool)) == {
        "beta": 0.0, "beta_positive": 0.0, "kept_over_removed": 0.0}


def test_marks_mean_the_same_as_numbers_and_as_booleans(rng):
    W, A = rng.standard_normal((2, 4, D))
    net = SymmetricReLU(W, 0.5)
    booleans, numbers = np.array([False, True, True, True]), np.array([0, 1, 1, 1])
    assert gate_rate(net, A, numbers) == gate_rate(net, A, booleans)
    assert purification(W, A, numbers) == purification(W, A, booleans)


def test_cosines_are_those_of_the_angles(rng):
    t = np.linspace(0.0, np.pi, 7)
    W = 3.0 * np.column_stack([np.cos(t), np.sin(t)])
    assert np.allclose(cosines(W, np.tile([0.1, 0.0], (7, 1))), np.cos(t), atol=1e-15)
    assert np.array_equal(cosines(np.zeros((2, 2)), W[:2]), [0.0, 0.0])
    A, B = rng.standard_normal((2, 6, D))
    M = random_dictionary(D, rng)
    assert np.allclose(cosines(A @ M.T, B @ M.T), cosines(A, B), atol=1e-14)


# --- in blocks ----------------------------------------------------------------------------


def everything_of(W, A, M, w, X, y):
    """All that a row of the history says of the neurons."""
    parts = decompose(W, M, w)
    marked = parts.is_feature_neuron
    return {**feature_metrics(parts), **mixture_metrics(parts), **correlations(parts, X, y, M),
            **purification(W, A, marked),
            "gate_rate": gate_rate(SymmetricReLU(W, 0.5), X, marked),
            "cosine": cosines(W, A, marked).mean()}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rotated", [False, True])
def test_neurons_are_measured_alike_in_blocks_and_together(rng, w, monkeypatch, dtype, rotated):
    W, A = (rng.standard_normal((43, D)).astype(dtype) for _ in range(2))
    W[::3] *= 0.05  # losers, which are in no average
    X, y = rng.standard_normal((15, D)).astype(dtype), rng.choice([-1.0, 1.0], 15)
    M = random_dictionary(D, rng) if rotated else None
    together = everything_of(W, A, M, w, X, y)
    marked = decompose(W, M, w).is_feature_neuron
    assert together["cosine"] == cosines(W, A)[marked].mean()
    for rows in (1, 7, 29):
        monkeypatch.setattr(features, "BLOCK", rows * D)
        assert everything_of(W, A, M, w, X, y) == pytest.approx(together, rel=1e-12)


def test_a_row_of_the_history_takes_less_memory_than_the_weights(rng, monkeypatch):
    d = 256
    W, A = (rng.standard_normal((4096, d)).astype(np.float32) for _ in range(2))
    X, y = rng.standard_normal((5, d)).astype(np.float32), np.ones(5)
    monkeypatch.setattr(features, "BLOCK", 64 * d)
    tracemalloc.start()
    everything_of(W, A, None, np.ones(d), X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * W.nbytes


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("call, error, message", [
    (lambda: decompose(np.ones(3), None, np.ones(3)), ValueError, "weights: expected shape"),
    (lambda: decompose(np.ones((0, 3)), None, np.ones(3)), ValueError, "at least one neuron"),
    (lambda: decompose(np.ones((2, 3)), None, np.ones(2)), ValueError,
     r"labeler: expected shape \(3,\), got \(2,\): one entry a feature"),
    (lambda: decompose(np.ones((2, 3)), np.eye(2), np.ones(3)), ValueError,
     r"dictionary: expected shape \(3, 3\)"),
    (lambda: decompose(np.ones((2, 3)), None), TypeError,
     "data: expected a data model .* or a dictionary together with a labeler, got NoneType"),
    (lambda: decompose(np.ones((2, 3)), PatchData()), TypeError, "data: .*, got PatchData"),
    (lambda: decompose(SmoothedReLUCNN.initialise(), SparseCoding(100, 3)), ValueError,
     r"weights: expected shape \(any, any\), got \(2, 16, 100\): one row a neuron"),
    (lambda: decompose(np.ones((2, 3)), SparseCoding(4, 2)), ValueError, "labeler: expected sh"),
    (lambda: gate_rate(LinearClassifier(np.ones(3)), np.ones((2, 3)), [True]), TypeError,
     "network: expected a SymmetricReLU, got LinearClassifier: its gates are open or closed"),
    (lambda: cosines(np.ones((2, 3)), np.ones((3, 2))), ValueError, "reference: expected shape"),
    (lambda: purification(np.eye(2), np.eye(2), np.zeros(2, bool)), ValueError,
     "neurons marked: expected at least 1"),
])
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_participation_ratio_counts_the_coordinates_a_vector_is_spread_over(rng):
    np.testing.assert_allclose(participation_ratio(np.eye(7)[:3]), 1.0)
    np.testing.assert_allclose(participation_ratio(np.ones((2, 30))), 30.0)
    # a Gaussian direction: n/3 up to corrections of order 1/n
    gaussian = participation_ratio(rng.standard_normal((2000, 300)))
    assert gaussian.mean() == pytest.approx(100.0, rel=0.03)
    np.testing.assert_allclose(participation_ratio(1e-200 * np.ones((1, 4))), 4.0)
    assert np.isnan(participation_ratio(np.zeros((1, 4)))).all()


# --- mixtures beside all own features --------------------------------------------------------


def test_mixture_metrics_of_a_planted_mixture_are_its_closed_forms(w):
    parts = decompose(planted([0, 3, 7], [2.0, -2.0, 2.0], 0.05, w), None, w)
    found = mixture_metrics(parts)
    assert found == pytest.approx({
        "several": 0.0, "many": 0.0, "norm": 0.05 * np.sqrt(D - 1) / 2.0, "rest": 0.0,
        "alignment": 1.0, "largest": 0.025, "quantile": 0.025}, abs=1e-7)


def test_a_second_feature_is_no_mixture_and_a_neuron_of_many_is_dense(w):
    C = planted([0, 3], [2.0, 2.0], 0.05, w)
    C[0, 5] = -1.2 * w[5]
    found = mixture_metrics(decompose(C, None, w))
    assert (found["several"], found["many"]) == (0.5, 0.0)
    assert found["alignment"] == pytest.approx(1.0) and found["largest"] == pytest.approx(0.025)
    C[1, 4:9] = 1.5 * w[4:9]
    dense = mixture_metrics(decompose(C, None, w))
    assert (dense["several"], dense["many"]) == (1.0, 0.5)
    assert dense["largest"] == pytest.approx(0.75)


def test_what_is_orthogonal_to_the_labels_is_the_rest(w):
    C = planted([0], [2.0], 0.05, w)
    turned = np.zeros(D)
    turned[1:3] = 0.3 * w[1:3] * np.array([1.0, -1.0])
    found = mixture_metrics(decompose(C + turned, None, w))
    assert found["norm"] == pytest.approx(0.05 * np.sqrt(D - 1) / 2.0)
    assert found["rest"] == pytest.approx(0.3 * np.sqrt(2.0) / 2.0)


def test_mixture_metrics_do_not_depend_on_the_block_and_equal_a_loop(rng, monkeypatch):
    C, w = rng.standard_normal((40, 50)), random_signs(50, rng)
    C[np.arange(40), rng.integers(0, 50, 40)] += 6.0
    parts = decompose(C, None, w)
    whole = mixture_metrics(parts)
    monkeypatch.setattr("simulator.features.BLOCK", 7)
    assert mixture_metrics(parts) == pytest.approx(whole, rel=1e-12)
    ratios, norms = [], []
    for i in np.flatnonzero(parts.is_feature_neuron):
        peak = np.abs(C[i]).max()
        own = [j for j in np.argsort(-np.abs(C[i]))[:3] if abs(C[i, j]) >= 0.5 * peak]
        others = [j for j in range(50) if j not in own]
        ratios += [abs(C[i, j]) / peak for j in others]
        along = parts.signs[i] * sum(C[i, j] * w[j] for j in others) / np.sqrt(len(others))
        norms.append(along / np.sqrt(sum(C[i, j]**2 for j in own)))
    assert whole["norm"] == pytest.approx(np.mean(norms))
    assert whole["largest"] == pytest.approx(max(ratios))
    assert whole["quantile"] == pytest.approx(sorted(ratios)[::-1][len(ratios) // 1000])


def test_without_neurons_there_are_no_mixtures():
    assert all(np.isnan(value) for value in mixture_metrics(
        decompose(np.zeros((3, D)), None, np.ones(D))).values())
