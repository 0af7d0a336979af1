"""The claims of Li & Li, "Adversarial Training Can Provably Improve Robustness" (arXiv 2410.08503).

B1  standard training learns the non-robust feature, and is broken along it
B2  adversarial training learns the robust feature, and withstands the strongest attack
B3  kappa = sum beta^q / sum alpha^q decides which feature standard training learns

Correlations are those of :func:`simulator.experiments.structured_features.experiment.correlations`.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from simulator.experiments.structured_features.races import (Transition, first_feature,
                                                             fit_transition)
from theory.claim import Assumption, Claim, Finding, Measurement, Run, Size, Theorem
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import (Evidence, at_every_size, confronted, of_slopes, series_over_sizes,
                             size_names, values_of)
from theory.regime import same_seeds
from theory.scaling import TooFew, fit_exponent

__all__ = ["B1", "B2", "B3", "CLAIMS", "MODEL", "TITLE", "confront_adversarial",
           "confront_standard", "confront_transition", "share_along_v"]

TITLE = "Structured features: claims and measurements"
MODEL = "patches"
SOURCE = ("Li & Li, arXiv 2410.08503, from its abstract and summaries: the full text was not at "
          "hand. ")

WEAK = Assumption("the radius lies between the strengths: beta < epsilon < alpha",
                  lambda run: run.config.beta < run.config.epsilon < run.config.alpha)
DENSE = Assumption("the non-robust feature is the denser one: kappa > 1",
                   lambda run: run.summary["kappa"] > 1.0)
SUPERLINEAR = Assumption("the start grows faster than exponentially: q >= 3",
                         lambda run: run.config.q >= 3)
QUIET = Assumption("the noise of a patch is at most twice epsilon",
                   lambda run: run.config.noise <= 2.0 * run.config.epsilon)

B1 = Claim(
    id="B1", title="standard training learns the non-robust feature",
    statement="Standard training makes some neuron of each class grow along the weak, dense, "
              "non-robust feature while the robust one stays near its start. The network is "
              "right on clean samples and wrong under perturbations along the non-robust "
              "features.",
    source=f"{SOURCE}The factors 10 and 3, \"at least half\" and the accuracies .99 and .01 are "
           "readings of limits.",
    assumptions=(WEAK, DENSE, SUPERLINEAR, QUIET),
    quantity="<w, v> over <w, u> (largest over neurons, mean over classes); <w, u> over its "
             "start; accuracies; share of the strongest perturbation, in squared length, that "
             "lies along features v",
    law="ratio at least 10, growth of u at most 3, clean accuracy at least .99, accuracy under "
        "PGD and along v at most .01, share along v at least .5, at every size",
    expected=10.0)

B2 = Claim(
    id="B2", title="adversarial training learns the robust feature",
    statement="Descent at samples perturbed by gradient ascent makes the robust feature grow and "
              "holds the non-robust one down; the network is right on clean and on perturbed "
              "samples.",
    source=f"{SOURCE}\"Adversarial training\" is here training against the strongest inner "
           "search, PGD from many starts, each patch for itself; what one ascent step and plain "
           "PGD achieve is reported beside it. The factor 10 and the accuracies are readings.",
    assumptions=(WEAK, DENSE, SUPERLINEAR, QUIET),
    quantity="<w, u> over its value under standard training, <w, v> likewise; clean accuracy; "
             "accuracy under the worst of all attacks",
    law="u at least 10 times, v less than once the standard value; clean accuracy at least .99, "
        "under the strongest attack at least .95, at every size",
    expected=10.0)

B3 = Claim(
    id="B3", title="kappa decides which feature is learned",
    statement="From a small start standard training learns v if kappa = sum beta^q / sum alpha^q "
              "is above 1, and u if it is below.",
    source=f"{SOURCE}That the transition is a smooth curve, its midpoint and its width are "
           "readings: derived in simulator/experiments/structured_features/races.py from the early growth, for a start "
           "that tends to zero. So the smallest start of each q decides, the others show how it "
           "is approached.",
    assumptions=(SUPERLINEAR, QUIET),
    quantity="kappa at which v wins half of the races (logistic fit for each seed); share of v's "
             "wins at the largest kappa minus that at the smallest",
    law="midpoint in [.75, 1.25] and difference at least .8, at the smallest start of every q",
    expected=1.0)


def share_along_v(run: Run, training: str) -> float:
    """Share of the strongest perturbations' squared length that lies along features v."""
    squares = np.asarray(run.arrays[f"parts_{training}"], np.float64) ** 2
    total = float(squares.sum())
    return float(squares[..., 2:4].sum()) / total if total > 0.0 else math.nan


