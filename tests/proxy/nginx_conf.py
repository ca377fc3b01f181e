"""A reader of nginx configuration by nginx's own rules of quoting: words and blocks, no meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | "(?P<double>(?:\\.|[^"\\])*)"(?=[\s;{)])
      | '(?P<single>(?:\\.|[^'\\])*)'(?=[\s;{)])
      | (?P<sign>[{};])
      | (?P<bare>(?:\\.|\$\{|[^\s{};"'\\])(?:\\.|\$\{|[^\s{;\\])*)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}


@dataclass(frozen=True)
class Directive:
    """One directive: its name, its arguments as nginx has them, and what its block holds."""

    name: str
    arguments: tuple[str, ...]
    block: tuple[Directive, ...] | None = None

    def all(self, name: str) -> Iterator[Directive]:
        """Return each directive of this name at any depth below."""
        for inner in self.block or ():
            if inner.name == name:
                yield inner
            yield from inner.all(name)

    @property
    def shape(self) -> tuple[object, ...]:
        """Return the directive without what its arguments say: name, their number, the shapes within."""
        within = None if self.block is None else tuple(inner.shape for inner in self.block)
        if self.name == "map" and self.block:
            # What stands first in an entry of a table is a value.
            within = tuple(("", len(entry.arguments), entry.block) for entry in self.block)
        return (self.name, len(self.arguments), within)


def read(text: str) -> Directive:
    """Return the whole file as one directive without a name; AssertionError when it does not parse."""
    words = list(_words(text))
    block, rest = _block(words, 0)
    assert rest == len(words), "a closing brace too many"
    return Directive("", (), block)


def _block(words: list[tuple[str, bool]], at: int) -> tuple[tuple[Directive, ...], int]:
    found: list[Directive] = []
    said: list[str] = []
    while at < len(words):
        word, is_sign = words[at]
        at += 1
        if not is_sign:
            said.append(word)
        elif word == "}":
            assert not said, "a directive that does not end"
            return tuple(found), at
        else:
            assert said, "a block or an end without a directive"
            inner = None
            if word == "{":
                inner, at = _block(words, at)
            found.append(Directive(said[0], tuple(said[1:]), inner))
            said = []
    assert not said, "a directive that does not end"
    return tuple(found), at


def _words(text: str) -> Iterator[tuple[str, bool]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found, f"nginx would not read {text[at : at + 40]!r}"
        at = found.end()
        kind, value = found.lastgroup, found[found.lastgroup or 0]
        if kind == "sign":
            yield value, True
        elif kind != "space":
            yield re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), value, flags=re.DOTALL), False
