"""One day on record, made up: a deploy, a promote, a release that turns sick, a refusal, an interruption.

Two slots take turns under a load that is scraped every five seconds, but for a time when nobody looked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swiftdeploy_tasks.history.chain import Head
from swiftdeploy_tasks.history.links import Proven
from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.report.audit_report import AuditReport
from swiftdeploy_tasks.report.builder import build_report
from swiftdeploy_tasks.report.integrity import Integrity
from tests.report.records import chained, finished, scrape, started, verdict

STABLE = {"release": "aaa", "version": "1.0.0", "mode": "stable"}
CANARY = {"release": "bbb", "version": "1.0.0", "mode": "canary"}
SICK = {"release": "ccc", "version": "1.1.0", "mode": "canary"}
PICTURES = ("happened", "rate", "errors", "p99", "shares")
LOG = ("GET /work 500", 'File "<app>", line 3', "RuntimeError: <no database>")
Content = dict[str, Any]


def check(rule: str, observed: float, limit: float, *, passed: bool) -> Content:
    message = f"{rule}: {observed}, at most {limit} wanted"
    return {"rule": rule, "passed": passed, "observed": observed, "limit": limit, "message": message}


def canary(run: str, after: float, phase: str, error_rate: float = 0.0, p99: float = 12.0) -> Content:
    checks = [
        check("max_error_rate", error_rate, 0.01, passed=error_rate <= 0.01),
        check("max_p99_ms", p99, 500, passed=p99 <= 500),
    ]
    window = {"seconds": 5.0, "requests": 500, "rate": 100.0, "error_rate": error_rate, "p99_ms": p99}
    asked = {"phase": phase, "window": window}
    allow = all(one["passed"] for one in checks)
    return verdict(run, allow=allow) | {"checks": checks, "after": after, "input": asked}


def host(run: str, after: float) -> Content:
    checks = [check("max_load_per_core", 0.4, 2, passed=True)]
    return verdict(run, allow=True, domain="infrastructure", checks=checks, input={}) | {"after": after}


def step(run: str, after: float, action: str, weights: dict[str, int] | None = None) -> list[Content]:
    begun: Content = {"event": "step", "run": run, "action": action, "target": "nginx", "after": after}
    begun |= {"reason": "the next is to take over"} | ({"weights": weights} if weights else {})
    return [begun, {"event": "step", "run": run, "outcome": "done", "seconds": 0.4, "after": after + 0.4}]


def rollover(verb: str, run: str, after: float, release: Content, before: Content | None) -> list[Content]:
    """The records of a change that goes through, up to its confirmation."""
    slot, other = ("green", "blue") if release["mode"] == "canary" else ("blue", "green")
    shares = [{slot: 10, other: 90}, {slot: 50, other: 50}, {slot: 100}] if before else [{slot: 100}]
    rows = [started(verb, run) | {"after": after}, host(run, after + 0.3)]
    rows.append({"event": "target", "run": run, "before": before, "after": after + 0.5, **release})
    rows += step(run, after + 1, "start")
    for number, weights in enumerate(shares):
        rows += step(run, after + 3 + 6 * number, "route", weights)
        rows.append(canary(run, after + 5 + 6 * number, "watch"))
    return rows


def confirmed(verb: str, run: str, after: float, release: Content, before: Content | None) -> list[Content]:
    serves = {"event": "confirmed", "run": run, "outcome": "done", "before": before, **release}
    return [
        *rollover(verb, run, after, release, before),
        serves | {"after": after + 22},
        finished(verb, run, spent={"start": 1.4, "health": 2.1, "gate": 0.1}) | {"after": after + 23},
    ]


def turned_sick(after: float) -> list[Content]:
    reason = {"kind": "PolicyRefused", "message": "max_error_rate: 0.42, at most 0.01 wanted"}
    back = {"event": "rolled_back", "run": "r3", "seconds": 1.2, "reason": reason, "to": CANARY}
    ended = finished("deploy", "r3", "refused", 3, error=reason, log=list(LOG), spent={"start": 1.5})
    return [
        *rollover("deploy", "r3", after, SICK, CANARY)[:-3],
        canary("r3", after + 12, "watch", 0.42),
        *step("r3", after + 12.5, "route", {"blue": 100}),
        back | {"after": after + 13},
        ended | {"after": after + 14},
    ]


def refused(after: float) -> list[Content]:
    error = {"kind": "PolicyRefused", "message": "max_error_rate: 0.31; nothing was changed"}
    ended = finished("promote", "r4", "refused", 3, error=error)
    return [
        started("promote", "r4") | {"after": after},
        canary("r4", after + 1, "before", 0.31),
        ended | {"after": after + 2},
    ]


def scrapes() -> list[Content]:
    rows = []
    for after in range(10, 900, 5):
        if 300 < after < 420:
            continue
        row = scrape(after, 100 + after % 11, 0.31 * (600 < after < 700), p99_ms=12 + after % 7)
        seen = row["slots"]["blue"]
        rows.append(row if after < 150 else row | {"slots": {"blue": None, "green": seen}})
    return rows


def contents() -> list[Content]:
    chaos = {"event": "chaos", "task": "status", "run": "s1", "kind": "error", "slot": "green"}
    interrupted = finished("deploy", "r5", "interrupted", 130, error={"message": "interrupted"})
    rows = [
        started("status", "s1") | {"after": 0.5},
        *confirmed("deploy", "r1", 1, STABLE, None),
        *confirmed("promote", "r2", 130, CANARY, STABLE),
        *turned_sick(460),
        chaos | {"outcome": "seen", "release": "bbb", "after": 600},
        *refused(650),
        chaos | {"outcome": "gone", "release": "bbb", "after": 700},
        started("deploy", "r5") | {"after": 720},
        interrupted | {"after": 723},
        *confirmed("rollback", "r6", 750, STABLE, CANARY),
        *scrapes(),
    ]
    return sorted(rows, key=lambda row: float(row["after"]))


def report(changed: list[Content] | None = None, *, bad: tuple[int, str] | None = None) -> AuditReport:
    """The report of the day, or of these records; `bad` is a line that does not verify, and why."""
    records = chained(changed if changed is not None else contents())
    head = Head(records[-1]["seq"], records[-1]["hash"]) if records else None
    if bad is None:
        whole = Verification(True, len(records), None, "", head=head)
        return build_report(records, Integrity(whole))
    line, reason = bad
    verification = Verification(
        False,
        len(records),
        line,
        reason,
        first_bad_file=Path("history.jsonl"),
        head=head,
        proven=Proven(line + 1, len(records), before=line),
    )
    return build_report(records, Integrity(verification))
