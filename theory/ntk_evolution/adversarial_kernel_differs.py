"""C2 (Loo et al., arXiv 2210.12030): adversarial training has another kernel.

Distance between the kernels of the two trainings, over that of independent runs of one kind.
"""

from collections.abc import Sequence

from theory.claim import Claim, Finding, Run, at_least
from theory.drawing.picture import Curve, Panel, Picture
from theory.evidence import Evidence, at_every_size, series_over_sizes, size_names, values_of
from theory.ntk_evolution.assumptions import HARDENED, LEARNED, SOURCE
from theory.ntk_evolution.mixed import confronted_twice
from theory.ntk_evolution.plans import KERNELS
from theory.ntk_evolution.quantities import Groups, last_record

__all__ = ["CLAIM", "RUNS", "confront"]

CLAIM = Claim(
    id="C2", title="adversarial training has another kernel",
    statement="Adversarial training converges to a kernel different from that of clean training: "
              "the kernels of the two are further apart than those of independent runs of the "
              "same kind.",
    source=f"{SOURCE}. That \"further\" means twice the larger distance within a kind is a "
           "reading.",
    assumptions=(LEARNED, HARDENED),
    quantity="S(K_clean, K_adversarial) at the end of phase 1, over the larger of the distances "
             "between two independent clean runs and two independent adversarial runs",
    law="at least 2 at every size",
    expected=2.0,
    thresholds={"distance between kinds over within a kind": at_least(2.0)},
    fixed="2026-11-21")
RUNS = KERNELS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront C2 with runs."""
    return confronted_twice(CLAIM, runs, _measure)


def _measure(groups: Groups) -> Evidence:
    names = ("between", "within_clean", "within_adversarial")
    values = {name: values_of(groups, lambda run: run.summary[name]) for name in names}
    ratio = values_of(groups, lambda run: run.summary["between"] / max(
        run.summary["within_clean"], run.summary["within_adversarial"]))
    part = at_every_size("distance between kinds over within a kind", ratio, CLAIM,
                         logarithms=True)
    purer = at_every_size(
        "distance to the pure kernel at the end, adversarial over clean training",
        values_of(groups, lambda run: last_record(run, "adversarial", "distance_to_pure")
                  / last_record(run, "clean", "distance_to_pure")), (0.0, 1.0), logarithms=True,
        decisive=False)
    order, roles = list(groups), ("other", "clean", "adversarial")
    picture = Picture(
        "Distance of the final kernels of clean and adversarial training, and of independent "
        "runs of one kind.",
        (Panel("$d, k$", "kernel distance $S$",
               tuple(series_over_sizes(name.replace("_", " "), values[name], role, order)
                     for name, role in zip(names, roles)), log="y", ticks=size_names(order)),
         Panel("$d, k$", "between / within", (series_over_sizes("ratio", ratio, "other", order),),
               (Curve("accepted from here", (-0.4, len(order) - 0.6), (2.0, 2.0)),),
               ticks=size_names(order))))
    return Evidence([part, purer], picture, [
        f"smallest ratio of a single seed at {size}: {seeds.min():.3g}"
        for size, seeds in ratio.items()])
