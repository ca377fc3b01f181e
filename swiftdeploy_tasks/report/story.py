"""The values of a report: runs, verdicts, releases, events and figures, and what of them is proven.

Nothing here grows with the history: tables keep their newest rows and count the others, series are thinned
and keep their peaks. Texts are as recorded, at most `fields.LONGEST` characters; each writer escapes them.
Times are Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from swiftdeploy_tasks.metrics import Window
from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report.course import Series, Share, Sign
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.stretch import Stretch

Row = TypeVar("Row")

THREAT = (
    "Whoever can write the whole state folder can rewrite all of this history unnoticed, unless a head of it"
    " was kept elsewhere."
)

CHANGES = ("deploy", "promote", "rollback")
CUT_OFF, NO_END = "cut off", "no end on record"

Kind = Literal[
    "release",
    "mode",
    "rolled_back",
    "undone",
    "teardown",
    "chaos",
    "chaos_gone",
    "drift",
    "refused",
    "failed",
    "interrupted",
    "cut_off",
    "recovered",
    "locked",
    "breach",
    "policy",
    "torn",
    "head_lost",
    "rotated",
    "witness",
    "clock",
    "moved",
]
"""What an event is about. `release` is one confirmed; `breach` is figures that began, or ceased, to break a
rule of the canary policy, as a dashboard saw them; `policy` limits or policies that are others from here on;
`chaos` is one that began, `chaos_gone` its end; `undone` a way back after an interruption, or one that
failed; `clock` a time that went back; `moved` records of another state folder from here on."""


@dataclass(frozen=True)
class Rows(Generic[Row]):
    """The newest rows of a table, oldest first, and how many older ones are not shown."""

    shown: tuple[Row, ...] = ()
    left_out: int = 0

    def __iter__(self) -> Iterator[Row]:
        return iter(self.shown)

    @property
    def total(self) -> int:
        """How many there were."""
        return len(self.shown) + self.left_out


@dataclass(frozen=True)
class Period:
    """The first and the last moment of a period; infinite where no end was given."""

    since: float = -math.inf
    until: float = math.inf

    def holds(self, at: float) -> bool:
        """Return whether the moment lies in it."""
        return self.since <= at <= self.until

    def meets(self, began: float, ended: float) -> bool:
        """Return whether something that lasted from `began` to `ended` lies at least partly in it."""
        return began <= self.until and ended >= self.since


@dataclass(frozen=True)
class Who:
    """Who acted: the user, the host, and the run of a CI system, each "" where it is not on record.

    `claimed` is what the environment said of the person, as names and values, and proves nothing.
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
class Event:
    """One row of the timeline: what happened, in one sentence, on the line of record `seq`.

    `proven` says that the record leads up to the head (`Verification.proven`); so it does in all rows below.
    """

    seq: int
    at: float
    kind: Kind
    what: str
    who: str
    task: str
    run: str
    proven: bool


@dataclass(frozen=True)
class Violation:
    """A failed rule, or a question without an answer (`rule` is "" then)."""

    seq: int
    at: float
    verb: str
    domain: str
    phase: str
    rule: str
    observed: object
    limit: object
    revision: str
    message: str
    run: str
    proven: bool


@dataclass(frozen=True)
class Running:
    """A release as it runs or ran: its id ("" where it is not known), version and mode."""

    release: str
    version: str
    mode: str

    def __str__(self) -> str:
        return f"{self.version} ({self.mode})"


