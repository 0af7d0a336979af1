"""What a purification run leaves, and how its numbers are shown: clean beside adversarial.

The summary has

    p, tau, linear_r50          P(z_j != 0), the radius trained against, the exact r50 of the linear
                                classifier ``sign <M w*, x>`` on the test samples
    certified_samples, boxes    how many samples are certified, with how many boxes each
    clean, adversarial          of each network those shown (ROWS), and ``fgm_accuracy``,
                                ``zero_gradients``, the share of samples at which FGM was blind, and
                                ``mixtures`` with ``several``, ``many``, ``norm``, ``rest``,
                                ``alignment``, ``largest`` and ``quantile``, see
                                :func:`simulator.features.mixture_metrics`,
                                ``r50_tolerance``, half the width of r50's interval, and
                                ``r50_limit_low`` and ``r50_limit_high``, its 95 % limits over the
                                samples, to the grid of the curves; ``r99`` and
                                ``r01``, the largest radius with attacked accuracy of at least .99
                                and the smallest with at most .01, with ``r99_tolerance`` and
                                ``r01_tolerance`` and 95 % limits, ``r99_low``, ``r99_high``,
                                ``r01_low`` and ``r01_high`` (:mod:`simulator.robustness.tails`),
                                left out where no radius searched or no number of samples so small
                                gives one;
                                where it is certified also ``bracket``, a list with radius,
                                certified, attacked, low, high and samples, ``certified_accuracy``
                                at tau, ``r99_certified``, the largest radius of the bracket with a
                                certified accuracy of at least .99 (0: none, so a lower bound of
                                such radii), ``r50_low`` and ``r50_high``, and ``masking``, a list
                                of signs of masked gradients
                                with ``tail_samples``, of the adversarial network:
                                ``certified_tail``, with ``samples`` and ``at_tau``, the share of
                                them certified at tau; ``r99_certified`` is then that of a fine
                                grid, with dear bounds for the samples that decide it
    low_rank                    with that setting: for each rank R of ``W_clean + U V^T``, ``rank``,
                                ``alignment``, |cos| of the update's first direction with M w*, and
                                ``first``, the share of its squared norm there; and of the trained
                                network what ``clean`` has of attacks at tau and bracket
    learners                    with ``learner_steps``: ``radii``, and ``table`` with the fields of
                                :class:`simulator.low_complexity.Found`

The arrays are ``weights_clean``, ``weights_adversarial`` (m, d); ``bias``; ``radii`` and the curves
``curve_<phase>_<attack>``, ``curve_linear``; with ``tail_samples``, ``certified_radii``, the
largest radius of a fine grid at which each of them is certified (minus infinity: none; of a huge
network a lower bound where that is beyond ``r99_certified``);
``perturbation_<phase>`` (64, d), strongest perturbations at tau in dictionary coordinates;
``labels`` (64,), ``labeler`` (d,) and, unless it is the identity, ``dictionary`` (d, d); the
frames those of :mod:`simulator.experiments.feature_purification.frames`. The history has the rows
of :class:`~simulator.experiments.feature_purification.measured.Rows`.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.experiment import PHASES, PurificationExperiment
from simulator.experiments.feature_purification.frames import frames_of
from simulator.experiments.feature_purification.low_rank import phase_of
from simulator.experiments.feature_purification.measured import SHOWN_PERTURBATIONS, linear_radii
from simulator.experiments.records import from_text, rows_of
from simulator.robustness.accuracy import curve_of
from simulator.robustness.tails import limits_on_grid
from simulator.runs.run import Run
from simulator.runs.stages import Arrays
from simulator.runs.table import SAMPLES, Table, by_network

__all__ = ["CERTIFIED", "NETWORKS", "ROWS", "TAILS", "current", "found_run", "most_certified",
           "r99_certified", "tables"]

ROWS = {"accuracy": "clean accuracy", "universal_accuracy": "under the universal direction",
        "attacked_accuracy": "under the strongest attack", "mixture_ratio": "mixture ratio",
        "purity": "purity", "coverage": "coverage", "gate_rate": "gate rate",
        "r50": "critical radius r50",
        "r99": "99 % hold up to r99", "r01": "1 % hold from r01 on"}
ON_TEST_SAMPLES = ("accuracy", "universal_accuracy", "attacked_accuracy", "gate_rate", "r50",
                   "r99", "r01")
LIMITED = {"r50": "r50_limit", "r99": "r99", "r01": "r01"}  # by what their limits are called
TAILS = {"r99": 0.99, "r01": 0.01}  # levels of accuracy
NETWORKS = PHASES
CERTIFIED = "adversarial: certified"  # the stage that certifies most samples together
MEASURED = ("attacks", "r50", "tails", "bracket", "interval", "masking", "certified")  # in order


def found_run(experiment: PurificationExperiment, done: Mapping[str, Arrays]) -> Run:
    """Return the run that its finished stages amount to."""
    history = [row for phase in PHASES for row in rows_of(done[phase])]
    return Run(experiment.config, _summary(experiment, done), history, _arrays(experiment, done),
               experiment=experiment if experiment.has_replacements else None,
               frames=frames_of(experiment, done))


def _summary(experiment: PurificationExperiment, done: Mapping[str, Arrays]) -> dict[str, Any]:
    config = experiment.config
    summary: dict[str, Any] = {"tau": config.tau, "boxes": config.bracket_nodes,
                               "certified_samples": len(experiment.certified_set)}
    if experiment.has_features:
        summary = {"p": experiment.data.activation_probability, **summary,
                   "linear_r50": float(np.median(linear_radii(experiment)))}
    for phase in PHASES:
        numbers: dict[str, Any] = {}
        for what in MEASURED:
            numbers |= _numbers(done.get(f"{phase}: {what}", {}), {})
        low, high = limits_on_grid(0.5, list(experiment.radii()),
                                   done[f"{phase}: curves"]["strongest"])
        numbers |= {name: end for name, end in (("r50_limit_low", low), ("r50_limit_high", high))
                    if math.isfinite(end)}
        summary[phase] = {"bracket": []} | numbers if "bracket" not in numbers else numbers
    table = [found for name, arrays in done.items() if name.startswith("learner: ")
             for found in _numbers(arrays, [])]
    if experiment.config.low_ranks and phase_of(1) in done:
        summary["low_rank"] = [
            _numbers({"numbers": done[phase_of(rank)]["update"]}, {})
            | _numbers(done[f"{phase_of(rank)}: attacks"], {})
            | _numbers(done.get(f"{phase_of(rank)}: bracket", {}), {"bracket": []})
            for rank in experiment.config.low_ranks]
    if table:
        summary["learners"] = {"radii": experiment.learner_task().radii, "table": table}
    return summary


def _numbers(arrays: Arrays, otherwise: Any) -> Any:
    return from_text(arrays["numbers"]) if "numbers" in arrays else otherwise


def r99_certified(bracket: Iterable[Mapping[str, Any]]) -> float:
    """Return the largest radius of a bracket with certified accuracy of at least .99; 0: none."""
    return max((float(entry["radius"]) for entry in bracket
                if entry["certified"] >= TAILS["r99"]), default=0.0)


def _arrays(experiment: PurificationExperiment, done: Mapping[str, Arrays]) -> Arrays:
    radii, data = experiment.radii(), experiment.data
    arrays = {"bias": done["clean"]["bias"], "radii": radii}
    if experiment.has_features:
        distance = linear_radii(experiment)
        arrays["curve_linear"] = np.array([np.mean(distance > radius) for radius in radii])
    arrays["labels"] = experiment.test_set.y[:SHOWN_PERTURBATIONS]
    if experiment.has_features:
        arrays["labeler"] = data.signs
        if data.dictionary is not None:
            arrays["dictionary"] = data.dictionary
    for phase in PHASES:
        arrays[f"weights_{phase}"] = done[phase]["weights"]
        arrays |= {f"curve_{phase}_{name}": curve_of(points, len(radii))
                   for name, points in done[f"{phase}: curves"].items()}
        arrays[f"perturbation_{phase}"] = done[f"{phase}: attacks"]["perturbation"]
    if CERTIFIED in done:
        arrays["certified_radii"] = done[CERTIFIED]["radii"]
    return arrays


def current(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary in today's words, whenever it was written."""
    brackets = [summary.get(phase, {}).get("bracket") for phase in PHASES]
    samples = brackets[0][0]["samples"] if brackets[0] else 0
    today = dict(summary)
    today.setdefault("certified_samples", samples)
    return today


