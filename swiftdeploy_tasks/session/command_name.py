"""The command as the caller typed it: `invoke VERB`, `./swiftdeploy VERB` or a mounted name.

Messages name the next command as `invoke VERB`; the console replaces it. Documents of `--json` keep it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

VERBS = frozenset(
    {"validate", "render", "init", "build", "policy-check", "plan", "deploy"}
    | {"promote", "rollback", "status", "audit", "teardown"}
)
_INVOKE = re.compile(r"\binvoke (?=[a-z-])")


def named(text: str, words: Sequence[str] | None = None) -> str:
    """Return the text with each command that it names as this process was called; `words` are its own."""
    return _INVOKE.sub(lambda _: _command(sys.argv if words is None else words), text)


def _command(words: Sequence[str]) -> str:
    if words and Path(words[0]).name == "swiftdeploy":
        return f"{os.environ.get('SWIFTDEPLOY_COMMAND', 'swiftdeploy')} "
    for word in words[1:]:
        mounted, dot, verb = word.rpartition(".")
        if dot and verb.replace("_", "-") in VERBS and not word.startswith("-"):
            return f"invoke {mounted}."
    return "invoke "