@dataclass(frozen=True)
class Step:
    """One step of a change: `weights` are (slot, percent) that are to hold after it, none for nobody.

    They are None where they are not on record; `seconds` and `outcome` are None and "" where its end is not.
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
class Judgement:
    """One verdict: `outcome` is allowed, refused or unanswered; `phase` and `window` are canary's own.

    `unlisted` is how many more checks there were; `error` says why nobody answered.
    """

    seq: int
    at: float
    domain: str
    outcome: str
    phase: str
    window: Window | None
    revision: str
    answered_by: str
    duration_ms: float | None
    checks: tuple[Check, ...]
    unlisted: int
    error: str


@dataclass(frozen=True)
class WayBack:
    """An automatic rollback: why, and the seconds from the breach until the former release had all again.

    `had_traffic` is False where the one that failed never had any.
    """

    at: float
    reason: str
    seconds: float | None
    had_traffic: bool = True


@dataclass(frozen=True)
class Change:
    """One run of deploy, promote or rollback, its prerequisites included.

    `options` are the words that the verb was given, as `--again`. `outcome` is as recorded (done, refused,
    unanswered, failed, interrupted, locked, error), `cut off` where it was killed, or `no end on record`;
    `ended` and `exit_code` are None for these two. `task` is the one that it ended in. `before` and `after`
    are what ran and what was wanted, None where it never got so far; `is_confirmed` says that the new one was
    confirmed, or serves on. `error` says what went wrong, or at what it was where it has no end. `spent` is
    (phase, seconds). `log` are the last lines of a slot that failed.
    """

    seq: int
    run: str
    verb: str
    options: tuple[str, ...]
    task: str
    who: Who
    at: float
    ended: float | None
    outcome: str
    exit_code: int | None
    error: str
    before: Running | None
    after: Running | None
    is_confirmed: bool
    way_back: WayBack | None
    spent: tuple[tuple[str, float], ...]
    steps: Rows[Step]
    verdicts: Rows[Judgement]
    log: Rows[str]
    proven: bool

    @property
    def asked(self) -> str:
        """What was asked for: the verb with its options."""
        return " ".join((self.verb, *self.options))

    @property
    def seconds(self) -> float | None:
        """How long it took, from its first record to its last; None where its end is not on record."""
        return None if self.ended is None else max(0.0, self.ended - self.at)


@dataclass(frozen=True)
class Rule:
    """A rule of the policies: how often it was asked and said no, and what it said last."""

    domain: str
    made: int
    failed: int
    at: float
    last: Check


@dataclass(frozen=True)
class Tally:
    """How often a verb ran, and (outcome, how often)."""

    verb: str
    outcomes: tuple[tuple[str, int], ...] = ()

    @property
    def runs(self) -> int:
        """All of them."""
        return sum(count for _, count in self.outcomes)

    def of(self, outcome: str) -> int:
        """How often it ended so."""
        return dict(self.outcomes).get(outcome, 0)


@dataclass(frozen=True)
class Summary:
    """The period in figures. `first` and `last` are the times of its first and last record, None without any.

    A recovery is an automatic rollback, from the breach to the former release having all traffic again. Apart
    from it, `ill_*` is how long what serves broke the rules as dashboards saw it, however it ended.
    Percentiles are None without any.
    """

    first: float | None
    last: float | None
    records: int
    scrapes: int
    tallies: tuple[Tally, ...]
    automatic_rollbacks: int
    recovery_p50_s: float | None
    recovery_worst_s: float | None
    ill_p50_s: float | None
    ill_worst_s: float | None
    questions: int
    policy_p50_ms: float | None
    policy_p95_ms: float | None
    refused: int
    unanswered: int

    def tally(self, verb: str) -> Tally:
        """The tally of one verb."""
        return next((one for one in self.tallies if one.verb == verb), Tally(verb))

    @property
    def changes(self) -> int:
        """How many deploys and promotes came to an end, those apart that found the project locked."""
        ended = (self.tally(verb) for verb in CHANGES[:2])
        return sum(one.runs - one.of("locked") - one.of(NO_END) for one in ended)

    @property
    def failed_share(self) -> float | None:
        """The part of these that did not go through, from 0 to 1; None without any."""
        done = sum(self.tally(verb).of("done") for verb in CHANGES[:2])
        return (self.changes - done) / self.changes if self.changes else None


@dataclass(frozen=True)
class Story:
    """The content of a report. `limits` are the last known ones, by rule.

    `signs` and `shares` are of the whole period, also where the changes' rows do not reach back that far;
    `stretch` is the time that is drawn. `beyond` names what there was more of than is kept: slots, rules.
    """

    period: Period
    integrity: Integrity
    summary: Summary
    events: Rows[Event] = field(default_factory=Rows)
    violations: Rows[Violation] = field(default_factory=Rows)
    changes: Rows[Change] = field(default_factory=Rows)
    rules: tuple[Rule, ...] = ()
    series: tuple[Series, ...] = ()
    signs: tuple[Sign, ...] = ()
    shares: tuple[Share, ...] = ()
    stretch: Stretch | None = None
    beyond: frozenset[str] = frozenset()

    @property
    def limits(self) -> Mapping[str, object]:
        """The limit of each rule when it was last asked."""
        return {rule.last.rule: rule.last.limit for rule in self.rules}
