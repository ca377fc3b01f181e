"""One record of the history: its fields, its hash, and its line of JSON."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

Record = dict[str, Any]

VERSION = 1
MAX_LINE = 1 << 20
TOO_LONG = f"is not a record: longer than {MAX_LINE} bytes"
_NOT_PLAIN = "was changed: it is not the plain JSON of its record"
TORN, HEAD_LOST, ROTATED, DROPPED, WITNESS = "torn", "head_lost", "rotated", "dropped", "witness"
# The events of records that close off torn lines.
CLOSING = (TORN, HEAD_LOST)
# The events and the fields that only the chain itself writes.
OWN = (TORN, HEAD_LOST, ROTATED, DROPPED, WITNESS)
CHAINED = ("v", "seq", "time", "prev", "hash")

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TYPES: dict[str, tuple[type, ...]] = {
    "v": (int,),
    "seq": (int,),
    "time": (str,),
    "run": (str,),
    "task": (str,),
    "event": (str,),
    "outcome": (str, type(None)),
    "prev": (str,),
    "hash": (str,),
}
_VALUES = itemgetter(*_TYPES)
_RIGHT = set(itertools.product(*_TYPES.values()))
_decode = json.JSONDecoder().raw_decode
_canonical = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode
_PLAIN_FORMS = tuple(
    json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False, separators=separators).encode
    for separators in ((",", ":"), (", ", ": "))
    for ascii_only in (False, True)
)


class Head(NamedTuple):
    """The seq and hash of the last record, which the next one follows."""

    seq: int
    hash: str

    @classmethod
    def of(cls, record: Record) -> Head:
        """The head that names `record`."""
        return cls(record["seq"], record["hash"])

    def precedes(self, record: Record) -> bool:
        """Whether `record` follows this head."""
        return bool(record["seq"] == self.seq + 1 and record["prev"] == self.hash)


GENESIS = Head(0, "0" * 64)


class Line(NamedTuple):
    """One line of a file: its record, or `problem`, which says why it is none.

    `number` counts from 1 within `file`. `size` in bytes and `digest`, a SHA-256, leave the newline out; the
    digest is empty for a record that ends in a newline.
    """

    number: int
    record: Record | None
    problem: str
    size: int
    digest: str
    terminated: bool
    file: Path = Path()


def digest_of(record: Record) -> str:
    """The hash of a record, in hex: SHA-256 of the UTF-8 canonical JSON of all its keys but `hash`."""
    body = _canonical({key: value for key, value in record.items() if key != "hash"})
    return hashlib.sha256(body.encode()).hexdigest()


def is_sealed(record: Record) -> bool:
    """Whether the record's hash is that of its canonical JSON; False where it has no canonical JSON."""
    try:
        return bool(digest_of(record) == record["hash"])
    except (ValueError, RecursionError):
        return False


def seal(fields: Record, head: Head, time: str) -> Record:
    """The record of these fields that follows `head`, with its hash."""
    record = {**fields, "v": VERSION, "seq": head.seq + 1, "time": time, "prev": head.hash}
    return {**record, "hash": digest_of(record)}


def line_of(record: Record) -> bytes:
    """The line of `record`, newline included."""
    return _canonical(record).encode() + b"\n"


def is_digest(value: object) -> bool:
    """Whether `value` is a SHA-256 in hex."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def closed_off_by(record: Record) -> list[tuple[object, object]]:
    """Size in bytes and digest of each torn line before `record` that it closes off."""
    torn = record.get("torn") if record["event"] in CLOSING else None
    if not isinstance(torn, list):
        return []
    return [(entry.get("bytes"), entry.get("sha256")) for entry in torn if isinstance(entry, dict)]


def dropped_by(record: Record) -> Head | None:
    """The last record of the file that `record` says was dropped by age; None where it says no such thing."""
    seq, digest = record.get("last"), record.get("last_hash")
    if record["event"] != DROPPED or type(seq) is not int or not is_digest(digest):
        return None
    return Head(seq, str(digest))


def parse(raw: bytes, number: int = 0, file: Path = Path()) -> Line:
    """Parse one line, given with its newline if it has one."""
    text = raw.removesuffix(b"\n")
    is_terminated = len(text) < len(raw)
    record, problem = _parsed(text)
    digest = "" if record and is_terminated else hashlib.sha256(text).hexdigest()
    return Line(number, record, problem, len(text), digest, is_terminated, file)


def _parsed(text: bytes) -> tuple[Record | None, str]:
    """The record, or what is wrong with its line."""
    if len(text) > MAX_LINE:
        return None, TOO_LONG
    try:
        decoded = text.decode()
        found, end = _decode(decoded)
        problem = _ill_typed(found) or (_altered(found, text) if end == len(decoded) else _NOT_PLAIN)
    except (ValueError, RecursionError):
        return None, "is not a record: not JSON in UTF-8"
    return (None, problem) if problem else (found, "")


def _ill_typed(found: Any) -> str:
    if not isinstance(found, dict):
        return "is not a record: not a JSON object"
    version = found.get("v")
    if type(version) is int and version != VERSION:
        return f"is of another program version: v is {version}, known is {VERSION}"
    try:
        if tuple(map(type, _VALUES(found))) in _RIGHT and _TIME.fullmatch(found["time"]):
            return ""
    except KeyError:
        pass
    wrong = next((key for key, types in _TYPES.items() if type(found.get(key, found)) not in types), "time")
    return f"is not a record: {wrong} is missing or of the wrong type"


def _altered(record: Record, text: bytes) -> str:
    own = text.replace(b'"hash":"%s",' % record["hash"].encode(), b"", 1)
    # A line is written canonically, so its own bytes are nearly always what was hashed.
    is_own = hashlib.sha256(own).hexdigest() == record["hash"]
    # Only an escape can stand for half a character, with which nothing can be written. Searching for one byte
    # first is faster than for two.
    if is_own and (b"\\" not in own or b"\\u" not in own):
        return ""
    if digest_of(record) != record["hash"]:
        return "was changed: its hash does not match its content"
    # The hash covers the object and not its spelling, so a change of the spelling alone is looked for here.
    return "" if any(form(record).encode() == text for form in _PLAIN_FORMS) else _NOT_PLAIN
