"""Certificates on disk: what is claimed of each sample, and all that is needed to check it.

    <folder>/
        certificates.json   format, version, norm, SHA-256 of each network, settings
        verdicts.csv        network, sample, radius, verdict, method, lower, upper
        proofs.npz          inputs, networks, the worst perturbation met, multipliers and cuts

A verdict is *certified* (the proof says that the margin is at least ``lower`` > 0 in the whole
ball), *broken* (the margin at the stored perturbation is at most ``upper`` <= 0) or *open*; the
columns ``lower`` and ``upper`` are claims of their own for every verdict. Nothing in the folder
depends on a clock: the same settings give the same bytes.

Lists of many lengths lie in the archive one behind the other, ``<name>`` beside ``<name>_lengths``.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator import __version__
from simulator.balls import L2Ball, LinfBall, ball_of
from simulator.certificates.proofs import Leaf, Proof
from simulator.checks import (require_array, require_choice, require_finite, require_int,
                              require_labels, require_radii, require_real)
from simulator.errors import Damaged, RunError, Unavailable
from simulator.runs.files import (locked, read_csv, read_json, read_npz, reading, table_bytes,
                                  write_atomic, write_json)

__all__ = ["BROKEN", "CERTIFIED", "FILES", "FORMAT", "OPEN", "VERDICTS", "CertificateSet", "Claim",
           "digest", "read_certificates", "write_certificates"]

FORMAT = 1
HEADER, TABLE, ARCHIVE = FILES = ("certificates.json", "verdicts.csv", "proofs.npz")
CERTIFIED, BROKEN, OPEN = VERDICTS = ("certified", "broken", "open")
COLUMNS = ("network", "sample", "radius", "verdict", "method", "lower", "upper")
FLOAT = np.dtype(np.float64)
# fields of a proof and of a leaf that are lists of numbers, and the kind of these
PROOF_LISTS = {"linear": "i", "neurons": "i", "cores": "i"}
LEAF_LISTS = {"cut_neurons": "i", "cut_sides": "f", "cut_limits": "f", "slopes": "f",
              "curvatures": "f", "lam": "f", "point": "f", "core_slopes": "f"}


@dataclass(frozen=True, repr=False)
class Claim:
    """What is said of one network, sample and radius.

    Attributes
    ----------
    network : str
        Its name among those of the set.
    sample : int
        Row of X and y.
    radius : float
    verdict : "certified", "broken" or "open"
    method : str
        Of the proof, or the attack that broke the sample; "" where nothing decided.
    lower : float
        The margin is at least that in the whole ball; NaN where there is no proof.
    upper : float
        The margin at x + delta is at most that.
    delta : ndarray, shape (d,)
        The worst perturbation met: of a broken sample, the counterexample.
    proof : Proof or None
    """

    network: str
    sample: int
    radius: float
    verdict: str
    method: str
    lower: float
    upper: float
    delta: np.ndarray
    proof: Proof | None

    def __repr__(self) -> str:
        return (f"Claim({self.network}, sample {self.sample}, radius {self.radius:.4g}: "
                f"{self.verdict})")


@dataclass(frozen=True, repr=False)
class CertificateSet:
    """Claims about some networks, and what they are about.

    Attributes
    ----------
    norm : "l2" or "linf"
    networks : dict of str to (ndarray, float)
        Weights (m, d) and bias.
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,)
    claims : tuple of Claim
    dictionary : ndarray, shape (d, d), or None
        Of the separable proofs; None is the identity.
    settings : dict
        Plain data: how the certificates were made.
    """

    norm: str
    networks: dict[str, tuple[np.ndarray, float]]
    X: np.ndarray
    y: np.ndarray
    claims: tuple[Claim, ...]
    dictionary: np.ndarray | None
    settings: dict[str, Any]

    def __repr__(self) -> str:
        return (f"CertificateSet({self.norm}, {len(self.claims)} claims about "
                f"{', '.join(self.networks)})")

    def ball(self, radius: float) -> L2Ball | LinfBall:
        """Return the ball of a radius."""
        return ball_of(self.norm, radius)


def digest(weights: np.ndarray, bias: float) -> str:
    """Return the SHA-256 of a network: shape, weights and bias as little-endian float64."""
    weights = np.ascontiguousarray(weights, dtype="<f8")
    content = hashlib.sha256(np.array(weights.shape, dtype="<i8").tobytes())
    content.update(weights.tobytes())
    content.update(np.array(bias, dtype="<f8").tobytes())
    return content.hexdigest()


def write_certificates(folder: Path, certificates: CertificateSet, force: bool = False) -> None:
    """Write a set into a folder, which is made where there is none.

    The header comes last: a set that was written in part cannot be read.

    Raises
    ------
    RunError
        There are certificates, and ``force`` does not allow to write over them; or the disk
        does not do as asked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder}: cannot be made: {error.strerror}") from None
    with locked(folder):
        if not force and any((folder / name).exists() for name in FILES):
            raise RunError(f"{folder}: expected no certificates, found some: choose another "
                           "folder, or allow to write over them by force")
        with suppress(FileNotFoundError):
            (folder / HEADER).unlink()
        content = io.BytesIO()
        np.savez_compressed(content, **_arrays(certificates))  # type: ignore[arg-type]
        write_atomic(folder / ARCHIVE, content.getvalue())
        write_atomic(folder / TABLE, table_bytes([
            {name: getattr(claim, name) for name in COLUMNS} for claim in certificates.claims]))
        write_json(folder / HEADER, {
            "format": FORMAT, "version": __version__, "norm": certificates.norm,
            "networks": {name: digest(*network)
                         for name, network in certificates.networks.items()},
            "settings": certificates.settings})


