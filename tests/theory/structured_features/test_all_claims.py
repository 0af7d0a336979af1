"""The paper as a whole: its claims, and the plans that serve them."""

import pytest

from simulator.experiments import config_of
from theory import claims
from theory.claim import HOLDS, OUTSIDE, confront_all
from theory.drawing.claims import draw
from theory.drawing.style import house_style
from theory.plans import for_plan, plan_names, settings_of

from legible import faults
from planted.structured_features import SEEDS, racing_run

CLAIMS = claims("structured_features")


def verdicts(findings):
    return {finding.id: finding.verdict for finding in findings}


def test_the_paper_is_registered_and_every_claim_is_confronted(planted):
    assert [theorem.claim.id for theorem in CLAIMS][:3] == ["B1", "B2", "B3"]
    runs = planted + [racing_run(seed) for seed in SEEDS]
    findings = confront_all(runs, CLAIMS)
    assert verdicts(findings) == {"B1": HOLDS, "B2": HOLDS, "B3": HOLDS}
    with house_style():
        assert [faults(draw(finding.data)) for finding in findings] == [[], [], []]
    assert verdicts(confront_all([], CLAIMS)) == dict.fromkeys(("B1", "B2", "B3"), OUTSIDE)
    assert all("reading" in theorem.claim.source for theorem in CLAIMS)


@pytest.mark.parametrize("name", plan_names(CLAIMS))
def test_every_plan_resolves_and_serves_every_claim(name):
    configs = [config_of(settings) for settings in settings_of(
        for_plan(CLAIMS, name), name, paper="structured_features")]
    assert any(config.races for config in configs) and not all(c.races for c in configs)
    assert len({(c.name, *c.size, c.seed) for c in configs}) == len(configs)
