"""The rules of the house, checked on the syntax trees: who imports whom, and what is banned.

Each rule is a function from a file's tree to a list of offences. It must find none in the
code and must find the planted one, so that a rule that went blind is seen.
"""

import ast
import builtins
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("simulator", "theory", "scripts")
FILES = sorted(path.relative_to(ROOT) for package in PACKAGES
               for path in (ROOT / package).rglob("*.py"))
TREES = {path.as_posix(): ast.parse((ROOT / path).read_text(), str(path)) for path in FILES}


def imports(tree):
    """(line, dotted name) of every import in a file, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def imported(tree, *packages):
    return [f"line {line}: imports {name}" for line, name in imports(tree)
            if name.split(".")[0] in packages]


def calls(tree):
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def dotted(node):
    """``np.random.rand`` of an attribute chain, "" of anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


# --- the rules ----------------------------------------------------------------------------


def layers(name, tree):
    """The simulator knows neither theory nor scripts; theory does not know scripts."""
    above = {"simulator": ("theory", "scripts"), "theory": ("scripts",)}
    return imported(tree, *above.get(name.split("/")[0], ()), "tests")


def plotting(name, tree):
    """Only theory draws."""
    return [] if name.startswith("theory/") else imported(tree, "matplotlib")


def automatic_gradients(name, tree):
    """torch and JAX are peers to measure against, imported in one file of the benchmark."""
    if name == "scripts/benchmarking/peers.py":
        return []
    return imported(tree, "torch", "jax", "jaxlib")


def printing(name, tree):
    """Libraries return, scripts print."""
    if name.startswith("scripts/"):
        return []
    return [f"line {call.lineno}: print()" for call in calls(tree)
            if dotted(call.func) == "print"]


def running_data(name, tree):
    """No data file is ever executed."""
    found = imported(tree, "pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve",
                     "joblib", "yaml")
    for call in calls(tree):
        if dotted(call.func) in ("eval", "exec", "compile", "__import__"):
            found.append(f"line {call.lineno}: {dotted(call.func)}()")
        found += [f"line {call.lineno}: allow_pickle" for word in call.keywords
                  if word.arg == "allow_pickle" and not _is_false(word.value)]
    return found