def confront_standard(runs: Sequence[Run], claim: Claim = B1,
                      training: str = "standard") -> Finding:
    """Confront B1 with runs.

    Parameters
    ----------
    runs : sequence of Run
    claim : Claim
        B1, or the same with other assumptions, for a control outside them.
    training : str
        The training that is examined; another one than "standard" is a control.
    """
    return confronted(claim, _trained(runs, training),
                      lambda groups: _measure_standard(groups, training))


def confront_adversarial(runs: Sequence[Run], claim: Claim = B2,
                         training: str = "multi_start") -> Finding:
    """Confront B2 with runs.

    Parameters
    ----------
    runs : sequence of Run
    claim : Claim
    training : str
        The adversarial training that is examined; a weaker one is a control.
    """
    return confronted(claim, _trained(runs, "standard", training),
                      lambda groups: _measure_adversarial(groups, training))


def confront_transition(runs: Sequence[Run]) -> Finding:
    """Confront B3 with runs that hold races."""
    return confronted(B3, [run for run in runs if run.config.races], _measure_transition)


CLAIMS: tuple[Theorem, ...] = (Theorem(B1, confront_standard), Theorem(B2, confront_adversarial),
                               Theorem(B3, confront_transition))

Groups = dict[Size, list[Run]]


def _trained(runs: Sequence[Run], *trainings: str) -> list[Run]:
    return [run for run in runs if all(name in run.summary for name in trainings)]


def _number(training: str, name: str) -> Callable[[Run], float]:
    return lambda run: run.summary[training][name]


def _over(values: Mapping[Size, np.ndarray],
          others: Mapping[Size, np.ndarray]) -> dict[Size, np.ndarray]:
    return {size: values[size] / others[size] for size in values}


def _samples(groups: Groups) -> Callable[[Size], int]:
    return lambda size: int(groups[size][0].config.test_samples)


def _start(run: Run, row: str) -> float:
    """A correlation at the start, from the first row of the history."""
    return float(run.history[row][0])


def _in_d(name: str, values: Mapping[Size, np.ndarray], groups: Groups) -> list[Measurement]:
    """The exponent of something in d, where there are enough sizes; shown only."""
    table = same_seeds([run for group in groups.values() for run in group])
    seeds = {size: [run.config.seed for run in group] for size, group in groups.items()}
    try:
        rows = np.array([[values[size][seeds[size].index(run.config.seed)] for run in group]
                         for size, group in table.items()]).T
        fit = fit_exponent([size.d for size in table], rows)
    except (TooFew, ValueError):
        return []
    return [of_slopes(f"exponent of {name} in d", fit, (-math.inf, math.inf), decisive=False)]


def _measure_standard(groups: Groups, training: str) -> Evidence:
    u, v = (values_of(groups, _number(training, name)) for name in ("u", "v"))
    growth = _over(u, values_of(groups, lambda run: _start(run, "u")))
    accuracy = {name: values_of(groups, _number(training, name))
                for name in ("clean", "pgd", "along_v", "along_u")}
    along = values_of(groups, lambda run: share_along_v(run, training))
    ratio, samples = _over(v, u), _samples(groups)
    parts = [
        at_every_size("<w, v> over <w, u>", ratio, (10.0, math.inf), logarithms=True),
        at_every_size("growth of <w, u>", growth, (0.0, 3.0), logarithms=True),
        at_every_size("clean accuracy", accuracy["clean"], (0.99, 1.0), samples),
        at_every_size("accuracy under PGD", accuracy["pgd"], (0.0, 0.01), samples),
        at_every_size("accuracy along v", accuracy["along_v"], (0.0, 0.01), samples),
        at_every_size("share along v", along, (0.5, math.inf)),
        at_every_size("accuracy along u", accuracy["along_u"], (0.0, 1.0), samples,
                      decisive=False),
        *_in_d("<w, v> over <w, u>", ratio, groups)]
    picture = Picture(
        "Standard training: largest correlations of a neuron with the two features, and accuracy "
        "on clean samples, under PGD and along the features v, at each size (d, J_NR).",
        (_correlation_panel(groups, {"non-robust $v$": (v, "clean"),
                                     "robust $u$": (u, "adversarial")}),
         _accuracy_panel(groups, {"clean": (accuracy["clean"], "other"),
                                  "PGD": (accuracy["pgd"], "clean"),
                                  "along $v$": (accuracy["along_v"], "linear")})))
    return Evidence(parts, picture, [])


