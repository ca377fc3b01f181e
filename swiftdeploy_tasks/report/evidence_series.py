"""Collects the evidence of the verdicts of one change, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swiftdeploy_tasks.history.chain import Record
from swiftdeploy_tasks.metrics import Counts, RuleEvidence
from swiftdeploy_tasks.report import record_fields, series
from swiftdeploy_tasks.report.collectors import Buckets
from swiftdeploy_tasks.report.recorded_evidence import (
    RULES,
    ChangeEvidence,
    EvidencePoint,
    RecordedEvidence,
)

MOST_POINTS = 150


class EvidenceSeries:
    """Collects the evidence of one change."""

    def __init__(self) -> None:
        self._points: Buckets[EvidencePoint] = Buckets(MOST_POINTS, _highest)
        self._judged = 0
        self._last: RecordedEvidence | None = None

    def add(self, record: Record, at: float) -> None:
        """Add a verdict's record; one without sound evidence is left out."""
        found = evidence_of(record, at)
        if found is None:
            return
        self._judged, self._last = self._judged + 1, found
        self._points.add(_point(record, found))

    def evidence(self) -> ChangeEvidence | None:
        """Return what was collected, None where no verdict had evidence."""
        return ChangeEvidence(self._points.values(), self._judged, self._last) if self._last else None


def evidence_of(record: Record, at: float) -> RecordedEvidence | None:
    """Return the evidence of a verdict's record, None where it has none that makes sense."""
    asked = record_fields.mapping(record.get("input"))
    found = record_fields.mapping(asked.get("evidence"))
    rules = {rule: one for rule in RULES if (one := _rule(record_fields.mapping(found.get(rule))))}
    limits = record_fields.mapping(record.get("limits"))
    threshold = series.bounded(limits.get("evidence"), series.HIGHEST)
    if not rules or threshold is None or threshold <= 1:
        return None
    new, stable = (record_fields.window(window) for window in _windows(asked))
    return RecordedEvidence(at, threshold, rules, new, stable)


def _rule(found: Mapping[str, Any]) -> RuleEvidence | None:
    """Return the evidence of one rule, None where a figure of it is missing or cannot be."""
    e, proven_e = (record_fields.number(found.get(name)) for name in ("e", "proven_e"))
    new = _counts(found.get("requests"), found.get("bad"))
    if e is None or proven_e is None or min(e, proven_e) < 0 or new is None:
        return None
    stable = _counts(found.get("stable_requests"), found.get("stable_bad"))
    boundary = record_fields.number(found.get("boundary_ms"))
    return RuleEvidence(e, proven_e, new, stable, boundary, record_fields.text(found.get("why")))


def _counts(requests: object, bad: object) -> Counts | None:
    whole = series.bounded(requests, series.HIGHEST)
    part = None if whole is None else series.bounded(bad, whole)
    return None if whole is None or part is None else Counts(round(whole), round(part))


def _windows(asked: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what nginx counted of the new slot and of stable; the page's window where it did not count."""
    new = record_fields.mapping(asked.get("clients")) or record_fields.mapping(asked.get("window"))
    return new, record_fields.mapping(asked.get("beside"))


def _point(record: Record, found: RecordedEvidence) -> EvidencePoint:
    figures = [series.figures(one) for one in _windows(record_fields.mapping(record.get("input")))]
    return EvidencePoint(
        found.at,
        tuple(found.rules[rule].e if rule in found.rules else None for rule in RULES),
        tuple(one["errors"] for one in figures),
        tuple(one["p99"] for one in figures),
    )


def _highest(earlier: EvidencePoint, later: EvidencePoint) -> EvidencePoint:
    def higher(name: str) -> tuple[float | None, ...]:
        pairs = zip(getattr(earlier, name), getattr(later, name), strict=True)
        return tuple(max((one for one in pair if one is not None), default=None) for pair in pairs)

    return EvidencePoint(earlier.at, higher("e"), higher("errors"), higher("p99"))
