"""The spellings of a private path: the same path for some app, though other bytes for nginx.

Apps ignore case, decode once more than nginx, take a backslash for a slash, drop `;` parameters, empty and
dot segments, dots and spaces at the end, or mount a handler on a prefix before they resolve `..`. nginx
passes the request line on as it came, so the line is compared as well as what nginx makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

# nginx takes no word of 4096 bytes or more.
LONGEST = 4000
# An encoded percent sign is a percent sign for an app that decodes twice.
_PERCENT = "%(?:25)*"
_SEPARATOR = rf"(?:[/\x5c]|{_PERCENT}(?:2f|5c))"
_DOT = rf"(?:[.]|{_PERCENT}2e)"
_PARAMETERS = rf"(?:(?:;|{_PERCENT}3b)(?:(?!{_SEPARATOR})[^?])*+)?"
# Separators, and between them segments that name nothing.
_GAP = f"{_SEPARATOR}(?:{_DOT}?+{_PARAMETERS}{_SEPARATOR})*+"
_AFTER_A_PARENT = f"(?:[^?]*{_SEPARATOR}{_DOT}{_DOT}{_PARAMETERS})?"
_END = rf"(?:[. ]|{_PERCENT}2[0e])*+(?:[/\x5c;?#]|{_PERCENT}(?:2[3f]|3[bf]|5c|[01].|7f)|$)"
# What makes a request target ambiguous where it is left in a path that nginx has resolved.
HIDDEN_PARENT = rf"{_SEPARATOR}{_DOT}{_DOT}(?:[/\x5c;]|{_PERCENT}(?:2f|5c|3b)|$)"
# Further letters that Unicode, and re.IGNORECASE in Python, take for the same one.
_LOOKALIKES = {
    "i": rf"|\xc4[\xb0\xb1]|{_PERCENT}c4{_PERCENT}b[01]",
    "k": rf"|\xe2\x84\xaa|{_PERCENT}e2{_PERCENT}84{_PERCENT}aa",
    "s": rf"|\xc5\xbf|{_PERCENT}c5{_PERCENT}bf",
}


def spellings(path: str) -> str:
    """Return a PCRE, to be used without regard to case, of all request targets that name the path or below.

    `path` is as the schema has it. Of one whose expression is too long for nginx, every path that begins
    with what fits is taken for private.
    """
    found = f"^{_AFTER_A_PARENT}{_GAP}"
    for sign in path.removeprefix("/"):
        more = f"{_PARAMETERS}{_GAP}" if sign == "/" else _written(sign)
        if len(found) + len(more) + len(_END) > LONGEST:
            return found
        found += more
    return found + _END


def is_private(path: str, private: Collection[str]) -> bool:
    """Return whether a path of a manifest, where no sign is encoded, is a private one or below one."""
    plain = re.sub("/+", "/", path)
    return any(re.match(rf"{re.escape(one)}\.*(?:/|$)", plain, re.IGNORECASE) for one in private)


def _written(sign: str) -> str:
    first, second = sorted({f"{ord(form):02x}" for form in (sign.lower(), sign.upper())} | {""})[-2:]
    code = f"[{first[0]}{second[0]}]{second[1]}" if first else second
    return f"(?:{re.escape(sign)}|{_PERCENT}{code}{_LOOKALIKES.get(sign.lower(), '')})"
