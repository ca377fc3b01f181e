"""Reads typed fields of a record, None where a field does not fit.

The chain proves that a record was not changed, not that its fields make sense: they may hold anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.metrics import Window
from swiftdeploy_tasks.model.verdict import WORDS, Check
from swiftdeploy_tasks.report.collectors import Rows
from swiftdeploy_tasks.report.recorded_change import Actor, RunningRelease
from swiftdeploy_tasks.report.recorded_verdict import RecordedVerdict

LONGEST = 1000
MOST_CHECKS = 100
MOST_LINES = 50
MOST_OPTIONS = 20
MOST_CLAIMS = 5
_FIGURES = ("rate", "error_rate", "p50_ms", "p95_ms", "p99_ms", "beyond_ms")


def text(value: object) -> str:
    """Return a text, cut where it is very long; "" for any other value."""
    if not isinstance(value, str):
        return ""
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}… ({len(value)} characters)"


def text_of(record: Mapping[str, Any], name: str) -> str:
    """Return the text of a field, "" where it holds none."""
    return text(record.get(name))


def number(value: object) -> float | None:
    """Return a finite figure, None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        figure = float(value)
    except OverflowError:
        return None
    return figure if math.isfinite(figure) else None


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object, empty for any other value."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Return a list, empty for any other value."""
    return value if isinstance(value, list) else []


def lines(value: object) -> Rows[str]:
    """Return the last texts of a list."""
    found = items(value)
    return Rows(tuple(map(text, found[-MOST_LINES:])), max(0, len(found) - MOST_LINES))


def moment(value: object) -> float | None:
    """Return the Unix seconds of an RFC 3339 time (UTC without a zone), None for any other value."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() if found else None
    except (ValueError, OverflowError):
        return None


def plain(value: object) -> object:
    """Return a scalar unchanged, a list as its members in a text, anything else as JSON."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if number(value) is not None else "beyond all figures"
    if isinstance(value, list):
        return text(
            ", ".join(str(plain(one)) if isinstance(one, str) else _json(one) for one in value) or "none"
        )
    return text(value if isinstance(value, str) else _json(value))


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=repr)
    except RecursionError:
        return "nested too deeply to be shown"


def weights(value: object) -> tuple[tuple[str, int], ...] | None:
    """Return the (slot, percent) of an object by slot, None for any other value."""
    if not isinstance(value, dict):
        return None
    found = ((text(slot), number(share)) for slot, share in mapping(value).items())
    return tuple(sorted((slot, round(share)) for slot, share in found if share is not None)[:4])


def options(value: object) -> tuple[str, ...]:
    """Return the options of a verb as they are typed, without --json."""
    given = ((text(name), one) for name, one in list(mapping(value).items())[:MOST_OPTIONS])
    return tuple(
        f"--{name}" if one is True else f"--{name} {plain(one)}" for name, one in given if name != "json"
    )


def actor(value: object) -> Actor:
    """Return the user, host and CI run that an object names."""
    found = mapping(value)
    claims = list(mapping(found.get("claimed")).items())[:MOST_CLAIMS]
    claimed = tuple((text(name), text(value)) for name, value in claims)
    return Actor(text(found.get("user")), text(found.get("host")), text(found.get("ci")), claimed)


def running(value: object) -> RunningRelease | None:
    """Return the release that an object describes, None where it names none."""
    found = mapping(value)
    release = text(found.get("release"))
    return RunningRelease(release, text(found.get("version")), text(found.get("mode"))) if release else None


def wanted(value: object) -> RunningRelease | None:
    """Return the wanted version and mode as a release without an id, None where they are not on record."""
    found = mapping(value)
    version = text(found.get("version"))
    return RunningRelease("", version, text(found.get("mode"))) if version else None


def checks(value: object) -> Rows[Check]:
    """Return the first checks of a verdict."""
    found = items(value)
    kept = tuple(
        Check(
            text(one.get("rule")),
            one.get("passed") is True,
            plain(one.get("observed")),
            plain(one.get("limit")),
            text(one.get("message")),
            _evidence(one.get("evidence")),
        )
        for one in map(mapping, found[:MOST_CHECKS])
    )
    return Rows(kept, len(found) - len(kept))


def _evidence(value: object) -> Mapping[str, Any] | None:
    """Return the verdict of the evidence of a check, None where it has none."""
    word = mapping(value).get("verdict")
    return {"verdict": word} if word in WORDS else None


def window(value: object) -> Window | None:
    """Return a window with its known figures, None for any other value."""
    found = mapping(value)
    seconds, requests = number(found.get("seconds")), number(found.get("requests"))
    if seconds is None or requests is None:
        return None
    return Window(seconds, round(requests), *[number(found.get(name)) for name in _FIGURES])


def verdict_of(record: Record, at: float) -> RecordedVerdict:
    """Return the verdict that a record holds."""
    listed = checks(record.get("checks"))
    asked = mapping(record.get("input"))
    return RecordedVerdict(
        seq=int(record["seq"]),
        at=at,
        domain=text_of(record, "domain"),
        outcome=text_of(record, "outcome"),
        said=text_of(record, "verdict"),
        phase=text_of(asked, "phase"),
        window=window(asked.get("window")),
        revision=text_of(record, "revision"),
        answered_by=text_of(record, "answered_by"),
        duration_ms=number(record.get("duration_ms")),
        checks=listed.shown,
        unlisted=listed.left_out,
        error=text_of(record, "error"),
    )


def dashboard_verdict_of(found: Mapping[str, Any], record: Record, at: float) -> RecordedVerdict:
    """Return a verdict that the scrape of a dashboard holds."""
    allow = found.get("allow")
    outcome = "unanswered" if not isinstance(allow, bool) else "allowed" if allow else "refused"
    verdict = verdict_of({**found, "seq": record["seq"], "outcome": outcome}, at)
    if outcome == "unanswered" and verdict.checks:
        return replace(verdict, error=verdict.checks[0].message)
    return verdict
