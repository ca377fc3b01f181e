"""A scrape: the counters of a slot at one moment.

It is recorded, and read back as the start of a later window, so it holds sums only.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, TypeGuard

from swiftdeploy_tasks.errors import SwiftDeployError

# Beyond this, JSON readers no longer distinguish neighbouring integers.
MAX_COUNT = 2**53
WITHOUT_PAGE = "where an app has no metrics page, set `services.metrics: {from: nginx}` in manifest.yaml"


class UnreadableMetrics(SwiftDeployError):
    """The metrics of a slot are declared and cannot be read, so nothing can be judged by them."""

    exit_code = 3

    def __init__(self, reason: str, next: str = f"correct the app's metrics; {WITHOUT_PAGE}") -> None:
        super().__init__(reason, next)


@dataclass(frozen=True)
class Scrape:
    """What a slot had counted by `time` (unix seconds); requests to paths left out are counted apart.

    `bounds` are the histogram's finite upper bounds in seconds, rising; `buckets` counts answers in each and,
    last, beyond them (not cumulative); both are empty without a histogram. `uptime` is seconds by the app's
    own clock, `started` unix seconds, None where unknown; `mode` and `chaos` are the shipped app's.

    Within one process `time` should never go back: a reading of the wall clock, carried on by the monotonic.
    """

    time: float
    ok: int = 0
    errors: int = 0
    left_out: int = 0
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    uptime: float | None = None
    started: float | None = None
    mode: str | None = None
    chaos: str | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the app started, above zero; None where it does not say."""
        age = self.uptime
        if age is None and self.started is not None:
            age = self.time - self.started
        return age if age is not None and age > 0 else None

    @property
    def counts(self) -> tuple[int, ...]:
        """All that only a restart sets back, but for the buckets."""
        return self.ok, self.errors, self.left_out

    def document(self) -> dict[str, Any]:
        """JSON values from which `from_document` makes the same scrape.

        The bounds are one text, as they are the same in each record and a number takes long to read.
        """
        return asdict(self) | {"bounds": " ".join(map(repr, self.bounds)), "buckets": list(self.buckets)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Scrape:
        """Return the scrape that was recorded; raises UnreadableMetrics when the document is not one."""
        try:
            values = {name: document[name] for name in cls.__dataclass_fields__}
            bounds = tuple(map(float, document["bounds"].split()))
            scrape = cls(**values | {"bounds": bounds, "buckets": tuple(document["buckets"])})
            sound = _is_sound(scrape)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableMetrics(f"a recorded scrape is damaged: {error!r:.100}") from None
        if not sound:
            raise UnreadableMetrics("a recorded scrape is damaged: its values do not fit together")
        return scrape


def is_count(value: object) -> bool:
    """Return whether `value` is a whole number from 0 to MAX_COUNT."""
    return is_figure(value) and 0 <= value <= MAX_COUNT and value == int(value)


def is_figure(value: object) -> TypeGuard[float]:
    """Return whether `value` is a finite number of a float's size, not a boolean."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= sys.float_info.max


def _is_sound(scrape: Scrape) -> bool:
    clocks = (scrape.time, *(value for value in (scrape.uptime, scrape.started) if value is not None))
    return (
        all(is_figure(value) for value in (*clocks, *scrape.bounds))
        and all(is_count(value) for value in (*scrape.counts, *scrape.buckets))
        and all(value is None or isinstance(value, str) for value in (scrape.mode, scrape.chaos))
        and all(lower < upper for lower, upper in pairwise(scrape.bounds))
        and len(scrape.buckets) == (len(scrape.bounds) + 1 if scrape.buckets else 0)
        and not (scrape.bounds and not scrape.buckets)
    )
