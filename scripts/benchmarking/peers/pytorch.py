"""PyTorch, by autograd or with the gradients written by hand."""

from typing import Any

import numpy as np

from scripts.benchmarking.peers.contract import PGD_STEPS, STEP, TINY

__all__ = ["Torch"]


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
