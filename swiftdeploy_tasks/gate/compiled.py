"""The faults of compiled policies: what OPA refuses or decides differently, and the embedded engine accepts.

The embedded engine takes a variable that nothing binds for an undefined value, finds a missing function only
when it is called, and differs from OPA in a few expressions. All of that is visible in the plan that it
compiles (OPA's intermediate representation as JSON), so it is refused before a policy is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from swiftdeploy_tasks.gate.statements import LOCAL, Statement, body_of, every, place_of

SERVER = "set gate: server in manifest.yaml, where OPA itself answers"
# The builtins that the embedded engine has and that answer otherwise than OPA's: it orders numbers as text.
_DIFFERENT = {"min": "orders numbers as text", "max": "orders numbers as text"}
_INPUT, _DATA = 0, 1
_ROUNDS = 100
_UNBOUND = "a variable is used that has no value, or gets it only further on (OPA: var is unsafe)"
_LOOKED_UP = (
    "input or data is looked up in an expression under `not`: where it is missing OPA stops there, and the "
    "embedded engine goes on; give it a name first, as in x := input.y, and use that under `not`"
)
_TYPES = {"string", "number", "array", "object", "set", "boolean"}
_NESTED = frozenset({"array", "object", "set"})
_SUBTRACTED = frozenset({"number", "set"})
_MADE = {
    "MakeNumberRefStmt": "number",
    "MakeNumberIntStmt": "number",
    "MakeNullStmt": "null",
    "MakeArrayStmt": "array",
    "MakeObjectStmt": "object",
    "MakeSetStmt": "set",
}


@dataclass(frozen=True)
class PolicyFault:
    """Where a policy differs from what OPA compiles, and in what."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what


def faults(plan: Mapping[str, Any], *, is_builtin: Callable[[str], bool]) -> tuple[PolicyFault, ...]:
    """Return what OPA would refuse, or decide otherwise, in the order of the plan and without repetitions."""
    functions = {found["name"]: found for found in plan["funcs"]["funcs"]}
    files = [found["value"] for found in plan["static"].get("files", ())]
    builtins = {found["name"]: found["decl"]["args"] for found in plan["static"].get("builtin_funcs", ())}
    arities = {name: len(args) for name, args in builtins.items()}
    arities |= {name: len(found["params"]) for name, found in functions.items()}
    types = _types_of_locals(functions)
    found: list[PolicyFault] = []
    for function in functions.values():
        place, bound = "", {_INPUT, _DATA, *function["params"]}
        for statement in every(body_of(function)):
            place = place_of(statement, files) or place
            if statement.read - bound:
                found.append(PolicyFault(place, _UNBOUND))
            bound |= statement.written
            if statement.kind == "CallStmt":
                found += [PolicyFault(place, what) for what in _call(statement, arities, is_builtin)]
            found += [PolicyFault(place, what) for what in _looked_up(statement, types)]
            found += [PolicyFault(place, what) for what in _comparison(statement, types)]
            found += [PolicyFault(place, what) for what in _arguments(statement, builtins, types)]
            if statement.kind == "NotStmt":
                found += [PolicyFault(place, what) for what in _negated(statement)]
    found += [PolicyFault("", f"{name} is recursive") for name in _recursive(functions)]
    return tuple(dict.fromkeys(found))


def _call(
    statement: Statement, arities: Mapping[str, int], is_builtin: Callable[[str], bool]
) -> Iterator[str]:
    name, given = statement.fields["func"], len(statement.fields["args"])
    is_own = _plain(name) != name
    if (is_own and name not in arities) or (not is_own and not is_builtin(name)):
        yield f"{_plain(name)} is called, which no policy defines and the embedded engine does not have"
    elif name in _DIFFERENT:
        yield f"{name} is called, which in the embedded engine {_DIFFERENT[name]}"
    elif name in arities and given != arities[name]:
        # A policy's own function takes the input and the data too.
        own = 2 if is_own else 0
        yield f"{_plain(name)} is called with {given - own} arguments and has {arities[name] - own}"


def _looked_up(statement: Statement, types: Mapping[int, frozenset[str]]) -> Iterator[str]:
    """Yield a look-up of a part in a value of a type that has no parts."""
    if statement.kind == "DotStmt":
        found = _types_of(statement.fields["source"], types)
        if found and not found & _NESTED:
            yield f"a part is looked up in {_named(found)} (OPA: undefined ref)"


