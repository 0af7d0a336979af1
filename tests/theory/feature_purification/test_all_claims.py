"""All claims of the paper, confronted together."""

import theory
from theory.claim import HOLDS, confront_all
from theory.drawing.claims import draw
from theory.drawing.style import house_style

from legible import faults
from planted.feature_purification import (bracketed, learner_runs, mixture_runs, phase_runs,
                                          through_low_rank)

CLAIMS = theory.claims("feature_purification")


def test_confronting_all_claims_keeps_their_order(planted):
    findings = confront_all([bracketed(run, (0.1, 0.3), (0.8, 0.9))
                             for run in map(through_low_rank, planted)], CLAIMS)
    assert [finding.id for finding in findings] == [theorem.claim.id for theorem in CLAIMS]
    assert {finding.id for finding in findings if finding.verdict == HOLDS} >= {"A6", "A7", "A9"}
    _can_be_read(findings)


def test_the_figures_of_claims_over_sizes_can_be_read(rng):
    """A2, A8 and R1 need runs of their own; A1 is drawn with its tests, the others above."""
    theorems = {theorem.claim.id: theorem for theorem in CLAIMS}
    _can_be_read([theorems["A2"].confront(mixture_runs(rng)),
                  theorems["A8"].confront(learner_runs()),
                  theorems["R1"].confront(phase_runs(rng))], 3)


def _can_be_read(findings, least=6):
    drawn = [finding for finding in findings if finding.data and finding.data.panels]
    assert len(drawn) >= least
    with house_style():
        assert {finding.id: faults(draw(finding.data)) for finding in drawn} == {
            finding.id: [] for finding in drawn}
