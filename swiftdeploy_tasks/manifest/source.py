"""Parses the text of manifest.yaml into data with the line of each value.

Aliases, deep nesting, tags and duplicate keys are refused before a value is used. Scalars are read by the
core schema of YAML 1.2, so `no`, `on`, `1_000`, `017`, `30:00` and `2024-01-01` are text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

Where = tuple[str | int, ...]

MAX_BYTES = 262_144
MAX_DEPTH = 16
MAX_VALUES = 2_000

_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a manifest, and how to put it right.

    `line` counts from 1 and is None where nothing in the file stands for it; `key` is dotted
    (`services.env.NAME`, `rollout.steps[0]`) and empty for the file itself; `value` is shortened.
    `stage` says which check failed: "manifest" (there, readable, YAML) or "fields" (what it says).
    """

    line: int | None
    key: str
    value: str
    message: str
    fix: str
    stage: Literal["manifest", "fields"] = "manifest"

    @property
    def text(self) -> str:
        """Line, key, value, bound and fix in one line, without the file's name."""
        place = "" if self.line is None else f"line {self.line}: "
        key = f"{self.key}: " if self.key else ""
        value = f"{self.value} " if self.value else ""
        return f"{place}{key}{value}{self.message}; {self.fix}"


@dataclass(frozen=True)
class Conflict:
    """A value that does not go with another one: its place, what is wrong, and how to put it right."""

    where: Where
    value: object
    message: str
    fix: str


