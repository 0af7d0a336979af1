"""The contract for extenders, on one page: what a data model, a network and an attack are.

Nothing has to be inherited. A class with these methods works with the one training loop
(:mod:`simulator.training`), the attacks and the robustness measurements.

Shapes: a batch holds n samples; one input has shape ``(d,)`` for vectors, ``(P, d)`` for
patches, written ``(n, ...)`` for a batch. Every array of a run has one dtype.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Attack", "Ball", "Batch", "Batches", "BiasSchedule", "DataModel", "Forward", "Network",
           "Passes", "Perturbation"]


@dataclass(frozen=True)
class Batch:
    """Samples and labels.

    Attributes
    ----------
    X : ndarray, shape (n, ...)
        Inputs.
    y : ndarray, shape (n,)
        Labels: -1 or +1 for a network with one output, classes 0 to K - 1 for one with K.
    codes : scipy.sparse.csr_array, shape (n, d), or None
        The sparse codes ``z`` of the samples where the data model has them. Training never
        learns from them; they only say where an input can be large.
    """

    X: np.ndarray
    y: np.ndarray
    codes: "csr_array | None" = None

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        codes = "" if self.codes is None else ", with codes"
        return f"Batch(n={len(self)}, X of shape {self.X.shape}, {self.X.dtype}{codes})"

    def __getitem__(self, rows: Any) -> "Batch":
        """Return the samples that a slice, a mask or an array of row numbers picks."""
        if isinstance(rows, (int, np.integer)):
            raise TypeError(f"batch[{rows}]: expected a slice or an array of rows, got one row: "
                            f"write batch[{rows}:{rows + 1}]")
        return Batch(self.X[rows], self.y[rows], None if self.codes is None else self.codes[rows])


class DataModel(Protocol):
    """A distribution over labelled inputs."""

    def sample(self, n: int, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> Batch:
        """Draw n independent samples."""
        ...


class Batches(Protocol):
    """A source of training batches; ``batch(step)`` depends on nothing but ``step``."""

    def batch(self, step: int) -> Batch:
        """Return the batch of one gradient step."""
        ...


class Network(Protocol):
    """A classifier with hand-written passes.

    ``margins`` is positive where the network is right; the attacks only ever see margins and
    their input gradients, the training loop only ``gradient_step``. Whatever is fast about
    that step, ``loss_gradient`` says in full what it descends. A network that gets margins and
    their gradient from one pass may add ``margins_and_gradient(X, y)``; PGD uses it.
    """

    weights: np.ndarray

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the margin of each sample, shape (n,)."""
        ...

    def margin_gradient(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the gradient of each margin by its own input, shape of X."""
        ...

    def loss_gradient(self, X: np.ndarray, y: np.ndarray, weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> tuple[float, np.ndarray]:
        """Return the training loss and its gradient by the weights.

        ``rng`` is for networks that draw noise in training; others ignore it.
        """
        ...

    def gradient_step(self, X: np.ndarray, y: np.ndarray, learning_rate: float,
                      weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> float:
        """Take one step of gradient descent on that loss, in place; return the loss before."""
        ...


class BiasSchedule(Protocol):
    """The bias of a network as training goes on; the loop asks it before every step."""

    def bias(self, step: int, network: Network) -> float:
        """Return b for a step."""
        ...


class Ball(Protocol):
    """The perturbations of one radius in one norm; see :mod:`simulator.balls`."""

    @property
    def radius(self) -> float:
        """Largest norm of a perturbation."""
        ...

    def with_radius(self, radius: float) -> "Ball":
        """Return the ball of another radius in the same norm."""
        ...

    def steepest(self, G: np.ndarray) -> np.ndarray:
        """Return, per sample, the perturbation of the ball that maximises <G, delta>."""
        ...

    def project(self, D: np.ndarray) -> np.ndarray:
        """Return, per sample, the nearest perturbation inside the ball."""
        ...

    def norm(self, D: np.ndarray) -> np.ndarray:
        """Return the norm of each perturbation, shape (n,)."""
        ...

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...],
             dtype: DTypeLike) -> np.ndarray:
        """Draw perturbations on the surface (l2) or at the corners (l_inf)."""
        ...


class Perturbation(NamedTuple):
    """What an attack returns.

    Attributes
    ----------
    delta : ndarray, shape of X
        One perturbation per sample. It is projected and scored again by the caller.
    zero_gradients : int
        Samples at which the white-box gradient was exactly zero, so that the attack was blind.
    """

    delta: np.ndarray
    zero_gradients: int


class Attack(Protocol):
    """Searches a ball for a perturbation with a small margin."""

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return one perturbation per sample."""
        ...


class Forward(Protocol):
    """What a network reads of a forward pass; the gradients may need more of it.

    Attributes
    ----------
    f : ndarray, shape (n,)
        Outputs.
    norms : ndarray, shape (m,)
        ``||w_i||``.
    """

    @property
    def f(self) -> np.ndarray:
        """Outputs."""
        ...

    @property
    def norms(self) -> np.ndarray:
        """Lengths of the neurons."""
        ...


AForward = TypeVar("AForward", bound=Forward)


class Passes(Protocol[AForward]):
    """How the plain symmetric network computes: its forward pass, gradients and descent.

    A :class:`Forward` is valid until the next one, and a gradient may use it up. Inputs are
    checked by the network.
    """

    def forward(self, W: np.ndarray, b: float, X: np.ndarray) -> AForward:
        """Return the forward pass of X, shape (n, d), for weights W (m, d) and bias b."""
        ...

    def input_gradient(self, forward: AForward, scale: np.ndarray) -> np.ndarray:
        """Return ``scale_n sum_i g_ni w_i``, shape (n, d)."""
        ...

    def weight_gradient(self, forward: AForward, X: np.ndarray, scale: np.ndarray) -> Any:
        """Return ``sum_n scale_n g_ni x_n``, in the form that :meth:`descend` takes."""
        ...

    def descend(self, W: np.ndarray, forward: AForward, G: Any, learning_rate: float,
                weight_decay: float) -> None:
        """``w_i <- w_i - eta (G_i + lam (1 + ||w_i||) w_i)``, in place."""
        ...
