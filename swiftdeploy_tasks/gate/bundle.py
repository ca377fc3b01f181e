"""The policy bundle: the Rego modules and the limits, with a revision that is a digest of them.

The server and the embedded engine get the same text. As in OPA's bundles, every `.rego` file below the folder
is a module, and a `data.json` in a sub folder lies under that folder's path. `*_test.rego` files are left
out.

A server watches the folder while it is written, so the folder itself is not replaced, each file is renamed
into place, and `.manifest` with the new revision comes last.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import package_statement

PACKAGE = "swiftdeploy"
_EXPONENT = re.compile(r"(?<= )-?[\d.]+e[-+]?\d+(?=,?$)", re.MULTILINE)


MAX_TEXT = 1_000_000
DATA = "data.json"
_SHOWN = 3
_OTHER_DATA = {"data.yaml", "data.yml"}


@dataclass(frozen=True)
class Bundle:
    """Rego modules by path, the text of data.json, and the revision: 16 hex digits over both."""

    modules: tuple[tuple[str, str], ...] = field(repr=False)
    data: str = field(repr=False)
    revision: str

    @cached_property
    def plain(self) -> tuple[tuple[str, package_statement.Header], ...]:
        """The modules with their package statements read; raises GateUnavailable for one that has none."""
        return tuple((name, _header(name, text)) for name, text in self.modules)

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that the modules define: the packages directly below `swiftdeploy`, sorted."""
        packages = {found.package for _, found in self.plain}
        return tuple(sorted(path[1] for path in packages if len(path) == 2 and path[0] == PACKAGE))

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


def read_bundle(
    policies: Path, overrides: Mapping[str, Mapping[str, float]], *, required: Iterable[str] = ()
) -> Bundle:
    """Read every `.rego` and `data.json` below the folder, with `overrides` laid over the limits by domain.

    Raises GateUnavailable when a file cannot be read, or has no place in a bundle, or data.json has no limits
    by domain, or a `required` domain has no package.
    """
    found = sorted(_files(policies, policies))
    sources = [path for path in found if path.suffix == ".rego"]
    if not sources:
        raise GateUnavailable(f"there is no policy (*.rego) in {policies}", "git checkout policies")
    modules = tuple((path.relative_to(policies).as_posix(), _read(path)) for path in sources)
    if lacking := _lacking(policies, modules, required):
        raise GateUnavailable(
            f"{policies} replaces the policies that ship as a whole, and has {lacking}",
            "complete it by docs/policies.md, or rename it, so that those that ship are used",
        )
    documents = [path for path in found if path.name == DATA and path.parent != policies]
    data = _canonical(_merged(policies / DATA, documents, overrides))
    return Bundle(modules, data, _digest((*modules, (DATA, data))))


def _lacking(policies: Path, modules: tuple[tuple[str, str], ...], required: Iterable[str]) -> str:
    """Return what a policies folder must have and has not, and what it has in its place; "" for nothing."""
    packages = {name: ".".join(_header(name, text).package) for name, text in modules}
    wanted = [f"{PACKAGE}.{domain}" for domain in required]
    lacking = [f"no package {package}" for package in wanted if package not in packages.values()]
    if required and not (policies / DATA).exists():
        lacking.insert(0, f"no {DATA} with `limits` by domain")
    if not lacking:
        return ""
    others = [f"{name} is package {found}" for name, found in packages.items() if found not in wanted]
    return ", ".join(lacking) + (f"; {', '.join(others[:_SHOWN])}" if others else "")


def is_policy(path: Path) -> bool:
    """Return whether a file below a policies folder is part of the bundle."""
    return path.name == DATA or (path.suffix == ".rego" and not path.name.endswith("_test.rego"))


