"""Where the embedded Rego engine runs: a child process that may crash, or never come back, alone.

Stands apart because the engine is native code: a policy that it chokes on would end us with a signal and
without a record. The child is forked once for a bundle, keeps it compiled, and ends when its pipe does.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING

from swiftdeploy_tasks import core_dumps
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.belief import NEXT
from swiftdeploy_tasks.gate.bundle import Bundle

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SECONDS = 4.5

Load = Callable[[Bundle], Callable[[str, str], object]]


def decide(load: Load, bundle: Bundle, domain: str, text: str, *, seconds: float = SECONDS) -> object:
    """Return what `load(bundle)`, which compiles the bundle, answers about `domain` and `text`, its input.

    Raises GateUnavailable: the child's own, or because it died or took longer than `seconds`.
    """
    pipe, child = _cell(load, bundle)
    try:
        pipe.send((domain, text, seconds))
        if not pipe.poll(seconds):
            raise GateUnavailable(f"the policy of {domain} was not evaluated within {seconds:g} s", NEXT)
        answered, value = pipe.recv()
    except BaseException as error:
        _cell.cache_clear()
        child.kill()
        child.join()
        if isinstance(error, EOFError | OSError):
            message = f"the embedded engine died while it judged {domain} (exit {child.exitcode})"
            raise GateUnavailable(message, f"{NEXT}, or set gate: server in manifest.yaml") from None
        raise
    if not answered:
        raise GateUnavailable(*value)
    return value


def warm(load: Load, bundle: Bundle) -> None:
    """Let the child compile the bundle while the caller does something else; `decide` tells what fails."""
    pipe, _ = _cell(load, bundle)
    with suppress(OSError):
        pipe.send(None)


@functools.lru_cache(maxsize=1)
def _cell(load: Load, bundle: Bundle) -> tuple[Connection, multiprocessing.process.BaseProcess]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(load, bundle, theirs), daemon=True)
    child.start()
    theirs.close()
    return ours, child


def _serve(load: Load, bundle: Bundle, pipe: Connection) -> None:
    """Answer until the parent is gone; a request to end is the parent's to hear.

    What the parent had open is closed, its lock above all, and an evaluation that never ends is ended by the
    kernel: the parent may have been killed, and the child is then alone. Its memory holds the parent's
    secrets, so core dumps are off.
    """
    # A collection in the middle of an import in the forked child re-enters the import, which CPython 3.11
    # answers with KeyError(thread id).
    gc.disable()
    core_dumps.disable()
    os.closerange(3, pipe.fileno())
    os.closerange(pipe.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    # The engine's library writes to stderr itself when it crashes.
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 2)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    judge = None
    with suppress(EOFError, OSError):
        while True:
            question = pipe.recv()
            signal.alarm(ceil(SECONDS if question is None else question[2]))
            if question is None:
                with suppress(Exception):
                    judge = judge or load(bundle)
                signal.alarm(0)
                continue
            domain, text, _ = question
            try:
                judge = judge or load(bundle)
                pipe.send((True, judge(domain, text)))
            except GateUnavailable as error:
                pipe.send((False, (error.message, error.next)))
            except Exception as error:
                pipe.send((False, (f"the policy of {domain} cannot be evaluated: {error!r:.200}", NEXT)))
            signal.alarm(0)
