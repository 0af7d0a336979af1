"""The paper as a whole: its claims, and the plans that serve them."""

import pytest

from simulator.experiments import config_of
from theory import claims
from theory.claim import FAILS, HOLDS, OUTSIDE, confront_all
from theory.drawing.claims import draw
from theory.drawing.style import house_style
from theory.plans import for_plan, plan_names, settings_of

from legible import faults
from planted.structured_features import SEEDS, racing_run, spectrum_run

CLAIMS = claims("structured_features")


def verdicts(findings):
    return {finding.id: finding.verdict for finding in findings}


def test_the_paper_is_registered_and_every_claim_is_confronted(planted):
    ids = ["B1", "B2", "B3", "B4", "B5", "B6"]
    assert [theorem.claim.id for theorem in CLAIMS] == ids
    runs = planted + [make(seed) for make in (racing_run, spectrum_run) for seed in SEEDS]
    findings = confront_all(runs, CLAIMS)
    assert verdicts(findings) == dict.fromkeys(ids, HOLDS) | {"B4": FAILS}  # one step reads v
    with house_style():
        assert [faults(draw(finding.data)) for finding in findings] == [[]] * 6
    assert verdicts(confront_all([], CLAIMS)) == dict.fromkeys(ids, OUTSIDE)
    assert all("reading" in theorem.claim.source for theorem in CLAIMS)


@pytest.mark.parametrize("name", plan_names(CLAIMS))
def test_every_plan_resolves_and_serves_its_claims(name):
    configs = [config_of(settings) for settings in settings_of(
        for_plan(CLAIMS, name), name, paper="structured_features")]
    known = {claim.claim.id for claim in for_plan(CLAIMS, name)}
    assert any(config.races for config in configs) == ("B3" in known)
    assert any(config.spectrum_points for config in configs) == ("B6" in known)
    assert not all(config.races or config.spectrum_points for config in configs)
    assert len({(c.name, *c.size, c.seed) for c in configs}) == len(configs)
