"""A small set of certificates made by hand: of each verdict and of each kind of proof one."""

import numpy as np

from simulator.certificates.proofs import Proof
from simulator.experiments.certificate_files import CertificateSet, Claim

from planted.proofs import leaf

W = np.array([[1.0, 0.25], [-0.25, 1.0], [0.5, 0.5]])
BIAS, RADIUS = 0.5, 0.25
X = np.array([[2.0, 0.0], [-0.6, 0.6], [0.75, 0.0]])
Y = np.array([1.0, 1.0, 1.0])
NONE, ALL = np.zeros(0, int), np.arange(3)
CHORDS, CURVED, ALONE = 1.323, 1.439, 1.27  # just below what is proved of the first sample


def chords(lower):
    """Neurons 0 and 2 of the first sample are open, and neuron 1 is at its kink: slope 0."""
    return Proof("linear", lower, np.array([0]), np.array([1, 2]), (
        leaf([0.0, 1.0], np.zeros(2), [0.0], np.zeros(2)),))


def curved():
    """A curvature at the kink is worth more than any slope alone."""
    slopes, curvatures, lam = np.array([1.0, 0.5, 1.0]), np.array([0.0, 1.9, 0.0]), 3.7
    P = lam * np.eye(2) - (W.T * curvatures) @ W
    return Proof("quadratic", CURVED, NONE, ALL, (
        leaf(slopes, curvatures, [lam], -0.5 * np.linalg.solve(P, slopes @ W)),))


def halves():
    """The chords in the two parts of a cut, the smaller of which is empty."""
    one = leaf([1.0, 0.0, 1.0], np.zeros(3), [0.0], np.zeros(2), [(0, -1.0, -1.0)])
    gone = leaf([], [], [], [], [(0, 1.0, -1.0)], empty=0)
    return Proof("branching", CHORDS, NONE, ALL, (one, gone))


def made_by_hand():
    """Claims about one network in the ball of radius 1/4: certified four times, broken, open."""
    zero, away = np.zeros(2), np.array([0.0, -0.25])
    alone = Proof("separable", ALONE, NONE, NONE, (), 2.5)
    certified = [Claim("only", 0, RADIUS, "certified", proof.method, proof.lower, 2.0, zero, proof)
                 for proof in (chords(CHORDS), curved(), halves(), alone)]
    return CertificateSet("l2", {"only": (W, BIAS)}, X, Y, (
        *certified, Claim("only", 1, RADIUS, "broken", "PGD", np.nan, 0.0, away, None),
        Claim("only", 2, RADIUS, "open", "", -1.0, 0.25, zero, chords(-1.0))), None, {"boxes": 1})
