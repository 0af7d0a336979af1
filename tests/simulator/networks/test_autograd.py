"""The hand-written gradients against two automatic ones (torch and JAX), in float64.

Both sides evaluate the same formulas on O(1) numbers; they differ by the order of sums of at
most 300 terms, about 1e-14, and 1e-10 leaves room for other builds.
"""

import numpy as np
import pytest

from simulator.networks.symmetric_relu import SymmetricReLU

TOLERANCE = 1e-10
WEIGHT_DECAY = 0.05
N, M, D, BIAS, SMOOTHING = 12, 25, 7, 0.6, 0.4


@pytest.fixture(scope="module")
def torch():
    """PyTorch, if the extra is there."""
    return pytest.importorskip("torch", reason="bench extra not installed")


@pytest.fixture(scope="module")
def jax():
    """JAX in double precision, if the extra is there."""
    module = pytest.importorskip("jax", reason="bench extra not installed")
    module.config.update("jax_enable_x64", True)
    return module


@pytest.fixture(params=["plain", "smooth", "noise"])
def case(request):
    """(network, X, y, noise) of one mode."""
    rng = np.random.default_rng(11)
    W = 0.5 * rng.standard_normal((M, D))
    X = rng.standard_normal((N, D))
    y = rng.choice([-1.0, 1.0], size=N)
    noise = 0.4 * rng.standard_normal((N, M)) if request.param == "noise" else None
    smoothing = SMOOTHING if request.param == "smooth" else 0.0
    return SymmetricReLU(W, BIAS, smoothing), X, y, noise


def _torch_output(torch, W, X, net, noise):
    U = X @ W.T
    rho = 0.0 if noise is None else torch.tensor(noise)
    total = 0.0
    for t, sign in ((U - net.bias + rho, 1.0), (-U - net.bias + rho, -1.0)):
        if net.smoothing:
            normal = torch.distributions.Normal(0.0, 1.0)
            a = t / net.smoothing
            part = t * normal.cdf(a) + net.smoothing * torch.exp(normal.log_prob(a))
        else:
            part = torch.relu(t)
        total = total + sign * part.sum(dim=1)
    return total


def test_torch_finds_the_same_gradients(torch, case):
    net, X, y, noise = case
    W = torch.tensor(net.weights, requires_grad=True)
    inputs = torch.tensor(X, requires_grad=True)
    labels = torch.tensor(y)
    output = _torch_output(torch, W, inputs, net, noise)
    norms = W.norm(dim=1)
    loss = (torch.nn.functional.softplus(-labels * output).mean()
            + WEIGHT_DECAY * (norms**2 / 2 + norms**3 / 3).sum())
    by_weights, = torch.autograd.grad(loss, W, retain_graph=True)
    by_inputs, = torch.autograd.grad((labels * output).sum(), inputs)
    _compare(case, output.detach().numpy(), loss.item(), by_weights.numpy(), by_inputs.numpy())


def test_jax_finds_the_same_gradients(jax, case):
    net, X, y, noise = case
    numpy = jax.numpy

    def forward(W, inputs):
        U = inputs @ W.T
        rho = 0.0 if noise is None else noise
        total = 0.0
        for t, sign in ((U - net.bias + rho, 1.0), (-U - net.bias + rho, -1.0)):
            if net.smoothing:
                a = t / net.smoothing
                part = (t * jax.scipy.stats.norm.cdf(a)
                        + net.smoothing * jax.scipy.stats.norm.pdf(a))
            else:
                part = jax.nn.relu(t)
            total = total + sign * part.sum(axis=1)
        return total

    def loss(W):
        norms = numpy.sqrt((W**2).sum(axis=1))
        return (jax.nn.softplus(-y * forward(W, X)).mean()
                + WEIGHT_DECAY * (norms**2 / 2 + norms**3 / 3).sum())

    value, by_weights = jax.value_and_grad(loss)(net.weights)
    by_inputs = jax.grad(lambda inputs: (y * forward(net.weights, inputs)).sum())(X)
    _compare(case, np.asarray(forward(net.weights, X)), float(value), np.asarray(by_weights),
             np.asarray(by_inputs))


def _compare(case, output, loss, by_weights, by_inputs):
    net, X, y, noise = case
    assert np.abs(net.forward(X, noise) - output).max() < TOLERANCE
    value, gradient = net.loss_gradient(X, y, WEIGHT_DECAY, noise=noise)
    assert abs(value - loss) < TOLERANCE
    assert by_weights.dtype == np.float64 and np.abs(by_weights).max() > 0.01
    assert np.abs(gradient - by_weights).max() < TOLERANCE
    assert np.abs(net.margin_gradient(X, y, noise) - by_inputs).max() < TOLERANCE
