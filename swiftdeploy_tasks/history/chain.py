"""One record of the history: its fields, its hash, and its line of JSON."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

Record = dict[str, Any]

VERSION = 1
MAX_LINE = 1 << 20
# No record is shorter, and none has room to close off more torn lines than this, at 88 bytes each.
MIN_RECORD = 160
MOST_TORN = MAX_LINE // 88
# How many torn lines one record closes off now: each crash while a line is closed off leaves one more.
CLOSED_OFF = 10
TOO_LONG = f"is not a record: longer than {MAX_LINE} bytes"
_REWRITTEN = "was edited: not a plain writing of its record"
TORN, HEAD_LOST = "torn", "head_lost"
MENDING = (TORN, HEAD_LOST)
ROTATED, DROPPED, WITNESS = "rotated", "dropped", "witness"
OWN = (*MENDING, ROTATED, DROPPED, WITNESS)
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
_KEYS = itemgetter(*_TYPES)
_RIGHT = set(itertools.product(*_TYPES.values()))
_decoded = json.JSONDecoder().raw_decode
_canonical = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode
_PLAIN_FORMS = tuple(
    json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False, separators=separators).encode
    for separators in ((",", ":"), (", ", ": "))
    for ascii_only in (False, True)
)


class Head(NamedTuple):
    """The place in the chain where the next record goes: the last record's seq and hash."""

    seq: int
    hash: str

    @classmethod
    def of(cls, record: Record) -> Head:
        """The head that `record` is."""
        return cls(record["seq"], record["hash"])

    def precedes(self, record: Record) -> bool:
        """Whether `record` is the one that comes next."""
        return bool(record["seq"] == self.seq + 1 and record["prev"] == self.hash)


