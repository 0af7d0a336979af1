"""Who imports whom: packages, the rooms of the simulator, and the papers.

Each rule is a function from a file's name and tree to a list of offences. It must find none in
the code and must find the planted one, so that a rule that went blind is seen.
"""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from syntax import ROOT, imported, imports, nodes, trees, without_typing

# A room may import rooms of lower floors, and of its own floor as long as no circle comes of it.
FLOORS = (
    ("protocols", "checks", "names", "errors", "heartbeat", "jit", "randomness", "balls",
     "losses"),
    ("data", "networks"),
    ("attacks", "certificates", "ntk", "tickets", "features"),
    ("bias_schedules", "training", "robustness", "flips", "contract"),
    ("low_complexity",),
    ("experiments",),
    ("sweeps",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
PLUMBING = "runs"  # knows the foundation alone, and everybody above the networks may know it
PAPERS = ("feature_purification", "structured_features", "ntk_evolution", "winning_tickets",
          "real_images")
FACES = ("simulator/__init__.py", "simulator/experiments/__init__.py", "theory/__init__.py",
         "scripts/cli.py")
MOST_ROOMS = 25


def room(name):
    """The folder or lone module of the simulator in which a file or a dotted name lies."""
    parts = name.removesuffix(".py").replace("/", ".").split(".")
    return parts[1] if parts[0] == "simulator" and len(parts) > 1 else ""


def packages(name, tree):
    """The simulator knows neither theory nor scripts; theory does not know scripts."""
    above = {"simulator": ("theory", "scripts"), "theory": ("scripts",)}
    return imported(tree, *above.get(name.split("/")[0], ()), "tests")


def floors(name, tree):
    """No room of the simulator imports a room above it; the plumbing imports no science."""
    own = room(name)
    if own in ("", "__init__"):
        return []
    found = []
    for line, module in imports(tree):
        other = room(module)
        if other in ("", own, "__version__"):
            continue
        if own == PLUMBING:
            fine = FLOOR.get(other, len(FLOORS)) == 0
        elif other == PLUMBING:
            fine = FLOOR[own] >= FLOOR["experiments"]
        else:
            fine = FLOOR.get(other, len(FLOORS)) <= FLOOR[own]
        if not fine:
            found.append(f"line {line}: {own} imports {module}")
    return found


def papers(name, tree):
    """A paper's folder knows no other paper's, and a paper's claims know their own runs only."""
    own = next((paper for paper in PAPERS if f"/{paper}/" in name), None)
    if own is None:
        return []
    return [f"line {line}: imports {module}" for line, module in imports(tree)
            if any(f".{paper}." in f"{module}." for paper in PAPERS if paper != own)]


def faces(name, tree):
    """Modules are looked up by name in the four faces, and nowhere else."""
    if name in FACES:
        return []
    return [f"line {line}: imports {module}" for line, module in imports(tree)
            if module.split(".")[0] == "importlib"
            and module.split(".")[1:2] not in (["metadata"], ["util"])]


def plotting(name, tree):
    """Only theory draws, and it leaves the user's backend alone: figures without pyplot."""
    if not name.startswith("theory/"):
        return imported(tree, "matplotlib")
    return ([f"line {line}: imports {module}" for line, module in imports(tree)
             if module.startswith("matplotlib.pyplot") or module == "matplotlib.use"]
            + [f"line {node.lineno}: matplotlib.use" for node in nodes(tree)
               if isinstance(node, ast.Attribute) and node.attr == "use"
               and isinstance(node.value, ast.Name) and node.value.id == "matplotlib"])


def automatic_gradients(name, tree):
    """torch and JAX are peers to measure against, imported by the benchmark's peers alone.

    So are verifiers and attacks that need them.
    """
    if name in tuple(f"scripts/benchmarking/peers/{peer}.py"
                     for peer in ("pytorch", "jax_", "lirpa", "auto_attack")):
        return []
    return imported(tree, "torch", "jax", "jaxlib", "auto_LiRPA", "autoattack", "torchattacks")


CHECKER = "simulator/certificates/checker/"
FOR_THE_CHECKER = ("simulator.certificates.checker", "simulator.certificates.proofs",
                   "simulator.balls", "simulator.checks", "simulator.heartbeat")


def independence(name, tree):
    """The checker of certificates shares no code with the prover, nor with its solvers.

    It knows the format of a proof and the foundation; the prover does not know it.
    """
    if name.startswith(CHECKER):
        return [f"line {line}: imports {module}" for line, module in imports(tree)
                if module.split(".")[0] in ("scipy", "numba") or module.startswith("simulator.")
                and not any(f"{module}.".startswith(f"{known}.") for known in FOR_THE_CHECKER)]
    return [f"line {line}: imports {module}" for line, module in imports(tree)
            if name.startswith("simulator/certificates/")
            and module.startswith("simulator.certificates.checker")]


RULES = (packages, floors, papers, faces, plotting, automatic_gradients,
         independence)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_breaks_the_rule(rule):
    offences = {name: found for name, tree in trees().items()
                if (found := rule(name, without_typing(tree)))}
    assert offences == {}


@pytest.mark.parametrize("rule, name, source", [
    (packages, "simulator/a.py", "from theory.claim import Claim"),
    (packages, "simulator/a.py", "def f():\n    import scripts.cli"),
    (packages, "theory/a.py", "from scripts import options"),
    (packages, "simulator/a.py", "import tests.small"),
    (floors, "simulator/networks/a.py", "from simulator.attacks.gradient import FGM"),
    (floors, "simulator/attacks/a.py", "from simulator.training import train"),
    (floors, "simulator/checks.py", "from simulator.data.batches import FreshBatches"),
    (floors, "simulator/runs/a.py", "from simulator.training import train"),
    (floors, "simulator/runs/a.py", "def f():\n    from simulator.experiments import stored"),
    (floors, "simulator/training.py", "from simulator.runs.config import Config"),
    (floors, "simulator/experiments/a.py", "from simulator.sweeps.plan import Plan"),
    (floors, "simulator/sweeps/a.py", "import simulator.no_such_room"),
    (papers, "simulator/experiments/ntk_evolution/a.py",
     "from simulator.experiments.winning_tickets.config import TicketConfig"),
    (papers, "theory/ntk_evolution/a.py",
     "from simulator.experiments.feature_purification.config import PurificationConfig"),
    (faces, "simulator/runs/a.py", "import importlib"),
    (faces, "theory/claim.py", "from importlib import import_module"),
    (plotting, "simulator/a.py", "import matplotlib.figure"),
    (plotting, "scripts/a.py", "from matplotlib.figure import Figure"),
    (plotting, "theory/a.py", "import matplotlib.pyplot as plt"),
    (plotting, "theory/a.py", "from matplotlib import pyplot"),
    (plotting, "theory/a.py", "import matplotlib\nmatplotlib.use('Agg')"),
    (automatic_gradients, "simulator/a.py", "import torch"),
    (automatic_gradients, "theory/a.py", "def f():\n    from jax import grad"),
    (automatic_gradients, "scripts/benchmark.py", "import jax.numpy as jnp"),
    (automatic_gradients, "scripts/a.py", "def f():\n    import auto_LiRPA"),
    (independence, CHECKER + "a.py", "from simulator.certificates.relaxation import Relaxation"),
    (independence, CHECKER + "a.py", "def f():\n    import simulator.certificates.margins"),
    (independence, CHECKER + "a.py", "from simulator.networks.symmetric_relu import SymmetricReLU"),
    (independence, CHECKER + "a.py", "from scipy.linalg import cho_factor"),
    (independence, "simulator/certificates/linear.py",
     "from simulator.certificates.checker.exact import Exact"),
], ids=lambda value: value.__name__ if callable(value) else None)
def test_the_rule_sees_a_planted_offence(rule, name, source):
    assert len(rule(name, ast.parse(source))) == 1


@pytest.mark.parametrize("rule, name, source", [
    (packages, "theory/a.py", "from simulator.attacks.gradient import FGM"),
    (floors, "simulator/attacks/a.py", "from simulator.networks.linear import LinearClassifier"),
    (floors, "simulator/attacks/a.py", "from simulator.attacks.gradient import FGM"),
    (floors, "simulator/sweeps/a.py", "from simulator.runs.folder import RunFolder"),
    (floors, "simulator/runs/a.py", "from simulator.errors import RunError"),
    (papers, "simulator/experiments/ntk_evolution/a.py",
     "from simulator.experiments.settings import SparseCodingSettings"),
    (papers, "theory/report.py", "from theory.ntk_evolution import figures"),
    (faces, "scripts/cli.py", "import importlib"),
    (faces, "simulator/runs/environment.py", "from importlib.metadata import version"),
    (plotting, "theory/a.py", "from matplotlib.figure import Figure"),
    (automatic_gradients, "scripts/benchmarking/peers/pytorch.py", "def f():\n    import torch"),
    (independence, CHECKER + "a.py", "from simulator.certificates.proofs import Proof"),
    (independence, CHECKER + "a.py", "from simulator.certificates.checker.exact import Exact"),
    (independence, "simulator/certificates/margins.py",
     "from simulator.certificates.relaxation import Relaxation"),
], ids=lambda value: value.__name__ if callable(value) else None)
def test_the_rule_lets_the_allowed_pass(rule, name, source):
    assert rule(name, ast.parse(source)) == []


def test_type_checking_imports_are_no_imports():
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import theory.claim\n"
    assert packages("simulator/a.py", without_typing(ast.parse(source))) == []
    assert len(packages("simulator/a.py", ast.parse(source))) == 1


# --- the plan of the house ----------------------------------------------------------------


def arrows(trees):
    """Which rooms of the simulator import which."""
    found = {}
    for name, tree in trees.items():
        own = room(name)
        if own and own != "__init__":
            found.setdefault(own, set()).update(
                other for _, module in imports(without_typing(tree))
                if (other := room(module)) not in ("", own, "__version__"))
    return found


def test_every_room_has_its_floor_and_there_are_few():
    rooms = set(arrows(trees()))
    assert rooms - {PLUMBING} <= set(FLOOR)
    assert len(rooms) <= MOST_ROOMS


def test_no_circle_leads_through_the_rooms():
    tuple(TopologicalSorter(arrows(trees())).static_order())


def test_a_planted_circle_is_seen():
    trees = {"simulator/attacks/a.py": ast.parse("import simulator.certificates.b"),
             "simulator/certificates/b.py": ast.parse("import simulator.attacks.a")}
    with pytest.raises(CycleError):
        tuple(TopologicalSorter(arrows(trees)).static_order())


def test_the_files_are_found():
    assert {"simulator/jit.py", "simulator/attacks/adversary.py", "scripts/__init__.py",
            "simulator/networks/symmetric_relu.py", *FACES} <= set(trees())


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
    assert loaded_by("import simulator, theory, simulator.networks, simulator.data, "
                     "simulator.experiments")[0] == []


def test_the_checker_loads_no_prover_and_no_compiler():
    seen, _ = loaded_by("import sys, simulator.certificates.checker.verdict\n"
                        "own = {name for name in sys.modules if name.startswith("
                        "'simulator.certificates.')}\n"
                        "assert all('.checker' in name or '.proofs' in name for name in own)")
    assert seen == []


def test_a_heavy_import_would_be_seen():
    assert loaded_by("import scipy")[0] == ["scipy"]
