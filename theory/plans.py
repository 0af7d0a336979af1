"""The runs that claims need, and the settings that come of them.

A claim declares its runs, so that a theorem is one file: ``RUNS`` says for the name of each plan
(what ``purify verify --preset`` takes) which families it is confronted with. Families that several
claims share stand once, in the module ``plans`` of their paper.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.experiments import DEFAULT, preset

if TYPE_CHECKING:
    from theory.claim import Theorem

__all__ = ["Family", "Plans", "for_plan", "plan_names", "settings_of", "sizes"]


class Family(NamedTuple):
    """Runs of one preset that differ in their sizes and seeds.

    Attributes
    ----------
    preset : str
        Of the claim's paper.
    sizes : tuple of dict
        Settings that tell the sizes apart.
    changes : dict
        What all of them change of the preset; a name of its own keeps their numbers apart from
        those of another family at the same size.
    seeds : int
        How many, from 0.
    """

    preset: str
    sizes: tuple[Mapping[str, Any], ...] = ({},)
    changes: Mapping[str, Any] = {}
    seeds: int = 8


Plans = Mapping[str, tuple[Family, ...]]


def sizes(*pairs: tuple[int, int]) -> tuple[dict[str, Any], ...]:
    """Return the settings of sizes (d, k)."""
    return tuple({"d": d, "k": k} for d, k in pairs)


def plan_names(theorems: Iterable["Theorem"]) -> list[str]:
    """Return the names of the plans that any of the claims has runs in."""
    return list(dict.fromkeys(name for theorem in theorems for name in theorem.runs))


def for_plan(theorems: Iterable["Theorem"], name: str,
             wanted: Sequence[str] | None = None) -> list["Theorem"]:
    """Return the claims that a plan is made for: those with runs in it, or those wanted.

    Raises
    ------
    ValueError
        A wanted claim has no runs in the plan; the line names the plans that have them.
    """
    if wanted is None:
        return [theorem for theorem in theorems if name in theorem.runs]
    chosen = [theorem for theorem in theorems if theorem.claim.id in wanted]
    for theorem in chosen:
        if name not in theorem.runs:
            plans = " or ".join(f"--preset {plan}" for plan in theorem.runs)
            raise ValueError(f"claim {theorem.claim.id}: expected runs in the plan {name}, got "
                             f"none: they are in {plans or 'no plan'}")
    return chosen


def settings_of(theorems: Iterable["Theorem"], name: str, seeds: int | Sequence[int] | None = None,
                paper: str = DEFAULT.name) -> list[dict[str, Any]]:
    """Return the settings of every run that claims need in a plan, each once.

    Parameters
    ----------
    theorems : iterable of Theorem
    name : str
        Of the plan.
    seeds : int, sequence of int or None
        In place of each family's own: so many from 0, or these.
    paper : str

    Returns
    -------
    list of dict
        All sizes of a seed come before the next seed: an interrupted verification is complete
        for the seeds it has.
    """
    families = [family for theorem in theorems for family in theorem.runs.get(name, ())]
    found: dict[str, dict[str, Any]] = {}
    for seed, family in _by_seed(families, seeds):
        for size in family.sizes:
            settings = (preset(family.preset, paper) | dict(family.changes) | dict(size)
                        | {"seed": seed})
            found.setdefault(repr(sorted(settings.items())), settings)
    return list(found.values())


def _by_seed(families: Sequence[Family],
             seeds: int | Sequence[int] | None) -> Iterator[tuple[int, Family]]:
    def of(family: Family) -> Sequence[int]:
        if seeds is None:
            return range(family.seeds)
        return range(seeds) if isinstance(seeds, int) else seeds

    for seed in sorted({seed for family in families for seed in of(family)}):
        for family in families:
            if seed in of(family):
                yield seed, family
