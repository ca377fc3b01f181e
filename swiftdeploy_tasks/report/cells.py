"""The cells of the report's tables: texts with a tone.

Texts may hold anything, so each writer escapes them. A tone also has a sign, so that colour alone carries no
meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report import words
from swiftdeploy_tasks.report.story import Rows

Tone = Literal["", "good", "bad", "warn", "neutral"]
Row = TypeVar("Row")
NO_FIGURE = "no figure"
_SIGNS: dict[Tone, str] = {"good": "✓ ", "bad": "✗ ", "warn": "! ", "neutral": "– ", "": ""}


@dataclass(frozen=True)
class Cell:
    """What stands in one cell; `folded` is what a page shows when it is opened, after `rest`."""

    text: str
    tone: Tone = ""
    at: float | None = None
    is_code: bool = False
    rest: str = ""
    folded: tuple[Cell, ...] = ()

    @property
    def told(self) -> str:
        """All that it says where nothing can be opened."""
        return "; ".join(filter(None, (self.text, self.rest)))


@dataclass(frozen=True)
class Table:
    """A table; `note` says what was left out of it, and `none` what is said where it has no row."""

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
    more: str = ""

    @property
    def told(self) -> str:
        """Value and remark in one."""
        return f"{self.value.text} ({self.more})" if self.more else self.value.text


def cell(text: str, tone: Tone = "") -> Cell:
    """Return a cell with this text, cut where it is long."""
    return Cell(words.cut(text), tone)


def signed(tone: Tone, word: str) -> Cell:
    """Return a cell with a sign for its tone before the word."""
    return Cell(words.cut(f"{_SIGNS[tone]}{word}"), tone)


def moment(at: float) -> Cell:
    """Return a cell with a time."""
    return Cell(words.moment(at), at=at)


def record(seq: int, proven: bool) -> Cell:
    """Return the number of a record, with a mark where it is not proven."""
    return Cell(str(seq)) if proven else Cell(f"{seq} (not proven)", "bad")


def answer(one: Check) -> Cell:
    """Return how a rule answered."""
    if not one.is_judged:
        return signed("neutral", f"{one.rule} not judged")
    return signed("good" if one.passed else "bad", one.rule)


def figures(one: Check) -> tuple[Cell, Cell]:
    """Return what a rule saw, and its limit."""
    observed = NO_FIGURE if one.observed is None else words.measured(one.rule, one.observed)
    return cell(observed), Cell(words.bound(one.rule, one.limit))


def saw(one: Check) -> str:
    """Return what a rule saw, against a limit that is a figure; what it says where it saw none."""
    if one.observed is None:
        return words.rounded(one.message).removeprefix(f"{one.rule}: ")
    is_figure = isinstance(one.limit, int | float) and not isinstance(one.limit, bool)
    against = f", limit {words.measured(one.rule, one.limit)}" if is_figure else ""
    return f"{words.measured(one.rule, one.observed)}{against}"


def table(
    rows: Rows[Row],
    told: Callable[[Row], tuple[Cell, ...]],
    *,
    caption: str,
    head: Sequence[str],
    what: str,
    none: str = "",
) -> Table:
    """Return a table of these rows, which says how many it left out; `what` is what they are."""
    note = f"{words.figure(rows.left_out)} older {what} are not shown." if rows.left_out else ""
    return Table(caption, tuple(head), tuple(map(told, rows)), note, none)
