"""Which attacks are run together: the suites whose worst case is an "attacked accuracy".

A suite is a mapping name -> attack, as :class:`~simulator.attacks.adversary.Adversary` takes it;
a dict of one's own does as well.
"""

import numpy as np

from simulator.attacks.directions import FixedDirections, Universal
from simulator.attacks.gradient import FGM, PGD, AdaptivePGD, Ascent
from simulator.attacks.paired import PairedPatchSearch
from simulator.attacks.patches import PatchSearch, directions_of
from simulator.attacks.search import FeatureGreedy, RandomSearch
from simulator.attacks.through import InSpan
from simulator.protocols import Attack

__all__ = ["gradient_attacks", "patch_attacks", "quick_attacks", "standard_attacks",
           "strong_attacks"]


def gradient_attacks() -> dict[str, Attack]:
    """Return FGM and PGD, which need no knowledge of the data: an adversary's default."""
    return {"fgm": FGM(), "pgd": PGD(20, ("zero", "random"))}


def quick_attacks(direction: np.ndarray) -> dict[str, Attack]:
    """Return three cheap attacks, for where many networks are compared.

    Parameters
    ----------
    direction : ndarray, shape (d,)
        The universal direction ``M w*``.
    """
    return {"universal": Universal(direction), "fgm": FGM(), "pgd": PGD(10)}


def standard_attacks(direction: np.ndarray, steps: int = 20) -> dict[str, Attack]:
    """Return the attacks that every sample meets; what they leave meets :func:`strong_attacks`.

    Parameters
    ----------
    direction : ndarray, shape (d,)
        The universal direction ``M w*``.
    steps : int
        Steps of PGD from each of its starts (zero, random, universal).
    """
    return {"universal": Universal(direction), "fgm": FGM(),
            "pgd": PGD(steps, ("zero", "random", "universal"), direction=direction),
            "random": RandomSearch()}


def strong_attacks(direction: np.ndarray, dictionary: np.ndarray | None = None,
                   steps: int = 100, restarts: int = 2) -> dict[str, Attack]:
    """Return the attacks for the samples that the standard ones did not break.

    Parameters
    ----------
    direction : ndarray, shape (d,)
        The universal direction ``M w*``.
    dictionary : ndarray, shape (d, d), or None
        None is the identity.
    steps : int
        Steps for each start of the two gradient attacks.
    restarts : int
        Random starts of each.
    """
    starts = ("zero", "random", "universal")
    return {"pgd-long": PGD(steps, starts, restarts, direction),
            "adaptive": AdaptivePGD(steps, starts, restarts, direction),
            "features": FeatureGreedy(dictionary), "random-long": RandomSearch(4 * steps)}


def sharp_attacks(dictionary: np.ndarray | None = None, steps: int = 12,
                  restarts: int = 6) -> dict[str, Attack]:
    """Return the two attacks that break what the standard ones leave, at a few times their cost.

    Cheap enough for every test sample that is still right: at radii near r50 random starts with
    steps of their own, and few features, find what one start of each kind does not, and more
    steps find no more.

    Parameters
    ----------
    dictionary : ndarray, shape (d, d), or None
        None is the identity.
    steps : int
        Steps of adaptive PGD from each start.
    restarts : int
        Its random starts.
    """
    return {"adaptive": AdaptivePGD(steps, ("random",), restarts),
            "features": FeatureGreedy(dictionary)}


def patch_attacks(robust: np.ndarray, nonrobust: np.ndarray, *, ascent: float,
                  steps: int = 20, paired: bool = False) -> dict[str, Attack]:
    """Return the attacks on the patch network, weak ones for comparison among them.

    Parameters
    ----------
    robust, nonrobust : ndarray, shape (K, d)
        The features u and v of the classes.
    ascent : float
        Size of the one step of gradient ascent.
    steps : int
        Steps of PGD and of the search patch by patch.
    paired : bool
        Search patch by patch in the neurons of two classes at a time: no weaker, and several times
        as fast, for many classes above all.
    """
    features = np.concatenate([robust, nonrobust])
    attacks: dict[str, Attack] = {
        "one_step_attack": Ascent(ascent), "full_length_step": InSpan(FGM()),
        "pgd": InSpan(PGD(steps, ("zero", "random"))),
        "along_v": FixedDirections(nonrobust), "along_u": FixedDirections(robust)}
    if paired:
        lines = directions_of(features)
        return attacks | {"mixed_features": PairedPatchSearch(lines, neurons=False, steps=0),
                          "patch_by_patch": PairedPatchSearch(lines, steps=steps)}
    return attacks | {"mixed_features": PatchSearch(features, neurons=False, steps=0),
                      "patch_by_patch": PatchSearch(features, steps=steps, restarts=1)}
