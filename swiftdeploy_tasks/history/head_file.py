"""Reads and writes head.json in the state folder: the head, and what the next append must know."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swiftdeploy_tasks.history import lines
from swiftdeploy_tasks.history.chain import Head, is_digest
from swiftdeploy_tasks.system import files

_NAME = "head.json"


@dataclass(frozen=True)
class HeadFile:
    """What head.json holds.

    `own` is how many bytes of history.jsonl we wrote, None where that is unknown: other programs' bytes do
    not count for `history.max_bytes`, so they cause no record to be dropped. `adopted` is the seq of the
    newest record that was adopted from past the head, 0 where none was: another program may have written it.
    """

    head: Head | None = None
    own: int | None = None
    adopted: int = 0


def read(state: Path) -> HeadFile:
    """What the state folder holds; an empty HeadFile where the file is missing or is no head."""
    with suppress(FileNotFoundError), lines.opened(state / _NAME) as fd:
        return _parsed(os.pread(fd, lines.CHUNK, 0))
    return HeadFile()


def write(state: Path, kept: HeadFile) -> None:
    """Replace the file; raises OSError."""
    assert kept.head is not None
    content = kept.head._asdict() | {"own": kept.own, "adopted": kept.adopted}
    files.replace(state / _NAME, json.dumps(content), mode=0o600)


def head_from(content: bytes) -> Head | None:
    """The head that this JSON holds; None where it holds none."""
    return _parsed(content).head


def _parsed(content: bytes) -> HeadFile:
    try:
        found = json.loads(content)
        head, own, adopted = Head(found["seq"], found["hash"]), found.get("own"), found.get("adopted")
    except (ValueError, TypeError, KeyError, RecursionError):
        return HeadFile()
    if type(head.seq) is not int or head.seq < 0 or not is_digest(head.hash):
        return HeadFile()
    return HeadFile(head, own if type(own) is int else None, adopted if type(adopted) is int else 0)
