"""The statements of the plan that the embedded engine compiles: OPA's intermediate representation as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LOCAL, INPUT, DATA = "local", 0, 1


@dataclass(frozen=True)
class Step:
    """One statement of the plan: its kind, its fields, and the blocks inside it."""

    kind: str
    fields: Mapping[str, Any]

    @property
    def blocks(self) -> list[list[Step]]:
        """The statements of each block inside it."""
        inner = [*self.fields.get("blocks", ())]
        inner += [self.fields["block"]] if "block" in self.fields else []
        return [steps(block) for block in inner]

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


def body(function: Mapping[str, Any]) -> list[Step]:
    """Return the statements of a function, without those inside others."""
    return [step for block in function["blocks"] for step in steps(block)]


def every(steps: list[Step]) -> Iterator[Step]:
    """Yield statements and those inside them, in the order of the plan."""
    for step in steps:
        yield step
        for block in step.blocks:
            yield from every(block)


def steps(block: Mapping[str, Any]) -> list[Step]:
    """Return the statements of a block."""
    return [Step(found["type"], found["stmt"]) for found in block["stmts"]]


def _operands(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name, value in fields.items():
        if name in {"block", "blocks"}:
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping) and "type" in one:
                yield one
