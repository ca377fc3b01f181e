"""What an event is, and which of its fields its record in the history has."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

# Metadata of a field that is shown and not recorded, of a mapping whose entries are fields of the record, and
# of one that is left out where it is empty.
SHOWN, SPREAD, WHERE_SET = ({"recorded": how} for how in ("never", "spread", "where set"))


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. `name` is that of its record in the history, "" for one without a record."""

    name: ClassVar[str] = ""
    outcome: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the record's own fields."""
        found: dict[str, Any] = {}
        for one in fields(self):
            value, how = getattr(self, one.name), one.metadata.get("recorded", "always")
            if how == "spread":
                found |= value
            elif (how == "always" and one.name != "outcome") or (how == "where set" and value):
                found[one.name] = value
        return found
