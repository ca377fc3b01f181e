"""The report in GitHub Flavored Markdown.

Every value goes through `shown`, which escapes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from swiftdeploy_tasks.report import formatting, sections
from swiftdeploy_tasks.report.audit_report import THREAT, AuditReport
from swiftdeploy_tasks.report.change_details import details, outcome
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.recorded_change import RecordedChange
from swiftdeploy_tasks.report.tables import Fact, Table

MOST_DETAILED = 20
_ENTITIES = {sign: f"&#{ord(sign)};" for sign in "|\\`"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# An underscore within a word is inactive; an address becomes code, as renderers make a link of it.
_ACTIVE = re.compile(
    r"(?P<address>(?<![a-z0-9+.-])(?:[a-z0-9+.-]+://|www\.)[a-z0-9.:/_%-]*)"
    r"|[|\\`&<>*\[\]~$]|(?<![a-z0-9])_|_(?![a-z0-9])",
    re.IGNORECASE | re.ASCII,
)


def shown(value: object) -> str:
    """Return a value as Markdown that renders as its text, in a cell or in a sentence, on one line.

    A sign that cannot be printed is shown as its number, and a long text is cut.
    """
    return _ACTIVE.sub(_escaped, visible(formatting.cut(formatting.figure(value))))


def _escaped(found: re.Match[str]) -> str:
    if found["address"]:
        return f"`{found[0]}`"
    return _ENTITIES.get(found[0], f"\\{found[0]}")


def visible(text: str) -> str:
    """Return the text with the number of each sign that cannot be printed, line ends included."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else f"‹U+{ord(sign):04X}›" for sign in text)


def markdown(report: AuditReport, *, project: str, made: float) -> str:
    """Return the whole report; `made` is the time that it names, in Unix seconds."""
    parts = [
        f"# Audit report of {shown(project)}",
        f"{sections.heading(report)} Made at {formatting.moment(made)}. All times are UTC.",
        *_integrity(report.integrity),
        "## Summary",
        _facts(sections.summary(report)),
        "## Timeline",
        *_table(sections.timeline(report)),
        "## Policy violations",
        *_table(sections.violations(report)),
        "## Deploys, promotes and rollbacks",
        *_table(sections.changes(report)),
        *_details(report.changes.shown),
        "## Policy checks against their limits",
        *_table(sections.rules(report)),
    ]
    return "\n\n".join(parts) + "\n"


def _integrity(integrity: Integrity) -> Iterator[str]:
    found, head = integrity.verification, integrity.head
    yield "## Integrity"
    proven = "**The history is whole.**" if found.ok else "**THE HISTORY DOES NOT VERIFY.**"
    yield f"{proven} {shown(integrity.verdict)}"
    if head:
        yield f"Head: record {head.seq}, `{head.hash}`."
    if found.times_back:
        yield f"The clock went back {formatting.times(found.times_back)}; the verdict does not depend on it."
    yield from map(shown, filter(None, (integrity.torn, integrity.witness)))
    yield THREAT


def _details(changes: Sequence[RecordedChange]) -> Iterator[str]:
    """Yield the details of the newest changes."""
    if len(changes) > MOST_DETAILED:
        yield f"Details follow for the newest {MOST_DETAILED} of these."
    for change in changes[-MOST_DETAILED:]:
        found = details(change)
        title = f"{shown(change.command.capitalize())} at {formatting.moment(change.at)}"
        yield f"### {title}: {shown(outcome(change).text)}"
        yield _facts(found.facts)
        yield from (shown(one.text) for one in found.sentences)
        if found.phases:
            yield f"Time spent: {', '.join(f'{shown(phase)} {took}' for phase, took in found.phases)}."
        for table in (found.evidence, found.slots, found.steps, found.verdicts, found.log):
            if table:
                yield from _table(table)


def _facts(facts: Iterable[Fact]) -> str:
    return _lines(("", ""), ((fact.name, fact.text) for fact in facts))


def _table(table: Table) -> Iterator[str]:
    """Yield a table after the note of what it left out, or the text in its place where it is empty."""
    if table.note:
        yield table.note
    if table.rows:
        yield _lines(table.head, ([cell.unfolded for cell in row] for row in table.rows))
    elif table.none:
        yield table.none


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = (head, ["---"] * len(head), *(map(shown, row) for row in rows))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
