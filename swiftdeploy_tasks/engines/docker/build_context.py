"""The build context of services.build: the files that are sent to the engine, and their digest.

Files that SwiftDeploy makes are left out. They are recognised by place and header together: a project's own
file of the same name is sent and counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING

from swiftdeploy_tasks.engines.protocol import Say
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest.model import Build, Manifest
from swiftdeploy_tasks.proxy import root_files
from swiftdeploy_tasks.system import files

if TYPE_CHECKING:
    from tempfile import _TemporaryFileWrapper

_TRIES = 3
_OUTPUTS = "outputs"
_GIT = re.compile(rb"(?<![\w.-])\.git(?![\w.-])")


@dataclass(frozen=True)
class BuildContext:
    """The folder of a build, and the names in it that are sent."""

    folder: Path
    build: Build
    names: tuple[str, ...]

    def digest(self) -> str:
        """Return the digest of what the build sees: names, executable bits, bytes, Dockerfile, arguments."""
        return _digest(self._entries(), self.build)

    def archive(self) -> _TemporaryFileWrapper[bytes]:
        """Return the context as a tar file, open for reading; it goes when it is closed.

        Raises PreflightError where a file cannot be read, or changes whenever it is.
        """
        for _ in range(_TRIES):
            file = NamedTemporaryFile()  # noqa: SIM115  (the caller closes it)
            try:
                with tarfile.open(fileobj=file, mode="w", dereference=True) as packed:
                    for name in self.names:
                        _pack(packed, self.folder / name, name)
            except OSError as error:
                file.close()
                trouble = error
            else:
                file.seek(0)
                return file
        raise _unreadable(trouble)

    def _entries(self) -> Iterator[tuple[str, bytes]]:
        names_git = bool(_GIT.search((self.folder / self.build.dockerfile).read_bytes()))
        for name in self.names:
            if not _counts(name, names_git=names_git):
                continue
            path = self.folder / name
            try:
                mode = path.lstat().st_mode
                if stat.S_ISLNK(mode):
                    yield name, b"link " + os.fsencode(path.readlink())
                elif stat.S_ISREG(mode):
                    with path.open("rb") as content:
                        yield name, _kind(mode) + hashlib.file_digest(content, "sha256").digest()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _unreadable(error) from None


def digest_of(archive: IO[bytes], build: Build) -> str:
    """Return what `BuildContext.digest` returns for the folder that was packed."""
    with tarfile.open(fileobj=archive) as packed:
        dockerfile = b""
        with suppress(KeyError):
            if file := packed.extractfile(str(PurePosixPath(build.dockerfile))):
                dockerfile = file.read()
        names_git = bool(_GIT.search(dockerfile))
        found = _digest(_packed_entries(packed, names_git=names_git), build)
    archive.seek(0)
    return found


def _packed_entries(packed: tarfile.TarFile, *, names_git: bool) -> Iterator[tuple[str, bytes]]:
    for member in packed:
        if not _counts(member.name, names_git=names_git):
            continue
        if member.issym():
            yield member.name, b"link " + os.fsencode(member.linkname)
        elif member.isreg() and (content := packed.extractfile(member)):
            yield member.name, _kind(member.mode) + hashlib.file_digest(content, "sha256").digest()  # type: ignore[arg-type]


def _counts(name: str, *, names_git: bool) -> bool:
    """Return whether a change of the file makes the image stale.

    The compiled files that Python keeps beside its sources do not, nor does `.git` unless the Dockerfile
    names it: a commit alone changes nothing that runs.
    """
    *above, last = name.split("/")
    if last.endswith(".pyc") and above[-1:] == ["__pycache__"]:
        return False
    return names_git or ".git" not in (*above, last)


def _digest(entries: Iterable[tuple[str, bytes]], build: Build) -> str:
    total = hashlib.sha256(repr((build.dockerfile, build.args)).encode())
    for name, kind in entries:
        total.update(f"\0{name}\0".encode("utf-8", "surrogateescape") + kind)
    return total.hexdigest()[:24]


def _kind(mode: int) -> bytes:
    return b"x " if mode & 0o111 else b"- "


def _pack(packed: tarfile.TarFile, path: Path, name: str) -> None:
    """Add one path; owners are left out, as the build does, and so are sockets, pipes and devices."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as content:
                packed.addfile(_anonymous(packed.gettarinfo(arcname=name, fileobj=content)), content)
        elif stat.S_ISDIR(mode):
            packed.addfile(_anonymous(packed.gettarinfo(str(path), arcname=name)))
        elif stat.S_ISLNK(mode):
            link = tarfile.TarInfo(name)
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
            packed.addfile(link)
    except FileNotFoundError:
        return


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _unreadable(error: OSError) -> PreflightError:
    return PreflightError(
        f"the build context cannot be read: {error}",
        "make the file readable and let nothing write to it, or name it in .dockerignore",
    )


def read(manifest: Manifest, build: Build, *, root: Path, home: Path) -> BuildContext:
    """Return the context that `build` names; raises PreflightError where there is no Dockerfile."""
    from docker.utils.build import exclude_paths

    folder = (root / build.context).resolve()
    if not (folder / build.dockerfile).is_file():
        raise PreflightError(
            f"services.build names {build.dockerfile} in {folder}, and there is none",
            "correct services.build",
        )
    ignore = folder / ".dockerignore"
    text = ignore.read_text("utf-8", "surrogateescape") if ignore.is_file() else ""
    patterns = [line.strip() for line in text.splitlines()]
    rules = [line for line in patterns if line and not line.startswith("#")]
    ours = root_files.made(manifest, root=root, home=home, also=(*_outputs(), *_former_outputs(root, home)))
    names = sorted(exclude_paths(str(folder), rules, build.dockerfile))
    return BuildContext(folder, build, tuple(name for name in names if not ours.has(folder / name)))


def leave_out_outputs(build: Build, *, root: Path, home: Path, say: Say) -> None:
    """Note the files of the context that this run's output goes to: they are in no build from now on."""
    context = (root / build.context).resolve()
    former = set(_former_outputs(root, home))
    new = {path for path in _outputs() if path.is_relative_to(context) and path.is_relative_to(root)} - former
    for path in sorted(new):
        say(f"{path.name} takes the output of this run and is left out of the build")
    if new:
        names = sorted(str(path.relative_to(root)) for path in former | new)
        files.replace(home / _OUTPUTS, json.dumps(names), mode=0o600)


def _outputs() -> Iterator[Path]:
    """Return the files that the output of this run goes to."""
    for number in (1, 2):
        with suppress(OSError):
            if stat.S_ISREG(os.fstat(number).st_mode):
                yield Path(f"/proc/self/fd/{number}").readlink()


def _former_outputs(root: Path, home: Path) -> Iterator[Path]:
    with suppress(OSError, ValueError):
        yield from (root / str(name) for name in json.loads((home / _OUTPUTS).read_bytes()))