def tables(config: PurificationConfig, summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables that show a summary."""
    networks = {name: summary[name] for name in NETWORKS}
    shown = [by_network(f"p = P(z_j != 0) = {summary['p']:.4f}   tau = {summary['tau']:.4f}   "
                        f"linear r50 = {summary['linear_r50']:.4f}", networks, ROWS,
                        dict.fromkeys(ON_TEST_SAMPLES, config.test_samples),
                        ("accuracy", "universal_accuracy", "attacked_accuracy"), LIMITED),
             _bracket(config, networks)]
    if "certified_tail" in summary["adversarial"]:
        shown.append(_window(config, **networks))
    if "low_rank" in summary:
        shown.append(_low_rank(config, summary))
    if "learners" in summary:
        shown.append(_learners(config, summary["learners"]))
    return shown


def _bracket(config: PurificationConfig, networks: Mapping[str, Mapping[str, Any]]) -> Table:
    """Certified to attacked accuracy on the same samples; the true one lies in between."""
    brackets = [numbers["bracket"] for numbers in networks.values()]
    if not all(brackets):
        why = ("a smoothed network has no certificate" if config.smoothing
               else "bracket_samples is 0")
        return Table(f"nothing certified: {why}", (), ())
    at = [f"radius {row['radius']:.4f}" + " (tau)" * (row["radius"] == config.tau)
          for row in brackets[0]]
    rows = [(label, tuple(f"{end['certified']:.2f} - {end['attacked']:.2f}" for end in ends))
            for label, ends in zip(at, zip(*brackets))]
    limits = {label: tuple((end["low"], end["high"]) for end in ends)
              for label, ends in zip(at, zip(*brackets))}
    rows.append(("r50 of these samples", tuple(
        f"{numbers['r50_low']:.3f} - {numbers['r50_high']:.3f}" for numbers in networks.values())))
    if any(numbers["masking"] for numbers in networks.values()):
        rows.append(("signs of masked gradients", tuple(
            ", ".join(numbers["masking"]).replace("_", " ") or "none"
            for numbers in networks.values())))
    return Table(f"certified to attacked accuracy on {brackets[0][0]['samples']} samples, against "
                 f"ANY {config.norm} perturbation", tuple(networks), tuple(rows), limits=limits)


def _window(config: PurificationConfig, clean: Mapping[str, Any],
            adversarial: Mapping[str, Any]) -> Table:
    """Whether one radius separates the two trainings (claim A0)."""
    tail, lost = adversarial["certified_tail"], clean.get("r01", math.nan)
    ends = (("clean network: 1 % hold from", config.test_samples, lost),
            ("robust: 99 % hold up to", config.test_samples, adversarial.get("r99", math.nan)),
            ("robust: 99 % certified up to", tail["samples"], adversarial["r99_certified"]))
    rows = tuple((name, (samples, radius, radius / lost)) for name, samples, radius in ends)
    return Table("the same radius for both: open where it is larger than that of the first row "
                 f"(certified at tau: {tail['at_tau']:.3f})",
                 (SAMPLES, "radius", "over the first"), rows)


def most_certified(clean: Mapping[str, Any], adversarial: Mapping[str, Any]) -> int | None:
    """Return the place of the bracket's radius at which adversarial training gains most certified
    accuracy; None without a bracket.

    Parameters
    ----------
    clean, adversarial : mapping
        Of a summary.
    """
    gains = [after["certified"] - before["certified"]
             for before, after in zip(clean["bracket"], adversarial["bracket"])]
    return int(np.argmax(gains)) if gains else None


def _low_rank(config: PurificationConfig, summary: Mapping[str, Any]) -> Table:
    """What adversarial training reaches through updates of each rank."""
    clean, adversarial = summary["clean"], summary["adversarial"]
    place = most_certified(clean, adversarial)
    networks = {"clean": clean, **{f"rank {numbers['rank']}": numbers
                                   for numbers in summary["low_rank"]},
                "unrestricted": adversarial}

    def row(numbers: Mapping[str, Any]) -> tuple[Any, ...]:
        certified = () if place is None else (numbers["bracket"][place]["certified"],)
        return (*(numbers[name] for name in ("accuracy", "universal_accuracy",
                                             "attacked_accuracy")), *certified)

    heads = ("clean", "universal", "attacked") + (() if place is None else (
        f"certified at {clean['bracket'][place]['radius']:.3f}",))
    return Table(f"accuracy after adversarial training through updates of low rank "
                 f"({config.low_rank_steps} steps each, unrestricted {config.adversarial_steps}), "
                 f"at tau on {config.test_samples} samples", heads,
                 tuple((name, row(numbers)) for name, numbers in networks.items()))


def _learners(config: PurificationConfig, learners: Mapping[str, Any]) -> Table:
    """Attacked accuracy of the best member of each class, at every radius."""
    return Table("attacked accuracy of low-complexity learners (best of a grid) on "
                 f"{config.test_samples} samples, at radius / tau",
                 tuple(f"{radius / config.tau:.3g}" for radius in learners["radii"]),
                 tuple((f"{entry['learner']}, {entry['training']}", tuple(entry["attacked"]))
                       for entry in learners["table"]))
