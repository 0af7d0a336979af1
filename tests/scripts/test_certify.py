"""``purify certify`` and ``purify check``: what is certified of a run verifies from its weights."""

import json

import numpy as np
import pytest

from scripts import certify, check
from scripts.progress import Progress
from simulator import experiments
from simulator.errors import Stopped
from simulator.experiments import config_of, preset, simulate
from simulator.experiments.certificate_files import FILES, read_certificates, write_certificates
from simulator.runs.run import Run

from planted.certificate_sets import made_by_hand
from small import small_config


@pytest.fixture(scope="module")
def certified(finished, tmp_path_factory):
    """A run folder and a folder of its certificates at two radii; not to be changed."""
    (run,) = finished.iterdir()
    place = tmp_path_factory.mktemp("certified") / "here"
    assert certify.main([str(run), "--radius", "0.1", "0.3", "--samples", "4",
                         "--boxes", "5", "--out", str(place)]) == 0
    return run, place


def one_line(capsys, command):
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith(f"purify {command}: error: "), error
    return error


def test_everything_that_is_certified_of_a_run_verifies(certified, capsys):
    run, place = certified
    assert check.main([str(place), "--run", str(run)]) == 0
    text = capsys.readouterr().out
    claims = read_certificates(place).claims
    assert len(claims) == 2 * 2 * 4
    for verdict in ("certified", "broken", "open"):
        count = sum(claim.verdict == verdict for claim in claims)
        assert f"{verdict:<10}{count} of {count} verify" in text
    assert "SHA-256" in text and "does not" not in text


def test_some_of_it_is_certified_and_some_is_broken(certified):
    claims = read_certificates(certified[1]).claims
    assert {"certified", "broken"} <= {claim.verdict for claim in claims}
    assert all(np.isfinite(claim.upper) for claim in claims)


def test_the_table_has_the_shares(folder, capsys):
    assert certify.main([str(folder), "--phase", "adversarial", "--boxes", "2"]) == 0
    text = capsys.readouterr().out
    assert "shares of 4 samples, l2" in text  # as many as the run certified itself
    assert "adversarial, radius" in text and "clean" not in text
    assert {path.name for path in (folder / "certificates").iterdir()} >= set(FILES)
    again = [str(folder), "--phase", "adversarial", "--boxes", "2", "--force", "--format", "json"]
    assert certify.main(again) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["n"] == 4
    assert row["certified"] + row["broken"] + row["open"] == pytest.approx(1.0)


def test_the_same_command_writes_the_same_bytes(folder, tmp_path, capsys):
    for place in ("one", "other"):
        assert certify.main([str(folder), "--samples", "2", "--boxes", "2",
                             "--out", str(tmp_path / place)]) == 0
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_a_dry_run_says_what_would_be_done_and_does_nothing(folder, capsys):
    assert certify.main([str(folder), "--dry-run"]) == 0
    text = capsys.readouterr().out
    for words in ("clean, adversarial", "samples   4", "200 for each", "certificates"):
        assert words in text
    assert not (folder / "certificates").exists()


def test_certificates_are_not_written_over(certified, capsys):
    run, place = certified
    before = (place / "verdicts.csv").read_bytes()
    assert certify.main([str(run), "--samples", "1", "--out", str(place)]) == 2
    assert "expected a new file, got one that is there" in one_line(capsys, "certify")
    assert (place / "verdicts.csv").read_bytes() == before


@pytest.mark.parametrize("flags, why", [
    (["--radius", "-0.1"], "--radius: expected at least 0"),
    (["--radius", "nan"], "--radius: expected a finite number"),
    (["--samples", "0"], "--samples: expected at least 1"),
    (["--samples", "1000"], "--samples: expected at most 60"),
    (["--boxes", "0"], "--boxes: expected at least 1"),
    (["--phase", "middle"], "--phase middle: unknown; there are clean, adversarial")])
