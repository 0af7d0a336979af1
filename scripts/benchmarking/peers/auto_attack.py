"""AutoAttack: APGD on two losses, FAB and Square, as its authors' package or torchattacks has it.

It is made for images in [0, 1] with at least four classes. So inputs are mapped into [0, 1], with
room for the ball on both sides so that its clipping never binds; they are laid out as squares, with
unused pixels at the end; the classes are -f/2 and f/2, and two that never win.
"""

from typing import Any

import numpy as np

from simulator.balls import L2Ball, LinfBall

__all__ = ["AutoAttack"]

ATTACKS = ("apgd-ce", "apgd-t", "fab-t", "square")
SEED = 0
LEAST_SIDE = 5  # pixels: Square in l2 begins with five stripes
NEVER = 50.0  # how far the two dummy classes lie below


class AutoAttack:
    """The standard version of AutoAttack with one target class, in one thread.

    Parameters
    ----------
    package : "autoattack" or "torchattacks"
    queries : int
        Of Square; its authors take 5000.
    """

    def __init__(self, package: str, queries: int) -> None:
        import torch
        torch.set_num_threads(1)
        self.torch, self.queries = torch, queries
        if package == "autoattack":
            import autoattack
            self.attack_of, self.package = self._of_authors, autoattack
        else:
            import torchattacks
            self.attack_of, self.package = self._of_torchattacks, torchattacks

    def load(self, weights: np.ndarray, bias: float) -> None:
        """See :class:`AttackPeer`."""
        self.weights = self.torch.as_tensor(np.array(weights, np.float64))
        self.bias, self.d = bias, weights.shape[1]
        self.side = max(LEAST_SIDE, int(np.ceil(np.sqrt(self.d))))

    def forward(self, X: np.ndarray) -> np.ndarray:
        """See :class:`AttackPeer`. This goes the way that the attacks go, over images."""
        span = self._span(X, 0.0)
        with self.torch.no_grad():
            logits = self._model(span)(self._images(X, span)).numpy()
        f: np.ndarray = logits[:, 1] - logits[:, 0]
        return f

    def attack(self, X: np.ndarray, y: np.ndarray, ball: L2Ball | LinfBall) -> np.ndarray:
        """See :class:`AttackPeer`."""
        span = self._span(X, ball.radius)
        norm, images = "L2" if isinstance(ball, L2Ball) else "Linf", self._images(X, span)
        labels = self.torch.as_tensor((y > 0.0).astype(np.int64))
        found = self.attack_of(self._model(span), norm, ball.radius / span, images, labels)
        moved = (found - images).detach().double().flatten(1)[:, :self.d]
        delta: np.ndarray = span * moved.numpy()
        return delta

    def _span(self, X: np.ndarray, radius: float) -> float:
        """The length that becomes 1."""
        return 2.0 * (float(np.abs(X).max()) + 2.0 * radius) or 1.0

    def _images(self, X: np.ndarray, span: float) -> Any:
        pixels = np.full((len(X), self.side**2), 0.5)
        pixels[:, :self.d] += X / span
        shape = (len(X), 1, self.side, self.side)
        return self.torch.as_tensor(pixels.reshape(shape).astype(np.float32))

    def _model(self, span: float) -> Any:
        """The network on images, as a module."""
        torch, W, bias, d = self.torch, self.weights, self.bias, self.d
        module: Any = torch.nn.Module

        class Classes(module):  # type: ignore[misc]
            """Logits (-f/2, f/2, never, never)."""

            def __init__(self) -> None:
                super().__init__()
                self.W = torch.nn.Parameter(W, requires_grad=False)  # tells attacks the device

            def forward(self, images: Any) -> Any:
                x = span * (images.double().flatten(1)[:, :d] - 0.5)
                f = torch.nn.functional.softshrink(x @ self.W.T, bias).sum(1)
                never = -0.5 * f.detach().abs() - NEVER
                return torch.stack([-0.5 * f, 0.5 * f, never, never], 1).float()

        return Classes().eval()

    def _of_authors(self, model: Any, norm: str, eps: float, images: Any, labels: Any) -> Any:
        attack = self.package.AutoAttack(model, norm=norm, eps=eps, version="custom",
                                         attacks_to_run=list(ATTACKS), seed=SEED, device="cpu",
                                         verbose=False)
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = 1
        attack.square.n_queries = self.queries
        return attack.run_standard_evaluation(images, labels, bs=len(images))

    def _of_torchattacks(self, model: Any, norm: str, eps: float, images: Any,
                         labels: Any) -> Any:
        attack = self.package.AutoAttack(model, norm=norm, eps=eps, version="standard",
                                         n_classes=2, seed=SEED)
        for part in attack._autoattack.attacks:
            if hasattr(part, "n_queries"):
                part.n_queries = self.queries
        return attack(images, labels)
