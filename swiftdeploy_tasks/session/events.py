"""The events of a verb: what happened, as values.

A verb emits events; the history, the console and the `--json` document subscribe (`run.Run.emit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.release import Slot
from swiftdeploy_tasks.model.verdict import Verdict
from swiftdeploy_tasks.proxy.generated_files import FileChange
from swiftdeploy_tasks.session.event import SHOWN, SPREAD, WHERE_SET, Event


@dataclass(frozen=True, kw_only=True)
class Said(Event):
    """A sentence for the operator; `tone` is one of console.TONES."""

    text: str
    tone: str = ""


@dataclass(frozen=True, kw_only=True)
class Reported(Event):
    """A verb's own fields of the `--json` document."""

    document: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Checked(Event):
    """The pre-flight checks were made."""

    findings: Sequence[Finding]


@dataclass(frozen=True, kw_only=True)
class FilesWritten(Event):
    """The files for review were written."""

    files: Sequence[FileChange]


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """A task has begun."""

    name = "started"
    who: Mapping[str, Any]
    argv: str
    options: Mapping[str, Any]
    home: str


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """A task has ended; `more` is what else its record has: its error, the time spent in each phase."""

    name = "finished"
    exit_code: int
    duration_ms: float
    more: Mapping[str, Any] = field(default_factory=dict, metadata=SPREAD)


@dataclass(frozen=True, kw_only=True)
class LockRefused(Event):
    """Another invocation holds the project."""

    name = "lock"
    outcome: str | None = "held"
    who: Mapping[str, Any]
    argv: str
    holder: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class VerbKilled(Event):
    """The verb that held the lock before was killed."""

    name = "cut_off"
    outcome: str | None = "found"
    verb: str
    pid: int
    user: str
    since: str


@dataclass(frozen=True, kw_only=True)
class Settling(Event):
    """What a killed verb left behind is about to be settled."""

    name = "settling"
    verb: str


@dataclass(frozen=True, kw_only=True)
class Recovered(Event):
    """What a killed verb left behind was settled; `error` is "" or what failed of it."""

    name = "recovered"
    outcome: str | None = "done"
    verb: str
    release: str
    error: str = field(default="", metadata=WHERE_SET)


@dataclass(frozen=True, kw_only=True)
class TargetSet(Event):
    """A change from `before` to `release` begins; each is given as release, version and mode."""

    name = "target"
    release: Mapping[str, str] = field(metadata=SPREAD)
    before: Mapping[str, str]
    slot: str | None = field(metadata=SHOWN)
    url: str = field(metadata=SHOWN)

    def record(self) -> dict[str, Any]:
        """Return the record's own fields."""
        return {"previous": self.before.get("release"), **super().record()}


@dataclass(frozen=True, kw_only=True)
class Wanted(Event):
    """The version and mode that the manifest asks for are known; the end of the task records them."""

    version: str
    mode: str


@dataclass(frozen=True, kw_only=True)
class StepBegan(Event):
    """A step of the plan begins; `weights` are the percents of the slots after it."""

    name = "step"
    action: str
    target: str
    reason: str
    weights: Mapping[Slot, int]


@dataclass(frozen=True, kw_only=True)
class StepEnded(Event):
    """A step of the plan has ended, `done` or `failed`, after `seconds`."""

    name = "step"
    action: str
    target: str
    seconds: float
    reason: str = field(metadata=SHOWN)


@dataclass(frozen=True, kw_only=True)
class ChangeEnded(Event):
    """A change has ended; `spent` is seconds by phase, `slot` the one that serves, "" after a failure."""

    spent: Mapping[str, float]
    seconds: float
    slot: str


@dataclass(frozen=True, kw_only=True)
class VerdictGiven(Event):
    """A policy answered; `is_quiet` for an answer that is recorded and, where it allows, not shown."""

    name = "verdict"
    verdict: Verdict
    input: Mapping[str, Any]
    limits: Mapping[str, Any]
    is_quiet: bool = False

    def record(self) -> dict[str, Any]:
        """Return the record's own fields."""
        return {"input": dict(self.input), "limits": self.limits, **self.verdict.document()}


@dataclass(frozen=True, kw_only=True)
class VerdictMissing(Event):
    """The gate gave no answer; `more` is what it was asked, where it was asked."""

    name = "verdict"
    outcome: str | None = "unanswered"
    domain: str
    error: str
    more: Mapping[str, Any] = field(default_factory=dict, metadata=SPREAD)


@dataclass(frozen=True, kw_only=True)
class Confirmed(Event):
    """The release serves and is confirmed, after `before` ({} for none)."""

    name = "confirmed"
    outcome: str | None = "done"
    release: Mapping[str, str] = field(metadata=SPREAD)
    before: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ModeChanged(Event):
    """A confirmed release runs in another mode than the one before it."""

    name = "mode"
    outcome: str | None = "done"
    release: str
    version: str
    former: str
    mode: str

    def record(self) -> dict[str, Any]:
        """Return the record's own fields."""
        return {"release": self.release, "version": self.version, "from": self.former, "to": self.mode}


@dataclass(frozen=True, kw_only=True)
class ModeNotWritten(Event):
    """`services.mode` could not be rewritten."""

    name = "mode"
    outcome: str | None = "failed"
    error: str


@dataclass(frozen=True, kw_only=True)
class RolledBack(Event):
    """A release that failed was rolled back automatically, `seconds` after the breach.

    `had_traffic` says whether it ever had any.
    """

    name = "rolled_back"
    outcome: str | None = "done"
    reason: Mapping[str, str]
    to: Mapping[str, str]
    seconds: float
    had_traffic: bool


@dataclass(frozen=True, kw_only=True)
class RolloutHeld(Event):
    """A rollout stays at its share, because its release is undecided."""

    name = "held"
    outcome: str | None = "done"
    release: Mapping[str, str]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Undone(Event):
    """A change was undone (`done`), or that failed; `more` has the traffic or the error."""

    name = "undone"
    more: Mapping[str, str] = field(default_factory=dict, metadata=SPREAD)


@dataclass(frozen=True, kw_only=True)
class Drifted(Event):
    """A part differs from what was applied (`found`), no longer does (`gone`), or was `mended`."""

    name = "drift"
    difference: Mapping[str, object] = field(metadata=SPREAD)


@dataclass(frozen=True, kw_only=True)
class ManifestChanged(Event):
    """manifest.yaml was `edited` while the verb ran, or another copy was used (`replaced`)."""

    name = "manifest"
    found: str = field(default="", metadata=WHERE_SET)


@dataclass(frozen=True, kw_only=True)
class FaultInjected(Event):
    """An app began (`seen`) or ceased (`gone`) to inject a fault."""

    name = "chaos"
    slot: str
    release: str
    kind: str | None


@dataclass(frozen=True, kw_only=True)
class Scraped(Event):
    """The slots were sampled; `samples` are the fields of the record."""

    name = "scrape"
    samples: Mapping[str, Any] = field(metadata=SPREAD)
