"""Reads the figures of a recorded scrape, leaving out values that no app can have counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from swiftdeploy_tasks.report import fields
from swiftdeploy_tasks.report.course import Point

# No slot answers as many requests a second, nor as slowly in ms; what lies beyond would flatten the rest.
HIGHEST = 1e12


def point(found: Mapping[str, Any], at: float) -> tuple[Point, int]:
    """Return what was seen, and how many figures in it cannot be."""
    window = fields.mapping(found.get("window"))
    rate, odd_rate = _believed(window.get("rate"), HIGHEST)
    if rate is None and not odd_rate and window.get("requests") == 0:
        rate = 0.0
    errors, odd_errors = _believed(window.get("error_rate"), 1.0)
    tail = window.get("p99_ms")
    tail, odd_tail = _believed(window.get("beyond_ms") if fields.number(tail) is None else tail, HIGHEST)
    seen = Point(
        at=at,
        until=at,
        release=fields.text(found.get("release")),
        version=fields.text(found.get("version")),
        mode=fields.text(found.get("mode")),
        weight=round(fields.number(found.get("weight")) or 0),
        rate=rate,
        low_rate=rate,
        peak_rate=rate,
        error_rate=errors,
        p99_ms=tail,
        chaos="" if found.get("chaos") == "none" else fields.text(found.get("chaos")),
        gap=False,
    )
    return seen, odd_rate + odd_errors + odd_tail


def shares(slots: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the percent of requests that each slot got, None where it was not there."""
    return {
        fields.text(slot): (_believed(fields.mapping(found).get("weight"), 100)[0] or 0.0) if found else None
        for slot, found in slots.items()
    }


def _believed(value: object, highest: float) -> tuple[float | None, bool]:
    """The figure, None where it is none or cannot be, and whether it is one that cannot be."""
    figure = fields.number(value)
    if figure is None:
        return None, isinstance(value, float) and not math.isnan(value)
    return (figure, False) if 0 <= figure <= highest else (None, True)
