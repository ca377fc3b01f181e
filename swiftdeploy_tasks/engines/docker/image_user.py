"""The user of an image as uid:gid."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.engines.docker import containers, images
from swiftdeploy_tasks.engines.docker.client import client, translated
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.system.remembered import remembered

_FILES = {"user": "/etc/passwd", "group": "/etc/group"}
_MAX_BYTES = 1 << 20


def as_numbers(image: str, project: str, home: Path) -> str:
    """Return uid:gid of the user as which the image's processes run, "" for an image that is not here.

    Raises PreflightError for a name that the image's /etc/passwd or /etc/group does not have.
    """
    found = images.description(image)
    if found is None:
        return ""
    named = str(found["Config"].get("User") or "0")
    return remembered(
        home / "checked", ["user", found["Id"]], lambda: _resolved_user(image, named, project, home)
    )


def _resolved_user(image: str, named: str, project: str, home: Path) -> str:
    user, _, group = named.partition(":")
    if user.isdigit() and group.isdigit():
        return f"{int(user)}:{int(group)}"
    tables = _tables(image, project, home)
    row = _row(tables["user"], user)
    uid = row[2] if row else user
    gid = group or (row[3] if row else "0")
    if not gid.isdigit():
        line = _row(tables["group"], gid)
        gid = line[2] if line else gid
    if not (uid.isdigit() and gid.isdigit()):
        raise PreflightError(
            f"services.user is image, and {image} names the user {named!r}, which its /etc/passwd and "
            "/etc/group do not have",
            "set services.user to a number, such as 10001:10001",
        )
    return f"{int(uid)}:{int(gid)}"


def _row(table: str, wanted: str) -> list[str] | None:
    """Return the fields of the row with this name, for digits those of the row with this number.

    As for the Docker Engine, digits are never a name: a row may have them as one and the number of root.
    """
    rows = (line.split(":") for line in table.splitlines())
    column = 2 if wanted.isdigit() else 0
    return next((row for row in rows if len(row) >= 4 and row[column] == wanted), None)


def _tables(image: str, project: str, home: Path) -> dict[str, str]:
    """Return the text of /etc/passwd and /etc/group, from a container that is never started."""
    with translated(f"the users of {image} cannot be read"):
        container = client().containers.create(
            image, command=["true"], labels=containers.labels_of_a_check(project, str(home))
        )
        try:
            return {kind: _file(container, path) for kind, path in _FILES.items()}
        finally:
            container.remove(force=True, v=True)


def _file(container: Any, path: str) -> str:
    from docker.errors import NotFound

    try:
        chunks, _ = container.get_archive(path)
    except NotFound:
        return ""
    content = b""
    for chunk in chunks:
        content += chunk
        if len(content) > _MAX_BYTES:
            return ""
    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        member = next(iter(packed), None)
        file = packed.extractfile(member) if member and member.isfile() else None
        return file.read().decode("utf-8", "replace") if file else ""
