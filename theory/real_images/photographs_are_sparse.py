"""I1 (article, figure 4): natural images are sparse in a dictionary, so that few features do.

How far the coefficients are from the paper's law is told beside it: they are sparse, and not
independent.
"""

from collections.abc import Sequence

import numpy as np

from simulator.experiments.real_images.experiment import SHARES
from theory.claim import Claim, Finding, Run, at_least
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import (Evidence, at_every_size, confronted, series_over_sizes, size_names,
                             values_of)
from theory.real_images.assumptions import SOURCE
from theory.real_images.plans import PAIR
from theory.real_images.quantities import Groups, level, number_of

__all__ = ["CLAIM", "RUNS", "confront"]

PSNR, MORE, KURTOSIS = 22.0, 1.0, 2.0

CLAIM = Claim(
    id="I1", title="photographs are sparse in a learned dictionary",
    statement="Real images fit the sparse coding model: a few per cent of the coefficients in a "
              "dictionary rebuild them.",
    source=f"{SOURCE}The article takes the first layer of AlexNet for its dictionary; here one is "
           "learned from photographs. The thresholds, and Gaussian patches and pictures of the "
           "same spectrum to compare with, are readings.",
    assumptions=(),
    quantity="PSNR of held-out photographs rebuilt from 4.05 % of the coefficients; the same minus "
             "that of noise with their spectrum; excess kurtosis of the coefficients of held-out "
             "patches (Gaussian: 0)",
    law="PSNR at least 22 dB, at least 1 dB more than noise of the same spectrum, kurtosis at "
        "least 2",
    expected=22.0,
    thresholds={"PSNR at 4.05 %": at_least(PSNR), "PSNR minus that of noise": at_least(MORE),
                "kurtosis": at_least(KURTOSIS)},
    fixed="2026-11-27")
RUNS = PAIR


def confront(runs: Sequence[Run]) -> Finding:
    """Confront I1 with runs."""
    return confronted(CLAIM, runs, _measure)


def _levels(run: Run, name: str) -> np.ndarray:
    """PSNR at each share, mean over photographs."""
    mean: np.ndarray = np.mean(run.summary["sparsity"][name], axis=0)
    return mean


def _measure(groups: Groups) -> Evidence:
    parts = [
        at_every_size("PSNR at 4.05 %", values_of(groups, lambda run: _levels(run, "psnr")[0]),
                      CLAIM),
        at_every_size("PSNR minus that of noise", values_of(groups, lambda run: (
            _levels(run, "psnr") - _levels(run, "gaussian_psnr"))[0]), CLAIM),
        at_every_size("kurtosis", values_of(groups, number_of("sparsity", "kurtosis")), CLAIM)]
    parts += [at_every_size(label, values_of(groups, number_of("sparsity", name)), (0.0, 1.0),
                            decisive=False)
              for label, name in (("energy in a tenth of the coefficients", "top_share"),
                                  ("the same of Gaussian patches", "gaussian_top_share"),
                                  ("dependence of two coefficients", "dependence"))]
    caveats, panels = [], []
    for size, group in groups.items():
        told = {name: np.mean([number_of("sparsity", name)(run) for run in group])
                for name in ("dependence", "dependence_shuffled", "kurtosis")}
        caveats.append(
            f"{size.family} {size}: not the paper's law: its coefficients are independent, here "
            f"the squares of two correlate by {told['dependence']:.3f} on average "
            f"({told['dependence_shuffled']:.3f} if shuffled), and a kurtosis of "
            f"{told['kurtosis']:.1f} is that of coefficients of one size that are non-zero with "
            f"probability {1.0 / (3.0 + told['kurtosis']):.2f}; some of it is that patches differ "
            "in contrast")
        x = np.array([100.0 * share for share in SHARES])
        panels.append(Panel("non-zero coefficients (%)", "PSNR (dB)", tuple(
            Series(label, x, np.array([_levels(run, name) for run in group]), role, joined=True)
            for label, name, role in (("photographs", "psnr", "adversarial"),
                                      ("noise of their spectrum", "gaussian_psnr", "linear"))),
            (Curve("accepted at 4.05 %", (0.85 * x.max(), 1.1 * x.max()), (PSNR, PSNR)),),
            log="x", at=tuple(x), ticks=tuple(f"{share:.2f}" for share in x)))
    order = list(groups)
    kurtosis = tuple(
        series_over_sizes(label, values_of(groups, number_of("sparsity", name)), role, order)
        for label, name, role in (("photographs", "kurtosis", "adversarial"),
                                  ("Gaussian patches", "gaussian_kurtosis", "linear")))
    panels.append(Panel("pixels, neurons", "kurtosis of coefficients", kurtosis,
                        (level(groups, "accepted from here", KURTOSIS),), ticks=size_names(order)))
    caption = ("Photographs rebuilt from few features, and noise with the same amplitudes of all "
               "frequencies; kurtosis of the coefficients (Gaussian: 0).")
    return Evidence(parts, Picture(caption, tuple(panels)), caveats)
