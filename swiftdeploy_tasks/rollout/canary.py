"""Judges a slot by its metrics: over a window before a change, and while it takes traffic.

It scrapes, asks the gate, and raises what the answer calls for. It moves no traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swiftdeploy_tasks import metrics
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import AppUnhealthy, PolicyRefused, ProxyError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.metrics import (
    Counted,
    Counter,
    LogWindows,
    Scrape,
    SlotTally,
    UnreadableMetrics,
    Window,
)
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.verdict import Verdict
from swiftdeploy_tasks.proxy import health, probe
from swiftdeploy_tasks.proxy.probe import Pace
from swiftdeploy_tasks.rollout import slot_metrics
from swiftdeploy_tasks.rollout.slot_evidence import SlotEvidence
from swiftdeploy_tasks.rollout.watch import Ending

# nginx writes its log at once, but for a host that is busy.
COUNT_SECONDS = 10.0
UNHEALTHY_TWICE = 2
# A path that nginx answers by itself, for a request that shows whether it counts.
_MARKED_PATH = "/swiftdeploy/404"


@dataclass(frozen=True)
class Figures:
    """What a slot did in a window: None where no metrics are declared, or where they could not be read.

    `unreadable` counts how often in a row that was so, and `problem` says why. `clients` is what nginx
    counted of the same slot, `beside` of the slot that served before; None where it did not count.
    `silent` says that the app's metrics page counted no request at all. `evidence` is what was gathered
    since the change began, while a slot is watched.
    """

    window: Window | None
    problem: str = ""
    unreadable: int = 0
    clients: Counted | None = None
    beside: Counted | None = None
    silent: bool = False
    evidence: Mapping[str, Any] | None = None


def before(
    manifest: Manifest,
    engine: Engine,
    slot: Slot,
    *,
    seconds: float,
    recorded: Iterable[Scrape],
    wait: Callable[[float], None],
) -> Figures:
    """Return how the slot fared over the last `seconds`: by its page, and by what nginx logged of that time.

    The page's window begins at a recorded scrape, or at one that is waited for.
    """
    seen, windows = engine.observe(), LogWindows()
    page = _page_before(manifest, seen.operator_port, slot, seconds=seconds, recorded=recorded, wait=wait)
    slot_metrics.read_log(manifest, engine, windows, seconds=seconds)
    try:
        clients = slot_metrics.logged_window(seen, slot, windows, seconds=seconds)
    except UnreadableMetrics as error:
        return Figures(None, error.message, 1) if manifest.services.metrics == "nginx" else page
    if manifest.services.metrics == "nginx":
        return Figures(clients.window, clients=clients)
    return replace(page, clients=clients.without_latency() if clients.window.requests else None)


def _page_before(
    manifest: Manifest,
    port: int,
    slot: Slot,
    *,
    seconds: float,
    recorded: Iterable[Scrape],
    wait: Callable[[float], None],
) -> Figures:
    pace = Pace()
    try:
        now = slot_metrics.scrape(manifest, port, slot, pace)
        if now is None:
            return Figures(None)
        start = metrics.choose(recorded, now, seconds=seconds)
        if start is None:
            wait(seconds)
            start, now = now, slot_metrics.scrape(manifest, port, slot, pace)
            assert now is not None
        return Figures(metrics.window(start, now))
    except UnreadableMetrics as error:
        return Figures(None, error.message, 1)


@dataclass
class SlotWatch:
    """Watches one new slot while it takes traffic; see `watch.Watch`.

    `ask` asks the gate about a phase and its figures and returns the recorded verdict; `notice` gets each
    two successive scrapes of a release. `counter` adds up nginx's log of both slots, and `tolerated` is the
    share of requests (of 1) that may stay unanswered at the end of a step. `evidence` is gathered over all
    steps; `old` is the slot that it is compared with. `pace` limits the wait for the app's answers, and
    `secrets` are masked in quotations. `verdict` is the last one.
    """

    engine: Engine
    manifest: Manifest
    port: int
    ask: Callable[[str, Release, Figures, bool], Verdict]
    notice: Callable[[Slot, Release, Scrape | None, Scrape], None]
    counter: Counter
    tolerated: float
    evidence: SlotEvidence
    old: Slot | None = None
    pace: Pace = field(default_factory=Pace)
    secrets: Collection[str] = ()
    slot: Slot = "blue"
    release: Release | None = None
    start: Scrape | None = None
    last: Scrape | None = None
    unreadable: int = 0
    unhealthy: int = 0
    generation: str = ""
    began: float = field(default_factory=slot_metrics.now)
    step: tuple[float, SlotTally] | None = None
    verdict: Verdict | None = None

    def follow(self, log: Path, share: int, new: Slot | None) -> None:
        """Read nginx's count from this file; raises ProxyError where nginx does not write it."""
        self.counter.read()
        # A batch ends where the shares change.
        self._take_count()
        try:
            self.counter.follow(log, share, new or "")
        except OSError as error:
            raise ProxyError(
                f"nginx does not count the requests of this change: {log.name}: {error.strerror}",
                "compare the project's templates/upstream.conf.j2 with the one that ships",
            ) from None
        self.generation = log.stem
        self.step = (slot_metrics.now(), self.counter.tallies()[1])

    def begin(self, slot: Slot, release: Release) -> None:
        """Count from now what the slot's page says."""
        if (slot, release) != (self.slot, self.release):
            self.evidence.begin(slot_metrics.now())
        self.slot, self.release, self.unreadable, self.unhealthy = slot, release, 0, 0
        self.start = self.last = None
        self._figures()

    def sees_traffic(self) -> bool:
        """Return whether a client asked for anything since the change began."""
        self.counter.read()
        return self.counter.requests > 0

    def waiting(self, before: float) -> str:
        """Return how many requests that began before then are unanswered, "" where few are."""
        late, given = self.counter.waiting_at_new(min(before, slot_metrics.now() - metrics.WAITING))
        return f"{late} of {given} requests" if late > self.tolerated * given else ""

    def tick(self) -> None:
        """Look once; raises AppUnhealthy, PolicyRefused, GateUnavailable or ProxyError."""
        self._look_at_count()
        self._look_at_health()
        self._judge("watch")

    @property
    def is_proven(self) -> bool:
        """Whether the release was proven good at the last look."""
        return self.verdict is not None and self.verdict.word == "pass"

    def end_step(self, *, last: bool) -> Ending:
        """Judge the whole step; "more" when it saw too few requests and it is not the last chance."""
        figures = self._figures()
        windows = [figures.window, figures.clients.window if figures.clients else None]
        seen = [window.requests for window in windows if window]
        if seen and max(seen) < self.manifest.rollout.min_requests and not last:
            return Ending("more")
        verdict = self._judge("step_end", figures)
        return Ending(verdict.word, verdict.doubt)

    def _look_at_count(self) -> None:
        """Take in nginx's count up to now; raises ProxyError where nginx has ceased to count."""
        known = self.counter.probes
        headers = {probe.PROBE: self.generation}
        probe.ask(self.manifest.nginx.port, _MARKED_PATH, headers=headers, timeout=probe.NGINX_SECONDS)

        def is_counted() -> bool:
            self.counter.read()
            return self.counter.probes > known

        if not probe.until(is_counted, seconds=COUNT_SECONDS):
            loaded = probe.generation(self.port)
            why = "it started again" if loaded and loaded.id != self.generation else "its log has no new line"
            raise ProxyError(
                f"nginx no longer counts the requests to app-{self.slot}: {why}",
                "invoke deploy",
                log=self.engine.logs("nginx"),
            )

    def _figures(self) -> Figures:
        clients = beside = None
        if self.step:
            self.counter.read()
            now, old, new = self._take_count()
            clients = metrics.counted(self.step, (now, new))
            beside = (
                metrics.counted((self.began, SlotTally()), (now, old)) if self.counter.old_address else None
            )
        if self.manifest.services.metrics == "nginx":
            page = Figures(clients.window if clients else Window(0.001, 0))
        else:
            page = self._page()
        return replace(page, clients=clients, beside=beside, evidence=self.evidence.document())

    def _take_count(self) -> tuple[float, SlotTally, SlotTally]:
        """Gather the evidence in nginx's count; return the time and the tallies of old and new slot."""
        now, (old, new) = slot_metrics.now(), self.counter.tallies()
        self.evidence.take_count(new.at(now), old.at(now) if self.counter.old_address else None)
        return now, old, new

    def _page(self) -> Figures:
        try:
            now = slot_metrics.scrape(self.manifest, self.port, self.slot, self.pace)
            if now is None:
                return Figures(None)
            self.unreadable = 0
            if self.release:
                self.notice(self.slot, self.release, self.last, now)
            if self.last and metrics.went_back(self.last, now):
                what = "it started again" if metrics.restarted(self.last, now) else "its counters went back"
                raise self._sick(f"{what} while it was watched; {metrics.SEVERAL_WORKERS}")
            self.last = now
            self.evidence.take_page(now, self._page_of_old())
            if self.start is None:
                self.start = now
                return Figures(Window(0.001, 0))
            silent = (self.start.counts, self.start.buckets) == (now.counts, now.buckets)
            return Figures(metrics.window(self.start, now), silent=silent)
        except UnreadableMetrics as error:
            self.unreadable += 1
            return Figures(None, error.message, self.unreadable)

    def _page_of_old(self) -> Scrape | None:
        if self.old in (None, self.slot):
            return None
        with suppress(UnreadableMetrics):
            return slot_metrics.scrape(self.manifest, self.port, self.old, self.pace)
        return None

    def _look_at_health(self) -> None:
        assert self.release is not None
        if not self.engine.observe().is_alive(self.slot):
            raise self._sick("it died while it was watched")
        limits = self.release.health
        reply = self.pace.of(probe.health(self.port, self.slot, limits, timeout=self.pace.timeout))
        self.unhealthy = 0 if health.is_good(reply) else self.unhealthy + 1
        if self.unhealthy >= UNHEALTHY_TWICE:
            why = health.problem(reply, self.release, secrets=self.secrets)
            raise self._sick(f"it became unhealthy while it was watched: {why}")

    def _judge(self, phase: str, figures: Figures | None = None) -> Verdict:
        assert self.release is not None
        seen = figures or self._figures()
        self.verdict = verdict = self.ask(phase, self.release, seen, self.unhealthy == 0)
        if verdict.failed:
            # An app that died or became unhealthy is named as that, not by the errors that it causes.
            if self.unhealthy or not self.engine.observe().is_alive(self.slot):
                self._look_at_health()
            first = verdict.failed[0]
            raise PolicyRefused(
                f"{first.sentence}; version {self.release.version} ({self.release.mode}) is not confirmed",
                "correct the release, then: invoke deploy",
                log=self.engine.logs(f"app-{self.slot}"),
            )
        return verdict

    def _sick(self, why: str) -> AppUnhealthy:
        assert self.release is not None
        return AppUnhealthy(
            f"app-{self.slot}, version {self.release.version} ({self.release.mode}): {why}",
            "correct the app, then: invoke deploy",
            log=self.engine.logs(f"app-{self.slot}"),
        )
