"""What is of another type is told in one line that says what was expected, by every public name."""

from pathlib import Path

import numpy as np
import pytest

import simulator as sim
import theory

DATA = sim.SparseCoding(d=8, k=2)
NET = sim.SymmetricReLU.initialise(m=12, d=8, scale=0.1, rng=0)
BATCH = DATA.sample(4, np.random.default_rng(0))
ADVERSARY = sim.Adversary(sim.L2Ball(0.1), sim.FGM())
PARTS = sim.decompose(NET, DATA)
WRONG = ["runs/desk-0123456789", 3, None, (BATCH.X, BATCH.y), [1.0, "x"], object()]
# a function, arguments that fit, and what is said of a wrong one, by its place
CALLS = [
    (sim.accuracy, (NET, BATCH), {0: "network: expected a network", 1: "batch: expected a Batch"}),
    (sim.worst_case, (NET, BATCH, ADVERSARY),
     {0: "network: expected a network", 1: "batch: expected a Batch", 2: "adversary: expected an"}),
    (lambda *given: sim.accuracy_curves(*given, radii=[0.1]), (NET, BATCH, ADVERSARY),
     {0: "network: expected a network", 1: "batch: expected a Batch", 2: "adversary: expected an"}),
    (sim.critical_radius, (NET, BATCH, ADVERSARY),
     {0: "network: expected a network", 1: "batch: expected a Batch", 2: "adversary: expected an"}),
    (sim.gradient_masking, (NET, BATCH, ADVERSARY),
     {0: "network: expected a network", 1: "batch: expected a Batch", 2: "adversary: expected an"}),
    (lambda *given: sim.bracket(*given, radii=[0.1]), (NET, BATCH, ADVERSARY),
     {0: "network: expected", 1: "batch: expected a Batch", 2: "adversary: expected an"}),
    (sim.certify, (NET, BATCH, ADVERSARY), {0: "network: expected", 1: "batch: expected a Batch"}),
    (sim.feature_metrics, (PARTS,), {0: r"parts: expected a Decomposition, .* decompose\("}),
    (sim.flip_mechanism, (NET, BATCH.X, BATCH.y, 0.0 * BATCH.X, PARTS),
     {0: "network: expected", 1: "X: expected", 3: "delta: expected",
      4: "parts: expected a Decomposition"}),
    (sim.purification, (NET.weights, NET.weights, np.ones(12, bool)),
     {0: "clean: expected", 1: "adversarial: expected", 2: "neurons: expected"}),
    (sim.decompose, (NET, DATA), {0: "weights: expected", 1: "data: expected"}),
    (sim.empirical_ntk, (NET, BATCH.X), {1: "X: expected"}),
    (theory.figures, (None,), {0: "run: expected a Run"}),
    (theory.drawings, (None,), {0: "run: expected a Run"}),
    (theory.run_page, (None,), {0: "run: expected a Run"}),
    (lambda run: theory.draw_run(run, Path("nowhere")), (None,), {0: "run: expected a Run"}),
    (lambda run: theory.animate(run, Path("nowhere.gif")), (None,), {0: "run: expected a Run"}),
    (lambda runs: theory.confront("A6", runs), ([],), {0: "runs: expected a Run"}),
]


@pytest.mark.parametrize("function, fitting, place, expected", [
    (function, fitting, place, expected) for function, fitting, places in CALLS
    for place, expected in places.items()])
def test_another_type_is_one_line_that_says_what_was_expected(function, fitting, place, expected):
    for wrong in WRONG:
        given = [*fitting[:place], wrong, *fitting[place + 1:]]
        with pytest.raises((TypeError, ValueError), match=expected) as told:
            function(*given)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("function, fitting", [
    (function, fitting) for function, fitting, _ in CALLS if fitting[0] is not None])
def test_what_fits_is_taken(function, fitting):
    function(*fitting)


def test_a_folder_in_the_place_of_a_run_is_told_with_what_opens_it():
    for call in (theory.figures, lambda run: theory.confront("A6", run)):
        with pytest.raises(TypeError, match=r"expected a Run, .* simulator.load\('runs/a'\)"):
            call(Path("runs/a"))
    for wanted in (3, None, [3]):
        with pytest.raises(TypeError, match="expected (an id|ids) such as"):
            theory.confront(wanted, [])


def test_marks_of_other_neurons_are_refused():
    with pytest.raises(ValueError, match=r"neurons: expected shape \(12,\), got \(20,\)"):
        sim.purification(NET.weights, NET.weights, np.ones(20, bool))
