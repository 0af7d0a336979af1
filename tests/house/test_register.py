"""Nobody moves a threshold or a plan after a verdict unseen: claims equal their registers.

``python -m scripts.register`` writes the registers; see :mod:`theory.confirmation`.
"""

import json
from dataclasses import replace

import pytest

import theory
from simulator.experiments import PAPERS
from theory.confirmation import unexplained

from syntax import ROOT

ALL = [pytest.param(paper.name, theorem, id=theorem.claim.id)
       for paper in PAPERS for theorem in theory.claims(paper.name)]


def register(paper):
    return json.loads((ROOT / "theory" / paper / "judged.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("paper, theorem", ALL)
def test_a_claim_equals_its_register_or_says_why_not(paper, theorem):
    assert unexplained(theorem, register(paper), paper) == [], "python -m scripts.register"


@pytest.mark.parametrize("paper, theorem", ALL)
def test_a_claim_says_its_thresholds_and_since_when(paper, theorem):
    assert theorem.claim.thresholds and theorem.claim.fixed


@pytest.mark.parametrize("paper", [paper.name for paper in PAPERS])
def test_a_register_has_no_claims_that_are_gone(paper):
    assert list(register(paper)) == [theorem.claim.id for theorem in theory.claims(paper)]


@pytest.mark.parametrize("paper, theorem", ALL)
def test_a_threshold_moved_by_a_hair_would_be_seen(paper, theorem):
    for name, limits in theorem.claim.thresholds.items():
        moved = replace(theorem.claim, thresholds={
            **theorem.claim.thresholds, name: limits._replace(low=limits.low - 1e-9,
                                                              high=limits.high + 1e-9)})
        assert unexplained(replace(theorem, claim=moved), register(paper), paper)
