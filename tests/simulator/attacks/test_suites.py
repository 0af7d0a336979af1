"""The suites, and how their attacks are printed and seeded."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM, PGD, AdaptivePGD
from simulator.attacks.search import FeatureGreedy, RandomSearch
from simulator.attacks.suites import (gradient_attacks, patch_attacks, quick_attacks, sharp_attacks,
                                      standard_attacks, strong_attacks)
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.attacks import D, labelled, random_network


def test_the_suite_contains_its_parts():
    net = random_network()
    X, y = labelled(net)
    suite = strong_attacks(np.ones(D), None, steps=5, restarts=1)
    found = worst_case(net, Batch(X, y), Adversary(L2Ball(0.3), suite))
    assert set(suite) == {"pgd-long", "adaptive", "features", "random-long"}
    assert np.all(found.margins <= np.min([found.margins_of[name] for name in suite], axis=0))


LONG = np.linspace(0.1, 1.0, 2000)
SUITES = {"gradient": gradient_attacks(), "quick": quick_attacks(LONG),
          "standard": standard_attacks(LONG), "strong": strong_attacks(LONG, np.eye(2000)),
          "sharp": sharp_attacks(np.eye(2000)),
          "patch": patch_attacks(np.eye(3, 700), np.eye(3, 700), ascent=0.1)}


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_every_attack_of_a_suite_is_printed_in_one_line(suite):
    adversary = Adversary(L2Ball(0.1), suite)
    for attack in adversary.attacks.values():
        assert repr(attack).startswith(type(attack).__name__) and len(repr(attack)) < 120
        assert "\n" not in repr(attack)


def test_an_array_is_printed_as_its_shape():
    assert repr(Universal(LONG)) == "Universal(direction=<array (2000,)>)"
    assert repr(PGD(3)) == "PGD(steps=3, starts=('zero',), restarts=1, direction=None)"


def test_the_suites_name_their_attacks():
    assert {name: list(suite) for name, suite in SUITES.items()} == {
        "gradient": ["fgm", "pgd"], "quick": ["universal", "fgm", "pgd"],
        "standard": ["universal", "fgm", "pgd", "random"],
        "strong": ["pgd-long", "adaptive", "features", "random-long"],
        "sharp": ["adaptive", "features"],
        "patch": ["one_step_attack", "full_length_step", "pgd", "along_v", "along_u",
                  "mixed_features", "patch_by_patch"]}


@pytest.fixture
def case(rng):
    return (SymmetricReLU(rng.standard_normal((6, 4)), 0.1), rng.standard_normal((5, 4)),
            np.ones(5), L2Ball(0.3))


@pytest.mark.parametrize("attack", [PGD(2, ("random",)), AdaptivePGD(3), RandomSearch(4)])
def test_a_seed_is_the_generator_of_that_seed(case, attack):
    seeded, drawn, other = (attack.perturb(*case, rng).delta
                            for rng in (7, np.random.default_rng(7), 8))
    assert np.array_equal(seeded, drawn) and not np.array_equal(seeded, other)


@pytest.mark.parametrize("attack", [FGM(), Universal(np.ones(4)), PGD(2), FeatureGreedy()])
def test_an_attack_that_draws_nothing_needs_no_generator(case, attack):
    assert np.array_equal(attack.perturb(*case).delta, attack.perturb(*case, 3).delta)


@pytest.mark.parametrize("seed", [None, "seed", 0.5, True])
def test_what_is_no_seed_is_named(case, seed):
    with pytest.raises(TypeError, match="rng: expected a seed or a numpy Generator, got"):
        PGD(2, ("random",)).perturb(*case, seed)


def test_one_start_is_a_tuple_too():
    with pytest.raises(TypeError, match=r"starts: expected a tuple such as .*, got 'zero'"):
        PGD(20, "zero")
