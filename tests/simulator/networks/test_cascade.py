"""The cascade proves: no pair that it closes opens in any order of summation, no bit depends on it.
"""

import contextlib

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.balls import L2Ball
from simulator.bias_schedules import LinearThenConstant
from simulator.data.sparse_coding import SparseCoding
from simulator.jit import fixed_threads
from simulator.networks import cascade, neurons
from simulator.networks.cascade import split
from simulator.networks.neurons import Neurons, longest_sums
from simulator.networks.open_gates import OpenGates
from simulator.networks.sparse_passes import DENSE_GATES, Dense, SparsePasses
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.training import train

from planted.screening import dense_outputs


def closed(W, b, X, rows_known=None):
    """The pairs, shape (n, m), that the cascade closes."""
    known = Neurons(W) if rows_known is None else rows_known
    m = len(known.norms)
    starts, lists = known.doubtful(split(X, known.direction()), b, X.shape[0] * m)
    found = np.ones((len(X), m), bool)
    for i in range(m):
        found[lists[starts[i]:starts[i + 1]], i] = False
    return found


def summation_orders(X, W):
    """Pre-activations summed in every order we can think of."""
    yield X @ W.T
    yield (X[:, None, :] * W).sum(2, dtype=X.dtype)
    for order in (range(X.shape[1]), reversed(range(X.shape[1]))):
        total = np.zeros((len(X), len(W)), X.dtype)
        for j in order:
            total += X[:, j:j + 1] * W[:, j]
        yield total


def features_and_mixtures(m, d, rng, dtype):
    """Neurons like trained ones: one or two large entries, a mixture, noise; losers are small."""
    W = 0.02 * rng.standard_normal((m, d)) + rng.choice([-0.03, 0.03], (m, 1))
    W[np.arange(m), rng.integers(0, d, m)] += rng.choice([-1.0, 1.0], m)
    W[::3] = 0.004 * rng.standard_normal((len(W[::3]), d))
    return W.astype(dtype)


def samples_on_the_bound(W, b, rng, dtype):
    """Sparse inputs with noise, each stretched so that one pair lies within a few units of b."""
    n, d = 24, W.shape[1]
    X = (rng.random((n, d)) < 0.1) * rng.choice([-1.0, 1.0], (n, d)) + 0.03 * rng.standard_normal(
        (n, d))
    X[rng.random(n) < 0.3] += 0.05  # a dense shift, as of an attack
    X = X.astype(dtype)
    pairs = rng.integers(0, len(W), n)
    u = np.einsum("nj,nj->n", X.astype(float), W[pairs].astype(float))
    X *= (b / np.where(np.abs(u) > 1e-3, np.abs(u), 1.0) * (
        1 + rng.integers(-3, 4, n) * float(np.finfo(dtype).eps)))[:, None].astype(dtype)
    return np.ascontiguousarray(X)


@given(seed=st.integers(0, 10**6), single=st.booleans(), b=st.sampled_from([0.05, 0.2, 1.0]))
@settings(max_examples=30)
def test_on_the_bound_no_closed_pair_opens_in_any_order_of_summation(seed, single, b):
    rng, dtype = np.random.default_rng(seed), np.float32 if single else np.float64
    d = int(rng.choice([3, 16, 33, 130]))
    W = features_and_mixtures(150, d, rng, dtype)
    X = samples_on_the_bound(W, b, rng, dtype)
    shut = closed(W, b, X)
    for U in summation_orders(X, W):
        assert not (np.abs(U) > b)[shut].any()


def test_most_pairs_are_closed_and_groups_close_theirs():
    """Otherwise the test above would hold for a cascade that does nothing."""
    W = features_and_mixtures(600, 130, np.random.default_rng(0), np.float32)
    X = SparseCoding(130, 5).sample(100, 0, np.float32).X
    known = Neurons(W)
    shut, opened = closed(W, 0.3, X, known), np.abs(X @ W.T) > 0.3
    assert opened.mean() > 0.005 and (~shut).sum() < 2.0 * opened.sum()
    grouped = known._groups.members[known._groups.members >= 0]
    assert len(grouped) >= 190 and shut[:, grouped].mean() > 0.99


