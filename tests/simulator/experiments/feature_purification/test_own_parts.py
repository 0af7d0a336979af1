"""A network, data or an attack of one's own in the place of the preset's: what works, does."""

import logging

import numpy as np
import pytest

from simulator.attacks.gradient import FGM, PGD
from simulator.data.sparse_coding import SparseCoding
from simulator.experiments import simulate
from simulator.networks.linear import LinearClassifier
from simulator.networks.polynomials import Polynomial
from simulator.networks.symmetric_relu import SymmetricReLU

from small import CERTIFIED, small_config

pytestmark = pytest.mark.usefixtures("brief_attacks")


class Plain:
    """Data that says nothing about features."""

    def __init__(self, d):
        self.hidden = SparseCoding(d=d, k=2)

    def sample(self, n, rng, dtype=np.float64):
        return self.hidden.sample(n, rng, dtype)


def test_a_symmetric_network_of_ones_own_is_certified_too():
    config = small_config(**CERTIFIED)
    own = SymmetricReLU.initialise(m=12, d=20, scale=0.05, rng=0)
    before = own.weights.copy()
    run = simulate(config, network=own)
    assert run.arrays["weights_clean"].shape == (12, 20)
    assert np.array_equal(own.weights, before)  # a copy is trained
    assert run.summary["clean"]["bracket"] and "mixture_ratio" in run.summary["adversarial"]
    assert run.network("adversarial").weights.shape == (12, 20)
    assert run.parts("clean").coefficients.shape == (12, 20)


@pytest.mark.parametrize("own", [LinearClassifier(np.full(20, 0.01)),
                                 Polynomial(20, 2, dtype=np.float64)],
                         ids=lambda own: type(own).__name__)
def test_another_network_is_trained_and_attacked_and_the_bracket_says_why_not(own, caplog):
    with caplog.at_level(logging.WARNING, "purify"):
        run = simulate(small_config(**CERTIFIED), network=own)
    assert "bracket: left out: network: expected a SymmetricReLU, got" in caplog.text
    for phase in ("clean", "adversarial"):
        numbers = run.summary[phase]
        assert 0.0 <= numbers["attacked_accuracy"] <= numbers["accuracy"] <= 1.0
        assert numbers["bracket"] == [] and "r50" in numbers and "purity" not in numbers
        assert run.arrays[f"curve_{phase}_strongest"].shape == run.arrays["radii"].shape
        assert type(run.network(phase)) is type(own)
    assert not np.array_equal(run.network("clean").weights, run.network("adversarial").weights)
    assert list(run.history["step"]) == [0, 10, 20, 30, 40, 50]


def test_an_attack_of_ones_own_is_the_one_trained_against():
    config = small_config()
    plain = simulate(config)
    assert np.array_equal(simulate(config, attack=FGM()).arrays["weights_adversarial"],
                          plain.arrays["weights_adversarial"])
    other = simulate(config, attack=PGD(2))
    assert not np.array_equal(other.arrays["weights_adversarial"],
                              plain.arrays["weights_adversarial"])
    assert np.array_equal(other.arrays["weights_clean"], plain.arrays["weights_clean"])


def test_data_without_features_are_attacked_without_knowing_them(caplog):
    with caplog.at_level(logging.WARNING, "purify"):
        run = simulate(small_config(**CERTIFIED), data=Plain(20))
    assert "bracket: left out: data: expected features, got a Plain" in caplog.text
    assert set(run.adversary.attacks) == {"fgm", "pgd"}
    assert "purity" not in run.summary["clean"] and "r50" in run.summary["clean"]
    assert "labeler" not in run.arrays


def test_other_data_with_features_take_the_place_of_the_presets():
    data = SparseCoding(d=20, k=3, noise=0.2)
    run = simulate(small_config(), data=data)
    assert run.data is data and run.summary["p"] == data.activation_probability


@pytest.mark.parametrize("parts, message", [
    ({"network": 3}, "network: expected an object with a method gradient_step, got 3"),
    ({"attack": FGM}, "attack: expected an object with a method perturb, got <class"),
    ({"data": np.zeros(3)}, "data: expected an object with a method sample")], ids=str)
def test_a_part_that_is_none_is_told(parts, message):
    with pytest.raises(TypeError, match=message):
        simulate(small_config(), **parts)


def test_parts_are_for_memory_only(tmp_path):
    with pytest.raises(ValueError, match="folder: expected none beside attack=, got .*: the name "
                       "of a run folder stands for its settings alone"):
        simulate(small_config(), attack=FGM(), folder=tmp_path)
    assert not list(tmp_path.iterdir())
