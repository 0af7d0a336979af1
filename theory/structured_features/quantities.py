"""What the claims of Li & Li (arXiv 2410.08503) measure, and the panels they share.

Correlations are those of :func:`simulator.experiments.structured_features.experiment.correlations`.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from theory.claim import Measurement, Run, Size
from theory.drawing.picture import Curve, Panel
from theory.evidence import of_slopes, series_over_sizes, size_names
from theory.regime import same_seeds
from theory.scaling import TooFew, fit_exponent

__all__ = ["Groups", "accuracy_panel", "at_the_start", "correlation_panel", "exponent_in_d",
           "feature_only_margin", "geometric_mean", "history_of", "in_norm", "level", "number_of",
           "over", "overtaking_step", "samples_of", "share_along_v", "trained", "trainings"]

Groups = dict[Size, list[Run]]
FEW = 40  # samples of a median


def share_along_v(run: Run, training: str) -> float:
    """Share of the strongest perturbations' squared length that lies along features v.

    NaN where there is no perturbation. An older run has no more than the parts: with two classes
    they are all, with more NaN is returned.
    """
    arrays = run.arrays
    squares = np.asarray(arrays[f"parts_{training}"], np.float64) ** 2
    total = float(squares.sum())
    along = f"along_v_{training}"
    if total == 0.0 or (along not in arrays and run.config.classes > 2):
        return math.nan
    return float(arrays[along].sum() if along in arrays else squares[..., 2:4].sum()) / total


def feature_only_margin(training: str, part: str) -> Callable[[Run], float]:
    """Median margin of a training on the "robust" or "nonrobust" patches, by run."""
    def median(run: Run) -> float:
        experiment = run.config.experiment()
        network = experiment.network_of(training, run.arrays)
        samples, data = experiment.test_set[:FEW], experiment.data
        X = (data.robust_only if part == "robust" else data.nonrobust_only)(samples.X)
        return float(np.median(network.margins(X, samples.y)))
    return median


def history_of(run: Run, training: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, <w, u> and <w, v> along a training, beginning with the random network."""
    rows = np.asarray(run.history["training"]) == training
    step, u, v = (np.asarray(run.history[name], np.float64)[rows] for name in ("step", "u", "v"))
    return step, u, v


def overtaking_step(step: np.ndarray, u: np.ndarray, v: np.ndarray) -> float:
    """The first recorded step from which on u is above v, to the end; NaN: it is not."""
    behind = np.flatnonzero(u <= v)
    if len(behind) == 0:
        return float(step[0])
    return float(step[behind[-1] + 1]) if behind[-1] + 1 < len(step) else math.nan


def in_norm(groups: Groups, norm: str) -> Groups:
    """The groups whose patches have balls of this norm."""
    return {size: group for size, group in groups.items() if group[0].config.norm == norm}


def trained(runs: Sequence[Run], *trainings: str) -> list[Run]:
    """The runs that hold all of some trainings."""
    return [run for run in runs if all(name in run.summary for name in trainings)]


def number_of(training: str, name: str) -> Callable[[Run], float]:
    """Something the summary tells about a training, as a function of a run."""
    return lambda run: run.summary[training][name]


def over(values: Mapping[Size, np.ndarray],
         others: Mapping[Size, np.ndarray]) -> dict[Size, np.ndarray]:
    """Ratios, seed by seed and size by size."""
    return {size: values[size] / others[size] for size in values}


def samples_of(groups: Groups) -> Callable[[Size], int]:
    """How many samples an accuracy is a share of, at each size."""
    return lambda size: int(groups[size][0].config.test_samples)


def at_the_start(run: Run, row: str) -> float:
    """A correlation at the start, from the first row of the history."""
    return float(run.history[row][0])


def exponent_in_d(name: str, values: Mapping[Size, np.ndarray],
                  groups: Groups) -> list[Measurement]:
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


def trainings(groups: Groups) -> list[str]:
    """The trainings that every run has."""
    runs = [run for group in groups.values() for run in group]
    return [name for name in ("standard", "one_step", "pgd", "multi_start")
            if all(name in run.summary for run in runs)]


def correlation_panel(groups: Groups,
                      shown: Mapping[str, tuple[dict[Size, np.ndarray], str]],
                      theory: tuple[Curve, ...] = (),
                      ylabel: str = r"largest correlation $\max_r \langle w_r, \cdot\,\rangle$"
                      ) -> Panel:
    """Largest correlations of a neuron with the features, by label: values and role."""
    order = list(groups)
    return Panel("$d, J_{NR}$", ylabel, tuple(
        series_over_sizes(label, values, role, order) for label, (values, role) in shown.items()),
        theory, log="y", ticks=size_names(order))


def accuracy_panel(groups: Groups,
                   shown: Mapping[str, tuple[dict[Size, np.ndarray], str]],
                   theory: tuple[Curve, ...] = (), ylabel: str = "accuracy") -> Panel:
    """Accuracies, or other shares, at each size, by label: values and role."""
    order = list(groups)
    return Panel("$d, J_{NR}$", ylabel, tuple(
        series_over_sizes(label, values, role, order) for label, (values, role) in shown.items()),
        theory, ticks=size_names(order), ylim=(0.0, 1.05))


def level(groups: Groups, label: str, height: float) -> Curve:
    """One level for all sizes: what is accepted begins or ends there."""
    return Curve(label, (-0.4, len(groups) - 0.6), (height, height))


def geometric_mean(values: Mapping[Size, np.ndarray]) -> list[float]:
    """Of the seeds, at each size; NaN where one is not positive."""
    return [float(np.exp(np.log(seeds).mean())) if (seeds > 0.0).all() else math.nan
            for seeds in values.values()]
