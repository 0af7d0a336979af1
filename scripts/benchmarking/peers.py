"""The plain network in six implementations of the same mathematics, for the benchmark.

    f(x) = sum_i S_b(<w_i, x>),   S_b(u) = u - clip(u, -b, b)
    L = mean_n log(1 + exp(-y_n f_n)) + lam sum_i (||w_i||^2 / 2 + ||w_i||^3 / 3)

Each does a clean step, an FGM adversarial step and PGD-20 from zero in an l2 ball, in the way its
library is used well: a pass gives a margin and its gradient together, JAX is compiled as a whole
and donates the weights, no copy is made that the library can avoid. Nothing is screened, except
by us.

The only import of PyTorch and JAX, each inside of the class that needs it.
"""

import importlib.util
from typing import Any, Protocol

import numpy as np

from simulator.attacks.gradient import FGM, PGD
from simulator.balls import L2Ball
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.randomness import Role, stream

__all__ = ["IMPLEMENTATIONS", "PACKAGES", "Implementation", "implementation", "installed"]

IMPLEMENTATIONS = ("ours", "numpy", "torch-autograd", "torch-manual", "jax-autograd",
                   "jax-manual")
PACKAGES = {"torch": "torch", "jax": "jax"}  # what an implementation's first word needs
PGD_STEPS = 20
STEP = 2.5 / PGD_STEPS  # in units of the radius
TINY = 1e-30  # below any square of a gradient's norm that matters; a zero gradient stays zero


class Implementation(Protocol):
    """What the benchmark calls. Every call returns when its work is done, not when it is queued."""

    bias: float

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """Take a copy of the weights, and the constants."""
        ...

    def hand(self, X: np.ndarray, y: np.ndarray) -> Any:
        """Return the samples as the library's own arrays."""
        ...

    def clean(self, samples: Any, learning_rate: float) -> float:
        """Take one gradient step in place; return the loss before it."""
        ...

    def adversarial(self, samples: Any, learning_rate: float) -> float:
        """Take one gradient step on the samples that FGM perturbed; return their loss."""
        ...

    def pgd20(self, samples: Any) -> Any:
        """Return the perturbation with the smallest margin that PGD-20 met, shape (n, d)."""
        ...


def installed(name: str) -> bool:
    """Whether the library of an implementation can be imported (it is not imported here)."""
    package = PACKAGES.get(name.partition("-")[0])
    return package is None or importlib.util.find_spec(package) is not None


def implementation(name: str, threads: int) -> Implementation:
    """Return an implementation by its name."""
    kind, _, how = name.partition("-")
    if kind == "ours":
        return Ours()
    if kind == "numpy":
        return Numpy()
    return Torch(how == "autograd", threads) if kind == "torch" else Jax(how == "autograd")


