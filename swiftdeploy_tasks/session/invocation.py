"""One invocation: the verbs that a command line names, and what their tasks share."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from swiftdeploy_tasks.session import lock

Shared = TypeVar("Shared")


@dataclass(frozen=True)
class Traits:
    """How a verb behaves; see `task.RecordedTask`."""

    writes: bool
    needs_history: bool
    document: Mapping[str, Any]


@dataclass
class Invocation:
    """What one process was asked for.

    `named` are the verbs in the order in which they run, with their options; one that has ended is removed.
    `verb` is the last one, whose document is printed. `cut_off` is the holder of the lock that was killed.
    """

    run: str = field(default_factory=lambda: secrets.token_hex(6))
    verb: str = ""
    json: bool = False
    wait: float = 0.0
    named: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    held: lock.HeldLock | None = None
    cut_off: lock.Holder | None = None
    warned: bool = False
    secrets: set[str] = field(default_factory=set)
    at_end: ExitStack = field(default_factory=ExitStack)
    _shared: dict[type, object] = field(default_factory=dict)

    def name(self, verb: str) -> None:
        """Add the next verb of the command line; it is called again for each of the verb's arguments."""
        self.verb = verb
        if not self.named or self.named[-1][0] != verb:
            self.named.append((verb, {}))

    @property
    def writes(self) -> bool:
        """Whether a verb that has not ended writes."""
        return any(VERBS[verb].writes for verb, _ in self.named if verb in VERBS)

    @property
    def needs_history(self) -> bool:
        """Whether a verb that has not ended stops where the history cannot be written."""
        return any(VERBS[verb].needs_history for verb, _ in self.named if verb in VERBS)

    def end(self, verb: str) -> None:
        """Remove a verb that has ended; a prerequisite is no verb of its own."""
        if self.named and self.named[0][0] == verb:
            del self.named[0]

    def shared(self, kind: type[Shared]) -> Shared:
        """Return the one value of this kind that all tasks of the invocation share."""
        return cast(Shared, self._shared.setdefault(kind, kind()))

    def forget_shared(self) -> None:
        """Forget what the tasks share: the lock was just taken, and all may have changed before."""
        self._shared.clear()


VERBS: dict[str, Traits] = {}
INVOCATION = Invocation()
