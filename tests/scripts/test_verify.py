"""``purify verify`` as a user types it: findings, files, exit codes, nothing run twice."""

import contextlib
import io
import json
import math
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

import theory
from scripts import cli, verify
from simulator.runs.folder import RunFolder
from theory.claim import Claim, Measurement, conclude
from theory.feature_purification import plans

from small import SMALL

HASH = re.compile(r"\b[0-9a-f]{10}\b")
SMOKE = ["--preset", "smoke", "--workers", "1"]
KEYS = {"id", "verdict", "measured", "low", "high", "expected", "caveats", "seeds", "seeds_are",
        "sizes", "thresholds", "fixed", "plan", "plan_hash", "date", "earlier", "claim", "runs",
        "measurements"}
CLAIMS = theory.claims()
TINY = {key: value for key, value in SMALL.items() if key not in ("d", "k")}

pytestmark = pytest.mark.usefixtures("brief_attacks")


@pytest.fixture(scope="module", autouse=True)
def tiny(brief_attacks):
    """A plan of three runs of a fraction of a second."""
    family = plans.MACHINERY._replace(sizes=({"d": 20, "k": 3},), changes=TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "today", lambda: "2026-12-01")  # no test ends on another day
        for runs in (plans.NETWORK, plans.PERTURBATIONS, plans.LEARNERS, plans.CURVES,
                     plans.WINDOW):
            patch.setitem(runs, "smoke", (family,))
        yield


class Verified(NamedTuple):
    """What one verification of all claims left, said and returned; not to be changed."""

    root: Path
    out: str
    code: int

    @property
    def findings(self):
        return (self.root / "verify-smoke" / "findings.json").read_text()


@pytest.fixture(scope="module")
def verified(tiny, tmp_path_factory):
    root, out = tmp_path_factory.mktemp("verified"), io.StringIO()
    with contextlib.redirect_stdout(out):
        code = verify.main([*SMOKE, "--out", str(root)])
    return Verified(root, out.getvalue(), code)


@pytest.fixture
def copied(verified, tmp_path):
    """A copy of the folder of that verification, with the times of its files."""
    return shutil.copytree(verified.root, tmp_path / "copied")


def test_smoke_runs_confronts_and_reports(verified):
    assert all(theorem.claim.title in verified.out for theorem in CLAIMS)
    folder = verified.root / "verify-smoke"
    content = json.loads(verified.findings)
    assert set(content) == {"findings"}
    assert [entry["id"] for entry in content["findings"]] == [
        theorem.claim.id for theorem in CLAIMS]
    assert all(set(entry) == KEYS for entry in content["findings"])
    verdicts = {entry["verdict"] for entry in content["findings"]}
    assert verdicts <= {"holds", "fails", "outside the regime"}
    assert verified.code == (1 if "fails" in verdicts else 0)
    assert "</html>" in (folder / "report.html").read_text()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [".lock"]


def test_json_stands_alone_on_stdout_and_equals_the_file(tmp_path, capsys):
    command = [*SMOKE, "--out", str(tmp_path), "--format", "json", "--claims", "A2,A6"]
    assert verify.main(command) == 0
    shown = capsys.readouterr().out
    assert shown == (tmp_path / "verify-smoke" / "findings.json").read_text()
    assert [entry["id"] for entry in json.loads(shown)["findings"]] == ["A2", "A6"]
    assert [entry["verdict"] for entry in json.loads(shown)["findings"]] == [
        "outside the regime"] * 2


def test_finished_runs_are_found_again_and_unfinished_ones_taken_up(verified, copied, capsys):
    command = [*SMOKE, "--out", str(copied), "--format", "json"]
    folders = sorted(copied.glob("smoke-*"))
    assert len(folders) == 3
    stamps = [(folder / "arrays.npz").stat().st_mtime_ns for folder in folders]
    unfinished = RunFolder(folders[0])
    unfinished.write_status("interrupted", step=50)
    verify.main(command)
    assert capsys.readouterr().out == verified.findings
    after = [(folder / "arrays.npz").stat().st_mtime_ns for folder in folders]
    assert after[1:] == stamps[1:] and after[0] != stamps[0]


