"""`purify benchmark --cases certificates`: our own numbers, honest peers, strict output."""

import contextlib
import dataclasses
import io
import json
import logging

import numpy as np
import pytest

from scripts import benchmark
from scripts.benchmarking import certificates, subjects
from scripts.benchmarking.certificates import Effort, compare_certificates
from scripts.benchmarking.peers import verifiers
from scripts.benchmarking.peers.verifiers import InertError, Peer, installed_peers, two_layers
from scripts.benchmarking.workers import BenchmarkError
from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.worst_case import strongest_case
from simulator.balls import L2Ball, LinfBall
from simulator.certificates.margins import METHODS, certify
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.runs.folder import RunFolder

LITTLE = Effort(boxes=4, repeats=2, iterations=20, queries=20)
ROW = {"case", "run", "network", "norm", "radius", "n", "implementation", "method", "tried",
       "attacked", "certified", "gap", "seconds", "spread", "whole_seconds"}
TINY = {"d": 12, "k": 2, "batch_size": 20, "clean_steps": 10, "adversarial_steps": 5,
        "test_samples": 6, "record_every": 15, "threads": 1}
TOGETHER = "all, branching last"


class Correct:
    """A peer that reads the two layers and bounds them by intervals; its attack is to stay."""

    methods = ("IBP", "alpha-CROWN")

    def __init__(self):
        self.off, self.lift, self.inert = 0.0, 0.0, False

    def load(self, weights, bias):
        self.layers = two_layers(weights, bias)

    def forward(self, X):
        hidden, offset, outward = self.layers
        return np.maximum(X @ hidden.T + offset, 0.0) @ outward[0] + self.off

    def require_alive(self, method):
        if self.inert and method == "alpha-CROWN":
            raise InertError("its slopes do not move")

    def bounds(self, method, X, y, ball):
        print("a peer prints")
        hidden, offset, outward = self.layers
        reach = ball.radius * (ball.with_radius(1.0).dual_norm(hidden))
        low, high = (np.maximum(X @ hidden.T + offset + side * reach, 0.0) for side in (-1.0, 1.0))
        signs = y[:, None] * outward
        return np.where(signs > 0.0, signs * low, signs * high).sum(axis=1) + self.lift

    def attack(self, X, y, ball):
        return np.zeros_like(X)


@pytest.fixture
def peer(monkeypatch):
    """The only peer that is there."""
    fake = Correct()
    monkeypatch.setattr(verifiers, "PEERS", (
        Peer("fake", ("json",), "", open_bounds=lambda package, effort: fake,
             open_attack=lambda package, effort: fake),))
    monkeypatch.setattr(verifiers, "_found", lambda package: True)
    return fake


@pytest.fixture
def nobody(monkeypatch):
    """No peer is there."""
    monkeypatch.setattr(verifiers, "_found", lambda package: False)


def subject(rng, ball=L2Ball(0.0), radii=(0.05, 0.2)):
    """A small network and samples, most of which it gets right."""
    network = SymmetricReLU(rng.standard_normal((9, 4)), 0.3)
    X = rng.standard_normal((6, 4))
    y = np.where(network.forward(X) > 0.0, 1.0, -1.0)
    y[0] = -y[0]
    adversary = Adversary(ball, {"fgm": FGM()}, strong={"pgd": PGD(5)})
    return certificates.Subject("own", {"only": network}, Batch(X, y), adversary, list(radii),
                                np.eye(4) if isinstance(ball, L2Ball) else None)


def row_of(found, radius, method, who="ours"):
    wanted = (radius, method, who)
    (row,) = [row for row in found["rows"]
              if (row["radius"], row["method"], row["implementation"]) == wanted]
    return row