class Ours:
    """The simulator, called as its training loop and its attacks call it."""

    bias: float

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """See :class:`Implementation`."""
        from scripts.benchmarking.breakdown import CountingPasses
        self.network = SymmetricReLU(W.copy(), bias)
        self.network.passes = self.passes = CountingPasses()
        self.bias, self.weight_decay, self.ball = bias, weight_decay, L2Ball(tau)
        self.unused = stream(0, Role.TRAINING_ATTACK)

    def hand(self, X: np.ndarray, y: np.ndarray) -> Any:
        """See :class:`Implementation`."""
        return X, y

    def clean(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        self.network.bias = self.bias
        return self.network.gradient_step(X, y, learning_rate, self.weight_decay)

    def adversarial(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        self.network.bias = self.bias
        found = FGM().perturb(self.network, X, y, self.ball, self.unused)
        return self.clean((X + self.ball.project(found.delta), y), learning_rate)

    def pgd20(self, samples: Any) -> Any:
        """See :class:`Implementation`."""
        X, y = samples
        self.network.bias = self.bias
        attack = PGD(PGD_STEPS, ("zero",))
        return attack.perturb(self.network, X, y, self.ball, self.unused).delta


class Numpy:
    """The formulas in NumPy as one would write them down, every product dense."""

    bias: float

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """See :class:`Implementation`."""
        self.W, self.bias, self.lam, self.tau = W.copy(), bias, weight_decay, tau

    def hand(self, X: np.ndarray, y: np.ndarray) -> Any:
        """See :class:`Implementation`."""
        return X, y

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y f(x)``."""
        U = X @ self.W.T
        return y * (U - np.clip(U, -self.bias, self.bias)).sum(axis=1)

    def clean(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        W, b = self.W, self.bias
        U = X @ W.T
        margins = y * (U - np.clip(U, -b, b)).sum(axis=1)
        residual = -y * (0.5 - 0.5 * np.tanh(0.5 * margins)) / len(X)
        squares = (W * W).sum(axis=1)
        norms = np.sqrt(squares)
        G = ((np.abs(U) > b) * residual[:, None]).T @ X
        G += (self.lam * (1 + norms))[:, None] * W
        W -= learning_rate * G
        penalty = (squares * (0.5 + norms / 3)).sum()
        return float(np.logaddexp(0, -margins).mean() + self.lam * penalty)

    def adversarial(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        U = X @ self.W.T
        return self.clean((X + self._steepest(self._input_gradient(U, y)), y), learning_rate)

    def pgd20(self, samples: Any) -> Any:
        """See :class:`Implementation`."""
        X, y = samples
        best, least = np.zeros_like(X), np.full(len(X), np.inf, X.dtype)
        delta = np.zeros_like(X)

        def offer(point: np.ndarray, margins: np.ndarray) -> None:
            better = margins < least
            least[better] = margins[better]
            best[better] = point[better]

        for step in range(PGD_STEPS):
            U = (X + delta) @ self.W.T
            offer(delta, y * (U - np.clip(U, -self.bias, self.bias)).sum(axis=1))
            ascent = self._steepest(self._input_gradient(U, y))
            if step == 0:
                offer(ascent, self.margins(X + ascent, y))
            delta = delta + STEP * ascent
            norms = np.sqrt((delta * delta).sum(axis=1))
            delta *= np.minimum(1, self.tau / np.maximum(norms, TINY))[:, None]
        offer(delta, self.margins(X + delta, y))
        return best

    def _input_gradient(self, U: np.ndarray, y: np.ndarray) -> np.ndarray:
        return ((np.abs(U) > self.bias) * y[:, None]) @ self.W

    def _steepest(self, g: np.ndarray) -> np.ndarray:
        """``-tau g / ||g||``."""
        norms = np.sqrt(np.maximum((g * g).sum(axis=1, keepdims=True), TINY))
        return g * (-self.tau / norms)


class Torch:
    """PyTorch, by autograd or with the gradients written by hand.

    Parameters
    ----------
    autograd : bool
    threads : int
        Threads of PyTorch's own pool.
    """

    bias: float

    def __init__(self, autograd: bool, threads: int) -> None:
        import torch
        torch.set_num_threads(threads)
        self.torch, self.autograd = torch, autograd

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """See :class:`Implementation`."""
        self.W = self.torch.from_numpy(W.copy())
        self.bias, self.lam, self.tau = bias, weight_decay, tau

    def hand(self, X: np.ndarray, y: np.ndarray) -> Any:
        """See :class:`Implementation`."""
        return self.torch.from_numpy(X), self.torch.from_numpy(y)

    def clean(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        torch, W, b, lam = self.torch, self.W, self.bias, self.lam
        functional = torch.nn.functional
        if self.autograd:
            W.requires_grad_(True)
            squares = (W * W).sum(1)
            margins = y * functional.softshrink(X @ W.T, b).sum(1)
            loss = (functional.softplus(-margins).mean()
                    + lam * (squares * (0.5 + squares.sqrt() / 3)).sum())
            G, = torch.autograd.grad(loss, W)
            W.requires_grad_(False)
        else:
            U = X @ W.T
            margins = y * functional.softshrink(U, b).sum(1)
            residual = -y * torch.sigmoid(-margins) / len(X)
            gates = (U.abs_() > b).to(X.dtype)
            gates *= residual[:, None]
            G = gates.T @ X
            squares = (W * W).sum(1)
            norms = squares.sqrt()
            G.addcmul_((lam * (1 + norms))[:, None], W)
            loss = functional.softplus(-margins).mean() + lam * (squares * (0.5 + norms / 3)).sum()
        W.sub_(G, alpha=learning_rate)
        return float(loss.detach())

    def adversarial(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        delta = self._steepest(self._margins_and_gradient(X, y, False)[1])
        return self.clean((X + delta, y), learning_rate)

    def pgd20(self, samples: Any) -> Any:
        """See :class:`Implementation`."""
        X, y = samples
        torch = self.torch
        best, least = torch.zeros_like(X), torch.full_like(y, float("inf"))
        delta = torch.zeros_like(X)

        def offer(point: Any, margins: Any, best: Any, least: Any) -> Any:
            better = margins < least
            return torch.where(better[:, None], point, best), torch.where(better, margins, least)

        for step in range(PGD_STEPS):
            margins, gradient = self._margins_and_gradient(X + delta, y, True)
            best, least = offer(delta, margins, best, least)
            ascent = self._steepest(gradient)
            if step == 0:
                best, least = offer(ascent, self._margins(X + ascent, y), best, least)
            delta = delta + STEP * ascent
            # not renorm: it adds 1e-7 to the norm, which is another attack
            norms = torch.linalg.vector_norm(delta, dim=1, keepdim=True)
            delta *= (self.tau / norms.clamp_min_(TINY)).clamp_max_(1.0)
        return offer(delta, self._margins(X + delta, y), best, least)[0]

    def _margins(self, X: Any, y: Any) -> Any:
        return y * self.torch.nn.functional.softshrink(X @ self.W.T, self.bias).sum(1)

    def _margins_and_gradient(self, X: Any, y: Any, with_margins: bool) -> Any:
        if self.autograd:
            X = X.clone().requires_grad_(True)
            margins = self._margins(X, y)
            return margins.detach(), self.torch.autograd.grad(margins.sum(), X)[0]
        U = X @ self.W.T
        margins = None
        if with_margins:
            margins = y * self.torch.nn.functional.softshrink(U, self.bias).sum(1)
        gates = (U.abs_() > self.bias).to(X.dtype)
        gates *= y[:, None]
        return margins, gates @ self.W

    def _steepest(self, g: Any) -> Any:
        """``-tau g / ||g||``."""
        return self.torch.nn.functional.normalize(g, dim=1, eps=TINY).mul_(-self.tau)


class Jax:
    """JAX under jit, by automatic differentiation or with the gradients written by hand."""

    bias: float

    def __init__(self, autograd: bool) -> None:
        import jax
        jax.config.update("jax_enable_x64", True)  # arrays of float32 stay what they are
        self.jax = jax
        self.clean_step, self.adversarial_step, self.attack = _compiled(jax, autograd)

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """See :class:`Implementation`."""
        self.W = self.jax.numpy.array(W)
        # a Python number would be a float64, and pull the float32 arrays up with it
        self.number = W.dtype.type
        self.bias, self.lam, self.tau = bias, self.number(weight_decay), self.number(tau)

    def hand(self, X: np.ndarray, y: np.ndarray) -> Any:
        """See :class:`Implementation`."""
        return self.jax.numpy.asarray(X), self.jax.numpy.asarray(y)

    def clean(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        return self._step(self.clean_step, samples, learning_rate)

    def adversarial(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        return self._step(self.adversarial_step, samples, learning_rate)

    def pgd20(self, samples: Any) -> Any:
        """See :class:`Implementation`."""
        return self.attack(self.W, *samples, self.number(self.bias), self.tau).block_until_ready()

    def _step(self, step: Any, samples: Any, learning_rate: float) -> float:
        self.W, loss = step(self.W, *samples, self.number(self.bias), self.lam, self.tau,
                            self.number(learning_rate))
        self.W.block_until_ready()
        return float(loss)


def _compiled(jax: Any, autograd: bool) -> tuple[Any, Any, Any]:
    """The clean step, the adversarial step and PGD-20 as three compiled functions."""
    jnp = jax.numpy

    def soft(U: Any, b: Any) -> Any:
        return jnp.where(jnp.abs(U) > b, U - jnp.sign(U) * b, 0)

    def margins_of(W: Any, X: Any, y: Any, b: Any) -> Any:
        return y * soft(X @ W.T, b).sum(1)

    def loss_of(W: Any, X: Any, y: Any, b: Any, lam: Any) -> Any:
        squares = (W * W).sum(1)
        return (jax.nn.softplus(-margins_of(W, X, y, b)).mean()
                + lam * (squares * (0.5 + jnp.sqrt(squares) / 3)).sum())

    def loss_and_gradient(W: Any, X: Any, y: Any, b: Any, lam: Any) -> Any:
        if autograd:
            return jax.value_and_grad(loss_of)(W, X, y, b, lam)
        U = X @ W.T
        margins = y * soft(U, b).sum(1)
        residual = -y * jax.nn.sigmoid(-margins) / len(X)
        squares = (W * W).sum(1)
        norms = jnp.sqrt(squares)
        G = jnp.where(jnp.abs(U) > b, residual[:, None], 0).T @ X + (lam * (1 + norms))[:, None] * W
        penalty = (squares * (0.5 + norms / 3)).sum()
        return jax.nn.softplus(-margins).mean() + lam * penalty, G

    def margins_and_gradient(W: Any, X: Any, y: Any, b: Any) -> Any:
        if autograd:
            margins, pull = jax.vjp(lambda inputs: margins_of(W, inputs, y, b), X)
            return margins, pull(jnp.ones_like(y))[0]
        U = X @ W.T
        gradient = jnp.where(jnp.abs(U) > b, y[:, None], 0) @ W
        return y * soft(U, b).sum(1), gradient

    def steepest(g: Any, tau: Any) -> Any:
        return g * (-tau * jax.lax.rsqrt(jnp.maximum((g * g).sum(1, keepdims=True), TINY)))

    def clean(W: Any, X: Any, y: Any, b: Any, lam: Any, tau: Any, eta: Any) -> Any:
        loss, G = loss_and_gradient(W, X, y, b, lam)
        return W - eta * G, loss

    def adversarial(W: Any, X: Any, y: Any, b: Any, lam: Any, tau: Any, eta: Any) -> Any:
        delta = steepest(margins_and_gradient(W, X, y, b)[1], tau)
        return clean(W, X + delta, y, b, lam, tau, eta)

    def offer(kept: Any, point: Any, margins: Any) -> Any:
        best, least = kept
        better = margins < least
        return jnp.where(better[:, None], point, best), jnp.where(better, margins, least)

    def pgd20(W: Any, X: Any, y: Any, b: Any, tau: Any) -> Any:
        def move(delta: Any, ascent: Any) -> Any:
            delta = delta + STEP * ascent
            squares = (delta * delta).sum(1, keepdims=True)
            return delta * jnp.minimum(1, tau * jax.lax.rsqrt(jnp.maximum(squares, TINY)))

        def step(_: Any, state: Any) -> Any:
            kept, delta = state
            margins, gradient = margins_and_gradient(W, X + delta, y, b)
            return offer(kept, delta, margins), move(delta, steepest(gradient, tau))

        margins, gradient = margins_and_gradient(W, X, y, b)
        ascent = steepest(gradient, tau)
        kept = offer((jnp.zeros_like(X), margins), ascent, margins_of(W, X + ascent, y, b))
        start = move(jnp.zeros_like(X), ascent)
        kept, delta = jax.lax.fori_loop(0, PGD_STEPS - 1, step, (kept, start))
        return offer(kept, delta, margins_of(W, X + delta, y, b))[0]

    return (jax.jit(clean, donate_argnums=0), jax.jit(adversarial, donate_argnums=0),
            jax.jit(pgd20))
