"""Claims find themselves, files of others join them, and each has its truth and its control."""

import os
import re
from dataclasses import replace

import pytest

import theory
from simulator.errors import Damaged
from simulator.experiments import PAPERS
from theory.claim import OUTSIDE, Finding, Findings, Theorem

from syntax import ROOT

ALL = [(paper.name, theorem) for paper in PAPERS for theorem in theory.claims(paper.name)]

FILE = """
from theory.claim import Claim, OUTSIDE, outside
from theory.plans import Family
CLAIM = Claim(id="Z1", title="t", statement="s", source="mine", assumptions=(), quantity="q",
              law="l", expected=1.0)
RUNS = {"desk": (Family("smoke", seeds=3),)}
def confront(runs):
    return outside(CLAIM, [f"{len(runs)} runs"])
"""


@pytest.mark.parametrize("paper, theorem", ALL, ids=lambda value: getattr(
    getattr(value, "claim", None), "id", value))
def test_a_claim_says_what_it_is_about(paper, theorem):
    claim = theorem.claim
    assert claim.statement and claim.law and claim.quantity and claim.source
    assert claim.id[0] in next(entry.letters for entry in PAPERS if entry.name == paper)
    assert theorem.confront([]).verdict == OUTSIDE


def test_ids_differ_and_are_in_the_order_of_their_numbers():
    ids = [theorem.claim.id for _, theorem in ALL]
    assert len(set(ids)) == len(ids)
    ten, nine = (Theorem(replace(ALL[0][1].claim, id=name), ALL[0][1].confront)
                 for name in ("A10", "A9"))
    assert sorted((ten, nine), key=lambda theorem: theorem.order) == [nine, ten]


@pytest.mark.parametrize("paper, theorem", ALL, ids=lambda value: getattr(
    getattr(value, "claim", None), "id", value))
def test_every_claim_has_its_planted_truth_and_its_control(paper, theorem):
    text = "".join(path.read_text(encoding="utf-8")
                   for path in (ROOT / "tests" / "theory" / paper).glob("test_*.py"))
    names = re.findall(r"^def (test_\w+)", text, re.M)
    label = f"test_{theorem.claim.id.lower()}_"
    assert any(name.startswith(label + "holds") for name in names)
    assert any(name.startswith(label + "fails") for name in names)


def test_a_theorem_of_another_file_is_confronted_like_ours(tmp_path):
    path = tmp_path / "my_theorem.py"
    path.write_text(FILE, encoding="utf-8")
    theorem, = theory.load_claims(path)
    assert theorem.claim.id == "Z1" and theorem.paper == "feature_purification"
    assert theorem.confront([]).caveats == ("0 runs",)


def test_a_file_changed_within_the_same_second_is_read_anew(tmp_path):
    path = tmp_path / "my_theorem.py"
    for expected in (1.0, 2.0):
        path.write_text(FILE.replace("expected=1.0", f"expected={expected}"), encoding="utf-8")
        os.utime(path, (1e9, 1e9))
        theorem, = theory.load_claims(path)
        assert theorem.claim.expected == expected


@pytest.mark.parametrize("text, message", [
    (None, "expected a file with CLAIM, RUNS and confront"),
    ("x = 1", "expected CLAIM, RUNS and confront.*got no CLAIM and no RUNS and no confront"),
    ("def f(:", r"cannot be run: SyntaxError: .*\(line 1\)"),
    ("1 / 0", "cannot be run: ZeroDivisionError: division by zero"),
    (FILE.replace('"Z1"', '"A6"'), "claim A6: expected an id of its own"),
    (FILE.replace("CLAIM = Claim(", "CLAIM = dict("), "CLAIM: expected a theory.Claim"),
    (FILE.replace('{"desk": (Family("smoke", seeds=3),)}', "()"), "RUNS: expected families"),
    (FILE.replace('Family("smoke"', 'Family("smok"'), "claim Z1: RUNS: desk: preset smok: unknown"),
    (FILE.replace('seeds=3', 'changes={"dd": 1}'), "claim Z1: RUNS: desk: dd: unknown setting"),
    (FILE.replace('(Family("smoke", seeds=3),)', '("smoke",)'),
     "claim Z1: RUNS: desk: AttributeError: "),
    (FILE + 'PAPER = "tickts"', "paper tickts: unknown"),
])
def test_a_file_that_is_no_claim_is_one_line(tmp_path, text, message):
    path = tmp_path / "my_theorem.py"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as told:
        theory.load_claims(path)
    assert "\n" not in str(told.value)


def test_a_mistake_of_a_claim_of_ones_own_is_told_with_claim_file_and_line(tmp_path):
    path = tmp_path / "my_theorem.py"
    for body, message in (
            ('    return {"mixture_ratio": 1.0}["mixture_ratioo"]', "KeyError: mixture_ratioo"),
            ("    return helped()\n\ndef helped():\n    return 1 / 0",
             "ZeroDivisionError: division by zero"),
            ("    return None", "expected a Finding, got None")):
        path.write_text(f"{FILE}\n\ndef confront(runs):\n{body}\n", encoding="utf-8")
        theorem, = theory.load_claims(path)
        with pytest.raises(ValueError) as told:
            theorem.confront([])
        assert f"{path}: claim Z1: confront: {message}" in str(told.value)
        if "Error" in message:
            last = len(path.read_text(encoding="utf-8").splitlines())
            assert str(told.value).endswith(f"(line {last})")


def test_a_run_that_cannot_be_read_is_no_mistake_of_the_claim(tmp_path):
    path = tmp_path / "my_theorem.py"
    path.write_text(f"{FILE}\nfrom simulator.errors import Damaged\n\ndef confront(runs):\n"
                    "    raise Damaged('arrays.npz: half')\n", encoding="utf-8")
    theorem, = theory.load_claims(path)
    with pytest.raises(Damaged, match="^arrays.npz: half$"):
        theorem.confront([])


def test_a_file_of_another_kind_is_no_claim(tmp_path):
    path = tmp_path / "my_theorem.txt"
    path.write_text(FILE, encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected a Python file \(.py\), got .txt"):
        theory.load_claims(path)


def test_unknown_claims_are_told_with_the_nearest():
    with pytest.raises(ValueError, match="claim A66: unknown; "):
        theory.confront("A66", [])
    with pytest.raises(ValueError, match="claim Q1: unknown; "):
        theory.confront("Q1", [])


def test_an_id_may_be_written_in_lower_case():
    assert [finding.id for finding in theory.confront(["a10", "A6", "r1"], [])] == [
        "A10", "A6", "R1"]


def test_findings_are_a_table(tmp_path):
    findings = theory.confront(["A1", "A6"], [])
    assert [finding.id for finding in findings] == ["A1", "A6"] and len(findings[:1]) == 1
    assert repr(findings).splitlines()[0] == (
        "A1  outside the regime: clean training finds the features")
    assert findings._repr_html_().count("<tr>") == 3
    assert repr(Findings(())) == "no findings"
    assert all(isinstance(finding, Finding) for finding in findings)


def test_the_face_shows_its_names_and_knows_no_others():
    assert {"Claim", "confront", "figures", "claims"} <= set(dir(theory))
    assert theory.Claim is type(ALL[0][1].claim)
    with pytest.raises(AttributeError, match="has no attribute 'Clam'; .*Claim"):
        theory.Clam
