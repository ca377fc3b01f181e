"""The console: a subscriber of the journal that prints one line for each event.

It goes to stdout, or to stderr where stdout has a JSON document. Colour and the progress line are for a
terminal only.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, TypeGuard

from swiftdeploy_tasks.errors import SwiftDeployError
from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.verdict import Verdict
from swiftdeploy_tasks.proxy.generated_files import FileChange
from swiftdeploy_tasks.report import formatting
from swiftdeploy_tasks.session import command_name
from swiftdeploy_tasks.session.event import Event
from swiftdeploy_tasks.session.events import (
    Checked,
    FilesWritten,
    Said,
    StepBegan,
    StepEnded,
    VerdictGiven,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

_LONGEST = 400
_MOST_ROWS = 8
TONES = {"pass": "green", "fail": "bold red", "warn": "yellow", "head": "bold", "dim": "dim", "": ""}
_MARKS = {True: ("pass", "pass"), False: ("FAIL", "fail"), None: ("----", "dim")}


class Screen:
    """Where lines go; `to_stderr` keeps stdout for a JSON document."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        self.stream: TextIO | None = sys.stderr if to_stderr else sys.stdout
        self._status: Status | None = None

    def show(self, event: Event) -> None:
        """Print what the operator should see of the event."""
        match event:
            case Said(text=text, tone=tone):
                self.line(f"  {text}", tone)
            case StepBegan():
                if self._status:
                    self._status.update(f"  {event.target}  {event.action}  {event.reason}")
            case StepEnded():
                mark = event.outcome == "done"
                self.row(event.target, event.action, event.reason, mark=mark, seconds=event.seconds)
            case VerdictGiven(verdict=verdict, is_quiet=False):
                self.verdict(verdict)
            case Checked(findings=findings):
                self.findings(findings)
            case FilesWritten(files=files):
                self.changes(files, diff=True)

    def row(
        self, target: str, action: str, detail: str, *, mark: bool | None = None, seconds: float | None = None
    ) -> None:
        """Print a step as a line of a table; without a `mark` for one that was not executed."""
        word, tone = ("", "") if mark is None else ("done", "pass") if mark else ("FAIL", "fail")
        begin = f"  {word}  " if word else "  "
        rest = detail if seconds is None else f"{detail:<44}  {seconds:5.1f} s"
        self.line(f"{begin}{target:<11}  {action:<8}  {rest}", tone)

    def line(self, text: str, tone: str = "") -> None:
        """Print one line in a tone: pass, fail, warn, head, dim or none."""
        _print(self.stream, command_name.named(text), tone)

    def ask(self, text: str) -> str:
        """Print a question and return the line that is typed, "" for none."""
        if self.stream:
            self.stream.write(text)
            self.stream.flush()
        return sys.stdin.readline().strip() if sys.stdin else ""

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show that something takes its time: a moving line on a terminal, nothing elsewhere."""
        if not _is_terminal(self.stream):
            yield
            return
        try:
            with _console(self.stream).status(text) as self._status:
                yield
        finally:
            self._status = None

    def countdown(self, text: str, seconds: float) -> None:
        """Wait, and show how far it got: a bar on a terminal, one line elsewhere."""
        self.line(f"  {text}")
        if not _is_terminal(self.stream):
            time.sleep(seconds)
            return
        from rich.progress import track

        ticks = max(1, round(seconds * 10))
        for _ in track(range(ticks), description="  ", console=_console(self.stream), transient=True):
            time.sleep(seconds / ticks)

    def findings(self, findings: Iterable[Finding]) -> None:
        """Print each pre-flight check as pass, fail, or not made here with the reason."""
        for finding in findings:
            word, tone = _MARKS[finding.passed]
            _print(self.stream, f"  {word}  {finding.name:<9} {finding.message}", tone)
            if finding.passed is False and finding.next:
                _print(self.stream, f"                  next: {command_name.named(finding.next)}", "")

    def verdict(self, verdict: Verdict) -> None:
        """Print a verdict with its rules; where they are many, those that passed are only counted."""
        tone = "warn" if verdict.is_undecided else "pass" if verdict.allow else "fail"
        word = "undecided" if verdict.is_undecided else "allowed" if verdict.allow else "refused"
        _print(
            self.stream,
            f"  {verdict.domain}: {word} by {verdict.answered_by}"
            f" (policy {verdict.revision}, {verdict.duration_ms:.0f} ms)",
            tone,
        )
        many = len(verdict.checks) > _MOST_ROWS
        if many and (passed := len(verdict.checks) - len(verdict.failed)):
            _print(self.stream, f"    pass  {passed} of {len(verdict.checks)} rules", "pass")
        for check in verdict.failed if many else verdict.checks:
            mark, mark_tone = _MARKS[check.passed]
            _print(self.stream, f"    {mark}  {formatting.rounded(check.sentence)}", mark_tone)
            if not check.passed:
                _print(self.stream, f"          observed {check.observed}, limit {check.limit}")

    def changes(self, changes: Iterable[FileChange], *, diff: bool = False) -> None:
        """Print the state of each file; with `diff`, what changes in those that were edited by hand."""
        for change in changes:
            tone = {"unchanged": "dim", "mended": "warn"}.get(change.state, "pass")
            _print(self.stream, f"  {change.state:<9} {change.path.name}", tone)
            if diff and change.state == "mended":
                for line in change.diff.splitlines():
                    _print(self.stream, f"    {line}", "dim")

    def diffs(self, changes: Iterable[FileChange]) -> None:
        """Print how each file would change, line by line."""
        for change in changes:
            action = "create" if change.state == "created" else "update"
            self.row(change.path.name, action, change.reason)
            for line in change.diff.splitlines():
                _print(self.stream, f"    {line}", {"+": "pass", "-": "fail"}.get(line[:1], "dim"))


def error(verb: str, problem: SwiftDeployError) -> None:
    """Print an error on stderr: its sentence, the last lines of what failed, the next command."""
    if problem.log:
        _print(sys.stderr, f"  {problem.log_title}:", "dim")
        for line in problem.log:
            _print(sys.stderr, f"    {line[:_LONGEST]}", "dim")
    message = formatting.rounded(command_name.named(problem.message))
    _print(sys.stderr, f"{verb}: {message} (exit {problem.exit_code})", "fail")
    if problem.next:
        _print(sys.stderr, f"next: {command_name.named(problem.next)}")


def warning(text: str) -> None:
    """Print something on stderr that a person should know and that stops nothing."""
    _print(sys.stderr, f"warning: {text}", "warn")


def put(stream: TextIO | None, text: str) -> bool:
    """Print a line; False where the stream is closed, which stops no verb."""
    if stream is None:
        return False
    known = text.encode(stream.encoding or "utf-8", "backslashreplace").decode(stream.encoding or "utf-8")
    try:
        print(known, file=stream, flush=True)
    except (OSError, ValueError):
        forsake(stream)
        return False
    return True


@contextmanager
def bearing(stream: TextIO) -> Iterator[None]:
    """Print in this block; a closed stream stops no verb."""
    try:
        yield
    except (OSError, ValueError):
        forsake(stream)


def plain(text: str) -> str:
    """Return the text with a mark in the place of each sign that would move the cursor, or hide."""
    return "".join(sign if sign.isprintable() or sign == "\t" else "\ufffd" for sign in text)


def forsake(stream: TextIO) -> None:
    """Let what is still to come go nowhere, Python's own flush at the end included."""
    with suppress(OSError, ValueError), open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), stream.fileno())


def _is_terminal(stream: TextIO | None) -> TypeGuard[TextIO]:
    return (
        stream is not None
        and not stream.closed
        and stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def _print(stream: TextIO | None, text: str, tone: str = "") -> None:
    if not _is_terminal(stream):
        put(stream, plain(text))
        return
    with bearing(stream):
        _console(stream).print(plain(text), style=TONES[tone] or None, markup=False, soft_wrap=True)


@functools.cache
def _console(stream: TextIO) -> Console:
    """Return one console a stream, so that lines printed meanwhile do not tear the moving one."""
    from rich.console import Console

    return Console(file=stream, highlight=False)
