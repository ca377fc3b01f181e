"""The statements of a compiled policy, in OPA's intermediate representation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

LOCAL, INPUT, DATA = "local", 0, 1


class Statement(NamedTuple):
    """One statement of a function: its kind, its fields, and the blocks inside it."""

    kind: str
    fields: Mapping[str, Any]
    blocks: Sequence[Sequence[Statement]]

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


@dataclass(frozen=True)
class Function:
    """A function of a plan; its parameters and its result are local values."""

    parameters: Sequence[int]
    result: int
    body: Sequence[Statement]

    @cached_property
    def statements(self) -> list[Statement]:
        """Every statement of the body, followed by those inside its blocks."""
        return every(self.body)


def functions_of(plan: Mapping[str, Any]) -> dict[str, Function]:
    """Return the functions of a plan by name."""
    return {
        found["name"]: Function(
            found["params"], found["return"], [one for block in found["blocks"] for one in _in_block(block)]
        )
        for found in plan["funcs"]["funcs"]
    }


def every(statements: Sequence[Statement]) -> list[Statement]:
    """Return each statement, followed by those inside its blocks."""
    found = []
    ahead = [*reversed(statements)]
    while ahead:
        statement = ahead.pop()
        found.append(statement)
        for block in reversed(statement.blocks):
            ahead += reversed(block)
    return found


def place_of(statement: Statement, files: Sequence[str]) -> str:
    """Return the policy's file and line that the statement comes from, "" where it names none."""
    number, row = statement.fields.get("file"), statement.fields.get("row")
    if isinstance(number, int) and isinstance(row, int) and number < len(files):
        return f"{files[number]}:{row + 1}"
    return ""


def _in_block(block: Mapping[str, Any]) -> list[Statement]:
    return [_statement(found["type"], found["stmt"]) for found in block["stmts"]]


def _statement(kind: str, fields: Mapping[str, Any]) -> Statement:
    inner = [*fields.get("blocks", ())]
    inner += [fields["block"]] if "block" in fields else []
    return Statement(kind, fields, [_in_block(block) for block in inner])


def _operands(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name, value in fields.items():
        if name in {"block", "blocks"}:
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and "type" in one:
                yield one
