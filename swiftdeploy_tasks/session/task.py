"""The Invoke task class: records each run of a task, and gives its exit code and JSON document.

It turns our errors into Invoke's `Exit`, holds the project's lock, and knows the command line's options
before the first prerequisite runs.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import invoke
from invoke import Context, Exit, Task

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines.local import start_notes
from swiftdeploy_tasks.errors import (
    Interrupted,
    LockHeld,
    SwiftDeployError,
    UsageError,
)
from swiftdeploy_tasks.manifest import loading
from swiftdeploy_tasks.proxy import root_files
from swiftdeploy_tasks.session import access, console, host_errors, lock
from swiftdeploy_tasks.session.arguments import Argument
from swiftdeploy_tasks.session.events import Finished, LockRefused, VerbKilled
from swiftdeploy_tasks.session.invocation import INVOCATION, VERBS, Traits
from swiftdeploy_tasks.session.run import Run, enter, is_running, leave
from swiftdeploy_tasks.system import files, reserved_space, signals

KEPT_LINES, LONGEST_LINE = 20, 500


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
        VERBS[self.verb] = Traits(writes, needs_history, self.document)

    @property
    def verb(self) -> str:
        """The task's name as it is typed."""
        return str(self.name).replace("_", "-")

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[invoke.Argument]:
        """Return the arguments, which note in the invocation what was given."""
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
            self._finish({"engine": None, **self.document}, error)
            raise Exit(code=error.exit_code) from None
        run = Run(self.verb, places, dict(self.document), has_no_effect=self.has_no_effect)
        enter(run)
        try:
            self._start(run, dry=bool(context.config.run.dry))
            super().__call__(*args, **kwargs)
        except SwiftDeployError as error:
            problem = error
        except KeyboardInterrupt:
            problem = Interrupted("interrupted", f"invoke {INVOCATION.verb or self.verb}")
        except Exception as error:
            problem = host_errors.translated(error, places.root)
            is_bug = problem is None
            if problem is None:
                traceback.print_exc()
                words = f"a bug: {type(error).__name__}: {error}"
                problem = SwiftDeployError(words, "report it with the lines above")
        finally:
            leave()
        code = problem.exit_code if problem else 0
        outcome = "error" if is_bug else _outcome(code)
        more = {**run.ending, **(_error_fields(run, problem) if problem else {})}
        run.emit(Finished(outcome=outcome, exit_code=code, duration_ms=_ms(began), more=more))
        INVOCATION.end(self.verb)
        is_printed = self._finish(run.document, problem)
        if problem:
            raise Exit(code=code)
        if not is_printed:
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
                run.emit(LockRefused(who=lock.who(), argv=asked, holder=error.holder or {}))
                raise
            INVOCATION.cut_off = INVOCATION.held.cut_off
            INVOCATION.forget_shared()
        if self.spends_reserve:
            reserved_space.open_for_use(run.settings.state)
        if not self.looks_first:
            run.begin(needs_history=self.needs_history)
        if self.titled:
            run.screen.line(self.verb, "head")
        if INVOCATION.cut_off and is_first:
            _clean_up_after(run, INVOCATION.cut_off)

    def _finish(self, document: dict[str, Any], problem: SwiftDeployError | None) -> bool:
        """Print the error, and the document where it was asked for; False where that could not be."""
        asked = INVOCATION.verb or self.verb
        own = problem is None or problem.exit_code not in (8, 130)
        if problem:
            console.error(self.verb if own else asked, problem)
        if not INVOCATION.json or (problem is None and asked != self.verb):
            return True
        fields = document if own else {"engine": document["engine"], **_default_document(asked)}
        return _put_document(self.verb if own else asked, fields, problem)


def _default_document(verb: str) -> dict[str, Any]:
    """Return the fields that a verb's document always has."""
    return dict(VERBS[verb].document) if verb in VERBS else {}


def report_misuse(verb: str, message: str) -> None:
    """Print the document of a verb whose words Invoke could not read, and which therefore never began."""
    fields = {"engine": None, **_default_document(verb)}
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


def _clean_up_after(run: Run, holder: lock.Holder) -> None:
    """Record that the last holder of the lock was killed, and remove the files that it was writing."""
    run.say(f"{holder} was killed; removing what it left behind", "warn")
    run.emit(VerbKilled(verb=holder.verb, pid=holder.pid, user=holder.user, since=holder.since))
    files.sweep(run.settings.root, ("manifest.yaml", "audit_report.*"))
    places = run.settings
    named = (loading.rendered_folder(places.manifest),)
    for folder in root_files.places(named, root=places.root, state=places.state):
        files.sweep(folder, root_files.ROOT_FILES)
    files.sweep(run.settings.state, settings.GENERATED)
    for folder in run.settings.written:
        files.sweep(folder)


def _end_now() -> None:
    """Answer a request to end: inside a task it is recorded, between two it only ends the process."""
    if is_running():
        raise KeyboardInterrupt
    raise Exit("interrupted", code=Interrupted.exit_code)


def _error_fields(run: Run, problem: SwiftDeployError) -> dict[str, Any]:
    """Return the error as fields of a `finished` record, with the last lines of the log."""
    problem.message = run.masked(problem.message)
    problem.log = tuple(run.masked("\n".join(problem.log)).split("\n")) if problem.log else ()
    error = {"error": {"kind": problem.kind, "message": problem.message}}
    kept = [line[:LONGEST_LINE] for line in problem.log[-KEPT_LINES:]]
    return {**error, **({"log": kept} if kept else {})}


def _outcome(code: int) -> str:
    named = {0: "done", 3: "refused", 4: "unanswered", 8: "locked", 10: "held", 130: "interrupted"}
    return named.get(code, "failed")


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


@atexit.register
def _end() -> None:
    with suppress(KeyboardInterrupt), signals.deferred():
        INVOCATION.at_end.close()
        if INVOCATION.held:
            INVOCATION.held.sign_off()
    signals.ignore()
