"""Replaces the value of services.mode in manifest.yaml and changes no other byte.

Writing the YAML again would lose comments, quotes and order. The result is parsed and compared before it is
written. A mode that is empty, anchored, tagged, an alias or a block is refused, and so is a file whose owner
or permissions could not be restored.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.errors import ManifestError
from swiftdeploy_tasks.manifest.source import compose, parse, shown
from swiftdeploy_tasks.system import files

if TYPE_CHECKING:
    import yaml

MODES = ("stable", "canary")

_BREAK = r"(?:\r\n|[\r\n\u2028\u2029])"


def set_mode(text: bytes, mode: str) -> bytes:
    """The bytes of a manifest with `services.mode` set to "stable" or "canary", every other byte the same.

    A quoted value stays quoted; a missing key is added under `services`. Raises ManifestError when the text
    is not a manifest, or when the mode is written in a way that cannot be replaced in place.
    """
    source = parse(text)
    if source.data is None or source.problems:
        raise ManifestError(f"manifest.yaml: {source.problems[0].text}", "invoke validate")
    services, line = source.data.get("services"), source.lines.get(("services",))
    if not isinstance(services, dict):
        raise _refusal(line, "services is not a mapping", "write its keys under services:")
    if services.get("mode") == mode:
        return text
    mark = codecs.BOM_UTF8 if text.startswith(codecs.BOM_UTF8) else b""
    plain = text.removeprefix(mark).decode()
    after = mark + _edited(plain, mode).encode()
    found = parse(after)
    if found.problems or found.data != {**source.data, "services": {**services, "mode": mode}}:
        message = "services.mode cannot be set without changing something else"
        raise _refusal(line, message, "write services: without anchors and ?, and mode: below it")
    return after


def can_set_mode(path: Path) -> None:
    """Raise ManifestError when `write_mode` would: what it does is done here, up to the rename.

    Leaves nothing behind. Both modes are tried, because only the one that is not there yet is an edit.
    """
    text = _bytes(path)
    for mode in MODES:
        set_mode(text, mode)
    try:
        now = _replaceable(path)
        files.rehearse(path, text, mode=stat.S_IMODE(now.st_mode), owner=(now.st_uid, now.st_gid))
    except OSError as error:
        raise _unwritable(path, error) from None


def write_mode(path: Path, mode: str) -> bytes:
    """Set `services.mode` in the file at `path`, which keeps its owner and permissions; links are followed.

    Returns the bytes that the file had before. Raises ManifestError, with the file unchanged, for what
    `set_mode` refuses and when it cannot be written.
    """
    text = _bytes(path)
    changed = set_mode(text, mode)
    if changed == text:
        return text
    try:
        now = _replaceable(path)
        files.replace(path, changed, mode=stat.S_IMODE(now.st_mode), owner=(now.st_uid, now.st_gid))
    except OSError as error:
        raise _unwritable(path, error) from None
    return text


def _edited(text: str, mode: str) -> str:
    name, services = _pair(compose(text), "services")
    if _is_alias(name, services):
        raise _refusal(
            _line(name), "services is an alias, its mode stands elsewhere", "write its keys under services:"
        )
    if not any(key.value == "mode" for key, _ in services.value):
        return _added(text, name, services, mode)
    key, value = _pair(services, "mode")
    start, end = value.start_mark.index, value.end_mark.index
    was = text[start:end]
    # An anchor or a tag is part of the node's text, so that this refuses an alias too.
    if value.value not in MODES or was not in (value.value, f"'{value.value}'", f'"{value.value}"'):
        message = f"services.mode is {shown(was)}, and only a plain or quoted word is rewritten in place"
        raise _refusal(_line(key), message, "write it out as mode: stable or mode: canary")
    return text[:start] + was.replace(value.value, mode) + text[end:]


def _pair(mapping: yaml.MappingNode, name: str) -> tuple[yaml.ScalarNode, Any]:
    return next((key, value) for key, value in mapping.value if key.value == name)


def _is_alias(key: yaml.Node, value: yaml.Node) -> bool:
    """An alias is composed as the node that it names, and that one stands before it."""
    return value.start_mark.index < key.end_mark.index


def _added(text: str, name: yaml.ScalarNode, services: yaml.MappingNode, mode: str) -> str:
    if not services.value:
        brace = services.end_mark.index - 1
        return f"{text[:brace]}mode: {mode}{text[brace:]}"
    first = services.value[0][0]
    if not services.flow_style:
        return _added_line(text, name, first, mode)
    at, quote = first.start_mark.index, first.style or ""
    break_and_indent = re.search(_BREAK + r"[ \t]*\Z", text[:at])
    gap = break_and_indent[0] if break_and_indent else " "
    return f"{text[:at]}{quote}mode{quote}: {quote}{mode}{quote},{gap}{text[at:]}"


def _added_line(text: str, name: yaml.ScalarNode, first: yaml.Node, mode: str) -> str:
    """Straight below `services:`, so that a comment above the first key stays with that key."""
    end = re.compile(_BREAK).search(text, name.end_mark.index)
    if end is None or end.end() > first.start_mark.index:
        raise _refusal(
            _line(name), "services has no mode and no line to put it on", "write mode: stable under services:"
        )
    indent = " " * first.start_mark.column
    return f"{text[: end.end()]}{indent}mode: {mode}{end[0]}{text[end.end() :]}"


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _refusal(line: int | None, message: str, fix: str) -> ManifestError:
    place = "" if line is None else f"line {line}: "
    return ManifestError(f"manifest.yaml: {place}{message}", fix)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}", "invoke validate") from None


def _replaceable(path: Path) -> os.stat_result:
    """What the file is now. A rename asks only the folder, so what is on the file itself is asked here."""
    if not os.access(path, os.W_OK, effective_ids=True):
        raise OSError(0, "the file is read-only for this user")
    now = path.stat()
    if now.st_dev != path.resolve().parent.stat().st_dev:
        raise OSError(0, "the file is a mount of its own")
    return now


def _unwritable(path: Path, error: OSError) -> ManifestError:
    return ManifestError(
        f"{path} cannot be rewritten with the owner and permissions that it has: {error.strerror}",
        f"make {path.name} and its folder writable, and run the task as the owner of the file",
    )
