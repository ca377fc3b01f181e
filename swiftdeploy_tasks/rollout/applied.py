"""A manifest with the bytes it was parsed from, and the kept copies that a rollback runs under.

`applied.yaml` in the state folder is the manifest in force. Each confirmed release keeps a copy beside its
description, so that one damaged file bars no rollback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from swiftdeploy_tasks.errors import ManifestError
from swiftdeploy_tasks.manifest import edit, loading, validation
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.manifest.source import parse, read
from swiftdeploy_tasks.rollout import release_store
from swiftdeploy_tasks.settings import DEFAULTS, Settings
from swiftdeploy_tasks.system import files

COPY = "manifest.yaml"
SHIPPED = DEFAULTS / "schema" / "manifest.schema.json"


@dataclass(frozen=True)
class ManifestFile:
    """A manifest and the bytes it was parsed from."""

    manifest: Manifest
    content: bytes

    def in_mode(self, mode: str) -> ManifestFile:
        """Return the same manifest with `services.mode` set; raises ManifestError where it cannot be.

        A mode that the manifest gives already, by default too, changes no byte.
        """
        if self.manifest.services.mode == mode:
            return self
        content = edit.set_mode(self.content, mode)
        return ManifestFile(in_mode(self.manifest, mode, content), content)


def in_mode(asked: Manifest, mode: str, content: bytes | None = None) -> Manifest:
    """Return the manifest with another mode; `content` are the bytes that say so."""
    services = replace(asked.services, mode="canary" if mode == "canary" else "stable")
    digest = hashlib.sha256(content).hexdigest() if content is not None else asked.digest
    return replace(asked, services=services, digest=digest)


def keep(places: Settings, release: str, content: bytes) -> None:
    """Keep the manifest that a confirmed release runs under."""
    files.replace(places.applied, content, mode=0o600)
    if (places.releases / release).is_dir():
        files.replace(places.releases / release / COPY, content, mode=0o600)


def in_force(places: Settings, *, first: bytes | None = None) -> tuple[ManifestFile, str]:
    """Return the manifest in force, and a sentence where another copy than applied.yaml is used, else "".

    In this order: `first`, applied.yaml, the copies of the confirmed releases from the newest on, and
    manifest.yaml. The kept copies were valid when they were kept: where today's schema refuses all of them,
    the first that still can be read is preferred to manifest.yaml, which no gate may have seen. Raises
    ManifestError where none can be used.
    """
    kept = [("target.json", first)] if first is not None else []
    kept += _copies(places)
    given = [(places.manifest.name, read(places.manifest).content)]
    own = _rules(places)
    for rules, copies in (*((one, kept) for one in own), (None, kept), *((one, given) for one in own)):
        for name, content in copies:
            if found := _parsed(content, rules):
                is_usual = name in {"target.json", places.applied.name}
                return found, "" if is_usual else f"{_fault(places)}; {name} is used instead"
    raise ManifestError(
        f"{_fault(places)}, no confirmed release has a usable copy of it, and manifest.yaml is not valid",
        "correct manifest.yaml, then run the same command again",
    )


def _fault(places: Settings) -> str:
    what = "is not a valid manifest" if places.applied.is_file() else "is missing"
    return f"the manifest in force, {places.applied}, {what}"


def _copies(places: Settings) -> list[tuple[str, bytes]]:
    held = [
        row.release for row in reversed(release_store.stack(release_store.confirmations(places.releases)))
    ]
    found = []
    for path in (places.applied, *(places.releases / name / COPY for name in dict.fromkeys(held))):
        with suppress(OSError):
            found.append((str(path.relative_to(places.state)), path.read_bytes()))
    return found


def _rules(places: Settings) -> list[Mapping[str, Any]]:
    """Return the project's schema and the one that ships; one that cannot be read is left out."""
    found: list[Mapping[str, Any]] = []
    for path in dict.fromkeys((places.schema, SHIPPED)):
        with suppress(ManifestError):
            found.append(loading.rules(path))
    return found


def _parsed(content: bytes, rules: Mapping[str, Any] | None) -> ManifestFile | None:
    """Return the manifest in these bytes, None where there is none.

    Without `rules`, what they say is taken unchecked, with the defaults that ship.
    """
    source = parse(content)
    if source.data is None or source.problems:
        return None
    # A project's own schema can be anything: one that breaks the check is one that the copy does not pass.
    with suppress(Exception):
        if rules is None or not validation.check(source, rules):
            return ManifestFile(loading.build(source, rules or loading.rules(SHIPPED)), content)
    return None
