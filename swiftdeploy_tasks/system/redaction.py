"""Masks secrets in text that an app or a tool printed.

Mask a whole text before it is split into lines or cut. A value of fewer than SHORTEST characters is not
masked: a mask in place of a short word would reveal it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "[secret]"
SHORTEST = 6


def is_short(secret: str) -> bool:
    """Return whether a secret is too short to be masked."""
    return len(secret.strip()) < SHORTEST


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return the text without any of the secrets, also as JSON, Python, a URL or base64 has them.

    Each line of a secret of several lines is a secret too, unless it is short.
    """
    spans: list[list[int]] = []
    forms = {form for secret in secrets for part in _parts(secret) for form in _forms(part)}
    for start, end in sorted(span for form in forms for span in _found(form, text)):
        if spans and start < spans[-1][1]:
            spans[-1][1] = max(end, spans[-1][1])
        else:
            spans.append([start, end])
    for start, end in reversed(spans):
        text = text[:start] + MASK + text[end:]
    return text


def _found(form: str, text: str) -> Iterator[tuple[int, int]]:
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + 1)


def _parts(secret: str) -> set[str]:
    """The secret, its lines joined as a log has them, and each of its lines."""
    lines = secret.splitlines()
    parts = (secret, "\n".join(lines), *lines)
    return {form for part in parts if not is_short(part) for form in (part, part.strip())}


def _forms(part: str) -> Iterator[str]:
    escaped = {json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]}
    # Some writers of JSON escape more than they must.
    escaped |= {form.replace("/", "\\/") for form in escaped}
    for sign in "&<>":
        escaped |= {form.replace(sign, f"\\u{ord(sign):04x}") for form in escaped}
    yield from escaped
    yield from (json.dumps(form)[1:-1] for form in escaped)
    yield from (part, repr(part)[1:-1], quote(part), quote(part, safe=""), quote_plus(part))
    yield from _encoded(part.encode("utf-8", "surrogatepass"))


def _encoded(content: bytes) -> Iterator[str]:
    """The base64 characters that depend on the content alone, for each offset at which it may begin."""
    for before in range(3):
        whole = bytes(before) + content
        first, end = -(-8 * before // 6), 8 * len(whole) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(whole).decode()[first:end]
    yield base64.b64encode(content).decode()
