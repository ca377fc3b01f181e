"""Verifies a history: each record follows the one before it, and the head names the last one.

Only records linked to the head are verified. The first bad line is where the chain breaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from swiftdeploy_tasks.history.chain import Head, Line
from swiftdeploy_tasks.history.links import Links, Proven
from swiftdeploy_tasks.history.witness import Witnessed


@dataclass(frozen=True)
class Verification:
    """What a history proves.

    `first_bad` is a 1-based line of `first_bad_file`, None where all is well; for missing records it is the
    line where they should stand. `proven` are the records linked to the head, or where there are none those
    linked to a head that the witness has (`by_witness`).
    `past_head` is the seq of the one record that stands past the head, as a crash leaves one: no fault, and
    not verified. `dropped_by` is the seq of the record that says that the records before the first were
    dropped by age. `denied` is what the witness knows otherwise, `agrees` the seq of the newest record of
    which it has the same hash. `times_back` counts the records that are older by the clock than the one
    before. `torn_lines`, of `torn_bytes` together, stand between the records and are closed off by one.
    """

    ok: bool
    records: int
    first_bad: int | None
    reason: str
    first_bad_file: Path | None = None
    head: Head | None = None
    witness: Witnessed | None = None
    proven: Proven | None = None
    by_witness: bool = False
    past_head: int | None = None
    dropped_by: int | None = None
    denied: str = ""
    agrees: int = 0
    times_back: int = 0
    torn_lines: int = 0
    torn_bytes: int = 0

    @property
    def is_proven(self) -> bool:
        """Whether every record is verified."""
        return self.ok and self.past_head is None


def verify(
    lines: Iterable[Line],
    head: Head | None,
    *,
    claims: Mapping[int, str] | None = None,
    current_file: Path | None = None,
    file_before: Path | None = None,
) -> Verification:
    """Verify a history, oldest line first.

    `claims` are the hashes that a witness has, by seq; `current_file` is the file that the next line goes to,
    `file_before` the one that comes before the first line's.
    """
    links = Links(head, claims or {})
    for line in lines:
        links.take(line)
    bad, proof = links.first_bad(current_file, file_before), links.proof
    return Verification(
        bad is None,
        links.records,
        bad.line if bad else None,
        bad.reason if bad else "",
        bad.file if bad else None,
        head=head,
        proven=proof.by_head or proof.by_witness,
        by_witness=proof.by_head is None and proof.by_witness is not None,
        past_head=links.tip.seq if head and not bad and links.tip.seq > head.seq else None,
        dropped_by=links.dropped_by,
        denied=links.denial,
        agrees=proof.agrees,
        times_back=links.times_back,
        torn_lines=links.torn_lines,
        torn_bytes=links.torn_bytes,
    )


def ends_of(lines: Iterable[Line]) -> tuple[Head, Head] | None:
    """The head that these lines follow and the one they lead to; None where anything is wrong with them."""
    links = Links(None, {})
    for line in lines:
        links.take(line)
        if links.bad:
            return None
    return (links.start, links.tip) if links.records and not links.torn else None