def test_what_a_run_does_not_have_is_refused(folder, capsys, flags, why):
    assert certify.main([str(folder), *flags]) == 2
    assert why in one_line(capsys, "certify")
    assert not (folder / "certificates").exists()


def test_runs_that_are_none_are_refused(unfinished, tmp_path, capsys):
    assert certify.main([str(unfinished)]) == 2
    assert "expected a finished run" in one_line(capsys, "certify")
    assert certify.main([str(tmp_path / "nowhere")]) == 2
    assert "expected a run folder" in one_line(capsys, "certify")


@pytest.mark.parametrize("config, why", [
    (small_config(smoothing=0.1), "expected networks without smoothing, got smoothing=0.1"),
    (config_of(preset("smoke", "ntk_evolution")), "expected a run of feature_purification, got"),
    (config_of(preset("smoke", "structured_features")), "got one of structured_features")],
    ids=["smoothed", "ntk_evolution", "structured_features"])
def test_runs_whose_networks_have_no_certificate_are_refused(tmp_path, capsys, monkeypatch, config,
                                                             why):
    monkeypatch.setattr(experiments, "stored", lambda path: Run(config, {}))
    assert certify.main([str(tmp_path)]) == 2
    assert why in one_line(capsys, "certify")


def test_an_interrupt_leaves_nothing_behind(folder, capsys, monkeypatch):
    def stop(self, step, total, what):
        raise Stopped
    monkeypatch.setattr(Progress, "__call__", stop)
    assert certify.main([str(folder)]) == 130
    assert not (folder / "certificates").exists()


def test_a_claim_that_is_not_proved_is_told_and_ends_with_1(certified, tmp_path, capsys):
    _, place = certified
    for name in FILES:
        (tmp_path / name).write_bytes((place / name).read_bytes())
    rows = (tmp_path / "verdicts.csv").read_text(encoding="utf-8").splitlines()
    at = next(at for at, row in enumerate(rows) if ",broken," in row)
    rows[at] = rows[at].replace(",broken,", ",certified,")
    (tmp_path / "verdicts.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert check.main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum("does not verify: " in line for line in lines) == 1
    assert check.main([str(tmp_path), "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["claims"] - told["verified"] == len(told["failed"]) == 1
    assert told["failed"][0]["verdict"] == "certified" and told["failed"][0]["reason"]


def test_no_claim_at_all_is_no_success(certified, monkeypatch, capsys):
    _, place = certified
    monkeypatch.setattr("simulator.experiments.certification.check_claims", lambda *_: iter(()))
    assert check.main([str(place)]) == 1


def test_certificates_of_other_weights_are_refused(certified, tmp_path, capsys):
    _, place = certified
    other = simulate(small_config(seed=7), folder=tmp_path / "other")
    assert check.main([str(place), "--run", str(other.folder.path)]) == 2
    assert "network clean: expected the weights of hash" in one_line(capsys, "check")
    write_certificates(tmp_path / "only", made_by_hand())
    assert check.main([str(tmp_path / "only")]) == 0
    capsys.readouterr()
    assert check.main([str(tmp_path / "only"), "--run", str(other.folder.path)]) == 2
    assert "expected a run with a network only, got one without" in one_line(capsys, "check")


def test_what_holds_no_certificates_is_refused(folder, capsys):
    for place in (folder, folder / "nowhere"):
        assert check.main([str(place)]) == 2
        assert "expected a folder of certificates" in one_line(capsys, "check")


def test_where_certificates_cannot_be_kept_none_is_looked_for(folder, tmp_path, capsys,
                                                              monkeypatch):
    def computed(*arguments, **options):
        raise AssertionError("hours of work, for nothing")

    monkeypatch.setattr("simulator.experiments.certification.certificates_of", computed)
    (tmp_path / "file").write_text("no folder")
    assert certify.main([str(folder), "--out", str(tmp_path / "file" / "inner")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "file: expected a folder to write in" in error
