"""Pictures to draw, as a look would have made them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from swiftdeploy_tasks.metrics import Scrape, Window
from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.model.verdict import Check, Verdict
from swiftdeploy_tasks.report.audit_report import TimelineEvent
from swiftdeploy_tasks.report.evidence_series import evidence_of
from swiftdeploy_tasks.rollout.sampling import Sample
from swiftdeploy_tasks.status.picture import Picture
from tests.report.evidence import LIMITS, rules
from tests.rollout.plan_states import release

RELEASE = release("1.0.0")
WINDOW = Window(30.0, 600, 20.0, 0.0, 2.5, 10.0, 40.0)
EVIDENCE = evidence_of({"limits": LIMITS, "input": {"evidence": rules(37)}}, 1000.0)
SAMPLE = Sample(RELEASE, 100, True, scrape=Scrape(time=1000.0, chaos="none"), window=WINDOW)


def check(rule: str = "max_p99_ms", *, passed: bool = True, observed: Any = 40.0, limit: Any = 500) -> Check:
    return Check(rule, passed, observed, limit, f"{rule}: {observed}, at most {limit} wanted")


def verdict(*checks: Check, domain: str = "canary") -> Verdict:
    return Verdict(domain, all(one.passed for one in checks), checks, "0123456789abcdef", "embedded", 3.0)


def event(what: str) -> TimelineEvent:
    at = datetime(2026, 3, 1, 11, 59, 58, tzinfo=UTC).timestamp()
    return TimelineEvent(7, at, "chaos", what, "somebody", True)


def picture(**changes: Any) -> Picture:
    whole = Picture(
        time="2026-03-01T12:00:00Z",
        project="shop",
        engine="local",
        is_deployed=True,
        url="http://127.0.0.1:8080/",
        traffic=Traffic({"blue": 100}),
        since="2026-03-01T11:58:20.123Z",
        slots={"blue": SAMPLE, "green": None},
        rates={"blue": (None, 1.0, 20.0), "green": (None, None, None)},
        compliance=(verdict(check()),),
        host={
            "disks": [{"path": "/srv", "free_gb": 80.5}],
            "load_minutes": 5,
            "load_per_core": 0.5,
            "memory_used_percent": 12.0,
        },
    )
    return replace(whole, **changes)
