"""R1: three critical radii, three powers of d along k = d^a.

    linear classifier  r50 ~ d^(-1/2),    clean network  r50 ~ sqrt(d)/k^2 = d^(1/2 - 2a),
    purified network   r50 ~ 1/sqrt(k) = d^(-a/2)

All three are readings, derived here and tested. They are limits of one formula. Let the neurons
of s features be open and hold mixtures of ratio r: then ``f ~ (1 + s r) <w*, z>``, and its input
gradient is w* on those features plus s r w* on all, so to first order

    r50 ~ |<w*, z>| (1 + s r) / sqrt(s + 2 s^2 r + s^2 r^2 d).

Without mixtures this is ``1/sqrt(s)``, for r -> infinity ``1/sqrt(d)``, and for the clean
network, with ``r = s/d``, it is ``sqrt(d)/s^2`` once ``d^(1/3) << s << d^(1/2)``. A network of
finite size has ``s = c_strong + c_weak k`` and stands between these limits.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from theory.claim import Assumption, Claim, Finding, Measurement, Run, Size, Threshold
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, confronted, of_slopes, slope_in_words
from theory.feature_purification.assumptions import (EUCLIDEAN, FRESH_SAMPLES, LEARNED, PURIFIED,
                                                     expected_active)
from theory.feature_purification.plans import CURVES
from theory.feature_purification.what_flips import NAMES, chain, mechanism, slope, what_flips
from theory.regime import largest_family, same_seeds
from theory.scaling import Exponent, TooFew, fit_exponent, have_logarithms

__all__ = ["CLAIM", "POWERS", "RUNS", "confront", "first_order_radius", "on_curve", "reading"]

POWERS = (0.34, 0.4, 0.45, 0.5)
NETWORKS = ("linear", "clean", "adversarial")
UPPER = 512  # sizes from this d on are the upper half: the readings are limits of large d
# Admits a factor sqrt(log d), which is d^0.1 from d = 64 to 512, and the rounding of k, but no
# factor log d (d^0.2); and tells the clean from the purified reading at a = 0.5.
TOLERANCE = 0.15


def on_curve(run: Run, power: float) -> bool:
    """True if k is ``d^power``, rounded; a small k lies on several of these curves."""
    return run.config.k == round(run.config.d**power)


def reading(network: str, power: float) -> float:
    """Return the exponent that the theory gives r50 of a network in d along ``k = d^power``."""
    return {"linear": -0.5, "clean": 0.5 - 2.0 * power, "adversarial": -0.5 * power}[network]


def _name(network: str, power: float) -> str:
    return f"{NAMES[network]}, a = {power:g}: exponent of r50 in d"


ON_A_CURVE = Assumption("k is round(d^a) for an a of the picture (0.34, 0.4, 0.45, 0.5)",
                        lambda run: any(on_curve(run, power) for power in POWERS))
STILL_RIGHT = Assumption("the purified network is right on 95 % of the test samples",
                         lambda run: run.summary["adversarial"]["accuracy"] >= 0.95)
CLAIM = Claim(
    id="R1", title="the phase picture",
    statement="Along k = d^a the critical radius of the linear classifier falls like "
              "d^(-1/2), that of the clean network like d^(1/2 - 2a), and that of the purified "
              "network only like d^(-a/2).",
    source="Readings derived here, not quoted: Allen-Zhu & Li, arXiv 2005.10190, prove that the "
           "clean network is not robust and the purified one is, at radii in whose exponents "
           "these are our estimates.",
    assumptions=(ON_A_CURVE, EUCLIDEAN, FRESH_SAMPLES, LEARNED, PURIFIED, STILL_RIGHT),
    quantity="exponent of r50 in d, for each network and each a; the headline is the exponent "
             "farthest from its reading",
    law="every exponent within 0.15 of its reading, with its interval",
    expected=0.0,
    thresholds={_name(network, power): Threshold(round(reading(network, power) - TOLERANCE, 6),
                                                 round(reading(network, power) + TOLERANCE, 6))
                for network in NETWORKS for power in POWERS},
    fixed="2026-11-21",
    changed="Plan large was a = 0.4 alone at first: its bias was known to serve there. At (1024, "
            "32), seed 0, it then kept the robust network right on 0.98, and the curves a = 0.45 "
            "and 0.5 joined it up to d = 1024 before they were judged. After that verdict, on the "
            "seeds 2000 to 2002, so did (1448, 26) and (1448, 38): at (1448, 38), seed 0, it "
            "keeps the network right on 0.97. All sizes are judged again, by the seeds 2003 to "
            "2005, which nobody had seen. The thresholds are those of before.")
RUNS = CURVES


def first_order_radius(d: float, active: float, ratio: float) -> float:
    """Return the formula of this file up to ``|<w*, z>|``; ``ratio`` 0 is a pure network."""
    dense = active * ratio
    return (1.0 + dense) / math.sqrt(active + 2.0 * active * dense + dense**2 * d)


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


class _Slice(NamedTuple):
    """The runs along one k = d^a, and the exponents of the three networks there."""

    power: float
    table: dict[Size, list[Run]]
    d: np.ndarray
    radii: dict[str, np.ndarray]  # (seeds, sizes)
    fits: dict[str, Exponent]


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    runs = [run for group in groups.values() for run in group]
    main, caveats = largest_family(runs)
    slices, broken, refused = _slices(main)
    if not slices and not broken:
        raise TooFew("; ".join(refused))
    if not slices:
        return Evidence(broken, Picture("No exponent: on no curve are all radii positive."),
                        refused + caveats)
    parts = [_exponent(part, network) for part in slices for network in NETWORKS]
    caveats = _why(slices) + refused + caveats
    parts += [_finite_size(part, network) for part in slices for network in NETWORKS[1:]]
    halves, unknown = _halves(slices)
    parts, caveats = broken + parts + halves, caveats + unknown
    for family in sorted({run.size.family for run in runs} - {main[0].size.family}):
        others, _, _ = _slices([run for run in runs if run.size.family == family])
        parts += [replace(_exponent(part, network, f"{family} runs, "), decisive=False)
                  for part in others for network in NETWORKS]
    return Evidence([_farthest(slices), *parts], _picture(slices), caveats)


def _slices(runs: Sequence[Run]) -> tuple[list[_Slice], list[Measurement], list[str]]:
    """Return a slice for each power with enough sizes and seeds, and why others have none.

    Between them the parts of powers with enough, of which a radius has no logarithm: they fail.
    """
    found, broken, refused = [], [], []
    for power in POWERS:
        table = same_seeds([run for run in runs if on_curve(run, power)])
        if not table:
            refused.append(f"a = {power:g} is not tested: no run has k = round(d^{power:g})")
            continue
        d = np.array([size.d for size in table], float)
        radii = {network: _radii(table, network) for network in NETWORKS}
        lost = [network for network in NETWORKS if not have_logarithms(radii[network])]
        try:
            fits = {network: fit_exponent(d, radii[network]) for network in NETWORKS
                    if network not in lost}
        except TooFew as reason:
            refused.append(f"a = {power:g} is not tested: {reason}")
            continue
        broken += [_no_exponent(network, power) for network in lost]
        if not lost:
            found.append(_Slice(power, table, d, radii, fits))
    return found, broken, refused


def _radii(table: dict[Size, list[Run]], network: str) -> np.ndarray:
    """Return r50, shape (seeds, sizes)."""
    return np.array([[run.summary["linear_r50"] if network == "linear"
                      else run.summary[network]["r50"] for run in group]
                     for group in table.values()], float).reshape(len(table), -1).T


def _exponent(part: _Slice, network: str, prefix: str = "") -> Measurement:
    name = _name(network, part.power)
    return of_slopes(f"{prefix}{name} (reading {reading(network, part.power):.2f})",
                     part.fits[network], CLAIM, threshold=name)


def _no_exponent(network: str, power: float) -> Measurement:
    """What a network's curve has of which a radius is 0, infinite or NaN: it holds nowhere."""
    name = _name(network, power)
    low, high, target = CLAIM.thresholds[name]
    return Measurement(f"{name}: a radius is not positive and finite", math.nan, math.nan, math.nan,
                       (low, high), 1.0, target, threshold=name)


