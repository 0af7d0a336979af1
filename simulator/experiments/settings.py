"""The settings of sparse-coding data, which the runs of three papers share, and their law."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.checks import require_int
from simulator.runs.config import Config

if TYPE_CHECKING:
    import numpy as np

    from simulator.data.sparse_coding import SparseCoding

__all__ = ["SparseCodingSettings"]


@dataclass(frozen=True, kw_only=True)
class SparseCodingSettings(Config):
    """Settings of a run on sparse-coding data.

    Attributes
    ----------
    name : str
        Label of the run folder; presets use their own name.
    seed : int
        Seed of every random stream.
    d, k, m : int
        Dimension, sparsity, neurons.
    c_strong, c_weak, weak_low, weak_high, noise, label_margin : float
        The data; see :class:`simulator.data.sparse_coding.SparseCoding`.
    """

    name: str
    seed: int
    d: int
    k: int
    m: int
    c_strong: float
    c_weak: float
    weak_low: float
    weak_high: float
    noise: float
    label_margin: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("k", self.k, high=self.d,
                    why="a code has no more entries than there are features")

    @property
    def size(self) -> tuple[int, int]:
        """d and k."""
        return self.d, self.k

    def sparse_coding(self, dictionary: "np.ndarray | None" = None,
                      labeler: "np.ndarray | None" = None) -> "SparseCoding":
        """Return the data model.

        Raises
        ------
        ValueError
            Settings that fit no data; among them a label margin that no code reaches, which
            must be told before a folder is made.
        """
        from simulator.data.sparse_coding import SparseCoding
        from simulator.randomness import Role, stream
        data = SparseCoding.of(self, dictionary, labeler)
        data.sample(1, stream(self.seed, Role.CALIBRATION))
        return data
