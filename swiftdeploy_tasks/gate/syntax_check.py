"""What OPA refuses in the text of a policy and the embedded engine accepts: Rego v0, and names used twice.

The embedded engine's plan no longer shows these, so the tokens of the text are read.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

_WORD = re.compile(
    r"""(?P<blank>[ \t\r\n]+|\#[^\n]*)
    |(?P<text>\$?"(?:\\.|[^"\\\n])*"|\$?`[^`]*`)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>[0-9][0-9A-Za-z.+-]*)
    |(?P<mark>:=|==|!=|<=|>=|.)""",
    re.VERBOSE | re.DOTALL,
)
_CLOSED = {"{": "}", "[": "]", "(": ")"}
_KEYWORDS = {
    "as",
    "contains",
    "default",
    "else",
    "every",
    "if",
    "import",
    "in",
    "not",
    "package",
    "some",
    "with",
}
# After one of these a statement is not complete.
_OPEN_ENDS = {":=", "=", "==", "!=", "<", "<=", ">", ">=", *"+-*/%&|,.([{", *_KEYWORDS}
_RESERVED = {"input", "data"}


@dataclass(frozen=True)
class _Word:
    kind: str
    text: str
    row: int

    @property
    def is_operand(self) -> bool:
        """Whether an expression can end with it."""
        return self.kind in {"text", "number"} or self.text in {")", "]", "}"} or self.is_name

    @property
    def is_name(self) -> bool:
        return self.kind == "name" and self.text not in _KEYWORDS


@dataclass
class _Group:
    """The words between two brackets, those of inner brackets in groups of their own."""

    opened: str
    items: list[_Word | _Group] = field(default_factory=list)
    row: int = 0


def faults(text: str) -> Iterator[tuple[int, str]]:
    """Yield the row, from 1, and the fault of each form that OPA refuses and the embedded engine takes."""
    top = _grouped([*_words(text)])
    for statement in _statements(top.items):
        yield from _head(statement)
    yield from _inside(top, is_top=True)


def _words(text: str) -> Iterator[_Word]:
    row = 1
    for match in _WORD.finditer(text):
        kind = str(match.lastgroup)
        if kind != "blank":
            yield _Word(kind, match[0], row)
        row += match[0].count("\n")


def _grouped(words: Sequence[_Word]) -> _Group:
    top = _Group("")
    ahead = [top]
    for word in words:
        if word.kind == "mark" and word.text in _CLOSED:
            inner = _Group(word.text, row=word.row)
            ahead[-1].items.append(inner)
            ahead.append(inner)
        elif word.kind == "mark" and word.text in _CLOSED.values() and len(ahead) > 1:
            ahead.pop().items.append(word)
        else:
            ahead[-1].items.append(word)
    return top


def _last(item: _Word | _Group) -> _Word:
    """Return the word that an item ends with."""
    return (
        item if isinstance(item, _Word) else _last(item.items[-1]) if item.items else _Word("", "", item.row)
    )


def _statements(items: Sequence[_Word | _Group]) -> Iterator[list[_Word | _Group]]:
    """Yield the statements of a module: each begins with a name at the start of a line."""
    statement: list[_Word | _Group] = []
    row = 0
    for item in items:
        starts = (
            isinstance(item, _Word)
            and item.kind == "name"
            and item.text not in _KEYWORDS - {"default", "import"}
        )
        if statement and starts and item.row > row and _last(statement[-1]).text not in _OPEN_ENDS:
            yield statement
            statement = []
        statement.append(item)
        row = _last(item).row
    if statement:
        yield statement


def _head(statement: Sequence[_Word | _Group]) -> Iterator[tuple[int, str]]:
    """Yield the faults of a rule outside its brackets."""
    first = statement[0]
    if not isinstance(first, _Word) or first.text == "package":
        return
    if first.text == "import":
        last = _last(statement[-1])
        if last.text in _RESERVED and len(statement) > 2 and _last(statement[-2]).text == "as":
            yield last.row, f"an import is named {last.text} (OPA: must not be a reserved name)"
        return
    texts = [item.text if isinstance(item, _Word) else item.opened for item in statement]
    if first.text in _RESERVED:
        yield first.row, f"a rule is named {first.text} (OPA: rules must not shadow {first.text})"
    if len(statement) > 1 and isinstance(statement[1], _Group) and statement[1].opened == "(":
        yield from _parameters(first, statement[1])
    has_if = False
    for before, item in itertools.pairwise(statement):
        if isinstance(item, _Word):
            has_if = (has_if or item.text == "if") and item.text != "else"
        elif item.opened == "{" and not has_if:
            end = _last(before)
            if end.is_operand or end.text == "else":
                yield item.row, "a body stands without `if` before it (OPA: `if` keyword is required)"
    is_reference = not {":=", "=", "if", "contains", "{", "("} & set(texts)
    if is_reference and first.is_name:
        yield first.row, f"{first.text} is a rule without a value and a body, which Rego v1 does not have"


def _parameters(name: _Word, group: _Group) -> Iterator[tuple[int, str]]:
    """Yield the faults of a function's arguments."""
    if len(group.items) == 1:
        yield name.row, f"the function {name.text} has no arguments (OPA: undefined function)"
    for word in group.items:
        if isinstance(word, _Word) and word.text in _RESERVED:
            yield word.row, f"an argument is named {word.text} (OPA: args must not shadow {word.text})"