def _arrays(certificates: CertificateSet) -> dict[str, np.ndarray]:
    """The content of the archive."""
    claims = certificates.claims
    proofs = [claim.proof for claim in claims if claim.proof is not None]
    leaves = [leaf for proof in proofs for leaf in proof.leaves]
    d = certificates.X.shape[1]
    arrays = {"X": certificates.X, "y": certificates.y,
              "delta": np.array([claim.delta for claim in claims]).reshape(len(claims), d),
              "proof_of": np.array([at for at, claim in enumerate(claims)
                                    if claim.proof is not None], np.int64),
              "proof_method": np.array([proof.method for proof in proofs], np.str_),
              "proof_lower": np.array([proof.lower for proof in proofs]),
              "proof_lam": np.array([proof.lam for proof in proofs]),
              "proof_leaves": np.array([len(proof.leaves) for proof in proofs], np.int64),
              "leaf_empty": np.array([leaf.empty for leaf in leaves], np.int64)}
    if certificates.dictionary is not None:
        arrays["dictionary"] = certificates.dictionary
    for name, (weights, bias) in certificates.networks.items():
        arrays |= {f"{name}/weights": weights, f"{name}/bias": np.array(bias)}
    for owners, lists in ((proofs, PROOF_LISTS), (leaves, LEAF_LISTS)):
        for name, kind in lists.items():
            arrays |= _joined(name, [getattr(owner, name) for owner in owners], kind)
    return arrays


