"""Parts of a run that stand in the place of those of its settings: network, data, attack."""

from typing import Any, TypeVar

__all__ = ["require_kind", "require_parts"]

Kind = TypeVar("Kind")


def require_parts(*, network: Any, data: Any, attack: Any) -> None:
    """Raise TypeError where a given part lacks the method that a run calls; None is no part."""
    for name, part, method in (("network", network, "gradient_step"), ("data", data, "sample"),
                               ("attack", attack, "perturb")):
        if part is not None and (isinstance(part, type) or not hasattr(part, method)):
            raise TypeError(f"{name}: expected an object with a method {method}, got {part!r}: "
                            "see simulator.protocols")


def require_kind(name: str, part: object, kind: type[Kind], why: str) -> Kind | None:
    """Return a given part, or raise TypeError where the run cannot work with its class."""
    if part is not None and not isinstance(part, kind):
        raise TypeError(f"{name}: expected a {kind.__name__}, got {type(part).__name__}: {why}")
    return part
