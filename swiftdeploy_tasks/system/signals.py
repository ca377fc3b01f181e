"""Ends the process cleanly on SIGINT, SIGTERM and SIGHUP: each raises a KeyboardInterrupt.

`deferred` postpones it over a step that must not be interrupted.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_HEARD: list[int] = []

Handler = Callable[[int, FrameType | None], None]


def listen(end: Callable[[], None]) -> None:
    """Call `end`, which raises, at every request to end from now on; only the main thread can."""

    def handle(number: int, frame: FrameType | None) -> None:
        _HEARD.append(number)
        end()

    _install(handle)


def is_asked() -> bool:
    """Return whether a request to end has come: what is raised while Python imports or collects is lost."""
    return bool(_HEARD)


@contextmanager
def deferred(announce: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Defer a request to end until the block is done; `announce` is called when one comes."""
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        announce()

    with _handled(handle):
        yield
    if asked:
        raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let the block come to its end whatever is asked: what it puts down is done already."""
    with _handled(lambda number, frame: None):
        yield


@contextmanager
def _handled(handle: Handler) -> Iterator[None]:
    former = _install(handle)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def ignore() -> None:
    """Let nothing end the process from now on: it is about to end by itself.

    Not by a handler of ours: the interpreter takes those away before it is done.
    """
    with suppress(ValueError):
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)


def _install(handle: Handler) -> dict[signal.Signals, signal._HANDLER]:
    """Take over the endings, except those that our caller ignores; return the former handlers."""
    former: dict[signal.Signals, signal._HANDLER] = {}
    with suppress(ValueError):
        for number in ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                former[number] = signal.signal(number, handle)
    return former
