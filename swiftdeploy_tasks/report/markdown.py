"""The report in GitHub Flavored Markdown: for git, for a review, and for whoever has no browser at hand.

Stands apart from the page because it has a syntax of its own to be safe in. Every value goes through `shown`,
the one place that escapes; what is not a value is written here. It decides nothing and reads no record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from swiftdeploy_tasks.report import words
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.story import (
    THREAT,
    Change,
    Event,
    Judgement,
    Rows,
    Step,
    Story,
    Violation,
)

MOST_TOLD = 20
LONGEST_CELL = 300
Row = TypeVar("Row")
_ENTITIES = {sign: f"&#{ord(sign)};" for sign in "|\\`"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Also what would begin a link by itself, and underscores that are not within a word.
_ACTIVE = re.compile(
    r"[|\\`&<>*\[\]~$]|(?<=:)/(?=/)|(?<=www)\.|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", re.IGNORECASE
)


def shown(value: object) -> str:
    """Return a value as Markdown that renders as its text, in a cell or in a sentence, on one line.

    What is not printable is named by its number, and a long text is cut.
    """
    text = words.figure(value) if isinstance(value, int | float) else str(value)
    if len(text) > LONGEST_CELL:
        text = f"{text[:LONGEST_CELL]}…"
    return _ACTIVE.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), visible(text))


def visible(text: str) -> str:
    """Return the text with the number of each sign that does not print, ends of lines included."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else f"‹U+{ord(sign):04X}›" for sign in text)


