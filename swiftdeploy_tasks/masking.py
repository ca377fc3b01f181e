"""What of a text may be kept, when an app may have printed its secrets into it?

Stands apart because only what comes from outside, the lines of an app or of a tool, can hold a secret: what
SwiftDeploy writes itself never does. It knows no secret but those it is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote

MASK = "[secret]"
# A line of a key or certificate that is shorter is a part of ordinary text.
SHORTEST_LINE = 8


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return the text without any of the secrets, also as JSON, Python or a URL would write them.

    Of a secret of several lines, each is one of its own.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def _forms(secret: str) -> Iterator[str]:
    lines = secret.splitlines()
    parts = [secret, *(line for line in lines if len(line) >= SHORTEST_LINE and len(lines) > 1)]
    for part in parts:
        yield from (part, json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1])
        yield from (repr(part)[1:-1], quote(part), quote(part, safe=""))