def test_a_finished_run_whose_files_changed_is_refused(copied, capsys):
    folder, *_ = sorted(copied.glob("smoke-*"))
    (folder / "summary.json").write_text("{}")
    assert verify.main([*SMOKE, "--out", str(copied)]) == 2
    assert "changed or gone since: delete the folder" in capsys.readouterr().err


def test_a_claim_that_fails_gives_exit_code_1(tmp_path, monkeypatch):
    from theory import claim
    monkeypatch.setattr(claim, "confront_all",
                        lambda runs, theorems, meant: [
                            claim.Finding(theorems[0].claim, claim.FAILS)])
    assert verify.main([*SMOKE, "--out", str(tmp_path), "--seeds", "1"]) == 1


def test_pieces_processes_and_the_whole_give_the_findings_of_one_go(verified, tmp_path, capsys):
    pieces = ["--preset", "smoke", "--format", "json", "--out", str(tmp_path / "pieces")]
    for piece, workers in (("0/2", "2"), ("1/2", "1")):  # two runs at once, then the third
        assert verify.main([*pieces, "--shard", piece, "--workers", workers]) == 0
        assert capsys.readouterr().out == ""
    assert not (tmp_path / "pieces" / "verify-smoke").exists()
    code = verify.main(pieces)
    shown = capsys.readouterr()
    assert (code, shown.out) == (verified.code, verified.findings), shown.err


@pytest.mark.parametrize("flags, message", [
    (["--claims", "A22"], "--claims A22: unknown; did you mean A2?"),
    (["--claims", "a66"], "did you mean A6?"),
    (["--claims", "A2,b1"], "got B1, which is of structured_features: a page is of one paper"),
    (["--paper", "ntk", "--claims", "A2"], "got A2, which is of feature_purification"),
    (["--claims", "A2,,A6"], "there are A0"),
    (["--preset", "smokey"], "preset smokey: unknown; did you mean smoke?"),
    (["--seeds", "0"], "--seeds: expected at least 1, got 0"),
    (["--shard", "3/2"], "shard 3/2: expected i from 0 to n - 1 = 1"),
    (["--shard", "1/0"], "at least 1"),
    (["--seeds", "8:2"], "--seeds: end: expected at least 9, got 2"),
    (["--seeds", "a:2"], "--seeds a:2: expected a number, first:end as in 2000:2008, judging or"),
    (["--preset", ""], "--preset: expected a name, got ''"),
    (["--paper", ""], "--paper: expected a name, got ''"),
    (["--workers", "0"], "--workers: expected at least 1, got 0"),
    (["--claims-from", "mine.py"], "mine.py: expected a file with CLAIM, RUNS and confront(runs)"),
    (["--paper", "purificatio"], "paper purificatio: unknown; did you mean purification?")],
    ids=str)
