"""Rotates history.jsonl: compresses a full file into a numbered one, and reads those back.

The full file is renamed first and removed last, so a crash leaves one of the two complete, and the next
append finishes the rotation.
"""

from __future__ import annotations

import io
import lzma
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any

from swiftdeploy_tasks.history import lines
from swiftdeploy_tasks.history.chain import Line
from swiftdeploy_tasks.system import files

# The folder of the rotated files, in the state folder.
FOLDER = "history"
_NAME = re.compile(r"([0-9]{6}|[1-9][0-9]{6,})\.jsonl\.xz")
_MEMORY = 1 << 26
# A line is like the ones just before it, so the smallest window packs best here, and ten times as fast as the
# usual presets (docs/benchmarks.md).
_FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "dict_size": 1 << 12,
        "lc": 3,
        "lp": 0,
        "pb": 0,
        "mode": lzma.MODE_NORMAL,
        "mf": lzma.MF_HC4,
        "nice_len": 48,
    }
]


class Damaged(Exception):
    """A rotated file is not byte for byte an archive as this program writes it."""


def name_of(number: int) -> str:
    """The name of the nth rotated file."""
    return f"{number:06}.jsonl.xz"


def number_of(name: str) -> int:
    """The number of a rotated file by its name, 0 for any other."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else 0


def path_of(folder: Path, number: int) -> Path:
    """The path of the nth rotated file."""
    return folder / name_of(number)


def numbered(folder: Path) -> list[int]:
    """The numbers of the rotated files in `folder`, oldest first; none where there is no such folder."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(number for name in os.listdir(folder) if (number := number_of(name)))  # noqa: PTH208
    return []


def full_file(path: Path) -> Path:
    """The path of the full file of the history at `path` until it is compressed."""
    real = Path(os.path.realpath(path))
    return real.with_name(f".{real.name}.swiftdeploy-full")


def archive(full: Path, folder: Path) -> None:
    """Compress `full` into the next number of `folder` and remove it; raises OSError, and `full` then stands.

    A compressed file that a crash left beside `full` is used.
    """
    files.make_folder(folder)
    last = max(numbered(folder), default=0)
    if not (last and is_archive_of(path_of(folder, last), full)):
        compress(full, path_of(folder, last + 1))
    full.unlink()
    files.sync_folder(full.parent)


def restore(full: Path, path: Path, folder: Path) -> None:
    """Rename `full` back to `path` where it was not compressed, so that the history goes on in it."""
    last = max(numbered(folder), default=0)
    if full.is_file() and not path.exists() and not (last and is_archive_of(path_of(folder, last), full)):
        full.rename(path)


def is_archive_of(rotated: Path, full: Path) -> bool:
    """Whether a rotated file holds exactly the content of `full`."""
    try:
        with unpacked(rotated) as one, _plain(full) as other:
            return all(a == b for a, b in zip_longest(_parts(one), _parts(other)))
    except Damaged:
        return False


def read(path: Path) -> Iterator[Line]:
    """Each line of a rotated file; it ends at damage with one line that says so. Raises OSError."""
    number = 0
    try:
        with unpacked(path) as file:
            for line in lines.forwards(file, path):
                number = line.number
                yield line
    except Damaged as error:
        yield problem(path, f"the file is damaged: {error}", number + 1)


def problem(path: Path, words: str, number: int = 1) -> Line:
    """A line that stands for what is wrong with a file from there on."""
    return Line(number, None, words, 0, "", terminated=True, file=path)


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The content of a rotated file; reading it raises Damaged."""
    with lines.opened(path) as fd, io.BufferedReader(_Archive(fd), lines.CHUNK) as file:
        yield file


class _Archive(io.RawIOBase):
    """One xz stream with nothing after it; the library's own reader accepts padding and more streams."""

    def __init__(self, fd: int) -> None:
        self._fd, self._at = fd, 0
        self._unpack = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            if self._unpack.eof:
                if self._unpack.unused_data or os.pread(self._fd, 1, self._at):
                    raise Damaged("there are bytes after its end")
                return 0
            data = self._more(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _more(self, size: int) -> bytes:
        packed = b""
        if self._unpack.needs_input:
            packed = os.pread(self._fd, lines.CHUNK, self._at)
            self._at += len(packed)
            if not packed:
                raise Damaged("it is cut short")
        try:
            return self._unpack.decompress(packed, size)
        except lzma.LZMAError as error:
            raise Damaged(f"it is no whole archive ({error})") from None


def compress(full: Path, target: Path) -> None:
    """Write `target` as the archive of `full`, wholly or not at all; raises OSError."""
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=_FILTERS)
    with _plain(full) as file:
        packed = b"".join(map(packer.compress, _parts(file)))
    files.replace(target, packed + packer.flush(), mode=0o600)


@contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    with lines.opened(path) as fd, os.fdopen(fd, "rb", closefd=False) as file:
        yield file


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(lines.CHUNK), b"")
