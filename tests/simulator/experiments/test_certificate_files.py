"""Certificates on disk come back as they were, and what is damaged or foreign is refused."""

import json

import numpy as np
import pytest

from simulator.errors import RunError
from simulator.experiments.certificate_files import digest, read_certificates, write_certificates

from planted.certificate_sets import made_by_hand


@pytest.fixture
def folder(tmp_path):
    write_certificates(tmp_path / "made" / "here", made_by_hand())
    return tmp_path / "made" / "here"


def same(a, b):
    """Whether two fields are equal: arrays to the bit, NaN to NaN."""
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f")


def test_a_set_comes_back_as_it_was(folder):
    before, after = made_by_hand(), read_certificates(folder)
    assert (after.norm, after.settings, after.dictionary) == ("l2", {"boxes": 1}, None)
    assert same(after.X, before.X) and same(after.y, before.y)
    assert same(after.networks["only"][0], before.networks["only"][0])
    assert after.networks["only"][1] == before.networks["only"][1]
    assert len(after.claims) == len(before.claims)
    for one, other in zip(before.claims, after.claims):
        for name in ("network", "sample", "radius", "verdict", "method", "lower", "upper", "delta"):
            assert same(getattr(one, name), getattr(other, name)), name
        assert (one.proof is None) == (other.proof is None)
        if one.proof is not None:
            for name in ("method", "lower", "linear", "neurons", "lam"):
                assert same(getattr(one.proof, name), getattr(other.proof, name)), name
            assert len(one.proof.leaves) == len(other.proof.leaves)
            for leaf, again in zip(one.proof.leaves, other.proof.leaves):
                assert all(same(value, getattr(again, name))
                           for name, value in vars(leaf).items())


def test_the_same_certificates_are_the_same_bytes(folder, tmp_path):
    write_certificates(tmp_path / "again", read_certificates(folder))
    for name in ("certificates.json", "verdicts.csv", "proofs.npz"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_nothing_is_written_over_without_force(folder):
    with pytest.raises(RunError, match="expected no certificates, found some"):
        write_certificates(folder, made_by_hand())
    write_certificates(folder, made_by_hand(), force=True)


def test_the_hash_of_a_network_is_of_its_shape_weights_and_bias():
    W = np.arange(6.0).reshape(2, 3)
    hashes = {digest(W, 0.5), digest(W, 0.25), digest(W.reshape(3, 2), 0.5), digest(W + 1.0, 0.5)}
    assert len(hashes) == 4
    assert digest(np.asfortranarray(W), np.float32(0.5)) == digest(W, 0.5)


def rewritten(folder, **changes):
    """Write the archive with other arrays; None leaves one out."""
    with np.load(folder / "proofs.npz") as archive:
        arrays = {name: archive[name] for name in archive.files} | changes
    np.savez(folder / "proofs.npz", **{name: value for name, value in arrays.items()
                                       if value is not None})


def reheaded(folder, **changes):
    header = json.loads((folder / "certificates.json").read_text(encoding="utf-8")) | changes
    (folder / "certificates.json").write_text(json.dumps(header), encoding="utf-8")


def retabled(folder, old, new):
    text = (folder / "verdicts.csv").read_text(encoding="utf-8")
    assert old in text
    (folder / "verdicts.csv").write_text(text.replace(old, new, 1), encoding="utf-8")


NAN = np.full(6, np.nan)
SLOPES = 10  # multipliers in all leaves of the set


@pytest.mark.parametrize("damage, why", [
    (lambda path: (path / "certificates.json").unlink(), "expected a folder of certificates"),
    (lambda path: (path / "verdicts.csv").unlink(), "verdicts.csv: cannot be read"),
    (lambda path: (path / "proofs.npz").write_bytes(b"half"), "expected an archive of arrays"),
    (lambda path: (path / "certificates.json").write_text("[1]"), "expected a JSON object"),
    (lambda path: reheaded(path, format=2), "expected format 1, got 2: written by another version"),
    (lambda path: reheaded(path, norm="l1"), "norm: expected one of l2, linf"),
    (lambda path: reheaded(path, networks=[]), "expected tables"),
    (lambda path: reheaded(path, networks={"only": "0" * 64}), "expected the weights of hash 0000"),
    (lambda path: reheaded(path, networks={"other": "0" * 64}), "'other/weights', found none"),
    (lambda path: rewritten(path, X=None), "expected 'X', found none"),
    (lambda path: rewritten(path, X=np.full((3, 2), np.inf)), "X: expected finite numbers"),
    (lambda path: rewritten(path, y=np.zeros(3)), "y: expected labels -1 and \\+1"),
    (lambda path: rewritten(path, delta=np.full((6, 2), np.nan)), "delta: expected finite"),
    (lambda path: rewritten(path, delta=np.zeros((5, 2))), "delta: expected shape"),
    (lambda path: rewritten(path, slopes=NAN), "slopes: expected shape"),
    (lambda path: rewritten(path, slopes=np.full(SLOPES, np.nan)), "slopes: expected finite"),
    (lambda path: rewritten(path, neurons=np.zeros(10)), "neurons: expected 10 integers"),
    (lambda path: rewritten(path, neurons_lengths=np.array([-2, 5, 3, 2, 2])), "0, got -2"),
    (lambda path: rewritten(path, proof_of=np.array([0, 1, 2, 3, 9])), "expected rows of verdicts"),
    (lambda path: rewritten(path, proof_of=np.array([0, 1, 2, 3, 3])), "each once"),
    (lambda path: rewritten(path, proof_lower=np.full(5, np.nan)), "proof_lower: expected finite"),
    (lambda path: rewritten(path, proof_lam=np.full(5, np.nan)), "proof_lam: expected finite"),
    (lambda path: rewritten(path, proof_method=np.zeros(5)), "proof_method: expected 5 words"),
    (lambda path: rewritten(path, **{"only/bias": np.array(np.nan)}), "bias: expected a finite"),
    (lambda path: rewritten(path, **{"only/weights": np.full((3, 2), np.nan)}), "weights: expect"),
    (lambda path: retabled(path, "certified", "proved"), "verdict: expected one of certified"),
    (lambda path: retabled(path, "only,0", "none,0"), "network: expected one of only"),
    (lambda path: retabled(path, "only,0", "only,7"), "sample: expected at most 2"),
    (lambda path: retabled(path, "only,0", "only,0.5"), "sample: expected an integer"),
    (lambda path: retabled(path, "only,0", "only,one"), "sample: expected an integer"),
    (lambda path: retabled(path, "only,0", "only,"), "sample: expected an integer"),
    (lambda path: retabled(path, "0.25", "-0.25"), "radius: expected at least 0"),
    (lambda path: retabled(path, "0.25", "nan"), "radius: expected a finite"),
    (lambda path: retabled(path, "1.323,2.0", ",2.0"), "lower: expected a finite number"),
    (lambda path: retabled(path, "1.323,2.0", "1.323,inf"), "upper: expected a finite number"),
    (lambda path: retabled(path, "1.323,2.0", "1.323"), "expected a table, got something else"),
    (lambda path: retabled(path, "verdict,", "judgement,"), "expected the columns network"),
])
def test_what_is_damaged_or_foreign_is_refused_in_one_line(folder, damage, why):
    damage(folder)
    with pytest.raises(RunError, match=why) as refused:
        read_certificates(folder)
    assert "\n" not in str(refused.value) and str(folder) in str(refused.value)