def _farthest(slices: Sequence[_Slice]) -> Measurement:
    """The exponent farthest from its reading, less the reading; the verdict takes them all."""
    part, network = max(((part, network) for part in slices for network in NETWORKS),
                        key=lambda at: abs(at[0].fits[at[1]].slopes.mean()
                                           - reading(at[1], at[0].power)))
    return of_slopes(f"farthest from its reading: {NAMES[network]}, a = {part.power:g}, by",
                     _less(part.fits[network], reading(network, part.power)),
                     (-TOLERANCE, TOLERANCE), decisive=False)


def _finite_size(part: _Slice, network: str) -> Measurement:
    """The exponent less that of the formula at these very d and k."""
    expected = slope(part.d, _formula(part, network))
    return of_slopes(f"{NAMES[network]}, a = {part.power:g}: exponent less {expected:.2f}, that "
                     "of the formula at these sizes", _less(part.fits[network], expected),
                     (-TOLERANCE, TOLERANCE), decisive=False)


def _halves(slices: Sequence[_Slice]) -> tuple[list[Measurement], list[str]]:
    """Exponents over the small and over the large sizes less the reading: nearer to it there?"""
    parts, unknown = [], []
    for part in slices:
        for words, there in ((f"d < {UPPER}", part.d < UPPER), (f"d >= {UPPER}", part.d >= UPPER)):
            place = f"a = {part.power:g}, {words}"
            try:
                fits = {network: fit_exponent(part.d[there], part.radii[network][:, there])
                        for network in NETWORKS}
            except TooFew as reason:
                unknown.append(f"{place}: no exponent of this half: {reason}")
                continue
            parts += [of_slopes(f"{NAMES[network]}, {place}: exponent less its reading",
                                _less(fit, reading(network, part.power)),
                                (-TOLERANCE, TOLERANCE), decisive=False)
                      for network, fit in fits.items()]
    return parts, unknown


