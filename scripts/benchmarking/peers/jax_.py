"""JAX under jit, by automatic differentiation or with the gradients written by hand."""

from typing import Any

import numpy as np

from scripts.benchmarking.peers.contract import PGD_STEPS, STEP, TINY

__all__ = ["Jax"]


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

    def gates(U: Any, b: Any) -> Any:
        return (jnp.abs(U) > b).astype(U.dtype)

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
        G = gates(U, b).T @ (residual[:, None] * X) + (lam * (1 + norms))[:, None] * W
        penalty = (squares * (0.5 + norms / 3)).sum()
        return jax.nn.softplus(-margins).mean() + lam * penalty, G

    def margins_and_gradient(W: Any, X: Any, y: Any, b: Any) -> Any:
        if autograd:
            margins, pull = jax.vjp(lambda inputs: margins_of(W, inputs, y, b), X)
            return margins, pull(jnp.ones_like(y))[0]
        U = X @ W.T
        return y * soft(U, b).sum(1), y[:, None] * (gates(U, b) @ W)

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
