"""Sparse passes are the dense ones: over whole runs, after other batches, for bad numbers."""

import math

import numpy as np
import pytest

from simulator.attacks.gradient import FGM
from simulator.balls import L2Ball, LinfBall
from simulator.bias_schedules import LinearThenConstant
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding, random_dictionary
from simulator.experiments.feature_purification.run import simulate
from simulator.networks import symmetric_relu
from simulator.networks.sparse_passes import SparsePasses
from simulator.networks.symmetric_relu import SymmetricReLU

from planted.screening import dense_outputs
from small import small_config


def relative(got, wanted):
    return np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-300)


def dense_margin_gradient(network, X, y):
    return network.margin_gradient(X, y, noise=np.zeros((len(X), network.neurons), X.dtype))


def compare_runs(data, m, steps, dtype, tolerance, ball=L2Ball(0.25), **settings):
    """Train two copies, by lists and dense, clean then adversarially; compare every gradient."""
    dense = SymmetricReLU.initialise(m, data.d, 0.01, np.random.default_rng(0), dtype=dtype)
    sparse = dense.copy()
    sparse.passes = SparsePasses(**{"cascade_from": 0.0} | settings)
    schedule = LinearThenConstant(0.03, 4e-3, 0.12)
    batches, decay, live = FreshBatches(data, 200, 1, dtype), 0.05 / data.d, []
    for step in range(2 * steps):
        dense.bias = sparse.bias = schedule.bias(step, dense)
        batch = batches.batch(step)
        X, y = batch.X, batch.y
        assert relative(sparse.forward(X), dense_outputs(dense, X)) < tolerance
        if step >= steps:
            assert relative(sparse.margin_gradient(X, y),
                            dense_margin_gradient(dense, X, y)) < tolerance
            X = X + ball.project(FGM().perturb(dense, X, y, ball, None).delta)
        live.append(sparse.passes.forward(sparse.weights, sparse.bias, X))
        before = sparse.weights.copy()
        loss = sparse.gradient_step(X, y, 0.5, decay)
        wanted_loss, gradient = dense.loss_gradient(X, y, decay)
        assert abs(loss - wanted_loss) < tolerance * wanted_loss
        assert relative(before - sparse.weights, 0.5 * gradient) < 40 * tolerance
        dense.descend(gradient, 0.5)
        if dtype == np.float32:  # a gate at the kink may open in one of them: step by step
            sparse.weights[:] = dense.weights
    if dtype == np.float64:
        assert relative(sparse.weights, dense.weights) < 1e-10
    return live


@pytest.mark.parametrize("settings", [{}, {"dense_gates": 0.0}, {"cascade_from": math.inf}],
                         ids=["cascade", "dense", "product"])
@pytest.mark.parametrize("noise", [0.1, 0.0])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 3e-5)])
def test_every_gradient_of_a_whole_run_is_the_dense_one(dtype, tolerance, noise, settings):
    """To 1e-12 in float64: only the order of summation differs."""
    done = compare_runs(SparseCoding(48, 4, noise=noise), 500, 40, dtype, tolerance, **settings)
    assert min(one.live_fraction for one in done) < 0.6  # neurons were left out


def test_the_dictionary_need_not_be_the_identity():
    M = random_dictionary(48, np.random.default_rng(3))
    compare_runs(SparseCoding(48, 4, dictionary=M), 300, 30, np.float64, 1e-12)


