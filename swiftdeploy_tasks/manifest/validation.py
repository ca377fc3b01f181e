"""Validates a parsed manifest by its JSON Schema, and finds conflicts between its values.

Each problem is one sentence with the line, the key, the value, the bound and the correction. Bounds and
defaults are in the schema.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.manifest import conflicts
from swiftdeploy_tasks.manifest.source import Problem, Source, Where, dotted, shown
from swiftdeploy_tasks.manifest.suggestions import every_key, suggestion

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a mapping",
    "boolean": "true or false",
    "null": "null",
}
_BOUNDS = {
    "minimum": "is less than {:.15g}",
    "maximum": "is more than {:.15g}",
    "exclusiveMinimum": "is not above {:.15g}",
    "minItems": "is empty",
    "minLength": "is empty",
    "maxItems": "has more than {} entries",
    "maxProperties": "has more than {} entries",
    "maxLength": "is longer than {} characters",
}


def check(source: Source, schema: Mapping[str, Any]) -> tuple[Problem, ...]:
    """All that is wrong with the text, the fields and their combination, by line, one problem for a key.

    The schema is one whose objects stand in place and whose `$ref`s lead to leaves in `$defs`.
    """
    if source.data is None:
        return source.problems
    found: dict[str, Problem] = {}
    for problem in (*source.problems, *_fields(source, schema), *_conflicts(source, schema)):
        found.setdefault(problem.key, problem)
    written = {dotted(where): index for index, where in enumerate(source.lines)}
    places = ((found[key].line or 0, written.get(key, len(written)), key) for key in found)
    return tuple(found[key] for *_, key in sorted(places))


def with_defaults(data: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The data with the schema's defaults where a key is absent, on every level that the data has."""
    filled = dict(data)
    for key, rule in schema.get("properties", {}).items():
        if key not in filled and "default" in rule:
            filled[key] = rule["default"]
        if isinstance(filled.get(key), dict):
            filled[key] = with_defaults(filled[key], rule)
    return filled


def _fields(source: Source, schema: Mapping[str, Any]) -> Iterator[Problem]:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(dict(schema)).iter_errors(source.data):
        for where, value, message, fix in _sentences(error, source, schema):
            yield Problem(_line(source, where), dotted(where), value, message, fix, "fields")


def _conflicts(source: Source, schema: Mapping[str, Any]) -> Iterator[Problem]:
    for one in conflicts.all_of(source, with_defaults(source.data or {}, schema)):
        value = "" if one.value is None else shown(one.value)
        yield Problem(_line(source, one.where), dotted(one.where), value, one.message, one.fix, "fields")


def _line(source: Source, where: Where) -> int | None:
    """The line of the value, or of the nearest key above it."""
    above = (where[:length] for length in range(len(where), 0, -1))
    return next((source.lines[place] for place in above if place in source.lines), None)


_Sentence = tuple[Where, str, str, str]


def _sentences(error: ValidationError, source: Source, schema: Mapping[str, Any]) -> Iterator[_Sentence]:
    where: Where = tuple(step if isinstance(step, int) else str(step) for step in error.absolute_path)
    if error.validator == "required":
        yield from _missing(where, error.instance, schema)
    elif "propertyNames" in error.absolute_schema_path:
        wanted = _resolved(_rule(where, schema)["propertyNames"], schema)["title"]
        yield (*where, str(error.instance)), "", "cannot be used as a name", f"write {wanted}"
    elif error.validator == "additionalProperties":
        yield from _unknown(where, error.instance, source, schema)
    else:
        rule = _rule(where, schema)
        value = shown(error.instance, source.texts.get(where))
        message, fix = _misfit(error, source.texts.get(where, ""), rule)
        yield where, value, message, fix


