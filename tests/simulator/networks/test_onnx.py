"""Networks as ONNX: what is written computes the same elsewhere, and comes back bit for bit."""

import re
import sys

import numpy as np
import pytest

from simulator.networks.onnx import OLDEST_OPSET, OPSET
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.networks.symmetric_relu import SymmetricReLU

onnx = pytest.importorskip("onnx", reason="extra test not installed")
from onnx import helper, numpy_helper  # noqa: E402

W = np.random.default_rng(1).standard_normal((5, 3))
PLAIN = {"B": np.concatenate([W, -W]), "c": np.full(10, -0.25),
         "A": np.concatenate([np.ones((1, 5)), -np.ones((1, 5))], axis=1), "a": np.zeros(1)}
both_types = pytest.mark.parametrize("dtype", ["float32", "float64"])


def gemm(weights, bias, at, to, **how):
    return helper.make_node("Gemm", [at, weights, bias], [to], **({"transB": 1} | how))


def relu():
    return helper.make_node("Relu", ["u"], ["h"])


PLAIN_NODES = [gemm("B", "c", "x", "u"), relu(), gemm("A", "a", "h", "f")]


def model(nodes=PLAIN_NODES, dtype="float64", opset=OPSET, domain="", **changes):
    """A file as another tool might write it: the plain network of W with b = 1/4, or a changed one.
    """
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    constants = {name: numpy_helper.from_array(np.asarray(array, dtype), name)
                 for name, array in (PLAIN | changes).items() if array is not None}
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", kind, ["n", 3])],
                              [value("f", kind, ["n", 1])], list(constants.values()))
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid(domain, opset)]
                             ).SerializeToString()


@pytest.fixture
def file(tmp_path):
    """A function that writes bytes and returns where."""
    def written(content):
        path = tmp_path / "net.onnx"
        path.write_bytes(content)
        return path
    return written


def outputs(path, X, dtype):
    """What onnxruntime computes, a row at a time as the file wants it."""
    runtime = pytest.importorskip("onnxruntime", reason="extra test not installed")
    options = runtime.SessionOptions()  # the graph as it stands: old ones fuse what they cannot run
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (reads,) = session.get_inputs()
    return np.concatenate([session.run(None, {reads.name: x[None].astype(dtype)})[0] for x in X])


# --- there and back -----------------------------------------------------------------------


@both_types
def test_another_runtime_computes_the_symmetric_network(dtype, file, rng):
    network = SymmetricReLU(0.3 * rng.standard_normal((40, 12)), 0.2)
    X = rng.standard_normal((25, 12))
    path = file(network.onnx_content(dtype))
    # terms of size 1, a few dozen of them: float32's own error is 2e-6, float64's 1e-14
    assert np.abs(outputs(path, X, dtype)[:, 0] - network.forward(X)).max() < (
        1e-5 if dtype == "float32" else 1e-13)


@both_types
@pytest.mark.parametrize("q, classes", [(2, 2), (3, 3), (5, 2)])
def test_another_runtime_computes_the_patch_network(q, classes, dtype, file, rng):
    network = SmoothedReLUCNN(rng.standard_normal((classes, 4, 6)), q, 0.7)
    X = 0.5 * rng.standard_normal((25, 3, 6))  # on all three pieces of the activation
    path = file(network.onnx_content(3, dtype))
    assert np.abs(outputs(path, X, dtype) - network.forward(X)).max() < (
        1e-5 if dtype == "float32" else 1e-13)


def test_in_float64_the_symmetric_network_comes_back_to_the_bit(tmp_path, rng):
    network = SymmetricReLU(rng.standard_normal((6, 4)), 0.1)
    network.weights[2] = 0.0  # a silent neuron, with zeros of both signs in the file
    network.weights[4] = network.weights[1]
    network.to_onnx(tmp_path / "net.onnx", "float64")
    again = SymmetricReLU.from_onnx(str(tmp_path / "net.onnx"))
    assert again.weights.dtype == np.float64 and again.bias == network.bias
    assert np.array_equal(again.weights, network.weights)
    X = rng.standard_normal((9, 4))
    assert np.array_equal(again.forward(X), network.forward(X))


def test_in_float64_the_patch_network_comes_back_to_the_bit(tmp_path, rng):
    network = SmoothedReLUCNN(rng.standard_normal((3, 2, 5)), 4, 0.3)
    network.to_onnx(tmp_path / "net.onnx", 7, "float64")
    again = SmoothedReLUCNN.from_onnx(tmp_path / "net.onnx")
    assert (again.q, again.rho) == (network.q, network.rho)
    assert np.array_equal(again.weights, network.weights)


@pytest.mark.parametrize("q, rho", [(2, 0.7), (3, 0.7), (7, 1.9)])
def test_float32_rounds_once(q, rho, tmp_path, rng):
    """Reading what was rounded and writing it again changes nothing."""
    weights = rng.standard_normal((2, 3, 4))
    for network, arguments in ((SymmetricReLU(weights[0], 0.1), ()),
                               (SmoothedReLUCNN(weights, q, rho), (2,))):
        network.to_onnx(tmp_path / "net.onnx", *arguments)
        again = type(network).from_onnx(tmp_path / "net.onnx")
        assert again.weights.dtype == np.float32
        assert np.array_equal(again.weights, network.weights.astype(np.float32))
        assert again.onnx_content(*arguments) == (tmp_path / "net.onnx").read_bytes()