def head_from(content: bytes) -> Head | None:
    """The head that a file of the state holds; None where its content is not one."""
    try:
        found = json.loads(content)
        head = Head(found["seq"], found["hash"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return head if type(head.seq) is int and head.seq >= 0 and is_digest(head.hash) else None


GENESIS = Head(0, "0" * 64)


class Line(NamedTuple):
    """One line: its record when the line proves itself, else what is wrong with it.

    `number` counts from 1 within `file`, `size` is in bytes and `digest` the SHA-256 of the line, both
    without its newline; the digest is empty where there is a record that ends in a newline.
    """

    number: int
    record: Record | None
    problem: str
    size: int
    digest: str
    terminated: bool
    file: Path = Path()


@dataclass(frozen=True)
class Witnessed:
    """What a second witness says: the newest head that it has, and what speaks against the history or it.

    `contradicts` is what it knows otherwise, which counts against the history; `problem` is why it cannot be
    read or was not told of late, which does not. `agrees` is the seq of the newest record of which it has the
    same hash, 0 where there is none.
    """

    path: Path
    last: Head | None = None
    contradicts: str = ""
    problem: str = ""
    agrees: int = 0


def records_of(first: int, last: int) -> str:
    """The words for the records from one seq to another."""
    return f"record {first}" if first == last else f"records {first} to {last}"


class Proven(NamedTuple):
    """The records that lead up to the head without a break: the seq of the first and of the last of them.

    `before` is how many records stand before the first, whatever their seq.
    """

    first: int
    last: int
    before: int = 0

    def holds(self, nth: int, seq: int) -> bool:
        """Whether the nth record of all, which has this seq, is one of them."""
        return self.first <= seq <= self.last and seq - self.first == nth - self.before - 1

    def __str__(self) -> str:
        return records_of(self.first, self.last)


@dataclass(frozen=True)
class Verification:
    """What a run of lines proves.

    `first_bad` is a 1-based line of `first_bad_file` (for a lost tail, where it should stand), None where all
    is well. Up to the seq `follows_until` (0: none) each record follows the one before, which proves none of
    them: whoever changes one can make the next follow. `proven` are those that the head proves, or where it
    proves none the witness (`by_witness`), None where neither does; `proven_from` is the file and the line of
    the first of them, where several records have their seqs. `head` is what was compared, None where there is
    none. `past_head` is the seq of the one record that stands past it as a crash leaves one, which is no
    fault and not proven. `dropped_by` is the seq of the record that says that those before the first were
    dropped by age, None where none were. `denied` is what the witness has otherwise, `attested` the seq of
    the newest record of which it has the same hash.
    `times_back` counts the records that are older by the clock than the one before, which is no fault;
    `first_back` is the seq of the first of them. `torn_lines`, of `torn_bytes` together, stand between the
    records and are closed off by one: half lines of a crash, or what another program appended.
    """

    ok: bool
    records: int
    first_bad: int | None
    reason: str
    follows_until: int
    first_bad_file: Path | None = None
    head: Head | None = None
    witness: Witnessed | None = None
    times_back: int = 0
    first_back: int | None = None
    proven: Proven | None = None
    dropped_by: int | None = None
    past_head: int | None = None
    by_witness: bool = False
    proven_from: tuple[Path, int] | None = None
    denied: str = ""
    attested: int = 0
    torn_lines: int = 0
    torn_bytes: int = 0

    @property
    def is_proven(self) -> bool:
        """Whether every record is proven."""
        return self.ok and self.past_head is None


def digest_of(record: Record) -> str:
    """The hash of a record, in hex: SHA-256 of the UTF-8 canonical JSON of all its keys but `hash`."""
    return hashlib.sha256(_body(record)).hexdigest()


def is_sealed(record: Record) -> bool:
    """Whether the record's hash is that of its canonical JSON, however it is spelled in its line.

    What cannot be written so (a figure beyond all bounds, half a character) has none.
    """
    try:
        return bool(digest_of(record) == record["hash"])
    except (ValueError, RecursionError):
        return False


def seal(fields: Record, head: Head, time: str) -> Record:
    """The record that puts `fields` next after `head`, with its hash."""
    record = {**fields, "v": VERSION, "seq": head.seq + 1, "time": time, "prev": head.hash}
    return {**record, "hash": digest_of(record)}


def line_of(record: Record) -> bytes:
    """The line that stands for `record` in the file, newline included."""
    return _canonical(record).encode() + b"\n"


def parse(raw: bytes, number: int = 0, file: Path = Path()) -> Line:
    """What one line says; `raw` with its newline, if it has one."""
    text = raw.removesuffix(b"\n")
    terminated = len(text) < len(raw)
    record, problem = _believed(text)
    digest = "" if record and terminated else hashlib.sha256(text).hexdigest()
    return Line(number, record, problem, len(text), digest, terminated, file)


def _believed(text: bytes) -> tuple[Record | None, str]:
    if len(text) > MAX_LINE:
        return None, TOO_LONG
    try:
        spelled = text.decode()
        found, end = _decoded(spelled)
        problem = _ill_typed(found) or (_edited(found, text) if end == len(spelled) else _REWRITTEN)
    except (ValueError, RecursionError):
        return None, "is not a record: not JSON in UTF-8"
    return (None, problem) if problem else (found, "")


def _ill_typed(found: object) -> str:
    if not isinstance(found, dict):
        return "is not a record: not a JSON object"
    return "" if _has_right_types(found) and found["v"] == VERSION else _wrong_in(found)


def _has_right_types(found: Record) -> bool:
    try:
        return tuple(map(type, _KEYS(found))) in _RIGHT and _TIME.fullmatch(found["time"]) is not None
    except KeyError:
        return False


def _wrong_in(found: Record) -> str:
    version = found.get("v")
    if type(version) is int and version != VERSION:
        return f"is of another program version: v is {version}, known is {VERSION}"
    wrong = next((key for key, types in _TYPES.items() if type(found.get(key, found)) not in types), "time")
    return f"is not a record: {wrong} is missing or of the wrong type"


def is_digest(value: object) -> bool:
    """Whether `value` is a SHA-256 in hex."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _edited(record: Record, text: bytes) -> str:
    own = text.replace(b'"hash":"%s",' % record["hash"].encode(), b"", 1)
    # A line is written canonically, so its own bytes are nearly always what was hashed: no need to make them.
    is_own = hashlib.sha256(own).hexdigest() == record["hash"]
    # Only what is escaped can be half a character, with which nothing can be written. One byte is sought
    # first, as that is faster than two.
    if is_own and (b"\\" not in own or b"\\u" not in own):
        return ""
    if digest_of(record) != record["hash"]:
        return "was edited: its hash does not match what it says"
    # The hash covers the object, not its spelling; a changed byte that leaves the object alone counts too.
    if any(form(record).encode() == text for form in _PLAIN_FORMS):
        return ""
    return _REWRITTEN


def _body(record: Record) -> bytes:
    return _canonical({key: value for key, value in record.items() if key != "hash"}).encode()


def announced(record: Record) -> list[tuple[object, object]]:
    """Size in bytes and digest of each torn line that stands before `record` and that it closes off."""
    torn = record.get("torn") if record["event"] in MENDING else None
    if not isinstance(torn, list):
        return []
    return [(entry.get("bytes"), entry.get("sha256")) for entry in torn if isinstance(entry, dict)]
