"""Every claim of the patch model holds where its truth is planted and fails where it is not.

The networks are written down, not trained, and measured by the run's own evaluation; the control
with kappa << 1 is really trained.
"""

import dataclasses

import numpy as np
import pytest

from simulator.experiments import config_of, preset
from simulator.experiments.structured_features.experiment import StructuredExperiment, correlations
from simulator.experiments.structured_features.races import kappas
from simulator.experiments.structured_features.run import simulate
from simulator.experiments.structured_features.summary import accuracies
from theory import claims
from theory.claim import FAILS, HOLDS, OUTSIDE, Run, confront_all
from theory.plans import for_plan, plan_names, settings_of
from theory.structured_features import (kappa_decides, nonrobust_feature_is_learned,
                                        robust_feature_is_learned)
from theory.structured_features.quantities import share_along_v

CLAIMS = claims("structured_features")

SEEDS = (0, 1, 2, 3)
SIZE = {"d": 12, "m": 8, "nonrobust_patches": 48, "alpha": 3.5, "rho": 2.0, "noise": 0.1,
        "test_samples": 100, "evaluation_chunk": 100, "attack_steps": 3, "certified_samples": 0,
        "multi_start_steps": 1, "pgd_steps": 0, "one_step_steps": 1, "threads": 1}


def standard_weights(run):
    """Each class reads its non-robust feature, and next to nothing of the robust one."""
    weights = run.initial_network().weights.copy()
    weights[:, 0] += 0.7 * run.data.nonrobust_features
    return weights


def robust_weights(run):
    """Each class reads its robust feature, inhibited by the other one's non-robust feature."""
    V = run.data.nonrobust_features
    weights = run.initial_network().weights.copy()
    weights[:, 0] += run.data.robust_features - V[::-1]
    return weights


def planted_run(seed, standard=standard_weights, adversarial=robust_weights, **changes):
    """A run with written-down weights for each training, measured as always."""
    config = config_of(preset("smoke", "patches") | SIZE | {"seed": seed} | changes)
    run = StructuredExperiment(config)
    start = correlations(run.initial_network(), run.data)
    summary, arrays = {"kappa": config.kappa, "tau": config.epsilon}, {}
    for name, weights in (("standard", standard(run)), ("one_step", standard(run)),
                          ("multi_start", adversarial(run))):
        network = run.network(weights)
        found = run.attack(network)
        arrays[f"parts_{name}"] = found["parts"]
        summary[name] = correlations(network, run.data) | accuracies(found)
    history = [{"training": "standard", "step": 0, "loss": 0.7, **start}]
    return Run(config, summary, history, arrays)


@pytest.fixture(scope="module")
def planted():
    return [planted_run(seed) for seed in SEEDS]


def racing_run(seed, midpoint=1.0, width=0.25, noise=0.0, **changes):
    """Races whose outcomes follow a planted transition; starts to match."""
    config = config_of(preset("transition", "patches") | {
        "seed": seed, "races": 20, "name": "transition-a"} | changes)
    rng = np.random.default_rng(seed)
    kappa = kappas(config)
    share = 1.0 / (1.0 + np.exp(-np.log(kappa / midpoint) / width))
    share = (1.0 - noise) * share + 0.5 * noise
    wins = rng.random((len(kappa), config.races, 2)) < share[:, None, None]
    races = np.ones((*wins.shape, 4))
    races[..., 0] += ~wins
    races[..., 1] += wins
    races[..., 3] = np.exp(width * rng.logistic(size=wins.shape))
    return Run(config, {}, [], {"kappas": kappa, "races": races})


def verdicts(findings):
    return {finding.id: finding.verdict for finding in findings}


# --- B1 -----------------------------------------------------------------------------------------


def test_b1_holds_for_networks_that_read_the_non_robust_feature(planted):
    finding = nonrobust_feature_is_learned.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.low > 10.0 and finding.seeds == SEEDS
    assert all(share_along_v(run, "standard") > 0.9 for run in planted)


@pytest.mark.parametrize("standard, part", [
    (robust_weights, "<w, v> over <w, u>"),
    (lambda run: 0.5 * (standard_weights(run) + robust_weights(run)), "growth of <w, u>"),
    (lambda run: -standard_weights(run), "clean accuracy"),
])
def test_b1_fails_for_other_networks_and_says_where(standard, part):
    finding = nonrobust_feature_is_learned.confront([planted_run(seed, standard) for seed in SEEDS])
    assert finding.verdict == FAILS
    assert any(part in note and "not in the accepted range" in note for note in finding.caveats)


def test_b1_says_nothing_where_the_robust_feature_is_the_denser_one():
    runs = [planted_run(seed, alpha=5.0) for seed in SEEDS]
    finding = nonrobust_feature_is_learned.confront(runs)
    assert finding.verdict == OUTSIDE
    assert any("kappa > 1" in note for note in finding.caveats)


