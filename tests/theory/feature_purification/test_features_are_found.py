"""A1: each feature has its neuron where it is planted, and none with another dictionary."""

from dataclasses import replace

import numpy as np

from theory.claim import FAILS, HOLDS, Run
from theory.drawing.claims import draw
from theory.drawing.style import house_style
from theory.feature_purification.features_are_found import confront, features_found, initial_cosines

from legible import faults
from planted.feature_purification import changed


def test_a1_holds_where_every_feature_has_its_neuron(found):
    finding = confront(found)
    assert finding.verdict == HOLDS, finding.caveats
    assert finding.measured > 0.95
    with house_style():
        assert faults(draw(finding.data)) == []


def test_a1_fails_with_a_shuffled_dictionary(found):
    shuffled = []
    for run in found:
        Q = np.linalg.qr(np.random.default_rng(1).standard_normal((run.config.d,) * 2))[0]
        shuffled.append(changed(run, arrays={"dictionary": Q}))
    finding = confront(shuffled)
    assert finding.verdict == FAILS
    assert finding.measured < 0.1


def test_a_feature_is_found_only_where_its_coefficient_stands_out(rng):
    d = 50
    assert features_found(np.eye(d), None, np.ones(d)) == 1.0
    assert features_found(rng.standard_normal((1000, d)), None, np.ones(d)) == 0.0
    half = np.concatenate([np.eye(d)[:25], rng.standard_normal((100, d)) / 10])
    assert features_found(half, None, np.ones(d)) == 0.5


def test_the_cosine_with_the_start_is_told_after_both_trainings(found):
    run = found[-1]
    start = run.config.experiment().initial_network().weights
    gone = np.roll(start, 1, axis=1)
    turned = changed(run, arrays={"weights_adversarial": gone})
    both = initial_cosines(turned)
    assert both["clean"] == initial_cosines(run)["adversarial"] > 0.1 > abs(both["adversarial"])
    (part,) = [part for part in confront(found).measurements if "after adversarial" in part.name]
    assert not part.decisive and part.measured > 0.1
    alone = replace(run.config, adversarial_steps=0)
    assert list(initial_cosines(Run(alone, run.summary, run.history, run.arrays))) == ["clean"]
