"""Collects the records of each invocation, from its first to its last, in bounded memory.

Records of several invocations interleave, and a killed one has no end.
"""

from __future__ import annotations

from dataclasses import replace

from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.report import fields
from swiftdeploy_tasks.report.gathering import Newest
from swiftdeploy_tasks.report.story import (
    CHANGES,
    CUT_OFF,
    NO_END,
    Change,
    Judgement,
    Rows,
    Running,
    Step,
    WayBack,
)

MOST_STEPS, MOST_VERDICTS, MOST_WATCHED = 100, 40, 20


class Run:
    """One invocation so far; `take` returns True with the record that ends it.

    `shares` are those that it has set, None while it set none; what is not confirmed gives its share back.
    """

    def __init__(self, record: Record, at: float, *, proven: bool) -> None:
        self.run = fields.text(record.get("run"))
        self.verb = fields.text(record.get("argv")) or fields.text(record.get("task"))
        self.options = fields.options(record.get("options"))
        self.who = fields.who(record.get("who"))
        self.seq, self.began, self.proven = int(record["seq"]), at, proven
        self.last = at
        self.is_cut_off = False
        self.shares: tuple[tuple[str, int], ...] | None = None
        self._first_shares: tuple[tuple[str, int], ...] | None = None
        self._task = self.verb
        self._end: Record = {}
        self._before: Running | None = None
        self._after: Running | None = None
        self._is_confirmed = False
        self._way_back: WayBack | None = None
        self._steps: Newest[Step] = Newest(MOST_STEPS)
        self._step: Step | None = None
        self._judged: Newest[Judgement] = Newest(MOST_VERDICTS)
        self._watched: Newest[Judgement] = Newest(MOST_WATCHED)

    @property
    def is_change(self) -> bool:
        """Whether it is a deploy, a promote or a rollback, also one that ended in a prerequisite."""
        return self.verb in CHANGES and "--list" not in self.options

    def take(self, record: Record, at: float, *, proven: bool) -> bool:
        """Take the next record of this run."""
        self.last, self.proven, self.is_cut_off = at, self.proven and proven, False
        told = _TOLD.get(record["event"])
        if told and self.is_change:
            told(self, record, at)
        self._task = fields.text(record.get("task"))
        if record["event"] != "finished":
            return False
        self._end = record
        if not (self._is_confirmed or record.get("outcome") == "done"):
            self.shares = self._first_shares
        return self._task == self.verb or record.get("exit_code") != 0

    def judge(self, judgement: Judgement) -> None:
        """Take a verdict; of those that only say that all is still well, fewer are kept."""
        is_routine = judgement.outcome == "allowed" and judgement.phase == "watch"
        (self._watched if is_routine else self._judged).take(judgement)

    def change(self, *, ended: bool) -> Change:
        """Return the run as a row of the report."""
        spent = (
            (fields.text(p), fields.number(s)) for p, s in fields.mapping(self._end.get("spent")).items()
        )
        code = fields.number(self._end.get("exit_code")) if ended else None
        error = fields.text(fields.mapping(self._end.get("error")).get("message")) if ended else self._halt()
        outcome = self._outcome(ended)
        if self._step:
            self._end_step("", None)
        return Change(
            seq=self.seq,
            run=self.run,
            verb=self.verb,
            options=self.options,
            task=self._task,
            who=self.who,
            at=self.began,
            ended=self.last if ended else None,
            outcome=outcome,
            exit_code=None if code is None else round(code),
            error=error,
            before=self._before,
            after=self._after or fields.wanted(self._end.get("wanted")),
            is_confirmed=self._is_confirmed or outcome == "done",
            way_back=self._way_back,
            spent=tuple((phase, seconds) for phase, seconds in spent if seconds is not None)[:20],
            steps=self._steps.rows(),
            verdicts=_merged(self._judged.rows(), self._watched.rows()),
            log=fields.lines(self._end.get("log")),
            proven=self.proven,
        )

    @property
    def went_back(self) -> bool:
        """Whether it rolled back by itself."""
        return self._way_back is not None

    def _halt(self) -> str:
        """Say what it was at when its records end."""
        step = f" at the step {self._step.action} {self._step.target}" if self._step else ""
        return f"its records end{step}"

    def _outcome(self, ended: bool) -> str:
        if ended:
            return fields.text(self._end.get("outcome"))
        return CUT_OFF if self.is_cut_off else NO_END

    def _take_target(self, record: Record, _: float) -> None:
        self._before = fields.running(record.get("before"))
        # What was confirmed before was left behind by another verb.
        self._after, self._is_confirmed = fields.running(record), False

    def _take_confirmed(self, record: Record, _: float) -> None:
        self._is_confirmed = True
        self._after = fields.running(record) or self._after

    def _take_way_back(self, record: Record, at: float) -> None:
        reason = fields.text(fields.mapping(record.get("reason")).get("message"))
        had = record.get("had_traffic") is not False
        self.shares = self._first_shares
        self._way_back = WayBack(at, reason, fields.number(record.get("seconds")), had)

    def _take_step(self, record: Record, at: float) -> None:
        outcome = fields.text(record.get("outcome"))
        if outcome:
            self._end_step(outcome, fields.number(record.get("seconds")))
            return
        if self._step:
            self._end_step("", None)
        self._step = Step(
            seq=int(record["seq"]),
            at=at,
            action=fields.text(record.get("action")),
            target=fields.text(record.get("target")),
            reason=fields.text(record.get("reason")),
            weights=fields.weights(record.get("weights")),
            seconds=None,
            outcome="",
        )

    def _end_step(self, outcome: str, seconds: float | None) -> None:
        if self._step:
            self._steps.take(replace(self._step, outcome=outcome, seconds=seconds))
            if outcome == "done" and self._step.weights is not None:
                self.shares = self._step.weights
                self._first_shares = self.shares if self._first_shares is None else self._first_shares
            self._step = None


def judgement(record: Record, at: float) -> Judgement:
    """Return the verdict that a record holds."""
    checks = fields.checks(record.get("checks"))
    asked = fields.mapping(record.get("input"))
    return Judgement(
        seq=int(record["seq"]),
        at=at,
        domain=fields.text(record.get("domain")),
        outcome=fields.text(record.get("outcome")),
        phase=fields.text(asked.get("phase")),
        window=fields.window(asked.get("window")),
        revision=fields.text(record.get("revision")),
        answered_by=fields.text(record.get("answered_by")),
        duration_ms=fields.number(record.get("duration_ms")),
        checks=checks.shown,
        unlisted=checks.left_out,
        error=fields.text(record.get("error")),
    )


def _merged(some: Rows[Judgement], others: Rows[Judgement]) -> Rows[Judgement]:
    shown = sorted((*some, *others), key=lambda one: one.seq)
    return Rows(tuple(shown), some.left_out + others.left_out)


_TOLD = {
    "target": Run._take_target,
    "confirmed": Run._take_confirmed,
    "rolled_back": Run._take_way_back,
    "step": Run._take_step,
}