def test_odd_sizes_and_the_other_norm():
    compare_runs(SparseCoding(51, 4), 333, 40, np.float64, 1e-12, ball=LinfBall(0.03))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["weights", "inputs"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bad_number_reaches_the_loss_and_the_gradient(where, bad):
    batch = SparseCoding(48, 4).sample(50, np.random.default_rng(0))
    W, X = 0.001 * np.random.default_rng(1).standard_normal((100, 48)), batch.X.copy()
    (W if where == "weights" else X)[7, 5] = bad
    network = SymmetricReLU(W, 1.0)
    if where == "weights":
        assert not np.isfinite(network.margin_gradient(X, batch.y)).all()
    assert not network.gradient_step(X, batch.y, 0.1) < 1e3


def test_nothing_is_live_for_zero_weights_and_everything_for_zero_bias():
    batch = SparseCoding(48, 4).sample(50, np.random.default_rng(0))
    passes = SparsePasses()
    assert passes.forward(np.zeros((100, 48)), 0.1, batch.X).live_fraction == 0.0
    assert passes.forward(np.ones((100, 48)), 0.0, batch.X).live_fraction == 1.0
    idle = SymmetricReLU(np.zeros((100, 48)), 0.1)
    assert idle.gradient_step(batch.X, batch.y, 0.5, 0.1) == pytest.approx(math.log(2.0))
    assert not idle.weights.any()


def test_weight_decay_moves_screened_neurons():
    batch = SparseCoding(48, 4).sample(50, np.random.default_rng(0))
    W = 1e-4 * np.random.default_rng(1).standard_normal((100, 48))
    network = SymmetricReLU(W.copy(), 0.5)
    assert network.passes.forward(W, 0.5, batch.X).live_fraction == 0.0
    network.gradient_step(batch.X, batch.y, 0.5, 0.1)
    norms = np.linalg.norm(W, axis=1, keepdims=True)
    assert np.allclose(network.weights, W - 0.05 * (1.0 + norms) * W, rtol=1e-14)


def test_buffers_leave_no_trace_of_earlier_batches():
    data = SparseCoding(48, 4)
    W = 0.02 * np.random.default_rng(1).standard_normal((300, 48))
    fresh, used = SymmetricReLU(W.copy(), 0.12), SymmetricReLU(W.copy(), 0.12)
    used.forward(data.sample(500, np.random.default_rng(9)).X)
    batch = data.sample(100, np.random.default_rng(0))
    for network in (fresh, used):
        network.gradient_step(batch.X, batch.y, 0.1, 0.01)
    assert np.array_equal(fresh.weights, used.weights)


def test_outputs_are_never_a_view_of_a_buffer():
    batch = SparseCoding(48, 4).sample(50, np.random.default_rng(0))
    network = SymmetricReLU.initialise(100, 48, 0.1, np.random.default_rng(1), 0.1)
    f, G = network.forward(batch.X), network.margin_gradient(batch.X, batch.y)
    kept = f.copy(), G.copy()
    network.margin_gradient(2.0 * batch.X, -batch.y)
    network.gradient_step(batch.X, batch.y, 0.1)
    assert np.array_equal(f, kept[0]) and np.array_equal(G, kept[1])


@pytest.mark.parametrize("smoothing", [0.0, 0.05])
def test_margins_and_gradient_are_the_two_calls_bit_for_bit(smoothing):
    batch = SparseCoding(48, 4).sample(50, np.random.default_rng(0))
    network = SymmetricReLU.initialise(100, 48, 0.1, np.random.default_rng(1), 0.1, smoothing)
    margins, gradient = network.margins_and_gradient(batch.X, batch.y)
    assert np.array_equal(margins, network.margins(batch.X, batch.y))
    assert np.array_equal(gradient, network.margin_gradient(batch.X, batch.y))


def test_a_whole_run_without_screening_ends_the_same(monkeypatch, brief_attacks):
    """Weights to 1e-10 and the same history; the attacks of both see the same networks."""
    config = small_config(d=40, k=3, m=400, clean_steps=80, adversarial_steps=60,
                          bias_schedule="linear", bias_scale=1.5, bias_growth=0.35, bias_max=0.12)
    screened = simulate(config)

    def unscreened(screening=True):
        return SparsePasses(screening=False)

    monkeypatch.setattr(symmetric_relu, "SparsePasses", unscreened)
    plain = simulate(config)
    for phase in ("clean", "adversarial"):
        assert relative(screened.arrays[f"weights_{phase}"],
                        plain.arrays[f"weights_{phase}"]) < 1e-10
    for got, wanted in zip(screened.history.rows(), plain.history.rows()):
        assert got.pop("phase") == wanted.pop("phase")
        assert np.allclose(list(got.values()), list(wanted.values()), rtol=1e-9, equal_nan=True)
