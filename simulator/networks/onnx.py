"""Networks as ONNX files, for whoever proves or runs things elsewhere, and back.

The symmetric network is ``Gemm -> Relu -> Gemm`` with 2 m units in pairs,

    f(x) = A relu(B x + c) + 0,    B = [W; -W],    c = -b,    A = [1 ... 1, -1 ... -1],

the input one row (1, d), the output f(x) (1, 1). The patch network is

    F(X) = ReduceSum_p sigma(X V) C,    sigma(z) = (rho / q) (clip(z, 0, rho) / rho)^q
                                                   + relu(z - rho),

with the K m filters in the columns of V, the input (1, P, d) and the output (1, K). Both use
operators that verifiers know, at an opset of 2020, and names and shapes as PyTorch writes them.

float32 is what most tools read, and it rounds the weights: the file then holds another network,
whose margins differ by about 1e-7 of the size of the terms in them. float64 is exact, and what is
written and read back gives the same bits.

The package ``onnx`` is imported when a file is read or written: it comes with the extra "export".
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simulator.checks import require_choice, require_finite, require_int

__all__ = ["OPSET", "PatchWeights", "patch_model", "read_patches", "read_symmetric",
           "symmetric_model"]

OPSET = 13  # of 2020: ReduceSum and Clip as they still are
IR = 8
OLDEST_OPSET = 7  # from here on Gemm and Add broadcast as they do today
DTYPES = ("float32", "float64")
LAYERS = "two affine layers (Gemm, or MatMul and Add) with one Relu between them"


class PatchWeights(NamedTuple):
    """What makes a patch network.

    Attributes
    ----------
    weights : ndarray, shape (K, m, d)
    q : int
    rho : float
    """

    weights: np.ndarray
    q: int
    rho: float


def symmetric_model(weights: np.ndarray, bias: float, dtype: str = "float32") -> bytes:
    """Return the symmetric two-layer ReLU network as the content of an ONNX file.

    Parameters
    ----------
    weights : ndarray, shape (m, d)
    bias : float
        The shared threshold b, at least 0.
    dtype : "float32" or "float64"

    Raises
    ------
    ValueError
        NaN or infinite numbers, or numbers that float32 does not hold.
    ImportError
        The package onnx is not installed.
    """
    onnx = _package()
    m, d = weights.shape
    W = _rounded("weights", weights, dtype)
    b = _rounded("bias", np.array([bias]), dtype)
    ones = np.ones((1, m), W.dtype)
    nodes = [onnx.helper.make_node("Gemm", ["x", "hidden.weight", "hidden.bias"], ["u"], transB=1),
             onnx.helper.make_node("Relu", ["u"], ["h"]),
             onnx.helper.make_node("Gemm", ["h", "output.weight", "output.bias"], ["f"], transB=1)]
    return _file(onnx, nodes, (1, d), (1, 1), {
        "hidden.weight": np.concatenate([W, -W]), "hidden.bias": np.repeat(-b, 2 * m),
        "output.weight": np.concatenate([ones, -ones], axis=1),
        "output.bias": np.zeros(1, W.dtype)},
        "symmetric two-layer ReLU network; the label is the sign of f")


def patch_model(network: PatchWeights, patches: int, dtype: str = "float32") -> bytes:
    """Return the patch network as the content of an ONNX file.

    Parameters
    ----------
    network : PatchWeights
    patches : int
        P, the patches of an input: a file has it fixed.
    dtype : "float32" or "float64"

    Raises
    ------
    ValueError, ImportError
        As for :func:`symmetric_model`.
    """
    onnx = _package()
    node = onnx.helper.make_node
    K, m, d = network.weights.shape
    require_int("patches", patches, low=1)
    W = _rounded("weights", network.weights, dtype)
    rho = _rounded("rho", np.array(network.rho), dtype)
    nodes = [node("MatMul", ["X", "filters"], ["z"]),
             node("Clip", ["z", "zero", "rho"], ["bent"]), node("Div", ["bent", "rho"], ["share"]),
             node("Pow", ["share", "q"], ["power"]), node("Mul", ["power", "scale"], ["curve"]),
             node("Sub", ["z", "rho"], ["past"]), node("Relu", ["past"], ["line"]),
             node("Add", ["curve", "line"], ["sigma"]),
             node("ReduceSum", ["sigma", "patches"], ["pooled"], keepdims=0),
             node("MatMul", ["pooled", "classes"], ["F"])]
    return _file(onnx, nodes, (1, patches, d), (1, K), {
        "filters": np.ascontiguousarray(W.reshape(K * m, d).T), "zero": np.zeros((), W.dtype),
        "rho": rho, "q": np.array(network.q, W.dtype),
        "scale": np.array(float(rho) / network.q, W.dtype), "patches": np.array([1]),
        "classes": np.repeat(np.eye(K, dtype=W.dtype), m, axis=0)},
        "patch network with smoothed ReLU; the label is the largest of F")


def read_symmetric(path: Path | str) -> tuple[np.ndarray, float]:
    """Read W and b of a symmetric two-layer ReLU network, whoever wrote it.

    Parameters
    ----------
    path : path
        Two affine layers with a ReLU between them. The hidden units come in pairs (w, -b) and
        (-w, -b) with output weights 1 and -1, in any order; b >= 0 is shared, and the output, a
        single one, has no bias.

    Returns
    -------
    weights : ndarray, shape (m, d)
        Of the units with output weight 1, in their order, in the dtype of the file.
    bias : float

    Raises
    ------
    ValueError
        Not such a network, or not an ONNX file that can be read.
    ImportError
        The package onnx is not installed.
    """
    graph, constants = _graph(_package(), Path(path))
    hidden, outward = _two_layers(path, graph, constants)
    _require(len(outward.weights) == 1, path, "one output, the sign of which is the label",
             f"{len(outward.weights)}")
    _require(not outward.bias.any(), path, "no output bias", f"{outward.bias[0]:g}")
    signs = outward.weights[0]
    _require(bool(np.all(np.abs(signs) == 1.0)), path, "output weights 1 and -1",
             "others: scale the hidden units instead, if they then share one bias")
    threshold = hidden.bias[0]
    _require(bool(np.all(hidden.bias == threshold)), path, "one bias for all hidden units",
             f"{len(np.unique(hidden.bias))} different ones")
    _require(bool(threshold <= 0.0), path, "hidden biases -b with b >= 0", f"{threshold:g}")
    up, down = hidden.weights[signs > 0.0], hidden.weights[signs < 0.0]
    _require(len(up) == len(down) and _same_rows(up, -down), path,
             "hidden units in pairs, w with output weight 1 and -w with -1",
             f"{len(up)} and {len(down)} of which not all are such pairs")
    return np.ascontiguousarray(up), float(-threshold) + 0.0


def read_patches(path: Path | str) -> PatchWeights:
    """Read a patch network that :func:`patch_model` wrote.

    Raises
    ------
    ValueError
        Another network, or not an ONNX file that can be read.
    ImportError
        The package onnx is not installed.
    """
    onnx = _package()
    graph, constants = _graph(onnx, Path(path))
    what = "a patch network, node by node as to_onnx writes it"
    kinds = ", ".join(node.op_type for node in graph.node) or "nothing"
    found, patches = _patch_weights(graph, constants) or (None, 0)
    if found is None:
        raise ValueError(f"{path}: expected {what}, got {kinds}")
    again = patch_model(found, patches, found.weights.dtype.name)  # where any slip would show
    _require(onnx.load_model_from_string(again).graph == graph, path, what,
             f"something else in {kinds}")
    return found


def _patch_weights(graph: Any,
                   constants: Mapping[str, np.ndarray]) -> tuple[PatchWeights, int] | None:
    """What a graph of that kind is made of, and P; None where sizes do not fit."""
    found = [constants.get(name) for name in ("filters", "classes", "q", "rho")]
    if any(array is None for array in found) or len(graph.input) != 1:
        return None
    filters, classes, q, rho = (np.asarray(array) for array in found)
    reads = graph.input[0].type.tensor_type.shape.dim
    if (filters.ndim, classes.ndim, q.shape, rho.shape, len(reads)) != (2, 2, (), (), 3):
        return None
    units, K = classes.shape
    if (filters.dtype.name not in DTYPES or K < 2 or units == 0 or units % K
            or filters.shape[1] != units or not (q >= 2 and rho > 0.0) or reads[1].dim_value < 1):
        return None
    weights = np.ascontiguousarray(filters.T).reshape(K, units // K, len(filters))
    return PatchWeights(weights, int(q), float(rho)), reads[1].dim_value


# --- writing ------------------------------------------------------------------------------


def _package() -> Any:
    """The package onnx, or an ImportError that says what to install."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise ImportError("expected onnx, which is not installed: pip install "
                          "'feature-purification[export]'") from None
    return onnx


