"""What happened last, for somebody who looks at this moment?

Stands apart because a look must not read the whole history each time: it reads back to where the one before
stopped, and tells the newest events in the words of the report.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from swiftdeploy_tasks.chain import Record, Verification
from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.recording import Run
from swiftdeploy_tasks.report.story import Event, Integrity
from swiftdeploy_tasks.report.telling import tell

SHOWN = 5
KEPT = 100
# How far back a first look goes: a dashboard that was left on wrote a record every few seconds.
RECORDS_BACK = 3000
_FIGURES = frozenset({"verdict", "step", "scrape"})
_UNJUDGED = Integrity(Verification(True, 0, None, "", 0))


@dataclass
class Recent:
    """The newest events of a project's history, read a little at a time."""

    run: Run
    seq: int = 0
    kept: deque[Record] = field(default_factory=lambda: deque(maxlen=KEPT))

    def events(self) -> tuple[Event, ...]:
        """Return the last events, oldest first; none where the history cannot be read."""
        new: list[Record] = []
        with suppress(HistoryError):
            for record in islice(self.run.history.newest_first(), RECORDS_BACK):
                if record["seq"] <= self.seq:
                    break
                new.append(record)
        if new:
            self.seq = new[0]["seq"]
        self.kept.extend(record for record in reversed(new) if _tells(record))
        return tell(self.kept, _UNJUDGED).events.shown[-SHOWN:]


def _tells(record: Record) -> bool:
    return record["event"] not in _FIGURES or "verdicts" in record
