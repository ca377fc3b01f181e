"""Environment variables and arguments of child processes, as UTF-8 in every locale.

Python encodes both by the locale, which may lack a value of the manifest. Other bytes pass unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Mapping


def of_caller(name: str) -> str | None:
    """The caller's variable, None where it is not set."""
    value = os.environb.get(encoded(name))
    return None if value is None else decoded(value)


def for_child(values: Mapping[str, str]) -> dict[bytes, bytes]:
    """These variables as a child gets them."""
    return {encoded(name): encoded(value) for name, value in values.items()}


def as_path(text: str) -> str:
    """A path that a file gave as UTF-8, so that its bytes on disk are these."""
    return os.fsdecode(encoded(text))


def encoded(text: str) -> bytes:
    """The bytes of text that `decoded` made."""
    return text.encode("utf-8", "surrogateescape")


def decoded(content: bytes) -> str:
    """Bytes of the system as text."""
    return content.decode("utf-8", "surrogateescape")