def _rounded(name: str, array: np.ndarray, dtype: str) -> np.ndarray:
    """Return an array in a float type, to whose last digit it is right."""
    kind = np.dtype(require_choice("dtype", dtype, DTYPES))
    require_finite(name, array)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        rounded = array.astype(kind)
        largest = float(np.abs(array).max(initial=0.0))
        lost = float(np.abs(rounded.astype(np.float64) - array).max(initial=0.0))
    if not lost <= float(np.finfo(kind).eps) * largest:
        raise ValueError(f"{name}: expected numbers that {dtype} holds, got a largest one of "
                         f"{largest:.3g}: write float64")
    return rounded


def _file(onnx: Any, nodes: Sequence[Any], reads: tuple[int, ...], gives: tuple[int, ...],
          constants: Mapping[str, np.ndarray], about: str) -> bytes:
    """The content of the file of a graph; first input of the first node to last output."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(next(iter(constants.values())).dtype)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "purify", [value(nodes[0].input[0], kind, reads)],
        [value(nodes[-1].output[0], kind, gives)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
        doc_string=about)
    model = onnx.helper.make_model(graph, producer_name="feature-purification", ir_version=IR,
                                   opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


# --- reading ------------------------------------------------------------------------------


class _Affine(NamedTuple):
    """``x -> weights x + bias``, shapes (out, in) and (out,)."""

    weights: np.ndarray
    bias: np.ndarray


def _require(fine: bool, path: Path | str, expected: str, got: str) -> None:
    if not fine:
        raise ValueError(f"{path}: expected {expected}, got {got}")


def _graph(onnx: Any, path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """The graph of a file and its constants by name, or ValueError in one line."""
    with _parsing(onnx, path):
        model = onnx.load_model_from_string(path.read_bytes())
    _require_readable(onnx, path, model)
    with _parsing(onnx, path):
        onnx.checker.check_model(model)
    return model.graph, {name: _array(onnx, path, name, tensor)
                         for name, tensor in _tensors(model).items()}


@contextmanager
def _parsing(onnx: Any, path: Path) -> Iterator[None]:
    """Turn what the package says about a file into one line; ValueError covers broken text."""
    from google.protobuf.message import DecodeError  # comes with onnx
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: expected a valid ONNX file, got something else or half of one "
                         f"({line:.80})") from None


def _require_readable(onnx: Any, path: Path, model: Any) -> None:
    """Refuse operators whose meaning is not known here, and weights that are not in the file."""
    newest = onnx.defs.onnx_opset_version()
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    _require(set(opsets) <= {"", "ai.onnx"} and all(OLDEST_OPSET <= version <= newest
                                                    for version in opsets.values()), path,
             f"opset {OLDEST_OPSET} to {newest} of ONNX itself",
             ", ".join(f"{version} of {domain or 'ONNX'}" for domain, version in opsets.items()))
    for name, tensor in _tensors(model).items():
        _require(not onnx.external_data_helper.uses_external_data(tensor), path,
                 "weights within the file", f"{name} in a file of its own: save it in one")


def _tensors(model: Any) -> dict[str, Any]:
    """The constants of a graph by name: its initializers, and what Constant nodes hold."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return tensors | {node.output[0]: node.attribute[0].t for node in model.graph.node
                      if node.op_type == "Constant" and [entry.name for entry in node.attribute]
                      == ["value"]}


