"""Cases of the policies as folders: question.json, and what the verdict must say in expected.json.

question.json has `domain` and either `input`, or `like` (another case's name) with `set` (dotted path to
value) and `drop` (dotted paths). expected.json has `allow`, `verdict` (of a watched step), `failed`
(rule to observed and message; all other rules must have passed), and, where it matters, `passed` (the same of
rules that passed).
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.gate import Question

CASES = Path(__file__).parent / "cases"


def names() -> list[str]:
    return sorted(path.parent.name for path in CASES.glob("*/question.json"))


def question(name: str) -> Question:
    raw = _read(name, "question.json")
    if "like" not in raw:
        return Question(raw["domain"], raw["input"])
    like = question(raw["like"])
    changed = copy.deepcopy(dict(like.input))
    for path, value in raw.get("set", {}).items():
        parent, key = _parent(changed, path)
        parent[key] = value
    for path in raw.get("drop", []):
        parent, key = _parent(changed, path)
        del parent[key]
    return Question(like.domain, changed)


def expected(name: str) -> dict[str, Any]:
    return _read(name, "expected.json")


def _parent(document: Any, path: str) -> tuple[Any, Any]:
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        document = document[step]
    return document, last


def _read(name: str, file: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CASES / name / file).read_text(encoding="utf-8"))
    return content
