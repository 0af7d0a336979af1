"""Everything public is documented, and the documentation names the real parameters."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path.relative_to(ROOT) for package in ("simulator", "theory")
               for path in (ROOT / package).rglob("*.py"))
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def public(tree):
    """(qualified name, node, enclosing class) of the public classes, functions and methods."""
    for node in tree.body:
        if isinstance(node, (*DEFINITIONS, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node, None
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{child.name}", child, node) for child in node.body
                            if isinstance(child, DEFINITIONS) and not child.name.startswith("_"))


def section(docstring, title):
    """The names listed in a numpydoc section, or None if there is no such section."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=\n\n\S[^\n]*\n-+\n|\Z)", docstring, re.M | re.S)
    if found is None:
        return None
    heads = [line for line in found.group(1).splitlines() if line and not line[0].isspace()]
    return [name.strip().lstrip("*") for head in heads for name in head.split(":")[0].split(",")]


def arguments(function):
    """Parameter names of a function, without self and cls."""
    spec = function.args
    names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
    names += [arg.arg for arg in (spec.vararg,) if arg]
    names += [arg.arg for arg in spec.kwonlyargs] + [arg.arg for arg in (spec.kwarg,) if arg]
    return [name for name in names if name not in ("self", "cls")]


def fields(cls):
    """Annotated fields of a class: those of a dataclass or a named tuple."""
    return [node.target.id for node in cls.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]


def signature(node):
    """What a caller passes: the arguments of a function, of ``__init__``, or the fields."""
    if isinstance(node, DEFINITIONS):
        return arguments(node)
    for child in node.body:
        if isinstance(child, DEFINITIONS) and child.name == "__init__":
            return arguments(child)
    return fields(node)


def undocumented(tree):
    """Public names without a docstring; "module" for the file itself."""
    found = [] if ast.get_docstring(tree) else ["module"]
    return found + [name for name, node, _ in public(tree) if not ast.get_docstring(node)]


def wrong_parameters(tree):
    """Docstrings whose Parameters section is not the signature, in its order."""
    return [f"{name}: documented {listed}, takes {signature(node)}"
            for name, node, _ in public(tree)
            if (listed := section(ast.get_docstring(node) or "", "Parameters")) is not None
            and listed != signature(node)]


def wrong_attributes(tree):
    """Attributes sections of field classes that name no field, or name them in another order."""
    found = []
    for name, node, _ in public(tree):
        listed = section(ast.get_docstring(node) or "", "Attributes")
        if isinstance(node, ast.ClassDef) and fields(node) and listed is not None:
            if listed != [field for field in fields(node) if field in listed]:
                found.append(f"{name}: documented {listed}, has {fields(node)}")
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_everything_public_is_documented(path):
    tree = ast.parse((ROOT / path).read_text())
    assert undocumented(tree) == []


@pytest.mark.parametrize("path", FILES, ids=str)
def test_documented_parameters_are_the_real_ones(path):
    tree = ast.parse((ROOT / path).read_text())
    assert wrong_parameters(tree) + wrong_attributes(tree) == []


GOOD = '''
"""Module."""

class Box:
    """A box.

    Parameters
    ----------
    low, high : float
        Bounds.

    Notes
    -----
    None: nothing to say.
    """

    def __init__(self, low, high):
        pass

    def grow(self, by, *, twice=False, **rest):
        """Grow it.

        Parameters
        ----------
        by : float
            How much: a length.

            A second paragraph.
        twice : bool
        **rest : dict

        Returns
        -------
        other : Box
        """

    def _hidden(self):
        pass


@dataclass(frozen=True)
class Record:
    """A record.

    Attributes
    ----------
    name : str
        What: it is called.
    size : int
    """

    name: str
    size: int = 0
'''


def test_a_good_module_passes():
    tree = ast.parse(GOOD)
    assert undocumented(tree) + wrong_parameters(tree) + wrong_attributes(tree) == []
    assert [name for name, _, _ in public(tree)] == ["Box", "Box.grow", "Record"]


@pytest.mark.parametrize("check, old, new", [
    (undocumented, '"""Module."""', ""),
    (undocumented, "def _hidden", "def seen"),
    (undocumented, '"""A box.', 'f"""A box.'),
    (wrong_parameters, "low, high : float", "low : float"),
    (wrong_parameters, "low, high : float", "high, low : float"),
    (wrong_parameters, "    by : float", "    amount : float"),
    (wrong_parameters, "def grow(self, by, *,", "def grow(self, by, *, again,"),
    (wrong_attributes, "size : int\n    \"", "length : int\n    \""),
    (wrong_attributes, "    name: str\n    size: int = 0", "    size: int\n    name: str"),
])
def test_a_planted_omission_is_seen(check, old, new):
    assert GOOD.count(old) == 1
    assert len(check(ast.parse(GOOD.replace(old, new)))) == 1
