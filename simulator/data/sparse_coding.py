"""Sparse-coding data, ``x = M z + xi`` (Allen-Zhu & Li, arXiv 2005.10190).

The paper's data model: a sparse code ``z`` in an orthonormal dictionary ``M``, labelled by
the sign of a linear function of the code, with Gaussian input noise ``xi``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import csr_array

from simulator.checks import require_array, require_int, require_orthonormal, require_real
from simulator.protocols import Batch
from simulator.randomness import Rng, require_generator

if TYPE_CHECKING:
    from simulator.experiments.settings import SparseCodingSettings

__all__ = ["SparseCoding", "random_dictionary", "random_signs"]

NOISE_BLOCK = 65536  # normals drawn at a time; even. Part of the stream: do not change it


@dataclass(frozen=True, eq=False)
class SparseCoding:
    """The distribution of the labelled samples ``(x, y)``.

    The coordinates of the code ``z`` in R^d are independent and symmetric,

    ========  =========================  =============================================
    event     probability                size of ``z_j``
    ========  =========================  =============================================
    strong    ``c_strong / d``           1
    weak      ``c_weak * k / d``         uniform in [weak_low, weak_high] / sqrt(k)
    off       the rest                   0
    ========  =========================  =============================================

    so about ``c_strong + c_weak k`` of them are on and ``E[z_j^2] = Theta(1/d)``. The sample is

        x = M z + xi,    xi ~ N(0, noise^2 / d * I),    y = sign(<w*, z>),

    conditioned on ``|<w*, z>| >= label_margin``. Without that condition (label_margin = 0) a
    tie ``<w*, z> = 0`` is labelled by a fair coin. Signs are symmetric, so P(y = 1) = 1/2.

    Parameters
    ----------
    d : int
        Dimension of inputs and codes, number of features.
    k : float
        Sparsity: a code has about ``c_strong + c_weak k`` entries; 1 <= k <= d. All that follows
        has the values of the preset lottery: one strong feature a sample, labels that noise
        does not blur.
    c_strong, c_weak : float
        Constants of the two events.
    weak_low, weak_high : float
        Bounds of the weak sizes, in units of 1/sqrt(k).
    noise : float
        sigma_x of the paper; E||xi||^2 = noise^2.
    label_margin : float
        Samples with a smaller |<w*, z>| are rejected.
    dictionary : ndarray, shape (d, d), or None
        M, orthonormal, features in its columns. None is the identity.
    labeler : ndarray, shape (d,), or None
        w*, every entry nonzero. None is all ones.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range, the probabilities exceed 1, or M is not orthonormal.

    Notes
    -----
    Source: Allen-Zhu & Li, arXiv 2005.10190, the sparse coding model. The paper needs
    ``|<w*, z>|`` to be bounded away from zero for all but a vanishing fraction of samples;
    ``label_margin`` enforces at finite d what is negligible as d grows.
    """

    d: int
    k: float
    c_strong: float = 1.0
    c_weak: float = 0.5
    weak_low: float = 1.0
    weak_high: float = 1.2
    noise: float = 0.1
    label_margin: float = 0.5
    dictionary: np.ndarray | None = None
    labeler: np.ndarray | None = None

    @classmethod
    def of(cls, config: "SparseCodingSettings", dictionary: np.ndarray | None = None,
           labeler: np.ndarray | None = None) -> "SparseCoding":
        """Return the data of a run; ``config`` has the numbers above as settings."""
        return cls(config.d, config.k, config.c_strong, config.c_weak, config.weak_low,
                   config.weak_high, config.noise, config.label_margin, dictionary, labeler)

    def __post_init__(self) -> None:
        require_int("d", self.d, low=1)
        require_real("k", self.k, low=1)
        if self.k > self.d:
            raise ValueError(f"k: expected at most d = {self.d}, got {self.k}: "
                             "a code has no more entries than there are features")
        for name in ("c_strong", "c_weak", "noise", "label_margin", "weak_low"):
            require_real(name, getattr(self, name), low=0.0)
        require_real("weak_high", self.weak_high, low=self.weak_low, why="it ends [low, high]")
        if self.activation_probability > 1.0:
            raise ValueError("c_strong + c_weak k: expected at most d = "
                             f"{self.d}, got {self.c_strong + self.c_weak * self.k:g}: "
                             "the events of a coordinate exclude each other")
        if self.activation_probability < 1e-12:
            raise ValueError("c_strong + c_weak k: expected at least 1e-12 d, got "
                             f"{self.c_strong + self.c_weak * self.k:g}: "
                             "nearly every code would be empty")
        if self.dictionary is not None:
            object.__setattr__(self, "dictionary",
                               require_orthonormal("dictionary", self.dictionary, self.d))
        if self.labeler is not None:
            labeler = require_array("labeler", self.labeler, (self.d,), why="one entry a feature",
                                    dtype=np.dtype(np.float64))
            if not np.all(np.isfinite(labeler) & (labeler != 0.0)):
                raise ValueError("labeler: expected finite nonzero entries: "
                                 "every feature carries a label")
            object.__setattr__(self, "labeler", labeler)

    @property
    def activation_probability(self) -> float:
        """``p = P(z_j != 0) = (c_strong + c_weak k) / d``, the k/d of the paper's mixtures.

        Before the rejection of small label margins.
        """
        return (self.c_strong + self.c_weak * self.k) / self.d

    @cached_property
    def signs(self) -> np.ndarray:
        """``w*``, shape (d,): the labeler, all ones where none was given."""
        return np.ones(self.d) if self.labeler is None else self.labeler

    @cached_property
    def dense_direction(self) -> np.ndarray:
        """``M w* / ||M w*||``, shape (d,): the direction all mixtures share."""
        direction = self.signs if self.dictionary is None else self.dictionary @ self.signs
        return direction / np.linalg.norm(direction)

    def __repr__(self) -> str:
        dictionary = "identity" if self.dictionary is None else "given"
        labeler = "ones" if self.labeler is None else "given"
        return (f"SparseCoding(d={self.d}, k={self.k:g}, c_strong={self.c_strong:g}, "
                f"c_weak={self.c_weak:g}, weak=[{self.weak_low:g}, {self.weak_high:g}], "
                f"noise={self.noise:g}, label_margin={self.label_margin:g}, "
                f"dictionary={dictionary}, labeler={labeler})")

    def sample(self, n: int, rng: Rng, dtype: DTypeLike = np.float64) -> Batch:
        """Draw n samples; ``rng`` is a seed or the generator to draw from.

        Work and memory beyond the inputs themselves grow with the number of nonzero
        coordinates, not with n d. Both dtypes get the same samples: the noise is drawn in
        float32, on a grid of 2^-24 in probability, up to 5.77 standard deviations.

        Returns
        -------
        Batch
            ``X`` (n, d), ``y`` (n,) with entries -1 and +1, ``codes`` (n, d) sparse.
        """
        require_int("n", n, low=0)
        rng = require_generator("rng", rng)
        codes, y = self._accepted_codes(n, rng)
        X = _normals((n, self.d), self.noise / np.sqrt(self.d), rng, dtype)
        if self.dictionary is None:
            X[_row_indices(codes), codes.indices] += codes.data
        else:
            X += codes @ self.dictionary.T
        return Batch(X, y.astype(dtype), codes)

    def _accepted_codes(self, n: int, rng: np.random.Generator) -> tuple[csr_array, np.ndarray]:
        """Draw codes until n of them pass the label margin; return the first n and labels."""
        kept: list[csr_array] = []
        scores: list[np.ndarray] = []
        have = tried = 0
        while have < n:
            # the acceptance rate seen so far sets how many more to draw, memory how many at once
            rate = have / tried if have else 0.5
            rows = min(int((n - have) / rate * 1.05) + 32, 4 * n + 4096)
            if tried > 1000 * (n + 32):
                raise ValueError(
                    f"label_margin: {have} of {tried} codes have |<w*, z>| >= "
                    f"{self.label_margin}: expected a margin that codes of this k reach")
            codes = self._codes(rows, rng)
            score = codes @ self.signs
            accept = np.flatnonzero(np.abs(score) >= self.label_margin)
            kept.append(codes[accept])
            scores.append(score[accept])
            have += len(accept)
            tried += rows
        if not kept:
            return csr_array((0, self.d)), np.empty(0)
        codes = kept[0] if len(kept) == 1 else _stack(kept)
        y = np.sign(np.concatenate(scores)[:n])
        ties = np.flatnonzero(y == 0.0)
        y[ties] = rng.choice([-1.0, 1.0], size=len(ties))
        return codes[:n], y

    def _codes(self, n: int, rng: np.random.Generator) -> csr_array:
        """Draw n codes without a label margin, as a sparse (n, d) array."""
        p = self.activation_probability
        cells = _bernoulli_positions(n * self.d, p, rng)
        strong = rng.random(len(cells)) * (self.c_strong + self.c_weak * self.k) < self.c_strong
        size = rng.uniform(self.weak_low, self.weak_high, len(cells)) / np.sqrt(self.k)
        size[strong] = 1.0
        size *= 1.0 - 2.0 * rng.integers(0, 2, len(cells))
        row_starts = np.searchsorted(cells, np.arange(n + 1) * self.d)
        return csr_array((size, cells % self.d, row_starts), shape=(n, self.d))

    def growth_rate(self, rng: Rng = 0, samples: int = 200_000) -> float:
        """Estimate ``g0 = (1/2) mean_j E[y sign(w*_j) z_j 1{|z_j| = 1}]``.

        At f = 0 the loss gradient pulls a neuron that fires on the strong part of one feature
        along that feature at this rate; the bias schedule follows it. (The sign makes the
        definition meaningful for a labeler with entries other than +-1.)
        """
        require_int("samples", samples, low=1)
        codes, y = self._accepted_codes(samples, require_generator("rng", rng))
        strong = np.abs(codes.data) == 1.0
        rows = _row_indices(codes)[strong]
        pull = y[rows] * codes.data[strong] * np.sign(self.signs[codes.indices[strong]])
        return float(0.5 * pull.sum() / (samples * self.d))


def random_dictionary(d: int, rng: Rng = 0) -> np.ndarray:
    """Draw an orthonormal (d, d) matrix from the Haar distribution."""
    require_int("d", d, low=1)
    Q, R = np.linalg.qr(require_generator("rng", rng).standard_normal((d, d)))
    return Q * np.sign(np.diag(R))


def random_signs(d: int, rng: Rng = 0) -> np.ndarray:
    """Draw a labeler w* with independent entries -1 and +1, shape (d,)."""
    require_int("d", d, low=1)
    return require_generator("rng", rng).choice([-1.0, 1.0], size=d)


def _bernoulli_positions(cells: int, p: float, rng: np.random.Generator) -> np.ndarray:
    """Return the ascending positions of the successes in ``cells`` Bernoulli(p) trials.

    The gaps between successes are geometric, so only the successes are drawn.
    """
    expected = cells * p
    draws = int(expected + 4.0 * np.sqrt(expected)) + 16
    positions = np.cumsum(rng.geometric(p, draws)) - 1
    while positions[-1] < cells:
        more = positions[-1] + np.cumsum(rng.geometric(p, draws))
        positions = np.concatenate([positions, more])
    return positions[: np.searchsorted(positions, cells)]


def _normals(shape: tuple[int, int], scale: float, rng: np.random.Generator,
             dtype: DTypeLike) -> np.ndarray:
    """Draw ``N(0, scale^2)`` by Box & Muller: two uniforms give two normals.

    In float32 and in blocks that stay in the cache this is several times faster than
    ``rng.standard_normal``, which would be the larger part of a training step.
    """
    size = shape[0] * shape[1]
    normals = np.empty(size + size % 2, dtype)
    if scale == 0.0:
        normals[:] = 0.0
        return normals[:size].reshape(shape)
    for first in range(0, len(normals), NOISE_BLOCK):
        block = normals[first:first + NOISE_BLOCK]
        half = len(block) // 2
        radius, angle = rng.random((2, half), dtype=np.float32)
        np.subtract(np.float32(1.0), radius, out=radius)  # (0, 1]: the logarithm is finite
        np.log(radius, out=radius)
        radius *= np.float32(-2.0 * scale * scale)
        np.sqrt(radius, out=radius)
        angle *= np.float32(2.0 * np.pi)
        np.multiply(np.cos(angle), radius, out=block[:half])
        np.multiply(np.sin(angle, out=angle), radius, out=block[half:])
    return normals[:size].reshape(shape)


def _row_indices(codes: csr_array) -> np.ndarray:
    return np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))


def _stack(blocks: list[csr_array]) -> csr_array:
    data = np.concatenate([block.data for block in blocks])
    indices = np.concatenate([block.indices for block in blocks])
    lengths = np.concatenate([np.diff(block.indptr) for block in blocks])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return csr_array((data, indices, starts), shape=(len(lengths), blocks[0].shape[1]))