def _measure_adversarial(groups: Groups, training: str) -> Evidence:
    values = {name: values_of(groups, _number(training, name))
              for name in ("u", "v", "clean", "strongest_attack")}
    u, v = (_over(values[name], values_of(groups, _number("standard", name)))
            for name in ("u", "v"))
    samples = _samples(groups)
    parts = [
        at_every_size("<w, u> over its standard value", u, (10.0, math.inf), logarithms=True),
        at_every_size("<w, v> over its standard value", v, (0.0, 1.0), logarithms=True),
        at_every_size("clean accuracy", values["clean"], (0.99, 1.0), samples),
        at_every_size("accuracy under the strongest attack", values["strongest_attack"],
                      (0.95, 1.0), samples),
        *_weaker(groups, training), *_in_d("<w, u> over its standard value", u, groups)]
    strongest = {name: values_of(groups, _number(name, "strongest_attack"))
                 for name in _trainings(groups)}
    roles = dict(zip(strongest, ("clean", "linear", "other", "adversarial")))
    picture = Picture(
        "Correlations with the robust feature under standard and adversarial training, and "
        "accuracy under the strongest attack after each training, at each size (d, J_NR).",
        (_correlation_panel(groups, {
            "$u$, adversarial": (values["u"], "adversarial"),
            "$v$, adversarial": (values["v"], "other"),
            "$u$, standard": (values_of(groups, _number("standard", "u")), "clean")}),
         _accuracy_panel(groups, {name.replace("_", " "): (shares, roles[name])
                                  for name, shares in strongest.items()})))
    return Evidence(parts, picture, _one_step_caveat(groups))


def _trainings(groups: Groups) -> list[str]:
    """The trainings that every run has."""
    runs = [run for group in groups.values() for run in group]
    return [name for name in ("standard", "one_step", "pgd", "multi_start")
            if all(name in run.summary for run in runs)]


def _weaker(groups: Groups, training: str) -> list[Measurement]:
    """What the other trainings withstand; shown only."""
    return [at_every_size(f"{name.replace('_', ' ')} training under {attack.replace('_', ' ')}",
                          values_of(groups, _number(name, attack)), (0.0, 1.0), _samples(groups),
                          decisive=False)
            for name in _trainings(groups) if name not in ("standard", training)
            for attack in ("one_step_attack", "pgd", "along_u", "strongest_attack")]


def _one_step_caveat(groups: Groups) -> list[str]:
    if "one_step" not in _trainings(groups):
        return []
    found = {attack: np.concatenate(list(values_of(groups, _number("one_step", attack)).values()))
             for attack in ("u", "one_step_attack", "pgd", "along_u")}
    return [f"after training against one ascent step <w, u> is {found['u'].mean():.2f}, accuracy "
            f"under that step {found['one_step_attack'].mean():.2f}, under PGD "
            f"{found['pgd'].mean():.2f}, along u {found['along_u'].mean():.2f}; the verdict is "
            "about the strongest training"]


def _correlation_panel(groups: Groups,
                       shown: Mapping[str, tuple[dict[Size, np.ndarray], str]]) -> Panel:
    order = list(groups)
    return Panel("$d, J_{NR}$", "correlation", tuple(
        series_over_sizes(label, values, role, order) for label, (values, role) in shown.items()),
        log="y", ticks=size_names(order))


