"""What happened and when, thinned to as many marks as a chart can show."""

from __future__ import annotations

from dataclasses import dataclass, replace

from swiftdeploy_tasks.report.collectors import Buckets

MOST_MARKS = 100


@dataclass(frozen=True)
class Mark:
    """Something that happened, `count` times in one bucket of time.

    `kind` is a verb that changes what runs, or rolled back, refusal, chaos or interruption.
    """

    at: float
    kind: str
    is_bad: bool
    count: int = 1


class Marks:
    """Collects marks, at most MOST_MARKS of each kind."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, bool], Buckets[Mark]] = {}

    def add(self, mark: Mark) -> None:
        """Add a mark."""
        self._kinds.setdefault((mark.kind, mark.is_bad), Buckets(MOST_MARKS, _merged)).add(mark)

    def marks(self) -> tuple[Mark, ...]:
        """Return the marks in the order of time."""
        marks = (mark for kind in self._kinds.values() for mark in kind.values())
        return tuple(sorted(marks, key=lambda mark: mark.at))


def _merged(earlier: Mark, later: Mark) -> Mark:
    return replace(earlier, count=earlier.count + later.count)
