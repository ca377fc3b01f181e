"""How do figures look on paper: columns that line up, and a bound that says whether it holds."""

from __future__ import annotations

import os
import platform

Row = tuple[str, ...]


def machine() -> str:
    """Return a line that says what the figures were measured on."""
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, load {load:.1f}, "
        f"Python {platform.python_version()}"
    )


def holds(is_kept: bool) -> str:
    """Return the word beside a bound."""
    return "holds" if is_kept else "DOES NOT HOLD"


def show(head: Row, rows: list[Row]) -> None:
    """Print the rows under their head, the first column to the left and the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    print()
    for row in (head, *rows):
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join((row[0].ljust(widths[0]), *cells)).rstrip(), flush=True)
