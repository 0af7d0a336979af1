"""C1 (Loo et al., arXiv 2210.12030; Tsilivis & Kempe, arXiv 2210.05577): moves, then is lazy.

Share of the kernel's path in the first quarter of training, its late over its early velocity, and
how early it has come near its last value, under both kinds of training.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from theory.claim import Claim, Finding, Run, Size, at_least, at_most
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, series_over_sizes, size_names, values_of
from theory.ntk_evolution.assumptions import FOLLOWED, LEARNED, SOURCE
from theory.ntk_evolution.mixed import confronted_twice
from theory.ntk_evolution.plans import KERNELS
from theory.ntk_evolution.quantities import (MODES, Groups, late_velocity, lazy_velocity,
                                             path_length, path_share, settled, velocities)

__all__ = ["CLAIM", "RUNS", "confront"]

COVERED, LAZY = 0.5, 0.1  # at least, at most
NEAR = 0.1  # of the way to the last kernel: what is left where it counts as settled
SHARES = (0.25, NEAR, 0.05)  # of which NEAR decides
EARLIER = "time within 10 % of the last kernel, adversarial over clean training"

CLAIM = Claim(
    id="C1", title="the kernel moves early, then is lazy, under attack sooner",
    statement="In clean as in adversarial training the empirical tangent kernel changes fast at "
              "the start and hardly at all afterwards; under adversarial training it is lazy "
              "earlier.",
    source=f"{SOURCE}: under adversarial training the kernel \"rapidly converges to a different "
           "kernel\". That it is lazy much earlier there is what Tsilivis & Kempe (arXiv "
           "2210.05577) say; both of deep networks. Readings: the first quarter of training covers "
           "more than half of the kernel's path, the velocity of the last quarter is at most a "
           "tenth of the first's, and \"earlier\" is the step from which on the distance to the "
           "last kernel stays below a tenth of what it was at the start.",
    assumptions=(LEARNED, FOLLOWED),
    quantity="share of the kernel's path (sum of S(K_t, K_(t+dt))) in the first quarter of phase "
             "1; mean velocity in the last quarter over that in the first; step from which on "
             "S(K_t, K_end) is at most a tenth of S(K_0, K_end), adversarial over clean",
    law="share at least 0.5 and velocity ratio at most 0.1 in both kinds of training, the step at "
        "most that of clean training",
    expected=1.0,
    thresholds={**{f"{name}, {mode} training": limits for mode in MODES for name, limits in (
        ("path in the first quarter", at_least(COVERED)),
        ("late over early velocity", at_most(LAZY, 0.0)))}, EARLIER: at_most(1.0, 0.0)},
    fixed="2026-11-27")
RUNS = KERNELS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront C1 with runs."""
    return confronted_twice(CLAIM, runs, _measure)


def _measure(groups: Groups) -> Evidence:
    shares = {mode: values_of(groups, lambda run: path_share(run, mode)) for mode in MODES}
    lazy = {mode: values_of(groups, lambda run: lazy_velocity(run, mode)) for mode in MODES}
    slower = values_of(groups, lambda run: _adversarial_over_clean(run, late_velocity))
    longer = values_of(groups, lambda run: _adversarial_over_clean(run, path_length))
    parts = [at_every_size(f"path in the first quarter, {mode} training", shares[mode], CLAIM)
             for mode in MODES]
    parts += [at_every_size(f"late over early velocity, {mode} training", lazy[mode], CLAIM)
              for mode in MODES]
    near = {mode: {share: values_of(groups, lambda run: settled(run, mode, share))
                   for share in SHARES} for mode in MODES}
    sooner = values_of(groups, lambda run: _adversarial_over_clean(
        run, lambda run, mode: settled(run, mode, NEAR)))
    parts.append(at_every_size(EARLIER, sooner, CLAIM, logarithms=True))
    parts += [at_every_size(f"share of training until within {share:.0%} of the last kernel, "
                            f"{mode}", near[mode][share], (0.0, 1.0), decisive=False)
              for share in SHARES for mode in MODES]
    parts += [at_every_size("late velocity, adversarial over clean", slower, (0.0, 1.0),
                            logarithms=True, decisive=False),
              at_every_size("length of the path, adversarial over clean", longer, (0.0, np.inf),
                            logarithms=True, decisive=False)]
    size, ends = next(iter(groups)), (-0.4, len(groups) - 0.6)
    picture = Picture(
        f"Velocity of the kernel over phase 1 at {size}, the share of its path that lies in the "
        "first quarter, its mean velocity in the last quarter over that in the first, and how long "
        f"it takes to come near its last value (at {size}).",
        (Panel("phase-1 step", "kernel velocity $S(K_t, K_{t+dt})/dt$",
               tuple(_velocity_series(groups[size], mode) for mode in MODES), log="y"),
         Panel("$d, k$", "path in the first quarter",
               tuple(series_over_sizes(mode, shares[mode], mode, list(groups)) for mode in MODES),
               (Curve("accepted from here", ends, (COVERED, COVERED)),),
               ticks=size_names(list(groups)), ylim=(0.0, 1.05)),
         Panel("$d, k$", "late velocity / early velocity",
               tuple(series_over_sizes(mode, lazy[mode], mode, list(groups)) for mode in MODES),
               (Curve("accepted up to here", ends, (LAZY, LAZY)),),
               ticks=size_names(list(groups)), log="y"),
         Panel("left of the way to the last kernel", "share of training until then",
               tuple(Series(f"{mode} training", np.arange(len(SHARES), dtype=float),
                            np.array([near[mode][share][size] for share in SHARES]).T, mode)
                     for mode in MODES),
               ticks=tuple(f"{share:.0%}" for share in SHARES), ylim=(0.0, 1.05))))
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
