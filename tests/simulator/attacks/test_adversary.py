"""The adversary: what it takes, and that it attacks as the function does."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch


def test_one_attack_is_named_after_its_class():
    assert list(Adversary(L2Ball(0.1), FGM()).attacks) == ["fgm"]
    assert Adversary(L2Ball(0.1), FGM()).attack == FGM()


def test_none_takes_fgm_and_pgd_which_are_too_many_to_train_against():
    adversary = Adversary(L2Ball(0.1))
    assert list(adversary.attacks) == ["fgm", "pgd"]
    with pytest.raises(ValueError, match=r"expected one attack to train against, got 2 \(fgm, p"):
        adversary.attack


def test_it_shows_its_attacks_by_name():
    adversary = Adversary(L2Ball(0.1), strong={"long": PGD(100)}, seed=3)
    assert repr(adversary) == ("Adversary(L2Ball(radius=0.1), attacks: fgm, pgd, strong: long, "
                               "seed=3, chunk=1000)")


def test_another_radius_changes_the_ball_alone():
    adversary = Adversary(L2Ball(0.1), FGM(), seed=3, chunk=7)
    assert adversary.at(0.5) == Adversary(L2Ball(0.5), FGM(), seed=3, chunk=7)


@pytest.mark.parametrize("arguments, message", [
    ((0.1,), r"ball: expected a ball such as L2Ball\(0.1\), got 0.1"),
    ((L2Ball(0.1), [FGM()]), "attacks: expected an attack, or attacks by name"),
    ((L2Ball(0.1), FGM), "expected an attack, got the class FGM: write FGM"),
    ((L2Ball(0.1), {"fgm": 3}), "attacks: expected 'fgm' to have a method perturb, got 3")])
def test_a_slip_is_one_line(arguments, message):
    with pytest.raises(TypeError, match=message):
        Adversary(*arguments)


def test_it_attacks_as_the_function_does(rng):
    network = SymmetricReLU(rng.standard_normal((6, 4)), 0.1)
    batch = Batch(rng.standard_normal((5, 4)), np.array([1, -1, 1, 1, -1.0]))
    adversary = Adversary(L2Ball(0.3), PGD(4, ("random",)), seed=2, chunk=3)
    direct = worst_case(network, batch, Adversary(L2Ball(0.3), {"pgd": PGD(4, ("random",))}, seed=2,
                                                  chunk=3), key=5)
    found = adversary.worst_case(network, batch, key=5)
    np.testing.assert_array_equal(found.delta, direct.delta)
    np.testing.assert_array_equal(found.margins, direct.margins)
