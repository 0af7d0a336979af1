"""How an attack is printed: one line, with the shape of an array in place of its numbers."""

from dataclasses import fields
from typing import Any

import numpy as np

__all__ = ["described"]


def described(attack: Any) -> str:
    """Return the call that makes a dataclass, as ``PGD(steps=20, direction=<array (30,)>)``."""
    settings = ((field.name, getattr(attack, field.name)) for field in fields(attack)
                if field.repr)
    return f"{type(attack).__name__}({', '.join(f'{name}={_short(x)}' for name, x in settings)})"


def _short(value: Any) -> str:
    return f"<array {value.shape}>" if isinstance(value, np.ndarray) else repr(value)
