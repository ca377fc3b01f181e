"""The evidence of a verdict as tables, with a line for what each figure means."""

from __future__ import annotations

from collections.abc import Iterator

from swiftdeploy_tasks.metrics import Counts, RuleEvidence, Window
from swiftdeploy_tasks.report import formatting, tables
from swiftdeploy_tasks.report.recorded_evidence import RULES, RecordedEvidence
from swiftdeploy_tasks.report.tables import Cell, Table

# Evidence from here on has its odds in words.
WORTH_SAYING = 2
LEAST, MOST = 0.01, 1_000_000


def of_rules(evidence: RecordedEvidence) -> Table:
    """Return the evidence of each rule with the counts behind it."""
    threshold = formatting.figure(evidence.threshold)
    return Table(
        "Evidence against the release and for it",
        ("Rule", "Against the release", "For it", "New", "Stable", "What it means"),
        tuple(_rule(rule, found, evidence.threshold) for rule, found in evidence.rules.items()),
        note=f"As of {formatting.clock(evidence.at)} UTC. Evidence against the release starts at 1. A release"
        f" that keeps the limit reaches {threshold} in at most 1 of {threshold} rollouts, however often it is"
        " looked at; there the rule fails.",
    )


def of_slots(evidence: RecordedEvidence) -> Table:
    """Return what both slots did, side by side."""
    sides = (("new", evidence.new), ("stable", evidence.stable))
    return Table(
        "New and stable side by side",
        ("Slot", "Requests", "Errors", "p50", "p95", "p99", "Over"),
        tuple(_slot(name, window) for name, window in sides if window),
        note="Errors: the share of requests that failed. p99: 99 of 100 requests took no longer than this."
        " The new slot is measured from the start of its step, stable from the start of the change.",
        none="Neither slot was measured.",
    )


def in_words(evidence: RecordedEvidence) -> Iterator[str]:
    """Yield a line for each rule: its evidence beside the threshold, and the counts of both slots."""
    for rule, found in evidence.rules.items():
        new = counts(found.new, rule, found.boundary_ms)
        stable = f", stable {_part(found.stable)}" if found.stable else ""
        yield f"{rule} {against(found, evidence.threshold)}, new {new}{stable}"


def against(found: RuleEvidence, threshold: float) -> str:
    """Return the evidence against the release beside the threshold."""
    return f"{figure(found.e)} of {formatting.figure(threshold)}"


def counts(counted: Counts | None, rule: str, boundary_ms: float | None = None) -> str:
    """Return how many of the requests were bad."""
    if counted is None:
        return "not compared"
    bad = "failed" if rule.startswith("max_error_") else "were slow"
    if boundary_ms is not None:
        bad = f"took over {formatting.figure(boundary_ms)} ms"
    return f"{_part(counted)} {bad}"


def _part(counted: Counts) -> str:
    return f"{formatting.figure(counted.bad)} of {formatting.figure(counted.requests)}"


def _rule(rule: str, found: RuleEvidence, threshold: float) -> tuple[Cell, ...]:
    fails = found.e >= threshold
    return (
        tables.cell(f"{rule}: {RULES[rule]}"),
        tables.signed("bad" if fails else "", against(found, threshold)),
        Cell(figure(found.proven_e)),
        Cell(counts(found.new, rule, found.boundary_ms)),
        Cell(counts(found.stable, rule, found.boundary_ms)),
        tables.cell("; ".join(_meaning(found, threshold))),
    )


def _meaning(found: RuleEvidence, threshold: float) -> Iterator[str]:
    if not found.new.requests:
        yield "no request to the new release was counted"
    elif found.e >= threshold:
        yield f"fails: a release that keeps the limit gets here in at most 1 of {_odds(found.e)} rollouts"
    elif found.e >= WORTH_SAYING:
        yield f"a release that keeps the limit gets here in at most 1 of {_odds(found.e)} rollouts"
    else:
        yield "nothing speaks against the release"
    if found.proven_e >= WORTH_SAYING:
        odds = _odds(found.proven_e)
        yield f"a release beyond the limit gets this much for it in at most 1 of {odds} rollouts"
    if found.why:
        yield found.why


def _slot(name: str, window: Window) -> tuple[Cell, ...]:
    figures = ("error_rate", "p50_ms", "p95_ms", "p99_ms")
    return (
        Cell(name),
        Cell(formatting.figure(window.requests)),
        *(Cell(_measured(window, figure)) for figure in figures),
        Cell(formatting.seconds(window.seconds)),
    )


def _measured(window: Window, name: str) -> str:
    value = getattr(window, name)
    if value is None and window.beyond_ms is not None and name.endswith("_ms"):
        return f"over {formatting.measured(name, window.beyond_ms)}"
    return formatting.measured(name, value) or "not known"


def figure(e: float) -> str:
    """Return an e-value, cut off where a larger or a smaller one says no more."""
    if 0 < e < LEAST:
        return f"under {formatting.figure(LEAST)}"
    return f"over {_odds(e)}" if e > MOST else formatting.figure(e)


def _odds(e: float) -> str:
    return formatting.figure(int(min(e, MOST)))