def markdown(story: Story, *, project: str, made: float) -> str:
    """Return the whole report; `made` is the time that it names, in Unix seconds."""
    summary = story.summary
    period = (
        words.span(summary.first, summary.last)
        if summary.first is not None and summary.last is not None
        else "no record in it"
    )
    parts = [
        f"# Audit report of {shown(project)}",
        f"Period: {period}. Made at {words.moment(made)}. All times are UTC.",
        *_integrity(story.integrity),
        "## Summary",
        _table(("", ""), _summary(story)),
        "## Timeline",
        _rows(story.events, ("Time", "What", "Who", "Record"), _event, "Nothing happened."),
        "## Policy violations",
        _rows(story.violations, _VIOLATION, _violation, "No rule said no."),
        "## Deploys, promotes and rollbacks",
        _rows(story.changes, _CHANGE, _change, "There were none."),
        *(part for change in story.changes.shown[-MOST_TOLD:] for part in _told(change)),
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
    if integrity.witness:
        says.append(shown(integrity.witness))
    return ["## Integrity", *says, THREAT]


def _summary(story: Story) -> list[tuple[str, str]]:
    summary = story.summary
    rows = []
    for tally in summary.tallies:
        ends = ", ".join(f"{count} {outcome}" for outcome, count in tally.outcomes)
        rows.append((f"{tally.verb}s".capitalize(), f"{tally.runs}" + (f" ({shown(ends)})" if ends else "")))
    share = summary.failed_share
    failed = "none was made" if share is None else f"{share:.0%} of {summary.changes}, those locked out apart"
    recovery = words.within(summary.recovery_p50_s, summary.recovery_worst_s)
    ill = words.within(summary.ill_p50_s, summary.ill_worst_s)
    latency = "nobody was asked"
    if summary.policy_p50_ms is not None:
        latency = (
            f"p50 {words.figure(summary.policy_p50_ms)} ms, p95 {words.figure(summary.policy_p95_ms)} ms"
        )
    return [
        *rows,
        ("Deploys and promotes that did not go through", failed),
        ("Rolled back by themselves", str(summary.automatic_rollbacks)),
        ("From a breach to its automatic rollback's end", recovery or "no traffic had to come back"),
        ("What serves broke the rules, as a dashboard saw it", ill or "never seen to begin and end"),
        ("Policy questions", words.figure(summary.questions)),
        ("Policy latency", latency),
        (
            "Refusals of a verb",
            f"{words.figure(summary.refused)}, and {words.figure(summary.unanswered)} that nobody answered",
        ),
        ("Records", f"{words.figure(summary.records)}, {words.figure(summary.scrapes)} of them scrapes"),
    ]


def _event(row: Event) -> tuple[str, ...]:
    return (
        words.moment(row.at),
        shown(words.rounded(row.what)),
        shown(row.who),
        _record(row.seq, row.proven),
    )


_VIOLATION = ("Time", "Verb", "Domain", "Rule", "Observed", "Limit", "What it says", "Revision", "Record")


def _violation(row: Violation) -> tuple[str, ...]:
    domain = f"{row.domain}, {row.phase}" if row.phase else row.domain
    rule = row.rule or "nobody answered"
    figures = [words.measured(row.rule, value) for value in (row.observed, row.limit)]
    values = (row.verb, domain, rule, *figures, words.rounded(row.message), row.revision)
    return (words.moment(row.at), *map(shown, values), _record(row.seq, row.proven))


_CHANGE = ("Time", "Verb", "Who", "From", "To", "Took", "Outcome", "Record")


def _change(row: Change) -> tuple[str, ...]:
    code = "" if row.exit_code is None else f", exit {row.exit_code}"
    back = ", rolled back by itself" if row.way_back else ""
    values = (row.asked, row.who, row.before or "", row.after or "")
    took = words.seconds(row.seconds)
    ended = shown(f"{row.outcome}{code}{back}")
    return (words.moment(row.at), *map(shown, values), took, ended, _record(row.seq, row.proven))


def _told(change: Change) -> Iterable[str]:
    """What a change did, step by step."""
    took = "" if change.seconds is None else f", {words.seconds(change.seconds)}"
    outcome = f"{shown(change.outcome)}{took}"
    yield f"### {shown(change.asked.capitalize())} at {words.moment(change.at)}: {outcome}"
    releases = [
        f"{word} version {shown(release)}{f', release {shown(release.release)}' if release.release else ''}"
        for word, release in (("from", change.before), ("to", change.after))
        if release
    ]
    confirmed = "confirmed" if change.is_confirmed else "not confirmed"
    says = f"By {shown(change.who)}" + (f", {' '.join(releases)}, {confirmed}" if releases else "")
    yield f"{says}. Run {shown(change.run)}."
    if change.error:
        yield f"It ended in {shown(change.task)}: {shown(words.rounded(change.error))}"
    if back := change.way_back:
        how = f"all traffic was back {words.seconds(back.seconds)} after the breach"
        if not back.had_traffic:
            how = "the new release never had traffic, the former one kept all of it"
        reason = "" if back.reason == change.error else f" The reason: {shown(words.rounded(back.reason))}"
        yield f"Rolled back by itself: {how}.{reason}"
    if change.spent:
        spent = ", ".join(f"{shown(phase)} {words.seconds(seconds)}" for phase, seconds in change.spent)
        yield f"Time spent: {spent}."
    if change.steps.total:
        yield _rows(change.steps, ("Time", "Step", "Shares", "Took", "Outcome"), _step, "")
    if change.verdicts.total:
        yield _rows(change.verdicts, ("Time", "Question", "Answer", "Window", "Rules", "ms"), _judgement, "")
    if change.log:
        yield _table(("The last lines of the slot that failed",), [(shown(line),) for line in change.log])


def _step(row: Step) -> tuple[str, ...]:
    said = (
        f"{row.action} {row.target}: {row.reason}",
        "as before" if row.weights is None else words.weights(row.weights),
    )
    took = words.seconds(row.seconds)
    return (words.clock(row.at), *map(shown, said), took, shown(row.outcome or "no end on record"))


def _judgement(row: Judgement) -> tuple[str, ...]:
    question = f"{row.domain}, {row.phase}" if row.phase else row.domain
    window = words.window(row.window) if row.window else ""
    failed = [check for check in row.checks if not check.passed]
    said = row.error or "; ".join(
        "{}: {}, limit {}".format(
            check.rule, *(words.measured(check.rule, value) for value in (check.observed, check.limit))
        )
        for check in failed
    )
    unjudged = sum(not check.is_judged for check in row.checks)
    passed = f"{len(row.checks) - unjudged} of {len(row.checks)} passed"
    rules = said or (f"{passed}, {unjudged} not judged" if unjudged else passed)
    answer = f"{row.outcome} by {row.answered_by}" if row.answered_by else row.outcome
    duration = words.measured("", row.duration_ms)
    values = (question, answer, window, words.rounded(rules), duration)
    return (words.clock(row.at), *map(shown, values))


def _record(seq: int, proven: bool) -> str:
    return str(seq) if proven else f"{seq} **(not proven)**"


def _rows(rows: Rows[Row], head: Sequence[str], told: Callable[[Row], Sequence[str]], none: str) -> str:
    if not rows.total:
        return none
    table = _table(head, map(told, rows))
    return f"{rows.left_out} older ones are not shown.\n\n{table}" if rows.left_out else table


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
    return "\n".join(lines)
