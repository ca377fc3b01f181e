"""What OPA refuses and the embedded engine does not: read from the plan that the embedded engine compiled.

The embedded engine takes a variable that nothing binds for an undefined value, finds a missing function only
when it is called, and differs from OPA in a few expressions. All of that is visible in its plan (OPA's
intermediate representation as JSON), so it is refused before anything is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SERVER = "set gate: server in manifest.yaml, where OPA itself answers"
# The builtins that the embedded engine has and that answer otherwise than OPA's: it orders numbers as text.
_DIFFERENT = {"min": "orders numbers as text", "max": "orders numbers as text"}
_LOCAL, _INPUT, _DATA = "local", 0, 1
_ROUNDS = 100
_UNBOUND = "a variable is used that has no value, or gets it only further on (OPA: var is unsafe)"
_MADE = {
    "MakeNumberRefStmt": "number",
    "MakeNumberIntStmt": "number",
    "MakeNullStmt": "null",
    "MakeArrayStmt": "array",
    "MakeObjectStmt": "object",
    "MakeSetStmt": "set",
}
_NOT_PLAIN = (
    "`not` is before more than one reference, or one call or comparison of variables and constants: OPA "
    "evaluates the inner parts before the negation, and the embedded engine does not; assign them to "
    "variables before the `not`"
)
_SHADOWED = (
    "a comprehension assigns a variable or argument that the body around it has too: OPA keeps the two "
    "apart, and the embedded engine does not; rename the inner one"
)
# The builtins whose result is declared wrongly in the plan.
_MISDECLARED = {"concat", "strings.any_prefix_match", "strings.any_suffix_match", "strings.reverse"}
# What only makes a value, or tests the result, in an expression under `not`.
_PLAIN = frozenset(
    {"ResetLocalStmt", "AssignVarStmt", "IsDefinedStmt", "NotEqualStmt", "ArrayAppendStmt", "SetAddStmt"}
    | {"ObjectInsertStmt", *_MADE}
)
_TYPES = {"string", "number", "array", "object", "set", "boolean"}
_NESTED = frozenset({"array", "object", "set"})
_SUBTRACTED = frozenset({"number", "set"})


@dataclass(frozen=True)
class Fault:
    """Where a policy differs from what OPA compiles, and in what."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what


@dataclass(frozen=True)
class _Step:
    """One statement of the plan: its kind, its fields, and the blocks inside it."""

    kind: str
    fields: Mapping[str, Any]

    @property
    def blocks(self) -> list[list[_Step]]:
        inner = [*self.fields.get("blocks", ())]
        inner += [self.fields["block"]] if "block" in self.fields else []
        return [_steps(block) for block in inner]

    @property
    def read(self) -> set[int]:
        """The local values that it reads."""
        found = {int(value["value"]) for value in _operands(self.fields) if value["type"] == _LOCAL}
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


def faults(plan: Mapping[str, Any], *, is_builtin: Callable[[str], bool]) -> tuple[Fault, ...]:
    """Return what OPA would refuse, or decide otherwise, in the order of the plan and without repetitions."""
    functions = {found["name"]: found for found in plan["funcs"]["funcs"]}
    files = [found["value"] for found in plan["static"].get("files", ())]
    builtins = {found["name"]: found["decl"]["args"] for found in plan["static"].get("builtin_funcs", ())}
    arities = {name: len(args) for name, args in builtins.items()}
    arities |= {name: len(found["params"]) for name, found in functions.items()}
    kinds = _kinds(functions, _results(plan))
    found: list[Fault] = []
    for function in functions.values():
        place, bound = "", {_INPUT, _DATA, *function["params"]}
        for step in _every(_body(function)):
            place = _place(step, files) or place
            if step.read - bound:
                found.append(Fault(place, _UNBOUND))
            bound |= step.written
            if step.kind == "CallStmt":
                found += [Fault(place, what) for what in _call(step, arities, is_builtin)]
            found += [Fault(place, what) for what in _arguments(step, builtins, kinds)]
            if step.kind == "NotStmt":
                found += [Fault(place, what) for what in _negated(step)]
        found += [
            Fault(_place(step, files) or place, _SHADOWED) for step in _shadowing(_body(function), set())
        ]
    found += [Fault("", f"{name} is recursive") for name in _recursive(functions)]
    return tuple(dict.fromkeys(found))


