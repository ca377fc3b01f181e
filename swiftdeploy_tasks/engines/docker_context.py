"""The build context of services.build: what is sent to the engine, and the digest of it.

Files that SwiftDeploy makes are in neither. They are known by place and mark together: a file of the
project's own that only has the same name is sent and counts.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from swiftdeploy_tasks import root_files
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest import Build, Manifest

if TYPE_CHECKING:
    from tempfile import _TemporaryFileWrapper


@dataclass(frozen=True)
class BuildContext:
    """The folder of a build, and the names in it that are sent."""

    folder: Path
    build: Build
    names: tuple[str, ...]

    def digest(self) -> str:
        """Return the digest of what the build sees: names, executable bits, bytes, Dockerfile, arguments.

        The compiled files that Python keeps beside its sources are sent and do not count.
        """
        total = hashlib.sha256(repr((self.build.dockerfile, self.build.args)).encode())
        for name in self.names:
            path = self.folder / name
            if name.endswith(".pyc") and path.parent.name == "__pycache__":
                continue
            if path.is_symlink():
                kind = b"link " + os.fsencode(path.readlink())
            elif path.is_file():
                mode = b"x " if os.access(path, os.X_OK) else b"- "
                kind = mode + hashlib.sha256(path.read_bytes()).digest()
            else:
                continue
            total.update(f"\0{name}\0".encode("utf-8", "surrogateescape") + kind)
        return total.hexdigest()[:24]

    def archive(self) -> _TemporaryFileWrapper[bytes]:
        """Return the context as a tar file, open for reading; it goes when it is closed."""
        from docker.utils.build import create_archive

        file = NamedTemporaryFile()  # noqa: SIM115  (the caller closes it)
        create_archive(str(self.folder), files=list(self.names), fileobj=file)
        return file


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
    patterns = [line.strip() for line in ignore.read_text().splitlines()] if ignore.is_file() else []
    rules = [line for line in patterns if line and not line.startswith("#")]
    ours = root_files.made(manifest, root=root, home=home)
    names = sorted(exclude_paths(str(folder), rules, build.dockerfile))
    return BuildContext(folder, build, tuple(name for name in names if not ours.has(folder / name)))
