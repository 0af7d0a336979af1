"""Measuring low-complexity learners: what is trained, chosen, attacked and stored."""

import json

import numpy as np
import pytest

from scripts.simulate import main
from simulator import low_complexity as learners
from simulator.attacks.gradient import FGM
from simulator.attacks.suites import standard_attacks
from simulator.attacks.through import ThroughSmoothedGates
from simulator.balls import L2Ball
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.experiments import config_of
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.experiments.feature_purification.run import simulate
from simulator.low_complexity import (GRID, LEARNERS, RADII, Learner, LearnerTask, learners_of,
                                      measure)
from simulator.networks.linear import LinearClassifier
from simulator.networks.polynomials import Polynomial
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.runs.config import config_hash
from simulator.runs.folder import RunFolder
from theory.claim import Theorem
from theory.feature_purification import low_complexity_is_not_robust as a8
from theory.plans import settings_of

from small import small_config, small_flags

D = 16
DATA = SparseCoding(d=D, k=2)


def task(steps=20, tau=0.1, **changes):
    settings = {"batches": FreshBatches(DATA, 100, 0),
                "validation": DATA.sample(50, np.random.default_rng(1)),
                "test": DATA.sample(70, np.random.default_rng(2)),
                "ball": L2Ball(tau), "steps": steps, "seed": 0}
    return LearnerTask(**(settings | changes))


def linear(known=(), spread=D):
    return Learner("linear", lambda: LinearClassifier(np.zeros(D)), FGM(),
                   standard_attacks(DATA.dense_direction, 5), spread, known)


def along(scale):
    return LinearClassifier(scale * DATA.dense_direction)


def test_every_way_of_training_is_measured_at_every_radius():
    found = list(measure(linear((along(1.0),)), task()))
    assert [entry.training for entry in found] == ["clean", "adversarial", "known"]
    for entry in found:
        assert len(entry.accuracy) == len(entry.attacked) == len(entry.best) == len(RADII)
        assert all(attacked <= clean for attacked, clean in zip(entry.attacked, entry.accuracy))


def test_the_attacked_accuracy_of_a_known_linear_model_is_its_closed_form():
    job = task()
    found = list(measure(linear((along(2.0),)), job))[-1]
    for radius, attacked in zip(job.radii, found.attacked):
        exact = along(1.0).robust_accuracy(job.test.X, job.test.y, L2Ball(radius))
        assert attacked == exact


def test_the_best_of_the_grid_is_chosen_on_the_validation_samples():
    good, bad = along(1.0), along(-1.0)
    found = list(measure(linear((bad, good)), task()))[-1]
    assert set(found.best) == {"member 1"}
    job = task()
    flipped = task(validation=learners.Batch(job.validation.X, -job.validation.y))
    misled = list(measure(linear((bad, good)), flipped))[-1]
    assert set(misled.best) == {"member 0"} and max(misled.attacked) < 0.1


def test_a_training_that_diverges_is_left_out(monkeypatch):
    monkeypatch.setattr(learners, "GRID", ((1e9, 0.0),))
    found = list(measure(linear(), task()))
    for entry in found:
        assert set(entry.best) == {"untrained"}
        assert entry.attacked == [0.0] * len(RADII)


def test_rates_are_in_units_of_the_curvature():
    batch = task().batches.batch(0)
    mean_square = np.mean(np.sum(batch.X[:32] ** 2, axis=1))
    assert learners._curvature(linear(), task()) == pytest.approx(mean_square / D, rel=1e-12)
    assert learners._curvature(linear(spread=1), task()) == pytest.approx(mean_square, rel=1e-12)


def test_the_learners_are_those_of_the_claim():
    origin = SymmetricReLU(0.1 * np.random.default_rng(0).standard_normal((40, D)), 0.1, 0.05)
    made = learners_of(origin, DATA.signs, None, DATA.dense_direction, task())
    assert [learner.name for learner in made] == ["linear", "degree 2", "degree 3",
                                                  "symmetric cubic", "tangent kernel"]
    X = task().test.X
    for learner in made:
        assert not learner.make().margins(X, np.ones(len(X))).any()  # untrained: zero
    kernel = made[-1]
    assert np.array_equal(kernel.make().frozen_weights, origin.weights)
    assert any(isinstance(attack, ThroughSmoothedGates) for attack in kernel.attacks.values())
    assert isinstance(made[2].make(), Polynomial) and made[2].make().degree == 3
    # the threshold cubics and the linear models need no training, the others have none
    assert [len(learner.known) for learner in made] == [3, 0, 0, 4, 0]