def _array(onnx: Any, path: Path, name: str, tensor: Any) -> np.ndarray:
    """The array of a tensor, finite; floats in float32 or float64."""
    try:
        array: np.ndarray = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError, RuntimeError, KeyError):  # KeyError: a type not known
        raise ValueError(f"{path}: expected numbers in {name}, got a damaged tensor") from None
    _require(array.dtype.kind in "iub" or array.dtype.name in DTYPES, path,
             f"numbers in float32 or float64 in {name}", f"{array.dtype}")
    try:
        return require_finite(name, array)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _two_layers(path: Path | str, graph: Any,
                constants: Mapping[str, np.ndarray]) -> tuple[_Affine, _Affine]:
    """The layers before and after the one ReLU of a chain from input to output."""
    inputs = [value.name for value in graph.input if value.name not in constants]
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    kinds = ", ".join(node.op_type for node in nodes) or "nothing"
    chain = _Chain(path, inputs[0] if len(inputs) == 1 else "", nodes, constants, kinds)
    hidden = chain.affine()
    chain.step("Relu")
    outward = chain.affine()
    _require(not chain.nodes and [value.name for value in graph.output] == [chain.at], path,
             LAYERS, kinds)
    units, read = len(hidden.weights), outward.weights.shape[1]
    _require(units == read and hidden.weights.size > 0, path, "layers that fit together",
             f"{units} units of which the second layer reads {read}")
    return hidden, outward


