"""The settings of a kernel run; see :mod:`simulator.experiments.ntk_evolution.run`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from simulator.checks import require_int
from simulator.experiments.settings import SparseCodingSettings

if TYPE_CHECKING:
    from simulator.experiments.ntk_evolution.experiment import NTKExperiment

__all__ = ["CONFIG", "MODES", "NTKConfig", "SHORT"]

SHORT = ("clean", "adversarial")  # kinds of training in phase 1
# ... as published: both updates for every batch; clean, from half time on adversarial
MODES = (*SHORT, "mixed", "flip")


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
    protocol : "short" or "published"
        Which trainings there are; see :data:`MODES`, :attr:`NTKConfig.regular_times` and
        :func:`~simulator.experiments.ntk_evolution.summary.frozen_trainings`.
    early_freezes : int
        Kernels frozen before the first of ``freeze_every``, at a half, a quarter, ... of it.
    transfer_samples : int
        Test samples whose adversarial examples are passed on from each network to each other; 0
        leaves that out.
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
    protocol: str
    early_freezes: int
    transfer_samples: int

    MODEL: ClassVar[str] = "ntk"
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"training_attack": ("fgm", "pgd"),
                                                        "protocol": ("short", "published")}
    ZERO_ALLOWED: ClassVar[tuple[str, ...]] = ("early_freezes", "transfer_samples")
    POSITIVE: ClassVar[tuple[str, ...]] = ("bias", "init_scale", "learning_rate", "tau",
                                           "frozen_learning_rate")
    LATER: ClassVar[Mapping[str, Any]] = {"protocol": "short", "early_freezes": 0,
                                          "transfer_samples": 0}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("freeze_every", "record_every"):
            if self.steps % getattr(self, name):
                raise ValueError(f"{name}: expected a divisor of steps = {self.steps}, got "
                                 f"{getattr(self, name)}: the last step is one of them")
        if self.freeze_every < 2**self.early_freezes:
            raise ValueError(f"early_freezes: expected no more halves than freeze_every = "
                             f"{self.freeze_every} has, got {self.early_freezes}")
        require_int("transfer_samples", self.transfer_samples, high=self.test_samples,
                    why="they are test samples")

    @property
    def modes(self) -> tuple[str, ...]:
        """The kinds of training of phase 1."""
        return SHORT if self.protocol == "short" else MODES

    @property
    def regular_times(self) -> tuple[int, ...]:
        """The phase-1 times with phase 2 on benign and attacked data; 0 is the initialisation.

        Every ``freeze_every`` steps; as published at once, twice, four times, ... so many, and in
        the end.
        """
        if self.protocol == "short":
            return tuple(range(0, self.steps + 1, self.freeze_every))
        doubled = [self.freeze_every << times for times in range(self.steps.bit_length())]
        return 0, *(time for time in doubled if time < self.steps), self.steps

    @property
    def freeze_times(self) -> tuple[int, ...]:
        """All phase-1 times at which a kernel is frozen, ascending."""
        early = {self.freeze_every >> halves for halves in range(1, self.early_freezes + 1)}
        return tuple(sorted(early | set(self.regular_times)))

    @property
    def flip_step(self) -> int:
        """The step of phase 1 at which a flip turns adversarial."""
        return self.steps // 2

    def experiment(self, **parts: Any) -> "NTKExperiment":
        """Return the objects of a run of these settings."""
        from simulator.experiments.ntk_evolution.experiment import NTKExperiment
        return NTKExperiment(self, **parts)


CONFIG = NTKConfig