def _formula(part: _Slice, network: str) -> np.ndarray:
    """The formula at the sizes of a slice, with ``r = p`` for the clean network."""
    return np.array([first_order_radius(group[0].config.d, expected_active(group[0]),
                                        group[0].summary["p"] if network == "clean" else 0.0)
                     for group in part.table.values()])


def _less(fit: Exponent, expected: float) -> Exponent:
    return replace(fit, slopes=fit.slopes - expected)


def _why(slices: Sequence[_Slice]) -> list[str]:
    """Say what flips the networks at the ends of each slice, and what that does to r50."""
    first = {size: group[0] for part in slices for size, group in part.table.items()}
    rounded = max(abs(slope(part.d, np.array([size.d**0.5 / size.k**2 for size in part.table]))
                      - reading("clean", part.power)) for part in slices)
    covered = min((run.summary["clean"].get("coverage", math.nan), size)
                  for part in slices for size, group in part.table.items() for run in group)
    active = [expected_active(run) for run in first.values()]
    return _mechanisms(slices, first) + [
        f"the readings need d^(1/3) << s << d^(1/2) features on, but s = c_strong + c_weak k is "
        f"{min(active):g}-{max(active):g} here: the exponents of the one formula behind the three "
        "readings at these sizes, a reading made after the mechanism was seen, are measured "
        "beside them",
        f"rounding k to an integer moves the reading of the clean network by up to {rounded:.2f}",
        f"coverage after clean training is {covered[0]:.2f} at {covered[1]}, and no less elsewhere"]


def _mechanisms(slices: Sequence[_Slice], first: Mapping[Size, Run]) -> list[str]:
    """What one seed's networks at the ends of each slice tell, where the runs hold them."""
    ends = [(min(part.table), max(part.table)) for part in slices]
    sizes = sorted({*sum(ends, ())})
    if not all("weights_clean" in first[size].arrays for size in sizes):
        return ["what flips the networks is not told: the runs hold no weights"]
    seen = {network: {size: what_flips(first[size], network) for size in sizes}
            for network in NETWORKS[1:]}
    chains = "; ".join(f"a = {part.power:g}: " + chain(part.power, low, high, seen["clean"])
                       for part, (low, high) in zip(slices, ends))
    return [mechanism(network, seen[network]) for network in seen] + [
        "exponents from end to end of y f, |df/dx|, open features and mixture ratio of open "
        f"neurons, of the clean network, in brackets those behind its reading: {chains}"]


def _picture(slices: Sequence[_Slice]) -> Picture:
    every = np.concatenate([values.ravel() for part in slices for values in part.radii.values()])
    ylim = (0.8 * float(every.min()), 1.25 * float(every.max()))
    return Picture(
        "Critical radius against d along k = d^a: the exponent fitted (colour) and, in brackets, "
        "its reading (dashed, through the middle of the data). Dotted: the formula that has the "
        "readings as its limits, at these very d and k, in the same middle.",
        tuple(_panel(part, ylim) for part in slices))


def _panel(part: _Slice, ylim: tuple[float, float]) -> Panel:
    ends = np.array([part.d.min(), part.d.max()]) * np.array([0.9, 1.1])
    series, theory = [], []
    for network in NETWORKS:
        fit, expected = part.fits[network], reading(network, part.power)
        name = "purified" if network == "adversarial" else network
        series.append(Series(f"{name} {slope_in_words(fit)} (${expected:.2f}$)", part.d,
                             part.radii[network], network))
        centre = np.exp(np.log(part.d).mean())
        level = np.exp(np.log(part.radii[network]).mean())
        theory += [Curve("", ends, level * (ends / centre)**fit.slopes.mean(), "-", network),
                   Curve("reading" if network == "linear" else "", ends,
                         level * (ends / centre)**expected, "--")]
        if network != "linear":
            formula = _formula(part, network)
            theory.append(Curve("formula" if network == "clean" else "", part.d,
                                formula * level / np.exp(np.log(formula).mean()), ":"))
    return Panel(f"$d$, with $k = d^{{{part.power:g}}}$", "critical radius $r_{50}$",
                 tuple(series), tuple(theory), log="xy", ylim=ylim)
