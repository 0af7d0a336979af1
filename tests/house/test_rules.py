"""What is banned in the code, and why; each rule with a planted offence that it must see."""

import ast
import builtins

import pytest

from syntax import calls, dotted, imported, imports, is_false, nodes, parsed, trees

JIT = "simulator/jit.py"
DECORATORS = {"njit", "jit", "vectorize", "guvectorize", "jitclass", "cfunc", "stencil",
              "generated_jit"}
MOST_ARGUMENTS = 10  # of a kernel: more cannot be told apart at the call
MARK = "from simulator.jit import kernel\n"


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
                  if word.arg == "allow_pickle" and not is_false(word.value)]
    return found


def keeps_nan(value):
    """Whether a value of fastmath is none of it, or sums in any order and fused products."""
    return is_false(value) or (isinstance(value, ast.Set) and all(
        isinstance(flag, ast.Constant) and flag.value in ("reassoc", "contract")
        for flag in value.elts))


def compiling(name, tree):
    """Numba's decorators are called in jit.py only; what fastmath may do there keeps NaN."""
    found = []
    for node in nodes(tree):
        if isinstance(node, ast.keyword) and node.arg == "fastmath" and not keeps_nan(node.value):
            found.append(f"line {node.value.lineno}: fastmath")
        if isinstance(node, ast.Dict):
            found += [f"line {node.lineno}: fastmath" for key, value in zip(node.keys, node.values)
                      if isinstance(key, ast.Constant) and key.value == "fastmath"
                      and not is_false(value)]
        if (isinstance(node, ast.Attribute) and node.attr in DECORATORS and name != JIT
                and dotted(node) != "jax.jit"):  # another compiler's, of a peer
            found.append(f"line {node.lineno}: {dotted(node)}")
    return found + [f"line {line}: imports {module}" for line, module in imports(tree)
                    if name != JIT and module.split(".")[0] == "numba"
                    and module.split(".")[-1] in DECORATORS]


def drawing(name, tree):
    """Random numbers come from streams: nothing else makes a generator or uses a global one."""
    if name == "simulator/randomness.py":
        return []
    found = imported(tree, "random")
    for node in nodes(tree):
        chain = dotted(node) if isinstance(node, ast.Attribute) else ""
        if (chain.startswith(("np.random.", "numpy.random."))
                and not chain.endswith((".random.Generator", ".random.SeedSequence"))):
            found.append(f"line {node.lineno}: {chain}")
    return found + [f"line {line}: imports {module}" for line, module in imports(tree)
                    if module.startswith("numpy.random.") and not module.endswith(".Generator")]


def kernels_of(tree):
    """The compiled functions of a file, by name."""
    return {node.name: node for node in nodes(tree) if isinstance(node, ast.FunctionDef)
            and any(dotted(mark).split(".")[-1] == "kernel" for mark in node.decorator_list)}


def kernel_calls(name, tree):
    """A kernel calls kernels of its own file, builtins and NumPy/math/Numba, nothing else.

    With a cached callee in another file, an edit there leaves a stale compiled caller.
    """
    own = kernels_of(tree)
    modules, others = set(), set()
    for node in nodes(tree):
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


def kernel_arguments(name, tree):
    """A kernel takes at most ten arguments, and nobody hands it the fields of an object."""
    own = kernels_of(tree)
    found = [f"line {kernel.lineno}: {kernel.name} takes {len(kernel.args.args)} arguments"
             for kernel in own.values() if len(kernel.args.args) > MOST_ARGUMENTS]
    return found + [f"line {call.lineno}: *vars(...)" for call in calls(tree)
                    if any(isinstance(value, ast.Starred) and "vars(" in ast.unparse(value)
                           for value in call.args)]


def kernel_copies(name, tree):
    """A kernel copies into a slice in a loop: see simulator/jit.py, which says what it costs."""
    found = []
    for kernel in kernels_of(tree).values():
        for node in ast.walk(kernel):
            targets = node.targets if isinstance(node, ast.Assign) else []
            sliced = any(isinstance(inner, ast.Slice) for target in targets
                         for inner in ast.walk(target))
            if sliced and any(isinstance(inner, (ast.Subscript, ast.BinOp))
                              for inner in ast.walk(node.value)):
                found.append(f"line {node.lineno}: {kernel.name} assigns an array to a slice")
    return found


def encodings(name, tree):
    """Text is read and written as UTF-8, whatever the machine's locale is."""
    found = []
    for call in calls(tree):
        last = call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func)
        words = {word.arg for word in call.keywords}
        if last in ("read_text", "write_text") and "encoding" not in words:
            found.append(f"line {call.lineno}: {last} without encoding")
    return found


def strict_json(name, tree):
    """JSON holds no NaN: other languages cannot read it (a checkpoint's text is read by us)."""
    if name == "simulator/experiments/records.py":
        return []
    return [f"line {call.lineno}: json.{dotted(call.func).split('.')[-1]} without allow_nan=False"
            for call in calls(tree) if dotted(call.func) in ("json.dumps", "json.dump")
            and not any(word.arg == "allow_nan" and is_false(word.value)
                        for word in call.keywords)]


RULES = (printing, running_data, compiling, drawing, kernel_calls, kernel_arguments,
         kernel_copies, encodings, strict_json)