@pytest.mark.parametrize("ball", [L2Ball(0.0), LinfBall(0.0)], ids=["l2", "linf"])
def test_our_numbers_are_those_of_certify(rng, nobody, ball):
    given = subject(rng, ball)
    found = compare_certificates([given], LITTLE)
    for key, radius in enumerate(given.radii):
        network, adversary = given.networks["only"], given.adversary.at(radius)
        worst = strongest_case(network, given.batch, adversary, key=key)
        assert row_of(found, radius, "standard and strong")["attacked"] == worst.accuracy()
        for methods, label in (*(((name,), name) for name in ("linear", "separable", "quadratic")),
                               (tuple(name for name in METHODS if name != "exact"), TOGETHER)):
            settings = {"methods": methods, "start": worst.delta, "boxes": 4,
                        "dictionary": given.dictionary}
            row = row_of(found, radius, label)
            sign = certify(network, given.batch, adversary, **settings)
            assert row["certified"] == np.mean(sign.margins > 0.0)
            assert row["tried"] == np.sum(worst.margins > 0.0)
            assert row["seconds"] >= 0.0 and row["spread"] >= 0.0
            if len(methods) == 1:
                whole = certify(network, given.batch, adversary, target=np.inf, **settings)
                assert row["gap"] == np.mean(worst.margins - whole.margins) >= 0.0
            else:
                assert row["gap"] is None
    assert row_of(found, 0.05, TOGETHER)["certified"] > 0.0


def test_a_peer_stands_beside_ours_with_its_own_numbers(rng, peer):
    given = subject(rng)
    found = compare_certificates([given], LITTLE)
    for key, radius in enumerate(given.radii):
        network = given.networks["only"]
        peer.load(network.weights, network.bias)
        with contextlib.redirect_stdout(io.StringIO()):
            bounds = peer.bounds("IBP", given.batch.X, given.batch.y, L2Ball(radius))
        worst = strongest_case(network, given.batch, given.adversary.at(radius), key=key)
        row = row_of(found, radius, "IBP", "fake")
        assert row["certified"] == np.mean(bounds > 0.0) and row["tried"] == 6
        assert row["gap"] == np.mean(worst.margins - bounds)
        assert row_of(found, radius, "", "fake")["attacked"] == 5 / 6  # one is wrong as it is


def test_an_inert_method_is_refused_and_the_others_are_not(rng, peer):
    peer.inert = True
    found = compare_certificates([subject(rng)], LITTLE)
    methods = {row["method"] for row in found["rows"] if row["implementation"] == "fake"}
    assert methods == {"", "IBP"}
    assert found["machine"]["refused"] == ["fake alpha-CROWN: refused: its slopes do not move"]
    assert "fake alpha-CROWN: refused" in benchmark.certificates_table(found)


def test_other_outputs_end_the_comparison(rng, peer):
    peer.off = 1e-2
    with pytest.raises(BenchmarkError, match="fake computes outputs that are off by 0.01"):
        compare_certificates([subject(rng)], LITTLE)
    peer.off = np.nan
    with pytest.raises(BenchmarkError, match="different mathematics"):
        compare_certificates([subject(rng)], LITTLE)


def test_a_bound_above_a_margin_that_was_reached_ends_it(rng, peer):
    peer.lift = 50.0
    with pytest.raises(BenchmarkError, match="fake IBP bounds the margin of sample . by .* one of"):
        compare_certificates([subject(rng)], LITTLE)


