"""Puts a state of the traffic in force, and waits until the former one is drained.

After a reload nginx's old workers still answer. Drained: none is left that could send the slot a request, or
that has a connection to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import Slot
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import probe, publication
from swiftdeploy_tasks.proxy.publication import IN_FORCE_SECONDS, loaded_id
from swiftdeploy_tasks.rollout.generation import (
    TICK,
    configuration,
    forget_counts,
    former_configuration,
    start_nginx,
)
from swiftdeploy_tasks.rollout.job import Job, write_specs

DRAIN_POLL = 0.1
DRAIN_SAID_EVERY = 10.0
DRAIN_SAID_AFTER = 3.0


def start_proxy(job: Job, state: State) -> None:
    """Start nginx with this state's traffic, in the place of one that is there; raises ProxyError."""
    new = configuration(job, state)
    publication.write(job.settings.nginx_folder, new)
    write_specs(job, state)
    start_nginx(job.engine, components.nginx(job.manifest, job.settings.home))
    wait_for(job, job.manifest.nginx.operator_port, new.generation)
    _follow_count(job, state, new.generation)


def wait_for(job: Job, port: int, generation: str = "") -> None:
    """Wait until an nginx that was started answers, with this generation; raises ProxyError."""

    def answers() -> bool:
        there = loaded_id(port)
        return there == generation if generation else bool(there)

    if not probe.until(answers, seconds=IN_FORCE_SECONDS):
        raise ProxyError(
            f"nginx was started and its operator port {port} does not answer within {IN_FORCE_SECONDS:g} s",
            "invoke validate",
            log=job.engine.logs(components.NGINX),
        )


def route(job: Job, state: State) -> None:
    """Put the state's traffic in force.

    While the change can be undone, an nginx that starts again meanwhile reads the files of the undo.
    """
    new = configuration(job, state)
    can_undo = job.back is not None and _can_undo(job.back, state)
    if job.back and can_undo:
        job.way_back = former_configuration(job, job.back) or configuration(job, job.back)
    job.engine.publish(new, back=job.way_back if can_undo else None)
    if not can_undo:
        job.way_back = None
    _measure_gap(job, state)
    _follow_count(job, state, new.generation)
    forget_counts(job.settings, but=new.generation)


def _measure_gap(job: Job, state: State) -> None:
    """Add up the seconds in which no release had the traffic that one had before."""
    now = time.monotonic()
    if state.traffic.leader is None:
        job.gap_since = now if job.back else None
    elif job.gap_since is not None:
        job.spent["gap"] = round(job.spent.get("gap", 0.0) + now - job.gap_since, 3)
        job.gap_since = None


def _follow_count(job: Job, state: State, generation: str) -> None:
    """Let the watch read what nginx counts in this state."""
    if state.traffic.counted and job.watch:
        known = job.back.slots if job.back and len(state.slots) > 1 else {}
        new = next((slot for slot in state.slots if slot not in known), None)
        share = state.traffic.of(new) if new else 0
        job.watch.follow(job.settings.counts / f"{generation}.log", share, new)


def _can_undo(back: State, state: State) -> bool:
    """Return whether an undo is possible and needed: its slot is still there, with other traffic."""
    return set(back.slots) <= set(state.slots) and state.traffic != back.traffic


def drain(job: Job, slot: Slot, meanwhile: Callable[[], None]) -> None:
    """Wait until the slot has no open requests or sockets; `meanwhile` is called about every second.

    After rollout.drain seconds no former worker begins a request, but it may stay for a socket to the other
    slot.
    """
    if not job.engine.observe().operator_port:
        return
    old = job.engine.leaving().workers
    called = began = time.monotonic()
    quiet, deadline = began + job.manifest.rollout.drain, began + longest_drain(job.manifest)
    said_at = began + DRAIN_SAID_AFTER
    while old & job.engine.leaving().workers and time.monotonic() < deadline:
        time.sleep(DRAIN_POLL)
        if time.monotonic() - called < TICK:
            continue
        meanwhile()
        called = time.monotonic()
        if called < min(said_at, quiet):
            continue
        connections = _connections(job, slot)
        if connections == 0 and called >= quiet:
            return
        if called >= said_at:
            job.say(_waited_for(connections, (deadline if connections != 0 else quiet) - called))
            said_at = called + DRAIN_SAID_EVERY


def _connections(job: Job, slot: Slot) -> int | None:
    """Return how many connections to the slot former workers have; 0 where it died, None for unknown."""
    there = job.engine.observe().slots.get(slot)
    return job.engine.leaving(slot).connections if there and there.live else 0


def longest_drain(manifest: Manifest) -> int:
    """Return after how many seconds a slot is removed although it has open connections.

    Without overlap no release serves meanwhile, so sockets are not waited for.
    """
    if not manifest.rollout.overlap:
        return manifest.rollout.drain
    return max(manifest.rollout.drain + manifest.nginx.longest_timeout, manifest.nginx.sockets)


def _waited_for(connections: int | None, seconds: float) -> str:
    """Return the sentence on what a drain waits for."""
    left = f"{max(1, round(seconds))} s"
    if connections == 0:
        return f"waiting for idle clients of the former configuration, at most {left}"
    many = "" if connections is None else f"{connections} "
    noun = "connection" if connections == 1 else "connections"
    return f"waiting for {many}open {noun} to the old slot; what is left is closed in {left}"
