"""Recognizes what the timeline already says: the same chaos, drift or limits, recorded again.

Verbs and dashboards record what they find, each for itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.report import record_fields
from swiftdeploy_tasks.report.record_fields import text_of

MOST_KEPT, MOST_LIMITS = 200, 50
_NONE: Mapping[str, Any] = {}


class Duplicates:
    """Remembers the last value of each chaos, drift and limit, the newest MOST_KEPT of them."""

    def __init__(self) -> None:
        self._values: OrderedDict[tuple[str, ...], object] = OrderedDict()
        self._revision = ""

    def is_new(self, record: Record) -> bool:
        """Return whether a record says something new, and remember it."""
        if record["event"] == "chaos":
            is_seen = record.get("outcome") == "seen"
            now = text_of(record, "release"), text_of(record, "kind") if is_seen else ""
            return self._replace(("chaos", text_of(record, "slot")), now) != now
        if record["event"] == "drift":
            return self._is_new_drift(record)
        return True

    def forget_chaos(self, *, but_in: Mapping[str, Any] = _NONE) -> None:
        """Forget the chaos of all slots but those that are not empty here."""
        self._forget("chaos", keep=[slot for slot, found in but_in.items() if found])

    def changed_policies(self, record: Record) -> str:
        """Return how the policies of a verdict differ from the ones before, "" where they do not."""
        revision, before = text_of(record, "revision"), self._revision
        if not revision:
            return ""
        self._revision = revision
        domain, limits = text_of(record, "domain"), record_fields.mapping(record.get("limits"))
        if limits and (changed := _changed(self._replace(("limits", domain), limits), limits)):
            return f"limits of {domain} changed: {changed}"
        return f"policies changed: revision {before} to {revision}" if before not in {"", revision} else ""

    def _is_new_drift(self, record: Record) -> bool:
        outcome, target = text_of(record, "outcome"), text_of(record, "target")
        key = "drift", target, text_of(record, "what"), text_of(record, "found")
        if outcome == "found":
            return self._replace(key, outcome) != outcome
        if outcome == "gone":
            self._values.pop(key, None)
        else:
            self._forget("drift", *filter(None, [target]))
        return True

    def _replace(self, key: tuple[str, ...], value: object) -> object:
        """Remember a value, and return the one before, None without any."""
        before = self._values.pop(key, None)
        self._values[key] = value
        if len(self._values) > MOST_KEPT:
            self._values.popitem(last=False)
        return before

    def _forget(self, *start: str, keep: list[str] | None = None) -> None:
        for key in [key for key in self._values if key[: len(start)] == start]:
            if key[1] not in (keep or []):
                del self._values[key]


def _changed(before: object, now: Mapping[str, Any]) -> str:
    """Return the limits that differ, "" where there are none before."""
    if not isinstance(before, Mapping):
        return ""
    plain = record_fields.plain
    names = [name for name in sorted({*before, *now}, key=str) if before.get(name) != now.get(name)]
    return ", ".join(
        f"{record_fields.text(name)} from {plain(before.get(name))} to {plain(now.get(name))}"
        for name in names[:MOST_LIMITS]
    )
