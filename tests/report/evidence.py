"""Verdicts with evidence as the records of a change hold them."""

from __future__ import annotations

from typing import Any

from swiftdeploy_tasks.report.audit_report import AuditReport
from swiftdeploy_tasks.report.builder import build_report
from tests.report.records import WHOLE, chained, finished, started, verdict

RULES = ("max_error_rate", "max_error_ratio", "max_p99_ms", "max_slow_ratio")
LIMITS = {"max_error_rate": 0.01, "evidence": 400}
Content = dict[str, Any]


def rule(name: str, e: Any = 1.0, *, requests: Any = 200, bad: Any = 3, **fields: Any) -> Content:
    """The evidence of one rule."""
    is_ratio, is_latency = name.endswith("_ratio"), not name.startswith("max_error_")
    found = {"e": e, "proven_e": 1, "requests": requests, "bad": bad, "why": ""}
    found |= {"stable_requests": 1800, "stable_bad": 9} if is_ratio else {}
    return found | {"boundary_ms": 500 if is_latency else None} | fields


def rules(e: Any = 1.0, **changed: Any) -> Content:
    """The evidence of the four rules: `e` is that of the error rate."""
    return {name: rule(name) for name in RULES} | {"max_error_rate": rule("max_error_rate", e)} | changed


def window(error_rate: Any = 0.015, p99_ms: Any = 20.0, requests: int = 200) -> Content:
    figures = {"rate": 10.0, "error_rate": error_rate, "p50_ms": 5.0, "p95_ms": 12.0, "p99_ms": p99_ms}
    return {"seconds": 20.0, "requests": requests, **figures}


def judged(after: float, evidence: Any, **changed: Any) -> Content:
    """The record of a verdict in a step; `changed` are fields of its input."""
    asked = {"phase": "watch", "evidence": evidence, "clients": window(), "beside": window(0.005, 18.0, 1800)}
    return verdict("r1", allow=True, input=asked | changed, limits=LIMITS, after=after)


def change(*verdicts: Content) -> AuditReport:
    """The report of one deploy with these verdicts."""
    ended = finished("deploy", "r1", after=100)
    return build_report(chained([started("deploy", "r1", after=0), *verdicts, ended]), WHOLE)
