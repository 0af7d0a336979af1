"""All claims of the paper, confronted together."""

import theory
from theory.claim import HOLDS, confront_all

from planted.feature_purification import bracketed

CLAIMS = theory.claims("feature_purification")


def test_confronting_all_claims_keeps_their_order(planted):
    findings = confront_all([bracketed(run, (0.1, 0.3), (0.8, 0.9)) for run in planted], CLAIMS)
    assert [finding.id for finding in findings] == [theorem.claim.id for theorem in CLAIMS]
    assert {finding.id for finding in findings if finding.verdict == HOLDS} >= {"A6", "A7", "A9"}
