"""Audit: verifies the history, writes the report, and then records itself.

It takes no lock of the project. A history that does not verify still gets its report; then the verb fails.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from swiftdeploy_tasks.errors import HistoryError, PreflightError, UsageError
from swiftdeploy_tasks.history.chain import Line
from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.manifest.loading import project_name
from swiftdeploy_tasks.proxy import root_files
from swiftdeploy_tasks.report import canvas
from swiftdeploy_tasks.report.audit_report import AuditReport
from swiftdeploy_tasks.report.builder import ReportBuilder, build_report
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.markdown import markdown
from swiftdeploy_tasks.report.page import page
from swiftdeploy_tasks.report.period import Period
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.system import files

REPORT, PAGE = "audit_report.md", "audit_report.html"
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def audit(run: Run, *, since: str, until: str, html: bool, open: bool) -> None:
    """Verify the history and write the report of the period; raises HistoryError when it is not whole.

    `html` writes it as a page too, and `open` also opens that.
    """
    period = _period(since, until, now=time.time())
    if html or open:
        canvas.load()
    if not (run.settings.is_project or run.settings.state.is_dir()):
        run.report(verified=True, records=0)
        run.say("no project and no history here; next: invoke validate")
        return
    report = _report(run, period)
    run.begin()
    found = report.integrity.verification
    run.report(
        verified=found.ok,
        records=found.records,
        first_bad=found.first_bad,
        first_bad_file=str(found.first_bad_file) if found.first_bad_file else None,
        reason=found.reason or None,
        proven=[found.proven.first, found.proven.last] if found.proven else None,
        head=found.head._asdict() if found.head else None,
    )
    written: list[Path] = []
    try:
        for path, text in _texts(run, report, html=html or open):
            _put(path, text)
            written.append(path)
            run.report(**{"page" if path.name == PAGE else "report": str(path)})
    except PreflightError as error:
        if found.ok:
            raise
        run.say(error.message, "fail")
    _print(run, report)
    for path in written:
        run.say(f"{'page' if path.name == PAGE else 'report'}: {path}")
    if open and written and written[-1].name == PAGE:
        _open(run, written[-1])
    if not found.ok:
        raise HistoryError(report.integrity.verdict, _next(found, run.history.path))


def _report(run: Run, period: Period) -> AuditReport:
    """Verify the history and report what is verified; one that cannot be read has a report without records.

    Only a history that is not wholly proven is read again, to mark the records that are not.
    """
    builder = ReportBuilder(period)

    def added(lines: Iterator[Line]) -> Iterator[Line]:
        nonlocal builder
        builder = ReportBuilder(period)
        for line in lines:
            if line.record:
                builder.add(line.record)
            yield line

    try:
        found = run.history.verify(through=added)
        if found.is_proven:
            return builder.report(Integrity(found))
        records = (line.record for line in run.history.lines() if line.record)
        return build_report(records, Integrity(found), period)
    except HistoryError as error:
        unread = Verification(False, 0, None, error.message)
        return build_report((), Integrity(unread, unreadable=error.message), period)


def _texts(run: Run, report: AuditReport, *, html: bool) -> Iterator[tuple[Path, str]]:
    """Yield the files to write and their texts."""
    places, made = run.settings, time.time()
    project = project_name(places.applied) or project_name(places.manifest) or places.root.name
    yield places.root / REPORT, markdown(report, project=project, made=made)
    if html:
        folders = places.template_folders
        yield places.root / PAGE, page(report, project=project, made=made, folders=folders)


def _put(path: Path, text: str) -> None:
    """Write the report, in no other file's place; raises PreflightError where it cannot be."""
    try:
        if path.is_symlink() or path.is_dir():
            what = "a link, and none is followed" if path.is_symlink() else "a folder"
            raise PreflightError(
                f"The report cannot be written: {path} is {what}.", f"ls -ld {shlex.quote(str(path))}"
            )
        if path.exists() and not root_files.is_report(path):
            raise PreflightError(
                f"The report cannot be written: {path} was not made by SwiftDeploy.",
                f"rename it, for example: mv {shlex.quote(path.name)} {shlex.quote('my_' + path.name)}",
            )
        files.replace(path, root_files.marked(path, text))
    except OSError as error:
        raise PreflightError(
            f"The report cannot be written: {path}: {error.strerror}.",
            f"ls -ld {shlex.quote(str(path.parent))}",
        ) from None


def _open(run: Run, path: Path) -> None:
    """Open the page in this user's browser."""
    import webbrowser

    shown_by = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    has_browser = sys.platform == "darwin" or any(map(os.environ.get, shown_by))
    if not (has_browser and webbrowser.open(path.as_uri())):
        run.say(f"no browser found; open it yourself: {path}")


def _print(run: Run, report: AuditReport) -> None:
    integrity, summary = report.integrity, report.summary
    run.say(integrity.verdict, "pass" if integrity.verification.ok else "fail")
    if integrity.head:
        run.say(f"head: record {integrity.head.seq}, {integrity.head.hash}")
    if integrity.torn:
        copies = run.settings.state / "torn"
        run.say(f"{integrity.torn} Copies: {copies}", "warn")
    if integrity.witness:
        run.say(integrity.witness)
    counts = ", ".join(f"{tally.verb} {tally.runs}" for tally in summary.tallies)
    run.say(f"in the period: {counts}, automatic rollbacks {summary.automatic_rollbacks}")


def _next(found: Verification, history: Path) -> str:
    """Return the command that shows the first bad line, or what is there where it is not."""
    file = found.first_bad_file
    if found.first_bad is None or file is None:
        return f"ls -l {shlex.quote(str(history))}"
    path = shlex.quote(str(file))
    if not file.exists():
        return f"ls -l {shlex.quote(str(file.parent))}"
    line = found.first_bad
    # The line before is shown too, as a missing record leaves no line of its own.
    shows = f"sed -n {line - 1},{line}p" if line > 1 else "sed -n 1p"
    return f"{shows} {path}" if file.suffix == ".jsonl" else f"xzcat {path} | {shows}"


def _period(since: str, until: str, *, now: float) -> Period:
    """Return the period that the words give; raises UsageError for what is no time."""
    everything = Period()
    start = _moment("since", since, now, is_end=False) if since else everything.since
    end = _moment("until", until, now, is_end=True) if until else everything.until
    if start > end:
        raise UsageError(f"--since {since} is later than --until {until}", "invoke audit")
    return Period(start, end)


def _moment(option: str, text: str, now: float, *, is_end: bool) -> float:
    """Return Unix seconds. A day is meant from its first to its last moment, a time without a zone as UTC."""
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}).total_seconds()
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return day.timestamp() + (86400 - 0.001 if is_end else 0)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"--{option} takes a date (2026-11-24), a time (2026-11-24T15:00:00Z) or how long ago (90m, 24h,"
            f" 7d), not {text!r}",
            "invoke audit --since 7d",
        ) from None
