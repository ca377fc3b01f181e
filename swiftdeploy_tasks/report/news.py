"""Drops records that repeat what another one recorded: the same chaos, drift or limits.

Its memory is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.report import fields

MOST_SLOTS, MOST_DRIFT, MOST_DOMAINS, MOST_LIMITS = 4, 200, 8, 50


class News:
    """The values that were reported so far."""

    def __init__(self) -> None:
        self._chaos: dict[str, tuple[str, str]] = {}
        self._drift: set[tuple[str, str, str]] = set()
        self._limits: dict[str, Mapping[str, Any]] = {}
        self._revision = ""

    def holds(self, record: Record) -> bool:
        """Return whether this is new, and remember it."""
        news = {"chaos": self._is_new_chaos, "drift": self._is_new_drift}.get(record["event"])
        return news(record) if news else True

    def keep_chaos_in(self, slots: Mapping[str, Any]) -> None:
        """Forget the chaos of slots that are gone; with none, all of it."""
        self._chaos = {slot: found for slot, found in self._chaos.items() if slots.get(slot)}

    def of_policies(self, record: Record) -> str:
        """Return in what the policies that a verdict comes from differ from those before, "" for nothing."""
        domain, revision, before = _text(record, "domain"), _text(record, "revision"), self._revision
        if not revision:
            return ""
        self._revision = revision
        limits, former = fields.mapping(record.get("limits")), self._limits.get(domain)
        if limits and (former is not None or len(self._limits) < MOST_DOMAINS):
            self._limits[domain] = limits
        changed = _differences(former, limits) if former is not None and limits else ""
        if changed:
            return f"the limits of {domain} changed: {changed}"
        is_other = before not in {"", revision}
        return f"the policies changed: revision {before} to {revision}" if is_other else ""

    def _is_new_chaos(self, record: Record) -> bool:
        slot, release = _text(record, "slot"), _text(record, "release")
        now = release, _text(record, "kind") if _text(record, "outcome") == "seen" else ""
        if self._chaos.get(slot) == now:
            return False
        if slot in self._chaos or len(self._chaos) < MOST_SLOTS:
            self._chaos[slot] = now
        return True

    def _is_new_drift(self, record: Record) -> bool:
        target = _text(record, "target")
        found = target, _text(record, "what"), _text(record, "found")
        if _text(record, "outcome") == "found":
            is_new = found not in self._drift
            if len(self._drift) < MOST_DRIFT:
                self._drift.add(found)
            return is_new
        if _text(record, "outcome") == "gone":
            self._drift.discard(found)
        else:
            self._drift = {one for one in self._drift if target and one[0] != target}
        return True


def _text(record: Record, name: str) -> str:
    return fields.text(record.get(name))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{fields.text(name)} from {fields.plain(before.get(name))} to {fields.plain(now.get(name))}"
        for name in sorted({*before, *now}, key=str)[:MOST_LIMITS]
        if before.get(name) != now.get(name)
    )