def test_sets_for_large_d_have_no_polynomial_with_all_coefficients():
    origin = SymmetricReLU(0.1 * np.random.default_rng(0).standard_normal((40, D)), 0.1)
    names = {chosen: [learner.name for learner in learners_of(
        origin, DATA.signs, None, DATA.dense_direction, task(), LEARNERS[chosen])]
        for chosen in LEARNERS}
    assert names == {chosen: list(wanted) for chosen, wanted in LEARNERS.items()}
    assert not {"degree 2", "degree 3"} & {*names["symmetric"], *names["large"]}
    assert set(names["large"]) - set(names["symmetric"]) == {"tangent kernel"}


def test_the_same_task_gives_the_same_table(brief_attacks):
    origin = SymmetricReLU(0.1 * np.random.default_rng(0).standard_normal((40, D)), 0.1)
    tables = []
    for _ in range(2):
        job = task(steps=4)
        made = learners_of(origin, DATA.signs, None, DATA.dense_direction, job)
        tables.append(json.dumps([vars(row) for learner in made[:2] + made[-1:]
                                  for row in measure(learner, job)]))
    assert tables[0] == tables[1]


def test_training_helps_and_the_grid_is_not_at_its_edge(monkeypatch):
    clean, adversarial = list(measure(linear(), task(steps=100)))
    assert min(clean.accuracy) > 0.9
    assert adversarial.attacked[0] > 0.5
    monkeypatch.setattr(learners, "GRID", ((GRID[0][0] / 4.0, 0.0), *GRID, (4.0 * GRID[1][0], 0.0)))
    wider = list(measure(linear(), task(steps=100)))[1]
    # what the steps beyond both ends add is below the standard error of 50 validation samples
    assert np.all(np.subtract(wider.attacked, adversarial.attacked) < 0.07)


def test_a_task_without_a_radius_or_steps_is_refused():
    with pytest.raises(ValueError, match="tau: expected more than 0"):
        task(tau=0.0)
    with pytest.raises(ValueError, match="steps: expected at least 1"):
        task(steps=0)


# --- in a run -----------------------------------------------------------------------------


def test_a_run_trains_the_learners_that_it_is_asked_for(brief_attacks):
    config = small_config(learner_steps=2, learners="symmetric", test_samples=30,
                          evaluation_chunk=30)
    table = simulate(config).summary["learners"]["table"]
    assert list(dict.fromkeys(entry["learner"] for entry in table)) == [*LEARNERS["symmetric"]]
    assert config_hash(config.with_(learners="all")) == config_hash(
        small_config(learner_steps=2, test_samples=30, evaluation_chunk=30))


def test_a_run_stores_its_learners_where_it_is_asked_to(tmp_path, brief_attacks):
    config = small_config(learner_steps=3, test_samples=30, evaluation_chunk=30)
    folder = RunFolder.create(tmp_path, config)
    said = []
    result = simulate(config, folder, lambda step, total, what: said.append(what))
    stored = folder.read_json("summary.json")["learners"]
    assert stored == result.summary["learners"]
    assert {entry["learner"] for entry in stored["table"]} == {
        "linear", "degree 2", "degree 3", "symmetric cubic", "tangent kernel"}
    assert stored["radii"] == pytest.approx([share * config.tau for share in RADII])
    assert "learner: degree 3" in said


def test_a_run_without_learners_is_what_it_was(brief_attacks):
    assert "learners" not in simulate(small_config()).summary
    assert config_hash(small_config()) == config_hash(small_config(learner_steps=0))
    assert config_hash(small_config()) != config_hash(small_config(learner_steps=5))
    with pytest.raises(ValueError, match="tau: expected more than 0"):
        small_config(learner_steps=5, tau=0.0)


def test_the_network_is_certified_at_the_radii_of_its_learners():
    config = small_config(learner_steps=1)
    radii = PurificationExperiment(config).bracket_radii()
    assert {share * config.tau for share in RADII} <= set(radii)
    assert 1.25 * config.tau not in PurificationExperiment(small_config()).bracket_radii()


def test_the_command_prints_a_table_of_learners(tmp_path, capsys, brief_attacks):
    flags = small_flags(learner_steps=2, test_samples=20, evaluation_chunk=20)
    assert main([*flags, "--out", str(tmp_path), "--no-figures"]) == 0
    shown = capsys.readouterr().out
    assert "attacked accuracy of low-complexity learners" in shown
    assert "symmetric cubic, adversarial" in shown and "1.75" in shown


@pytest.mark.parametrize("name", ["desk", "paper"])
def test_no_plan_has_two_runs_of_one_family_size_and_seed(name):
    configs = [config_of(settings) for settings in
               settings_of([Theorem(a8.CLAIM, a8.confront, a8.RUNS)], name, 1)]
    assert any(config.learner_steps for config in configs)
    places = [(config.name, *config.size, config.seed) for config in configs]
    assert len(set(places)) == len(places)
