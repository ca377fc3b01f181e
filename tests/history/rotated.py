"""Histories that have been rotated, small ones: what the tests of rotation share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.history import rotation
from swiftdeploy_tasks.history.chain import Head, Record
from swiftdeploy_tasks.history.store import History
from swiftdeploy_tasks.manifest.model import HistoryLimits


def small(folder: Path, *, max_bytes: int = 1500, keep: int = 100, **more: Any) -> History:
    """A history whose file is full after a few records."""
    limits = HistoryLimits(max_bytes=max_bytes, keep=keep, **more)
    return History(folder / "history.jsonl", folder / ".swiftdeploy", limits)


def fill(history: History, count: int, run: str = "run-1") -> list[Record]:
    return [history.append("step", "deploy", run, "done", number=number) for number in range(count)]


def files_of(history: History) -> list[Path]:
    """The rotated files, oldest first."""
    folder = history.state / "history"
    return [folder / rotation.name_of(number) for number in rotation.numbered(folder)]


def unpacked(path: Path) -> bytes:
    with rotation.unpacked(path) as file:
        return file.read()


def repack(path: Path, content: bytes) -> None:
    """Put this content into the rotated file, as the program would write it."""
    plain = path.with_name("plain")
    plain.write_bytes(content)
    rotation.compress(plain, path)
    plain.unlink()


def put_head(history: History, head: Head) -> None:
    """Put this head into the state folder, as a program that knows no more of it would."""
    history.state.mkdir(exist_ok=True)
    (history.state / "head.json").write_text(json.dumps(head._asdict()))


def records(history: History) -> list[Record]:
    found = list(history.lines())
    assert [line.problem for line in found if line.problem] == []
    return [line.record for line in found if line.record]
