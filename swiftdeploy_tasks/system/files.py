"""Replaces files atomically: a reader or a crash sees the old content or the new.

Several processes may write one file at once. Only regular files are replaced.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from swiftdeploy_tasks.system import reserved_space

_BESIDE = ".swiftdeploy-new"


def replace(
    path: Path, content: str | bytes, *, mode: int = 0o644, owner: tuple[int, int] | None = None
) -> None:
    """Write `content` beside `path`, sync it and rename it into place, with exactly this mode.

    `owner` is a user and a group id; without it the file is this user's. A symbolic link is followed: what
    it points at is replaced, if that is a regular file. Raises OSError; the old file then stands.
    """
    replace_all({path: content}, mode=mode, owner=owner)


def rehearse(path: Path, content: bytes, *, mode: int, owner: tuple[int, int]) -> None:
    """Do what `replace` does up to the rename, and leave nothing behind. Raises the OSError of `replace`."""
    with _beside(_target(path)) as (new, fd):
        _fill(fd, content, mode, owner)
        new.unlink()


def replace_all(
    contents: Mapping[Path, str | bytes], *, mode: int = 0o644, owner: tuple[int, int] | None = None
) -> None:
    """Replace several files as `replace` does one: none is renamed before all are written and synced.

    On a full disk it spends the reserve, where this process may, and tries again.
    """
    while True:
        try:
            return _replace_all(contents, mode, owner)
        except OSError as error:
            if error.errno not in reserved_space.FULL or not reserved_space.spend(*contents):
                raise


def _replace_all(contents: Mapping[Path, str | bytes], mode: int, owner: tuple[int, int] | None) -> None:
    with ExitStack() as held:
        beside: dict[Path, Path] = {}
        for path, content in contents.items():
            target = _target(path)
            data = content.encode() if isinstance(content, str) else content
            beside[target], fd = held.enter_context(_beside(target))
            _fill(fd, data, mode, owner)
        for target, new in beside.items():
            new.replace(target)
    for folder in {target.parent for target in beside}:
        sync_folder(folder)


@contextmanager
def _beside(target: Path) -> Iterator[tuple[Path, int]]:
    """A new empty file of our own beside `target`, and its descriptor; what is left of it goes at an error.

    It is locked while it is open, so the file of a killed writer is recognised.
    """
    path, fd = next(taken for path in _places(target) if (taken := _taken(path)))
    try:
        yield path, fd
    except BaseException:
        _remove(path, fd)
        raise
    finally:
        os.close(fd)


def _places(target: Path) -> Iterator[Path]:
    """The candidate paths of a temporary file: concurrent writers take different ones."""
    yield target.with_name(f".{target.name}{_BESIDE}")
    yield from (target.with_name(f".{target.name}.{number}{_BESIDE}") for number in itertools.count(2))


def _taken(path: Path) -> tuple[Path, int] | None:
    """Make the file; None where another writer has it."""
    while _is_cleared(path):
        with suppress(FileExistsError):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between the two it may have been taken for one that was left.
                if os.fstat(fd).st_nlink:
                    return path, fd
            os.close(fd)
    return None


def _is_cleared(path: Path) -> bool:
    """Remove what a killed writer left, or whatever else is there; whether the place is free."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        # A link, or another user's: the folder's owner may remove it.
        path.unlink(missing_ok=True)
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path, fd)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _remove(path: Path, fd: int) -> None:
    """Remove the file, if it is still the one that is open: a renamed one leaves its place to others."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(fd), path.lstat()):
            path.unlink()


def _fill(fd: int, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    with os.fdopen(fd, "wb", closefd=False) as file:
        if owner:
            os.fchown(fd, *owner)
        os.fchmod(fd, mode)
        file.write(data)
        file.flush()
        os.fsync(fd)


def sweep(folder: Path, names: Iterable[str] = ("*",)) -> None:
    """Remove what a writer that was killed left beside the files of these names (patterns)."""
    for name in names:
        for left in (*folder.glob(f".{name}{_BESIDE}"), *folder.glob(f".{name}.[0-9]*{_BESIDE}")):
            _is_cleared(left)


def is_temporary(name: str) -> bool:
    """Return whether `replace` gives this name to a file that it has not renamed yet."""
    return name.startswith(".") and name.endswith(_BESIDE)


def _target(path: Path) -> Path:
    """Return what a link points at, there or not yet; raises OSError for one that leads to itself.

    A folder is left to the rename, which refuses it.
    """
    with suppress(FileNotFoundError):
        kind = path.stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
    return Path(os.path.realpath(path))


def last_lines(path: Path, lines: int, *, most: int) -> tuple[str, ...]:
    """Return the last lines of a text file, from its last `most` bytes; () where it cannot be read.

    Where it is longer, a first line that is not whole is left out unless it is the only one.
    """
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - most)
            file.seek(start)
            found = file.read(most).decode("utf-8", "replace").splitlines()
    except OSError:
        return ()
    return tuple(found[1 if start and len(found) > 1 else 0 :][-lines:])


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, *, mode: int = 0o700) -> None:
    """Make the folder, and those above it, with this mode whatever the umask; one that is there is left."""
    if path.is_dir():
        return
    make_folder(path.parent, mode=mode)
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(mode)