@dataclass(frozen=True)
class Source:
    """The parsed text of a manifest: `data` is None when it is not one YAML mapping.

    `lines` (from 1) and `texts` (scalars only, as they stand in the file) are keyed by the path of the value;
    `content` are the bytes that were read.
    """

    digest: str
    data: dict[str, Any] | None
    lines: Mapping[Where, int] = field(default_factory=dict)
    texts: Mapping[Where, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    content: bytes = field(default=b"", repr=False)


class CoreLoader(yaml.SafeLoader):
    """Composes nodes whose implicit tags are those of YAML 1.2's core schema, without `.inf` and `.nan`."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _name, _pattern in (("null", _NULL), ("bool", _BOOL), ("int", _INT), ("float", _FLOAT)):
    CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern.pattern})\\Z"), None)


class _Unreadable(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def dotted(where: Where) -> str:
    """The path as a person writes it: `rollout.steps[0]`."""
    words = [f"[{step}]" if isinstance(step, int) else f".{_printable(step)}" for step in where]
    return "".join(words).removeprefix(".")


def shown(value: object, text: str | None = None) -> str:
    """A value short enough for one line: text is quoted, a number is spelled as in the file."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        items = ("{…}" if isinstance(item, dict | list) else str(item) for item in value)
        return _printable(f"[{', '.join(items)}]")
    if isinstance(value, str):
        return f'"{_printable(value)}"'
    if value is None:
        return ""
    return _printable(text if text is not None else json.dumps(value))


def _printable(text: str) -> str:
    plain = text if text.isprintable() else ascii(text)[1:-1]
    return plain if len(plain) <= 60 else plain[:57] + "..."


def _unprintable(text: str) -> re.Match[str] | None:
    """Find what YAML does not call printable, and NEL, which some readers take for the end of a line."""
    return yaml.reader.Reader.NON_PRINTABLE.search(text) or re.search("\x85", text)


def read(path: Path) -> Source:
    """Read the file at `path`; a file that cannot be read is a Source without data and with the problem."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            return _unread(f"{path} is not a regular file", "put a file there")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _unread(f"there is no {path.name} in {path.parent}", "write one, or change to the project")
    except IsADirectoryError:
        return _unread(f"{path} is a folder", "put a file there")
    except OSError as error:
        return _unread(f"{path} cannot be read: {error.strerror}", "make it readable for this user")
    return parse(data)


def _unread(message: str, fix: str) -> Source:
    return Source("", None, problems=(Problem(None, "", "", message, fix),))


def parse(data: bytes) -> Source:
    """Read the bytes of a manifest as one YAML mapping; what is wrong is in the Source's problems."""
    digest = hashlib.sha256(data).hexdigest()
    reading = _Reading()
    try:
        root = compose(_decode(data))
        found = reading.mapping(root, ())
    except _Unreadable as error:
        return Source(digest, None, problems=(*reading.problems, error.problem), content=data)
    return Source(digest, found, reading.lines, reading.texts, tuple(reading.problems), data)


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        message = f"the file has {len(data)} bytes, more than {MAX_BYTES}"
        raise _Unreadable(Problem(None, "", "", message, "move what is large elsewhere"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        value = f"byte 0x{data[error.start]:02x}"
        raise _Unreadable(Problem(line, "", value, "is not UTF-8", "save the file as UTF-8")) from None
    if found := _unprintable(text):
        line = text.count("\n", 0, found.start()) + 1
        value = f"U+{ord(found[0]):04X}"
        raise _Unreadable(Problem(line, "", value, "is a control character", "remove it from the line"))
    return text


def compose(text: str) -> yaml.MappingNode:
    """The one mapping of the YAML text, as nodes with marks."""
    try:
        documents = list(yaml.compose_all(text, Loader=CoreLoader))
    except yaml.MarkedYAMLError as error:
        raise _Unreadable(_not_yaml(error)) from None
    except RecursionError:
        raise _Unreadable(_too_deep(None)) from None
    except (ValueError, OverflowError):
        message = "holds an escape \\U that names no character"
        raise _Unreadable(Problem(None, "", "", message, "write the character itself")) from None
    if len(documents) > 1:
        line = _line(documents[1])
        fix = "keep one, and remove the --- between them"
        raise _Unreadable(Problem(line, "", "", f"the file holds {len(documents)} YAML documents", fix))
    root = documents[0] if documents else None
    if isinstance(root, yaml.MappingNode):
        return root
    fix = "begin with the keys services:, nginx: and network:"
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value):
        raise _Unreadable(Problem(None, "", "", "the file is empty", fix))
    kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
    raise _Unreadable(Problem(_line(root), "", "", f"the file holds {kind}, not a mapping", fix))


def _not_yaml(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    fix = "look at the indentation, the quotes and the colons there and just above"
    return Problem(mark.line + 1 if mark else None, "", "", f"is not YAML: {error.problem}", fix)


def _too_deep(line: int | None) -> Problem:
    return Problem(line, "", "", f"is nested more than {MAX_DEPTH} deep", "write it flatter")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Reading:
    """One walk over the nodes: values with their places, and what cannot be a value."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[Where, int] = {}
        self.texts: dict[Where, str] = {}
        self.values = 0

    def mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, where)
            if key is None:
                continue
            here = (*where, key)
            if key in found:
                first = f"is given twice, first on line {self.lines[here]}"
                self._problem(_line(key_node), here, "", first, "keep one of them")
                continue
            self.lines[here] = _line(key_node)
            found[key] = self._value(value_node, here)
        return found

    def _key(self, node: yaml.Node, where: Where) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str":
            return self._name(node, (*where, str(node.value)))
        here = (*where, str(node.value) if isinstance(node, yaml.ScalarNode) else "{…}")
        self._problem(_line(node), here, "", "is not text and cannot be a key", "quote it")
        return None

    def _name(self, node: yaml.ScalarNode, where: Where) -> str | None:
        if node.value == "<<":
            self._problem(_line(node), where, "", "is a merge, which is not read", "write the keys out")
            return None
        return str(node.value) if self._is_text(node, where) else None

    def _value(self, node: yaml.Node, where: Where) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            message = f"the file holds more than {MAX_VALUES} values once its aliases are followed"
            raise _Unreadable(Problem(_line(node), dotted(where[:1]), "", message, "write the values out"))
        if len(where) > MAX_DEPTH:
            raise _Unreadable(_too_deep(self.lines[where[:1]]))
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self.mapping(node, where)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self._item(item, (*where, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and kind in {"str", "null", "bool", "int", "float"}:
            return self._scalar(node, where, kind)
        return self._problem(_line(node), where, _printable(node.tag), "is a refused tag", "remove the tag")

    def _item(self, node: yaml.Node, where: Where) -> Any:
        self.lines[where] = _line(node)
        return self._value(node, where)

    def _scalar(self, node: yaml.ScalarNode, where: Where, kind: str) -> Any:
        text = str(node.value)
        self.texts[where] = text
        if kind == "str":
            return text if self._is_text(node, where) else None
        if kind == "null" and _NULL.fullmatch(text):
            return None
        if kind == "bool" and _BOOL.fullmatch(text):
            return text.lower() == "true"
        if kind == "int" and _INT.fullmatch(text):
            return int(text)
        if kind == "float" and _FLOAT.fullmatch(text):
            return float(text)
        return self._problem(_line(node), where, shown(text), f"does not fit the tag !!{kind}", "remove it")

    def _is_text(self, node: yaml.ScalarNode, where: Where) -> bool:
        found = _unprintable(node.value) or re.search("\r", node.value)
        if found:
            value = f"U+{ord(found[0]):04X}"
            self._problem(_line(node), where, value, "is a control character", "remove it from the text")
        return found is None

    def _problem(self, line: int, where: Where, value: str, message: str, fix: str) -> None:
        self.problems.append(Problem(line, dotted(where), value, message, fix))
