"""The Invoke task class: records each run of a task, and gives its exit code and JSON document.

It turns our errors into Invoke's `Exit`, holds the project's lock, and knows the command line's options
before the first prerequisite runs.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import secrets
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import invoke
from invoke import Context, Exit, ParseError, Task

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines.local import start_notes
from swiftdeploy_tasks.errors import (
    HistoryError,
    Interrupted,
    LockHeld,
    PreflightError,
    SwiftDeployError,
    UsageError,
)
from swiftdeploy_tasks.history import store
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.manifest import loading
from swiftdeploy_tasks.proxy import artifacts, root_files
from swiftdeploy_tasks.session import access, console, lock
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import files, redaction, reserved_space, signals
from swiftdeploy_tasks.system.libraries import hidden_by

KEPT_LINES, LONGEST_LINE = 20, 500


@dataclass
class Invocation:
    """What one process was asked for, and what its tasks hand on to each other.

    `named` are the verbs in the order in which they are carried out, each with its options; those that have
    ended are gone from it. `verb` is the last one, whose document is printed.
    """

    run: str = field(default_factory=lambda: secrets.token_hex(6))
    verb: str = ""
    json: bool = False
    wait: float = 0.0
    named: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    held: lock.Held | None = None
    cut_off: lock.Holder | None = None
    warned: bool = False
    secrets: set[str] = field(default_factory=set)
    carried: dict[str, Any] = field(default_factory=dict)
    at_end: ExitStack = field(default_factory=ExitStack)

    def name(self, verb: str) -> None:
        """Take the next verb of the command line; each of its arguments tells."""
        self.verb = verb
        if not self.named or self.named[-1][0] != verb:
            self.named.append((verb, {}))

    @property
    def writes(self) -> bool:
        """Whether a verb that is still to be carried out writes."""
        return any(_TASKS[verb].writes for verb, _ in self.named if verb in _TASKS)

    @property
    def needs_history(self) -> bool:
        """Whether a verb that is still to be carried out stops where the history cannot be written."""
        return any(_TASKS[verb].needs_history for verb, _ in self.named if verb in _TASKS)

    def end(self, verb: str) -> None:
        """Let a verb go that has ended; what it needed first was no verb of its own."""
        if self.named and self.named[0][0] == verb:
            del self.named[0]


INVOCATION = Invocation()
_RUNS: list[Run] = []
_TASKS: dict[str, RecordedTask] = {}


class Run:
    """One task's run: where it is, what it says, what it records, and the fields of its document.

    `ending` are the fields that its `finished` record has beside the usual ones.
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

    @property
    def history(self) -> History:
        """The project's history, to append to and to read."""
        return store.of(self.settings, _say_once)

    def masked(self, text: str) -> str:
        """Return a text that came from outside without the secrets that this invocation knows."""
        return redaction.masked(text, INVOCATION.secrets)

    def begin(self, *, needs_history: bool = False) -> None:
        """Put on record that the task has begun, once; raises HistoryError where it needs the history."""
        if self.has_begun:
            return
        self.has_begun = True
        put = self.record if needs_history else self.note
        asked, options = INVOCATION.named[0] if INVOCATION.named else (self.task, {})
        put("started", who=lock.who(), argv=asked, options=options, home=self.settings.home)

    def say(self, text: str) -> None:
        """Tell the person what happens now."""
        self.screen.line(f"  {text}")

    def record(self, event: str, outcome: str | None = None, **fields: Any) -> None:
        """Append a record. A history that cannot be written is reported once, and raises HistoryError."""
        if self.settings.is_project or self.settings.state.is_dir():
            self.history.append(event, self.task, INVOCATION.run, outcome, **fields)

    def note(self, event: str, outcome: str | None = None, **fields: Any) -> None:
        """Append a record; where the history cannot be written, say so once and go on."""
        try:
            self.record(event, outcome, **fields)
        except HistoryError as problem:
            _say_once(problem.message)


def _say_once(text: str) -> None:
    """Warn of the history, once an invocation: what is wrong with it is so for every record."""
    if not INVOCATION.warned:
        INVOCATION.warned = True
        console.warning(text)


def current() -> Run:
    """Return the run of the task that is being executed."""
    return _RUNS[-1]


