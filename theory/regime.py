"""Which sizes a statement speaks about, and which assumption the others break.

What the assumptions are, each paper says for itself (``theory/<paper>/assumptions.py``). A size
is left out as a whole if any of its seeds breaks one: leaving out single seeds would select the
luckier ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from theory.claim import Assumption, Claim, Run, Size, seeds_of
from theory.plans import seed_ranges

__all__ = ["Regime", "by_size", "largest_family", "same_seeds", "uneven_seeds", "within"]


@dataclass(frozen=True)
class Regime:
    """The runs a claim speaks about.

    Attributes
    ----------
    runs : tuple of Run
        Inside.
    broken : dict of Size to tuple of str
        Names of the assumptions broken at each size that was left out.
    """

    runs: tuple[Run, ...]
    broken: dict[Size, tuple[str, ...]]

    @property
    def caveats(self) -> list[str]:
        """One line for each set of broken assumptions: where, and which."""
        sizes: dict[tuple[str, ...], list[Size]] = {}
        for size, names in self.broken.items():
            sizes.setdefault(names, []).append(size)
        return [f"left out {_listed(places)}: not fulfilled: {'; '.join(names)}"
                for names, places in sizes.items()]


def within(claim: Claim, runs: Sequence[Run]) -> Regime:
    """Split runs into those a claim speaks about and the sizes where it says nothing.

    A number that is not there (NaN, or a measurement the summary lacks) fulfils nothing.
    """
    broken: dict[Size, tuple[str, ...]] = {}
    inside: list[Run] = []
    for size, members in by_size(runs).items():
        names = tuple(assumption.name for assumption in claim.assumptions
                      if not all(_fulfils(run, assumption) for run in members))
        if names:
            broken[size] = names
        else:
            inside += members
    return Regime(tuple(inside), broken)


def _fulfils(run: Run, assumption: Assumption) -> bool:
    try:
        return assumption.fulfilled(run)
    except KeyError:  # of a measurement that the summary lacks
        return False


def by_size(runs: Sequence[Run]) -> dict[Size, list[Run]]:
    """Group runs by size, in order of size and then of seed.

    Raises
    ------
    ValueError
        Two runs of one size and seed: they would count as two seeds.
    """
    groups: dict[Size, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.size, run.config.seed)):
        group = groups.setdefault(run.size, [])
        if group and group[-1].config.seed == run.config.seed:
            raise ValueError(f"seed {run.config.seed} at {run.size.family} {run.size}: expected "
                             "one run, got several: repeats of a seed are no new evidence")
        group.append(run)
    return groups


def same_seeds(runs: Sequence[Run]) -> dict[Size, list[Run]]:
    """Group by size, with only the seeds that every size has: a fit per seed needs all."""
    groups = by_size(runs)
    if not groups:
        return {}
    common = set.intersection(*({run.config.seed for run in group}
                                for group in groups.values()))
    return {size: [run for run in group if run.config.seed in common]
            for size, group in groups.items()}


def uneven_seeds(groups: Mapping[Size, Sequence[Run]]) -> list[str]:
    """Return a caveat for each family whose sizes have different seeds."""
    seeds: dict[str, dict[tuple[int, ...], list[Size]]] = {}
    for size, group in groups.items():
        seeds.setdefault(size.family, {}).setdefault(seeds_of(group), []).append(size)
    return [f"{family} sizes have different seeds, and what is fitted over sizes takes those of "
            "all: " + "; ".join(f"{', '.join(map(str, sizes))}: {seed_ranges(those)}"
                                for those, sizes in found.items())
            for family, found in seeds.items() if len(found) > 1]


def largest_family(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Return the runs of the family with the most sizes, and a caveat about the others.

    Sizes of two families differ in more than d and k: no exponent runs through both.
    """
    sizes = sorted({run.size for run in runs})
    families = sorted({size.family for size in sizes},
                      key=lambda name: (-sum(size.family == name for size in sizes), name))
    if not families:
        return [], []
    left = [f"the exponent is that of the {families[0]} runs; {', '.join(families[1:])} runs "
            "have other constants"] if len(families) > 1 else []
    return [run for run in runs if run.config.name == families[0]], left


def _listed(sizes: Sequence[Size]) -> str:
    families: dict[str, list[str]] = {}
    for size in sizes:
        families.setdefault(size.family, []).append(str(size))
    return "; ".join(f"{name} {', '.join(places)}" for name, places in families.items())
