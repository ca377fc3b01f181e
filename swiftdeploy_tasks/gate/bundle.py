"""Which policies are in force: modules and limits as one value with a revision of its own.

Stands apart from the answerers so that the server and the embedded engine are given the very same text, and
so that a verdict can be traced to it later. It reads no policy's meaning: that is for the engines.

A server watches the folder while it is written. So the folder itself is never replaced, each file appears
whole, and `.manifest` comes last: whoever sees the new revision sees the new rules.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.errors import GateUnavailable

PACKAGE = "swiftdeploy"
_PACKAGE_LINE = re.compile(rf"^package\s+{PACKAGE}\.(\w+)\s*$", re.MULTILINE)
_EXPONENT = re.compile(r"(?<= )-?[\d.]+e[-+]?\d+(?=,?$)", re.MULTILINE)


MAX_TEXT = 1_000_000


@dataclass(frozen=True)
class Bundle:
    """Rego modules by file name, the text of data.json, and the revision: 16 hex digits over both."""

    modules: tuple[tuple[str, str], ...] = field(repr=False)
    data: str = field(repr=False)
    revision: str

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that the modules define, sorted."""
        return tuple(sorted({name for _, text in self.modules for name in _PACKAGE_LINE.findall(text)}))

    def limits(self, domain: str) -> dict[str, Any]:
        """The limits that this domain compares with; empty when it has none."""
        limits: dict[str, Any] = json.loads(self.data)["limits"].get(domain, {})
        return limits

    def files(self) -> dict[str, bytes]:
        """What a bundle folder holds, `.manifest` last.

        The manifest names no `roots`: with them a server accepts a policy pushed beside ours.
        """
        texts = dict(self.modules) | {"data.json": self.data}
        return {name: text.encode() for name, text in texts.items()} | {
            ".manifest": json.dumps({"revision": self.revision}).encode()
        }


def read_bundle(policies: Path, overrides: Mapping[str, Mapping[str, float]]) -> Bundle:
    """Read the `.rego` files (tests apart) and data.json, with `overrides` laid over its limits by domain.

    Raises GateUnavailable when a file cannot be read, or data.json has no limits by domain.
    """
    sources = sorted(path for path in policies.glob("*.rego") if not path.name.endswith("_test.rego"))
    if not sources:
        raise GateUnavailable(f"there is no policy (*.rego) in {policies}", "git checkout policies")
    modules = tuple((path.name, _read(path)) for path in sources)
    data = _canonical(_merged(policies / "data.json", overrides))
    return Bundle(modules, data, _digest((*modules, ("data.json", data))))


def publish(bundle: Bundle, folder: Path) -> None:
    """Make `folder` a bundle that an OPA server can read as any user, also while one watches it.

    Raises OSError.
    """
    _write(bundle, folder, folder_mode=0o755, file_mode=0o644)


def keep(bundle: Bundle, folder: Path) -> None:
    """Keep a copy in `folder`/<revision>/, for whoever has to explain a verdict later. Raises OSError."""
    _write(bundle, folder / bundle.revision, folder_mode=0o700, file_mode=0o600)


def _write(bundle: Bundle, folder: Path, *, folder_mode: int, file_mode: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(folder_mode)
    files = bundle.files()
    manifest = files.pop(".manifest")
    for name, content in files.items():
        _replace(folder / name, content, file_mode)
    for stale in {path.name for path in folder.iterdir()} - files.keys() - {".manifest"}:
        (folder / stale).unlink()
    _replace(folder / ".manifest", manifest, file_mode)


def _replace(path: Path, content: bytes, mode: int) -> None:
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    beside.replace(path)


def _merged(path: Path, overrides: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    next_step = f"correct {path.name} in {path.parent}, then `invoke validate`"
    try:
        data = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise GateUnavailable(f"{path} is not JSON: {error}", next_step) from None
    limits = data.get("limits") if isinstance(data, dict) else None
    if not isinstance(limits, dict) or not all(isinstance(values, dict) for values in limits.values()):
        raise GateUnavailable(f"{path} has no `limits` by domain, so nothing can be compared", next_step)
    for domain, values in overrides.items():
        limits[domain] = limits.get(domain, {}) | dict(values)
    return dict(data)


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise OSError(f"{path.name} is not a regular file")
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_TEXT + 1)
        if len(text) > MAX_TEXT:
            raise OSError(f"it is longer than {MAX_TEXT} characters")
        return text
    except (OSError, UnicodeDecodeError) as error:
        raise GateUnavailable(f"{path} cannot be read: {error}", "invoke validate") from None


def _canonical(data: dict[str, Any]) -> str:
    """One text for equal data; tiny numbers without an exponent, which the embedded engine cannot read."""
    try:
        text = json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError as error:
        raise GateUnavailable(f"the limits cannot be put as JSON: {error}", "invoke validate") from None
    return _EXPONENT.sub(lambda number: f"{Decimal(number[0]):f}", text)


def _digest(files: tuple[tuple[str, str], ...]) -> str:
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