def _rule(where: Where, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the schema that speaks of one place."""
    here: dict[str, Any] = dict(schema)
    for step in where:
        if isinstance(step, int):
            first = here.get("prefixItems", [])
            below = first[step] if step < len(first) else here.get("items")
        else:
            below = here.get("properties", {}).get(step) or here.get("additionalProperties")
        here = _resolved(below or {}, schema)
    return here


def _resolved(rule: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    name = str(rule.get("$ref", "")).removeprefix("#/$defs/")
    return {**schema["$defs"][name], **rule} if name else dict(rule)


def _missing(where: Where, found: Any, schema: Mapping[str, Any]) -> Iterator[_Sentence]:
    for key in _rule(where, schema)["required"]:
        if key not in found:
            rule = _rule((*where, key), schema)
            below = " and ".join(rule.get("required", ()))
            fix = f"add {key}: with {below} below it" if below else f"add {key}: {_example(rule)}"
            yield (*where, key), "", "is missing", fix


def _unknown(where: Where, found: Any, source: Source, schema: Mapping[str, Any]) -> Iterator[_Sentence]:
    level = list(_rule(where, schema)["properties"])
    # A key in an entry of a list is never meant for another place.
    known = [] if any(isinstance(step, int) for step in where) else list(every_key(schema))
    for key, value in found.items():
        if key not in level:
            fix = suggestion((*where, key), value, level, known, source)
            yield (*where, key), "", "is not a known key", fix


def _example(rule: Mapping[str, Any]) -> str:
    """A value that fits, as a person writes it in YAML."""
    if "required" in rule and "examples" not in rule:
        return f"{{{', '.join(f'{key}: …' for key in rule['required'])}}}"
    value = rule.get("default", next(iter(rule.get("examples", rule.get("enum", ["…"])))))
    if value == {} and "properties" in rule:
        key, below = next(iter(rule["properties"].items()))
        return f"{{{key}: {_example(below)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, str) and re.fullmatch(r"[\d.]*\d", value):
        return f'"{value}"'
    return value if isinstance(value, str) else json.dumps(value)


def _wanted(rule: Mapping[str, Any]) -> str:
    """The bound in words: the rule's title, else what its keywords say."""
    if "title" in rule:
        return str(rule["title"])
    if "enum" in rule:
        return " or ".join(rule["enum"])
    low = (
        f"above {rule['exclusiveMinimum']} and up"
        if "exclusiveMinimum" in rule
        else f"from {rule.get('minimum')}"
    )
    kind = _kinds(rule)
    return f"{kind} {low} to {rule['maximum']:.15g}" if "maximum" in rule else kind


def _kinds(rule: Mapping[str, Any]) -> str:
    kinds = rule.get("type", "string")
    return " or ".join(_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _misfit(error: ValidationError, text: str, rule: Mapping[str, Any]) -> tuple[str, str]:
    wanted, example = _wanted(rule), _example(rule)
    fix = f"write {wanted}" + ("" if example in re.split(r"[\s,:]+", wanted) else f", such as {example}")
    if error.instance is None:
        return "is empty", f"{fix}, or remove the line" if "default" in rule else fix
    if error.validator == "type":
        return _wrong_type(error.instance, text, rule, fix)
    if error.validator == "enum":
        allowed = [value for value in rule["enum"] if value]
        near = difflib.get_close_matches(str(error.instance), allowed, n=1)
        others = f" (allowed: {', '.join(allowed)})" if len(allowed) > 1 else ""
        return "is not an allowed value", f"write {near[0]}{others}" if near else fix
    if error.validator == "uniqueItems":
        return "holds an entry twice", "keep one of them"
    return _BOUNDS.get(str(error.validator), "cannot be used here").format(error.validator_value), fix


def _wrong_type(value: object, text: str, rule: Mapping[str, Any], fix: str) -> tuple[str, str]:
    kinds = rule.get("type", "string")
    if "string" in kinds and "integer" not in kinds and isinstance(value, bool | int | float):
        return "is not text in YAML", f"quote it: {shown(text)}"
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,8}", value) and "integer" in kinds:
        return "is text, not a number", f"remove the quotes: {value}"
    return f"is not {_kinds(rule)}", fix
