"""The tables of the report, as cells that the Markdown report and the page share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report import cells, words
from swiftdeploy_tasks.report.cells import Cell, Fact, Table, Tone
from swiftdeploy_tasks.report.story import (
    NO_END,
    Change,
    Event,
    Judgement,
    Kind,
    Rows,
    Rule,
    Running,
    Step,
    Story,
    Tally,
    Violation,
)

MOST_OUTCOMES = 6
_FRAME = 60
_KINDS: dict[Kind, tuple[Tone, str]] = {
    "release": ("good", "release"),
    "mode": ("", "mode"),
    "rolled_back": ("bad", "rolled back"),
    "undone": ("warn", "went back"),
    "teardown": ("", "teardown"),
    "chaos": ("warn", "chaos"),
    "chaos_gone": ("", "chaos over"),
    "drift": ("warn", "drift"),
    "refused": ("bad", "refused"),
    "failed": ("bad", "failed"),
    "interrupted": ("warn", "interrupted"),
    "cut_off": ("warn", "killed"),
    "recovered": ("good", "put right"),
    "locked": ("", "locked"),
    "breach": ("warn", "rules"),
    "policy": ("", "policy"),
    "torn": ("warn", "history"),
    "head_lost": ("bad", "history"),
    "rotated": ("", "history"),
    "witness": ("warn", "witness"),
    "clock": ("warn", "clock"),
    "moved": ("warn", "moved"),
}
_STEP = ("At (UTC)", "Step", "Shares then", "Took", "Outcome")
_VERDICT = ("At (UTC)", "Question", "Answer", "Window", "Rules")
_LOG = ("Last lines of the slot that failed",)
_PHASES = ("start", "health", "switch", "gate", "confirm", "drain", "remove")


@dataclass(frozen=True)
class Told:
    """All that is told of one change; `phases` are (name, how long) in the order in which they run."""

    facts: tuple[Fact, ...]
    sentences: tuple[Cell, ...]
    phases: tuple[tuple[str, str], ...]
    steps: Table
    verdicts: Table
    log: Table

    @property
    def signs(self) -> int:
        """About how many signs of a document it takes."""
        rows = (row for table in (self.steps, self.verdicts, self.log) for row in table.rows)
        all_of_it = (cell for row in rows for one in row for cell in (one, *one.folded))
        return sum(_FRAME + len(cell.told) for cell in all_of_it)


def heading(story: Story) -> str:
    """Return which period was asked for, and what of it is on record."""
    summary, asked = story.summary, story.period
    period = words.period(asked.since, asked.until)
    if summary.first is None or summary.last is None:
        return f"Asked for: {period}; there is no record in it."
    on_record = words.span(summary.first, summary.last)
    return f"Asked for: {period}. On record: {on_record}, {words.counted(summary.records, 'record')}."


def summary(story: Story) -> tuple[Fact, ...]:
    """Return the period in figures."""
    found = story.summary
    share, made = found.failed_share, found.changes
    failed = round((share or 0) * made)
    recovery = words.within(found.recovery_p50_s, found.recovery_worst_s)
    ill = words.within(found.ill_p50_s, found.ill_worst_s)
    latency = words.measured("_ms", found.policy_p50_ms)
    return (
        *(_tally(tally) for tally in found.tallies),
        Fact(
            "Failed",
            Cell("none was made" if share is None else f"{100 * share:.0f} %"),
            f"{failed} of {words.figure(made)} deploys and promotes, those locked out apart" if made else "",
        ),
        Fact(
            "Rolled back by themselves",
            Cell(words.times(found.automatic_rollbacks)),
            f"from the breach to all traffic back: {recovery}" if recovery else "no traffic had to come back",
        ),
        Fact(
            "What serves broke the rules",
            Cell(words.seconds(found.ill_worst_s) if ill else "not seen"),
            f"as dashboards saw it, however it ended: {ill}" if ill else "by a dashboard, from begin to end",
        ),
        Fact(
            "Policy questions",
            Cell(words.figure(found.questions)),
            f"of verbs: {words.figure(found.refused)} refused, {words.figure(found.unanswered)} unanswered",
        ),
        Fact(
            "Policy answers in",
            Cell(latency or "nobody was asked"),
            f"half of them; 95 % within {words.measured('_ms', found.policy_p95_ms)}" if latency else "",
        ),
        Fact(
            "Records",
            Cell(words.figure(found.records)),
            f"{words.figure(found.scrapes)} of them scrapes of the running slots",
        ),
    )


def timeline(story: Story) -> Table:
    """Return what happened, in the order of the file."""
    return cells.table(
        story.events,
        _event,
        caption="Releases, changes of mode, chaos, drift, refusals and interruptions",
        head=("At (UTC)", "Kind", "What", "Who", "Record"),
        what="events",
        none="Nothing happened in this period.",
    )


def violations(story: Story) -> Table:
    """Return each failed rule, and each question without an answer."""
    return cells.table(
        story.violations,
        _violation,
        caption="Each rule that said no, and each question that nobody answered",
        head=(
            "At (UTC)",
            "Verb",
            "Domain",
            "Rule",
            "Observed",
            "Limit",
            "What it said",
            "Revision",
            "Record",
        ),
        what="violations",
        none="No rule said no.",
    )


def changes(story: Story) -> Table:
    """Return the deploys, promotes and rollbacks, a row each."""
    return cells.table(
        story.changes,
        _change,
        caption="Each run, and how it ended",
        head=("At (UTC)", "Verb", "Who", "From", "To", "Took", "Outcome", "Record"),
        what="changes",
        none="There were none.",
    )


def rules(story: Story) -> Table:
    """Return each rule of the policies, and what it said last."""
    table = cells.table(
        Rows(story.rules),
        _rule,
        caption="Every rule, and what it said last",
        head=("Rule", "Domain", "Asked", "Said no", "Last observed", "Limit", "At (UTC)"),
        what="rules",
        none="No rule was asked.",
    )
    more = f"There were more rules than the {len(story.rules)} that are listed."
    return replace(table, note=more) if "rules" in story.beyond else table


def told(change: Change) -> Told:
    """Return what one change did, step by step."""
    return Told(
        _facts(change),
        tuple(_sentences(change)),
        _phases(change),
        cells.table(change.steps, _step, caption="What was done, in order", head=_STEP, what="steps"),
        cells.table(
            change.verdicts, _judgement, caption="What the policies answered", head=_VERDICT, what="verdicts"
        ),
        cells.table(change.log, _line, caption="What it said last", head=_LOG, what="lines"),
    )


def ended(change: Change) -> Cell:
    """Return how a change ended."""
    return cells.signed("good" if change.outcome == "done" else "bad", change.outcome)


def event(row: Event) -> tuple[Cell, ...]:
    """Return when something happened, of which kind it was, what it was, and who did it."""
    return (
        cells.moment(row.at),
        cells.signed(*_KINDS[row.kind]),
        cells.cell(words.rounded(row.what)),
        cells.cell(row.who),
    )


def tone(kind: Kind) -> Tone:
    """Return whether an event of this kind is good, bad or to be looked at, "" for none of these."""
    return _KINDS[kind][0]


def _facts(change: Change) -> tuple[Fact, ...]:
    code = "" if change.exit_code is None else f"exit code {change.exit_code}"
    where = "" if change.task == change.verb else f"in {change.task}"
    return (
        Fact("Ended", ended(change), ", ".join(filter(None, (code, where)))),
        Fact("Took", Cell(words.seconds(change.seconds))),
        Fact("Confirmed", Cell("yes" if change.is_confirmed else "no")),
        *(_release("From", change.before) if change.before else ()),
        *(_release("To", change.after) if change.after else ()),
        Fact("By", cells.cell(str(change.who))),
        Fact("Run", Cell(words.cut(change.run), is_code=True), f"from record {change.seq} on"),
    )


def _sentences(change: Change) -> Iterator[Cell]:
    if change.error:
        yield cells.cell(words.rounded(change.error), "bad")
    if back := change.way_back:
        how = "before it ever had traffic; the former release kept all of it"
        if back.had_traffic:
            how = "all traffic was back "
            how += "after a time that is not known" if back.seconds is None else words.seconds(back.seconds)
            how += "" if back.seconds is None else " after the breach"
        reason = "" if back.reason in {"", change.error} else f": {words.rounded(back.reason)}"
        yield cells.cell(f"Rolled back by itself at {words.moment(back.at)}, {how}{reason}")


def _phases(change: Change) -> tuple[tuple[str, str], ...]:
    known = {phase: place for place, phase in enumerate(_PHASES)}
    spent = sorted(change.spent, key=lambda one: known.get(one[0], len(known)))
    return tuple((words.cut(phase), words.seconds(seconds)) for phase, seconds in spent)


def _line(text: str) -> tuple[Cell, ...]:
    return (cells.cell(text),)


def _event(row: Event) -> tuple[Cell, ...]:
    return (*event(row), cells.record(row.seq, row.proven))


def _violation(row: Violation) -> tuple[Cell, ...]:
    return (
        cells.moment(row.at),
        cells.cell(row.verb),
        cells.cell(f"{row.domain}, {row.phase}" if row.phase else row.domain),
        cells.cell(row.rule or "nobody answered"),
        *cells.figures(Check(row.rule, False, row.observed, row.limit, "")),
        cells.cell(words.rounded(row.message)),
        Cell(words.cut(row.revision), is_code=True),
        cells.record(row.seq, row.proven),
    )


def _change(row: Change) -> tuple[Cell, ...]:
    how = ended(row)
    code = "" if row.exit_code is None else f", exit {row.exit_code}"
    back = ", rolled back by itself" if row.way_back else ""
    return (
        cells.moment(row.at),
        cells.cell(row.asked),
        cells.cell(str(row.who)),
        cells.cell(str(row.before or "")),
        cells.cell(str(row.after or "")),
        Cell(words.seconds(row.seconds)),
        cells.cell(f"{how.text}{code}{back}", how.tone),
        cells.record(row.seq, row.proven),
    )


def _rule(row: Rule) -> tuple[Cell, ...]:
    last = row.last
    observed, limit = cells.figures(last)
    return (
        cells.answer(last),
        cells.cell(row.domain),
        Cell(words.times(row.made)),
        Cell(words.times(row.failed)),
        observed if last.observed is not None else cells.cell(words.rounded(last.message) or cells.NO_FIGURE),
        limit,
        cells.moment(row.at),
    )


def _step(row: Step) -> tuple[Cell, ...]:
    return (
        Cell(words.clock(row.at)),
        cells.cell(f"{row.action} {row.target}: {row.reason}"),
        cells.cell(_shares(row.weights)),
        Cell(words.seconds(row.seconds)),
        cells.signed("good" if row.outcome == "done" else "bad", row.outcome or NO_END),
    )


def _shares(weights: tuple[tuple[str, int], ...] | None) -> str:
    return "as before" if weights is None else words.weights(weights)


def _judgement(row: Judgement) -> tuple[Cell, ...]:
    answer = f"{row.outcome} by {row.answered_by}" if row.answered_by else row.outcome
    took = words.measured("_ms", row.duration_ms)
    return (
        Cell(words.clock(row.at)),
        cells.cell(f"{row.domain}, {row.phase}" if row.phase else row.domain),
        cells.signed("good" if row.outcome == "allowed" else "bad", f"{answer}, {took}" if took else answer),
        Cell(words.window(row.window) if row.window else "none"),
        _rules(row),
    )


def _rules(row: Judgement) -> Cell:
    """What the rules said: those that said no in full, the others by their number, all of them folded."""
    failed = [one for one in row.checks if not one.passed]
    others = [one for one in row.checks if one.passed]
    unjudged = sum(not one.is_judged for one in others)
    rest = f"{len(others) - unjudged} of {len(row.checks)} passed" if row.checks else ""
    rest += f", {unjudged} not judged" if unjudged else ""
    rest += f"; {words.figure(row.unlisted)} more are not listed" if row.unlisted else ""
    said = row.error or "; ".join(_said(one) for one in failed)
    checks = sorted(row.checks, key=lambda one: (one.passed, one.is_judged))
    folded = tuple(
        Cell(words.cut(f"{cells.answer(one).text} {cells.saw(one)}"), cells.answer(one).tone)
        for one in checks
    )
    return replace(cells.signed("bad" if said else "", words.rounded(said)), rest=rest, folded=folded)


def _tally(tally: Tally) -> Fact:
    often = sorted(tally.outcomes, key=lambda one: -one[1])
    shown, others = often[:MOST_OUTCOMES], often[MOST_OUTCOMES:]
    ends = [f"{count} {outcome}" for outcome, count in shown]
    if others:
        ends.append(f"{sum(count for _, count in others)} in {len(others)} other ways")
    return Fact(f"{tally.verb}s".capitalize(), Cell(words.figure(tally.runs)), ", ".join(ends))


def _release(name: str, release: Running) -> tuple[Fact]:
    number = f"release {release.release}" if release.release else "its release is not known"
    return (Fact(name, cells.cell(str(release)), words.cut(number)),)


def _said(one: Check) -> str:
    return one.sentence if one.observed is None else f"{one.rule}: {cells.saw(one)}"
