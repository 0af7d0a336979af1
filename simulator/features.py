"""What the neurons hold: pure features, dense mixtures, and what adversarial training changed.

With the coefficients ``C = W M`` (row i: neuron i in dictionary coordinates) a neuron splits as
``w_i = p_i + v_i``: the pure part p_i is its largest coefficient, the mixture v_i the rest.
Allen-Zhu & Li (arXiv 2005.10190) prove that clean training leaves a *dense* mixture: every other
feature with a coefficient of size Theta(k/d) and the sign the labels give it, and that adversarial
training removes it ("feature purification").

Everything here is a function of (W, dictionary, labeler) and, where a rate over the data is
meant, of samples. All norms are taken in dictionary coordinates, where they are the same.

W may be most of the memory there is. What is measured of the neurons is measured of a block of them
at a time, in float64; only who asks for a whole array of :class:`Decomposition` gets one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.checks import require_array, require_int
from simulator.networks.symmetric_relu import SymmetricReLU, require_symmetric

__all__ = ["Decomposition", "correlations", "cosines", "decompose", "feature_metrics",
           "gate_rate", "kept_part", "mixture_metrics", "participation_ratio", "purification",
           "require_decomposition", "strongest_neurons"]

OWN = 0.5  # of its largest coefficient has each feature that a neuron won
MOST_OWN = 3  # features; a neuron with more is dense
QUANTILE = 0.001  # share of the coefficients above the quantile
BLOCK = 1 << 22  # numbers looked at together: 32 MB in float64
FEATURE_THRESHOLD = 0.3  # a feature neuron has at least this share of the largest coefficient


@dataclass(frozen=True)
class Decomposition:
    """Neurons split into pure part and mixture, in dictionary coordinates.

    Attributes
    ----------
    stored : ndarray, shape (m, d)
        ``C = W M``; without a dictionary W itself, in its own dtype and memory.
    feature : ndarray of int, shape (m,)
        ``j(i) = argmax_j |C_ij|``.
    is_feature_neuron : ndarray of bool, shape (m,)
        Neurons whose largest coefficient is at least 0.3 times the largest of all neurons;
        the others stayed near their initialisation and decay.
    signs : ndarray, shape (m,)
        ``s_i = sign(C_{i,j(i)} w*_{j(i)})``: which label the neuron votes for.
    labeler : ndarray, shape (d,)
        ``w*``.
    """

    stored: np.ndarray
    feature: np.ndarray
    is_feature_neuron: np.ndarray
    signs: np.ndarray
    labeler: np.ndarray

    @property
    def coefficients(self) -> np.ndarray:
        """``C = W M`` in float64, shape (m, d)."""
        return np.asarray(self.stored, np.float64)

    @property
    def is_pure(self) -> np.ndarray:
        """The coordinate of the pure part: ``feature``, as a mask of shape (m, d)."""
        mask = np.zeros(self.stored.shape, bool)
        mask[np.arange(len(mask)), self.feature] = True
        return mask

    @property
    def peaks(self) -> np.ndarray:
        """``C_{i,j(i)}``, shape (m,): the largest coefficient, with its sign."""
        return _peaks(self.stored, self.feature)

    @property
    def pure(self) -> np.ndarray:
        """Pure parts p_i in dictionary coordinates, shape (m, d)."""
        return np.where(self.is_pure, self.stored, np.float64(0.0))

    @property
    def mixture(self) -> np.ndarray:
        """Dense mixtures v_i in dictionary coordinates, shape (m, d)."""
        return np.where(self.is_pure, np.float64(0.0), self.stored)

    def of(self, neurons: np.ndarray) -> "Decomposition":
        """Return the parts of some neurons, a mask of shape (m,) or places in any order."""
        return Decomposition(self.stored[neurons], self.feature[neurons],
                             self.is_feature_neuron[neurons], self.signs[neurons], self.labeler)

    def blocks(self, neurons: np.ndarray) -> "Iterator[Decomposition]":
        """Return the parts of neurons marked in a mask of shape (m,), a block at a time."""
        for rows in _blocks(np.flatnonzero(neurons), self.stored.shape[1]):
            yield self.of(rows)


def _blocks(rows: np.ndarray, d: int) -> Iterator[np.ndarray]:
    """Cut places of neurons into blocks of about `BLOCK` numbers."""
    length = max(1, BLOCK // max(1, d))
    for first in range(0, len(rows), length):
        yield rows[first:first + length]


def _peaks(C: np.ndarray, feature: np.ndarray) -> np.ndarray:
    return C[np.arange(len(C)), feature].astype(np.float64)


def decompose(network: Any, data: Any, labeler: np.ndarray | None = None) -> Decomposition:
    """Split every neuron into its pure part and its dense mixture.

    Parameters
    ----------
    network : network or ndarray, shape (m, d)
        A network whose ``weights`` are a matrix, one row a neuron, or the weights themselves.
    data : SparseCoding, or ndarray of shape (d, d), or None
        The data model, which knows its features; or, together with ``labeler``, the dictionary M
        with the features in its columns, None for the identity.
    labeler : ndarray, shape (d,), or None
        w*; None takes that of the data model.

    Raises
    ------
    TypeError, ValueError
        No matrix of weights, data without features, shapes that do not fit.
    """
    W = require_array("weights", getattr(network, "weights", network), (None, None),
                      why="one row a neuron")
    m, d = W.shape
    dictionary = data
    if labeler is None:
        if not (hasattr(data, "dictionary") and hasattr(data, "signs")):
            raise TypeError("data: expected a data model with a dictionary and signs, such as "
                            "SparseCoding(d=64, k=4), or a dictionary together with a labeler, "
                            f"got {type(data).__name__}: a feature is a column of the dictionary")
        dictionary, labeler = data.dictionary, data.signs
    labeler = require_array("labeler", labeler, (d,), why="one entry a feature")
    if m == 0:
        raise ValueError("weights: expected at least one neuron, got none")
    C = W
    if dictionary is not None:
        C = W @ require_array("dictionary", dictionary, (d, d), dtype=np.dtype(np.float64))
    feature = np.concatenate([np.abs(C[rows]).argmax(axis=1) for rows in _blocks(np.arange(m), d)])
    peaks = _peaks(C, feature)
    is_feature_neuron = np.abs(peaks) >= FEATURE_THRESHOLD * np.abs(peaks).max()
    signs = np.sign(peaks * labeler[feature])
    return Decomposition(C, feature, is_feature_neuron, signs, labeler)


def strongest_neurons(parts: Decomposition) -> np.ndarray:
    """Return for every feature the feature neuron that holds most of it, as its own.

    Returns
    -------
    ndarray of int, shape (d,)
        Place of the neuron; -1 where no neuron won the feature.
    """
    size = np.where(parts.is_feature_neuron, np.abs(parts.peaks), 0.0)
    order = np.argsort(-size, kind="stable")
    order = order[size[order] > 0.0]
    features, first = np.unique(parts.feature[order], return_index=True)
    strongest = np.full(parts.stored.shape[1], -1)
    strongest[features] = order[first]
    return strongest


def require_decomposition(parts: Any) -> None:
    """Raise TypeError for anything but the parts of a network."""
    if not isinstance(parts, Decomposition):
        raise TypeError("parts: expected a Decomposition, got a value of type "
                        f"{type(parts).__name__}: write decompose(network, data)")


def feature_metrics(parts: Decomposition) -> dict[str, float]:
    """Return the quantities of a decomposition, averaged over the feature neurons.

    Returns
    -------
    dict of str to float
        ``feature_neurons``: how many; ``coverage``: share of the d features that have one;
        ``mixture_ratio``: ``mean_i delta_i / mean_i |C_{i,j(i)}|`` with ``delta_i = mean_{j not
        pure} s_i w*_j C_ij``, Theta(k/d) after clean training; ``mixture_norm_ratio``: mean of
        ``||v_i|| / ||p_i||``; ``mixture_alignment``: mean of ``s_i <v_i, w*> / (||v_i|| ||w*||)``;
        ``purity``: mean of ``||p_i||^2 / ||w_i||^2``. NaN where no neuron is nonzero.
    """
    require_decomposition(parts)
    chosen = parts.is_feature_neuron & (parts.peaks != 0.0)
    d = parts.stored.shape[1]
    names = ("mixture_ratio", "mixture_norm_ratio", "mixture_alignment", "purity")
    if not chosen.any():
        return {"feature_neurons": 0.0, "coverage": 0.0} | dict.fromkeys(names, float("nan"))
    measured = [_mixture_sizes(few) for few in parts.blocks(chosen)]
    along, mixture_norm = (np.concatenate(columns) for columns in zip(*measured))
    peak = np.abs(parts.peaks[chosen])
    pure_norm = np.sqrt(peak * peak)  # a sum of one square
    delta = along / (d - 1) if d > 1 else np.zeros_like(along)
    reach = mixture_norm * np.linalg.norm(parts.labeler)
    return {
        "feature_neurons": float(chosen.sum()),
        "coverage": len(np.unique(parts.feature[chosen])) / d,
        "mixture_ratio": float(delta.mean() / peak.mean()),
        "mixture_norm_ratio": float((mixture_norm / pure_norm).mean()),
        "mixture_alignment": float(np.divide(along, reach, out=np.zeros_like(along),
                                             where=reach > 0.0).mean()),
        "purity": float((pure_norm**2 / (pure_norm**2 + mixture_norm**2)).mean()),
    }


def _mixture_sizes(few: Decomposition) -> tuple[np.ndarray, np.ndarray]:
    """Return ``s_i <v_i, w*>`` and ``||v_i||``."""
    mixture = few.mixture
    return few.signs * (mixture @ few.labeler), np.linalg.norm(mixture, axis=1)


def gate_rate(network: SymmetricReLU, X: np.ndarray, neurons: np.ndarray) -> float:
    """Return ``P(g_ni = 1)`` on the inputs X, over the neurons marked in ``neurons`` (m,)."""
    network = require_symmetric("network", network, "its gates are open or closed")
    W, neurons = network.weights, np.flatnonzero(neurons)
    if len(neurons) == 0:
        return float("nan")
    gates = np.empty((len(X), len(neurons)), W.dtype)
    first = 0
    for rows in _blocks(neurons, W.shape[1]):
        few = SymmetricReLU(W[rows], network.bias, network.smoothing)
        gates[:, first:first + len(rows)] = few.gates(X)
        first += len(rows)
    return float(gates.mean())


def correlations(parts: Decomposition, X: np.ndarray, y: np.ndarray,
                 dictionary: np.ndarray | None) -> dict[str, float]:
    """How a mixture correlates with the average input and with single inputs.

    The principle in one line: high correlation with ``E[y x]``, low with any one x.

    Returns
    -------
    dict of str to float
        ``correlation_with_mean``: mean over feature neurons of
        ``s_i <v_i, E[y x]> / (||v_i|| ||E[y x]||)``; ``correlation_with_inputs``: mean over
        neurons and samples of ``|<v_i, x>| / (||v_i|| ||x||)``.
    """
    codes = np.asarray(X, np.float64)
    if dictionary is not None:
        codes = codes @ dictionary
    marked = parts.is_feature_neuron
    mean = (np.asarray(y, np.float64)[:, None] * codes).mean(axis=0)
    with_mean, with_inputs = [], np.empty((len(codes), np.count_nonzero(marked)))
    first = 0
    for few in parts.blocks(marked):
        V = few.mixture
        V = V / np.maximum(np.linalg.norm(V, axis=1, keepdims=True), np.finfo(float).tiny)
        with_mean.append(few.signs * (V @ mean))
        with_inputs[:, first:first + len(V)] = codes @ V.T
        first += len(V)
    norms = np.maximum(np.linalg.norm(codes, axis=1), np.finfo(float).tiny)
    np.abs(with_inputs, out=with_inputs)
    with_inputs /= norms[:, None]
    return {"correlation_with_mean": float((np.concatenate(with_mean)
                                            / np.linalg.norm(mean)).mean()),
            "correlation_with_inputs": float(with_inputs.mean())}


def cosines(weights: np.ndarray, reference: np.ndarray,
            neurons: np.ndarray | None = None) -> np.ndarray:
    """Return the cosine of each neuron with the same neuron of another network, shape (m,).

    Or only of those marked in ``neurons``, shape (m,).
    """
    weights = require_array("weights", weights, (None, None))
    reference = require_array("reference", reference, weights.shape)
    marked = np.arange(len(weights)) if neurons is None else np.flatnonzero(neurons)
    lengths, products = np.empty(len(marked)), np.empty(len(marked))
    first = 0
    for rows in _blocks(marked, weights.shape[1]):
        W, R = weights[rows].astype(np.float64), reference[rows].astype(np.float64)
        block = slice(first, first + len(rows))
        lengths[block] = np.linalg.norm(W, axis=1) * np.linalg.norm(R, axis=1)
        products[block] = np.einsum("ij,ij->i", W, R)
        first += len(rows)
    return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0.0)


def participation_ratio(vectors: np.ndarray) -> np.ndarray:
    """Return how many coordinates each row is spread over, ``(sum a_j^2)^2 / sum a_j^4``.

    s for s entries of equal size, about n/3 for Gaussian ones; NaN for a row of zeros.

    Parameters
    ----------
    vectors : ndarray, shape (rows, n)

    Returns
    -------
    ndarray, shape (rows,)
    """
    require_array("vectors", vectors, (None, None))
    rows = np.abs(np.asarray(vectors, np.float64))
    largest = rows.max(axis=1, keepdims=True, initial=0.0)
    # in units of the largest entry, so that no fourth power underflows
    squares = np.divide(rows, largest, out=np.full_like(rows, np.nan), where=largest > 0.0) ** 2
    return squares.sum(axis=1) ** 2 / (squares**2).sum(axis=1)


def purification(clean: np.ndarray, adversarial: np.ndarray,
                 neurons: np.ndarray) -> dict[str, float]:
    """The principle of feature purification: ``w_i = beta_i w'_i + v_i``.

    The least-squares fit of each clean neuron w_i by the same neuron w'_i after adversarial
    training, over the neurons marked in ``neurons`` (the clean feature neurons).

    Returns
    -------
    dict of str to float
        ``beta``: mean beta_i; ``beta_positive``: share with beta_i > 0;
        ``kept_over_removed``: median of ``||beta_i w'_i|| / ||v_i||``.
    """
    clean = require_array("clean", clean, (None, None), why="one row a neuron")
    adversarial = require_array("adversarial", adversarial, clean.shape,
                                why="the same neurons after more training")
    marked = np.flatnonzero(require_array("neurons", neurons, (len(clean),),
                                          why="a mark for each neuron"))
    require_int("neurons marked", len(marked), low=1)
    found = [_fit(clean[rows].astype(np.float64), adversarial[rows].astype(np.float64))
             for rows in _blocks(marked, clean.shape[1])]
    beta, ratio = (np.concatenate(columns) for columns in zip(*found))
    return {"beta": float(beta.mean()), "beta_positive": float((beta > 0.0).mean()),
            "kept_over_removed": float(np.median(ratio))}


def kept_part(W: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return beta_i of the least squares ``w_i = beta_i a_i + v_i``, and ``beta_i a_i``.

    Parameters
    ----------
    W, A : ndarray, shape (m, d)
        Neurons, and what became of them; where a_i is zero, so is beta_i.
    """
    squares = np.einsum("ij,ij->i", A, A)
    beta = np.divide(np.einsum("ij,ij->i", W, A), squares, out=np.zeros_like(squares),
                     where=squares > 0.0)
    return beta, beta[:, None] * A


