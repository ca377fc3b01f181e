"""Tables and facts of a page or report, made of cells with a tone.

Texts may hold anything, so each writer escapes them. A tone also has a sign, so that colour alone carries no
meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report import formatting
from swiftdeploy_tasks.report.collectors import Rows

Tone = Literal["", "good", "bad", "warn", "neutral"]
Row = TypeVar("Row")
NO_FIGURE = "no figure"
_SIGNS: dict[Tone, str] = {"good": "✓ ", "bad": "✗ ", "warn": "! ", "neutral": "– ", "": ""}


@dataclass(frozen=True)
class Cell:
    """The content of one cell; `folded` is what a page shows when it is opened, below `rest`."""

    text: str
    tone: Tone = ""
    at: float | None = None
    is_code: bool = False
    rest: str = ""
    folded: tuple[Cell, ...] = ()

    @property
    def unfolded(self) -> str:
        """The text of the cell where nothing can be opened."""
        return "; ".join(filter(None, (self.text, self.rest)))


@dataclass(frozen=True)
class Table:
    """A table; `note` says what was left out of it, and `none` stands in the place of no rows."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    none: str = ""


@dataclass(frozen=True)
class Fact:
    """A figure or a word with its name and a note."""

    name: str
    value: Cell
    note: str = ""

    @property
    def text(self) -> str:
        """The value and the note in one."""
        return f"{self.value.text} ({self.note})" if self.note else self.value.text


def cell(text: str, tone: Tone = "") -> Cell:
    """Return a cell with this text, cut where it is long."""
    return Cell(formatting.cut(text), tone)


def signed(tone: Tone, text: str) -> Cell:
    """Return a cell with the sign of its tone before the text."""
    return cell(f"{_SIGNS[tone]}{text}", tone)


def moment(at: float) -> Cell:
    """Return a cell with a time."""
    return Cell(formatting.moment(at), at=at)


def record(seq: int, proven: bool) -> Cell:
    """Return a cell with the number of a record, marked where it is not proven."""
    return Cell(str(seq)) if proven else Cell(f"{seq} (not verified)", "bad")


def answer(check: Check) -> Cell:
    """Return a cell with the name of a rule, and whether it passed."""
    if not check.is_judged:
        word = "undecided" if check.word == "undecided" else "not judged"
        return signed("neutral", f"{check.rule} {word}")
    return signed("good" if check.passed else "bad", check.rule)


def figures(check: Check) -> tuple[Cell, Cell]:
    """Return cells with what a rule observed, and its limit."""
    observed = NO_FIGURE if check.observed is None else formatting.measured(check.rule, check.observed)
    return cell(observed), Cell(formatting.bound(check.rule, check.limit))


def observation(check: Check) -> str:
    """Return what a rule observed, with a limit that is a figure.

    Its message where it observed nothing, or was judged by evidence.
    """
    if check.observed is None or check.evidence:
        return formatting.rounded(check.message).removeprefix(f"{check.rule}: ")
    is_figure = isinstance(check.limit, int | float) and not isinstance(check.limit, bool)
    limit = f", limit {formatting.measured(check.rule, check.limit)}" if is_figure else ""
    return f"{formatting.measured(check.rule, check.observed)}{limit}"


def table(
    rows: Rows[Row],
    cells_of: Callable[[Row], tuple[Cell, ...]],
    *,
    caption: str,
    head: Sequence[str],
    what: str,
    none: str = "",
) -> Table:
    """Return a table that says how many rows it left out; `what` names the rows."""
    note = f"{formatting.figure(rows.left_out)} older {what} are not shown." if rows.left_out else ""
    return Table(caption, tuple(head), tuple(map(cells_of, rows)), note, none)