def _comparison(statement: Statement, types: Mapping[int, frozenset[str]]) -> Iterator[str]:
    """Yield a comparison of two values that never have the same type."""
    if sides := _compared(statement):
        left, right = (_types_of(side, types) for side in sides)
        if left and right and not left & right:
            yield (
                f"{_named(left)} is compared with {_named(right)}, "
                "which the embedded engine orders otherwise, or OPA refuses (match error)"
            )


def _arguments(
    statement: Statement, builtins: Mapping[str, Any], types: Mapping[int, frozenset[str]]
) -> Iterator[str]:
    """Yield the arguments of a builtin whose type is certain and never the one that it takes."""
    if statement.kind != "CallStmt":
        return
    name = statement.fields["func"]
    pairs = zip(builtins.get(name, ()), statement.fields["args"], strict=False)
    for number, (wanted, argument) in enumerate(pairs, start=1):
        takes = _SUBTRACTED if name == "minus" else frozenset({wanted["type"]} & _TYPES)
        given = _types_of(argument, types)
        if takes and given and not given & takes:
            yield f"argument {number} of {name} is of type {_named(given)}, and {_named(takes)} is wanted"


def _named(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))


def _compared(statement: Statement) -> tuple[Mapping[str, Any], ...]:
    """Return the two sides of a comparison, nothing for another statement."""
    if statement.kind == "EqualStmt":
        return statement.fields["a"], statement.fields["b"]
    if statement.kind == "CallStmt" and statement.fields["func"] in {"gt", "gte", "lt", "lte"}:
        return tuple(statement.fields["args"])
    return ()


def _types_of_locals(functions: Mapping[str, Any]) -> dict[int, frozenset[str]]:
    """Return the types that each local value can have; a value of unknown type has none."""
    sources: dict[int, list[frozenset[str] | Mapping[str, Any] | None]] = {}
    for function in functions.values():
        for statement in every(body_of(function)):
            for local in statement.written:
                if statement.kind == "ResetLocalStmt":
                    continue
                made: frozenset[str] | Mapping[str, Any] | None = None
                if statement.kind in _MADE:
                    made = frozenset({_MADE[statement.kind]})
                elif statement.kind in {"AssignVarStmt", "AssignVarOnceStmt"}:
                    made = statement.fields["source"]
                elif statement.kind == "CallStmt" and statement.fields["func"] in functions:
                    made = {"type": "local", "value": functions[statement.fields["func"]]["return"]}
                sources.setdefault(local, []).append(made)
    types: dict[int, frozenset[str]] = {}
    for _ in range(_ROUNDS):
        before = dict(types)
        for local, all_ in sources.items():
            each = [made if isinstance(made, frozenset) else _types_of(made, types) for made in all_]
            types[local] = frozenset().union(*each) if all(each) else frozenset()
        if types == before:
            break
    else:
        return {}
    return types


def _types_of(operand: Mapping[str, Any] | None, types: Mapping[int, frozenset[str]]) -> frozenset[str]:
    if operand is None:
        return frozenset()
    if operand["type"] == LOCAL:
        return types.get(operand["value"], frozenset())
    return frozenset({"boolean" if operand["type"] == "bool" else "string"})


def _negated(negated: Statement) -> Iterator[str]:
    """Yield what OPA refuses, or looks up before the negation, in an expression under `not`."""
    (statements,) = negated.blocks
    fragile: set[int] = set()
    for statement in statements:
        if statement.kind == "ScanStmt":
            yield "a variable is used under `not` that nothing outside gives a value (OPA: var is unsafe)"
        if statement.kind == "CallStmt" and statement.read & fragile:
            yield _LOOKED_UP
        if statement.read & fragile or (statement.kind == "DotStmt" and statement.read & {_INPUT, _DATA}):
            fragile |= statement.written


def _recursive(functions: Mapping[str, Any]) -> list[str]:
    """Return the functions that reach themselves."""
    calls = {
        name: {
            statement.fields["func"] for statement in every(body_of(found)) if statement.kind == "CallStmt"
        }
        for name, found in functions.items()
    }
    looping = []
    for name in functions:
        reached: set[str] = set()
        ahead = [*calls[name]]
        while ahead:
            one = ahead.pop()
            if one not in reached:
                reached.add(one)
                ahead += calls.get(one, ())
        if name in reached:
            looping.append(_plain(name))
    return looping


def _plain(name: str) -> str:
    """Return a function's name as a policy writes it: without the marks that the compiler puts in front."""
    mark, _, rest = name.partition(".")
    return rest if rest.startswith("data.") and mark[:1] == "g" else name
