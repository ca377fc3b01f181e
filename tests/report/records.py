"""Records as the verbs write them, sealed into a chain without a file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from swiftdeploy_tasks.history.chain import GENESIS, Head, Record, seal
from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.report.integrity import Integrity

BEGAN = datetime(2026, 11, 24, 15, 0, tzinfo=UTC).timestamp()
WHOLE = Integrity(Verification(True, 0, None, ""))
WHO = {"user": "ana", "host": "web1"}


def chained(contents: Iterable[dict[str, Any]]) -> list[Record]:
    """Records with these contents, a second apart; `after` is how many seconds instead, from BEGAN."""
    records: list[Record] = []
    head = GENESIS
    for number, content in enumerate(contents):
        after = content.pop("after", number)
        time = datetime.fromtimestamp(BEGAN + after, UTC).isoformat(timespec="milliseconds")
        base = {"task": "deploy", "run": "r1", "outcome": None}
        record = seal({**base, **content}, head, time.replace("+00:00", "Z"))
        records.append(record)
        head = Head.of(record)
    return records


def started(verb: str, run: str, **fields: Any) -> dict[str, Any]:
    return {"event": "started", "task": verb, "run": run, "argv": verb, "who": WHO, **fields}


def finished(verb: str, run: str, outcome: str = "done", code: int = 0, **fields: Any) -> dict[str, Any]:
    ended = {"outcome": outcome, "exit_code": code, "duration_ms": 1000.0}
    return {"event": "finished", "task": verb, "run": run, **ended, **fields}


def verdict(run: str, *, allow: bool, observed: Any = 0.5, **fields: Any) -> dict[str, Any]:
    check = {
        "rule": "max_error_rate",
        "passed": allow,
        "observed": observed,
        "limit": 0.01,
        "message": "rate",
    }
    base = {"domain": "canary", "allow": allow, "revision": "abc", "answered_by": "embedded"}
    own = {"duration_ms": 3.0, "checks": [check], "input": {"phase": "watch"}}
    outcome = "allowed" if allow else "refused"
    return {"event": "verdict", "run": run, "outcome": outcome, **base, **own, **fields}


def scrape(after: float, rate: float | None, error_rate: float = 0.0, **fields: Any) -> dict[str, Any]:
    window = None
    if rate is not None:
        window = {"seconds": 5.0, "requests": round(rate * 5), "rate": rate, "error_rate": error_rate}
        window |= {"p99_ms": 4.0}
    slot = {"release": "aaa", "mode": "stable", "version": "1.0.0", "weight": 100, "window": window}
    base = {"event": "scrape", "task": "status", "run": "s1", "outcome": "done", "after": after}
    return {**base, "slots": {"blue": {**slot, **fields}, "green": None}}
