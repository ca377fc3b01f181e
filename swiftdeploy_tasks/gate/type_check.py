"""Type errors that OPA refuses, found where the types in a plan are certain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from swiftdeploy_tasks.gate.statements import LOCAL, Statement, body_of, every

Operand = Mapping[str, Any]
_Item = TypeVar("_Item")

_ROUNDS = 100
MADE = {
    "MakeNumberRefStmt": "number",
    "MakeNumberIntStmt": "number",
    "MakeNullStmt": "null",
    "MakeArrayStmt": "array",
    "MakeObjectStmt": "object",
    "MakeSetStmt": "set",
}
# Where each statement that fills a value names that value.
_FILLED = {
    "ArrayAppendStmt": "array",
    "SetAddStmt": "set",
    "ObjectInsertStmt": "object",
    "ObjectInsertOnceStmt": "object",
}
# The builtins whose result is declared wrongly in the plan.
_MISDECLARED = {"concat", "strings.any_prefix_match", "strings.any_suffix_match", "strings.reverse"}
_TYPES = {"string", "number", "array", "object", "set", "boolean"}
_NESTED = frozenset({"array", "object", "set"})
_SUBTRACTED = frozenset({"number", "set"})
_PLACE = (
    "an element of a list is taken by its place, and the list comes from `sort` or from a set: the embedded "
    "engine orders numbers as text; compare each with the others instead"
)


@dataclass(frozen=True)
class Kinds:
    """What is certain of each local value: its types, the values it can be, whether it is ordered as text.

    An unknown type, or an unknown origin, is an empty set.
    """

    types: Mapping[int, frozenset[str]]
    origins: Mapping[int, frozenset[int]]
    filled: Mapping[int, Sequence[Statement]]
    by_text: frozenset[int]
    builtins: Mapping[str, Any]
    strings: Sequence[str]

    def of(self, operand: Operand) -> frozenset[str]:
        """Return the types that an operand can have."""
        return _type(operand, self.types)

    def members(self, operand: Operand) -> frozenset[str]:
        """Return the types that the members of a collection can have."""
        fills = [statement for origin in self._origins(operand) for statement in self.filled.get(origin, ())]
        found = [self.of(statement.fields["value"]) for statement in fills]
        return frozenset().union(*found) if all(found) else frozenset()

    def keys(self, operand: Operand) -> set[str] | None:
        """Return the keys that an object can have, None where they are not certain."""
        origins = self._origins(operand)
        if not origins or self.of(operand) != {"object"}:
            return None
        fills = [statement for origin in origins for statement in self.filled.get(origin, ())]
        found = [
            self.text(statement.fields["key"]) for statement in fills if statement.kind == "ObjectInsertStmt"
        ]
        is_certain = len(found) == len(fills) and None not in found
        return {key for key in found if key is not None} if is_certain else None

    def text(self, operand: Operand) -> str | None:
        """Return a constant text, None for anything else."""
        if operand["type"] != "string_index":
            return None
        found = self.strings[operand["value"]]
        return str(json.loads(found)) if found[:1] == found[-1:] == '"' and len(found) > 1 else found

    def _origins(self, operand: Operand) -> frozenset[int]:
        return self.origins.get(operand["value"], frozenset()) if operand["type"] == LOCAL else frozenset()


def read(plan: Mapping[str, Any], functions: Mapping[str, Any]) -> Kinds:
    """Return what is certain of the local values of a plan."""
    builtins = {one["name"]: one["decl"] for one in plan["static"].get("builtin_funcs", ())}
    sources: dict[int, list[Statement]] = {}
    filled: dict[int, list[Statement]] = {}
    for function in functions.values():
        for statement in every(body_of(function)):
            if statement.kind in _FILLED:
                filled.setdefault(statement.fields[_FILLED[statement.kind]], []).append(statement)
            elif statement.kind != "ResetLocalStmt":
                for local in statement.written:
                    sources.setdefault(local, []).append(statement)
    returns = {name: found["return"] for name, found in functions.items()}
    types: dict[int, frozenset[str]] = {}
    origins: dict[int, frozenset[int]] = {}
    for _ in range(_ROUNDS):
        before = dict(types), dict(origins)
        for local, all_ in sources.items():
            types[local] = _union([_made(statement, types, returns, builtins) for statement in all_])
            origins[local] = _union([_origin(statement, local, origins, returns) for statement in all_])
        if before == (types, origins):
            break
    else:
        types, origins = {}, {}
    by_text = _by_text(functions, sources, types, returns)
    strings = [one["value"] for one in plan["static"].get("strings", ())]
    return Kinds(types, origins, filled, by_text, builtins, strings)


def faults(statement: Statement, kinds: Kinds) -> Iterator[str]:
    """Yield what OPA's type check refuses, or the embedded engine decides otherwise, in one statement."""
    if statement.kind == "DotStmt":
        source, key = statement.fields["source"], kinds.text(statement.fields["key"])
        keys = kinds.keys(source)
        if (types := kinds.of(source)) and not types & _NESTED:
            yield f"a part is looked up in {' or '.join(sorted(types))} (OPA: undefined ref)"
        if key is not None and keys is not None and key not in keys:
            yield f"the key {key} is looked up in an object that never has it (OPA: undefined ref)"
        if source["type"] == LOCAL and source["value"] in kinds.by_text and key is None:
            yield _PLACE
    if sides := _compared(statement):
        left, right = (kinds.of(side) for side in sides)
        if left and right and not left & right:
            both = " is compared with ".join(" or ".join(sorted(side)) for side in (left, right))
            yield f"{both}, which the embedded engine orders otherwise, or OPA refuses (match error)"
    if statement.kind == "CallStmt":
        yield from _arguments(statement, kinds)


