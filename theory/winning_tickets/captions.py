"""What to see in each figure of a run, and what the run shows in two sentences."""

from simulator.experiments.winning_tickets.config import OTHERS
from theory.claim import Run
from theory.pages.conclusions import disjoint, percent
from theory.winning_tickets.quantities import best_ticket, percents, value

__all__ = ["CAPTIONS", "conclusion"]

ERROR = "trajectory_error"

CAPTIONS = {
    "errors": "The lower, the better a mask keeps the dynamics of the dense network; compare the "
              "masks that were searched with random ones of the same size. Bars are 95 % limits "
              "over the samples (jackknife).",
    "accuracy": "Whether a masked network learns what the dense one learns: the line is the dense "
                "network, each mark a mask.",
    "training": "Above, how far the outputs of a mask are from those of the dense network along "
                "training: see when they part. Below, its loss under its own attacks. Bands are "
                "95 % limits over the samples (jackknife).",
    "where": "Which weights a mask keeps: large or small ones, in few neurons or in all.",
    "flow": "See how far the distance of the frozen flows stays below its bound. Bands are 95 % "
            "limits over the samples (jackknife over groups of them).",
}


def conclusion(run: Run) -> str:
    """Return what the run shows: does a search keep the dynamics better than what needs none?"""
    few = percents([run])[-1]
    ticket = best_ticket(run, few)
    other = min((name for name in OTHERS if name in run.config.masks),
                key=lambda name: value(run, name, ERROR, few))
    error = {name: value(run, name, ERROR, few) for name in (ticket, other)}
    before = (f"With {few} % of the weights kept, the outputs along adversarial training are "
              f"{error[ticket]:.2g} (relative error) from those of the dense network with the best "
              f"mask that was searched ({ticket}), {error[other]:.2g} with the best of the others "
              f"({other})")
    said = {1: "the search is worse than no search", -1: "the search keeps the dynamics better",
            0: "the samples do not tell the two apart"}
    attacked = {name: value(run, name, "attacked_accuracy", few)
                for name in ("dense", ticket, other)}
    return (f"{before}: {said[_worse(run, ticket, other, few)]}. Under attack at radius "
            f"{run.config.tau:.3g} hold: dense {percent(attacked['dense'])}, {ticket} "
            f"{percent(attacked[ticket])}, {other} {percent(attacked[other])}.")


def _worse(run: Run, ticket: str, other: str, few: int) -> int:
    """1 where the ticket's error is the larger one, by more than the samples leave open."""
    limits = run.limits.get(f"{ERROR}_{few}")
    ends = [(value(run, name, ERROR, few),) * 2 if limits is None else tuple(
        map(float, limits[:, run.config.masks.index(name)])) for name in (ticket, other)]
    return disjoint((ends[0][0], ends[0][1]), (ends[1][0], ends[1][1]))