@pytest.mark.parametrize("d, count", [(1, 3), (2, 8), (40, 13), (130, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_known_of_neurons_side_by_side_is_theirs(d, count, dtype):
    rng = np.random.default_rng(d)
    W = rng.standard_normal((70, d)).astype(dtype)
    rows, v = rng.permutation(70)[:count], rng.standard_normal(d).astype(dtype)
    v /= np.linalg.norm(v)
    T, at, sides = np.zeros((d, 64), np.float32), np.zeros((64, 2), np.int32), np.zeros(
        (6, 64), np.float32)
    cascade._side_by_side(W, rows, v, T, np.empty((8, d + 16), np.float32), at, sides)
    assert np.array_equal(T[:, :count], W[rows].T.astype(np.float32))
    for p, w in enumerate(W[rows].astype(np.float32)):
        two = np.argsort(-np.abs(w))[:2]
        assert list(at[p]) == [two[0], two[-1]]
        rest = w.astype(float)
        rest[two] = 0.0
        along = float(rest @ v)
        rest -= along * v.astype(float)
        told = [along, np.linalg.norm(rest), np.abs(w[two]).sum(), np.linalg.norm(w)]
        np.testing.assert_allclose(sides[:4, p], told, rtol=2e-3, atol=5e-3 * told[3])
        assert (sides[1:4, p] >= np.array(told[1:], np.float32)).all()  # bounds, not estimates
        assert sides[4, p] == w[two[0]] and sides[5, p] == (w[two[1]] if d > 1 else 0.0)


@pytest.mark.parametrize("threads", [1, 2])
def test_kept_blocks_close_what_fresh_ones_close_until_the_weights_move(threads):
    rng, b, dtype = np.random.default_rng(5), 0.3, np.float32
    W = features_and_mixtures(600, 130, rng, dtype)
    batches = [SparseCoding(130, 5).sample(30, seed, dtype).X for seed in range(6)]
    with fixed_threads(threads):
        known = Neurons(W)
        for X in batches:  # from the third pass on blocks are kept
            assert np.array_equal(closed(W, b, X, known), closed(W, b, X))
        assert sum(kept.T.size for kept in known._blocks.values()) >= len(
            known._groups.alone) * 130
        moved = np.arange(0, 600, 7)
        W[moved] += dtype(0.1)
        known.shrink(moved, np.linalg.norm(W[moved], axis=1), 0.1, 0.0)
        assert not known._blocks
        for X in batches[:4]:
            opened = np.abs(X @ W.T) > b
            assert opened[:, moved].any() and not (opened & closed(W, b, X, known)).any()


def test_bounds_that_are_too_small_are_caught(monkeypatch):
    """The control: with bounds of a fifth of their size, pairs close that are open."""
    measured = neurons._measured
    monkeypatch.setattr(neurons, "_measured", lambda W: (0.2 * measured(W)[0],
                                                         0.2 * measured(W)[1]))
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(20):
        W = (0.05 * rng.standard_normal((80, 40))).astype(np.float32)
        X = W[:20] / np.linalg.norm(W[:20], axis=1, keepdims=True)  # the longest answer there is
        b = 0.99 * float(np.linalg.norm(W[:20], axis=1).min())
        wrong += (np.abs(X @ W.T) > b)[closed(W, b, X)].any()
    assert wrong > 0


@pytest.mark.parametrize("scale", [1e-320, 1e-170, 1e-30, 1.0, 1e30, 1e90, 1e300])
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_the_proof_holds_at_every_scale(scale):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20, 12)) * (rng.random((20, 12)) < 0.3)
    W = scale * rng.standard_normal((40, 12)) * np.logspace(-3, 0, 40)[:, None]
    network = SymmetricReLU(W, float(scale * 0.5), passes=SparsePasses(cascade_from=0.0))
    assert not (np.abs(X @ W.T) > network.bias)[closed(W, network.bias, X)].any()
    assert np.allclose(network.forward(X), dense_outputs(network, X), rtol=1e-12, atol=0.0)


def trained(steps=150, threads=1, read=(), **passes):
    """A network trained clean and adversarially, its weights read after some steps."""
    data, d = SparseCoding(64, 4), 64
    network = SymmetricReLU.initialise(1280, d, 0.01, 0, dtype=np.float32)
    network.passes = SparsePasses(**{"cascade_from": 0.0} | passes)
    losses, kept = [], []

    def look(step, loss):
        losses.append(loss)
        if step in read:  # as a checkpoint does
            kept.append((network.snapshot(), network.norms))
            if len(kept) % 3 == 1:  # as a row of a history does
                network.weights.sum()
            if len(kept) % 3 == 2:  # as a run does that goes on from a checkpoint
                network.weights[:] = kept[-1][0]
                network.norms = kept[-1][1]

    common = {"learning_rate": 0.5, "weight_decay": 0.05 / d, "batch_size": 100,
              "after_step": look, "threads": threads}
    train(network, data, stop=steps, schedule=LinearThenConstant(0.03, 4e-3, 0.12), **common)
    train(network, data, start=steps, stop=steps + 30,
          adversary=Adversary(L2Ball(0.2), FGM()), **common)
    return network.weights, losses


@pytest.fixture(scope="module")
def once():
    """The same training for all that must not change a bit of it."""
    return trained()


@pytest.mark.parametrize("other", [
    {"cascade_from": np.inf}, {"read": (1, 20, 70, 160)}, {"read": range(5, 200, 7)},
    {"threads": 2}, {"screening": False}],
    ids=["by BLAS", "read on the way", "read often", "two threads", "without screening"])
def test_no_bit_of_a_training_depends_on(other, once):
    if "threads" in other and numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one core")
    weights, losses = trained(**other)
    assert losses == once[1]
    assert np.array_equal(weights, once[0])


def stepped(W, b, X, **passes):
    """Form of the gates, how many are open, outputs, input gradient, weights after a step."""
    network = SymmetricReLU(W.copy(), b, passes=SparsePasses(**{"cascade_from": 0.0} | passes))
    forward = network.passes.forward(network.weights, b, X)
    scale = np.linspace(0.5, 1.5, len(X)).astype(X.dtype)
    slope = network.passes.input_gradient(forward, scale)
    network.passes.descend(network.weights, forward,
                           network.passes.weight_gradient(forward, X, scale), 0.1, 0.01)
    return type(forward.gates), forward.pairs_open, forward.f, slope, network.weights


@pytest.mark.parametrize("beyond", [-1, 0, 1, None])
@pytest.mark.parametrize("active", [2, 4, 9, 20])
@pytest.mark.parametrize("on_the_bound", [False, True])
def test_gates_are_lists_or_a_matrix_whoever_found_them(active, beyond, on_the_bound, rng):
    """Up to the limit lists, else a matrix; from 5 to 15 % of open gates both find the pairs."""
    d, b = 96, 0.5
    W = features_and_mixtures(400, d, rng, np.float32)
    X = ((rng.random((64, d)) < active / d) * rng.choice([-1.0, 1.0], (64, d))).astype(np.float32)
    if on_the_bound:  # rounding decides whether these open
        X = np.concatenate([X, samples_on_the_bound(W, b, rng, np.float32)])
    opened = stepped(W, b, X, dense_gates=1.0)[1]
    if beyond is None:
        options = {}
        limit = int(DENSE_GATES * len(X) * len(W))
    else:
        limit = opened + beyond
        options = {"dense_gates": (limit + 0.5) / (len(X) * len(W))}
    form, *numbers = stepped(W, b, X, **options)
    by_product, *others = stepped(W, b, X, cascade_from=np.inf, **options)
    assert form is by_product is (OpenGates if opened <= limit else Dense)
    for one, other in zip(numbers, others):
        assert np.array_equal(one, other)


def test_neurons_that_fell_behind_are_where_step_after_step_leads(monkeypatch, once):
    monkeypatch.setattr(SymmetricReLU, "held", lambda self: contextlib.nullcontext())
    weights, losses = trained()
    assert np.allclose(losses, once[1], rtol=1e-6)
    assert np.abs(weights - once[0]).max() < 1e-5 * np.abs(weights).max()


def test_held_weights_are_read_up_to_date_and_written_by_nobody_else():
    batch = SparseCoding(48, 4).sample(60, 0)
    W = 1e-4 * np.random.default_rng(1).standard_normal((100, 48))
    network = SymmetricReLU(W, 0.5)
    wanted = W.copy()
    with network.held():
        for _ in range(3):
            network.gradient_step(batch.X, batch.y, 0.5, 0.1)
            wanted *= 1.0 - 0.05 * (1.0 + np.linalg.norm(wanted, axis=1, keepdims=True))
        with pytest.raises(ValueError, match="read-only"):
            W[0] = 0.0
        assert np.allclose(network.weights, wanted, rtol=1e-13)
        network.weights[0] = 1.0  # read anew, they may be changed
        assert network.norms[0] == pytest.approx(np.sqrt(48.0))
    assert network.weights is W
    W[0] = 0.0


def test_norms_are_those_of_the_weights_whatever_was_known_before():
    network = SymmetricReLU(np.ones((4, 3)), 0.5)
    network.norms = np.array([7.0, np.sqrt(3.0) * (1 + 1e-9), np.nan, 0.0])
    wanted = np.sqrt(3.0) * np.array([1.0, 1 + 1e-9, 1.0, 1.0])
    assert np.array_equal(network.norms, wanted)
    network.norms = np.array([7.0, np.sqrt(3.0) * (1 + 1e-9), np.nan, 0.0])
    with network.held():
        network.forward(np.ones((2, 3)))
        assert np.array_equal(network.norms, wanted)


def test_threads_are_given_back():
    before = numba.get_num_threads()
    with fixed_threads(1):
        assert numba.get_num_threads() == 1
    assert numba.get_num_threads() == before


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_longest_sums_are_those_of_the_loop(rng, dtype):
    X = rng.standard_normal((17, 23)).astype(dtype) * 10.0 ** rng.integers(-20, 18, (17, 1))
    X = X.astype(dtype)
    totals, squares = [0.0], [0.0]
    for x in X:
        totals.append(sum(abs(float(entry)) for entry in x))
        squares.append(sum(float(entry)**2 for entry in x))
    assert longest_sums(X) == pytest.approx((max(totals), max(squares)), rel=1e-13)
    assert longest_sums(X[:0]) == (0.0, 0.0)
    X[3, 5] = np.inf
    assert longest_sums(X) == (np.inf, np.inf)
    X[9, 2] = np.nan  # no bound, wherever it is
    assert np.isnan(longest_sums(X)).all()


def test_the_places_of_the_largest_are_those_of_the_loop(rng):
    W = rng.standard_normal((9, 7)).astype(np.float32)
    W[2], W[4, 3], W[5] = np.nan, np.nan, 0.0
    rows = np.array([8, 2, 4, 5, 0])
    places = np.empty(len(rows), np.int32)
    cascade.places_of_largest(W, rows, places)
    assert places.tolist() == [int(np.nanargmax(np.abs(W[i]))) if i != 2 else 0 for i in rows]


def test_neurons_that_their_feature_does_not_open_are_grouped_with_those_of_the_same(rng):
    d, each = 256, 2 * cascade.GROUP
    W = 0.002 * rng.standard_normal((d * each, d))
    features = rng.permutation(np.repeat(np.arange(d), each))
    W[np.arange(len(W)), features] = rng.uniform(0.25, 0.3, len(W))
    X = np.where(rng.random((40, d)) < 0.05, 0.2, 0.0)
    known = Neurons(W.astype(np.float32))
    X, b = X.astype(np.float32), 0.12  # .3 * .2 is half of it
    inside = closed(None, b, X, known)
    groups = known._groups
    assert len(groups.alone) == 0
    assert (features[groups.members] == features[groups.members[:, :1]]).all()
    assert inside.mean() > 0.99 and not (inside & (np.abs(X @ W.T) > b)).any()