def _call(step: _Step, arities: Mapping[str, int], is_builtin: Callable[[str], bool]) -> Iterator[str]:
    name, given = step.fields["func"], len(step.fields["args"])
    is_own = _plain(name) != name
    if (is_own and name not in arities) or (not is_own and not is_builtin(name)):
        yield f"{_plain(name)} is called, which no policy defines and the embedded engine does not have"
    elif name in _DIFFERENT:
        yield f"{name} is called, which in the embedded engine {_DIFFERENT[name]}"
    elif name in arities and given != arities[name]:
        # A policy's own function takes the input and the data too.
        own = 2 if is_own else 0
        yield f"{_plain(name)} is called with {given - own} arguments and has {arities[name] - own}"


def _arguments(
    step: _Step, builtins: Mapping[str, Any], kinds: Mapping[int, frozenset[str]]
) -> Iterator[str]:
    """Yield the arguments of a builtin whose type is certain and never the one that it takes.

    So too for a comparison of two types, and for a part of what has no parts.
    """
    if step.kind == "DotStmt" and (is_kind := _kind(step.fields["source"], kinds)):
        if not is_kind & _NESTED:
            yield f"a part is looked up in {' or '.join(sorted(is_kind))} (OPA: undefined ref)"
        return
    if sides := _compared(step):
        left, right = (_kind(side, kinds) for side in sides)
        if left and right and not left & right:
            both = " is compared with ".join(" or ".join(sorted(side)) for side in (left, right))
            yield f"{both}, which the embedded engine orders otherwise, or OPA refuses (match error)"
    if step.kind != "CallStmt":
        return
    name = step.fields["func"]
    for number, (wanted, given) in enumerate(
        zip(builtins.get(name, ()), step.fields["args"], strict=False), start=1
    ):
        takes = _SUBTRACTED if name == "minus" else frozenset({wanted["type"]} & _TYPES)
        is_kind = _kind(given, kinds)
        if takes and is_kind and not is_kind & takes:
            yield (
                f"argument {number} of {name} is of type {' or '.join(sorted(is_kind))}, "
                f"and {' or '.join(sorted(takes))} is wanted"
            )


def _compared(step: _Step) -> tuple[Mapping[str, Any], ...]:
    """Return the two sides of a comparison, nothing for another statement."""
    if step.kind == "EqualStmt":
        return step.fields["a"], step.fields["b"]
    if step.kind == "CallStmt" and step.fields["func"] in {"gt", "gte", "lt", "lte"}:
        return tuple(step.fields["args"])
    return ()