class Argument(invoke.Argument):
    """An argument that tells the invocation what the verb was asked, before any prerequisite runs."""

    owner = ""
    copies = 0

    @classmethod
    def of(cls, argument: invoke.Argument, owner: str) -> Argument:
        """Return the same argument as one that tells."""
        noted = cls.__new__(cls)
        noted.__dict__.update(vars(argument))
        noted.owner = owner
        return noted

    def __deepcopy__(self, memo: dict[int, Any]) -> Argument:
        """Tell which verb was named: Invoke copies all arguments once, then those of each that it meets."""
        copied = self.of(self, self.owner)
        copied.copies = self.copies + 1
        if copied.copies > 1:
            INVOCATION.name(self.owner)
        memo[id(self)] = copied
        return copied

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take the value, and tell; raises ParseError for one that does not fit."""
        try:
            super().set_value(value, cast)
            if self.name == "wait" and int(self.value) < 0:
                raise ValueError
        except ValueError:
            raise ParseError(f"--{self.name} takes a whole number from 0, not {value!r}") from None
        INVOCATION.named[-1][1][str(self.name)] = self.value
        if self.name == "json":
            INVOCATION.json = bool(self.value)
        if self.name == "wait":
            INVOCATION.wait = float(self.value)


class RecordedTask(Task[Any]):
    """A task whose every run is recorded.

    `writes` takes the project's lock, at the first task of the invocation; `needs_history` stops before
    anything moves where the history cannot be written; `looks_first` leaves it to the task to `begin`, when
    it has seen what it must see without a record of its own; `spends_reserve` may use the reserve on a full
    disk; `has_no_effect` leaves nothing but records behind; `titled` prints its name first; `document` gives
    the fields of `--json` that are there even when the task fails.
    """

    def __init__(
        self,
        body: Callable[..., Any],
        *args: Any,
        writes: bool = False,
        needs_history: bool = False,
        looks_first: bool = False,
        spends_reserve: bool = False,
        has_no_effect: bool = False,
        titled: bool = True,
        document: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs["auto_shortflags"] = False
        super().__init__(body, *args, **kwargs)
        self.writes = writes
        self.needs_history = needs_history
        self.looks_first = looks_first
        self.spends_reserve = spends_reserve
        self.has_no_effect = has_no_effect
        self.titled = titled
        self.document = document or {}
        _TASKS[self.verb] = self

    @property
    def verb(self) -> str:
        """The task's name as it is typed."""
        return str(self.name).replace("_", "-")

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[invoke.Argument]:
        """Return the arguments, each telling the invocation when it is given."""
        return [Argument.of(argument, self.verb) for argument in super().get_arguments(ignore_unknown_help)]

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run the task; raises Exit with the code that its end calls for."""
        context: Context = args[0]
        signals.listen(_end_now)
        # A verb that an app starts is no part of the app's slot, nor is what the verb starts.
        for name in start_notes.MARKS:
            os.environ.pop(name, None)
        began, is_bug = time.monotonic(), False
        problem: SwiftDeployError | None = None
        try:
            places = settings.of_configuration(context.config)
        except SwiftDeployError as error:
            self._tell({"engine": None, **self.document}, error)
            raise Exit(code=error.exit_code) from None
        run = Run(self.verb, places, dict(self.document), has_no_effect=self.has_no_effect)
        _RUNS.append(run)
        try:
            self._start(run, dry=bool(context.config.run.dry))
            super().__call__(*args, **kwargs)
        except SwiftDeployError as error:
            problem = error
        except KeyboardInterrupt:
            problem = Interrupted("interrupted", f"invoke {INVOCATION.verb or self.verb}")
        except Exception as error:
            problem = _of_the_host(error) or _of_the_project(error, places.root)
            is_bug = problem is None
            if problem is None:
                traceback.print_exc()
                words = f"a bug: {type(error).__name__}: {error}"
                problem = SwiftDeployError(words, "report it with the lines above")
        finally:
            _RUNS.pop()
        code = problem.exit_code if problem else 0
        outcome = "error" if is_bug else _outcome(code)
        told = _told(run, problem) if problem else {}
        run.note("finished", outcome, exit_code=code, duration_ms=_ms(began), **run.ending, **told)
        INVOCATION.end(self.verb)
        is_told = self._tell(run.document, problem)
        if problem:
            raise Exit(code=code)
        if not is_told:
            raise Exit(f"{self.verb} is done, and its document could not be written to stdout", code=1)

    def _start(self, run: Run, *, dry: bool) -> None:
        if dry and self.writes:
            raise UsageError(f"{self.verb} cannot be run dry", "invoke plan")
        # A prerequisite reads the manifest that the verb then applies, so it takes the verb's lock.
        will_write = INVOCATION.writes and run.settings.is_project and not dry
        is_first = INVOCATION.held is None and (self.writes or will_write)
        if is_first:
            asked = INVOCATION.verb or self.verb
            access.refuse_another_user(run.settings)
            try:
                INVOCATION.held = lock.acquire(run.settings.state, verb=asked, wait=INVOCATION.wait)
            except LockHeld as error:
                run.note("lock", "held", who=lock.who(), argv=asked, holder=error.holder)
                raise
            INVOCATION.cut_off = INVOCATION.held.cut_off
            INVOCATION.carried.clear()
        if self.spends_reserve:
            reserved_space.open_for_use(run.settings.state)
        if not self.looks_first:
            run.begin(needs_history=self.needs_history)
        if self.titled:
            run.screen.line(self.verb, "head")
        if INVOCATION.cut_off and is_first:
            _tell_cut_off(run, INVOCATION.cut_off)

    def _tell(self, document: dict[str, Any], problem: SwiftDeployError | None) -> bool:
        """Print the error, and the document where it was asked for; False where that could not be."""
        asked = INVOCATION.verb or self.verb
        own = problem is None or problem.exit_code not in (8, 130)
        if problem:
            console.error(self.verb if own else asked, problem)
        if not INVOCATION.json or (problem is None and asked != self.verb):
            return True
        fields = document if own else {"engine": document["engine"], **_document_of(asked)}
        return _put_document(self.verb if own else asked, fields, problem)


def _document_of(verb: str) -> dict[str, Any]:
    """Return the fields that a verb's document always has."""
    return _TASKS[verb].document if verb in _TASKS else {}


