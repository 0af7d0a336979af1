"""C1 (Loo et al., arXiv 2210.12030): the kernel moves early, then is lazy.

Share of the kernel's path in the first quarter of training, and its late over its early velocity.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from theory.claim import Claim, Finding, Run, Size, at_least, at_most
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import (Evidence, at_every_size, confronted, series_over_sizes, size_names,
                             values_of)
from theory.ntk_evolution.assumptions import LEARNED, SOURCE
from theory.ntk_evolution.plans import KERNELS
from theory.ntk_evolution.quantities import (MODES, Groups, late_velocity, lazy_velocity,
                                             path_length, path_share, velocities)

__all__ = ["CLAIM", "RUNS", "confront"]

COVERED, LAZY = 0.5, 0.1  # at least, at most

CLAIM = Claim(
    id="C1", title="the kernel moves early, then is lazy",
    statement="In clean as in adversarial training the empirical tangent kernel changes fast at "
              "the start and hardly at all afterwards.",
    source=f"{SOURCE}, which finds this for deep networks in both kinds of training. \"Early\" "
           "is read as: the first quarter of training covers more than half of the kernel's "
           "path, and the velocity of the last quarter is at most a tenth of the first's.",
    assumptions=(LEARNED,),
    quantity="share of the kernel's path (sum of S(K_t, K_(t+dt))) in the first quarter of phase "
             "1; mean velocity in the last quarter over that in the first",
    law="share at least 0.5 and velocity ratio at most 0.1, in both kinds of training",
    expected=1.0,
    thresholds={f"{name}, {mode} training": limits for mode in MODES for name, limits in (
        ("path in the first quarter", at_least(COVERED)),
        ("late over early velocity", at_most(LAZY, 0.0)))},
    fixed="2026-11-21")
RUNS = KERNELS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront C1 with runs."""
    return confronted(CLAIM, runs, _measure)


def _measure(groups: Groups) -> Evidence:
    shares = {mode: values_of(groups, lambda run: path_share(run, mode)) for mode in MODES}
    lazy = {mode: values_of(groups, lambda run: lazy_velocity(run, mode)) for mode in MODES}
    slower = values_of(groups, lambda run: _adversarial_over_clean(run, late_velocity))
    longer = values_of(groups, lambda run: _adversarial_over_clean(run, path_length))
    parts = [at_every_size(f"path in the first quarter, {mode} training", shares[mode], CLAIM)
             for mode in MODES]
    parts += [at_every_size(f"late over early velocity, {mode} training", lazy[mode], CLAIM)
              for mode in MODES]
    parts += [at_every_size("late velocity, adversarial over clean", slower, (0.0, 1.0),
                            logarithms=True, decisive=False),
              at_every_size("length of the path, adversarial over clean", longer, (0.0, np.inf),
                            logarithms=True, decisive=False)]
    size, ends = next(iter(groups)), (-0.4, len(groups) - 0.6)
    picture = Picture(
        f"Velocity of the kernel over phase 1 at {size}, the share of its path that lies in the "
        "first quarter, and its mean velocity in the last quarter over that in the first.",
        (Panel("phase-1 step", "kernel velocity $S(K_t, K_{t+dt})/dt$",
               tuple(_velocity_series(groups[size], mode) for mode in MODES), log="y"),
         Panel("$d, k$", "path in the first quarter",
               tuple(series_over_sizes(mode, shares[mode], mode, list(groups)) for mode in MODES),
               (Curve("accepted from here", ends, (COVERED, COVERED)),),
               ticks=size_names(list(groups)), ylim=(0.0, 1.05)),
         Panel("$d, k$", "late velocity / early velocity",
               tuple(series_over_sizes(mode, lazy[mode], mode, list(groups)) for mode in MODES),
               (Curve("accepted up to here", ends, (LAZY, LAZY)),),
               ticks=size_names(list(groups)), log="y")))
    return Evidence(parts, picture, _slower(slower))


def _adversarial_over_clean(run: Run, of: Callable[[Run, str], float]) -> float:
    """A ratio; NaN where the kernel of clean training does not move at all."""
    clean = of(run, "clean")
    return of(run, "adversarial") / clean if clean > 0.0 else math.nan


def _slower(slower: Mapping[Size, np.ndarray]) -> list[str]:
    """Say where this model disagrees with deep networks on how fast adversarial training is."""
    return [f"at {size} the kernel of adversarial training still moves {seeds.mean():.3g} times "
            "as fast in the last quarter as that of clean training: here it is slower to become "
            "lazy, where the paper's deep networks converge rapidly in both"
            for size, seeds in slower.items() if np.isfinite(seeds).all() and (seeds > 1.0).all()]


def _velocity_series(group: Sequence[Run], mode: str) -> Series:
    found = [velocities(run, mode) for run in group]
    return Series(f"{mode} training", found[0][0], np.array([speed for _, speed in found]), mode,
                  joined=True)