ELEVEN = ", ".join("abcdefghijk")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_breaks_the_rule(rule):
    offences = {name: found for name, tree in trees().items() if (found := rule(name, tree))}
    assert offences == {}


@pytest.mark.parametrize("rule, name, source", [
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
    (compiling, JIT, "numba.njit(fastmath={'reassoc', 'nnan'})"),
    (compiling, JIT, "numba.njit(fastmath=flags)"),
    (compiling, JIT, "options = {'fastmath': {'contract'}}"),
    (drawing, "simulator/a.py", "x = np.random.standard_normal(3)"),
    (drawing, "scripts/a.py", "rng = np.random.default_rng()"),
    (drawing, "theory/a.py", "import random"),
    (drawing, "theory/a.py", "from numpy.random import default_rng"),
    (kernel_calls, "simulator/a.py",
     MARK + "from simulator.b import g\n@kernel\ndef f(x): g(x)"),
    (kernel_calls, "simulator/a.py",
     MARK + "import simulator.b as b\n@kernel\ndef f(x): b.g(x)"),
    (kernel_calls, "simulator/a.py", MARK + "def g(x): pass\n@kernel\ndef f(x): g(x)"),
    (kernel_calls, "simulator/a.py", MARK + "@kernel\ndef f(x): np.random.rand()"),
    (kernel_calls, "simulator/a.py",
     "from simulator import jit\n@jit.kernel\ndef f(g, x): g(x)"),
    (kernel_arguments, "simulator/a.py", MARK + f"@kernel\ndef f({ELEVEN}): pass"),
    (kernel_arguments, "simulator/a.py", "f(*vars(boxes).values())"),
    (kernel_copies, "simulator/a.py", MARK + "@kernel\ndef f(x, y): x[:] = y[0]"),
    (kernel_copies, "simulator/a.py", MARK + "@kernel\ndef f(x, y): x[:2] = 2.0 * y"),
    (encodings, "simulator/a.py", "path.read_text()"),
    (encodings, "scripts/a.py", "path.write_text(text)"),
    (strict_json, "scripts/a.py", "json.dumps(summary, indent=2)"),
    (strict_json, "scripts/a.py", "json.dump(summary, file, allow_nan=True)"),
], ids=lambda value: value.__name__ if callable(value) else None)
def test_the_rule_sees_a_planted_offence(rule, name, source):
    assert len(rule(name, ast.parse(source))) == 1


@pytest.mark.parametrize("rule, name, source", [
    (printing, "scripts/a.py", "print(1)"),
    (running_data, "simulator/a.py", "np.load(path, allow_pickle=False)"),
    (compiling, JIT, "numba.njit(nogil=True, fastmath=False)"),
    (compiling, "scripts/benchmarking/peers/jax_.py", "jax.jit(f)"),
    (drawing, "simulator/a.py", "def f(rng: np.random.Generator): rng.random()"),
    (kernel_calls, "simulator/a.py",
     MARK + "import math\n@kernel\ndef g(x): return math.sqrt(abs(x))\n"
     "@kernel\ndef f(x): return g(x.dtype.type(x.sum()))"),
    (kernel_arguments, "simulator/a.py", MARK + f"@kernel\ndef f({ELEVEN[:-3]}): pass"),
    (kernel_copies, "simulator/a.py", MARK + "@kernel\ndef f(x, y): x[:] = 0.0; x[0] = y[1]"),
    (encodings, "simulator/a.py", "path.read_text(encoding='utf-8')"),
    (strict_json, "scripts/a.py", "json.dumps(summary, allow_nan=False)"),
], ids=lambda value: value.__name__ if callable(value) else None)
def test_the_rule_lets_the_allowed_pass(rule, name, source):
    assert rule(name, ast.parse(source)) == []


# --- rules of the tests themselves --------------------------------------------------------


def skipping(name, tree):
    """No test turns itself off when a module of ours is renamed."""
    return [f"line {call.lineno}: importorskip of our own module" for call in calls(tree)
            if dotted(call.func).endswith("importorskip") and call.args
            and ast.unparse(call.args[0]).strip("'\"").split(".")[0] in
            ("simulator", "theory", "scripts")]


def giving_up(name, tree):
    """A test fails or passes: none is expected to fail, none is skipped for good."""
    return [f"line {node.lineno}: {dotted(node)}" for node in nodes(tree)
            if isinstance(node, ast.Attribute) and dotted(node) in
            ("pytest.mark.skip", "pytest.mark.xfail", "pytest.xfail")]


@pytest.mark.parametrize("rule", (skipping, giving_up), ids=lambda rule: rule.__name__)
def test_no_test_breaks_the_rule(rule):
    offences = {name: found for name, tree in parsed("tests").items()
                if (found := rule(name, tree))}
    assert offences == {}


@pytest.mark.parametrize("rule, source", [
    (skipping, "pytest.importorskip('simulator.ntk')"),
    (giving_up, "@pytest.mark.xfail\ndef test_x(): pass"),
    (giving_up, "@pytest.mark.skip(reason='slow')\ndef test_x(): pass"),
], ids=lambda value: value.__name__ if callable(value) else None)
def test_the_rule_of_tests_sees_a_planted_offence(rule, source):
    assert len(rule("tests/test_a.py", ast.parse(source))) == 1


def test_other_packages_may_be_missing():
    assert skipping("tests/test_a.py", ast.parse("pytest.importorskip('torch')")) == []
