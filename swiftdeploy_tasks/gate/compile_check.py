"""Faults of compiled policies that OPA refuses, or decides differently, and the embedded engine accepts.

The embedded engine takes an unbound variable for an undefined value, finds a missing function only when it is
called, and differs from OPA in a few expressions. All of that shows in the plan that it compiles (OPA's
intermediate representation as JSON), so it is refused before a policy is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swiftdeploy_tasks.gate import type_check
from swiftdeploy_tasks.gate.statements import (
    DATA,
    INPUT,
    LOCAL,
    Function,
    Statement,
    functions_of,
    place_of,
)

SERVER = "set gate: server in manifest.yaml, where OPA itself answers"
# The builtins that the embedded engine has and that answer otherwise than OPA's: it orders numbers as text.
_DIFFERENT = {"min": "orders numbers as text", "max": "orders numbers as text"}
_UNBOUND = "a variable is used that has no value, or gets it only further on (OPA: var is unsafe)"
_NOT_PLAIN = (
    "`not` is before more than one reference, or one call or comparison of variables and constants: OPA "
    "evaluates the inner parts before the negation, and the embedded engine does not; assign them to "
    "variables before the `not`"
)
_SHADOWED = (
    "a comprehension assigns a variable or argument that the body around it has too: OPA keeps the two "
    "apart, and the embedded engine does not; rename the inner one"
)
# What only makes a value, or tests the result, in an expression under `not`.
_PLAIN = frozenset(
    {"ResetLocalStmt", "AssignVarStmt", "IsDefinedStmt", "NotEqualStmt", "ArrayAppendStmt", "SetAddStmt"}
    | {"ObjectInsertStmt", *type_check.MADE}
)


@dataclass(frozen=True)
class PolicyFault:
    """Where a policy differs from what OPA compiles, and in what."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what


def faults(plan: Mapping[str, Any], *, is_builtin: Callable[[str], bool]) -> tuple[PolicyFault, ...]:
    """Return what OPA would refuse, or decide otherwise, in the order of the plan and without repetitions."""
    functions = functions_of(plan)
    files = [found["value"] for found in plan["static"].get("files", ())]
    arities = {one["name"]: len(one["decl"]["args"]) for one in plan["static"].get("builtin_funcs", ())}
    arities |= {name: len(found.parameters) for name, found in functions.items()}
    certain = type_check.read(plan, functions)
    found: list[PolicyFault] = []
    for function in functions.values():
        place, bound = "", {INPUT, DATA, *function.parameters}
        for statement in function.statements:
            place = place_of(statement, files) or place
            if statement.read - bound:
                found.append(PolicyFault(place, _UNBOUND))
            bound |= statement.written
            if statement.kind == "CallStmt":
                found += [PolicyFault(place, what) for what in _call(statement, arities, is_builtin)]
            found += [PolicyFault(place, what) for what in type_check.faults(statement, certain)]
            if statement.kind == "NotStmt":
                found += [PolicyFault(place, what) for what in _negated(statement)]
        found += [
            PolicyFault(place_of(statement, files) or place, _SHADOWED)
            for statement in _shadowing(function.body, set())
        ]
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


def _negated(negated: Statement) -> Iterator[str]:
    """Yield what OPA refuses, or evaluates before the negation, in an expression under `not`."""
    (statements,) = negated.blocks
    if any(statement.kind == "ScanStmt" for statement in statements):
        yield "a variable is used under `not` that nothing outside gives a value (OPA: var is unsafe)"
    elif not _is_plain(statements):
        yield _NOT_PLAIN


def _is_plain(statements: Sequence[Statement]) -> bool:
    """Return whether these are one call or comparison of known values, or one path below input or data."""
    path, found, is_evaluated = {INPUT, DATA}, set[int](), False
    for statement in statements:
        source = statement.fields.get("source")
        from_path = isinstance(source, Mapping) and source["type"] == LOCAL and source["value"] in path
        if statement.kind == "AssignVarStmt" and from_path:
            path |= statement.written
        elif statement.kind == "DotStmt" and from_path and not is_evaluated:
            if (statement.read - path) & found or len(statement.read & path) > 1:
                return False
            path |= statement.written
            found |= statement.written
        elif statement.kind in {"CallStmt", "EqualStmt"} and not is_evaluated and not statement.read & found:
            is_evaluated = True
            found |= statement.written
        elif statement.kind not in _PLAIN or (statement.kind != "NotEqualStmt" and statement.read & found):
            return False
    return True


def _shadowing(statements: Sequence[Statement], outer: set[int]) -> Iterator[Statement]:
    """Yield the assignments, inside other statements, of a variable that has a value outside."""
    own = set(outer)
    for statement in statements:
        for block in statement.blocks:
            yield from _shadowing(block, own)
        if statement.kind == "AssignVarStmt":
            if statement.written & outer:
                yield statement
            own |= statement.written


def _recursive(functions: Mapping[str, Function]) -> list[str]:
    """Return the functions that reach themselves."""
    calls = {
        name: {one.fields["func"] for one in found.statements if one.kind == "CallStmt"}
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