def test_bad_input_is_one_line_with_exit_code_2_and_nothing_written(
        tmp_path, capsys, flags, message):
    out = tmp_path / "runs"
    assert verify.main([*SMOKE, *flags, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()


def test_a_dry_run_lists_the_runs_and_writes_nothing(tmp_path, capsys):
    assert cli.main(["verify", "--preset", "desk", "--out", str(tmp_path), "--dry-run"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4 * 4 + 3 + 1
    assert list(tmp_path.iterdir()) == []


def test_a_claim_without_runs_in_a_plan_is_one_line_that_names_those_that_have_them(
        tmp_path, capsys):
    assert cli.main(["verify", "--claims", "R1", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "claim R1: expected runs in the plan desk, got none: they are in" in said
    assert "--preset phase" in said and "--preset paper" in said


def test_a_claim_sees_only_the_runs_made_for_it(tmp_path, monkeypatch, capsys):
    """Two groups: one for all claims, one of another family for A7 alone."""
    from theory import claim
    seen = {}
    monkeypatch.setattr(claim, "corrected", lambda findings: findings)

    def spy(name):
        def confront(runs):
            seen[name] = sorted({run.config.name for run in runs})
            return claim.Finding(claim.Claim(name, "", "", "", (), "", "", 0.0), claim.OUTSIDE)
        return confront

    family = plans.MACHINERY._replace(seeds=1, sizes=({"d": 20, "k": 3},), changes=TINY)
    other = family._replace(changes=TINY | {"name": "other"})
    made = {"A6": (family,), "A7": (family, other)}
    monkeypatch.setattr(theory, "claims", lambda paper: tuple(
        claim.Theorem(claim.Claim(name, name, "", "", (), "", "", 0.0), spy(name),
                      {"smoke": families}) for name, families in made.items()))
    verify.main([*SMOKE, "--out", str(tmp_path), "--claims", "A6,A7"])
    assert seen == {"A6": ["smoke"], "A7": ["other", "smoke"]}


MINE = """
from theory import Claim, Measurement
from theory.claim import conclude
from theory.plans import Family

CLAIM = Claim("T1", "Runs can be counted", "There are runs.", "nobody, 2026", (), "runs",
              "between 1 and 5", 2.0)
RUNS = {"smoke": (Family("smoke", ({"d": 20, "k": 3},), TINY, 2),)}


def confront(runs):
    count = float(len(runs))
    return conclude(CLAIM, [Measurement("runs", count, count, count, (1.0, 5.0), 0.0)], runs)
"""


@pytest.fixture
def mine(tmp_path):
    """A theorem of the user's own, in a file outside the package."""
    file = tmp_path / "mine.py"
    file.write_text(MINE.replace("TINY", repr(TINY)))
    return file


def test_a_theorem_from_a_file_is_confronted_with_the_runs_it_declares(tmp_path, mine, capsys):
    command = [*SMOKE, "--out", str(tmp_path / "runs"), "--claims-from", str(mine)]
    assert verify.main(command) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[1:] == [
        "T1   holds                       2  [2, 2]            [1, 5]", "     Runs can be counted",
        f"       plan smoke {HASH.search(text)[0]}, judging seeds 2000, 2001"]
    assert (tmp_path / "runs" / "verify-smoke-own" / "report.html").exists()
    assert not (tmp_path / "runs" / "verify-smoke").exists()  # the page of the project's claims
    assert len(list((tmp_path / "runs").glob("smoke-*"))) == 2


def test_a_verdict_on_judging_seeds_outlives_exploring_and_a_threshold_that_moved(
        tmp_path, mine, capsys):
    flags = [*SMOKE, "--out", str(tmp_path / "runs"), "--claims-from", str(mine)]

    def findings(*more, page="verify-smoke-own"):
        verify.main([*flags, *more])
        content = (tmp_path / "runs" / page / "findings.json").read_text()
        found, = json.loads(content)["findings"]
        return found

    judged = findings()
    assert (judged["seeds_are"], judged["seeds"], judged["date"]) == (
        "judging", [2000, 2001], "2026-12-01")
    assert judged["thresholds"] == {"runs": {"accepted": [1.0, 5.0]}} and judged["caveats"] == []
    explored = findings("--seeds", "1", page="verify-smoke-own-exploring")
    assert explored["seeds_are"] == "exploring"
    assert "no verdict on fresh seeds" in capsys.readouterr().out
    assert [entry["seeds"] for entry in explored["earlier"]] == [[2000, 2001]]
    assert findings() == judged
    mine.write_text(mine.read_text().replace("(1.0, 5.0)", "(0.0, 5.0)"))
    moved = findings()
    assert moved["caveats"] == ["threshold of runs was [1, 5] when it was judged on 2026-12-01; "
                                "now [0, 5]"]
    assert findings() == moved
    page = (tmp_path / "runs" / "verify-smoke-own" / "report.html").read_text()
    assert "was [1, 5] when it was judged on 2026-12-01" in page and "judging seeds" in page


def test_findings_that_cannot_be_read_are_not_written_over(copied, capsys):
    file = copied / "verify-smoke" / "findings.json"
    file.write_text("{half")
    assert verify.main([*SMOKE, "--out", str(copied)]) == 2
    assert "expected JSON" in capsys.readouterr().err and file.read_text() == "{half"


def test_findings_of_an_older_version_are_replaced(copied):
    file = copied / "verify-smoke" / "findings.json"
    file.write_text(json.dumps({"findings": [{"id": "A2", "verdict": "holds", "caveats": []}]}))
    verify.main([*SMOKE, "--out", str(copied)])
    assert len(json.loads(file.read_text())["findings"]) == len(CLAIMS)


def test_a_theorem_from_a_file_can_stand_beside_ours(tmp_path, mine, capsys):
    flags = [*SMOKE, "--out", str(tmp_path / "runs"), "--claims-from", str(mine)]
    verify.main([*flags, "--claims", "A2,T1", "--format", "json", "--seeds", "1"])
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [entry["id"] for entry in found] == ["A2", "T1"]
    assert verify.main([*flags, "--claims-from", str(mine)]) == 2
    assert "expected each id once, got T1, T1" in capsys.readouterr().err
    assert verify.main([*flags, "--paper", "ntk"]) == 2
    assert "expected claims about runs of ntk_evolution" in capsys.readouterr().err


@pytest.mark.parametrize("content, message", [
    ("CLAIM = 3", "got no RUNS and no confront"), ("1 / 0", "ZeroDivisionError"),
    ("def f(:", "SyntaxError")])
def test_a_file_that_is_no_theorem_is_one_line(tmp_path, capsys, content, message):
    file = tmp_path / "mine.py"
    file.write_text(content)
    assert verify.main([*SMOKE, "--claims-from", str(file), "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert message in error and str(file) in error and error.count("\n") == 1


def test_some_claims_update_their_rows_of_the_page_of_all(verified, copied, capsys):
    folder = copied / "verify-smoke"
    verify.main([*SMOKE, "--out", str(copied), "--claims", "A6,A4", "--format", "json"])
    shown = json.loads(capsys.readouterr().out)["findings"]
    assert [entry["id"] for entry in shown] == ["A4", "A6"]
    assert (folder / "findings.json").read_text() == verified.findings  # the same runs again
    assert [path.name for path in copied.glob("verify-*")] == ["verify-smoke"]
    page = (folder / "report.html").read_text()
    assert all(theorem.claim.title[:10] in page for theorem in CLAIMS)
    assert "--claims A6,A4" in page


def test_exploring_a_claim_touches_no_verdict(verified, copied):
    """Nor that of another: Holm's correction would be over fewer claims without its row."""
    verify.main([*SMOKE, "--out", str(copied), "--claims", "A4", "--seeds", "1"])
    assert (copied / "verify-smoke" / "findings.json").read_text() == verified.findings
    explored = copied / "verify-smoke-exploring"
    (entry,) = json.loads((explored / "findings.json").read_text())["findings"]
    assert (entry["id"], entry["seeds_are"]) == ("A4", "exploring")
    assert [earlier["seeds_are"] for earlier in entry["earlier"]] == ["judging"]
    assert "--claims A4 --seeds 1" in (explored / "report.html").read_text()


def test_another_verdict_that_turns_with_a_new_one_is_told(tmp_path, mine, capsys):
    """Of more claims fewer survive Holm's correction: one that held alone does so no longer."""
    mine.write_text(mine.read_text().replace("0.0)]", "0.04)]"))
    second = tmp_path / "second.py"
    second.write_text(mine.read_text().replace("T1", "T2"))
    flags = [*SMOKE, "--out", str(tmp_path / "runs"), "--claims-from", str(mine)]
    assert verify.main(flags) == 0
    capsys.readouterr()
    assert verify.main([*flags, "--claims-from", str(second), "--claims", "T2"]) == 1
    told = capsys.readouterr()
    assert "claim T1: its verdict changed too" in told.err and "claim T2" not in told.err
    lines = [line[:10] for line in told.out.splitlines() if line[0] == "T"]
    assert lines == ["T1   fails", "T2   fails"]
    assert told.out.count("not after Holm's correction for 2 claims") == 2


def test_a_place_that_cannot_be_used_is_one_line(tmp_path, capsys):
    file = tmp_path / "runs"
    file.write_text("not a folder")
    assert verify.main([*SMOKE, "--claims", "A2", "--out", str(file)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert "runs: expected a folder to write in" in told.err
    assert file.read_text() == "not a folder"


def test_the_table_shows_what_decides():
    """A headline that is accepted says nothing of a claim that fails by another part."""
    claim = Claim("X1", "a title", "a statement", "a source", (), "a quantity", "a law", 1.0)
    finding = conclude(claim, [Measurement("first", 2.4, 2.3, 2.5, (0.5, math.inf), 0.0),
                               Measurement("second", 2.16, 1.88, 2.48, (2.0, math.inf), 0.1)], [])
    line = verify.table([finding]).splitlines()[1]
    assert line.split() == ["X1", "fails", "2.16", "[1.88,", "2.48]", "at", "least", "2"]
    assert "2.16" in repr(finding) and "2.16" in finding.html_row()


def test_a_verdict_in_a_folder_of_its_own_is_remembered(tmp_path, mine, capsys):
    """Some claims of a paper had folders of their own, once."""
    flags = [*SMOKE, "--out", str(tmp_path / "runs"), "--claims-from", str(mine)]
    verify.main(flags)
    (tmp_path / "runs" / "verify-smoke-own").rename(tmp_path / "runs" / "verify-smoke-T1")
    mine.write_text(mine.read_text().replace("(1.0, 5.0)", "(0.0, 5.0)"))
    capsys.readouterr()
    verify.main(flags)
    assert "was [1, 5] when it was judged on 2026-12-01" in capsys.readouterr().out


def test_ids_may_be_typed_in_small_letters(tmp_path, capsys):
    assert verify.main([*SMOKE, "--claims", "a2, A6", "--out", str(tmp_path), "--dry-run"]) == 0
    small = capsys.readouterr().out
    assert verify.main([*SMOKE, "--claims", "A2,A6", "--out", str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == small.splitlines()[:-1]


def test_seeds_are_those_that_judge_or_a_number_or_a_range(tmp_path, capsys):
    for flags, expected in (([], [2000, 2001, 2002]), (["--seeds", "2"], [0, 1]),
                            (["--seeds", "2000:2003"], [2000, 2001, 2002]),
                            (["--seeds", "judging"], [2000, 2001, 2002]),
                            (["--seeds", "exploring"], [0, 1, 2])):
        assert verify.main([*SMOKE, "--claims", "A2", *flags, "--out", str(tmp_path),
                            "--dry-run"]) == 0
        lines = capsys.readouterr().out.splitlines()[:-1]
        assert [line.split("seed=")[1] for line in lines] == list(map(str, expected))


def test_a_piece_beyond_the_runs_has_nothing_to_do(tmp_path, capsys):
    assert verify.main([*SMOKE, "--shard", "7/9", "--out", str(tmp_path / "runs")]) == 0
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("nothing to do for shard 7/9")
    assert not (tmp_path / "runs").exists()


def test_no_trouble_with_drawing_changes_verdict_or_exit_code(tmp_path, monkeypatch, capsys):
    from theory import report

    def broken(*arguments, **options):
        raise RuntimeError("no font")

    monkeypatch.setattr(report, "html_report", broken)
    assert verify.main([*SMOKE, "--claims", "A2", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "A2   outside the regime" in shown.out
    assert "no report: " in shown.err and "no font" in shown.err


def test_the_table_shows_the_accepted_range_and_fits_a_terminal():
    from theory.claim import HOLDS, Claim, Finding, Measurement
    claim = Claim("A2", "A title of many words " * 8, "", "", (), "", "", 1.0)
    part = Measurement("x", 2.45, 2.1, 2.8, (1.0, float("inf")), 0.0, (1.5, 3.5))
    text = verify.table([Finding(claim, HOLDS, (part,), ("A caveat of many words. " * 9,))])
    assert "2.45  [2.1, 2.8]        at least 1, value in [1.5, 3.5]" in text
    assert max(map(len, text.splitlines())) <= 100
