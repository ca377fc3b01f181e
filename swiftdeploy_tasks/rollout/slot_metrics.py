"""Reads the metrics of a slot: the app's page, or nginx's access log."""

from __future__ import annotations

import time

from swiftdeploy_tasks import metrics
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.manifest.model import Manifest, MetricsPage
from swiftdeploy_tasks.metrics import Counted, LogWindows, Scrape, UnreadableMetrics
from swiftdeploy_tasks.model.release import Slot
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import probe
from swiftdeploy_tasks.proxy.probe import Pace

_OWN_PATHS = ("/chaos",)
# One reading of the wall clock, carried on by one that is never set back.
_CLOCK = time.time() - time.monotonic()


def now() -> float:
    """Return unix seconds by a clock that is never set back."""
    return _CLOCK + time.monotonic()


def scrape(manifest: Manifest, port: int, slot: Slot, pace: Pace | None = None) -> Scrape | None:
    """Return what the slot's page says now, None where the manifest names none; raises UnreadableMetrics."""
    page = manifest.services.metrics
    if not isinstance(page, MetricsPage):
        return None
    left_out = (manifest.services.health.path, page.path, *_OWN_PATHS)
    text = _page_of(manifest, port, slot, page.path, pace or Pace())
    return metrics.parse(text, at=now(), leave_out=left_out)


def outlook(manifest: Manifest, port: int, slot: Slot) -> str:
    """Return what later changes can judge by the slot's metrics; raises UnreadableMetrics for nothing."""
    page = manifest.services.metrics
    if page == "nginx":
        return "errors and latency are judged by nginx's access log"
    if page is None:
        return "none are declared; changes are judged by health, and by the errors that nginx counts"
    text = _page_of(manifest, port, slot, page.path, Pace())
    metrics.parse(text, at=now())
    found = metrics.sources(text)
    by = f"errors are judged by {found.counter}"
    if found.histogram:
        return f"{by}, the latency by {found.histogram}"
    return (
        f"{by}; {page.path} has no histogram ({', '.join(metrics.HISTOGRAMS)}), so the p99 is not known and"
        " max_p99_ms fails once there are requests"
    )


def _page_of(manifest: Manifest, port: int, slot: Slot, path: str, pace: Pace) -> str:
    """Return the slot's metrics page; raises UnreadableMetrics."""
    name = manifest.services.health.host
    asked = probe.ask_slot(port, slot, path, name=name, timeout=pace.timeout, limit=metrics.MAX_PAGE)
    reply = pace.of(asked)
    if reply.status == 404:
        absent = f"{path} of app-{slot}: it answers 404; {metrics.WITHOUT_PAGE}"
        raise UnreadableMetrics(absent, "correct services.metrics.path")
    if reply.status != 200:
        raise UnreadableMetrics(f"{path} of app-{slot}: {reply.error or f'it answers {reply.status}'}")
    return reply.body.decode("utf-8", "replace")


def read_log(manifest: Manifest, engine: Engine, windows: LogWindows, *, seconds: float) -> None:
    """Add to `windows` what nginx logged since the last read; raises EngineError."""
    log = engine.access_log(windows.seconds_to_read(seconds, now=time.time()))
    path = manifest.services.health.path
    # Clients request "/" too. Beside the app's page every request of a client counts.
    is_left_out = manifest.services.metrics == "nginx" and path != "/"
    windows.add(log, leave_out=path if is_left_out else "", keep=seconds + 2)


def logged_window(seen: State, slot: Slot, windows: LogWindows, *, seconds: float) -> Counted:
    """Return what nginx logged of the slot in the last `seconds`, or since the slot was started.

    Raises UnreadableMetrics where no log of that time was read.
    """
    there, (host, port) = seen.slots.get(slot), seen.reach(slot)
    # Where an app died and the engine restarted it, the requests before that count too.
    started = there.since or 0.0 if there and not there.has_died else 0.0
    found = windows.of_slot(f"{host}:{port}", seconds=seconds, started=started) if host else None
    if found is None:
        raise UnreadableMetrics(f"nginx's access log does not show what app-{slot} answered", "invoke status")
    return found
