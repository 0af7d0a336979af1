"""Whatever the prover claims, the checker accepts: to the last bit, at any scale, in both norms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.checker.verdict import ExactNetwork, check_counterexample, check_proof
from simulator.certificates.margins import METHODS, certify
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.certificates import case


def changed(family, network, radius, rng):
    """Weights, bias and radius of a random network, where arithmetic is at its worst."""
    W, b = network.weights.copy(), network.bias
    m = len(W)
    if family == "rows of all sizes":
        W *= 10.0 ** rng.integers(-8, 9, (m, 1))
    elif family == "no bias":
        b = 0.0
    elif family == "zero rows and duplicates":
        W[rng.integers(m)] = 0.0
        W[rng.integers(m)] = W[0]
    elif family == "a tiny ball":
        radius = 10.0 ** rng.uniform(-14, -6)
    elif family == "a huge ball":
        radius = 10.0 ** rng.uniform(3, 8)
    elif family == "another unit":
        unit = 10.0 ** rng.uniform(-60, 60)
        W, b = W * unit, b * unit
    elif family == "no ball":
        radius = 0.0
    elif family == "cancellation":
        W = np.concatenate([W, -W]) * 1e8
        W[:m] *= 1.0 + rng.integers(-2, 3, (m, 1)) * 2.0 ** -52
    return SymmetricReLU(W, b), radius


FAMILIES = ("as it is", "rows of all sizes", "no bias", "zero rows and duplicates", "a tiny ball",
            "a huge ball", "another unit", "no ball", "cancellation")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", [L2Ball, LinfBall])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 10), d=st.integers(1, 4),
       pure=st.booleans(), boxes=st.integers(1, 30), exhaust=st.booleans())
def test_what_the_prover_claims_is_accepted(kind, family, seed, m, d, pure, boxes, exhaust):
    network, X, y, radius, rng = case(seed, m, d, n=1, pure=pure)
    network, radius = changed(family, network, radius, rng)
    exact, ball = ExactNetwork.of(network.weights, network.bias), kind(radius)
    dictionary = (np.linalg.qr(rng.standard_normal((d, d)))[0]
                  if kind is L2Ball and rng.random() < 0.5 else None)
    for methods in (*((name,) for name in METHODS), METHODS):
        found = certify(network, Batch(X, y), ball, methods=methods, dictionary=dictionary,
                        boxes=boxes, target=np.inf if exhaust else 0.0, steps=30, root_steps=30,
                        proofs=True)
        met = check_counterexample(exact, X[0], y[0], ball, found.delta[0], found.upper[0])
        assert met.holds, met.reason
        (proof,) = found.proofs
        if proof is not None:
            assert proof.lower == found.margins[0]
            proved = check_proof(exact, X[0], y[0], ball, proof, dictionary=dictionary)
            assert proved.holds, (methods, proved.reason)
