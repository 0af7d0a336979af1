"""auto_LiRPA: interval bounds, CROWN and alpha-CROWN, from its documented interface.

alpha-CROWN starts from the slopes of CROWN, which are 0 or 1 exactly, and clamps them to [0, 1] in
each step. PyTorch 2.14 made the gradient of ``clamp`` at its boundary zero: from there on no slope
ever moves, without a word, and its numbers are those of CROWN. So a neuron is planted on which
better slopes must gain, and where they do not the method is refused.
"""

from typing import Any

import numpy as np

from scripts.benchmarking.peers.verifiers import InertError, two_layers
from simulator.balls import L2Ball, LinfBall

__all__ = ["PLANTED", "Lirpa"]

OWN_WORDS = {"IBP": "IBP", "CROWN": "CROWN", "alpha-CROWN": "CROWN-Optimized"}
# One neuron, whose pair reads u in [-1, 3] around u = 1: relu(u - 1/2) - relu(-u - 1/2). CROWN
# takes slope 1 under the first and ends at -2; slope 0 gives -1/2, the least margin itself.
PLANTED = {"weights": np.array([[1.0]]), "bias": 0.5, "X": np.array([[1.0]]),
           "y": np.array([1.0]), "radius": 2.0, "CROWN": -2.0, "least": -0.5}
# Its shorter forms for alphas of many outputs and few unstable neurons: version 0.3 mixes up the
# shapes of the second where nearly all are unstable.
DENSE = {"sparse_features_alpha": False, "sparse_spec_alpha": False}
GAIN = 0.5  # which part of what is to be gained there the slopes must gain


class Lirpa:
    """auto_LiRPA on the network as two layers, in float32 (as it is used) and one thread.

    Parameters
    ----------
    iterations : int
        Steps of alpha-CROWN.
    """

    methods = tuple(OWN_WORDS)

    def __init__(self, iterations: int) -> None:
        import auto_LiRPA
        import torch
        torch.set_num_threads(1)
        self.torch, self.package, self.iterations = torch, auto_LiRPA, iterations
        self.module: Any = None
        self.bounded: Any = None
        self.question: Any = None

    def load(self, weights: np.ndarray, bias: float) -> None:
        """See :class:`BoundPeer`."""
        torch = self.torch
        hidden, offset, outward = two_layers(np.asarray(weights, np.float32), bias)
        (units, d), linear = hidden.shape, torch.nn.Linear
        self.module = torch.nn.Sequential(linear(d, units), torch.nn.ReLU(),
                                          linear(units, 1))
        with torch.no_grad():
            self.module[0].weight.copy_(torch.as_tensor(hidden))
            self.module[0].bias.copy_(torch.as_tensor(offset))
            self.module[2].weight.copy_(torch.as_tensor(outward))
            self.module[2].bias.zero_()
        self._begin(None)

    def _begin(self, question: Any) -> None:
        """Forget earlier bounds: what was kept of them need not fit other samples."""
        sample = self.torch.zeros(1, self.module[0].in_features)
        self.bounded, self.question = self.package.BoundedModule(
            self.module, sample, bound_opts={
                "optimize_bound_args": {"iteration": self.iterations}, **DENSE}), question

    def forward(self, X: np.ndarray) -> np.ndarray:
        """See :class:`BoundPeer`."""
        with self.torch.no_grad():
            f: np.ndarray = self.bounded(self._tensor(X)).numpy()[:, 0]
        return f

    def require_alive(self, method: str) -> None:
        """See :class:`BoundPeer`. The network that was loaded is another one afterwards."""
        if method != "alpha-CROWN":
            return
        planted: dict[str, Any] = PLANTED
        self.load(planted["weights"], planted["bias"])
        got = self.bounds(method, planted["X"], planted["y"], L2Ball(planted["radius"]))[0]
        wanted = planted["CROWN"] + GAIN * (planted["least"] - planted["CROWN"])
        if not got >= wanted:
            raise InertError(
                f"on one planted neuron its slopes must raise the bound of CROWN, "
                f"{planted['CROWN']:g}, towards {planted['least']:g}, and it gives {got:g}: they "
                f"do not move with torch {self.torch.__version__} (from 2.14 on clamp has no "
                "gradient where they start: pip install 'torch<2.14')")

    def bounds(self, method: str, X: np.ndarray, y: np.ndarray,
               ball: L2Ball | LinfBall) -> np.ndarray:
        """See :class:`BoundPeer`."""
        question = (method, ball, X.tobytes())
        if question != self.question:
            self._begin(question)
        norm = 2 if isinstance(ball, L2Ball) else float("inf")
        threat = self.package.PerturbationLpNorm(norm=norm, eps=ball.radius)
        found = self.bounded.compute_bounds(
            x=(self.package.BoundedTensor(self._tensor(X), threat),),
            C=self._tensor(y)[:, None, None], method=OWN_WORDS[method], bound_upper=False)
        lower: np.ndarray = found[0].detach().numpy()[:, 0]
        return lower

    def _tensor(self, array: np.ndarray) -> Any:
        return self.torch.as_tensor(np.array(array, np.float32))