def _arguments(statement: Statement, kinds: Kinds) -> Iterator[str]:
    """Yield the arguments of a builtin whose type is certain and never the one that it takes."""
    name, arguments = statement.fields["func"], statement.fields["args"]
    wants = kinds.builtins.get(name, {}).get("args", ())
    for number, (wanted, given) in enumerate(zip(wants, arguments, strict=False), start=1):
        takes = _SUBTRACTED if name == "minus" else frozenset({wanted["type"]} & _TYPES)
        types = kinds.of(given)
        if takes and types and not types & takes:
            yield (
                f"argument {number} of {name} is of type {' or '.join(sorted(types))}, "
                f"and {' or '.join(sorted(takes))} is wanted"
            )
    if name == "internal.member_2":
        types, members = kinds.of(arguments[0]), kinds.members(arguments[1])
        if types and members and not types & members:
            both = " or ".join(sorted(types)), " or ".join(sorted(members))
            yield f"{both[0]} is looked for among members of type {both[1]} (OPA: match error)"
    if name == "array.slice" and arguments[0]["value"] in kinds.by_text:
        yield _PLACE


def _compared(statement: Statement) -> tuple[Operand, ...]:
    """Return the two sides of a comparison, nothing for another statement."""
    if statement.kind == "EqualStmt":
        return statement.fields["a"], statement.fields["b"]
    if statement.kind == "CallStmt" and statement.fields["func"] in {"gt", "gte", "lt", "lte"}:
        return tuple(statement.fields["args"])
    return ()


def _union(found: Sequence[frozenset[_Item]]) -> frozenset[_Item]:
    """Return all of them, nothing where one is unknown."""
    return frozenset().union(*found) if all(found) else frozenset()


def _type(operand: Operand, types: Mapping[int, frozenset[str]]) -> frozenset[str]:
    if operand["type"] == LOCAL:
        return types.get(operand["value"], frozenset())
    return frozenset({"boolean" if operand["type"] == "bool" else "string"})


def _made(
    statement: Statement,
    types: Mapping[int, frozenset[str]],
    returns: Mapping[str, int],
    builtins: Mapping[str, Any],
) -> frozenset[str]:
    """Return the types that a statement gives to the value that it sets."""
    if statement.kind in MADE:
        return frozenset({MADE[statement.kind]})
    if statement.kind in {"AssignVarStmt", "AssignVarOnceStmt"}:
        return _type(statement.fields["source"], types)
    if statement.kind != "CallStmt":
        return frozenset()
    name = statement.fields["func"]
    if name in returns:
        return types.get(returns[name], frozenset())
    result = builtins.get(name, {}).get("result", {}).get("type")
    return frozenset({result} & _TYPES) if name not in _MISDECLARED else frozenset()


def _origin(
    statement: Statement, local: int, origins: Mapping[int, frozenset[int]], returns: Mapping[str, int]
) -> frozenset[int]:
    """Return the made values that a statement can give, as the local values that they were made in."""
    if statement.kind in MADE:
        return frozenset({local})
    source = _passed(statement, returns)
    return origins.get(source, frozenset()) if source is not None else frozenset()


def _passed(statement: Statement, returns: Mapping[str, int]) -> int | None:
    """Return the local value that a statement hands on as it is."""
    if (
        statement.kind in {"AssignVarStmt", "AssignVarOnceStmt"}
        and statement.fields["source"]["type"] == LOCAL
    ):
        return int(statement.fields["source"]["value"])
    if statement.kind == "CallStmt":
        return returns.get(statement.fields["func"])
    return None


def _by_text(
    functions: Mapping[str, Any],
    sources: Mapping[int, Sequence[Statement]],
    types: Mapping[int, frozenset[str]],
    returns: Mapping[str, int],
) -> frozenset[int]:
    """Return the lists whose order is that of `sort` or of a set."""
    found = {
        local
        for local, statements in sources.items()
        for statement in statements
        if statement.fields.get("func") == "sort"
    }
    found |= {
        inner.fields["array"]
        for function in functions.values()
        for statement in every(body_of(function))
        if statement.kind == "ScanStmt" and "set" in types.get(statement.fields["source"], frozenset())
        for block in statement.blocks
        for inner in every(block)
        if inner.kind == "ArrayAppendStmt"
    }
    for _ in range(_ROUNDS):
        more = {
            local
            for local, statements in sources.items()
            if any(_passed(statement, returns) in found for statement in statements)
        }
        if more <= found:
            break
        found |= more
    return frozenset(found)