def test_b1_fails_when_it_is_asked_where_kappa_is_small(monkeypatch):
    settings = preset("smoke", "patches") | {
        "d": 20, "m": 8, "nonrobust_patches": 10, "alpha": 5.0, "learning_rate": 0.3,
        "standard_steps": 150, "one_step_steps": 0, "pgd_steps": 0, "multi_start_steps": 0,
        "test_samples": 50, "certified_samples": 0}
    runs = []
    for seed in SEEDS:
        config = config_of(settings | {"seed": seed})
        runs.append(simulate(config))
    assert nonrobust_feature_is_learned.confront(runs).verdict == OUTSIDE
    anywhere = dataclasses.replace(nonrobust_feature_is_learned.CLAIM, assumptions=())
    monkeypatch.setattr(nonrobust_feature_is_learned, "CLAIM", anywhere)
    finding = nonrobust_feature_is_learned.confront(runs)
    assert runs[0].summary["kappa"] < 0.1 and finding.verdict == FAILS
    assert finding.high < 0.1  # v over u: the other way round
    assert all(run.summary["standard"]["accuracy"] == 1.0 for run in runs)


def test_b1_of_a_training_that_no_run_has_is_outside(planted):
    runs = [Run(run.config, {name: numbers for name, numbers in run.summary.items()
                             if name != "standard"}, run.history, run.arrays) for run in planted]
    assert nonrobust_feature_is_learned.confront(runs).verdict == OUTSIDE


# --- B2 -----------------------------------------------------------------------------------------


def test_b2_holds_for_networks_that_read_the_robust_feature(planted):
    finding = robust_feature_is_learned.confront(planted)
    assert finding.verdict == HOLDS, finding.caveats
    assert any("against one ascent step" in note for note in finding.caveats)


def test_b2_fails_for_the_training_that_changed_nothing(planted):
    runs = [Run(run.config, dict(run.summary) | {"multi_start": run.summary["one_step"]},
                run.history, run.arrays) for run in planted]
    finding = robust_feature_is_learned.confront(runs)
    assert finding.verdict == FAILS and finding.measured == pytest.approx(1.0)


def test_b2_fails_for_a_network_that_a_mixture_breaks():
    def uninhibited(run):
        weights = run.initial_network().weights.copy()
        weights[:, 0] += run.data.robust_features
        return weights

    runs = [planted_run(seed, adversarial=uninhibited) for seed in SEEDS]
    finding = robust_feature_is_learned.confront(runs)
    assert finding.verdict == FAILS and finding.low > 10.0  # it has learned u
    assert any("strongest attack" in note for note in finding.caveats)


# --- B3 -----------------------------------------------------------------------------------------


def test_b3_holds_for_a_transition_at_one():
    finding = kappa_decides.confront([racing_run(seed) for seed in SEEDS])
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("changes, part", [
    ({"midpoint": 2.5}, "midpoint"), ({"midpoint": 0.4}, "midpoint"),
    ({"noise": 1.0}, "rise of v's share")])
def test_b3_fails_for_a_transition_elsewhere_or_none(changes, part):
    finding = kappa_decides.confront([racing_run(seed, **changes) for seed in SEEDS])
    assert finding.verdict == FAILS
    assert any(note.startswith(part) and "not in" in note for note in finding.caveats)


def test_the_smallest_start_of_each_q_decides_and_the_others_are_shown():
    runs = [run for seed in SEEDS for run in (
        racing_run(seed, init_scale=0.001), racing_run(seed, 3.0, name="transition-b"))]
    finding = kappa_decides.confront(runs)
    assert finding.verdict == HOLDS
    shown = {part.name: part for part in finding.measurements if not part.decisive}
    wanted = "midpoint, q = 3, sigma_0 = 0.01 "
    other, = (part for name, part in shown.items() if name.startswith(wanted))
    assert other.measured > 2.0


def test_one_sided_races_have_no_midpoint_and_the_claim_fails():
    runs = [racing_run(seed, midpoint=1e6) for seed in SEEDS]
    assert kappa_decides.confront(runs).verdict == FAILS


# --- the paper ----------------------------------------------------------------------------------


def test_the_paper_is_registered_and_every_claim_is_confronted(planted):
    assert [theorem.claim.id for theorem in CLAIMS][:3] == ["B1", "B2", "B3"]
    runs = planted + [racing_run(seed) for seed in SEEDS]
    assert verdicts(confront_all(runs, CLAIMS)) == {"B1": HOLDS, "B2": HOLDS, "B3": HOLDS}
    assert verdicts(confront_all([], CLAIMS)) == dict.fromkeys(("B1", "B2", "B3"), OUTSIDE)
    assert all("reading" in theorem.claim.source for theorem in CLAIMS)


def test_too_few_seeds_are_no_evidence(planted):
    assert nonrobust_feature_is_learned.confront(planted[:2]).verdict == OUTSIDE
    assert kappa_decides.CLAIM.id == kappa_decides.confront([racing_run(0)]).id


def test_the_exponent_in_d_is_shown_where_there_are_sizes_enough(planted):
    runs = [Run(dataclasses.replace(run.config, d=d), run.summary, run.history, run.arrays)
            for run in planted for d in (12, 16, 24, 48)]
    names = [part.name for part in nonrobust_feature_is_learned.confront(runs).measurements
             if not part.decisive]
    assert "exponent of <w, v> over <w, u> in d" in names


@pytest.mark.parametrize("name", plan_names(CLAIMS))
def test_every_plan_resolves_and_serves_every_claim(name):
    configs = [config_of(settings) for settings in settings_of(
        for_plan(CLAIMS, name), name, paper="structured_features")]
    assert any(config.races for config in configs) and not all(c.races for c in configs)
    assert len({(c.name, *c.size, c.seed) for c in configs}) == len(configs)
