"""The runs that claims need, and the settings that come of them.

A claim declares its runs, so that a theorem is one file: ``RUNS`` says for the name of each plan
(what ``purify verify --preset`` takes) which families it is confronted with. Families that several
claims share stand once, in the module ``plans`` of their paper.

Settings and thresholds are chosen by looking at the exploring seeds, below 100. Verdicts come from
the judging seeds, 2000 upwards, which nobody looked at before.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.experiments import DEFAULT, config_of, preset
from simulator.runs.config import counted

if TYPE_CHECKING:
    from theory.claim import Theorem

__all__ = ["EXPLORING", "JUDGING", "MIXED", "Family", "Plans", "for_plan", "kind_of",
           "plan_hash", "plan_hashes", "plan_names", "seed_ranges", "settings_of", "sizes"]

EXPLORING, JUDGING, MIXED = "exploring", "judging", "mixed"
FIRST_JUDGE = 2000


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
        How many judge, from ``first``: 8, and for runs of over half an hour at least 3.
    exploring : int
        How many there are to look at while choosing, from 0.
    first : int
        The first that judges, where those from 2000 on were looked at while something was chosen.
    """

    preset: str
    sizes: tuple[Mapping[str, Any], ...] = ({},)
    changes: Mapping[str, Any] = {}
    seeds: int = 8
    exploring: int = 3
    first: int = FIRST_JUDGE

    def those(self, kind: str) -> range:
        """Return the seeds that judge, or that explore."""
        start, count = {EXPLORING: (0, self.exploring), JUDGING: (self.first, self.seeds)}[kind]
        return range(start, start + count)


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


def kind_of(seeds: Iterable[int]) -> str:
    """Return what seeds are good for: judging, exploring or mixed; "" of none.

    Whatever lies below 2000 may have been looked at, so it is no judge.
    """
    judges = {seed >= FIRST_JUDGE for seed in seeds}
    if not judges:
        return ""
    return MIXED if len(judges) > 1 else JUDGING if judges.pop() else EXPLORING


def seed_ranges(seeds: Sequence[int]) -> str:
    """Return ``2000-2007`` for seeds in a row, the numbers otherwise."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def plan_hash(theorem: "Theorem", name: str, paper: str = DEFAULT.name) -> str:
    """Return the SHA-256 of the settings, but for the seeds, of what a claim runs in a plan.

    As in the hash of a run, a later setting counts only where it changes what older runs did.
    """
    texts = {json.dumps({key: value for key, value in counted(config_of(settings)).items()
                         if key != "seed"}, sort_keys=True, allow_nan=False)
             for settings in settings_of([theorem], name, [0], paper)}
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()


def plan_hashes(theorems: Iterable["Theorem"], plans: Mapping[str, str],
                paper: str = DEFAULT.name) -> dict[str, str]:
    """Return :func:`plan_hash` by claim, of the plan named for it, where it has runs in that."""
    return {theorem.claim.id: plan_hash(theorem, plans[theorem.claim.id], paper)
            for theorem in theorems if plans.get(theorem.claim.id) in theorem.runs}


def settings_of(theorems: Iterable["Theorem"], name: str,
                seeds: int | str | Sequence[int] | None = None,
                paper: str = DEFAULT.name) -> list[dict[str, Any]]:
    """Return the settings of every run that claims need in a plan, each once.

    Parameters
    ----------
    theorems : iterable of Theorem
    name : str
        Of the plan.
    seeds : int, "exploring", "judging", sequence of int or None
        So many from 0, or these, in place of each family's own; None is "judging".
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
             seeds: int | str | Sequence[int] | None) -> Iterator[tuple[int, Family]]:
    def of(family: Family) -> Sequence[int]:
        if seeds is None or isinstance(seeds, str):
            return family.those(seeds or JUDGING)
        return range(seeds) if isinstance(seeds, int) else seeds

    for seed in sorted({seed for family in families for seed in of(family)}):
        for family in families:
            if seed in of(family):
                yield seed, family
