"""The state of a project on its engine, seen or wanted: proxy, slots and traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from swiftdeploy_tasks.model.release import SLOTS, Release, Slot


@dataclass(frozen=True)
class Traffic:
    """The share of each slot in percent, and the slot that catches what the others cannot answer.

    `counted` says that nginx writes a line for each request, for a watch to read.
    """

    weights: Mapping[Slot, int] = field(default_factory=dict)
    backup: Slot | None = None
    counted: bool = False

    def of(self, slot: Slot) -> int:
        """Return the slot's share, 0 when it has none."""
        return self.weights.get(slot, 0)

    @property
    def leader(self) -> Slot | None:
        """The slot with the largest share, or None when no slot has one."""
        ranked = sorted(SLOTS, key=self.of, reverse=True)
        return ranked[0] if self.of(ranked[0]) else None

    @property
    def is_split(self) -> bool:
        """Whether both slots have a share."""
        return all(self.of(slot) for slot in SLOTS)

    def __str__(self) -> str:
        shares = [f"{slot} {self.of(slot)} %" for slot in SLOTS if self.of(slot)]
        backup = [f"{self.backup} as backup"] if self.backup else []
        return ", ".join(shares + backup) or "none (503)"


@dataclass(frozen=True)
class Difference:
    """A property of a running component that differs from its definition."""

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: {self.found} instead of {self.expected}"


@dataclass(frozen=True)
class Placement:
    """A release in a slot. `spec` digests how it is run; `address` is host:port as nginx reaches it.

    `trouble` says why it is not `live`, and `differences` what was changed about it since it was started.
    `has_died` says that the engine had to start it again. `reach` is the (host, port) at which this host
    reaches it past nginx, ("", 0) where it cannot. `environment`, secrets included, is what it was started
    with.
    """

    release: Release | None
    spec: str
    live: bool = True
    healthy: bool | None = None
    address: str = ""
    since: float | None = None
    trouble: str = ""
    differences: tuple[Difference, ...] = ()
    has_died: bool = field(default=False, compare=False)
    reach: tuple[str, int] = field(default=("", 0), compare=False)
    environment: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Proxy:
    """The running nginx: `spec` digests how it is run, `config` what it has loaded ("" when not known).

    `trouble` and `differences` are as those of a Placement. `operator_port` is 0 while it does not run, and
    `generation` is what it says that it has loaded; neither is part of the desired state.
    """

    spec: str
    config: str
    live: bool = True
    operator_port: int = field(default=0, compare=False)
    generation: str = field(default="", compare=False)
    trouble: str = ""
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class PolicyServer:
    """The OPA server of the project: `spec` digests how it is run, and `trouble` says why it is not `live`.

    `addresses` are the (host, port) of this host on which nothing but it can answer.
    """

    spec: str
    live: bool = True
    trouble: str = ""
    addresses: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True)
class State:
    """What stands on an engine, seen or wanted.

    `strangers` are the names of what carries the project's home and is none of its components. They and the
    policy server are no part of the desired state.
    """

    proxy: Proxy | None = None
    slots: Mapping[Slot, Placement] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    policy: PolicyServer | None = field(default=None, compare=False)
    strangers: tuple[str, ...] = field(default=(), compare=False)

    @property
    def operator_port(self) -> int:
        """The operator port of the nginx that runs, 0 when none does."""
        return self.proxy.operator_port if self.proxy else 0

    def is_alive(self, slot: Slot) -> bool:
        """Return whether the app in the slot runs and has not died since it was started."""
        there = self.slots.get(slot)
        return there is not None and there.live and not there.has_died

    def reach(self, slot: Slot | None) -> tuple[str, int]:
        """Return the (host, port) at which this host reaches the slot past nginx, ("", 0) where it cannot."""
        there = self.slots.get(slot) if slot else None
        return there.reach if there else ("", 0)

    def release_of(self, slot: Slot | None) -> Release | None:
        """Return what runs in the slot, if anything does."""
        placement = self.slots.get(slot) if slot else None
        return placement.release if placement else None


@dataclass(frozen=True)
class Site:
    """Where an engine's nginx stands: what differs between a host, a container and a file for review.

    `bind` is the listen prefix ("" for every address), `operators` the addresses that may use the
    operator port, `resolver` the DNS server that follows a container's address ("" for literals), and
    `inline` says that nginx.conf holds the upstreams itself. `counts` is the folder, as nginx sees it, in
    which it counts the requests of a watch ("" where it never does). `address` is how nginx reaches a slot
    that has yet to start: a format of `slot` and `port`. `cores` are those of the host, 0 where the text
    must not depend on it.
    """

    bind: str
    operators: tuple[str, ...]
    resolver: str
    pid: str
    temp: str
    error_log: str
    access_logs: tuple[str, ...]
    inline: bool = False
    counts: str = ""
    address: str = "app-{slot}:{port}"
    cores: int = 0
