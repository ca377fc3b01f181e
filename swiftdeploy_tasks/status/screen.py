"""The console for a stream: its width, its characters, and whether it can be redrawn."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO, TypeGuard

if TYPE_CHECKING:
    from rich.console import Console


LOG_WIDTH = 100


def can_move(stream: TextIO | None) -> TypeGuard[TextIO]:
    """Return whether the stream is a terminal on which a picture can be drawn over the last one."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def console_for(stream: TextIO, *, is_plain: bool = False) -> Console:
    """Return a console that writes to the stream, without escape codes where `is_plain`."""
    from rich.console import Console

    return Console(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        width=_width(stream),
        force_terminal=False if is_plain else None,
    )


def _width(stream: TextIO) -> int | None:
    """A terminal's own width; 100 columns for a log."""
    return None if stream.isatty() else LOG_WIDTH


def is_unicode(console: Console) -> bool:
    """Return whether the console's encoding has block characters."""
    return console.encoding.lower().startswith("utf")
