"""The status as an HTML page, in the report's style. It runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.metrics import Window
from swiftdeploy_tasks.report import evidence_tables, formatting, html, record_fields, sections, tables
from swiftdeploy_tasks.report.tables import Cell, Fact, Table
from swiftdeploy_tasks.status.compliance import Standing, Unanswered
from swiftdeploy_tasks.status.picture import Picture, concern


def page(picture: Picture, *, folders: tuple[Path, ...]) -> str:
    """Return the whole page as text; folders of templates, the project's own first."""
    found = concern(picture)
    values = {
        "picture": picture,
        "concern": formatting.rounded(found.message) if found else "",
        "next": found.next if found else "",
        "made": record_fields.moment(picture.time),
        "since": record_fields.moment(picture.since),
        "measured": _measured,
        "seen": _seen,
        "policies": _policies(picture.compliance),
        "host": tuple(_host(picture.host)),
        "events": _events(picture),
        "evidence": evidence_tables.of_rules(picture.evidence) if picture.evidence else None,
    }
    return html.fill("status.html.j2", values, folders=folders)


def _policies(standings: tuple[Standing, ...]) -> Table:
    """Every rule: first those that say no, then those of which nothing is known."""
    rows: dict[bool | None, list[tuple[Cell, ...]]] = {False: [], None: [], True: []}
    for standing in standings:
        if isinstance(standing, Unanswered):
            rows[None] += (
                _unasked(rule, standing.domain, standing.reason) for rule in standing.rules or ("every rule",)
            )
            continue
        for check in standing.checks:
            answer = tables.signed("good", "pass") if check.passed else tables.signed("bad", "FAIL")
            says = tables.cell(formatting.rounded(check.message))
            name = tables.cell(check.rule)
            rows[check.passed].append((name, Cell(standing.domain), answer, *tables.figures(check), says))
    head = ("Rule", "Domain", "Answer", "Observed", "Limit", "What it says")
    told = (row for group in rows.values() for row in group)
    return Table("Every rule, as it is answered now", head, tuple(told), none="No rule was asked.")


def _unasked(rule: str, domain: str, reason: str) -> tuple[Cell, ...]:
    unknown = Cell("not known")
    answer = tables.signed("warn", "not known")
    return (tables.cell(rule), Cell(domain), answer, unknown, unknown, tables.cell(reason))


def _events(picture: Picture) -> Table:
    rows = tuple(map(sections.event, picture.events))
    return Table("What happened last, newest last", ("At (UTC)", "Kind", "What", "Who"), rows)


def _host(host: Mapping[str, Any]) -> Iterator[Fact]:
    """The figures of the host; paths with equal free space are one disk."""
    paths: dict[object, list[str]] = {}
    for disk in host.get("disks", ()):
        paths.setdefault(disk.get("free_gb"), []).append(disk["path"])
    for free, names in paths.items():
        yield Fact("Free on disk", _figure("_gb", free), ", ".join(names))
    minutes = f"a core, over {host.get('load_minutes', 'some')} minutes"
    yield Fact("Load", _figure("", host.get("load_per_core")), minutes)
    yield Fact("Memory", _figure("_percent", host.get("memory_used_percent")), "used")


def _figure(name: str, value: object) -> Cell:
    return Cell(formatting.measured(name, value) or "not known")


def _seen(window: Window) -> str:
    return f"{formatting.counted(window.requests, 'request')} in {formatting.seconds(window.seconds)}"


def _measured(window: Window | None, name: str) -> str:
    """A figure of the window with its unit; a dash where it is not known."""
    value = getattr(window, name) if window else None
    is_time = name.endswith("_ms")
    if value is None:
        beyond = window.beyond_ms if window and is_time else None
        return "–" if beyond is None else f"over {formatting.figure(beyond)} ms"
    if name == "error_rate":
        return f"{formatting.figure(100 * value)} %"
    return f"{formatting.figure(value)} ms" if is_time else formatting.figure(value)
