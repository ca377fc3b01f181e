"""Times, figures and shares as text. Times are UTC."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime

from swiftdeploy_tasks.metrics import Window

LONGEST = 300
_KEPT = "\n\t"
_BOUND, _MARKS = 40, 4
_UNITS = {"_percent": " %", "_ms": " ms", "_per_s": "/s", "_gb": " GB"}
_EXACT = re.compile(r"(?<=error rate: )\d+\.\d+|(?<=error rate )\d+\.\d+|(?<![\w.])\d+\.\d{3,}(?= m?s\b)")


def moment(at: float) -> str:
    """Return a date and time, to the second."""
    return _utc(at).replace(tzinfo=None).isoformat(" ", "seconds")


def clock(at: float) -> str:
    """Return the time of the day."""
    return f"{_utc(at):%H:%M:%S}"


def span(start: float, end: float) -> str:
    """Return the start and the end of a time."""
    is_one_day = _utc(start).date() == _utc(end).date()
    return f"{moment(start)} to {clock(end) if is_one_day else moment(end)} UTC"


def period(since: float, until: float) -> str:
    """Return a period, each end infinite where it is open."""
    if math.isfinite(since) and math.isfinite(until):
        return span(since, until)
    if math.isfinite(since):
        return f"since {moment(since)} UTC"
    return f"until {moment(until)} UTC" if math.isfinite(until) else "all of the history"


def figure(value: object) -> str:
    """Return a figure with its significant digits, a list as its members, anything else as its text."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(figure, value)) or "none"
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value.is_integer():
        return f"{int(value):,}".replace(",", " ") if abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}".replace(",", " ")


def measured(name: str, value: object) -> str:
    """Return the value of a rule or a window with the unit that its name implies; "" for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return figure(value)
    if name.endswith("_rate"):
        return f"{figure(100 * value)} %"
    return figure(value) + next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")


def bound(name: str, value: object) -> str:
    """Return a limit as `measured` does, cut where it is long."""
    return "none" if value is None else cut(measured(name, value), _BOUND)


def rounded(text: str) -> str:
    """Return a recorded sentence with its error rates and times as `figure` formats them."""
    return _EXACT.sub(lambda found: figure(float(found[0])), text)


def seconds(value: float | None) -> str:
    """Return a duration."""
    if value is None:
        return "not known"
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h" if value < 1e9 else f"{value / 3600:.3g} h"


def window(seen: Window) -> str:
    """Return the known figures of a window."""
    known = (
        (measured("rate_per_s", seen.rate), ""),
        (measured("error_rate", seen.error_rate), " errors"),
        (measured("p50_ms", seen.p50_ms), " p50"),
        (measured("p99_ms", seen.p99_ms), " p99"),
    )
    figures = [f"{value}{what}" for value, what in known if value]
    return ", ".join([f"{counted(seen.requests, 'request')} in {seconds(seen.seconds)}", *figures])


def weights(shares: Iterable[tuple[str, int]]) -> str:
    """Return the share of each slot."""
    return ", ".join(f"{slot} {share} %" for slot, share in shares) or "no slot"


def times(count: int) -> str:
    """Return a number of times."""
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def counted(count: int, what: str) -> str:
    """Return a number of things; `what` names one of them."""
    return f"{figure(count)} {what}{'s' * (count != 1)}"


def cut(text: str, longest: int = LONGEST) -> str:
    """Return the text, or its beginning and an ellipsis where it is longer."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def printable(text: str) -> str:
    """Return the text with U+FFFD for every sign that cannot be printed; line ends and tabs stay.

    A sign keeps at most four combining marks: more would be drawn over other lines.
    """
    if text.isascii() and text.isprintable():
        return text
    shown, marks = [], 0
    for sign in text:
        marks = marks + 1 if unicodedata.category(sign).startswith("M") else 0
        if marks <= _MARKS:
            shown.append(sign if sign.isprintable() or sign in _KEPT else "\ufffd")
        elif marks == _MARKS + 1:
            shown.append("\ufffd")
    return "".join(shown)


def _utc(at: float) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
