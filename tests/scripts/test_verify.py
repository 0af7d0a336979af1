"""``purify verify`` as a user types it: findings, files, exit codes, nothing run twice."""

import json

import pytest

import theory
from scripts import cli, verify
from simulator.runs.folder import RunFolder
from theory.feature_purification import plans

from small import SMALL

SMOKE = ["--preset", "smoke", "--workers", "1"]
KEYS = {"id", "verdict", "measured", "low", "high", "expected", "caveats"}
CLAIMS = theory.claims()
TINY = {key: value for key, value in SMALL.items() if key not in ("d", "k")}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A plan of three runs of a fraction of a second."""
    family = plans.MACHINERY._replace(sizes=({"d": 20, "k": 3},), changes=TINY)
    for runs in (plans.NETWORK, plans.PERTURBATIONS, plans.LEARNERS, plans.CURVES):
        monkeypatch.setitem(runs, "smoke", (family,))


def test_smoke_runs_confronts_and_reports(tmp_path, capsys):
    command = [*SMOKE, "--out", str(tmp_path)]
    code = verify.main(command)
    shown = capsys.readouterr().out
    assert all(theorem.claim.title in shown for theorem in CLAIMS)
    folder = tmp_path / "verify-smoke"
    content = json.loads((folder / "findings.json").read_text())
    assert set(content) == {"findings"}
    assert [entry["id"] for entry in content["findings"]] == [
        theorem.claim.id for theorem in CLAIMS]
    assert all(set(entry) == KEYS for entry in content["findings"])
    verdicts = {entry["verdict"] for entry in content["findings"]}
    assert verdicts <= {"holds", "fails", "outside the regime"}
    assert code == (1 if "fails" in verdicts else 0)
    assert "</html>" in (folder / "report.html").read_text()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_json_stands_alone_on_stdout_and_equals_the_file(tmp_path, capsys):
    command = [*SMOKE, "--out", str(tmp_path), "--format", "json", "--claims", "A2,A6"]
    assert verify.main(command) == 0
    shown = capsys.readouterr().out
    assert shown == (tmp_path / "verify-smoke-A2-A6" / "findings.json").read_text()
    assert [entry["id"] for entry in json.loads(shown)["findings"]] == ["A2", "A6"]
    assert [entry["verdict"] for entry in json.loads(shown)["findings"]] == [
        "outside the regime"] * 2


def test_finished_runs_are_found_again_and_unfinished_ones_taken_up(tmp_path, capsys):
    command = [*SMOKE, "--out", str(tmp_path), "--format", "json"]
    verify.main(command)
    first = capsys.readouterr().out
    folders = sorted(tmp_path.glob("smoke-*"))
    assert len(folders) == 3
    stamps = [(folder / "arrays.npz").stat().st_mtime_ns for folder in folders]
    unfinished = RunFolder(folders[0])
    unfinished.write_status("interrupted", step=50)
    verify.main(command)
    assert capsys.readouterr().out == first
    after = [(folder / "arrays.npz").stat().st_mtime_ns for folder in folders]
    assert after[1:] == stamps[1:] and after[0] != stamps[0]


def test_a_finished_run_whose_files_changed_is_refused(tmp_path, capsys):
    command = [*SMOKE, "--out", str(tmp_path), "--seeds", "1"]
    verify.main(command)
    (folder,) = tmp_path.glob("smoke-*")
    (folder / "summary.json").write_text("{}")
    assert verify.main(command) == 2
    assert "its files have changed since" in capsys.readouterr().err


def test_a_claim_that_fails_gives_exit_code_1(tmp_path, monkeypatch):
    from theory import claim
    monkeypatch.setattr(claim, "confront_all",
                        lambda runs, theorems, meant: [
                            claim.Finding(theorems[0].claim, claim.FAILS)])
    assert verify.main([*SMOKE, "--out", str(tmp_path), "--seeds", "1"]) == 1


def test_pieces_and_the_whole_give_the_findings_of_one_go(tmp_path, capsys):
    whole = [*SMOKE, "--format", "json", "--out", str(tmp_path / "whole")]
    verify.main(whole)
    expected = capsys.readouterr().out
    pieces = [*SMOKE, "--format", "json", "--out", str(tmp_path / "pieces")]
    for piece in ("0/2", "1/2"):
        assert verify.main([*pieces, "--shard", piece]) == 0
        assert capsys.readouterr().out == ""
    assert not (tmp_path / "pieces" / "verify-smoke").exists()
    verify.main(pieces)
    assert capsys.readouterr().out == expected


def test_processes_give_the_findings_of_one_process(tmp_path, capsys):
    outputs = []
    for workers in ("1", "2"):
        verify.main(["--preset", "smoke", "--workers", workers, "--format", "json",
                     "--out", str(tmp_path / workers)])
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("flags, message", [
    (["--claims", "A22"], "--claims A22: unknown; did you mean A2?"),
    (["--claims", "a6"], "did you mean A6?"),
    (["--claims", "A2,,A6"], "there are A1"),
    (["--preset", "smokey"], "preset smokey: unknown; did you mean smoke?"),
    (["--seeds", "0"], "--seeds: expected at least 1, got 0"),
    (["--shard", "3/2"], "shard 3/2: expected i from 0 to n - 1 = 1"),
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
    assert len(capsys.readouterr().out.splitlines()) == 5 * (6 + 2) + 3 + 1
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
