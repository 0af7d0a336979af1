"""The figures of a run on real images: the article's three, and what was measured."""

import numpy as np
import pytest

from theory.drawing.style import house_style, narrow_form
from theory.pages.conclusions import percent
from theory.real_images.captions import CAPTIONS, conclusion
from theory.real_images.figures import (accuracy_figure, chosen_neurons, figures, neurons_figure,
                                        parts_figure, perturbations_figure, reconstruction_figure)

from legible import faults
from planted.real_images import measured_run


@pytest.fixture(scope="module")
def run():
    return measured_run(0)


def shown(axes):
    return [panel.images[0].get_array() for panel in axes if panel.images]


def test_every_figure_can_be_read(run):
    with house_style():
        drawn = {name: faults(draw(run)) for name, draw in figures(run).items()}
    assert drawn == dict.fromkeys(("reconstruction", "perturbations", "neurons", "parts",
                                   "features", "accuracy", "training"), [])


@pytest.mark.slow
def test_every_figure_can_be_read_on_a_phone(run):
    with narrow_form(), house_style():
        assert all(faults(draw(run)) == [] for draw in figures(run).values())


def test_a_photograph_stands_before_what_is_rebuilt_from_fewer_and_fewer(run):
    images = shown(reconstruction_figure(run).axes)
    assert len(images) == 4 * 6
    np.testing.assert_array_equal(images[6], run.arrays["pictures"][1])
    np.testing.assert_array_equal(images[8], run.arrays["rebuilt"][1, 1])


def test_perturbations_of_both_networks_stand_below_their_image(run):
    images = shown(perturbations_figure(run).axes)
    assert len(images) == 30
    first = int(np.flatnonzero(run.arrays["y"] < 0.0)[0])
    pixels = run.summary["scale"] * run.arrays["X"][first] + run.arrays["mean"]
    np.testing.assert_allclose(images[0].ravel(), np.clip(pixels, 0.0, 1.0))
    for row, phase in ((1, "clean"), (2, "adversarial")):
        np.testing.assert_allclose(images[10 * row].ravel(), run.arrays[f"delta_{phase}"][first])


def test_the_same_neurons_are_shown_before_and_after(run):
    before, after = (np.array([image.ravel() for image in shown(
        panel for place, panel in enumerate(neurons_figure(run).axes)
        if (place % 9 < 4) == (phase == "clean"))]) for phase in ("clean", "adversarial"))
    neurons = chosen_neurons(run)
    np.testing.assert_array_equal(before, run.arrays["weights_clean"][neurons])
    np.testing.assert_array_equal(after, run.arrays["weights_adversarial"][neurons])


def test_the_two_parts_of_a_neuron_add_up_to_it(run):
    images = np.array([image.ravel() for image in shown(parts_figure(run).axes)])
    neurons, kept, removed = images.reshape(3, -1, 64)
    np.testing.assert_allclose(kept + removed, neurons, atol=1e-12)


def test_every_figure_has_a_caption_and_the_run_a_sentence(run):
    assert set(CAPTIONS) == set(figures(run))
    for phase in ("clean", "longer", "adversarial"):
        assert percent(run.summary[phase]["attacked_accuracy"]) in conclusion(run)


def test_what_is_certified_lies_in_the_picture_of_accuracy(run):
    labels = [line.get_label() for line in accuracy_figure(run).axes[0].get_lines()]
    assert sum(label.startswith("certified") for label in labels) == 3
