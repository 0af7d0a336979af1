"""Tables of results as text that fits a terminal."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.runs.config import Config
    from simulator.runs.table import Cell, Table

__all__ = ["WIDTH", "cell_text", "summary_text", "table_lines", "tables_text"]

WIDTH = 100
GAP = 2  # spaces between columns
LEAST = 8  # letters of a column, so that those of several tables stand below each other


def summary_text(config: "Config", summary: Mapping[str, Any]) -> str:
    """Return the numbers of a run in the words of its paper."""
    from simulator.experiments import summary_module
    return tables_text(summary_module(config.MODEL).tables(config, summary))


def tables_text(tables: "Sequence[Table]") -> str:
    """Return tables below each other, at most WIDTH letters wide."""
    return "\n\n".join("\n".join(table_lines(table)) for table in tables)


def table_lines(table: "Table") -> list[str]:
    """Return the lines of a table: its title, heads, and a label with cells in each row.

    Heads of several words stand on several lines. Columns that have no room beside the others
    come in a block of their own below, with those rows that say something about them.
    """
    rows = [(label, [cell_text(cell) for cell in cells]) for label, cells in table.rows]
    heads = [_stacked(head) for head in table.columns]
    label_width = max((len(label) for label, _ in rows), default=0)
    widths = [GAP + max([LEAST, *map(len, heads[at]), *(len(cells[at]) for _, cells in rows)])
              for at in range(len(heads))]
    lines = textwrap.wrap(table.title, WIDTH)
    for block in _blocks(widths, WIDTH - label_width):
        height = max(len(heads[at]) for at in block)
        shown = [("", [([""] * height + heads[at])[line - height] for at in block])
                 for line in range(height)]
        shown += [(label, [cells[at] for at in block]) for label, cells in rows
                  if any(cells[at] for at in block)]
        lines += [""] if lines else []
        lines += [(f"{label:<{label_width}}" + "".join(
            f"{cell:>{widths[at]}}" for at, cell in zip(block, cells))).rstrip()
            for label, cells in shown]
    return lines


def cell_text(value: "Cell") -> str:
    """Return a cell: four digits, a dash for no number, nothing where nothing was measured."""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "-"
    return "" if value is None else str(value)


def _stacked(head: str) -> list[str]:
    """Put the words of a head below each other, as many in a line as its longest allows."""
    return textwrap.wrap(head, max([LEAST, *map(len, head.split())]))


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Share columns out so that each block has room."""
    blocks: list[list[int]] = []
    left = 0
    for at, width in enumerate(widths):
        if not blocks or width > left:
            blocks.append([])
            left = room
        blocks[-1].append(at)
        left -= width
    return blocks