class _Chain:
    """Nodes of which each reads what the one before has written; ``at`` is where that lies."""

    def __init__(self, path: Path | str, at: str, nodes: Sequence[Any],
                 constants: Mapping[str, np.ndarray], kinds: str) -> None:
        self.path, self.at, self.nodes, self.constants = path, at, list(nodes), constants
        self.kinds = kinds

    def step(self, kind: str) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Take the next node, which must be of a kind; return attributes and constants."""
        _require(bool(self.nodes), self.path, LAYERS, self.kinds)
        node = self.nodes.pop(0)
        fits = (node.op_type == kind and node.domain in ("", "ai.onnx")
                and list(node.input).count(self.at) == 1
                and (kind == "Add" or node.input[0] == self.at)
                and all(name in self.constants for name in node.input if name != self.at))
        _require(fits, self.path, LAYERS, self.kinds)
        constants = [self.constants[name] for name in node.input if name != self.at]
        self.at = node.output[0]
        return {entry.name: entry.f if entry.type == 1 else entry.i
                for entry in node.attribute}, constants

    def affine(self) -> _Affine:
        """Take a Gemm, or a MatMul with the Add behind it if there is one."""
        if self.nodes and self.nodes[0].op_type == "MatMul":
            constants = self.step("MatMul")[1]
            weights = constants[0].T
            if self.nodes and self.nodes[0].op_type == "Add":
                constants += self.step("Add")[1]
        else:
            how, constants = self.step("Gemm")
            _require(how.get("alpha", 1.0) == how.get("beta", 1.0) == 1.0
                     and not how.get("transA", 0), self.path, "Gemm with alpha = beta = 1 and "
                     "transA = 0", ", ".join(f"{key} = {value:g}" for key, value in how.items()))
            weights = constants[0] if how.get("transB", 0) else constants[0].T
        bias = constants[1] if len(constants) > 1 else np.zeros(1, weights.dtype)
        fits = (weights.ndim == 2 and weights.dtype.name in DTYPES and bias.dtype == weights.dtype
                and bias.size in (1, len(weights)) and bias.ndim <= 2)
        _require(fits, self.path, "a matrix of weights and one bias a unit, both of one float type",
                 f"{weights.dtype} of shape {weights.shape} and {bias.dtype} of {bias.shape}")
        return _Affine(weights, np.broadcast_to(bias.reshape(-1), (len(weights),)))


def _same_rows(A: np.ndarray, B: np.ndarray) -> bool:
    """True if the rows are the same, in whatever order."""
    one, other = (rows[np.lexsort(rows.T)] for rows in (A, B))
    return bool(np.array_equal(one, other))