# --- networks of other tools --------------------------------------------------------------


def matmul(weights, at, to):
    return helper.make_node("MatMul", [at, weights], [to])


def add(bias, at, to, swap=False):
    return helper.make_node("Add", [bias, at] if swap else [at, bias], [to])


@pytest.mark.parametrize("content", [
    model(), model(dtype="float32"), model(opset=OLDEST_OPSET),
    model([gemm("B", "c", "x", "u", transB=0), relu(), gemm("A", "a", "h", "f")], B=PLAIN["B"].T),
    model([gemm("B", "c", "x", "u"), relu(), helper.make_node("Gemm", ["h", "A"], ["f"],
                                                              transB=1)]),
    model([matmul("B", "x", "v"), add("c", "v", "u"), relu(), matmul("A", "h", "f")],
          B=PLAIN["B"].T, A=PLAIN["A"].T),
    model([matmul("B", "x", "v"), add("c", "v", "u", swap=True), relu(), matmul("A", "h", "g"),
           add("a", "g", "f")], B=PLAIN["B"].T, A=PLAIN["A"].T, c=-0.25, a=[[0.0]]),
    model([helper.make_node("Constant", [], ["B"],
                            value=numpy_helper.from_array(PLAIN["B"], "B")), *PLAIN_NODES], B=None),
], ids=["Gemm", "float32", "old opset", "not transposed", "no output bias",
        "MatMul", "MatMul and Add", "Constant"])
def test_the_same_network_is_read_from_each_of_its_forms(content, file):
    network = SymmetricReLU.from_onnx(file(content))
    assert network.bias == 0.25
    assert np.array_equal(network.weights, W.astype(network.weights.dtype))


def test_the_order_of_the_units_is_free(file, rng):
    order = rng.permutation(10)
    network = SymmetricReLU.from_onnx(file(model(B=PLAIN["B"][order], A=PLAIN["A"][:, order])))
    X = rng.standard_normal((20, 3))
    # the terms are summed in another order
    assert np.allclose(network.forward(X), SymmetricReLU(W, 0.25).forward(X), rtol=0, atol=1e-14)


def test_no_threshold_is_a_threshold_of_zero(file):
    network = SymmetricReLU.from_onnx(file(model(c=np.zeros(10))))
    assert network.bias == 0.0 and np.copysign(1.0, network.bias) == 1.0


# --- what is something else ---------------------------------------------------------------

CHAIN = "expected two affine layers .* with one Relu between them, got "
OTHERS = [
    (model(A=np.ones((1, 10)), a=[0.5]), "expected no output bias, got 0.5"),
    (model(A=np.ones((1, 10))), "in pairs, .* got 10 and 0 of which"),
    (model(B=PLAIN["B"] + 1e-9), "in pairs, .* got 5 and 5 of which not all are such pairs"),
    (model(A=2 * PLAIN["A"]), "expected output weights 1 and -1, got others"),
    (model(A=np.concatenate([PLAIN["A"]] * 2), a=[0, 0]), "expected one output, .* got 2"),
    (model(c=np.arange(-10, 0)), "expected one bias for all hidden units, got 10 different"),
    (model(c=np.full(10, 0.5)), "expected hidden biases -b with b >= 0, got 0.5"),
    (model(B=np.full((10, 3), np.nan)), "B: expected finite numbers, got 30 NaN"),
    (model(c=np.full(10, -np.inf)), "c: expected finite numbers, got 10 NaN or infinite"),
    (model(B=PLAIN["B"][:8], c=PLAIN["c"][:8]), "layers that fit together, got 8 units of which"),
    (model(c=np.zeros(3)), "a matrix of weights and one bias a unit"),
    (model(dtype="float16"), "expected numbers in float32 or float64 in B, got float16"),
    (model([gemm("B", "c", "x", "u"), helper.make_node("Relu", ["u"], ["f"])]),
     CHAIN + "Gemm, Relu"),
    (model([helper.make_node("Relu", ["x"], ["f"])]), CHAIN + "Relu"),
    (model([gemm("B", "c", "x", "u"), helper.make_node("Tanh", ["u"], ["h"]), PLAIN_NODES[2]]),
     CHAIN + "Gemm, Tanh, Gemm"),
    (model([*PLAIN_NODES[:2], gemm("A", "a", "h", "g"), helper.make_node("Relu", ["g"], ["f"])]),
     CHAIN + "Gemm, Relu, Gemm, Relu"),
    (model([gemm("B", "c", "x", "u"), relu(), gemm("A", "a", "u", "f")]), CHAIN),
    (model([gemm("B", "c", "x", "u", alpha=0.5), *PLAIN_NODES[1:]]), "alpha = 0.5"),
    (model(opset=OLDEST_OPSET - 1), "expected opset 7 to .* of ONNX itself, got 6 of ONNX"),
    (model(domain="com.microsoft"), "of ONNX itself, got 13 of com.microsoft"),
]


