"""Nothing a README says can rot: its commands, its paths, its names, its Python.

Every `purify` line runs with ``--dry-run`` where the command has it, every path exists, every name
in the tables of symbols and equations is defined, and every Python block parses and runs.
"""

import ast
import re
import shlex
from functools import cache

import numpy as np
import pytest

from scripts import simulate
from scripts.cli import main
from scripts.options import settings_of
from simulator.experiments import config_of
from simulator.runs import cost
from theory import claims
from theory.plans import settings_of as plan_settings

from syntax import ROOT, nodes, trees

READMES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("**/README.md")
                 if not {".venv", "runs", "build"} & set(path.relative_to(ROOT).parts))
MOST_LINES = 200  # of the first page
DRY = ("simulate", "sweep", "verify")
LONG = ("benchmark",)  # it measures: only that its flags are known is asked here
ABSENT = "0123456789"  # in the name of a folder that stands for one of the reader's


def blocks(name, language):
    """The fenced blocks of a README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"),
                      re.M | re.S)


def commands():
    """(README, words) of every `purify` line that a README tells the reader to type."""
    for name in READMES:
        for block in blocks(name, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["purify"]:
                    yield pytest.param(words[1:], id=f"{name}: {' '.join(words[1:])}")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the files that the lines speak of."""
    for block in blocks("scripts/README.md", "toml"):
        (tmp_path / "sweep.toml").write_text(block, encoding="utf-8")
    (tmp_path / "run.toml").write_text('preset = "smoke"\ntau = 0.2\n', encoding="utf-8")
    theorem = ROOT / "scripts" / "examples" / "own_theorem.py"
    (tmp_path / "own_theorem.py").write_bytes(theorem.read_bytes())
    monkeypatch.setattr(cost, "gemm_rate", lambda *sizes: 1e9)  # a tenth of a second each
    np.savez(tmp_path / "weights.npz", weights=np.eye(3), bias=0.1)
    np.savez(tmp_path / "inputs.npz", X=0.5 * np.eye(3), y=np.ones(3))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    return tmp_path


@pytest.mark.parametrize("words", list(commands()))
def test_every_line_that_a_reader_is_told_to_type_is_understood(words, folder, capsys):
    absent = any(ABSENT in word or "<" in word for word in words)
    if words[0] in LONG and not absent:
        words = [*words, "--help"]
    elif words[0] in DRY and "merge" not in words:
        words = [*words, "--dry-run"]
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr().err
    if absent:  # the folder is the reader's own: the line must fail for that reason alone
        assert code == 2 and "usage" not in said and len(said.strip().splitlines()) == 1, said
    else:
        assert not code, said
    assert not list(folder.glob("runs*"))


@pytest.mark.parametrize("name", ["scripts/README.md", "theory/feature_purification/README.md"])
def test_the_run_to_look_at_is_one_that_verify_makes(name):
    words, = (case.values[0] for case in commands()
              if case.id.startswith(name) and "name=theorem-wide" in case.values[0])
    asked = config_of(settings_of(simulate.parser().parse_args(words[1:])))
    judged = plan_settings([theorem for theorem in claims("feature_purification")
                            if "desk" in theorem.runs], "desk", None, "feature_purification")
    assert asked in [config_of(settings) for settings in judged]


def test_the_first_page_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES


@pytest.mark.parametrize("name", READMES)
def test_every_link_leads_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)
             if not link.startswith("http")]
    missing = [link for link in links if not ((ROOT / name).parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("name", READMES)
def test_every_path_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:simulator|theory|scripts|tests)/[\w/.]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


# --- the tables of symbols and equations --------------------------------------------------


@cache
def definitions():
    """Names and keys in the code, and ``Class.member`` for members of classes."""
    found = set()
    for tree in trees().values():
        for node in nodes(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            if isinstance(node, ast.FunctionDef):
                found.update(argument.arg for argument in (*node.args.args,
                                                           *node.args.kwonlyargs))
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)  # a key of a summary
            if isinstance(node, ast.ClassDef):
                for child in ast.walk(node):
                    name = _defined(child)
                    found.update({f"{node.name}.{name}", name} if name else ())
    return found


def _defined(node):
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name) and node.value.id == "self"):
        return node.attr
    return None


def rows(title):
    """The cells of each row of a table of simulator/README.md."""
    text = (ROOT / "simulator/README.md").read_text(encoding="utf-8")
    part = text[text.index(f"## {title}"):].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def undefined(cell, defined):
    """Names in backticks that the code does not define; ``.name`` follows the class before."""
    missing, before = [], ""
    for token in re.findall(r"`([^`]+)`", cell):
        if "/" in token:
            missing += [] if (ROOT / token).exists() else [token]
            continue
        name = f"{before}{token}" if token.startswith(".") else token
        if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
            continue  # a formula
        before = name.partition(".")[0]
        if name not in defined:
            missing.append(name)
    return missing


@pytest.mark.parametrize("title", ("Symbols", "Equation → code → test"))
def test_every_name_of_the_tables_is_defined(title):
    defined = definitions()
    missing = {row[0]: names for row in rows(title)
               if (names := undefined(row[1], defined))}
    assert missing == {}


def test_every_test_of_the_table_is_there():
    named = {test for row in rows("Equation → code → test")
             for test in re.findall(r"`([\w/]+\.py)`", row[-1])}
    homes = (ROOT, ROOT / "tests" / "simulator")
    assert named
    assert {test for test in named if not any((home / test).exists() for home in homes)} == set()


def test_a_name_that_is_not_there_would_be_seen():
    defined = definitions()
    assert undefined("`SymmetricReLU.weights`, `.bias`, `E relu(t)`", defined) == []
    assert undefined("`SymmetricReLU.wieghts`, `.bias`, `no/such/file.py`", defined) == [
        "SymmetricReLU.wieghts", "no/such/file.py"]
