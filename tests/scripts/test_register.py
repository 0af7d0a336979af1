"""The registers of verdicts are written from the claims and from findings on judging seeds."""

import json
import shutil

import pytest

import theory
from scripts import register
from simulator.experiments import PAPERS
from theory.claim import HOLDS, Finding
from theory.confirmation import registered, remembered
from theory.plans import plan_hash

from syntax import ROOT


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A copy of the registers, and a day."""
    for paper in PAPERS:
        (tmp_path / paper.name).mkdir()
        shutil.copy(ROOT / "theory" / paper.name / "judged.json", tmp_path / paper.name)
    monkeypatch.setattr(register, "ROOT", tmp_path)
    monkeypatch.setattr(register, "today", lambda: "2026-12-01")
    return tmp_path


@pytest.fixture
def findings(tmp_path):
    """A file with a verdict on D3."""
    theorem, = (one for one in theory.claims("winning_tickets") if one.claim.id == "D3")
    found = Finding(theorem.claim, HOLDS, seeds=(2000, 2001), seeds_are="judging", plan="desk",
                    plan_hash=plan_hash(theorem, "desk", "winning_tickets"))
    file = tmp_path / "findings.json"
    file.write_text(json.dumps({"findings": [remembered(found, None, "2026-12-01").to_dict()]}))
    return file


def test_registers_are_made_from_nothing_and_hold_every_claim(root, capsys):
    for file in root.glob("*/judged.json"):
        file.unlink()
    assert register.main([]) == 0
    for paper in PAPERS:
        entries = json.loads((root / paper.name / "judged.json").read_text())
        for theorem in theory.claims(paper.name):
            assert entries[theorem.claim.id] == {
                **json.loads(json.dumps(registered(theorem, paper.name))), "verdicts": []}
    assert f"{len(theory.claims())} claims, 0 verdicts" in capsys.readouterr().out


def test_a_verdict_is_entered_once(root, findings):
    before = json.loads((root / "winning_tickets" / "judged.json").read_text())["D3"]["verdicts"]
    for _ in range(2):
        assert register.main([str(findings)]) == 0
        kept = json.loads((root / "winning_tickets" / "judged.json").read_text())["D3"]["verdicts"]
        assert kept[:-1] == before and (kept[-1]["verdict"], kept[-1]["seeds"]) == (
            "holds", [2000, 2001])


@pytest.mark.parametrize("old, new, message", [
    ('"judging"', '"exploring"', "expected a verdict on judging seeds"),
    ('"D3"', '"T1"', "findings: expected claims of the project, got T1")])
def test_what_is_no_verdict_of_ours_is_one_line_and_nothing_written(
        root, findings, capsys, old, new, message):
    before = [file.read_bytes() for file in sorted(root.glob("*/judged.json"))]
    findings.write_text(findings.read_text().replace(old, new))
    assert register.main([str(findings)]) == 2
    assert message in capsys.readouterr().err
    assert [file.read_bytes() for file in sorted(root.glob("*/judged.json"))] == before
