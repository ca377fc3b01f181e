"""The child process in which the embedded Rego engine runs.

The engine is native code, which can crash or never return. The child is a new Python, because the library
also fails beside some native libraries of the caller, such as numpy. It is started once for a bundle, keeps
it compiled, and ends when its pipe is closed.
"""

from __future__ import annotations

import atexit
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.bundle import Bundle
from swiftdeploy_tasks.gate.decision import NEXT
from swiftdeploy_tasks.system import core_dumps

# Of the child's processor time, so that a busy host makes an answer late and not wrong.
SECONDS = 4.5
# Of the clock: how much longer an answer may take than its processor time.
WAIT_SECONDS = 60.0

Load = Callable[[Bundle], Callable[[str, str], object]]

_CODE = "import sys; sys.path[:] = {path!r}; from swiftdeploy_tasks.gate import worker; worker.serve({pipe})"


def decide(load: Load, bundle: Bundle, domain: str, text: str, *, seconds: float = SECONDS) -> object:
    """Return what `load(bundle)`, which compiles the bundle, answers about `domain` and `text`, its input.

    `load` is imported by its name in the child. Raises GateUnavailable: the child's own, or because it died
    or took longer than `seconds` of processor time.
    """
    try:
        child = _child(load, bundle)
        child.pipe.send((domain, text, seconds))
        if not child.pipe.poll(seconds + WAIT_SECONDS):
            raise GateUnavailable(
                f"the policy of {domain} was not evaluated within {seconds + WAIT_SECONDS:g} s", NEXT
            )
        answered, value = child.pipe.recv()
    except BaseException as error:
        code = _end()
        if code == -signal.SIGPROF:
            message = f"the policy of {domain} was not evaluated within {seconds:g} s of processor time"
            raise GateUnavailable(message, NEXT) from None
        if isinstance(error, EOFError | OSError):
            message = f"the embedded engine died while it judged {domain} (exit {code})"
            raise GateUnavailable(message, f"{NEXT}, or set gate: server in manifest.yaml") from None
        raise
    if not answered:
        raise GateUnavailable(*value)
    return value


def warm(load: Load, bundle: Bundle) -> None:
    """Start compiling the bundle in the child; `decide` raises what fails."""
    with suppress(OSError):
        _child(load, bundle).pipe.send(None)


@dataclass(frozen=True)
class _Child:
    pipe: Connection
    process: subprocess.Popen[bytes]


_kept: dict[tuple[Load, Bundle], _Child] = {}
"""The child that runs, by what it was started for: one at most."""


def _child(load: Load, bundle: Bundle) -> _Child:
    key = load, bundle
    if key not in _kept:
        _end()
        _kept[key] = _start()
        _kept[key].pipe.send(key)
    return _kept[key]


def _start() -> _Child:
    """Start the child: out of the terminal's reach, and without core dumps, as it gets secrets."""
    ours, theirs = socket.socketpair()
    code = _CODE.format(path=sys.path, pipe=theirs.fileno())
    # The engine's library writes to stderr itself when it crashes.
    with theirs, core_dumps.disabled():
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return _Child(Connection(ours.detach()), process)


@atexit.register
def _end() -> int | None:
    """End the child, where one runs, and return its exit code."""
    code = None
    while _kept:
        child = _kept.popitem()[1]
        child.pipe.close()
        child.process.kill()
        code = child.process.wait()
    return code


def serve(descriptor: int) -> None:
    """Answer, in the child, until the parent is gone.

    An evaluation that never ends is ended by the kernel: the parent may have been killed, and the child is
    then alone.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    pipe = Connection(descriptor)
    judge = None
    with suppress(EOFError, OSError):
        load, bundle = pipe.recv()
        while True:
            question = pipe.recv()
            _limit(SECONDS if question is None else question[2])
            if question is None:
                with suppress(Exception):
                    judge = judge or load(bundle)
                _limit(0)
                continue
            domain, text, _ = question
            try:
                judge = judge or load(bundle)
                pipe.send((True, judge(domain, text)))
            except GateUnavailable as error:
                pipe.send((False, (error.message, error.next)))
            except Exception as error:
                pipe.send((False, (f"the policy of {domain} cannot be evaluated: {error!r:.200}", NEXT)))
            _limit(0)


def _limit(seconds: float) -> None:
    """End this process after so much of its own processor time, or after the parent gave up; 0: no limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds and seconds + 2 * WAIT_SECONDS)
