"""Records what slots measured: scrapes, samples and injected faults."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from itertools import islice
from typing import Any

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import HistoryError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.metrics import Scrape, UnreadableMetrics
from swiftdeploy_tasks.metrics.window import LONGEST
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.rollout import observation, sampling, slot_metrics
from swiftdeploy_tasks.rollout.sampling import Sample
from swiftdeploy_tasks.session.events import FaultInjected, Scraped
from swiftdeploy_tasks.session.run import Run

# How many records are looked through for a scrape: some hours of a dashboard, a part of a second to read.
RECORDS_BACK = 5_000


def record_chaos(run: Run, slot: Slot, release: Release, earlier: Scrape | None, now: Scrape) -> None:
    """Record a fault that the app began, or ceased, to inject since it was scraped before."""
    if outcome := sampling.turned(earlier, now):
        kind = now.chaos if outcome == "seen" else earlier.chaos if earlier else None
        run.emit(FaultInjected(outcome=outcome, slot=slot, release=release.id, kind=kind))


def record_scrape(run: Run, asked: Manifest, engine: Engine) -> None:
    """End a successful verb by recording what each slot has counted so far."""
    seen = observation.look(engine, run.settings)
    if seen.traffic.leader:
        nothing = sampling.Memory(recall=lambda slot, release: ())
        look = sampling.Look(asked, engine, seen, seconds=ROLLBACK_WINDOW)
        record_samples(run, sampling.take(look, nothing))


def tell_metrics(run: Run, asked: Manifest, engine: Engine, slot: Slot) -> None:
    """Say what later changes can judge by the metrics of what was deployed first."""
    try:
        run.say(f"metrics  {slot_metrics.outlook(asked, engine.observe().operator_port, slot)}")
    except UnreadableMetrics as error:
        text = f"metrics  {error.message}; the next deploy or promote is refused; {error.next}"
        run.say(run.masked(text), "warn")


def record_samples(run: Run, samples: Mapping[Slot, Sample | None], **more: Any) -> None:
    """Record what was seen of the slots, with `more`."""
    samples = {
        slot: sample and dataclasses.replace(sample, problem=run.masked(sample.problem))
        for slot, sample in samples.items()
    }
    unread = any(sample and sample.problem for sample in samples.values())
    fields = {**sampling.records(samples), **more}
    run.emit(Scraped(outcome="failed" if unread else "done", samples=fields))


def scrapes_of(run: Run, slot: Slot, release: Release, *, seconds: float) -> list[Scrape]:
    """Return the recorded scrapes of this release in this slot that a window of `seconds` may start from.

    Oldest first, and only those that the history's head proves and our own append wrote: a line that another
    program added to the file starts no window. Where there is none, a window is waited for.
    """
    found: list[Scrape] = []
    long_ago = time.time() - LONGEST * seconds
    with suppress(HistoryError), closing(run.history.proven()) as newest:
        for record in islice(newest, RECORDS_BACK):
            if scrape := sampling.recorded(record, slot, release.id):
                found.append(scrape)
            # What is older can only be the start of a longer idle time, and the youngest of those is enough.
            if found and found[-1].time < long_ago:
                break
    return found[::-1]


ROLLBACK_WINDOW = 1.0
