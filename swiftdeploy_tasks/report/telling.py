"""Builds a Story from records in one pass and bounded memory.

Records that the head does not prove are marked.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report import fields, scrapes, sentences, words
from swiftdeploy_tasks.report.course import Sign
from swiftdeploy_tasks.report.gathering import MOST_SLOTS, Figures, Newest, Shares, Signs, Thinned
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.news import News
from swiftdeploy_tasks.report.runs import Run, judgement
from swiftdeploy_tasks.report.story import (
    CHANGES,
    Change,
    Event,
    Judgement,
    Kind,
    Period,
    Rows,
    Rule,
    Story,
    Summary,
    Tally,
    Violation,
    Who,
)
from swiftdeploy_tasks.report.stretch import Times

MOST_EVENTS, MOST_VIOLATIONS, MOST_CHANGES = 500, 300, 100
MOST_OPEN, MOST_RULES = 128, 200
ALWAYS = Period()
# Events that a look recorded, which are no actions.
SEEN: frozenset[Kind] = frozenset({"chaos", "chaos_gone", "drift", "breach"})
_ENDS: dict[str, Kind] = {
    "refused": "refused",
    "unanswered": "refused",
    "failed": "failed",
    "error": "failed",
    "interrupted": "interrupted",
}
_SIGNS = {
    "refused": "refusal",
    "rolled_back": "rolled back",
    "chaos": "chaos",
    "interrupted": "interruption",
    "cut_off": "interruption",
}


def tell(records: Iterable[Record], integrity: Integrity, period: Period = ALWAYS) -> Story:
    """Return the story of the period; `records` are all of the history, in the order of the file.

    Each has the fields that every record has (`chain`), and may hold anything else.
    """
    teller = Teller(period, integrity.verification)
    for record in records:
        teller.take(record)
    return teller.story(integrity)


class Teller:
    """Builds a Story from records in one pass and bounded memory.

    `found` says which of them are proven; None: all are.
    """

    def __init__(self, period: Period = ALWAYS, found: Verification | None = None) -> None:
        self._period, self._found = period, found
        self._events: Newest[Event] = Newest(MOST_EVENTS)
        self._violations: Newest[Violation] = Newest(MOST_VIOLATIONS)
        self._changes: Newest[Change] = Newest(MOST_CHANGES)
        self._open: OrderedDict[str, Run] = OrderedDict()
        self._rules: dict[tuple[str, str], Rule] = {}
        self._series: dict[str, Thinned] = {}
        self._tallies: dict[str, Counter[str]] = {verb: Counter() for verb in CHANGES}
        self._signs, self._shares, self._times = Signs(), Shares(), Times(period.since, period.until)
        self._beyond: set[str] = set()
        self._latency, self._recovery, self._ill = Figures(), Figures(), Figures()
        self._counted: Counter[str] = Counter()
        self._first: float | None = None
        self._last: float | None = None
        self._at, self._taken, self._home = 0.0, 0, ""
        self._proven = True
        self._ill_since: float | None = None
        self._news = News()
        self._record: Record = {}

    def take(self, record: Record) -> None:
        """Hear the next record."""
        self._record = record
        self._prove()
        self._tell_the_time()
        run = self._run()
        is_in = self._period.holds(self._at)
        if is_in:
            self._first = self._at if self._first is None else self._first
            self._last = self._at
            self._counted["records"] += 1
            self._shares.note(self._at)
        if record["task"] != "audit":
            self._times.take(self._at)
        if self._news.holds(record) and is_in and (said := sentences.event(record)):
            self._event(*said, _of(run))
        if told := _TOLD.get(record["event"]):
            told(self, run)
        shares = run.shares if run else None
        if run and run.take(record, self._at, proven=self._proven):
            self._close(run, ended=True)
        if run and run.shares is not None and run.shares != shares:
            self._shares.set(self._at, dict(run.shares), is_told=is_in)

    def story(self, integrity: Integrity) -> Story:
        """Return the story; may be called once."""
        for run in list(self._open.values()):
            self._close(run, ended=False)
        changes = self._changes.rows()
        return Story(
            self._period,
            integrity,
            self._summary(),
            self._events.rows(),
            self._violations.rows(),
            Rows(tuple(sorted(changes, key=lambda change: change.seq)), changes.left_out),
            tuple(self._rules[key] for key in sorted(self._rules)),
            tuple(self._series[slot].series() for slot in sorted(self._series)),
            signs=self._signs.signs(),
            shares=self._shares.shares(),
            stretch=self._times.stretch(),
            beyond=frozenset(self._beyond),
        )

    def _summary(self) -> Summary:
        return Summary(
            first=self._first,
            last=self._last,
            records=self._counted["records"],
            scrapes=self._counted["scrapes"],
            tallies=tuple(
                Tally(verb, tuple(sorted(outcomes.items()))) for verb, outcomes in self._tallies.items()
            ),
            automatic_rollbacks=self._counted["rolled_back"],
            recovery_p50_s=self._recovery.percentile(50),
            recovery_worst_s=self._recovery.percentile(100),
            ill_p50_s=self._ill.percentile(50),
            ill_worst_s=self._ill.percentile(100),
            questions=self._counted["questions"],
            policy_p50_ms=self._latency.percentile(50),
            policy_p95_ms=self._latency.percentile(95),
            refused=self._counted["refused"],
            unanswered=self._counted["unanswered"],
        )

    def _prove(self) -> None:
        """Note whether this record is proven."""
        self._taken += 1
        if self._found and not self._found.is_proven:
            proven = self._found.proven
            self._proven = proven is not None and proven.holds(self._taken, int(self._record["seq"]))

    def _tell_the_time(self) -> None:
        at = fields.moment(self._record["time"])
        if at is None:
            return
        before, self._at = self._at, at
        if at < before and self._taken > 1:
            self._event("clock", f"the clock went back by {words.seconds(before - at)}", Who())

    def _run(self) -> Run | None:
        """Return the run of this record, made when it is its first; None for a scrape of a run unknown."""
        name = fields.text(self._record.get("run"))
        run = self._open.get(name)
        if run is None and self._record["event"] in {"started", "lock"}:
            run = self._open[name] = Run(self._record, self._at, proven=self._proven)
            if len(self._open) > MOST_OPEN:
                self._close(next(iter(self._open.values())), ended=False)
        return run

    def _close(self, run: Run, *, ended: bool) -> None:
        del self._open[run.run]
        if not run.is_change or not self._period.meets(run.began, run.last):
            return
        change = run.change(ended=ended)
        self._changes.take(change)
        if change.outcome != "locked":
            self._signs.take(Sign(change.at, run.last, change.verb, change.outcome != "done"))
        self._tallies[run.verb][change.outcome[:40]] += 1

    def _event(self, kind: Kind, what: str, who: Who) -> None:
        if not self._period.holds(self._at):
            return
        record = self._record
        if sign := _SIGNS.get(kind):
            self._signs.take(Sign(self._at, self._at, sign, True))
        task, name = fields.text(record.get("task")), fields.text(record.get("run"))
        by = f"seen by {who}" if kind in SEEN and self._told("outcome") != "mended" else str(who)
        self._events.take(Event(int(record["seq"]), self._at, kind, what, by, task, name, self._proven))

    def _told(self, name: str) -> str:
        return fields.text(self._record.get(name))

    def _started(self, run: Run | None) -> None:
        home = self._told("home")
        if home and self._home and home != self._home:
            self._event(
                "moved", f"from here on the state folder is {home}, before it was {self._home}", _of(run)
            )
        self._home = home or self._home

    def _finished(self, run: Run | None) -> None:
        outcome, task = self._told("outcome"), self._told("task")
        verb = run.verb if run else task
        message = fields.text(fields.mapping(self._record.get("error")).get("message"))
        kind = _ENDS.get(outcome)
        is_told = run is not None and run.went_back
        if kind == "interrupted" or (kind and verb in {*CHANGES, "teardown", "build"} and not is_told):
            where = "" if verb == task else f" (in {task})"
            why = "" if message in {"", outcome} else f": {message}"
            self._event(kind, f"{verb}{where} {outcome}{why}", _of(run))
        if task == "teardown" and outcome == "done":
            self._news.keep_chaos_in({})
            self._shares.set(self._at, {}, is_told=self._period.holds(self._at))
            self._event("teardown", "teardown: everything of this project was removed", _of(run))

    def _rolled_back(self, _: Run | None) -> None:
        self._news.keep_chaos_in({})
        seconds = fields.number(self._record.get("seconds"))
        if self._period.holds(self._at):
            self._counted["rolled_back"] += 1
            if seconds is not None and self._record.get("had_traffic") is not False:
                self._recovery.take(seconds)

    def _cut_off(self, run: Run | None) -> None:
        since = fields.moment(self._record.get("since"))
        for other in self._open.values():
            is_meant = since is None or other.began - 1 <= since <= other.last + 1
            if other is not run and other.verb == self._told("verb") and is_meant:
                other.is_cut_off = True

    def _verdict(self, run: Run | None) -> None:
        found = judgement(self._record, self._at)
        if run:
            run.judge(found)
        if others := self._news.of_policies(self._record):
            self._event("policy", others, _of(run))
        if not self._period.holds(self._at):
            return
        self._counted["questions"] += 1
        self._counted[found.outcome[:40]] += 1
        if found.duration_ms is not None:
            self._latency.take(found.duration_ms)
        self._judge(found, run.verb if run else self._told("task"))

    def _judge(self, found: Judgement, verb: str) -> None:
        """Count what each rule said, and keep those that said no."""
        unanswered = Check("", False, None, None, found.error)
        for check in found.checks if found.outcome != "unanswered" else (unanswered,):
            key = (found.domain, check.rule)
            rule = self._rules.get(key)
            if check.rule and (rule or len(self._rules) < MOST_RULES):
                made, failed = (rule.made, rule.failed) if rule else (0, 0)
                failed += not check.passed
                self._rules[key] = Rule(found.domain, made + 1, failed, self._at, check)
            elif check.rule:
                self._beyond.add("rules")
            if not check.passed:
                self._violate(found, check, verb)

    def _violate(self, found: Judgement, check: Check, verb: str) -> None:
        self._violations.take(
            Violation(
                seq=found.seq,
                at=found.at,
                verb=verb,
                domain=found.domain,
                phase=found.phase,
                rule=check.rule,
                observed=check.observed,
                limit=check.limit,
                revision=found.revision,
                message=check.message,
                run=self._told("run"),
                proven=self._proven,
            )
        )

    def _scrape(self, run: Run | None) -> None:
        slots = fields.mapping(self._record.get("slots"))
        self._shares.found(self._at, scrapes.shares(slots))
        self._news.keep_chaos_in(slots)
        if not self._period.holds(self._at):
            return
        self._counted["scrapes"] += 1
        self._shares.note(self._at)
        if len(self._series.keys() | slots.keys()) > MOST_SLOTS:
            self._beyond.add("slots")
        for slot in self._series:
            if not slots.get(slot):
                self._series[slot].miss()
        for slot, value in list(slots.items())[:MOST_SLOTS]:
            if value and (slot in self._series or len(self._series) < MOST_SLOTS):
                self._scrape_slot(fields.text(slot), fields.mapping(value))
        for value in fields.items(self._record.get("verdicts"))[:MOST_SLOTS]:
            self._compliance(fields.mapping(value), run)

    def _scrape_slot(self, slot: str, found: Mapping[str, Any]) -> None:
        series = self._series.get(slot) or self._series.setdefault(slot, Thinned(slot))
        point, odd = scrapes.point(found, self._at)
        series.odd += odd
        series.take(point)

    def _compliance(self, value: Mapping[str, Any], run: Run | None) -> None:
        """Take a verdict of the dashboard, which records one only when a rule's answer has changed."""
        allow = value.get("allow")
        outcome = "unanswered" if not isinstance(allow, bool) else "allowed" if allow else "refused"
        found = judgement({**value, "seq": self._record["seq"], "outcome": outcome}, self._at)
        if outcome == "unanswered":
            reason = found.checks[0].message if found.checks else ""
            found = replace(found, error=reason)
        self._judge(found, run.verb if run else self._told("task"))
        if found.domain == "canary" and outcome != "unanswered":
            self._breach(found, run)

    def _breach(self, found: Judgement, run: Run | None) -> None:
        """Tell when what serves begins, or ceases, to break a rule of the canary policy."""
        broken = ", ".join(check.message or check.rule for check in found.checks if not check.passed)
        since, is_ill = self._ill_since, found.outcome == "refused"
        if is_ill and since is None:
            self._ill_since = found.at
            self._event("breach", f"what serves breaks the rules: {broken}", _of(run))
        if since is not None and not is_ill:
            self._ill_since = None
            self._ill.take(found.at - since)
            self._event(
                "breach", f"what serves keeps the rules again, after {found.at - since:.0f} s", _of(run)
            )


def _of(run: Run | None) -> Who:
    return run.who if run else Who()


_TOLD: dict[str, Callable[[Teller, Run | None], None]] = {
    "started": Teller._started,
    "finished": Teller._finished,
    "rolled_back": Teller._rolled_back,
    "cut_off": Teller._cut_off,
    "verdict": Teller._verdict,
    "scrape": Teller._scrape,
}