def _joined(name: str, lists: Sequence[np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """Lists of any lengths in two arrays."""
    empty = np.zeros(0, np.int64 if kind == "i" else FLOAT)
    return {name: np.concatenate([empty, *lists]).astype(empty.dtype),
            f"{name}_lengths": np.array([len(one) for one in lists], np.int64)}


def read_certificates(folder: Path) -> CertificateSet:
    """Read a set back; nothing in it is believed but that it is of the right form.

    Raises
    ------
    RunError
        No certificates, another format, files that are damaged or do not belong together, NaN or
        infinity where there is a number to be, weights of another hash than the header's.
    """
    with reading(folder):
        if not (folder / HEADER).is_file():
            raise RunError(f"{folder}: expected a folder of certificates, found no {HEADER} in it")
    header = read_json(folder / HEADER)
    if header.get("format") != FORMAT:
        raise RunError(f"{folder / HEADER}: expected format {FORMAT}, got "
                       f"{header.get('format')!r:.20}: written by another version")
    rows, arrays = read_csv(folder / TABLE), read_npz(folder / ARCHIVE)
    try:
        return _understood(header, rows, arrays)
    except KeyError as missing:
        raise Damaged(f"{folder}: expected {missing}, found none: files are missing a part"
                      ) from None
    except (TypeError, ValueError) as error:
        raise Damaged(f"{folder}: {error}") from None


def _understood(header: Mapping[str, Any], rows: Sequence[Mapping[str, Any]],
                arrays: Mapping[str, np.ndarray]) -> CertificateSet:
    """Put a set together from what its files hold; KeyError, TypeError, ValueError otherwise."""
    norm = require_choice("norm", header["norm"], ("l2", "linf"))
    X = require_finite("X", require_array("X", arrays["X"], (None, None), dtype=FLOAT))
    d = X.shape[1]
    y = require_labels("y", arrays["y"], len(X), FLOAT)
    if not isinstance(header["networks"], dict) or not isinstance(header["settings"], dict):
        raise ValueError("networks, settings: expected tables, got something else")
    networks = {}
    for name, stored in header["networks"].items():
        weights = require_finite("weights", require_array(
            "weights", arrays[f"{name}/weights"], (None, d), dtype=FLOAT))
        bias = require_real("bias", require_array("bias", arrays[f"{name}/bias"], ()).item(), 0.0)
        if digest(weights, bias) != stored:
            raise ValueError(f"network {name}: expected the weights of hash {stored!s:.12}, got "
                             f"those of {digest(weights, bias):.12}: they are of another network")
        networks[name] = (weights, bias)
    dictionary = None
    if "dictionary" in arrays:
        dictionary = require_finite("dictionary", require_array(
            "dictionary", arrays["dictionary"], (d, d), dtype=FLOAT))
    delta = require_finite("delta", require_array("delta", arrays["delta"], (len(rows), d),
                                                  dtype=FLOAT))
    proofs = _proofs(arrays, len(rows))
    claims = tuple(_claim(at, row, networks, len(X), delta[at], proofs.get(at))
                   for at, row in enumerate(rows))
    return CertificateSet(norm, networks, X, y, claims, dictionary, header["settings"])


def _claim(at: int, row: Mapping[str, Any], networks: Mapping[str, Any], n: int,
           delta: np.ndarray, proof: Proof | None) -> Claim:
    """A row of the table with its arrays."""
    where = f"{TABLE}, row {at + 1}"
    if tuple(row) != COLUMNS:
        raise ValueError(f"{where}: expected the columns {', '.join(COLUMNS)}, got others")
    number = row["sample"]  # a table knows no integers
    whole = isinstance(number, float) and number.is_integer()
    sample = require_int(f"{where}: sample", int(number) if whole else number, low=0, high=n - 1)
    (radius,) = require_radii(f"{where}: radius", [row["radius"]])
    lower = row["lower"]
    if proof is not None or lower == lower:  # an empty cell where nothing is claimed
        require_real(f"{where}: lower", lower)
    method = row["method"]
    return Claim(require_choice(f"{where}: network", row["network"], tuple(networks)), sample,
                 radius, require_choice(f"{where}: verdict", row["verdict"], VERDICTS),
                 method if isinstance(method, str) else "", lower,
                 require_real(f"{where}: upper", row["upper"]), delta, proof)


def _proofs(arrays: Mapping[str, np.ndarray], rows: int) -> dict[int, Proof]:
    """The proofs by the rows that they belong to."""
    of = _integers("proof_of", arrays["proof_of"])
    count = len(of)
    if len(np.unique(of)) < count or not np.isin(of, np.arange(rows)).all():
        raise ValueError(f"proof_of: expected rows of {TABLE}, each once, got others")
    leaves = _integers("proof_leaves", arrays["proof_leaves"], count)
    empty = _integers("leaf_empty", arrays["leaf_empty"], int(leaves.sum()), low=-1)
    methods = arrays["proof_method"]
    if methods.shape != (count,) or methods.dtype.kind != "U":
        raise ValueError(f"proof_method: expected {count} words, got others")
    lower = require_finite("proof_lower", require_array("proof_lower", arrays["proof_lower"],
                                                        (count,), dtype=FLOAT))
    lam = require_array("proof_lam", arrays["proof_lam"], (count,), dtype=FLOAT)
    require_finite("proof_lam", lam[methods == "separable"])
    per_proof = {name: _parted(name, arrays, count, kind) for name, kind in PROOF_LISTS.items()}
    per_leaf = {name: _parted(name, arrays, len(empty), kind) for name, kind in LEAF_LISTS.items()}
    all_leaves = [Leaf(**{name: lists[at] for name, lists in per_leaf.items()},
                       empty=int(empty[at])) for at in range(len(empty))]
    ends = np.cumsum(leaves)
    return {int(of[at]): Proof(
        str(methods[at]), float(lower[at]), per_proof["linear"][at], per_proof["neurons"][at],
        tuple(all_leaves[ends[at] - leaves[at]:ends[at]]), float(lam[at]), per_proof["cores"][at])
        for at in range(count)}


def _parted(name: str, arrays: Mapping[str, np.ndarray], count: int,
            kind: str) -> list[np.ndarray]:
    """The lists that :func:`_joined` has put behind each other."""
    lengths = _integers(f"{name}_lengths", arrays[f"{name}_lengths"], count)
    total = int(lengths.sum())
    values = (_integers(name, arrays[name], total, low=None) if kind == "i" else
              require_finite(name, require_array(name, arrays[name], (total,), dtype=FLOAT)))
    return np.split(values, np.cumsum(lengths)[:-1]) if count else []


def _integers(name: str, values: np.ndarray, length: int | None = None,
              low: int | None = 0) -> np.ndarray:
    if values.ndim != 1 or values.dtype.kind != "i" or length not in (None, len(values)):
        raise ValueError(f"{name}: expected {'a list of' if length is None else length} integers, "
                         f"got an array of {values.dtype} and shape {values.shape}")
    if low is not None and len(values) and values.min() < low:
        raise ValueError(f"{name}: expected at least {low}, got {values.min()}")
    return values.astype(np.int64)
