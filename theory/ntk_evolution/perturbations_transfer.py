"""C5 (Tsilivis & Kempe, arXiv 2210.05577): what breaks the frozen kernel breaks the network.

Adversarial examples made on a linearised network, trained benignly on a frozen kernel, and shown to
the network that was trained in full.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from theory.claim import Claim, Finding, Run, at_least, at_most
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.ntk_evolution.assumptions import LEARNED, PASSED_ON
from theory.ntk_evolution.plans import KERNELS
from theory.ntk_evolution.quantities import MODES, Groups

__all__ = ["CLAIM", "RUNS", "confront", "harm", "transfers"]

HALF, CHANCE = 0.5, 0.1
OWN = "harm to the {} network of examples made on its own frozen kernel, over the harm of its own"
RANDOM = "harm to the {} network of random perturbations, over the harm of its own"

CLAIM = Claim(
    id="C5", title="what breaks the frozen kernel breaks the network",
    statement="Adversarial examples that are made on a frozen kernel, without seeing the network "
              "trained, transfer to it.",
    source="Tsilivis & Kempe, arXiv 2210.05577: perturbations made from the kernel transfer; "
           "passing examples on between networks and kernels is in the code of Loo et al. (arXiv "
           "2210.12030). Readings: the kernel is that of the first regular checkpoint after the "
           "start, learned benignly and centred; \"transfer\" is half of the harm of the network's "
           "own examples, where random perturbations of the same length do a tenth at most.",
    assumptions=(LEARNED, PASSED_ON),
    quantity="accuracy of the trained network that is lost under examples made on the kernel of "
             "its own training, over what is lost under examples made on the network itself (PGD; "
             "the universal direction is not used); the same under random perturbations",
    law="at least 0.5 for clean and for adversarial training; of random perturbations at most 0.1 "
        "for clean training",
    expected=1.0,
    thresholds={**{OWN.format(mode): at_least(HALF) for mode in MODES},
                RANDOM.format("clean"): at_most(CHANCE)},
    fixed="2026-11-27")
RUNS = KERNELS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront C5 with runs."""
    return confronted(CLAIM, runs, _measure)


def harm(run: Run, source: str, target: str) -> float:
    """Return the accuracy that a network loses under the examples of a source."""
    rows = {(row["source"], row["target"]): float(row["accuracy"])
            for row in run.summary["transfer"]}
    return rows["none", target] - rows.get((source, target), math.nan)


def transfers(run: Run, source: str, target: str) -> float:
    """Return :func:`harm` over that of the target's own examples; NaN where those do none."""
    own = harm(run, target, target)
    return harm(run, source, target) / own if own > 0.0 else math.nan


def _kernel(run: Run, mode: str) -> str:
    """The name of the first regular frozen kernel of a training."""
    return f"kernel of {mode}, {run.config.regular_times[1]}"


def _measure(groups: Groups) -> Evidence:
    parts = [at_every_size(OWN.format(mode), values_of(
        groups, lambda run: transfers(run, _kernel(run, mode), mode)), CLAIM) for mode in MODES]
    parts.append(at_every_size(RANDOM.format("clean"), values_of(
        groups, lambda run: transfers(run, "random", "clean")), CLAIM))
    kinds = _kinds(groups)
    parts += [at_every_size(
        f"harm to the {target} network of examples of {words}, over that of its own", values_of(
            groups, lambda run: transfers(run, source(run), target)), (-math.inf, math.inf),
        decisive=False) for target in kinds for words, _, source in _sources(kinds)]
    return Evidence(parts, _picture(groups), [])


def _kinds(groups: Groups) -> list[str]:
    run = next(iter(groups.values()))[0]
    return [mode for mode in (*MODES, "mixed") if mode in run.summary]


def _sources(kinds: Sequence[str]) -> list[tuple[str, str, Callable[[Run], str]]]:
    """Words, a tick's name and the source itself, of networks and of kernels."""
    return [*((f"the {mode} network", f"{mode}\nnetwork", partial(_same, mode))
              for mode in kinds),
            ("the linear classifier", "linear", partial(_same, "linear")),
            ("chance", "random", partial(_same, "random")),
            ("the kernel of the start", "start\nkernel", partial(_same, "kernel of the start")),
            *((f"the kernel of {mode} training", f"{mode}\nkernel", partial(_kernel, mode=mode))
              for mode in kinds)]


def _same(name: str, run: Run) -> str:
    return name


def _picture(groups: Groups) -> Picture:
    """Accuracy lost under the examples of each source, and what decides, at the first size."""
    size, kinds = next(iter(groups)), _kinds(groups)
    group, sources = groups[size], _sources(kinds)
    roles = dict(zip(kinds, ("clean", "adversarial", "other")))

    def panel(chosen: Sequence[tuple[str, str, Callable[[Run], str]]]) -> Panel:
        series = []
        for target in kinds:
            values = np.array([[harm(run, source(run), target) for *_, source in chosen]
                               for run in group])
            series.append(Series(f"{target} network", np.arange(len(chosen), dtype=float),
                                 values, roles[target]))
        return Panel("examples made on", "accuracy lost under them", tuple(series),
                     ticks=tuple(name for _, name, _ in chosen), ylim=(-0.05, 1.0))

    def over_own(label: str, source: Callable[[Run, str], str], role: str) -> Series:
        return Series(label, np.arange(len(MODES), dtype=float), np.array(
            [[transfers(run, source(run, mode), mode) for mode in MODES] for run in group]), role)

    decides = Panel(
        "network", "harm over that of its own", (over_own("its frozen kernel", _kernel, "other"),
                                                 over_own("random", lambda run, mode: "random",
                                                          "linear")),
        (Curve("kernel: accepted from here", (-0.4, len(MODES) - 0.6), (HALF, HALF)),),
        ticks=MODES)
    return Picture(
        f"Accuracy that the trained networks lose under the adversarial examples of others at "
        f"{size}: examples made on networks, and random perturbations of the same length; made on "
        "frozen kernels; and the harm of a network's own frozen kernel over that of its own "
        "examples.",
        (panel(sources[:len(kinds) + 2]), panel(sources[len(kinds) + 2:]), decides))
