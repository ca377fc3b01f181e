"""The report in GitHub Flavored Markdown.

Every value goes through `shown`, which escapes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from swiftdeploy_tasks.report import tables, words
from swiftdeploy_tasks.report.cells import Fact, Table
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.story import THREAT, Change, Story

MOST_TOLD = 20
_ENTITIES = {sign: f"&#{ord(sign)};" for sign in "|\\`"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Underscores that are not within a word, and what would begin a link by itself: an address becomes code.
_ACTIVE = re.compile(
    r"(?P<address>(?<![a-z0-9+.-])(?:[a-z0-9+.-]+://|www\.)[a-z0-9.:/_%-]*)"
    r"|[|\\`&<>*\[\]~$]|(?<![a-z0-9])_|_(?![a-z0-9])",
    re.IGNORECASE | re.ASCII,
)


def shown(value: object) -> str:
    """Return a value as Markdown that renders as its text, in a cell or in a sentence, on one line.

    What is not printable is named by its number, and a long text is cut.
    """
    return _ACTIVE.sub(_passive, visible(words.cut(words.figure(value))))


def _passive(found: re.Match[str]) -> str:
    if found["address"]:
        return f"`{found[0]}`"
    return _ENTITIES.get(found[0], f"\\{found[0]}")


def visible(text: str) -> str:
    """Return the text with the number of each sign that does not print, ends of lines included."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else f"‹U+{ord(sign):04X}›" for sign in text)


def markdown(story: Story, *, project: str, made: float) -> str:
    """Return the whole report; `made` is the time that it names, in Unix seconds."""
    parts = [
        f"# Audit report of {shown(project)}",
        f"{tables.heading(story)} Made at {words.moment(made)}. All times are UTC.",
        *_integrity(story.integrity),
        "## Summary",
        _facts(tables.summary(story)),
        "## Timeline",
        *_table(tables.timeline(story)),
        "## Policy violations",
        *_table(tables.violations(story)),
        "## Deploys, promotes and rollbacks",
        *_table(tables.changes(story)),
        *_all_told(story.changes.shown),
        "## Policy checks against their limits",
        *_table(tables.rules(story)),
    ]
    return "\n\n".join(parts) + "\n"


def _integrity(integrity: Integrity) -> list[str]:
    found = integrity.verification
    head = integrity.head
    proven = "**The history is whole.**" if found.ok else "**THE HISTORY DOES NOT VERIFY.**"
    says = [f"{proven} {shown(integrity.verdict)}"]
    if head:
        says.append(f"Head: record {head.seq}, `{head.hash}`.")
    if found.times_back:
        says.append(f"The clock went back {words.times(found.times_back)}, which is no fault of the history.")
    if integrity.torn:
        says.append(shown(integrity.torn))
    if integrity.witness:
        says.append(shown(integrity.witness))
    return ["## Integrity", *says, THREAT]


def _all_told(changes: Sequence[Change]) -> Iterator[str]:
    """What the newest changes did, step by step."""
    if len(changes) > MOST_TOLD:
        yield f"Of these, the newest {MOST_TOLD} are told step by step."
    for change in changes[-MOST_TOLD:]:
        told = tables.told(change)
        how = shown(tables.ended(change).text)
        yield f"### {shown(change.asked.capitalize())} at {words.moment(change.at)}: {how}"
        yield _facts(told.facts)
        yield from (shown(one.text) for one in told.sentences)
        if told.phases:
            yield f"Time spent: {', '.join(f'{shown(phase)} {took}' for phase, took in told.phases)}."
        for table in (told.steps, told.verdicts, told.log):
            yield from _table(table)


def _facts(facts: Iterable[Fact]) -> str:
    return _lines(("", ""), ((fact.name, fact.told) for fact in facts))


def _table(table: Table) -> Iterator[str]:
    """A table with what was left out of it before it; what is said instead where it is empty."""
    if table.note:
        yield table.note
    if table.rows:
        yield _lines(table.head, ([cell.told for cell in row] for row in table.rows))
    elif table.none:
        yield table.none


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (
        f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *(map(shown, row) for row in rows))
    )
    return "\n".join(lines)
