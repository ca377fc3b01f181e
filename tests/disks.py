"""Small disks for tests: full ones, and ones that are mounted read-only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE = "6m"


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True, timeout=20)


@contextmanager
def disk_of_its_own(folder: Path) -> Iterator[None]:
    """Mount a small disk at this folder; skip the test where this user may not mount one."""
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a disk of its own cannot be mounted: {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True, timeout=20)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mount the folder read-only, for root too; files that are open already stay writable."""
    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", folder], check=True, timeout=20)


def fill(folder: Path) -> Path:
    """Take all the room that is left, to the last byte."""
    path = folder / "ballast"
    with path.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return path