def _files(folder: Path, top: Path) -> Iterator[Path]:
    """Yield the bundle's files below `folder`; raises GateUnavailable for data that would not be read."""
    try:
        entries = sorted(folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise GateUnavailable(f"{folder} cannot be read: {error}", "invoke validate") from None
    for path in entries:
        if path.is_dir() and path.suffix != ".rego":
            if path.is_symlink():
                raise _misplaced(
                    path, top, "is a link to a folder, which OPA does not follow", "copy the folder"
                )
            yield from _files(path, top)
        elif path.name in _OTHER_DATA:
            raise _misplaced(path, top, "is not read", "write its content into data.json as JSON")
        elif is_policy(path):
            yield path


def _misplaced(path: Path, top: Path, what: str, advice: str) -> GateUnavailable:
    return GateUnavailable(f"{path.relative_to(top)} in {top} {what}", f"{advice}, then `invoke validate`")


def _header(name: str, text: str) -> package_statement.Header:
    try:
        return package_statement.read(text)
    except ValueError as error:
        raise GateUnavailable(
            f"the policy {name} does not compile: {error}", f"correct {name}, then `invoke validate`"
        ) from None


def publish(bundle: Bundle, folder: Path) -> None:
    """Make `folder` a bundle that an OPA server can read as any user, also while one watches it.

    A file that is as it should be is left alone: the server compiles all policies again for each that is
    written. Raises OSError.
    """
    _write(bundle, folder, folder_mode=0o755, file_mode=0o644)


def keep(bundle: Bundle, folder: Path) -> None:
    """Keep a copy in `folder`/<revision>/, to explain a verdict later. Raises OSError."""
    _write(bundle, folder / bundle.revision, folder_mode=0o700, file_mode=0o600)


def _write(bundle: Bundle, folder: Path, *, folder_mode: int, file_mode: int) -> None:
    files = bundle.files()
    manifest = files.pop(".manifest")
    folders = {folder, *((folder / name).parent for name in files)}
    folders |= {parent for each in folders for parent in each.parents if parent.is_relative_to(folder)}
    for each in sorted(folders):
        each.mkdir(parents=True, exist_ok=True)
        if stat.S_IMODE(each.stat().st_mode) != folder_mode:
            each.chmod(folder_mode)
    for name, content in files.items():
        _replace(folder / name, content, file_mode)
    for path in stale(bundle, folder):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    _replace(folder / ".manifest", manifest, file_mode)


def stale(bundle: Bundle, folder: Path) -> list[Path]:
    """Return what lies in the bundle's folder and is no part of it; a folder comes after its content."""
    wanted = {folder / name for name in bundle.files()}
    kept = wanted | {parent for path in wanted for parent in path.parents}
    return sorted((path for path in folder.rglob("*") if path not in kept), reverse=True)


def _is(path: Path, content: bytes, mode: int) -> bool:
    """Return whether this is a file of its own with that content and mode."""
    with suppress(OSError):
        found = path.lstat()
        return (
            stat.S_ISREG(found.st_mode)
            and stat.S_IMODE(found.st_mode) == mode
            and path.read_bytes() == content
        )
    return False


def _replace(path: Path, content: bytes, mode: int) -> None:
    if _is(path, content, mode):
        return
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    beside.replace(path)


def _merged(path: Path, below: list[Path], overrides: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return the data document: data.json, those of sub folders under their paths, and the overrides."""
    data = _object(path)
    for other in below:
        steps = other.parent.relative_to(path.parent).parts
        content: dict[str, Any] = _object(other)
        for step in reversed(steps):
            content = {step: content}
        if clash := _join(data, content):
            name = other.relative_to(path.parent)
            raise GateUnavailable(
                f"{name} in {path.parent} gives data.{clash}, which another data.json gives too",
                "remove one of the two, then `invoke validate`",
            )
    limits = data.get("limits")
    if not isinstance(limits, dict) or not all(isinstance(values, dict) for values in limits.values()):
        raise GateUnavailable(f"{path} has no `limits` by domain, so nothing can be compared", _correct(path))
    for domain, values in overrides.items():
        limits[domain] = limits.get(domain, {}) | dict(values)
    return data


def _object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise GateUnavailable(f"{path} is not JSON: {error}", _correct(path)) from None
    if not isinstance(data, dict):
        raise GateUnavailable(f"{path} is no JSON object, so it has no `limits` by domain", _correct(path))
    return data


def _correct(path: Path) -> str:
    return f"correct {path.name} in {path.parent}, then `invoke validate`"


def _join(data: dict[str, Any], more: Mapping[str, Any]) -> str:
    """Add `more` to `data`, object by object; return the path of what both have, "" when nothing clashes."""
    for name, value in more.items():
        if name not in data:
            data[name] = value
        elif isinstance(data[name], dict) and isinstance(value, dict):
            if clash := _join(data[name], value):
                return f"{name}.{clash}"
        else:
            return name
    return ""


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
