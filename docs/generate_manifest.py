"""Writes docs/manifest.md, the reference of manifest.yaml: python docs/generate_manifest.py

Descriptions, bounds and defaults come from schema/manifest.schema.json, the defaults of the policies' limits
from policies/data.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "manifest.md"
SCHEMA = ROOT / "schema" / "manifest.schema.json"
LIMITS = ROOT / "policies" / "data.json"

INTRODUCTION = """\
# The manifest

<!-- Made from schema/manifest.schema.json: edit that, then run `python docs/generate_manifest.py`. -->

`manifest.yaml` is the only file that you edit.
{required} are required; every other key has a default.

```yaml
name: shop
services:
  image: shop:1.4
  port: 9000
nginx:
  image: nginx:latest
  port: 8080
```

`swiftdeploy validate` reports every mistake at once, each with its line, the value, the bound and the
correction. For an unknown key it names the key that is meant, on whatever level that is, or says to remove
it. A `$` in a value stays a `$`. An editor that knows JSON Schema checks the file while you type; in a
checkout this comment names the schema:

```yaml
# yaml-language-server: $schema=schema/manifest.schema.json
```

What an app must do: [service.md](service.md). How traffic moves: [rollout.md](rollout.md). Engines:
[engines.md](engines.md). Limits: [policies.md](policies.md). The witness: [history.md](history.md).
"""
KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "boolean": "true or false",
    "object": "a mapping",
    "null": "null",
}
Rule = Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """One key of the manifest: its path, its part of the schema, and whether it must be given."""

    path: str
    rule: Rule
    is_required: bool

    @property
    def section(self) -> str:
        """The top-level key that this one is below, "" for one of the top level."""
        return self.path.partition(".")[0] if "." in self.path else ""

    @property
    def is_group(self) -> bool:
        """Whether it only holds other keys."""
        return self.rule.get("type") == "object" and "properties" in self.rule


def page() -> str:
    """Return the text of docs/manifest.md."""
    found = list(keys(schema()))
    required = [f"`{key.path}`" for key in found if key.is_required and key.path.count(".") == 1]
    text = INTRODUCTION.format(required=f"{', '.join(required[:-1])} and {required[-1]}")
    text += f"\n## Project\n\n{table(key for key in found if not (key.section or key.is_group))}"
    for section in (key for key in found if not key.section and key.is_group):
        rows = table(key for key in found if key.section == section.path)
        text += f"\n## {section.path}\n\n{section.rule['description']}\n\n{rows}"
    return text


def schema() -> Rule:
    """Return the manifest's schema without references, with the limits of the policies as defaults."""
    text = json.loads(SCHEMA.read_text(encoding="utf-8"))
    found: dict[str, Any] = expanded(text, text["$defs"])
    limits = json.loads(LIMITS.read_text(encoding="utf-8"))["limits"]
    for domain, group in found["properties"]["policy"]["properties"].items():
        for name, rule in group["properties"].items():
            rule.setdefault("default", limits[domain].get(name))
    return found


def expanded(part: Any, definitions: Rule) -> Any:
    """Return a part of a schema with each reference replaced by its definition."""
    if isinstance(part, list):
        return [expanded(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    name = str(part.get("$ref", "")).removeprefix("#/$defs/")
    whole = {**definitions.get(name, {}), **part}
    return {key: expanded(value, definitions) for key, value in whole.items()}


def keys(rule: Rule, path: str = "") -> Iterator[Key]:
    """Yield every key below a part of the schema, in the schema's order."""
    for name, below in rule.get("properties", {}).items():
        yield Key(f"{path}{name}", below, name in rule.get("required", ()))
        yield from keys(below, f"{path}{name}.")
        yield from keys(below.get("additionalProperties") or {}, f"{path}{name}.NAME.")
        yield from keys(below.get("items") or {}, f"{path}{name}[].")


def table(rows: Iterable[Key]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| key | default | meaning | allowed |", "|---|---|---|---|"]
    for key in rows:
        allowed = "" if key.is_group else bound(key.rule)
        lines.append(f"| `{key.path}` | {default(key)} | {key.rule['description']} | {allowed} |")
    return "\n".join(lines) + "\n"


def default(key: Key) -> str:
    """Return the default as YAML has it, or "" where the description or the keys below have it."""
    if key.is_required:
        return "required"
    value = key.rule.get("default")
    if "default" not in key.rule or (value == {} and "properties" in key.rule):
        return ""
    is_plain = isinstance(value, str) and not re.fullmatch(r"[\d.]*\d", value)
    return f"`{value if is_plain else json.dumps(value)}`"


def bound(rule: Rule) -> str:
    """Return which values are allowed, in words."""
    if title := rule.get("title"):
        return re.sub(r"([\\`*_<|])", r"\\\1", title)
    if "enum" in rule:
        return ", ".join(f"`{value}`" for value in rule["enum"])
    words = " or ".join(KINDS[kind] for kind in _kinds(rule))
    if "propertyNames" in rule:
        return f"{words}; each key: {bound(rule['propertyNames'])}"
    if "items" in rule and "properties" not in rule["items"]:
        return f"{words}; each entry: {bound(rule['items'])}"
    if "exclusiveMinimum" in rule:
        return f"{words} above {rule['exclusiveMinimum']}, at most {rule['maximum']:.15g}"
    return f"{words} from {rule['minimum']:.15g} to {rule['maximum']:.15g}" if "minimum" in rule else words


def _kinds(rule: Rule) -> list[str]:
    kinds = rule.get("type", "object" if "properties" in rule else "string")
    return [kinds] if isinstance(kinds, str) else list(kinds)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
