"""The details of one change as facts and tables that the Markdown report and the page share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report import evidence_tables, formatting, tables
from swiftdeploy_tasks.report.recorded_change import (
    KEPT,
    NO_END,
    RecordedChange,
    RecordedStep,
    RunningRelease,
)
from swiftdeploy_tasks.report.recorded_verdict import RecordedVerdict
from swiftdeploy_tasks.report.tables import Cell, Fact, Table, Tone

PHASES = ("start", "health", "switch", "gate", "confirm", "drain", "remove")
_TONES: dict[str, Tone] = {"allowed": "good", "pass": "good", "undecided": "neutral"}
# The signs that the markup of a cell takes, about.
MARKUP = 60


@dataclass(frozen=True)
class ChangeDetails:
    """The details of one change; `phases` are (name, how long) in the order in which they run."""

    facts: tuple[Fact, ...]
    sentences: tuple[Cell, ...]
    phases: tuple[tuple[str, str], ...]
    steps: Table
    verdicts: Table
    log: Table
    evidence: Table | None = None
    slots: Table | None = None

    @property
    def size(self) -> int:
        """About how many signs of a document it takes."""
        every = (self.steps, self.verdicts, self.log, self.evidence, self.slots)
        rows = (row for table in every if table for row in table.rows)
        cells = (cell for row in rows for one in row for cell in (one, *one.folded))
        return sum(MARKUP + len(cell.unfolded) for cell in cells)


def details(change: RecordedChange) -> ChangeDetails:
    """Return the details of a change."""
    return ChangeDetails(
        _facts(change),
        tuple(_sentences(change)),
        _phases(change),
        tables.table(
            change.steps,
            _step,
            caption="Steps in order",
            head=("At (UTC)", "Step", "Shares then", "Took", "Outcome"),
            what="steps",
        ),
        tables.table(
            change.verdicts,
            _verdict,
            caption="Answers of the policies",
            head=("At (UTC)", "Question", "Answer", "Window", "Rules"),
            what="verdicts",
        ),
        tables.table(
            change.log,
            lambda line: (tables.cell(line),),
            caption="Its last output",
            head=("Last lines of the slot that failed",),
            what="lines",
        ),
        evidence=evidence_tables.of_rules(change.evidence.last) if change.evidence else None,
        slots=evidence_tables.of_slots(change.evidence.last) if change.evidence else None,
    )


def outcome(change: RecordedChange) -> Cell:
    """Return a cell with the outcome of a change."""
    tone: Tone = "good" if change.outcome == "done" else "warn" if change.outcome in KEPT else "bad"
    return tables.signed(tone, change.outcome)


def _facts(change: RecordedChange) -> tuple[Fact, ...]:
    code = "" if change.exit_code is None else f"exit code {change.exit_code}"
    task = "" if change.task == change.verb else f"in {change.task}"
    return (
        Fact("Outcome", outcome(change), ", ".join(filter(None, (code, task)))),
        Fact("Took", Cell(formatting.seconds(change.seconds))),
        Fact("Confirmed", Cell("yes" if change.is_confirmed else "no")),
        *(_release("From", change.before) if change.before else ()),
        *(_release("To", change.after) if change.after else ()),
        Fact("By", tables.cell(str(change.actor))),
        Fact("Run", Cell(formatting.cut(change.run), is_code=True), f"from record {change.seq} on"),
    )


def _release(name: str, release: RunningRelease) -> tuple[Fact]:
    number = f"release {release.release}" if release.release else "its release is not known"
    return (Fact(name, tables.cell(str(release)), formatting.cut(number)),)


def _sentences(change: RecordedChange) -> Iterator[Cell]:
    if change.error:
        yield tables.cell(formatting.rounded(change.error), "bad")
    if back := change.rollback:
        traffic = "before the new release had traffic; the former release kept all of it"
        if back.had_traffic:
            took = "at an unknown time" if back.seconds is None else formatting.seconds(back.seconds)
            traffic = f"all traffic was back {took}{'' if back.seconds is None else ' after the breach'}"
        reason = "" if back.reason in {"", change.error} else f": {formatting.rounded(back.reason)}"
        yield tables.cell(f"Automatic rollback at {formatting.moment(back.at)}, {traffic}{reason}")


def _phases(change: RecordedChange) -> tuple[tuple[str, str], ...]:
    known = {phase: place for place, phase in enumerate(PHASES)}
    spent = sorted(change.spent, key=lambda one: known.get(one[0], len(known)))
    return tuple((formatting.cut(phase), formatting.seconds(seconds)) for phase, seconds in spent)


def _step(row: RecordedStep) -> tuple[Cell, ...]:
    return (
        Cell(formatting.clock(row.at)),
        tables.cell(f"{row.action} {row.target}: {row.reason}"),
        tables.cell("as before" if row.weights is None else formatting.weights(row.weights)),
        Cell(formatting.seconds(row.seconds)),
        tables.signed("good" if row.outcome == "done" else "bad", row.outcome or NO_END),
    )


def _verdict(row: RecordedVerdict) -> tuple[Cell, ...]:
    answer = f"{row.word} by {row.answered_by}" if row.answered_by else row.word
    took = formatting.measured("_ms", row.duration_ms)
    return (
        Cell(formatting.clock(row.at)),
        tables.cell(f"{row.domain}, {row.phase}" if row.phase else row.domain),
        tables.signed(_TONES.get(row.word, "bad"), f"{answer}, {took}" if took else answer),
        Cell(formatting.window(row.window) if row.window else "none"),
        _rules(row),
    )


def _rules(row: RecordedVerdict) -> Cell:
    """Return the rules that failed, or left it undecided, and the number of the others, all folded."""
    failed = [check for check in row.checks if not check.passed]
    undecided = [check for check in row.checks if check.word == "undecided"]
    unjudged = sum(check.passed and not check.is_judged for check in row.checks) - len(undecided)
    passed = len(row.checks) - len(failed) - len(undecided) - unjudged
    rest = f"{passed} of {len(row.checks)} passed" if row.checks else ""
    rest += f", {len(undecided)} undecided" if undecided else ""
    rest += f", {unjudged} not judged" if unjudged else ""
    rest += f"; {formatting.figure(row.unlisted)} more are not listed" if row.unlisted else ""
    decisive = failed or (undecided if row.word == "undecided" else [])
    says = formatting.rounded(row.error or "; ".join(map(_sentence, decisive)))
    tone: Tone = "bad" if row.error or failed else "neutral" if says else ""
    checks = sorted(row.checks, key=lambda check: (check.passed, check.is_judged))
    return replace(tables.signed(tone, says), rest=rest, folded=tuple(map(_folded, checks)))


def _sentence(check: Check) -> str:
    return check.sentence if check.observed is None else f"{check.rule}: {tables.observation(check)}"


def _folded(check: Check) -> Cell:
    answer = tables.answer(check)
    return tables.cell(f"{answer.text} {tables.observation(check)}", answer.tone)
