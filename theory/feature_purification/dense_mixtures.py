"""A2: clean training accumulates dense mixtures of relative size Theta(k/d).

A feature neuron fires essentially when its feature is on, so along any other feature its
gradient is P(fires) = Theta(k/d) times as large as along its own, with that feature's label. In
exponents: ``log r = const + 1 * log p`` with ``p = P(z_j != 0) = (c_strong + c_weak k)/d``.

A mixture v_i is what a neuron holds beside its own features (all of at least half the largest
coefficient, three at most): ``||v_i||/||p_i|| = Theta(s / sqrt d)`` of s features on, ``Theta(k)``.
What training leaves of the start, and what its noise adds, knows nothing of the labels: only the
part of v_i along ``M w*`` is fitted, the rest is measured beside it. "Every" means that the
largest coefficient of a mixture, over neurons and features, is a constant times p, and "all at
once" that v_i points along ``M w*``.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from simulator.features import decompose, mixture_metrics
from theory.claim import (Assumption, Claim, Finding, Measurement, Run, Size, Threshold, at_least,
                          at_most)
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import (Evidence, at_every_size, confronted, levels_over_sizes, of_slopes,
                             series_over_sizes, size_names, slope_in_words)
from theory.feature_purification.assumptions import (BELOW_SQUARE_ROOT, FRESH_SAMPLES, LEARNED,
                                                     MORE_NEURONS)
from theory.feature_purification.plans import NETWORK
from theory.regime import largest_family, same_seeds
from theory.scaling import (Exponent, TooFew, fit_exponent, fit_exponents, have_logarithms,
                            vary_separately)

__all__ = ["CLAIM", "RUNS", "confront", "mixtures"]

# Halfway between a constant times k/d, exponent 0, and a size that does not fall with d, 1.
GROWTH = 0.5
ALIGNED = 0.9

KNOWN = Assumption("the summary has the mixtures of the clean network, or the run its weights",
                   lambda run: bool(run.summary["clean"].get("mixtures"))
                   or "weights_clean" in run.arrays)

CLAIM = Claim(
    id="A2", title="dense mixtures of size k/d",
    statement="After clean training every feature neuron holds, besides its own feature, all "
              "other features at once, each with the sign of its label and a size of order k/d "
              "relative to the neuron's own.",
    source="Allen-Zhu & Li, arXiv 2005.10190, the result on clean training: a dense mixture of "
           "relative size Theta(k/d), norm Theta(k/sqrt d). That a neuron may have up to three "
           "features of its own, and all thresholds, are readings.",
    assumptions=(BELOW_SQUARE_ROOT, MORE_NEURONS, FRESH_SAMPLES, LEARNED, KNOWN),
    quantity="exponent of the mixture ratio r in p, over sizes with d and k varied separately; "
             "exponents of the mixture's norm along the labels in s = p d and in d; exponents in "
             "d of the largest coefficient of a mixture over p, and of the one that a thousandth "
             "exceeds; cosine of a mixture with the labels",
    law="r: slope 1, value in [0.85, 1.15], interval in [0.7, 1.3]; norm: s^1 d^(-1/2), values "
        "within 0.15 and 0.1, intervals within 0.3 and 0.2; coefficients over p: at most 0.5; "
        "cosine at the largest size at least 0.9, and above that at the smallest",
    expected=1.0,
    thresholds={
        "exponent of r in p": Threshold(0.7, 1.3, target=(0.85, 1.15)),
        "mixture norm: exponent in s = p d": Threshold(0.7, 1.3, target=(0.85, 1.15)),
        "mixture norm: exponent in d": Threshold(-0.7, -0.3, target=(-0.6, -0.4)),
        "coefficient exceeded by a thousandth (quantile) over p: exponent in d": at_most(GROWTH),
        "largest coefficient over p: exponent in d": at_most(GROWTH),
        "alignment with the labels": at_least(ALIGNED),
        "alignment over that at the smallest size": at_least(1.0)},
    fixed="2026-11-27")
RUNS = NETWORK


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def mixtures(run: Run) -> Mapping[str, float]:
    """Return :func:`simulator.features.mixture_metrics` of the clean network.

    Of a run whose summary is older, from its weights.
    """
    found: Mapping[str, float] | None = run.summary["clean"].get("mixtures")
    if found:
        return found
    arrays = run.arrays
    return mixture_metrics(decompose(arrays["weights_clean"], arrays.get("dictionary"),
                                     arrays["labeler"]))


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    runs, caveats = largest_family([run for group in groups.values() for run in group])
    table = same_seeds(runs)
    sizes = list(table)
    if not vary_separately([size.d for size in sizes], [size.k for size in sizes]):
        raise TooFew("an exponent in k/d needs sizes in which d and k vary separately")
    p = np.array([group[0].summary["p"] for group in table.values()])
    ratio = _rows(table, "mixture_ratio")
    if not have_logarithms(ratio):
        return Evidence([_none("exponent of r in p")],
                        Picture("No exponent: a mixture ratio is not positive."),
                        [*caveats, "a mixture ratio is not positive: it has no logarithm"])
    fit = fit_exponent(p, ratio)
    headline = of_slopes("exponent of r in p", fit, CLAIM)
    level = ratio / p
    caveats.append(f"r/p is {level.mean():.2f} on average ({level.min():.2f} to "
                   f"{level.max():.2f}); r scatters by {100 * fit.residual:.0f} % around the "
                   "fitted power")
    coverage = _rows(table, "coverage")
    if coverage.min() < 0.99:
        caveats.append(f"the mean is over the feature neurons there are; at {coverage.min():.3f} "
                       "of the features at the least covered size")
    found = {name: np.array([[mixtures(run)[name] for run in group]
                             for group in table.values()], np.float64).T
             for name in ("norm", "rest", "alignment", "largest", "quantile", "several", "many")}
    d = np.array([size.d for size in sizes], np.float64)
    parts = [headline, *_norm(p * d, d, found), *_uniform(p, d, found), *_aligned(sizes, found)]
    return Evidence(parts, _picture(sizes, p, ratio, fit, found),
                    [*_besides(sizes, found), *caveats])


def _rows(table: dict[Size, list[Run]], name: str) -> np.ndarray:
    """Return a number of the clean network, shape (seeds, sizes)."""
    return np.array([[run.summary["clean"][name] for run in group]
                     for group in table.values()], np.float64).T


def _none(name: str) -> Measurement:
    """A part that has no logarithm: it holds nowhere."""
    low, high, target = CLAIM.thresholds[name]
    return Measurement(name, np.nan, np.nan, np.nan, (low, high), 1.0, target)


def _norm(s: np.ndarray, d: np.ndarray, found: Mapping[str, np.ndarray]) -> list[Measurement]:
    """Exponents of the norm along the labels in s and d, fitted together."""
    laws = {"s": "mixture norm: exponent in s = p d", "d": "mixture norm: exponent in d"}
    if not have_logarithms(found["norm"], np.hypot(found["norm"], found["rest"])):
        return [_none(name) for name in laws.values()]
    fits = fit_exponents({"s": s, "d": d}, found["norm"])
    whole = fit_exponents({"s": s, "d": d}, np.hypot(found["norm"], found["rest"]))
    return [of_slopes(name, fits[at], CLAIM) for at, name in laws.items()] + [
        of_slopes(f"the same with what is not along the labels, in {at}", whole[at], CLAIM,
                  decisive=False, threshold=name) for at, name in laws.items()]


def _uniform(p: np.ndarray, d: np.ndarray, found: Mapping[str, np.ndarray]) -> list[Measurement]:
    """Exponents in d of the largest coefficients over p: one constant has none."""
    parts = []
    for name, words in (("quantile", "coefficient exceeded by a thousandth (quantile)"),
                        ("largest", "largest coefficient")):
        title = f"{words} over p: exponent in d"
        parts.append(of_slopes(title, fit_exponents({"s": p * d, "d": d}, found[name] / p)["d"],
                               CLAIM)
                     if have_logarithms(found[name]) else _none(title))
    return parts


def _aligned(sizes: Sequence[Size], found: Mapping[str, np.ndarray]) -> list[Measurement]:
    """Cosine with the labels at the largest d, and how it rose; each at the largest k there."""
    order = sorted(range(len(sizes)), key=lambda place: (sizes[place].d, sizes[place].k))
    first = max((place for place in order if sizes[place].d == sizes[order[0]].d),
                key=lambda place: sizes[place].k)
    last = order[-1]
    cosine = found["alignment"]
    return [at_every_size("alignment with the labels", {sizes[last]: cosine[:, last]},
                          CLAIM),
            at_every_size(f"alignment over that at {sizes[first]}",
                          {sizes[last]: cosine[:, last] / cosine[:, first]}, CLAIM,
                          threshold="alignment over that at the smallest size")]


def _besides(sizes: Sequence[Size], found: Mapping[str, np.ndarray]) -> list[str]:
    """Say what is in the neurons beside a feature and a mixture along the labels."""
    several, many = found["several"].mean(axis=0), found["many"].mean(axis=0)
    rest = (found["rest"] / np.abs(found["norm"])).mean(axis=0)
    most, least, loud = int(several.argmax()), int(several.argmin()), int(rest.argmax())
    return [f"{several[most]:.0%} of the feature neurons hold several features at {sizes[most]}, "
            f"{several[least]:.0%} at {sizes[least]}; up to {many.max():.1%} more than three, and "
            "what is beyond the third counts as mixture",
            "what is left of the start, and noise: the part of a mixture that is not along the "
            f"labels is {rest.min():.2f} to {rest[loud]:.2f} of the part that is, most at "
            f"{sizes[loud]}"]


def _picture(sizes: Sequence[Size], p: np.ndarray, ratio: np.ndarray, fit: Exponent,
             found: Mapping[str, np.ndarray]) -> Picture:
    line = np.array([p.min(), p.max()]) * np.array([0.9, 1.1])
    slope = float(fit.slopes.mean())
    fitted = np.exp(fit.intercepts.mean()) * line**slope

    def over(name: str, label: str, role: str, by: np.ndarray | float = 1.0) -> Series:
        return series_over_sizes(label, {size: column for size, column in zip(
            sizes, (found[name] / by).T)}, role, sizes)

    names = size_names(sizes)
    law = [math.sqrt(size.d) * float(value) for size, value in zip(sizes, p)]
    return Picture(
        "Left: mixture ratio of the clean network against p, one point for each size (d, k); the "
        "theory fixes the slope, 1. Middle: norm of the mixture along the labels, beside own "
        "features, and what is orthogonal to it, with sqrt(d) p. Right: coefficients of a mixture "
        "over p, the largest and the one that a thousandth exceeds, which should not grow.",
        (Panel("$p = P(z_j \\neq 0)$", "mixture ratio $r$",
               (Series("clean network", p, ratio, "clean"),),
               (Curve("$r = p$", line, line),
                Curve(f"fit, slope {slope_in_words(fit)}", line, fitted)), log="xy"),
         Panel("$d, k$", r"$\|v_i\|/\|p_i\|$",
               (over("norm", "along the labels", "clean"), over("rest", "the rest", "linear")),
               (levels_over_sizes(r"$\sqrt{d}\,p$", law),), log="y", ticks=names),
         Panel("$d, k$", r"$|C_{ij}|/(p\,|C_{i,j(i)}|)$",
               (over("largest", "largest", "other", p),
                over("quantile", "a thousandth exceeds", "clean", p)), log="y", ticks=names)))
