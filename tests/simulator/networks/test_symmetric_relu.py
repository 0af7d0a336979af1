"""The symmetric ReLU network: loop references, differences, symmetries, smoothing, NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.balls import L2Ball
from simulator.bias_schedules import LinearThenConstant
from simulator.data.sparse_coding import SparseCoding, random_dictionary
from simulator.networks import symmetric_relu
from simulator.networks.symmetric_relu import SymmetricReLU, soft_threshold
from simulator.protocols import Batch
from simulator.training import train

from references import symmetric_relu as naive
from references.differences import H, difference, relative_error

MODES = ("plain", "smooth", "noise")


class Case:
    """A random network with samples, labels and (in mode "noise") given noise."""

    def __init__(self, mode, n=4, m=5, d=3, scale=1.0, seed=0):
        rng = np.random.default_rng(seed)
        self.W = scale * rng.standard_normal((m, d))
        self.X = rng.standard_normal((n, d))
        self.y = rng.choice([-1.0, 1.0], size=n)
        self.b = 0.4 * scale * np.sqrt(d)
        self.s = 0.3 * scale if mode == "smooth" else 0.0
        self.noise = 0.5 * scale * rng.standard_normal((n, m)) if mode == "noise" else None
        self.net = SymmetricReLU(self.W, self.b, self.s)

    def kink_distance(self):
        """Smallest distance of any pre-activation from any kink."""
        U = self.X @ self.W.T
        rho = 0.0 if self.noise is None else self.noise
        return min(np.abs(U - self.b + rho).min(), np.abs(-U - self.b + rho).min())

    def margins(self, X):
        return self.y * self.net.forward(X, self.noise)


def smooth_case(mode):
    """A case whose plain or noisy kinks are out of reach of the difference steps."""
    cases = (Case(mode, seed=seed) for seed in range(100))
    # one step of H in an entry of W or X moves u by at most H max(|x|, |w|)
    return next(case for case in cases if mode == "smooth" or case.kink_distance()
                > 10.0 * H * max(1.0, np.abs(case.X).max(), np.abs(case.W).max()))


# --- gradients against central differences ------------------------------------------------
# Expected error 1e-10 (see H), asserted 1e-7: three digits of room, while a wrong sign, a
# missing factor or a dropped term is of order 1. The contract asks the same of the plain and of
# the smoothed network; it knows nothing of given noise nor of gates.


@pytest.mark.parametrize("weight_decay", [0.0, 0.7])
def test_with_given_noise_the_weight_gradient_is_the_derivative_of_the_loss(weight_decay):
    case = smooth_case("noise")

    def loss(W):
        net = SymmetricReLU(W, case.b)
        return net.loss_gradient(case.X, case.y, weight_decay, noise=case.noise)[0]

    gradient = case.net.loss_gradient(case.X, case.y, weight_decay, noise=case.noise)[1]
    assert relative_error(gradient, difference(loss, case.W)) < 1e-7


def test_with_given_noise_the_margin_gradient_is_the_derivative_of_the_margin():
    case = smooth_case("noise")
    gradient = case.net.margin_gradient(case.X, case.y, case.noise)
    # the margin of sample n depends on input n alone: take the block diagonal
    jacobian, n = difference(case.margins, case.X), len(case.X)
    assert relative_error(gradient, jacobian[np.arange(n), np.arange(n)]) < 1e-7
    assert np.abs(jacobian[~np.eye(n, dtype=bool)]).max() == 0.0


@pytest.mark.parametrize("mode", MODES)
def test_gates_are_the_derivative_of_the_output_by_the_pre_activations(mode):
    case = smooth_case(mode)
    gates = case.net.gates(case.X, case.noise)

    def outputs(shift):  # with W = [W, shift] and x = (x, 1) only u_i moves
        wide = SymmetricReLU(np.column_stack([case.W, shift]), case.b, case.s)
        return wide.forward(np.column_stack([case.X, np.ones(len(case.X))]), case.noise)

    wanted = difference(outputs, np.zeros(len(case.W)))
    assert relative_error(gates, wanted) < 1e-7


# --- against the loops --------------------------------------------------------------------

LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
}


@given(n=st.integers(1, 6), m=st.integers(1, 5), d=st.integers(1, 6),
       seed=st.integers(0, 10**6), mode=st.sampled_from(MODES),
       scale=st.sampled_from([1e-150, 1e-6, 1.0, 1e6, 1e90]),
       layout=st.sampled_from(sorted(LAYOUTS)))
def test_every_pass_equals_the_loop_reference(n, m, d, seed, mode, scale, layout):
    case = Case(mode, n, m, d, scale, seed)
    net = SymmetricReLU(LAYOUTS[layout](case.W), case.b, case.s)
    X, y = LAYOUTS[layout](case.X), case.y
    noise = None if case.noise is None else LAYOUTS[layout](case.noise)
    loop = (case.W, case.b, case.X)
    options = dict(s=case.s, noise=case.noise)
    # at most 36 products and 5 neurons are added up in another order: a few eps of the largest
    # terms, of size ``reach``
    reach = scale * m * (1.0 + np.abs(case.X).sum(axis=1).max()) * 10.0
    close = dict(rtol=1e-12, atol=1e-14 * reach)
    assert np.allclose(net.forward(X, noise), naive.forward(*loop, **options), **close)
    assert np.allclose(net.gates(X, noise), naive.gates(*loop, **options), rtol=0, atol=1e-12)
    assert np.allclose(net.margin_gradient(X, y, noise),
                       naive.margin_gradient(*loop, y, **options), **close)
    loss, gradient = net.loss_gradient(X, y, 0.3, noise=noise)
    assert loss == pytest.approx(naive.loss(*loop, y, 0.3, **options), rel=1e-12)
    # rounding of a margin of size reach moves a sigmoid by up to reach * eps; the data part of
    # the gradient is at most 2 |x|, the decay part scales with W^2
    wanted = naive.weight_gradient(*loop, y, 0.3, **options)
    assert np.allclose(gradient, wanted, rtol=1e-12, atol=1e-14 * (10.0 + min(reach, 100.0)))


@given(n=st.integers(0, 4), m=st.integers(1, 4), d=st.integers(1, 4), mode=st.sampled_from(MODES))
def test_shapes_and_types_of_the_results(n, m, d, mode):
    for dtype in (np.float32, np.float64):
        case = Case(mode, n, m, d)
        net = SymmetricReLU(case.W.astype(dtype), case.b, case.s)
        f, U = net.forward(case.X, case.noise), net.pre_activations(case.X)
        G = net.margin_gradient(case.X, case.y, case.noise)
        assert f.shape == (n,) and f.dtype == dtype
        assert U.shape == net.gates(case.X).shape == (n, m) and U.dtype == dtype
        assert G.shape == (n, d) and G.dtype == dtype
        assert net.margins(case.X, case.y).dtype == dtype
        assert net.neurons == m


def test_passes_change_neither_inputs_nor_weights():
    for mode in MODES:
        case = Case(mode)
        kept = [array.copy() for array in (case.X, case.y, case.W)]
        noise = None if case.noise is None else case.noise.copy()
        case.net.loss_gradient(case.X, case.y, 0.1, noise=case.noise)
        case.net.margin_gradient(case.X, case.y, case.noise)
        assert all(map(np.array_equal, (case.X, case.y, case.net.weights), kept))
        assert mode != "noise" or np.array_equal(case.noise, noise)


def test_without_weight_decay_the_gradient_of_a_closed_neuron_is_zero():
    net = SymmetricReLU(np.array([[1.0, 0.0], [0.0, 0.1]]), bias=0.5)
    X = np.array([[2.0, 1.0], [-1.0, 2.0]])
    gradient = net.loss_gradient(X, np.array([1.0, 1.0]))[1]
    assert np.any(gradient[0] != 0.0)
    assert np.array_equal(gradient[1], np.zeros(2))


# --- kinks --------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [0.5, -0.5, 0.0])
def test_at_the_kink_the_gate_is_zero(x):
    net = SymmetricReLU(np.array([[1.0]]), bias=0.5)
    X = np.array([[x]])
    assert net.gates(X)[0, 0] == 0.0
    assert net.forward(X)[0] == 0.0
    # one ulp further the gate is open
    if x:
        assert net.gates(np.nextafter(X, 2.0 * X))[0, 0] == 1.0


def test_at_the_kink_of_given_noise_the_gate_is_zero():
    net = SymmetricReLU(np.array([[1.0]]), bias=0.5)
    X = np.array([[0.25]])
    # up: u - b + rho = 0; down: -u - b + rho = 0, where only the upper half is open
    assert net.gates(X, noise=np.array([[0.25]]))[0, 0] == 0.0
    assert net.gates(X, noise=np.array([[0.75]]))[0, 0] == 1.0
    assert net.gates(X, noise=np.array([[0.76]]))[0, 0] == 2.0


def test_without_bias_the_plain_network_is_linear():
    case = Case("plain")
    net = SymmetricReLU(case.W, 0.0)
    # S_0(u) = u: eight-term sums, a few rounding errors
    assert np.allclose(net.forward(case.X), case.X @ case.W.sum(axis=0), atol=1e-14)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=8), st.floats(0.0, 1e300))
def test_the_soft_threshold_is_the_network_of_one_neuron(u, b):
    U = np.array(u)[:, None]
    net = SymmetricReLU(np.ones((1, 1)), b, screening=False)
    # |u| - b and u - b (u + b) are the same subtraction but for the sign, which is exact
    assert np.array_equal(net.forward(U), soft_threshold(U, b)[:, 0])
    dense = np.empty(len(U))
    symmetric_relu._outputs(U, b, dense)
    assert np.array_equal(dense, soft_threshold(U, b)[:, 0])


# --- symmetries ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["plain", "smooth"])
def test_the_network_is_odd(mode):
    case = Case(mode, n=20, m=30, d=8)
    # every rounding is symmetric under a change of sign, so the bits agree
    assert np.array_equal(case.net.forward(-case.X), -case.net.forward(case.X))
    assert np.array_equal(case.net.margins(-case.X, -case.y), case.net.margins(case.X, case.y))
    assert np.array_equal(case.net.gates(-case.X), case.net.gates(case.X))


@pytest.mark.parametrize("mode", MODES)
def test_rotating_inputs_and_weights_changes_no_output_and_rotates_gradients(mode):
    case = Case(mode, n=20, m=30, d=8)
    M = random_dictionary(8, np.random.default_rng(1))
    turned = SymmetricReLU(case.W @ M.T, case.b, case.s)
    X = case.X @ M.T
    # sums of 8 and 30 terms of size 10: rounding stays below 1e-12
    tight = dict(rtol=0.0, atol=1e-10)
    assert np.allclose(turned.forward(X, case.noise), case.net.forward(case.X, case.noise),
                       **tight)
    assert np.allclose(turned.margin_gradient(X, case.y, case.noise),
                       case.net.margin_gradient(case.X, case.y, case.noise) @ M.T, **tight)
    loss, gradient = turned.loss_gradient(X, case.y, 0.2, noise=case.noise)
    straight, wanted = case.net.loss_gradient(case.X, case.y, 0.2, noise=case.noise)
    assert loss == pytest.approx(straight, abs=1e-10)
    assert np.allclose(gradient, wanted @ M.T, **tight)


class _Listed:
    """Batches given one by one."""

    def __init__(self, batches):
        self.batches = batches

    def batch(self, step):
        return self.batches[step]


def test_a_run_in_any_dictionary_is_the_rotated_run_of_the_identity():
    d, m, steps = 10, 40, 80
    rng = np.random.default_rng(2)
    data = SparseCoding(d, 3)
    M = random_dictionary(d, rng)
    drawn = [data.sample(30, rng) for _ in range(steps)]
    # the whole input is rotated, its noise included
    rotated = [Batch(batch.X @ M.T, batch.y) for batch in drawn]
    straight = SymmetricReLU.initialise(m, d, 0.1, rng)
    turned = SymmetricReLU(straight.weights @ M.T, 0.0)
    start = straight.weights.copy()
    for net, batches in ((straight, drawn), (turned, rotated)):
        schedule = LinearThenConstant(0.1, 0.002, 0.15)
        train(net, _Listed(batches), learning_rate=0.5, steps=steps // 2, weight_decay=0.01,
              schedule=schedule)
        train(net, _Listed(batches), learning_rate=0.5, start=steps // 2, stop=steps,
              weight_decay=0.01, adversary=Adversary(L2Ball(0.2), FGM()))
    assert np.abs(straight.weights - start).max() > 0.3  # three times the initial scale
    # rounding of 1e-16 a step; no pre-activation of the run comes that close to a kink
    assert np.abs(turned.weights - straight.weights @ M.T).max() < 1e-10


# --- smoothing ----------------------------------------------------------------------------


def test_the_closed_form_is_the_average_over_the_noise(rng):
    case = Case("smooth", n=3, m=4, d=3)
    draws = 20_000
    for x, y, mean, gates, gradient in zip(
            case.X, case.y, case.net.forward(case.X), case.net.gates(case.X),
            case.net.margin_gradient(case.X, case.y)):
        X = np.repeat(x[None], draws, axis=0)
        noise = case.s * rng.standard_normal((draws, 4))
        f = case.net.forward(X, noise)
        # 5 standard errors of the mean of the draws
        assert abs(f.mean() - mean) < 5.0 * f.std() / np.sqrt(draws)
        opened = case.net.gates(X, noise)
        error = np.maximum(opened.std(axis=0), 0.01) / np.sqrt(draws)
        assert np.all(np.abs(opened.mean(axis=0) - gates) < 5.0 * error)
        slopes = case.net.margin_gradient(X, np.full(draws, y), noise)
        assert np.all(np.abs(slopes.mean(axis=0) - gradient)
                      < 5.0 * slopes.std(axis=0) / np.sqrt(draws))


@pytest.mark.parametrize("s", [1e-1, 1e-2, 1e-4, 1e-8])
def test_small_smoothing_approaches_the_plain_network(s):
    case = Case("plain", n=20, m=30, d=8)
    smooth = SymmetricReLU(case.W, case.b, s)
    # 0 <= E relu(t + rho) - relu(t) <= s phi(0), twice a neuron with opposite signs
    bound = 30 * s / np.sqrt(2.0 * np.pi)
    gap = np.abs(smooth.forward(case.X) - case.net.forward(case.X)).max()
    assert gap <= bound + 1e-13
    if s <= 1e-4:  # far from every kink (distance > 8 s) the gate is the plain one
        assert case.kink_distance() > 8.0 * s
        assert np.allclose(smooth.gates(case.X), case.net.gates(case.X), atol=1e-14)


def test_zero_smoothing_and_zero_noise_are_the_plain_network():
    case = Case("plain", n=10, m=12, d=4)
    silent = np.zeros((10, 12))
    assert np.array_equal(case.net.gates(case.X, silent), case.net.gates(case.X))
    # with zero noise the same terms are added, once shifted by -b and once by +b
    assert np.allclose(case.net.forward(case.X, silent), case.net.forward(case.X), atol=1e-13)
    assert np.array_equal(SymmetricReLU(case.W, case.b, 0.0, True).forward(case.X),
                          case.net.forward(case.X))


def test_sampled_smoothing_draws_its_noise_from_the_given_generator():
    case = Case("smooth", n=6, m=5, d=3)
    net = SymmetricReLU(case.W, case.b, case.s, sampled_smoothing=True)
    loss, gradient = net.loss_gradient(case.X, case.y, 0.1, np.random.default_rng(3))
    noise = case.s * np.random.default_rng(3).standard_normal((6, 5))
    assert loss == pytest.approx(naive.loss(case.W, case.b, case.X, case.y, 0.1, noise=noise),
                                 rel=1e-13)
    given = net.loss_gradient(case.X, case.y, 0.1, noise=noise)
    assert given[0] == loss and np.array_equal(given[1], gradient)
    assert net.loss_gradient(case.X, case.y, 0.1, np.random.default_rng(4))[0] != loss


def test_attacks_on_sampled_smoothing_see_the_expectation():
    case = Case("smooth", n=6, m=5, d=3)
    sampled = SymmetricReLU(case.W, case.b, case.s, sampled_smoothing=True)
    assert np.array_equal(sampled.margins(case.X, case.y), case.net.margins(case.X, case.y))
    assert np.array_equal(sampled.margin_gradient(case.X, case.y),
                          case.net.margin_gradient(case.X, case.y))


# --- precision and divergence -------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_single_precision_gradients_are_the_rounded_double_ones(mode):
    case = Case(mode, n=50, m=40, d=20, scale=0.2)
    # the draws are single-precision numbers, so both networks see the same data
    W, X = case.W.astype(np.float32), case.X.astype(np.float32)
    noise = None if case.noise is None else case.noise.astype(np.float32)
    single = SymmetricReLU(W, case.b, case.s)
    double = SymmetricReLU(W.astype(float), case.b, case.s)
    assert case.kink_distance() > 1e-5  # no gate may flip by rounding
    # eps = 6e-8, errors of about 20 to 50 added terms average out: below 20 eps
    pairs = [(single.loss_gradient(X, case.y, 0.1, noise=noise)[1],
              double.loss_gradient(X, case.y, 0.1, noise=noise)[1]),
             (single.margin_gradient(X, case.y, noise), double.margin_gradient(X, case.y, noise)),
             (single.forward(X, noise), double.forward(X, noise))]
    for low, high in pairs:
        assert low.dtype == np.float32 and high.dtype == np.float64
        assert relative_error(low.astype(float), high) < 1.2e-6


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_nan_or_infinite_weight_reaches_the_loss(mode, bad, weight_decay, dtype):
    case = Case(mode)
    W = case.W.astype(dtype)
    W[2, 1] = bad
    net = SymmetricReLU(W, case.b, case.s)
    loss = net.loss_gradient(case.X, case.y, weight_decay, noise=case.noise)[0]
    assert not np.isfinite(loss)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("mode", MODES)
def test_a_nan_input_reaches_the_loss_and_only_its_own_margin(mode):
    case = Case(mode)
    case.X[1, 0] = np.nan
    assert np.isnan(case.net.loss_gradient(case.X, case.y, noise=case.noise)[0])
    assert np.isnan(case.margins(case.X)).tolist() == [False, True, False, False]


def test_a_huge_margin_overflows_neither_the_loss_nor_the_gradient():
    net = SymmetricReLU(np.array([[1e5]]), 0.0)
    loss, gradient = net.loss_gradient(np.array([[1.0], [1.0]]), np.array([1.0, -1.0]))
    # losses 0 and 1e5, derivatives 0 and 1, averaged over two samples
    assert loss == pytest.approx(0.5e5, rel=1e-15)
    assert gradient[0, 0] == pytest.approx(0.5, rel=1e-15)


# --- construction -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_drawn_in_blocks_are_those_drawn_together(monkeypatch, dtype):
    together = 0.01 * np.random.default_rng(5).standard_normal((50, 7))
    monkeypatch.setattr(symmetric_relu, "DRAWN", 4 * 7)
    drawn = SymmetricReLU.initialise(50, 7, 0.01, np.random.default_rng(5), dtype=dtype)
    assert np.array_equal(drawn.weights, together.astype(dtype))


def test_initial_weights_are_gaussian_and_single_precision_rounds_them():
    draw = [SymmetricReLU.initialise(200, 50, 0.01, np.random.default_rng(0), 0.1, 0.2, True,
                                     dtype) for dtype in (np.float64, np.float32)]
    W = draw[0].weights
    # 10^4 entries: mean within 5 sigma / 100, standard deviation within 5 / sqrt(2 10^4)
    assert abs(W.mean()) < 5.0 * 0.01 / 100.0
    assert abs(W.std() / 0.01 - 1.0) < 5.0 / np.sqrt(2e4)
    assert draw[1].weights.dtype == np.float32
    assert np.array_equal(draw[1].weights, W.astype(np.float32))
    assert (draw[0].bias, draw[0].smoothing, draw[0].sampled_smoothing) == (0.1, 0.2, True)


def test_descend_is_one_step_in_place_and_a_copy_is_left_alone(rng):
    for dtype in (np.float32, np.float64):
        W = rng.standard_normal((3, 2)).astype(dtype)
        G = rng.standard_normal((3, 2))
        net = SymmetricReLU(W, 0.1, 0.2, True)
        twin, before = net.copy(), W.copy()
        net.descend(G, 0.25)
        assert net.weights is W
        assert np.array_equal(W, before - dtype(0.25) * G.astype(dtype))
        assert np.array_equal(twin.weights, before)
        assert (twin.bias, twin.smoothing, twin.sampled_smoothing) == (0.1, 0.2, True)


NET = SymmetricReLU(np.ones((3, 2)), 0.1)
X2, Y2 = np.ones((4, 2)), np.ones(4)


@pytest.mark.parametrize("call, error, message", [
    (lambda: SymmetricReLU(np.ones(3), 0.1), ValueError, r"weights: expected shape \(any, any\)"),
    (lambda: SymmetricReLU([["a"]], 0.1), TypeError, "weights: expected an array of numbers"),
    (lambda: SymmetricReLU(np.ones((1, 1)), -0.1), ValueError, "bias: expected at least 0.0"),
    (lambda: SymmetricReLU(np.ones((1, 1)), np.nan), ValueError, "bias: expected a finite"),
    (lambda: SymmetricReLU(np.ones((1, 1)), 0, -1), ValueError, "smoothing: expected at least"),
    (lambda: SymmetricReLU.initialise(0, 2, 1.0, None), ValueError, "m: expected at least 1"),
    (lambda: SymmetricReLU.initialise(2, 0, 1.0, None), ValueError, "d: expected at least 1"),
    (lambda: SymmetricReLU.initialise(2, 2, -1.0, None), ValueError, "scale: expected at least"),
    (lambda: NET.forward(np.ones((4, 3))), ValueError,
     r"X: expected shape \(any, 2\), got \(4, 3\): the network reads d = 2 coordinates"),
    (lambda: NET.forward(np.ones(2)), ValueError, r"X: expected shape \(any, 2\), got \(2,\)"),
    (lambda: NET.forward(X2 * 1j), TypeError, "X: expected an array of numbers, got dtype comp"),
    (lambda: NET.forward(X2, np.ones((4, 2))), ValueError, r"noise: expected shape \(4, 3\)"),
    (lambda: NET.gates(X2, np.ones((3, 3))), ValueError, r"noise: expected shape \(4, 3\)"),
    (lambda: NET.margins(X2, Y2[:3]), ValueError, r"y: expected shape \(4,\), got \(3,\)"),
    (lambda: NET.margins(X2, 0.0 * Y2), ValueError, r"y: expected labels -1 and \+1"),
    (lambda: NET.margin_gradient(X2, Y2[:, None]), ValueError, r"y: expected shape \(4,\)"),
    (lambda: NET.loss_gradient(X2[:0], Y2[:0]), ValueError, "X: expected at least one sample"),
    (lambda: NET.loss_gradient(X2, Y2 * 2), ValueError, r"y: expected labels -1 and \+1"),
    (lambda: NET.loss_gradient(X2, Y2, -1.0), ValueError, "weight_decay: expected at least 0.0"),
    (lambda: NET.loss_gradient(X2, Y2, noise=X2), ValueError, r"noise: expected shape \(4, 3\)"),
    (lambda: SymmetricReLU(np.ones((3, 2)), 0.1, 0.2, True).loss_gradient(X2, Y2), ValueError,
     "rng: expected a generator, got None"),
    (lambda: NET.descend(np.ones((2, 3)), 0.1), ValueError, r"gradient: expected shape \(3, 2\)"),
])
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_network_is_shown_in_a_line():
    assert repr(SymmetricReLU(np.ones((3, 2)), 0.25)) == "SymmetricReLU(m=3, d=2, bias=0.25)"
    assert repr(SymmetricReLU(np.ones((3, 2)), 0.25, 0.5)).endswith("bias=0.25, smoothing=0.5)")
