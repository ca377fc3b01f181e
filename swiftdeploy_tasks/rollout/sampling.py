"""Samples of every slot for status and records: health, chaos and a window of metrics."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swiftdeploy_tasks import metrics
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import EngineError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.metrics import LogWindows, Scrape, UnreadableMetrics, Window
from swiftdeploy_tasks.metrics.window import LONGEST
from swiftdeploy_tasks.model.release import SLOTS, Release, Slot
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.rollout import slot_metrics

# A scrape a second for as long as the longest window lasts.
KEPT = 64


@dataclass(frozen=True)
class Sample:
    """One slot at one moment: `weight` in percent, `since` in unix seconds where it is known.

    `scrape` is None where no metrics are declared or they cannot be read (`problem` says why), and `window`
    where there is no earlier scrape to count from.
    """

    release: Release | None
    weight: int
    healthy: bool
    trouble: str = ""
    since: float | None = None
    scrape: Scrape | None = None
    window: Window | None = None
    problem: str = ""

    def is_of(self, release: str) -> bool:
        """Whether it is of the release with this id."""
        return self.release is not None and self.release.id == release

    @property
    def chaos(self) -> str | None:
        """The fault that the app says it injects: none, slow or error; None where it does not say."""
        return self.scrape.chaos if self.scrape else None

    def document(self) -> dict[str, Any]:
        """The form of a slot of `status` in docs/ci.md."""
        return {
            "release": self.release.id if self.release else None,
            "mode": self.release.mode if self.release else None,
            "version": self.release.version if self.release else None,
            "weight": self.weight,
            "healthy": self.healthy,
            "chaos": self.chaos,
            "window": self.window.document() if self.window else None,
        }

    def record(self) -> dict[str, Any]:
        """The form in which it is recorded: the document, and what a later window counts from."""
        counters = {"counters": self.scrape.document()} if self.scrape else {}
        return {**self.document(), **counters, **({"error": self.problem} if self.problem else {})}


@dataclass
class Memory:
    """What windows are counted from: scrapes of the last minute by slot and release, and nginx's access log.

    `recall` is asked once for the recorded scrapes of a slot's release, oldest first.
    """

    recall: Callable[[Slot, Release], Iterable[Scrape]]
    held: dict[tuple[Slot, str], deque[Scrape]] = field(default_factory=dict)
    log_windows: LogWindows = field(default_factory=LogWindows)

    def of(self, slot: Slot, release: Release) -> deque[Scrape]:
        """Return the scrapes of this release in this slot, to look at and to add to."""
        key = (slot, release.id)
        if key not in self.held:
            # Whatever else was in the slot has gone for good.
            self.held = {kept: scrapes for kept, scrapes in self.held.items() if kept[0] != slot}
            self.held[key] = deque(self.recall(slot, release), maxlen=KEPT)
        return self.held[key]


@dataclass(frozen=True)
class Look:
    """Where to look: the manifest in force, the engine, and what stands.

    A window is of about `seconds`, or shorter while less is known.
    """

    manifest: Manifest
    engine: Engine
    seen: State
    seconds: float


def take(look: Look, memory: Memory) -> dict[Slot, Sample | None]:
    """Look at every slot once, and remember what was scraped or logged."""
    log_problem = ""
    if look.manifest.services.metrics == "nginx":
        try:
            slot_metrics.read_log(look.manifest, look.engine, memory.log_windows, seconds=look.seconds)
        except EngineError as error:
            log_problem = error.message
    return {slot: _sample(look, slot, memory, log_problem) for slot in SLOTS}


def _sample(look: Look, slot: Slot, memory: Memory, log_problem: str) -> Sample | None:
    there = look.seen.slots.get(slot)
    if there is None:
        return None
    scrape, window, problem = None, None, log_problem
    if there.release and there.live and not log_problem:
        scrape, window, problem = _measured(look, slot, there.release, memory)
    return Sample(
        release=there.release,
        weight=look.seen.traffic.of(slot),
        healthy=bool(there.healthy),
        trouble=there.trouble,
        since=there.since,
        scrape=scrape,
        window=window,
        problem=problem,
    )


def _measured(
    look: Look, slot: Slot, release: Release, memory: Memory
) -> tuple[Scrape | None, Window | None, str]:
    """Return the scrape of the app's page where that is the source, the window, and what is wrong."""
    try:
        if look.manifest.services.metrics == "nginx":
            logged = slot_metrics.logged_window(look.seen, slot, memory.log_windows, seconds=look.seconds)
            return None, logged.window, ""
        port = look.seen.operator_port
        scrape = slot_metrics.scrape(look.manifest, port, slot) if port else None
    except UnreadableMetrics as error:
        return None, None, error.message
    if scrape is None:
        return None, None, ""
    earlier = memory.of(slot, release)
    window, problem = _window(earlier, scrape, look.seconds)
    earlier.append(scrape)
    return scrape, window, problem


def _window(earlier: Iterable[Scrape], now: Scrape, seconds: float) -> tuple[Window | None, str]:
    """Return the window of about `seconds` up to `now`, else the longest shorter one, and what is wrong."""
    known = tuple(earlier)
    recent = (one for one in known if 0 < now.time - one.time <= LONGEST * seconds)
    start = metrics.choose(known, now, seconds=seconds) or next(recent, None)
    if start is None:
        return None, ""
    try:
        return metrics.window(start, now), ""
    except UnreadableMetrics as error:
        return None, error.message


def records(samples: Mapping[Slot, Sample | None]) -> dict[str, Any]:
    """Return the fields of a `scrape` record."""
    return {"slots": {slot: sample.record() if sample else None for slot, sample in samples.items()}}


def recorded(record: Mapping[str, Any], slot: Slot, release: str) -> Scrape | None:
    """Return what a `scrape` record has of this release in this slot; None for a record in another form."""
    slots = record.get("slots")
    there = slots.get(slot) if isinstance(slots, dict) else None
    if not isinstance(there, dict) or there.get("release") != release or "counters" not in there:
        return None
    try:
        return Scrape.from_document(there["counters"])
    except UnreadableMetrics:
        return None


def turned(earlier: Scrape | None, now: Scrape) -> str:
    """Return what changed about the fault that an app injects: seen, gone, or "" for no change."""
    before = (earlier.chaos if earlier else None) or "none"
    after = now.chaos or "none"
    if before == after:
        return ""
    return "gone" if after == "none" else "seen"