def test_a_peer_that_dies_has_a_name(rng, peer, monkeypatch):
    monkeypatch.setattr(peer, "bounds", lambda *given: 1 // 0)
    with pytest.raises(BenchmarkError, match="only: l2 radius 0.05: fake IBP: ZeroDivisionError"):
        compare_certificates([subject(rng)], LITTLE)


def test_absent_and_broken_packages_are_lines(monkeypatch):
    def broken(package, effort):
        logging.getLogger().addHandler(logging.NullHandler())
        raise AttributeError("module 'numpy' has no attribute\n'float_'")
    before = list(logging.getLogger().handlers)
    monkeypatch.setattr(verifiers, "PEERS", (
        Peer("here", ("json",), "take it", open_bounds=broken),
        Peer("gone", ("no_such", "nor_this"), "get it")))
    real = verifiers._found
    monkeypatch.setattr(verifiers, "_found", lambda name: name == "torch" or real(name))
    found = installed_peers(1, 1)
    assert not found.bounds and not found.attacks
    assert found.absent == [
        "here: json does not load: AttributeError: module 'numpy' has no attribute 'float_' "
        "(take it)", "gone: no_such or nor_this is not installed (get it)"]
    assert logging.getLogger().handlers == before
    monkeypatch.setattr(verifiers, "_found", lambda name: name != "torch")
    assert installed_peers(1, 1).absent[0] == "here: torch is not installed (take it)"


# --- the command ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that is stored."""
    root = tmp_path_factory.mktemp("runs")
    arguments = benchmark.parser().parse_args(["--quick", "--cases", "certificates"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "QUICK_RUN", TINY)
        (config,) = benchmark._configs(arguments)
    return subjects.trained_run(config, root)


def told(*flags):
    """Exit code, stdout and stderr of the command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = benchmark.main(["--quick", "--cases", "certificates", *map(str, flags)])
    return code, out.getvalue(), err.getvalue()


def test_the_command_measures_the_networks_it_trains(monkeypatch, tmp_path, peer):
    monkeypatch.setattr(benchmark, "QUICK_RUN", TINY)
    code, out, err = told("--format", "json", "--radius", "0.1", "--out", tmp_path, "--samples", 3)
    assert code == 0, err
    assert out == (tmp_path / "certificates.json").read_text(encoding="utf-8")
    found = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert {row["network"] for row in found["rows"]} == {"clean", "adversarial"}
    assert {row["norm"] for row in found["rows"]} == {"l2"}
    for row in found["rows"]:
        assert ROW == set(row) and row["n"] == 3
        assert (row["attacked"] is None) != (row["certified"] is None)
    assert found["machine"]["threads"] == 1 and found["machine"]["boxes"] == benchmark.QUICK_BOXES
    (folder,) = tmp_path.glob("desk-*")
    assert RunFolder.existing(folder).is_done()  # and is taken up, not trained again
    monkeypatch.setattr(subjects, "simulate", None)
    assert told("--radius", "0.1", "--out", tmp_path, "--samples", 1,
                "--force")[0] == 0


def test_a_stored_run_in_another_norm(run, nobody, tmp_path):
    code, out, err = told("--run", run.folder.path, "--norm", "linf", "--radius", "0.02", "0.01",
                          "--out", tmp_path / "new")
    assert code == 0, err
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["certificates.json"]
    assert "clean, linf radius 0.01, 4 samples" in out
    assert "absent: auto_LiRPA: auto_LiRPA is not installed (pip install 'torch<2.14', and" in out
    assert ("absent: AutoAttack: autoattack or torchattacks is not installed (pip install -e "
            "'.[peers]')") in out
    lines = [line for line in out.splitlines() if line.startswith("ours: ")]
    assert len(lines) == 2 * 2 * (6 + ("exact" in METHODS))


def test_disagreement_is_one_line_with_exit_code_2(run, peer):
    peer.off = 1.0
    code, out, err = told("--run", run.folder.path)
    assert code == 2 and out == ""
    assert err.splitlines()[-1].startswith("purify benchmark: error: ")
    assert "fake computes outputs that are off by 1" in err.splitlines()[-1]


@pytest.mark.parametrize("flags, message", [
    (["--samples", "0"], "--samples: expected at least 1, got 0"),
    (["--samples", "100000"], "--samples: expected at most 20"),
    (["--boxes", "0"], "--boxes: expected at least 1, got 0"),
    (["--repeats", "0"], "--repeats: expected at least 1, got 0"),
    (["--radius", "-1"], "--radius: expected at least 0"),
    (["--threads", "2"], "--threads: expected together with the other cases only"),
    (["--profile"], "--profile: expected together with the other cases only"),
    (["--run", "nowhere"], "nowhere"),
    (["--run", "nowhere", "--seed", "1"], "--seed: expected together with networks that are"),
    (["--cases", "clean,certificates"], "expected certificates alone"),
    (["--cases", "clean", "--boxes", "3"], "--boxes: expected together with --cases certificates"),
    (["--cases", "clean", "--norm", "linf"], "--norm: expected together with --cases cert"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_input_is_one_line(flags, message):
    code, out, err = told(*flags)
    assert code == 2 and out == ""
    assert message in err and err.count("\n") == 1


def test_runs_without_such_bounds_are_refused(run):
    with pytest.raises(ValueError, match="--norm linf: expected --radius R too: .* a tau of l2"):
        subjects.subject_of(run, 2, "linf", [])
    for change, message in (({"smoothing": 0.1}, "without smoothing"),):
        other = PurificationConfig(**dataclasses.asdict(run.config) | change)
        fake = type("Run", (), {"config": other})
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Exception, match=message):
            patch.setattr(subjects, "stored", lambda path: fake)
            subjects.stored_run("there")
