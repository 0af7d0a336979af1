"""The plain network in seven implementations of the same mathematics, for the benchmark.

    f(x) = sum_i S_b(<w_i, x>),   S_b(u) = u - clip(u, -b, b)
    L = mean_n log(1 + exp(-y_n f_n)) + lam sum_i (||w_i||^2 / 2 + ||w_i||^3 / 3)

Each does a clean step, an FGM adversarial step and PGD-20 from zero in an l2 ball, in the way its
library is used well: a pass gives a margin and its gradient together; JAX is compiled as a whole
and donates the weights; PyTorch runs eagerly, in inference mode where nothing is differentiated,
and compiled by torch.compile; where gradients are written by hand the residuals scale X, which is
smaller than the gates. Nothing is screened, except by us.

A module each, and the only imports of PyTorch and JAX, made where a class is built.
"""

from scripts.benchmarking.peers.contract import IMPLEMENTATIONS, Implementation
from simulator.names import require_known

__all__ = ["implementation"]


def implementation(name: str, threads: int) -> Implementation:
    """Return an implementation by its name, or raise ValueError with the nearest."""
    kind, _, how = require_known("implementation", name, IMPLEMENTATIONS).partition("-")
    if kind == "ours":
        from scripts.benchmarking.peers.ours import Ours
        return Ours(threads)
    if kind == "numpy":
        from scripts.benchmarking.peers.plain_numpy import Numpy
        return Numpy()
    if kind == "torch":
        from scripts.benchmarking.peers.pytorch import Torch
        return Torch(how, threads)
    from scripts.benchmarking.peers.jax_ import Jax
    return Jax(how == "autograd")
