"""What the checker accepts and what it rejects: a claim stands as long as it is proved."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.attacks.search import RandomSearch
from simulator.balls import L2Ball, LinfBall, PatchL2Ball
from simulator.certificates.proofs import Proof
from simulator.errors import Stopped
from simulator.experiments.certificate_files import read_certificates, write_certificates
from simulator.experiments.certification import certificates_of, check_claims, shares
from simulator.heartbeat import beat
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.certificate_sets import BIAS, CHORDS, CURVED, NONE, RADIUS, W, X, Y, made_by_hand
from planted.certificates import case
from planted.proofs import leaf

LINEAR, QUADRATIC, BRANCHING, SEPARABLE, BROKEN, STILL_OPEN = range(6)


def verdicts(certificates):
    return [found.holds for _, found in check_claims(certificates)]


def test_what_is_proved_is_accepted():
    assert verdicts(made_by_hand()) == [True] * 6


def test_a_claim_is_a_little_below_what_is_proved_of_it():
    """So that the corruptions below are small."""
    for claim, found in check_claims(made_by_hand()):
        if claim.verdict == "certified":
            assert claim.lower <= found.value < claim.lower + 0.006


def claimed(at, **changes):
    """Change what the table says of one claim."""
    def corrupt(made):
        claims = list(made.claims)
        claims[at] = replace(claims[at], **changes)
        return replace(made, claims=tuple(claims))
    return corrupt


def proved(at, **changes):
    """Change the proof of one claim, and the table with it."""
    def corrupt(made):
        claims = list(made.claims)
        proof = replace(claims[at].proof, **changes)
        claims[at] = replace(claims[at], proof=proof, lower=proof.lower)
        return replace(made, claims=tuple(claims))
    return corrupt


def leafed(at, number, **changes):
    """Change a leaf of the proof of one claim."""
    def corrupt(made):
        leaves = list(made.claims[at].proof.leaves)
        leaves[number] = replace(leaves[number], **changes)
        return proved(at, leaves=tuple(leaves))(made)
    return corrupt


def about(**changes):
    """Change what the claims are about."""
    def corrupt(made):
        return replace(made, **changes)
    return corrupt


def network(weights=W, bias=BIAS):
    return about(networks={"only": (np.asarray(weights), bias)})


def weight(neuron, coordinate, value):
    other = W.copy()
    other[neuron, coordinate] = value
    return network(other)


def other_leaves(at, *kept):
    def corrupt(made):
        leaves = made.claims[at].proof.leaves
        return proved(at, leaves=tuple(leaves[number] for number in kept))(made)
    return corrupt


def proof_of_another(at, other):
    def corrupt(made):
        return claimed(at, proof=made.claims[other].proof,
                       lower=made.claims[other].proof.lower)(made)
    return corrupt


def limits(at, value):
    """Move the limit of every leaf alike: the tree stays one."""
    def corrupt(made):
        return proved(at, leaves=tuple(replace(one, cut_limits=np.array([value]))
                                       for one in made.claims[at].proof.leaves))(made)
    return corrupt


NAN, ONE, NOTHING = np.array([np.nan]), np.array([1.0]), np.zeros(0)
GONE = leaf([], [], [], [], empty=0)
CORRUPTIONS = {
    "a weight changed": (weight(0, 0, 0.9), LINEAR),
    "a weight of a neuron with a curvature changed": (weight(1, 1, 1.5), QUADRATIC),
    "a weight that the separable bound needs changed": (weight(0, 1, 0.5), SEPARABLE),
    "another bias": (network(bias=0.6), LINEAR),
    "the label flipped": (about(y=-Y), LINEAR),
    "the label of a counterexample flipped": (about(y=-Y), BROKEN),
    "the input moved": (about(X=X - 0.1), LINEAR),
    "samples swapped": (claimed(LINEAR, sample=2), LINEAR),
    "samples of counterexamples swapped": (claimed(BROKEN, sample=0), BROKEN),
    "the radius enlarged": (claimed(LINEAR, radius=0.3), LINEAR),
    "the radius of a curved proof enlarged": (claimed(QUADRATIC, radius=0.26), QUADRATIC),
    "the radius of a tree enlarged": (claimed(BRANCHING, radius=0.3), BRANCHING),
    "the radius of a separable proof enlarged": (claimed(SEPARABLE, radius=0.26), SEPARABLE),
    "another norm": (about(norm="linf"), LINEAR),
    "a slope changed": (leafed(LINEAR, 0, slopes=np.array([0.0, 1.1])), LINEAR),
    "a slope of a curved proof changed": (
        leafed(QUADRATIC, 0, slopes=np.array([1.0, 0.7, 1.0])), QUADRATIC),
    "slopes of others": (leafed(QUADRATIC, 0, slopes=np.array([0.5, 1.0, 1.0])), QUADRATIC),
    "a curvature raised": (leafed(QUADRATIC, 0, curvatures=np.array([0.0, 3.7, 0.0])), QUADRATIC),
    "a curvature lowered": (leafed(QUADRATIC, 0, curvatures=np.array([0.0, 1.5, 0.0])), QUADRATIC),
    "a curvature where none belongs": (
        leafed(QUADRATIC, 0, curvatures=np.array([0.5, 1.9, 0.0])), QUADRATIC),
    "lam raised": (leafed(QUADRATIC, 0, lam=np.array([4.5])), QUADRATIC),
    "lam below zero": (leafed(QUADRATIC, 0, lam=np.array([-3.7])), QUADRATIC),
    "lam of another norm": (leafed(QUADRATIC, 0, lam=np.array([3.7, 3.7])), QUADRATIC),
    "the point moved": (leafed(QUADRATIC, 0, point=np.zeros(2)), QUADRATIC),
    "the lam of a separable proof changed": (proved(SEPARABLE, lam=1.0), SEPARABLE),
    "the lam of a separable proof below zero": (proved(SEPARABLE, lam=-2.5), SEPARABLE),
    "the lam of a separable proof gone": (proved(SEPARABLE, lam=np.nan), SEPARABLE),
    "a dictionary that stretches": (about(dictionary=1.2 * np.eye(2)), SEPARABLE),
    "a cut removed": (leafed(BRANCHING, 1, cut_neurons=NONE, cut_sides=NOTHING,
                             cut_limits=NOTHING), BRANCHING),
    "a leaf dropped": (other_leaves(BRANCHING, 0), BRANCHING),
    "all leaves dropped": (other_leaves(BRANCHING), BRANCHING),
    "a leaf twice": (other_leaves(BRANCHING, 0, 1, 1), BRANCHING),
    "a side flipped": (leafed(BRANCHING, 0, cut_sides=ONE), BRANCHING),
    "a side that is none": (leafed(BRANCHING, 0, cut_sides=np.zeros(1)), BRANCHING),
    "both sides flipped": (lambda made: leafed(BRANCHING, 0, cut_sides=ONE)(
        leafed(BRANCHING, 1, cut_sides=-ONE)(made)), BRANCHING),
    "a limit moved": (leafed(BRANCHING, 0, cut_limits=np.array([-0.9])), BRANCHING),
    "limits moved to where nothing is empty": (limits(BRANCHING, -0.2), BRANCHING),
    "a cut of another neuron": (leafed(BRANCHING, 0, cut_neurons=np.array([1])), BRANCHING),
    "a cut of a neuron that there is not": (
        leafed(BRANCHING, 0, cut_neurons=np.array([3])), BRANCHING),
    "the ball said to be empty": (proved(LINEAR, leaves=(GONE,)), LINEAR),
    "a part said to be empty": (leafed(BRANCHING, 0, empty=1), BRANCHING),
    "neurons renamed": (proved(LINEAR, neurons=np.array([2, 1])), LINEAR),
    "a neuron named twice": (proved(LINEAR, neurons=np.array([1, 1])), LINEAR),
    "a neuron linear and named": (proved(LINEAR, linear=np.array([0, 1])), LINEAR),
    "a neuron said to be linear that is not": (
        proved(LINEAR, linear=np.array([0, 1]), neurons=np.array([2]),
               leaves=(leaf([1.0], [0.0], [0.0], np.zeros(2)),)), LINEAR),
    "an open neuron left out": (proved(LINEAR, linear=NONE), LINEAR),
    "a neuron that there is not": (proved(LINEAR, neurons=np.array([1, 3])), LINEAR),
    "a neuron below zero": (proved(LINEAR, neurons=np.array([1, -1])), LINEAR),
    "a weight said to be core": (proved(QUADRATIC, cores=np.array([3])), QUADRATIC),
    "a core that there is not": (proved(QUADRATIC, cores=np.array([6])), QUADRATIC),
    "slopes of cores of a wrong number": (
        leafed(QUADRATIC, 0, core_slopes=np.ones(2)), QUADRATIC),
    "lower raised": (proved(LINEAR, lower=CHORDS + 0.001), LINEAR),
    "lower of a curved proof raised": (proved(QUADRATIC, lower=CURVED + 0.001), QUADRATIC),
    "lower of a tree raised": (proved(BRANCHING, lower=CHORDS + 0.001), BRANCHING),
    "lower of a separable proof raised": (proved(SEPARABLE, lower=1.28), SEPARABLE),
    "lower of an open sample raised": (proved(STILL_OPEN, lower=-0.29), STILL_OPEN),
    "lower raised in the table alone": (claimed(LINEAR, lower=1.9), LINEAR),
    "a method that is not the proof's": (claimed(LINEAR, method="exact"), LINEAR),
    "an infinite lower": (proved(LINEAR, lower=np.inf), LINEAR),
    "a lower that is no number": (proved(LINEAR, lower=np.nan), LINEAR),
    "an open sample called certified": (claimed(STILL_OPEN, verdict="certified"), STILL_OPEN),
    "an open sample called broken": (claimed(STILL_OPEN, verdict="broken"), STILL_OPEN),
    "a broken sample called certified": (claimed(BROKEN, verdict="certified"), BROKEN),
    "a lower bound without a proof": (claimed(BROKEN, lower=-5.0), BROKEN),
    "a proof taken away": (claimed(LINEAR, proof=None), LINEAR),
    "the proof of a smaller claim": (proof_of_another(LINEAR, STILL_OPEN), LINEAR),
    "the proof of another sample": (proof_of_another(STILL_OPEN, LINEAR), STILL_OPEN),
    "slopes that are no numbers": (
        leafed(LINEAR, 0, slopes=np.array([0.0, np.nan])), LINEAR),
    "a point that is none": (leafed(QUADRATIC, 0, point=np.array([0.0, np.inf])), QUADRATIC),
    "a limit that is no number": (leafed(BRANCHING, 0, cut_limits=NAN), BRANCHING),
    "a counterexample outside of the ball": (
        claimed(BROKEN, delta=np.array([0.0, -np.nextafter(0.25, 1.0)])), BROKEN),
    "a counterexample that is harmless": (claimed(BROKEN, delta=np.zeros(2)), BROKEN),
    "a counterexample of half the size": (claimed(BROKEN, delta=np.array([0.0, -0.1])), BROKEN),
    "a counterexample that is none": (claimed(BROKEN, delta=np.array([np.nan, 0.0])), BROKEN),
    "the radius of a counterexample shrunk": (claimed(BROKEN, radius=0.2), BROKEN),
    "upper lowered": (claimed(LINEAR, upper=1.9), LINEAR),
    "upper of a broken sample raised": (claimed(BROKEN, upper=0.1), BROKEN),
}


@pytest.mark.parametrize("corrupt, at", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_a_corruption_that_leaves_a_claim_unproven_is_rejected(corrupt, at):
    claim, found = list(check_claims(corrupt(made_by_hand())))[at]
    assert not found.holds, claim
    assert found.reason and "\n" not in found.reason


def test_any_multipliers_will_do_for_a_smaller_claim():
    """The checker looks at what is proved, not at who made it."""
    made = leafed(QUADRATIC, 0, slopes=np.array([0.9, 0.4, 0.8]), lam=np.array([5.0]))(
        made_by_hand())
    assert verdicts(proved(QUADRATIC, lower=0.5)(made)) == [True] * 6


def test_a_proof_may_name_fewer_neurons():
    """Those it leaves out get their minimum all the same."""
    proof = Proof("linear", 0.9, NONE, np.array([0]), (
        leaf([1.0], [0.0], [0.0], np.zeros(2)),))
    assert verdicts(claimed(LINEAR, proof=proof, lower=0.9)(made_by_hand())) == [True] * 6


def test_a_claim_about_the_point_itself_is_its_margin():
    exactly = Proof("linear", 2.0, NONE, NONE, (leaf([], [], [0.0], np.zeros(2)),))
    made = claimed(LINEAR, radius=0.0, proof=exactly, lower=2.0)(made_by_hand())
    assert RADIUS > 0.0 and verdicts(made) == [True] * 6


# --- making them ------------------------------------------------------------------------


@pytest.mark.parametrize("kind, turned, dtype", [
    (L2Ball, False, np.float64), (L2Ball, True, np.float32), (LinfBall, False, np.float32)])
def test_what_is_made_is_stored_read_and_accepted(tmp_path, kind, turned, dtype):
    network, X, y, _, rng = case(4, 16, 5, n=4, pure=True)
    D = np.linalg.qr(rng.standard_normal((5, 5)))[0] if turned else None
    weights = (network.weights if D is None else network.weights @ D.T).astype(dtype)
    networks = {"one": SymmetricReLU(weights, 0.5), "other": SymmetricReLU(-weights, 0.25)}
    adversary = Adversary(kind(1.0), FGM(), strong={"random": RandomSearch()}, seed=5)
    asked = []
    made = certificates_of(networks, Batch(X.astype(dtype), y.astype(dtype)), adversary,
                           radii=[0.02, 0.3], boxes=6, dictionary=D, settings={"why": "a test"},
                           progress=lambda done, total, what: asked.append((done, total, what)))
    assert [(claim.network, claim.radius, claim.sample) for claim in made.claims] == [
        (name, radius, n) for name in networks for radius in (0.02, 0.3) for n in range(4)]
    assert {claim.verdict for claim in made.claims} >= {"certified", "broken"}
    assert made.settings == {"boxes": 6, "seed": 5, "why": "a test"}
    assert {total for _, total, _ in asked} == {16} and asked[-1][0] == 15
    write_certificates(tmp_path, made)
    found = list(check_claims(read_certificates(tmp_path)))
    assert [checked.reason for _, checked in found] == [""] * 16


def test_shares_add_up_and_name_the_methods():
    table = shares(made_by_hand())
    assert table.columns == ("certified", "broken", "open", "by")
    ((label, cells),) = table.rows
    assert label == "only, radius 0.25" and cells[:3] == pytest.approx((4 / 6, 1 / 6, 1 / 6))
    assert cells[3] == "linear 1, quadratic 1, branching 1, separable 1"


def test_other_balls_and_radii_are_refused():
    networks = {"only": SymmetricReLU(W, BIAS)}
    with pytest.raises(TypeError, match="expected an L2Ball or a LinfBall"):
        certificates_of(networks, Batch(X, Y), Adversary(PatchL2Ball(0.1)), radii=[0.1])
    with pytest.raises(ValueError, match="radii: expected ascending order"):
        certificates_of(networks, Batch(X, Y), Adversary(L2Ball(0.1)), radii=[0.2, 0.1])


def test_a_stop_is_answered_between_two_claims():
    def stop(done, total, what):
        if done == 2:
            raise Stopped
    with pytest.raises(Stopped):
        list(check_claims(made_by_hand(), stop))
    beat()  # nobody listens any more
