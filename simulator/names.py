"""Unknown names: one line that offers the nearest known one. Imports nothing heavy."""

import difflib
from collections.abc import Iterable

__all__ = ["hint", "require_known"]


def hint(name: str, names: Iterable[str], cutoff: float = 0.4,
         otherwise: str = "there are") -> str:
    """Return "did you mean ...?" if a name is near, else all of them.

    Parameters
    ----------
    name : str
    names : iterable of str
        The known ones.
    cutoff : float
        How alike two names must be, from 0 to 1.
    otherwise : str
        Words before the list.
    """
    known = list(names)
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else f"{otherwise} {', '.join(known)}"


def require_known(what: str, name: str, names: Iterable[str]) -> str:
    """Return ``name`` if it is known; otherwise raise ValueError with the nearest name."""
    known = list(names)
    if name not in known:
        raise ValueError(f"{what} {name}: unknown; {hint(str(name), known)}")
    return name
