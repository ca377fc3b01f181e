"""A period in figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from swiftdeploy_tasks.report.collectors import Distribution, Percentiles
from swiftdeploy_tasks.report.recorded_change import KEPT, NO_END, VERBS
from swiftdeploy_tasks.report.recorded_verdict import RecordedVerdict

LONGEST_OUTCOME = 40


@dataclass(frozen=True)
class Tally:
    """The runs of a verb, as (outcome, count)."""

    verb: str
    outcomes: tuple[tuple[str, int], ...] = ()

    @property
    def runs(self) -> int:
        """The number of runs."""
        return sum(count for _, count in self.outcomes)

    def of(self, outcome: str) -> int:
        """Return the number of runs with this outcome."""
        return dict(self.outcomes).get(outcome, 0)


@dataclass(frozen=True)
class Summary:
    """The period in figures. `first` and `last` are the times of its first and last record, None without any.

    `recovery` are the seconds of automatic rollbacks, from the breach to all traffic back. `breach` are the
    seconds for which dashboards saw the running release break the canary rules, however that ended.
    """

    first: float | None
    last: float | None
    records: int
    scrapes: int
    tallies: tuple[Tally, ...]
    automatic_rollbacks: int
    recovery: Distribution | None
    breach: Distribution | None
    questions: int
    latency: Distribution | None
    refused: int
    unanswered: int

    def tally(self, verb: str) -> Tally:
        """Return the tally of one verb."""
        return next((one for one in self.tallies if one.verb == verb), Tally(verb))

    @property
    def changes(self) -> int:
        """The number of deploys and promotes that ended, without those that found the project locked."""
        ended = (self.tally(verb) for verb in ("deploy", "promote"))
        return sum(one.runs - one.of("locked") - one.of(NO_END) for one in ended)

    @property
    def failed(self) -> int:
        """The number of these that were neither done nor held."""
        tallies = [self.tally(verb) for verb in ("deploy", "promote")]
        return self.changes - sum(one.of(outcome) for one in tallies for outcome in KEPT)


class SummaryBuilder:
    """Counts what happened in a period."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last: float | None = None
        self._records = self._scrapes = self._questions = self._rollbacks = 0
        self._outcomes: Counter[str] = Counter()
        self._tallies: dict[str, Counter[str]] = {verb: Counter() for verb in VERBS}
        self._latency, self._recovery, self._breaches = Percentiles(), Percentiles(), Percentiles()

    def add_record(self, at: float) -> None:
        """Count a record."""
        self._records += 1
        self._first = at if self._first is None else self._first
        self._last = at

    def add_scrape(self) -> None:
        """Count a scrape."""
        self._scrapes += 1

    def add_verdict(self, verdict: RecordedVerdict) -> None:
        """Count the verdict of a verb."""
        self._questions += 1
        self._outcomes[verdict.outcome[:LONGEST_OUTCOME]] += 1
        if verdict.duration_ms is not None:
            self._latency.add(verdict.duration_ms)

    def add_change(self, verb: str, outcome: str) -> None:
        """Count a run of a verb that changes what runs."""
        self._tallies[verb][outcome[:LONGEST_OUTCOME]] += 1

    def add_rollback(self, seconds: float | None) -> None:
        """Count an automatic rollback; `seconds` is None where the failed release had no traffic."""
        self._rollbacks += 1
        if seconds is not None:
            self._recovery.add(seconds)

    def add_breach(self, seconds: float) -> None:
        """Count a time in which the running release broke a canary rule."""
        self._breaches.add(seconds)

    def summary(self) -> Summary:
        """Return the period in figures."""
        return Summary(
            first=self._first,
            last=self._last,
            records=self._records,
            scrapes=self._scrapes,
            tallies=tuple(
                Tally(verb, tuple(sorted(outcomes.items()))) for verb, outcomes in self._tallies.items()
            ),
            automatic_rollbacks=self._rollbacks,
            recovery=self._recovery.distribution(),
            breach=self._breaches.distribution(),
            questions=self._questions,
            latency=self._latency.distribution(),
            refused=self._outcomes["refused"],
            unanswered=self._outcomes["unanswered"],
        )
