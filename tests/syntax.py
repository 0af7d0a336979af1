"""The syntax trees of the code, and what the rules of the house ask of them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("simulator", "theory", "scripts")


@cache
def parsed(*folders):
    """The tree of every Python file below some folders, by its path from the root."""
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
            for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))}


def trees():
    """The trees of the code itself."""
    return parsed(*PACKAGES)


@cache
def nodes(tree):
    """Every node of a file: each rule looks at all of them."""
    return tuple(ast.walk(tree))


@cache
def imports(tree):
    """(line, dotted name) of every import in a file, also inside functions."""
    found = []
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def imported(tree, *packages):
    """The imports of some top-level packages, as offences."""
    return [f"line {line}: imports {name}" for line, name in imports(tree)
            if name.split(".")[0] in packages]


@cache
def without_typing(tree):
    """The same file without its ``if TYPE_CHECKING`` blocks, which import nothing."""
    return ast.Module([node for node in tree.body if not isinstance(node, ast.If)
                       or dotted(node.test).split(".")[-1] != "TYPE_CHECKING"], [])


def calls(tree):
    """Every call in a file."""
    return (node for node in nodes(tree) if isinstance(node, ast.Call))


def dotted(node):
    """``np.random.rand`` of an attribute chain, "" of anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def is_false(node):
    """True for the constant False."""
    return isinstance(node, ast.Constant) and node.value is False