def compiling(name, tree):
    """Numba's decorators are called in jit.py only, and never with fastmath."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "fastmath" and not _is_false(node.value):
            found.append(f"line {node.value.lineno}: fastmath")
        if isinstance(node, ast.Dict):
            found += [f"line {node.lineno}: fastmath" for key, value in zip(node.keys, node.values)
                      if isinstance(key, ast.Constant) and key.value == "fastmath"
                      and not _is_false(value)]
        if (isinstance(node, ast.Attribute) and node.attr in DECORATORS and name != JIT
                and dotted(node) != "jax.jit"):  # another compiler's, of a peer
            found.append(f"line {node.lineno}: {dotted(node)}")
    return found + [f"line {line}: imports {module}" for line, module in imports(tree)
                    if name != JIT and module.split(".")[0] == "numba"
                    and module.split(".")[-1] in DECORATORS]


JIT = "simulator/jit.py"
DECORATORS = {"njit", "jit", "vectorize", "guvectorize", "jitclass", "cfunc", "stencil",
              "generated_jit"}


def drawing(name, tree):
    """Random numbers come from streams: nothing else makes a generator or uses a global one."""
    if name == "simulator/randomness.py":
        return []
    found = imported(tree, "random")
    for node in ast.walk(tree):
        chain = dotted(node) if isinstance(node, ast.Attribute) else ""
        if (chain.startswith(("np.random.", "numpy.random."))
                and not chain.endswith((".random.Generator", ".random.SeedSequence"))):
            found.append(f"line {node.lineno}: {chain}")
    return found + [f"line {line}: imports {module}" for line, module in imports(tree)
                    if module.startswith("numpy.random.") and not module.endswith(".Generator")]


def kernels(name, tree):
    """A kernel calls kernels of its own file, builtins and NumPy/math/Numba, nothing else.

    With a cached callee in another file, an edit there leaves a stale compiled caller.
    """
    own = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
           and any(dotted(mark).split(".")[-1] == "kernel"
                   for mark in node.decorator_list)}
    modules, others = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                (modules if alias.name in ("numpy", "math", "numba") else others).add(
                    alias.asname or alias.name.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            origin = modules if node.module in ("math", "numba") else others
            origin.update(alias.asname or alias.name for alias in node.names)
    found = []
    for kernel in own.values():
        for call in calls(ast.Module(kernel.body, [])):
            chain = dotted(call.func)
            root = chain.split(".")[0]
            fine = (chain in own or chain in modules or hasattr(builtins, chain)
                    if "." not in chain else root not in others)
            if ".random." in chain or not fine:
                found.append(f"line {call.lineno}: {kernel.name} calls {chain or '?'}")
    return found


def _is_false(node):
    return isinstance(node, ast.Constant) and node.value is False


# --- none is broken, and each can see -----------------------------------------------------

RULES = [layers, plotting, automatic_gradients, printing, running_data, compiling, drawing,
         kernels]
MARK = "from simulator.jit import kernel\n"


def test_the_files_are_found():
    assert {"simulator/jit.py", "simulator/attacks/gradient.py", "simulator/networks/symmetric_relu.py",
            "scripts/__init__.py"} <= set(TREES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_breaks_the_rule(rule):
    offences = {name: found for name, tree in TREES.items() if (found := rule(name, tree))}
    assert offences == {}


@pytest.mark.parametrize("rule, name, source", [
    (layers, "simulator/a.py", "from theory.claim import Claim"),
    (layers, "simulator/a.py", "def f():\n    import scripts.cli"),
    (layers, "theory/a.py", "from scripts import presets"),
    (layers, "simulator/a.py", "import tests.naive"),
    (plotting, "simulator/a.py", "import matplotlib.pyplot as plt"),
    (plotting, "scripts/a.py", "from matplotlib import pyplot"),
    (automatic_gradients, "simulator/a.py", "import torch"),
    (automatic_gradients, "theory/a.py", "def f():\n    from jax import grad"),
    (automatic_gradients, "scripts/benchmark.py", "import jax.numpy as jnp"),
    (automatic_gradients, "simulator/peers.py", "import torch"),
    (printing, "theory/a.py", "def f():\n    print(1)"),
    (running_data, "simulator/a.py", "import pickle"),
    (running_data, "scripts/a.py", "from yaml import safe_load"),
    (running_data, "scripts/a.py", "eval('1')"),
    (running_data, "scripts/a.py", "exec('1')"),
    (running_data, "simulator/a.py", "np.load(path, allow_pickle=True)"),
    (running_data, "simulator/a.py", "np.load(path, allow_pickle=trusted)"),
    (compiling, "simulator/a.py", "from numba import njit"),
    (compiling, "simulator/a.py", "@numba.njit\ndef f(): pass"),
    (compiling, "simulator/a.py", "from numba.experimental import jitclass"),
    (compiling, JIT, "numba.njit(fastmath=True)"),
    (compiling, JIT, "options = {'fastmath': {'contract'}}"),
    (drawing, "simulator/a.py", "x = np.random.standard_normal(3)"),
    (drawing, "scripts/a.py", "rng = np.random.default_rng()"),
    (drawing, "theory/a.py", "import random"),
    (drawing, "theory/a.py", "from numpy.random import default_rng"),
    (kernels, "simulator/a.py", MARK + "from simulator.b import g\n@kernel\ndef f(x): g(x)"),
    (kernels, "simulator/a.py", MARK + "import simulator.b as b\n@kernel\ndef f(x): b.g(x)"),
    (kernels, "simulator/a.py", MARK + "def g(x): pass\n@kernel\ndef f(x): g(x)"),
    (kernels, "simulator/a.py", MARK + "@kernel\ndef f(x): np.random.rand()"),
    (kernels, "simulator/a.py", "from simulator import jit\n@jit.kernel\ndef f(g, x): g(x)"),
], ids=lambda value: value.__name__ if callable(value) else None)
def test_the_rule_sees_a_planted_offence(rule, name, source):
    assert len(rule(name, ast.parse(source))) == 1


@pytest.mark.parametrize("rule, name, source", [
    (layers, "theory/a.py", "from simulator.attacks.gradient import FGM"),
    (plotting, "theory/feature_purification/figures.py", "import matplotlib"),
    (automatic_gradients, "scripts/benchmarking/peers.py", "def f():\n    import torch, jax"),
    (printing, "scripts/a.py", "print(1)"),
    (running_data, "simulator/a.py", "np.load(path, allow_pickle=False)"),
    (compiling, JIT, "numba.njit(nogil=True, fastmath=False)"),
    (compiling, "scripts/benchmarking/peers.py", "jax.jit(f)"),
    (drawing, "simulator/a.py", "def f(rng: np.random.Generator): rng.random()"),
    (kernels, "simulator/a.py", MARK + "import math\n@kernel\ndef g(x): return math.sqrt(abs(x))\n"
     "@kernel\ndef f(x): return g(x.dtype.type(x.sum()))"),
], ids=lambda value: value.__name__ if callable(value) else None)
def test_the_rule_lets_the_allowed_pass(rule, name, source):
    assert rule(name, ast.parse(source)) == []


# --- importing is cheap -------------------------------------------------------------------

HEAVY = ("numba", "scipy", "matplotlib", "torch", "jax")


def loaded_by(code):
    """The heavy packages a fresh interpreter has loaded after running ``code``."""
    report = f"import sys; print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], cwd=ROOT, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stderr.splitlines()[-1]), done.stdout


def test_help_loads_no_heavy_package():
    loaded, shown = loaded_by("from scripts.cli import main\n"
                              "try:\n    main(['--help'])\n"
                              "except SystemExit as end:\n    assert not end.code, end.code")
    assert "usage" in shown.lower()
    assert loaded == []


def test_the_packages_themselves_import_nothing_heavy():
    assert loaded_by("import simulator, simulator.networks, simulator.data")[0] == []


def test_a_heavy_import_would_be_seen():
    assert loaded_by("import scipy")[0] == ["scipy"]
