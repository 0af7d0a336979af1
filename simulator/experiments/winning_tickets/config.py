"""The settings of a ticket run, and the names of its masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from simulator.checks import require_int
from simulator.experiments.settings import SparseCodingSettings

if TYPE_CHECKING:
    from simulator.experiments.winning_tickets.experiment import TicketExperiment

__all__ = ["CONFIG", "FLOWS", "MASKS", "OTHERS", "RULES", "TICKETS", "TRAINED", "TicketConfig"]

# dynamics-preserving: outputs and kernel, one of them, both with swaps, both with whole neurons
TICKETS = ("ticket", "output-ticket", "kernel-ticket", "swapped-ticket", "neuron-ticket")
OTHERS = ("random", "neurons", "magnitude", "snip", "saliency", "lottery")
MASKS = (*TICKETS, *OTHERS)  # over fixed weights
FLOWS = ("ticket", "random", "magnitude")  # whose frozen flows have limits over their samples
TRAINED = "weights-and-mask"  # the ticket whose surviving weights are trained too
RULES = {"none": ("none",), "weights": ("weights",), "outputs": ("outputs",),
         "better": ("weights", "outputs")}


@dataclass(frozen=True, kw_only=True)
class TicketConfig(SparseCodingSettings):
    """Settings of a ticket run.

    Beside the settings of :class:`~simulator.experiments.settings.SparseCodingSettings`, with the
    identity for the dictionary and w* all ones:

    Attributes
    ----------
    init_scale, bias : float
        sigma_0 and the constant threshold b.
    keep_percents : str
        Percentages of weights to keep, "50-20-10".
    rescaling : "none", "weights", "outputs" or "better"
        See :class:`simulator.tickets.masks.Rescaling`; "better" gives every mask the one of
        "weights" and "outputs" with the smaller objective.
    gamma : float
        Factor of the kernel's part of the objective.
    search_samples, search_steps : int
        Fresh adversarial examples of each step of the straight-through search; steps.
    search_rate : float
        Its first step, in standard deviations of the scores.
    swaps : int
        Greedy swaps tried.
    learning_rate, weight_decay : float
        eta and lam.
    batch_size, steps : int
        Of every training; fresh samples.
    tau : float
        l2 radius of training (FGM) and of attacked accuracy.
    kernel_samples, flow_samples, test_samples : int
        Samples of kernel and trajectory errors, of the frozen flow, of the accuracies.
    evaluation_chunk : int
        Samples attacked together (the last bit of a product depends on it).
    record_every : int
        Steps between recorded outputs.
    dtype : "float64" or "float32"
        Of the training; kernels are always float64.
    threads : int
    transfer_steps : int
        Steps in which the ticket :data:`TRAINED` finds its weights and its mask, before any label
        is seen (:func:`simulator.tickets.trained.trained_ticket`); 0 leaves it out.
    transfer_rate : float
        Of these steps, in standard deviations of the weights.
    """

    init_scale: float
    bias: float
    keep_percents: str
    rescaling: str
    gamma: float
    search_samples: int
    search_steps: int
    search_rate: float
    swaps: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    steps: int
    tau: float
    kernel_samples: int
    flow_samples: int
    test_samples: int
    evaluation_chunk: int
    record_every: int
    dtype: str
    threads: int
    transfer_steps: int
    transfer_rate: float

    MODEL: ClassVar[str] = "tickets"
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"rescaling": tuple(RULES)}
    ZERO_ALLOWED: ClassVar[tuple[str, ...]] = ("search_steps", "swaps", "transfer_steps")
    POSITIVE: ClassVar[tuple[str, ...]] = ("init_scale", "learning_rate", "tau", "transfer_rate")
    LATER: ClassVar[Mapping[str, Any]] = {"evaluation_chunk": 1000, "transfer_steps": 0,
                                          "transfer_rate": 0.3}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("record_every", self.record_every, high=self.steps,
                    why="a trajectory needs a recorded step")
        if self.transfer_steps and self.bias == 0.0:
            raise ValueError("bias: expected more than 0, got 0: a ticket whose weights are "
                             "trained needs one kink at a time (transfer_steps=0 leaves it out)")
        if len(set(self.percents)) < len(self.percents):
            raise ValueError(f"keep_percents: expected different numbers, got "
                             f"{self.keep_percents}")

    @property
    def percents(self) -> tuple[int, ...]:
        """Kept percentages in the order given."""
        words = self.keep_percents.split("-")
        if not all(word.isdecimal() and 1 <= int(word) <= 99 for word in words):
            raise ValueError("keep_percents: expected whole numbers from 1 to 99 joined by -, "
                             f"as in 50-20-10, got {self.keep_percents}")
        return tuple(int(word) for word in words)

    @property
    def masks(self) -> tuple[str, ...]:
        """The names of the masks of a run."""
        return (*MASKS, TRAINED) if self.transfer_steps else MASKS

    @property
    def size(self) -> tuple[int, int]:
        """d and m."""
        return self.d, self.m

    def experiment(self, **parts: Any) -> "TicketExperiment":
        """Return the objects of a run of these settings."""
        from simulator.experiments.winning_tickets.experiment import TicketExperiment
        return TicketExperiment(self, **parts)


CONFIG = TicketConfig
