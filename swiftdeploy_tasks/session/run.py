"""One run of a task, and the journal that its events go to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.history import store
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.session import console, lock
from swiftdeploy_tasks.session.event import Event
from swiftdeploy_tasks.session.events import (
    ChangeEnded,
    Reported,
    Said,
    Started,
    TargetSet,
    VerdictGiven,
    Wanted,
)
from swiftdeploy_tasks.session.invocation import INVOCATION
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import redaction

_RUNS: list[Run] = []


class Run:
    """One task's run: its settings, its subscribers and the fields of its document.

    Each event goes to the history, the console and the document, in this order. `ending` are the fields that
    its `finished` record has beside the usual ones. `document` and `ending` are made from events alone.
    """

    def __init__(
        self, task: str, places: Settings, document: dict[str, Any], *, has_no_effect: bool = False
    ) -> None:
        self.task = task
        self.has_no_effect = has_no_effect
        self.settings = places
        self.invocation = INVOCATION
        self.screen = console.Screen(to_stderr=INVOCATION.json)
        self.document: dict[str, Any] = {"engine": None, **document}
        self.ending: dict[str, Any] = {}
        self.has_begun = False
        self.subscribers: tuple[Callable[[Event], None], ...] = (
            self._record,
            self.screen.show,
            self._put_into_document,
        )

    @property
    def history(self) -> History:
        """The project's history, to append to and to read."""
        return store.of(self.settings, _warn_once)

    def masked(self, text: str) -> str:
        """Return a text that came from outside without the secrets that this invocation knows."""
        return redaction.masked(text, INVOCATION.secrets)

    def begin(self, *, needs_history: bool = False) -> None:
        """Emit that the task has begun, once; raises HistoryError where it needs the history."""
        if self.has_begun:
            return
        self.has_begun = True
        asked, options = INVOCATION.named[0] if INVOCATION.named else (self.task, {})
        started = Started(who=lock.who(), argv=asked, options=options, home=self.settings.home)
        self.emit(started, needs_history=needs_history)

    def emit(self, event: Event, *, needs_history: bool = False) -> None:
        """Hand the event to each subscriber.

        A history that cannot be written is reported once; with `needs_history` it raises HistoryError.
        """
        for subscriber in self.subscribers:
            try:
                subscriber(event)
            except HistoryError as problem:
                if needs_history:
                    raise
                _warn_once(problem.message)

    def report(self, **document: object) -> None:
        """Add a verb's own fields to the `--json` document."""
        self.emit(Reported(document=document))

    def say(self, text: str, tone: str = "") -> None:
        """Print a sentence for the operator."""
        self.emit(Said(text=text, tone=tone))

    def _record(self, event: Event) -> None:
        if event.name and (self.settings.is_project or self.settings.state.is_dir()):
            self.history.append(event.name, self.task, INVOCATION.run, event.outcome, **event.record())

    def _put_into_document(self, event: Event) -> None:
        """Add what the event says to the `--json` document and to the `finished` record."""
        match event:
            case Reported(document=document):
                self.document |= document
            case Wanted(version=version, mode=mode):
                self.ending["wanted"] = {"version": version, "mode": mode}
            case TargetSet(release=release, before=before):
                self.document |= {**release, "previous": before.get("release")}
                self.document |= {"slot": event.slot, "url": event.url}
            case VerdictGiven(verdict=verdict) if not (event.is_quiet and verdict.allow):
                self.document["verdicts"] = [*self.document.get("verdicts", []), verdict.document()]
            case ChangeEnded(spent=spent, seconds=seconds):
                self.document |= {"spent": dict(spent), "duration_s": seconds}
                self.document |= {"slot": event.slot} if event.slot else {}
                self.ending["spent"] = dict(spent)


def _warn_once(text: str) -> None:
    """Warn of the history once an invocation: what is wrong with it is wrong for every record."""
    if not INVOCATION.warned:
        INVOCATION.warned = True
        console.warning(text)


def current() -> Run:
    """Return the run of the task that is being executed."""
    return _RUNS[-1]


def is_running() -> bool:
    """Return whether a task is being executed."""
    return bool(_RUNS)


def enter(run: Run) -> None:
    """Make this the run of the task that is being executed."""
    _RUNS.append(run)


def leave() -> None:
    """End the run of the task that is being executed."""
    _RUNS.pop()
