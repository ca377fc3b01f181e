"""The package statement of a Rego file, parsed by OPA's grammar.

The embedded engine refuses spellings that OPA accepts (a comment or a line break after `package`, a byte
order mark) and accepts some that OPA refuses, so it gets each file with the statement in plain form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

_SPACE = " \t\r\n"
_KEYWORD = "package"
_MARK = "\ufeff"


@dataclass(frozen=True)
class Header:
    """A module's package as a path, and its text with the package statement in plain form on its own line."""

    package: tuple[str, ...]
    text: str


def read(text: str) -> Header:
    """Return the header of a Rego module; raises ValueError where OPA finds no package statement."""
    text = text.removeprefix(_MARK)
    at = _skip(text, 0)
    end = at + len(_KEYWORD)
    if text[at:end] != _KEYWORD or text[end : end + 1] not in {*_SPACE, "#"}:
        raise ValueError("it does not begin with a package statement")
    path, end = _reference(text, _skip(text, end))
    stop = _line_end(text, end)
    rest = text[end:stop].strip(_SPACE)
    if rest and not rest.startswith("#"):
        if rest[0] in ".[;" or text[end] not in _SPACE:
            raise ValueError(f"its package statement is followed by {rest[:20]!r}")
        stop = end
    lines = text.count("\n", 0, end)
    after = text[stop:] if text[stop : stop + 1] in {"", "\n"} else f"\n{text[stop:]}"
    return Header(path, "\n" * lines + f"{_KEYWORD} {_written(path)}{after}")


def _reference(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """Return the path that begins at `at`, and where it ends."""
    end = _identifier(text, at)
    path = [text[at:end]]
    while text[end : end + 1] in {".", "["}:
        if text[end] == ".":
            begin = end + 1
            end = _identifier(text, begin)
            path.append(text[begin:end])
        else:
            key, end = _string(text, _skip(text, end + 1))
            end = _skip(text, end)
            if text[end : end + 1] != "]":
                raise ValueError("its package statement has a bracket that is not closed")
            end += 1
            path.append(key)
    return tuple(path), end


def _identifier(text: str, at: int) -> int:
    end = at
    while end < len(text) and text[end].isascii() and (text[end].isalnum() or text[end] == "_"):
        end += 1
    if end == at or text[at].isdigit():
        raise ValueError(f"its package statement has {text[at : at + 10]!r} where a name belongs")
    return end


def _string(text: str, at: int) -> tuple[str, int]:
    quote = text[at : at + 1]
    if quote == "`":
        end = text.find("`", at + 1)
        if end > 0:
            return text[at + 1 : end], end + 1
    if quote == '"':
        try:
            value, length = json.JSONDecoder().raw_decode(text[at:])
            return str(value), at + length
        except ValueError:
            pass
    raise ValueError("its package statement has a bracket that holds no text")


def _skip(text: str, at: int) -> int:
    """Return where the next word begins: past white space and comments."""
    while at < len(text) and text[at] in f"{_SPACE}#":
        at = _line_end(text, at) if text[at] == "#" else at + 1
    return at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _written(path: tuple[str, ...]) -> str:
    return path[0] + "".join(f"[{json.dumps(name, ensure_ascii=False)}]" for name in path[1:])
