"""The watch over a new slot while it takes traffic, as the steps of a change see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.verdict import Word


@dataclass(frozen=True)
class Ending:
    """How a watched step ended: a verdict, or "more" where it saw too few requests; `why` it is undecided."""

    word: Word | Literal["more"]
    why: str = ""


class Watch(Protocol):
    """Watches a new slot while it takes traffic; each call raises when it is not well."""

    def follow(self, log: Path, share: int, new: Slot | None) -> None:
        """Read nginx's count from this file from now on; the `new` slot has `share` percent meanwhile."""
        ...

    def begin(self, slot: Slot, release: Release) -> None:
        """Begin to count what the slot sees."""
        ...

    def sees_traffic(self) -> bool:
        """Return whether a client asked for anything since the change began."""
        ...

    def waiting(self, before: float) -> str:
        """Return which requests that began before then (unix seconds) keep the step open, "" for none."""
        ...

    def tick(self) -> None:
        """Look once, about every second."""
        ...

    @property
    def is_proven(self) -> bool:
        """Whether the last look found the release proven good."""
        ...

    def end_step(self, *, last: bool) -> Ending:
        """Judge the step; "more" when it saw too few requests and `last` is not given."""
        ...
