"""The statements of a compiled policy, in OPA's intermediate representation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOCAL, INPUT, DATA = "local", 0, 1


@dataclass(frozen=True)
class Statement:
    """One statement of a function: its kind and its fields."""

    kind: str
    fields: Mapping[str, Any]

    @property
    def blocks(self) -> list[list[Statement]]:
        """The blocks inside it."""
        inner = [*self.fields.get("blocks", ())]
        inner += [self.fields["block"]] if "block" in self.fields else []
        return [_in_block(block) for block in inner]

    @property
    def read(self) -> set[int]:
        """The local values that it reads."""
        found = {int(value["value"]) for value in _operands(self.fields) if value["type"] == LOCAL}
        return found | {
            self.fields[name]
            for name in ("source", "array", "object", "set")
            if isinstance(self.fields.get(name), int)
        }

    @property
    def written(self) -> set[int]:
        """The local values that it sets."""
        names = ("target", "result", *(("key", "value") if self.kind == "ScanStmt" else ()))
        return {self.fields[name] for name in names if isinstance(self.fields.get(name), int)}


def body_of(function: Mapping[str, Any]) -> list[Statement]:
    """Return the statements of a function, without those inside their blocks."""
    return [statement for block in function["blocks"] for statement in _in_block(block)]


def every(statements: list[Statement]) -> Iterator[Statement]:
    """Yield each statement, and after it those inside its blocks."""
    for statement in statements:
        yield statement
        for block in statement.blocks:
            yield from every(block)


def place_of(statement: Statement, files: Sequence[str]) -> str:
    """Return the policy's file and line that the statement comes from, "" where it names none."""
    number, row = statement.fields.get("file"), statement.fields.get("row")
    if isinstance(number, int) and isinstance(row, int) and number < len(files):
        return f"{files[number]}:{row + 1}"
    return ""


def _in_block(block: Mapping[str, Any]) -> list[Statement]:
    return [Statement(found["type"], found["stmt"]) for found in block["stmts"]]


def _operands(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name, value in fields.items():
        if name in {"block", "blocks"}:
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping) and "type" in one:
                yield one