def _inside(
    group: _Group, *, is_top: bool = False, outer: frozenset[str] = frozenset()
) -> Iterator[tuple[int, str]]:
    """Yield the faults between brackets: empty expressions, and names assigned twice or reserved."""
    assigned: set[str] = set()
    for number, item in enumerate(group.items):
        if isinstance(item, _Group):
            yield from _inside(item, outer=outer | (frozenset() if is_top else assigned))
            continue
        known = outer | (set() if is_top else assigned)
        if item.text == "with" and not _is_value(group.items[number + 1 :], known):
            yield item.row, "`with` is given a reference; assign it to a variable before, as in x := input.y"
        if item.text == ";" and not is_top and _is_empty(group.items, number):
            yield item.row, "a semicolon stands without an expression on each side"
        names = [*_given(group.items, number)]
        for word in names:
            if word.text in _RESERVED and item.text != "some":
                yield word.row, f"a variable is named {word.text} (OPA: variables must not shadow it)"
            if word.text in assigned and not is_top and item.text != "every":
                yield word.row, f"{word.text} is assigned twice in one body (OPA: var assigned above)"
        if item.text != "every":
            assigned |= {word.text for word in names} - {"_"}


def _is_value(items: Sequence[_Word | _Group], known: Set[str]) -> bool:
    """Return whether what `with` gives for input or data is a constant or a variable."""
    if not items or _last(items[0]).text not in _RESERVED:
        return True
    for number, item in enumerate(items[:-1]):
        if isinstance(item, _Word) and item.text == "as":
            value, after = items[number + 1], items[number + 2 :][:1]
            if not isinstance(value, _Word) or not value.is_name:
                return True
            is_longer = any(
                one.row == value.row
                and (one.opened if isinstance(one, _Group) else one.text) in {".", "[", "("}
                for one in after
            )
            return value.text in {*known, "true", "false", "null"} and not is_longer
    return True


def _is_empty(items: Sequence[_Word | _Group], number: int) -> bool:
    mark, after = items[number], items[number + 1 :][:1]
    before = items[number - 1] if number else None
    starts = before is None or (
        isinstance(before, _Word) and before.text in {";", "|"} and before.row == mark.row
    )
    return starts or any(isinstance(item, _Word) and item.text in _CLOSED.values() for item in after)


def _given(items: Sequence[_Word | _Group], number: int) -> Iterator[_Word]:
    """Yield the variables that get a value by the word at `number`: `:=`, `some` or `every`."""
    item = items[number]
    if not isinstance(item, _Word):
        return
    before = items[number - 1] if number else None
    if item.text == ":=" and before:
        yield from _names(before, items[number - 2] if number > 1 else None)
    elif item.text in {"some", "every"} and not (before and _last(before).text == "."):
        for index in range(number + 1, len(items), 2):
            word, comma = items[index], items[index + 1 :][:1]
            if isinstance(word, _Word) and word.is_name:
                yield word
            if not comma or _last(comma[0]).text != ",":
                return


def _names(item: _Word | _Group, before: _Word | _Group | None) -> Iterator[_Word]:
    """Yield the variables that the left side of `:=` assigns."""
    if isinstance(item, _Word):
        if item.is_name and not (isinstance(before, _Word) and before.text == "."):
            yield item
    elif not (before is not None and _last(before).is_operand and _last(before).row == item.row):
        for number, inner in enumerate(item.items):
            yield from _names(inner, item.items[number - 1] if number else None)