def _accuracy_panel(groups: Groups,
                    shown: Mapping[str, tuple[dict[Size, np.ndarray], str]]) -> Panel:
    order = list(groups)
    return Panel("$d, J_{NR}$", "accuracy", tuple(
        series_over_sizes(label, values, role, order) for label, (values, role) in shown.items()),
        ticks=size_names(order), ylim=(-0.03, 1.05))


def _wins(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """kappa (points,); where v won, and where its start says it should, (points, trials)."""
    kappa, races = run.arrays["kappas"], run.arrays["races"]
    won = races[..., 1] > races[..., 0]
    should = first_feature(kappa, races[..., 2:], run.config.q)
    return kappa, won.reshape(len(kappa), -1), should.reshape(len(kappa), -1)


def _fits(groups: Groups, which: int) -> dict[Size, list[Transition]]:
    return {size: [fit_transition(_wins(run)[0], _wins(run)[which]) for run in group]
            for size, group in groups.items()}


def _measure_transition(groups: Groups) -> Evidence:
    found, expected = _fits(groups, 1), _fits(groups, 2)
    midpoint = {size: np.array([fit.midpoint for fit in fits]) for size, fits in found.items()}
    width = {size: np.array([fit.width for fit in fits]) for size, fits in found.items()}
    rise = values_of(groups, lambda run: float(_wins(run)[1][-1].mean()
                                               - _wins(run)[1][0].mean()))
    deciding = _smallest_starts(groups)
    parts = [at_every_size("midpoint", {size: midpoint[size] for size in deciding}, (0.75, 1.25)),
             at_every_size("rise of v's share", {size: rise[size] for size in deciding},
                           (0.8, math.inf))]
    rightly = {}
    for size, group in groups.items():
        name = f"q = {group[0].config.q}, sigma_0 = {group[0].config.init_scale:g}"
        should = np.array([fit.width for fit in expected[size]])
        rightly[size] = np.array([np.mean(_wins(run)[1] == _wins(run)[2]) for run in group])
        for label, values in (("midpoint", midpoint[size]), ("width", width[size]),
                              ("width expected from the starts", should)):
            parts.append(at_every_size(f"{label}, {name}", {size: values},
                                       (-math.inf, math.inf), decisive=False))
    caveats = ["the start alone, log kappa + (q - 2) log(v_0 / u_0) > 0 (a reading), predicts "
               + ", ".join(f"{values.mean():.2f} of the outcomes of {size.family}"
                           for size, values in rightly.items())]
    return Evidence(parts, _transition_picture(groups), caveats)


def _smallest_starts(groups: Groups) -> list[Size]:
    """The runs of each q with the smallest initial scale."""
    smallest: dict[int, Size] = {}
    for size, group in groups.items():
        q = group[0].config.q
        if q not in smallest or (group[0].config.init_scale
                                 < groups[smallest[q]][0].config.init_scale):
            smallest[q] = size
    return list(smallest.values())


def _transition_picture(groups: Groups) -> Picture:
    roles = ("adversarial", "clean", "other", "linear")
    panels = []
    for q in sorted({group[0].config.q for group in groups.values()}):
        chosen = sorted((group for group in groups.values() if group[0].config.q == q),
                        key=lambda group: group[0].config.init_scale)
        kappa = _wins(chosen[0][0])[0]
        series = tuple(Series(
            rf"$\sigma_0 = {group[0].config.init_scale:g}$", kappa,
            np.array([_wins(run)[1].mean(axis=1) for run in group]), roles[number % len(roles)],
            joined=True) for number, group in enumerate(chosen))
        should = np.mean([_wins(run)[2].mean(axis=1) for group in chosen for run in group], axis=0)
        panels.append(Panel(
            rf"$\kappa$, with $q = {q}$", "share of classes in which $v$ wins", series,
            (Curve("from the starts", kappa, should), Curve(r"$\kappa = 1$", (1.0, 1.0),
                                                            (0.0, 1.0))),
            log="x", ylim=(-0.03, 1.05)))
    return Picture("How often standard training learns the non-robust feature, against kappa, for "
                   "each exponent q and start sigma_0; dashed: what the random starts alone "
                   "predict.", tuple(panels))