@pytest.mark.parametrize("content, message", OTHERS, ids=[message[-40:] for _, message in OTHERS])
def test_another_network_is_refused_in_one_line(content, message, file):
    path = file(content)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .*{message}") as refusal:
        SymmetricReLU.from_onnx(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", [SymmetricReLU, SmoothedReLUCNN])
@pytest.mark.parametrize("content", [b"", b"not a network", model()[:200], bytes(range(256))],
                         ids=["empty", "text", "half", "bytes"])
def test_what_is_no_onnx_file_is_refused_in_one_line(content, kind, file):
    with pytest.raises(ValueError, match="expected a valid ONNX file, got something else") as said:
        kind.from_onnx(file(content))
    assert "\n" not in str(said.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere.onnx: cannot be read: No such file"):
        SymmetricReLU.from_onnx(tmp_path / "nowhere.onnx")


def test_a_type_that_nobody_knows_is_refused_in_one_line(file):
    content = onnx.load_model_from_string(model())
    content.graph.initializer[0].data_type = 113
    with pytest.raises(ValueError, match="net.onnx: expected ") as refusal:
        SymmetricReLU.from_onnx(file(content.SerializeToString()))
    assert "\n" not in str(refusal.value)


def test_weights_in_a_second_file_are_refused(tmp_path):
    onnx.save_model(onnx.load_model_from_string(model()), str(tmp_path / "net.onnx"),
                    save_as_external_data=True, size_threshold=0)
    with pytest.raises(ValueError, match="expected weights within the file, got B in a file"):
        SymmetricReLU.from_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("old, new", [("Pow", "Mul"), ("Relu", "Sigmoid"), ("pooled", "pool")])
def test_a_changed_patch_network_is_refused(old, new, file, rng):
    content = onnx.load_model_from_string(
        SmoothedReLUCNN(rng.standard_normal((2, 2, 3))).onnx_content(4))
    for node in content.graph.node:
        if node.op_type == old:
            node.op_type = new
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    with pytest.raises(ValueError, match="expected a patch network, node by node as to_onnx wri"):
        SmoothedReLUCNN.from_onnx(file(content.SerializeToString()))


@pytest.mark.parametrize("name, array", [
    ("classes", np.ones((4, 2))), ("scale", np.array(0.5)), ("rho", np.array(-1.0)),
    ("q", np.array(2.5)), ("zero", np.array(0.1)), ("filters", np.ones((3, 5))),
    ("filters", np.ones(3))], ids=str)
def test_a_patch_network_with_another_constant_is_refused(name, array, file, rng):
    content = onnx.load_model_from_string(
        SmoothedReLUCNN(rng.standard_normal((2, 2, 3))).onnx_content(4, "float64"))
    for tensor in content.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    with pytest.raises(ValueError, match="expected a patch network, node by node as to_onnx wri"):
        SmoothedReLUCNN.from_onnx(file(content.SerializeToString()))


def test_one_kind_of_network_is_not_the_other(file, rng):
    path = file(SmoothedReLUCNN(rng.standard_normal((2, 2, 3))).onnx_content(4))
    with pytest.raises(ValueError, match=CHAIN + "MatMul, Clip"):
        SymmetricReLU.from_onnx(path)
    path = file(SymmetricReLU(W, 0.25).onnx_content())
    with pytest.raises(ValueError, match="expected a patch network, .* got Gemm, Relu, Gemm"):
        SmoothedReLUCNN.from_onnx(path)


# --- what cannot be written ---------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-50, 1e50])
def test_a_scale_that_float32_does_not_hold_is_refused(scale, tmp_path):
    network = SymmetricReLU(scale * W, 0.0)
    with pytest.raises(ValueError, match="weights: expected numbers that float32 holds, got a"):
        network.to_onnx(tmp_path / "net.onnx")
    network.to_onnx(tmp_path / "net.onnx", "float64")
    assert np.array_equal(SymmetricReLU.from_onnx(tmp_path / "net.onnx").weights, network.weights)


def test_what_is_no_such_network_is_not_written(tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(ValueError, match="network: expected no smoothing, got 0.1"):
        SymmetricReLU(W, 0.1, smoothing=0.1).to_onnx(path)
    with pytest.raises(ValueError, match="weights: expected finite numbers, got 15 NaN"):
        SymmetricReLU(np.nan * W, 0.1).to_onnx(path)
    with pytest.raises(ValueError, match="dtype: expected one of float32, float64, got 'float16'"):
        SymmetricReLU(W, 0.1).to_onnx(path, "float16")
    with pytest.raises(ValueError, match="patches: expected at least 1, got 0"):
        SmoothedReLUCNN(np.ones((2, 1, 3))).to_onnx(path, 0)
    assert not path.exists()


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for use in (SymmetricReLU(W, 0.1).to_onnx, SymmetricReLU.from_onnx, SmoothedReLUCNN.from_onnx):
        with pytest.raises(ImportError, match=r"pip install 'feature-purification\[export\]'"):
            use(tmp_path / "net.onnx")
