"""PyTorch: eagerly by autograd, with the gradients written by hand, and with those compiled."""

from typing import Any

import numpy as np

from scripts.benchmarking.peers.contract import PGD_STEPS, STEP, TINY

__all__ = ["Torch"]


class Torch:
    """PyTorch: eagerly by autograd, with the gradients written by hand, and with those compiled.

    Parameters
    ----------
    how : "autograd", "manual" or "compiled"
    threads : int
        Threads of PyTorch's own pool.
    """

    bias: float

    def __init__(self, how: str, threads: int) -> None:
        import torch
        torch.set_num_threads(threads)
        self.torch, self.autograd = torch, how == "autograd"
        self.mode = torch.enable_grad if self.autograd else torch.inference_mode
        self.descend, self.gradient = _by_hand(torch, how == "compiled")

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """See :class:`Implementation`."""
        self.W = self.torch.from_numpy(W.copy())
        self.bias, self.lam, self.tau = bias, self._number(weight_decay), tau

    def hand(self, X: np.ndarray, y: np.ndarray) -> Any:
        """See :class:`Implementation`."""
        return self.torch.from_numpy(X), self.torch.from_numpy(y)

    def clean(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        with self.mode():
            X, y = samples
            return self._clean(X, y, learning_rate)

    def adversarial(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        with self.mode():
            delta = self._steepest(self._margins_and_gradient(X, y, False)[1])
            return self._clean(X + delta, y, learning_rate)

    def pgd20(self, samples: Any) -> Any:
        """See :class:`Implementation`."""
        with self.mode():
            return self._pgd20(*samples)

    def _number(self, value: float) -> Any:
        """A number as a tensor: what is compiled would be compiled again for another float."""
        return self.torch.tensor(value, dtype=self.W.dtype)

    def _clean(self, X: Any, y: Any, learning_rate: float) -> float:
        if not self.autograd:
            return float(self.descend(self.W, X, y, self._number(self.bias), self.lam,
                                      self._number(learning_rate)))
        W, functional = self.W, self.torch.nn.functional
        W.requires_grad_(True)
        squares = (W * W).sum(1)
        loss = (functional.softplus(-self._margins(X, y)).mean()
                + self.lam * (squares * (0.5 + squares.sqrt() / 3)).sum())
        G, = self.torch.autograd.grad(loss, W)
        W.requires_grad_(False)
        W.sub_(G, alpha=learning_rate)
        return float(loss.detach())

    def _pgd20(self, X: Any, y: Any) -> Any:
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
        if not self.autograd:
            return self.gradient(self.W, X, y, self._number(self.bias), with_margins)
        X = X.clone().requires_grad_(True)
        margins = self._margins(X, y)
        return margins.detach(), self.torch.autograd.grad(margins.sum(), X)[0]

    def _steepest(self, g: Any) -> Any:
        """``-tau g / ||g||``."""
        return self.torch.nn.functional.normalize(g, dim=1, eps=TINY).mul_(-self.tau)


def _by_hand(torch: Any, compiled: bool) -> tuple[Any, Any]:
    """The gradient step in place, which returns the loss before it, and the input gradient."""
    functional = torch.nn.functional

    def soft(U: Any, b: Any) -> Any:
        # compiled, b must be a tensor, which softshrink does not take; eagerly, it reads U once
        return U - U.clamp(-b, b) if compiled else functional.softshrink(U, float(b))

    def descend(W: Any, X: Any, y: Any, b: Any, lam: Any, eta: Any) -> Any:
        U = X @ W.T
        margins = y * soft(U, b).sum(1)
        residual = -y * torch.sigmoid(-margins) / len(X)
        G = U.abs_().gt_(b).T @ (residual[:, None] * X)
        squares = torch.linalg.vector_norm(W, dim=1).square_()
        norms = squares.sqrt()
        loss = functional.softplus(-margins).mean() + lam * (squares * (0.5 + norms / 3)).sum()
        G.addcmul_((lam * (1 + norms))[:, None], W)
        W.sub_(G.mul_(eta))
        return loss

    def gradient(W: Any, X: Any, y: Any, b: Any, with_margins: bool) -> Any:
        U = X @ W.T
        margins = y * soft(U, b).sum(1) if with_margins else None
        return margins, y[:, None] * (U.abs_().gt_(b) @ W)

    if not compiled:
        return descend, gradient
    return (torch.compile(descend, fullgraph=True, dynamic=False),
            torch.compile(gradient, fullgraph=True, dynamic=False))
