"""Type errors that OPA refuses, found where the types in a plan are certain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from swiftdeploy_tasks.gate.statements import LOCAL, Function, Statement, every

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
_ASSIGNED = {"AssignVarStmt", "AssignVarOnceStmt"}
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


def read(plan: Mapping[str, Any], functions: Mapping[str, Function]) -> Kinds:
    """Return what is certain of the local values of a plan."""
    builtins = {one["name"]: one["decl"] for one in plan["static"].get("builtin_funcs", ())}
    results = {name: found.result for name, found in functions.items()}
    made: dict[int, list[Statement]] = {}
    passed: dict[int, list[int]] = {}
    filled: dict[int, list[Statement]] = {}
    for function in functions.values():
        for statement in function.statements:
            if statement.kind in _FILLED:
                filled.setdefault(statement.fields[_FILLED[statement.kind]], []).append(statement)
            elif statement.kind != "ResetLocalStmt":
                source = _passed(statement, results)
                for local in statement.written:
                    if source is None:
                        made.setdefault(local, []).append(statement)
                    else:
                        passed.setdefault(local, []).append(source)
    types = _settled({local: [_made(one, builtins) for one in all_] for local, all_ in made.items()}, passed)
    origins = _settled({local: [_origin(one, local) for one in all_] for local, all_ in made.items()}, passed)
    by_text = _by_text(functions, made, passed, types)
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


def _settled(
    made: Mapping[int, Sequence[frozenset[_Item]]], passed: Mapping[int, Sequence[int]]
) -> dict[int, frozenset[_Item]]:
    """Return what each local value gets: of its own, and from the values that are passed on to it."""
    found = {local: _union(own) for local, own in made.items() if local not in passed}
    for _ in range(_ROUNDS):
        is_settled = True
        for local, others in passed.items():
            own = made.get(local, ())
            value = _union([*own, *(found.get(other, frozenset()) for other in others)])
            is_settled = is_settled and value == found.get(local)
            found[local] = value
        if is_settled:
            return found
    return {}


def _made(statement: Statement, builtins: Mapping[str, Any]) -> frozenset[str]:
    """Return the types of the value that a statement makes."""
    if statement.kind in MADE:
        return frozenset({MADE[statement.kind]})
    if statement.kind in _ASSIGNED:
        return _type(statement.fields["source"], {})
    if statement.kind != "CallStmt":
        return frozenset()
    name = statement.fields["func"]
    result = builtins.get(name, {}).get("result", {}).get("type")
    return frozenset({result} & _TYPES) if name not in _MISDECLARED else frozenset()


def _origin(statement: Statement, local: int) -> frozenset[int]:
    """Return the value that a statement makes, as the local value that it is made in."""
    return frozenset({local}) if statement.kind in MADE else frozenset()


def _passed(statement: Statement, results: Mapping[str, int]) -> int | None:
    """Return the local value that a statement passes on unchanged."""
    if statement.kind in _ASSIGNED and statement.fields["source"]["type"] == LOCAL:
        return int(statement.fields["source"]["value"])
    if statement.kind == "CallStmt":
        return results.get(statement.fields["func"])
    return None


def _by_text(
    functions: Mapping[str, Function],
    made: Mapping[int, Sequence[Statement]],
    passed: Mapping[int, Sequence[int]],
    types: Mapping[int, frozenset[str]],
) -> frozenset[int]:
    """Return the lists whose order is that of `sort` or of a set."""
    found = {
        local
        for local, statements in made.items()
        for statement in statements
        if statement.fields.get("func") == "sort"
    }
    found |= {
        inner.fields["array"]
        for function in functions.values()
        for statement in function.statements
        if statement.kind == "ScanStmt" and "set" in types.get(statement.fields["source"], frozenset())
        for block in statement.blocks
        for inner in every(block)
        if inner.kind == "ArrayAppendStmt"
    }
    for _ in range(_ROUNDS):
        more = {local for local, others in passed.items() if not found.isdisjoint(others)}
        if more <= found:
            break
        found |= more
    return frozenset(found)
