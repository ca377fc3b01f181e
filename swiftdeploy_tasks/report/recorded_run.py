"""Collects the records of one invocation, in bounded memory.

Records of several invocations interleave, and a killed one has no end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.report import record_fields
from swiftdeploy_tasks.report.collectors import Newest, Rows
from swiftdeploy_tasks.report.evidence_series import EvidenceSeries
from swiftdeploy_tasks.report.record_fields import text_of
from swiftdeploy_tasks.report.recorded_change import (
    CUT_OFF,
    KEPT,
    NO_END,
    VERBS,
    AutomaticRollback,
    RecordedChange,
    RecordedStep,
    RunningRelease,
)
from swiftdeploy_tasks.report.recorded_verdict import RecordedVerdict

MOST_STEPS, MOST_VERDICTS, MOST_WATCHED, MOST_PHASES = 100, 40, 20, 20


class RecordedRun:
    """One invocation so far.

    `shares` are those that it has set, None while it set none; a run that is not confirmed returns to its
    first ones.
    """

    def __init__(self, record: Record, at: float, *, proven: bool) -> None:
        self.run = text_of(record, "run")
        self.verb = text_of(record, "argv") or text_of(record, "task")
        self.options = record_fields.options(record.get("options"))
        self.actor = record_fields.actor(record.get("who"))
        self.began = self.last = at
        self.is_cut_off = False
        self.rollback: AutomaticRollback | None = None
        self.shares: tuple[tuple[str, int], ...] | None = None
        self._first_shares: tuple[tuple[str, int], ...] | None = None
        self._seq, self._proven = int(record["seq"]), proven
        self._task = self.verb
        self._end: Record = {}
        self._before: RunningRelease | None = None
        self._after: RunningRelease | None = None
        self._is_confirmed = False
        self._steps: Newest[RecordedStep] = Newest(MOST_STEPS)
        self._step: RecordedStep | None = None
        self._verdicts: Newest[RecordedVerdict] = Newest(MOST_VERDICTS)
        self._watched: Newest[RecordedVerdict] = Newest(MOST_WATCHED)
        self._evidence = EvidenceSeries()

    @property
    def is_change(self) -> bool:
        """Whether it is a deploy, a promote or a rollback, also one that ended in a prerequisite."""
        return self.verb in VERBS and "--list" not in self.options

    def add(self, record: Record, at: float, *, proven: bool) -> bool:
        """Add the next record of this run; return whether it is the last one."""
        self.last, self._proven, self.is_cut_off = at, self._proven and proven, False
        add = _ADD.get(record["event"])
        if add and self.is_change:
            add(self, record, at)
        self._task = text_of(record, "task")
        if record["event"] != "finished":
            return False
        self._end = record
        if not (self._is_confirmed or record.get("outcome") in KEPT):
            self.shares = self._first_shares
        return self._task == self.verb or record.get("exit_code") != 0

    def add_verdict(self, verdict: RecordedVerdict) -> None:
        """Add a verdict; of those that allow to go on while a slot is watched, fewer are kept."""
        is_routine = verdict.outcome == "allowed" and verdict.phase == "watch"
        (self._watched if is_routine else self._verdicts).add(verdict)

    def change(self, *, ended: bool) -> RecordedChange:
        """Return the run as a change."""
        end, outcome = self._end, self._outcome(ended)
        error = (
            text_of(record_fields.mapping(end.get("error")), "message") if ended else self._where_it_stops()
        )
        code = record_fields.number(end.get("exit_code")) if ended else None
        spent = record_fields.mapping(end.get("spent")).items()
        phases = ((record_fields.text(phase), record_fields.number(seconds)) for phase, seconds in spent)
        if self._step:
            self._end_step("", None)
        return RecordedChange(
            seq=self._seq,
            run=self.run,
            verb=self.verb,
            options=self.options,
            task=self._task,
            actor=self.actor,
            at=self.began,
            ended=self.last if ended else None,
            outcome=outcome,
            exit_code=None if code is None else round(code),
            error=error,
            before=self._before,
            after=self._after or record_fields.wanted(end.get("wanted")),
            is_confirmed=self._is_confirmed or outcome == "done",
            rollback=self.rollback,
            spent=tuple((phase, seconds) for phase, seconds in phases if seconds is not None)[:MOST_PHASES],
            steps=self._steps.rows(),
            verdicts=_merged(self._verdicts.rows(), self._watched.rows()),
            log=record_fields.lines(end.get("log")),
            proven=self._proven,
            evidence=self._evidence.evidence(),
        )

    def _where_it_stops(self) -> str:
        step = f" at the step {self._step.action} {self._step.target}" if self._step else ""
        return f"its records end{step}"

    def _outcome(self, ended: bool) -> str:
        if ended:
            return text_of(self._end, "outcome")
        return CUT_OFF if self.is_cut_off else NO_END

    def _add_target(self, record: Record, _: float) -> None:
        self._before = record_fields.running(record.get("before"))
        # An earlier confirmation in this run was that of an interrupted verb.
        self._after, self._is_confirmed = record_fields.running(record), False

    def _add_confirmation(self, record: Record, _: float) -> None:
        self._is_confirmed = True
        self._after = record_fields.running(record) or self._after

    def _add_evidence(self, record: Record, at: float) -> None:
        self._evidence.add(record, at)

    def _add_rollback(self, record: Record, at: float) -> None:
        self.shares = self._first_shares
        self.rollback = AutomaticRollback(
            at,
            text_of(record_fields.mapping(record.get("reason")), "message"),
            record_fields.number(record.get("seconds")),
            record.get("had_traffic") is not False,
        )

    def _add_step(self, record: Record, at: float) -> None:
        if self._step:
            self._end_step(text_of(record, "outcome"), record_fields.number(record.get("seconds")))
        if not text_of(record, "outcome"):
            self._step = RecordedStep(
                seq=int(record["seq"]),
                at=at,
                action=text_of(record, "action"),
                target=text_of(record, "target"),
                reason=text_of(record, "reason"),
                weights=record_fields.weights(record.get("weights")),
                seconds=None,
                outcome="",
            )

    def _end_step(self, outcome: str, seconds: float | None) -> None:
        if not self._step:
            return
        self._steps.add(replace(self._step, outcome=outcome, seconds=seconds))
        if outcome == "done" and self._step.weights is not None:
            self.shares = self._step.weights
            self._first_shares = self.shares if self._first_shares is None else self._first_shares
        self._step = None


def _merged(some: Rows[RecordedVerdict], others: Rows[RecordedVerdict]) -> Rows[RecordedVerdict]:
    shown = sorted((*some, *others), key=lambda one: one.seq)
    return Rows(tuple(shown), some.left_out + others.left_out)


_ADD: dict[str, Callable[[RecordedRun, Record, float], None]] = {
    "target": RecordedRun._add_target,
    "confirmed": RecordedRun._add_confirmation,
    "rolled_back": RecordedRun._add_rollback,
    "step": RecordedRun._add_step,
    "verdict": RecordedRun._add_evidence,
}
