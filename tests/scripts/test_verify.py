"""``purify verify`` as a user types it: findings, files, exit codes, nothing run twice."""

import json

import pytest

from scripts import cli, verify
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.runs.folder import RunFolder
from theory.feature_purification import CLAIMS
from theory.feature_purification.phase_picture import POWERS
from theory.feature_purification.plans import PLANS
from theory.plans import plan, plan_names, plan_settings
from theory.scaling import MIN_RATIO, MIN_SIZES

from small import SMALL

SMOKE = ["--preset", "smoke", "--workers", "1"]
KEYS = {"id", "verdict", "measured", "low", "high", "expected", "caveats"}
IDS = [theorem.claim.id for theorem in CLAIMS]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A plan of three runs of a fraction of a second."""
    settings = {key: value for key, value in SMALL.items() if key not in ("d", "k")}
    monkeypatch.setitem(PLANS, "smoke", {"seeds": 3, "groups": (
        {"preset": "smoke", "runs": ({"d": 20, "k": 3},), "set": settings},)})


def test_smoke_runs_confronts_and_reports(tmp_path, capsys):
    command = [*SMOKE, "--out", str(tmp_path)]
    code = verify.main(command)
    shown = capsys.readouterr().out
    assert all(theorem.claim.title in shown for theorem in CLAIMS)
    folder = tmp_path / "verify-smoke"
    content = json.loads((folder / "findings.json").read_text())
    assert set(content) == {"findings"}
    assert [entry["id"] for entry in content["findings"]] == IDS
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


@pytest.mark.parametrize("name", ["desk", "paper"])
def test_a_plan_is_valid_and_varies_d_and_k_separately(name):
    from theory.scaling import vary_separately
    theorems = [name for name in IDS if name != "R1"]  # which rounds k to either side of d^a
    settings = plan_settings(plan(name), theorems, 1)
    configs = [PurificationConfig.from_settings(entry) for entry in settings]
    assert all(config.k**2 <= config.d for config in configs)
    lottery = [config for config in configs if config.name == "lottery"]
    assert len(lottery) >= 6
    assert vary_separately([c.d for c in lottery], [c.k for c in lottery])
    assert plan(name)["seeds"] >= (8 if name == "paper" else 3)


@pytest.mark.parametrize("name", ["phase", "paper"])
def test_the_plan_of_the_phase_picture_has_every_size_of_it_once(name):
    configs = [PurificationConfig.from_settings(entry)
               for entry in plan_settings(plan(name), ["R1"], 1)]
    assert len(set(configs)) == len(configs) == len({config.size for config in configs})
    for power in POWERS:
        d = sorted(config.d for config in configs if config.k == round(config.d**power))
        assert len(d) >= MIN_SIZES and d[-1] >= MIN_RATIO * d[0]


def test_a_plan_made_for_a_claim_confronts_it_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PLANS, "smoke", PLANS["smoke"] | {"claims": ("R1",)})
    for flags, confronted in (([], ["R1"]), (["--claims", "A2"], ["A2"])):
        command = [*SMOKE, "--out", str(tmp_path), "--format", "json", *flags]
        assert verify.main(command) == 0
        findings = json.loads(capsys.readouterr().out)["findings"]
        assert [entry["id"] for entry in findings] == confronted


def test_a_claim_gets_only_the_groups_it_needs():
    names = {entry["name"] for entry in plan_settings(plan("desk"), ["A2"], 1)}
    assert names == {"lottery"}
    assert {entry["seed"] for entry in plan_settings(plan("desk"), ["A3"], 2)} == {0, 1}
    assert {entry["name"] for entry in plan_settings(plan("desk"), ["A8"])} == {"desk-learners"}


def test_every_group_names_claims_that_exist():
    for name in plan_names("purification"):
        assert set(plan(name).get("claims", ())) <= set(IDS)
        for group in plan(name)["groups"]:
            assert set(group.get("claims", ())) <= set(IDS)


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

    from theory import feature_purification
    monkeypatch.setattr(feature_purification, "CLAIMS", tuple(
        claim.Theorem(theorem.claim, spy(theorem.claim.id)) for theorem in CLAIMS[:7]))
    group = PLANS["smoke"]["groups"][0]
    other = group | {"set": group["set"] | {"name": "other"}, "claims": ("A7",)}
    monkeypatch.setitem(PLANS, "smoke", {"seeds": 1, "groups": (group, other)})
    verify.main([*SMOKE, "--out", str(tmp_path), "--claims", "A6,A7"])
    assert seen == {"A6": ["smoke"], "A7": ["other", "smoke"]}
