"""The period that a report covers, in Unix seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Period:
    """The first and the last moment of a period; infinite where none was given."""

    since: float = -math.inf
    until: float = math.inf

    def holds(self, at: float) -> bool:
        """Return whether the moment lies in it."""
        return self.since <= at <= self.until

    def meets(self, began: float, ended: float) -> bool:
        """Return whether a part of the time from `began` to `ended` lies in it."""
        return began <= self.until and ended >= self.since
