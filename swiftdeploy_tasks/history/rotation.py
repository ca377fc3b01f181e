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
from swiftdeploy_tasks.history.chain import CLOSED_OFF, MOST_TORN, Line
from swiftdeploy_tasks.system import files

_NAME = re.compile(r"(\d{6,})\.jsonl\.xz")
_EVERYTHING = 1 << 62
_MEMORY = 1 << 26
# A line is like the ones just before it: the smallest window packs best here, and ten times as fast as the
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
    """A rotated file is not what was written."""


def name_of(number: int) -> str:
    """The name of the nth rotated file."""
    return f"{number:06}.jsonl.xz"


def number_of(name: object) -> int:
    """The number of a rotated file by its name, 0 for any other."""
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    return int(found[1]) if found and name_of(int(found[1])) == name else 0


def numbered(folder: Path) -> list[int]:
    """The numbers of the rotated files in `folder`, oldest first; none where there is no such folder."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(number for name in os.listdir(folder) if (number := number_of(name)))  # noqa: PTH208
    return []


def aside(path: Path) -> Path:
    """Where the full file of the history at `path` stands until it is compressed."""
    real = Path(os.path.realpath(path))
    return real.with_name(f".{real.name}.swiftdeploy-full")


def put_away(full: Path, folder: Path) -> None:
    """Compress `full` into the next number of `folder` and remove it; what is cut off is done again.

    Raises OSError; `full` then stands.
    """
    files.make_folder(folder)
    last = max(numbered(folder), default=0)
    if not (last and holds(folder / name_of(last), full)):
        _compress(full, folder / name_of(last + 1))
    full.unlink()
    files.sync_folder(full.parent)


def take_back(full: Path, path: Path, folder: Path) -> None:
    """Undo the moving aside where nothing came of it, so that the history goes on in its file."""
    last = max(numbered(folder), default=0)
    if full.is_file() and not path.exists() and not (last and holds(folder / name_of(last), full)):
        full.rename(path)


def holds(rotated: Path, full: Path) -> bool:
    """Whether a rotated file holds just what `full` does: a crash came between its making and the end."""
    try:
        with unpacked(rotated) as one, _plain(full) as other:
            return all(a == b for a, b in zip_longest(_parts(one), _parts(other)))
    except Damaged:
        return False


def read(path: Path) -> Iterator[Line]:
    """Each line of a rotated file; damage is a line that says so, and ends it. Raises OSError."""
    number = 0
    try:
        with unpacked(path) as file:
            for line in lines.of(file, path, _EVERYTHING):
                number = line.number
                yield line
    except Damaged as error:
        yield problem(path, f"file damaged: {error}", number + 1)


def problem(path: Path, words: str, number: int = 1) -> Line:
    """A line that stands for what is wrong with a whole file, or with all of it from there on."""
    return Line(number, None, words, 0, "", terminated=True, file=path)


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """What a rotated file holds; reading raises Damaged where it is not byte for byte an archive of ours."""
    with lines.opened(path) as fd, io.BufferedReader(_Archive(fd), lines.CHUNK) as file:
        yield file


class _Archive(io.RawIOBase):
    """One stream with nothing after it. The library's own reader passes over padding and further streams."""

    def __init__(self, fd: int) -> None:
        self._fd, self._at = fd, 0
        self._unpack = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY)
        # Each record has a hash of its own, 32 bytes that nothing packs; only the torn lines that it closes
        # off have none.
        self._lines_left = MOST_TORN + os.fstat(fd).st_size // 32 * (1 + CLOSED_OFF)

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
            data = self._unpack.decompress(packed, size)
        except lzma.LZMAError as error:
            raise Damaged(f"it is no whole archive ({error})") from None
        self._lines_left -= data.count(b"\n")
        if self._lines_left < 0:
            raise Damaged("it holds more lines than so small a file has records")
        return data


def _compress(full: Path, target: Path) -> None:
    beside = target.with_name(f".{target.name}.swiftdeploy-new")
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=_FILTERS)
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out, _plain(full) as file:
            for part in _parts(file):
                out.write(packer.compress(part))
            out.write(packer.flush())
            out.flush()
            os.fsync(out.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    files.sync_folder(target.parent)


@contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    with lines.opened(path) as fd, os.fdopen(fd, "rb", closefd=False) as file:
        yield file


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    while part := file.read(lines.CHUNK):
        yield part