def _results(plan: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return the type of the result of each builtin, where it is one and certain."""
    found = {
        one["name"]: one["decl"].get("result", {}).get("type")
        for one in plan["static"].get("builtin_funcs", ())
    }
    return {
        name: frozenset({type_})
        for name, type_ in found.items()
        if type_ in _TYPES and name not in _MISDECLARED
    }


def _kinds(functions: Mapping[str, Any], results: Mapping[str, frozenset[str]]) -> dict[int, frozenset[str]]:
    """Return the types that each local value can have; a value of unknown type has none."""
    sources: dict[int, list[frozenset[str] | Mapping[str, Any] | None]] = {}
    for function in functions.values():
        for step in _every(_body(function)):
            for local in step.written:
                if step.kind == "ResetLocalStmt":
                    continue
                made: frozenset[str] | Mapping[str, Any] | None = None
                if step.kind in _MADE:
                    made = frozenset({_MADE[step.kind]})
                elif step.kind in {"AssignVarStmt", "AssignVarOnceStmt"}:
                    made = step.fields["source"]
                elif step.kind == "CallStmt" and step.fields["func"] in functions:
                    made = {"type": "local", "value": functions[step.fields["func"]]["return"]}
                elif step.kind == "CallStmt":
                    made = results.get(step.fields["func"])
                sources.setdefault(local, []).append(made)
    kinds: dict[int, frozenset[str]] = {}
    for _ in range(_ROUNDS):
        before = dict(kinds)
        for local, all_ in sources.items():
            each = [made if isinstance(made, frozenset) else _kind(made, kinds) for made in all_]
            kinds[local] = frozenset().union(*each) if all(each) else frozenset()
        if kinds == before:
            break
    else:
        return {}
    return kinds


def _kind(operand: Mapping[str, Any] | None, kinds: Mapping[int, frozenset[str]]) -> frozenset[str]:
    if operand is None:
        return frozenset()
    if operand["type"] == _LOCAL:
        return kinds.get(operand["value"], frozenset())
    return frozenset({"boolean" if operand["type"] == "bool" else "string"})


def _negated(negated: _Step) -> Iterator[str]:
    """Yield what OPA refuses, or evaluates before the negation, in an expression under `not`."""
    (steps,) = negated.blocks
    if any(step.kind == "ScanStmt" for step in steps):
        yield "a variable is used under `not` that nothing outside gives a value (OPA: var is unsafe)"
    elif not _is_plain(steps):
        yield _NOT_PLAIN


def _is_plain(steps: Sequence[_Step]) -> bool:
    """Return whether these are one call or comparison of known values, or one path below input or data."""
    path, found, is_evaluated = {_INPUT, _DATA}, set[int](), False
    for step in steps:
        source = step.fields.get("source")
        from_path = isinstance(source, Mapping) and source["type"] == _LOCAL and source["value"] in path
        if step.kind == "AssignVarStmt" and from_path:
            path |= step.written
        elif step.kind == "DotStmt" and from_path and not is_evaluated:
            if (step.read - path) & found or len(step.read & path) > 1:
                return False
            path |= step.written
            found |= step.written
        elif step.kind in {"CallStmt", "EqualStmt"} and not is_evaluated and not step.read & found:
            is_evaluated = True
            found |= step.written
        elif step.kind not in _PLAIN or (step.kind != "NotEqualStmt" and step.read & found):
            return False
    return True


def _shadowing(steps: Sequence[_Step], outer: set[int]) -> Iterator[_Step]:
    """Yield the assignments, inside other statements, of a variable that has a value outside."""
    own = set(outer)
    for step in steps:
        for block in step.blocks:
            yield from _shadowing(block, own)
        if step.kind == "AssignVarStmt":
            if step.written & outer:
                yield step
            own |= step.written


def _recursive(functions: Mapping[str, Any]) -> list[str]:
    """Return the functions that reach themselves."""
    calls = {
        name: {step.fields["func"] for step in _every(_body(found)) if step.kind == "CallStmt"}
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


def _place(step: _Step, files: Sequence[str]) -> str:
    number, row = step.fields.get("file"), step.fields.get("row")
    if isinstance(number, int) and isinstance(row, int) and number < len(files):
        return f"{files[number]}:{row + 1}"
    return ""


def _body(function: Mapping[str, Any]) -> list[_Step]:
    return [step for block in function["blocks"] for step in _steps(block)]


def _every(steps: list[_Step]) -> Iterator[_Step]:
    for step in steps:
        yield step
        for block in step.blocks:
            yield from _every(block)


def _steps(block: Mapping[str, Any]) -> list[_Step]:
    return [_Step(found["type"], found["stmt"]) for found in block["stmts"]]


def _operands(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name, value in fields.items():
        if name in {"block", "blocks"}:
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping) and "type" in one:
                yield one