def _fit(W: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return beta_i of ``w_i = beta_i a_i + v_i`` and ``||beta_i a_i|| / ||v_i||``."""
    beta, kept = kept_part(W, A)
    removed = np.linalg.norm(W - kept, axis=1)
    removed = np.maximum(removed, 1e-200)  # nothing removed: a ratio that can still be averaged
    return beta, np.linalg.norm(kept, axis=1) / removed


def mixture_metrics(parts: Decomposition) -> dict[str, float]:
    """Return what the mixtures of the feature neurons are like beside all their own features.

    A neuron may win several features; all are its own that have at least half of its largest
    coefficient, the three largest of them at most. The mixture is the rest.

    Returns
    -------
    dict of str to float
        ``several``, ``many``: share of the feature neurons with more than one feature of at least
        half of the largest, and with more than three; over feature neurons, the means of
        ``norm``: ``s_i <v_i, w*> / (||w*|| ||p_i||)``, the part of the mixture along the labels,
        of ``rest``: the norm of what is orthogonal to it, over ``||p_i||``, and of ``alignment``:
        ``s_i <v_i, w*> / (||v_i|| ||w*||)``, with w* on the features in question alone;
        ``largest`` and ``quantile``: of ``|C_ij| / |C_{i,j(i)}|`` over neurons and features of
        the mixture, the largest and the one that a thousandth exceeds. NaN where no neuron is
        nonzero or none has a mixture.
    """
    chosen = parts.is_feature_neuron & (parts.peaks != 0.0)
    names = ("several", "many", "norm", "rest", "alignment", "largest", "quantile")
    d = parts.stored.shape[1]
    if not chosen.any() or d <= MOST_OWN:
        return dict.fromkeys(names, float("nan"))
    exceed = int(np.count_nonzero(chosen) * (d - 1) * QUANTILE)
    rows, top, pairs = [], np.zeros(0), 0
    for few in parts.blocks(chosen):
        C = few.coefficients
        sizes = np.abs(C)
        peaks = np.abs(few.peaks)
        shared = sizes >= OWN * peaks[:, None]
        own = np.zeros(sizes.shape, bool)  # of equal ones, too, no more than three
        np.put_along_axis(own, np.argpartition(sizes, d - MOST_OWN, axis=1)[:, d - MOST_OWN:],
                          True, axis=1)
        own &= shared
        count = shared.sum(axis=1)
        V = np.where(own, 0.0, C)
        reach = np.sqrt(np.where(own, 0.0, few.labeler**2).sum(axis=1))
        along = few.signs * (V @ few.labeler) / reach
        squares = np.einsum("ij,ij->i", V, V)
        pure = np.sqrt(np.where(own, sizes**2, 0.0).sum(axis=1))
        rows.append(np.stack([count > 1, count > MOST_OWN, along / pure,
                              np.sqrt(np.maximum(squares - along**2, 0.0)) / pure,
                              np.divide(along, np.sqrt(squares), out=np.zeros_like(along),
                                        where=squares > 0.0)]))
        ratios = (sizes / peaks[:, None])[~own]
        pairs += len(ratios)
        top = np.concatenate([top, ratios])
        if len(top) > exceed + 1:
            top = np.partition(top, len(top) - exceed - 1)[len(top) - exceed - 1:]
    means = np.concatenate(rows, axis=1).mean(axis=1)
    quantile = np.sort(top)[::-1][int(pairs * QUANTILE)]
    return dict(zip(names, (*map(float, means), float(top.max()), float(quantile))))
