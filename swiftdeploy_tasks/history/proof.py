"""Verifies a sequence of lines against a head, as a pure function.

`flaws` says what a history that does not verify still proves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from swiftdeploy_tasks.history import flaws
from swiftdeploy_tasks.history.chain import Head, Line, Verification
from swiftdeploy_tasks.history.verification import Walk


def check(
    lines: Callable[[], Iterable[Line]],
    head: Head | None,
    *,
    present: Path | None = None,
    before: Path | None = None,
    claims: Mapping[int, str] | None = None,
) -> Verification:
    """Judge a whole history against its head; `lines` is called a second time only to name what is wrong.

    `present` is the file that the next line goes to, `before` the one that should stand before the first;
    `claims` are the hashes that a witness has by seq, and what it knows otherwise counts.
    """
    walk = Walk(head, claims or {})
    fault = next((bad for bad in map(walk.step, lines()) if bad), None) or walk.end()
    if fault or not walk.is_vouched:
        return flaws.explained(walk, fault, lines(), present, before)
    fault, proven = walk.contradiction(), walk.proven()
    found = Verification(
        fault is None,
        walk.records,
        None,
        fault.reason if fault else "",
        min(walk.trusted.seq, fault.trusted) if fault else walk.trusted.seq,
        head=head,
        times_back=walk.times_back,
        first_back=walk.first_back,
        proven=proven,
        by_witness=bool(fault and proven),
        past_head=walk.past_head,
        dropped_by=walk.voucher.seq if walk.voucher else None,
        denied=fault.denial if fault else "",
        attested=walk.attested,
        torn_lines=walk.torn_lines,
        torn_bytes=walk.torn_bytes,
    )
    return walk.places.named(found, fault.number, present) if fault else found


def end_of(lines: Iterable[Line], start: Head) -> Head | None:
    """Where lines that follow `start` lead to; None when they do not follow it, or anything is wrong."""
    walk = Walk(None, {}, start)
    if any(walk.step(line) for line in lines) or walk.unexcused.first or not walk.records:
        return None
    return walk.trusted
