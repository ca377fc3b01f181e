"""A deploy, promote or rollback as its records describe it.

Texts are as recorded, at most `record_fields.LONGEST` characters. Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.report.collectors import Rows
from swiftdeploy_tasks.report.recorded_evidence import ChangeEvidence
from swiftdeploy_tasks.report.recorded_verdict import RecordedVerdict

VERBS = ("deploy", "promote", "rollback")
CUT_OFF, NO_END = "cut off", "no end on record"
# The outcomes after which the shares stay as the run has set them.
KEPT = ("done", "held")


@dataclass(frozen=True)
class Actor:
    """The user, host and CI run behind a record, each "" where it is not on record.

    `claimed` are names and values from the environment, which prove nothing.
    """

    user: str = ""
    host: str = ""
    ci: str = ""
    claimed: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " ".join(
            [self.user or "unknown", *([f"on {self.host}"] if self.host else [])]
            + ([f"({self.ci})"] if self.ci else [])
            + [f"(claims {name}={value})" for name, value in self.claimed]
        )


@dataclass(frozen=True)
class RunningRelease:
    """A release that runs or ran: its id ("" where it is not known), version and mode."""

    release: str
    version: str
    mode: str

    def __str__(self) -> str:
        return f"{self.version} ({self.mode})"


@dataclass(frozen=True)
class RecordedStep:
    """One step of a change: `weights` are the (slot, percent) after it, empty for no slot.

    `weights` is None where the step sets none; `seconds` and `outcome` are None and "" where its end is not
    on record.
    """

    seq: int
    at: float
    action: str
    target: str
    reason: str
    weights: tuple[tuple[str, int], ...] | None
    seconds: float | None
    outcome: str


@dataclass(frozen=True)
class AutomaticRollback:
    """The reason, and the seconds from the breach until the former release had all traffic again.

    `had_traffic` is False where the failed release never had any.
    """

    at: float
    reason: str
    seconds: float | None
    had_traffic: bool = True


@dataclass(frozen=True)
class RecordedChange:
    """One run of deploy, promote or rollback with its prerequisites.

    `outcome` is as recorded (done, held, refused, unanswered, failed, interrupted, locked, error), or CUT_OFF
    where the verb was killed, or NO_END; `ended` and `exit_code` are None for these two. `task` is the one
    that it ended in. `before` and `after` are the release that ran and the one that was wanted, None where it
    did not get that far. `error` is what went wrong, or the step at which the records end. `spent` is (phase,
    seconds), and `log` the last lines of a slot that failed. `evidence` is None where no verdict had any.
    """

    seq: int
    run: str
    verb: str
    options: tuple[str, ...]
    task: str
    actor: Actor
    at: float
    ended: float | None
    outcome: str
    exit_code: int | None
    error: str
    before: RunningRelease | None
    after: RunningRelease | None
    is_confirmed: bool
    rollback: AutomaticRollback | None
    spent: tuple[tuple[str, float], ...]
    steps: Rows[RecordedStep]
    verdicts: Rows[RecordedVerdict]
    log: Rows[str]
    proven: bool
    evidence: ChangeEvidence | None = None

    @property
    def command(self) -> str:
        """The verb with its options."""
        return " ".join((self.verb, *self.options))

    @property
    def seconds(self) -> float | None:
        """The time from its first record to its last; None where its end is not on record."""
        return None if self.ended is None else max(0.0, self.ended - self.at)
