"""A table as plain data: what a summary shows, before anybody prints it.

Libraries return and scripts print: the summary of each paper knows its keys, their words and
their order (``tables`` in ``simulator/experiments/<paper>/summary.py``), a command the width of
the terminal.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["SAMPLES", "Cell", "Table", "by_network"]

SAMPLES = "samples"  # head of the column that says on how many of them a row stands

Cell = float | int | str | None


class Table(NamedTuple):
    """Rows of numbers under named columns.

    Attributes
    ----------
    title : str
        One line above it.
    columns : tuple of str
        Heads of the columns, without that of the labels.
    rows : tuple of (str, tuple)
        The label of each row, and a cell for each column; None was not measured.
    shares : tuple of str
        Labels of the rows whose cells are shares of samples, as many as stand under SAMPLES.
    limits : mapping of str to tuple of (float, float) or None
        95 % limits of the cells of a row, by its label; None where a cell has none.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    shares: tuple[str, ...] = ()
    limits: Mapping[str, tuple[tuple[float, float] | None, ...]] = {}


def by_network(title: str, networks: Mapping[str, Mapping[str, Any]],
               labels: Mapping[str, str], samples: Mapping[str, int],
               shares: Collection[str] = (), limited: Mapping[str, str] = {}) -> Table:
    """Return a table with a column for each network and a row for each quantity.

    The first column says on how many samples a row stands, so that numbers of different samples
    are not read as contradictions.

    Parameters
    ----------
    title : str
    networks : mapping of str to mapping
        Numbers of each network, by the head of its column.
    labels : mapping of str to str
        Key and words of every quantity that is shown, in order; one that no network has is
        left out.
    samples : mapping of str to int
        On how many samples each quantity was measured; those that need none are not in it.
    shares : collection of str
        Keys of those that are shares of these samples.
    limited : mapping of str to str
        Keys of those whose 95 % limits are beside them, with the name of these, ``name_low`` and
        ``name_high``.
    """
    shown: Sequence[str] = [key for key in labels
                            if any(key in numbers for numbers in networks.values())]
    rows = tuple((labels[key], (samples.get(key), *(numbers.get(key)
                                                    for numbers in networks.values())))
                 for key in shown)
    limits = {labels[key]: (None, *(_limits(numbers, limited[key])
                                    for numbers in networks.values()))
              for key in shown if key in limited}
    return Table(title, (SAMPLES, *networks), rows,
                 tuple(labels[key] for key in shown if key in shares), limits)


def _limits(numbers: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    ends = numbers.get(f"{name}_low"), numbers.get(f"{name}_high")
    return None if None in ends else ends  # type: ignore[return-value]
