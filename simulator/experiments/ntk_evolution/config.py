"""The settings of a kernel run; see :mod:`simulator.experiments.ntk_evolution.run`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from simulator.experiments.settings import SparseCodingSettings

if TYPE_CHECKING:
    from simulator.experiments.ntk_evolution.experiment import NTKExperiment

__all__ = ["CONFIG", "NTKConfig"]


@dataclass(frozen=True, kw_only=True)
class NTKConfig(SparseCodingSettings):
    """Settings of a kernel run.

    Beside the settings of :class:`~simulator.experiments.settings.SparseCodingSettings`, with the
    identity for the dictionary and w* all ones (everything here turns with the dictionary):

    Attributes
    ----------
    bias : float
        b, the same throughout.
    init_scale : float
        sigma_0.
    learning_rate, weight_decay : float
        eta and lam of phase 1.
    batch_size : int
        Fresh samples of every step, in both phases.
    steps : int
        Length of phase 1.
    tau : float
        l2 radius of adversarial training and of the attacked accuracy.
    training_attack : "fgm" or "pgd"
        With ``training_pgd_steps``; in both phases.
    training_pgd_steps : int
    record_every : int
        Steps of phase 1 between two measurements of the kernel.
    freeze_every : int
        Steps of phase 1 between two kernels that phase 2 freezes; divides ``steps``.
    frozen_steps : int
        Length of phase 2.
    frozen_learning_rate, frozen_weight_decay : float
        eta and lam (ridge) of phase 2.
    probe_samples : int
        Samples on which kernels are compared along the training.
    spectrum_samples : int
        Samples for the spectra and eigenvectors of the first and the last kernels: with few,
        sampling decides which of many alike features lead.
    test_samples : int
        Fresh samples for every reported accuracy.
    evaluation_chunk : int
        Samples evaluated together (the last bit of a product depends on it).
    dtype : "float64" or "float32"
    threads : int
        BLAS and Numba threads (the last bit of a product depends on it).
    """

    bias: float
    init_scale: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    steps: int
    tau: float
    training_attack: str
    training_pgd_steps: int
    record_every: int
    freeze_every: int
    frozen_steps: int
    frozen_learning_rate: float
    frozen_weight_decay: float
    probe_samples: int
    spectrum_samples: int
    test_samples: int
    evaluation_chunk: int
    dtype: str
    threads: int

    MODEL: ClassVar[str] = "ntk"
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"training_attack": ("fgm", "pgd")}
    POSITIVE: ClassVar[tuple[str, ...]] = ("bias", "init_scale", "learning_rate", "tau",
                                           "frozen_learning_rate")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("freeze_every", "record_every"):
            if self.steps % getattr(self, name):
                raise ValueError(f"{name}: expected a divisor of steps = {self.steps}, got "
                                 f"{getattr(self, name)}: the last step is one of them")

    @property
    def freeze_times(self) -> tuple[int, ...]:
        """The phase-1 times at which a kernel is frozen; 0 is the initialisation."""
        return tuple(range(0, self.steps + 1, self.freeze_every))

    def experiment(self, **parts: Any) -> "NTKExperiment":
        """Return the objects of a run of these settings."""
        from simulator.experiments.ntk_evolution.experiment import NTKExperiment
        return NTKExperiment(self, **parts)


CONFIG = NTKConfig