def tell_misuse(verb: str, message: str) -> None:
    """Print the document of a verb whose words Invoke could not read, and which therefore never began."""
    fields = {"engine": None, **_document_of(verb)}
    _put_document(verb, fields, UsageError(message, f"invoke --help {verb}"))


def _put_document(task: str, fields: dict[str, Any], problem: SwiftDeployError | None) -> bool:
    whole = {
        "task": task,
        "ok": problem is None,
        "exit_code": problem.exit_code if problem else 0,
        "error": {"kind": problem.kind, "message": problem.message, "next": problem.next}
        if problem
        else None,
        **fields,
    }
    is_unicode = str(getattr(sys.stdout, "encoding", None)).lower().startswith("utf")
    return console.put(sys.stdout, json.dumps(whole, ensure_ascii=not is_unicode, default=str))


def _tell_cut_off(run: Run, holder: lock.Holder) -> None:
    """Record that the one who wrote here last was killed, and remove the files that it was writing."""
    run.screen.line(f"  {holder} was killed; what it left behind is put right", "warn")
    run.note("cut_off", "found", verb=holder.verb, pid=holder.pid, user=holder.user, since=holder.since)
    files.sweep(run.settings.root, ("manifest.yaml", "audit_report.*"))
    places = run.settings
    named = (loading.rendered_folder(places.manifest),)
    for folder in root_files.places(named, root=places.root, state=places.state):
        files.sweep(folder, artifacts.ROOT_FILES)
    files.sweep(run.settings.state, settings.GENERATED)
    for folder in run.settings.written:
        files.sweep(folder)


def _end_now() -> None:
    """Answer a request to end: inside a task it is recorded, between two it only ends the process."""
    if _RUNS:
        raise KeyboardInterrupt
    raise Exit("interrupted", code=Interrupted.exit_code)


def _of_the_host(error: Exception) -> SwiftDeployError | None:
    """Return what to say where the host refuses to keep a file, None for anything else."""
    found = error.args[0] if isinstance(error, shutil.Error) else error
    text = str(found)
    refusals = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
    if isinstance(error, OSError) and (
        error.errno in refusals or any(os.strerror(n) in text for n in refusals)
    ):
        return PreflightError(
            f"a file cannot be written or read: {text[:300]}", "df -h, and ls -ld on the folder"
        )
    return None


def _of_the_project(error: Exception, root: Path) -> SwiftDeployError | None:
    """Return what to say where a file of the project was imported in place of a library."""
    hiding = hidden_by(error, root) if isinstance(error, ImportError) else None
    if hiding is None:
        return None
    return PreflightError(
        f"{hiding} was imported in place of the Python module {hiding.stem}: {error}",
        f"rename {hiding.name}, or run swiftdeploy in place of invoke",
    )


def _told(run: Run, problem: SwiftDeployError) -> dict[str, Any]:
    """Return what a `finished` record says of what went wrong; what a slot printed is kept, short."""
    problem.message = run.masked(problem.message)
    problem.log = tuple(run.masked("\n".join(problem.log)).split("\n")) if problem.log else ()
    error = {"error": {"kind": problem.kind, "message": problem.message}}
    kept = [line[:LONGEST_LINE] for line in problem.log[-KEPT_LINES:]]
    return {**error, **({"log": kept} if kept else {})}


def _outcome(code: int) -> str:
    return {0: "done", 3: "refused", 4: "unanswered", 8: "locked", 130: "interrupted"}.get(code, "failed")


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


@atexit.register
def _end() -> None:
    with suppress(KeyboardInterrupt), signals.deferred():
        INVOCATION.at_end.close()
        if INVOCATION.held:
            INVOCATION.held.sign_off()
    signals.ignore()
