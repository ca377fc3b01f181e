"""Puts a state of the traffic in force, and waits until the former one is drained.

After a reload nginx's old workers still answer. In force: the new generation answers and every serving worker
is new. Drained: no worker is left that could send a request to the slot.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import probe
from swiftdeploy_tasks.rollout.generation import (
    IN_FORCE_SECONDS,
    TICK,
    WATCHED,
    files_of,
    forget_counts,
    load,
    loaded_id,
    new_generation,
    put,
    start_nginx,
    write,
    write_way_back,
)
from swiftdeploy_tasks.rollout.job import Job, write_specs
from swiftdeploy_tasks.system import files

DRAIN_POLL = 0.1
DRAIN_SAID_EVERY = 10.0
DRAIN_SAID_AFTER = 3.0


def start_proxy(job: Job, state: State) -> None:
    """Start nginx with this state's traffic, in the place of one that is there; raises ProxyError."""
    generation = new_generation(job, state)
    write(job, state, job.settings.nginx_folder, generation)
    write_specs(job, state)
    port = job.manifest.nginx.operator_port
    start_nginx(job.engine, components.nginx(job.manifest, job.settings.home))
    if not probe.until(lambda: loaded_id(port) == generation.id, seconds=IN_FORCE_SECONDS):
        raise ProxyError(
            f"nginx was started and its operator port {port} does not answer within {IN_FORCE_SECONDS:g} s",
            "invoke validate",
            log=job.engine.logs("nginx"),
        )


def route(job: Job, state: State) -> None:
    """Put the state's traffic in force: tested beside, renamed, reloaded, seen in every worker.

    While the change can be undone, the files on disk are those of the undo: an nginx that starts again
    meanwhile reads them.
    """
    folder = job.settings.nginx_folder
    generation = new_generation(job, state)
    can_undo = job.back is not None and _can_undo(job.back, state)
    if job.back and can_undo:
        write_way_back(job, job.back, generation.id)
    write(job, state, folder / "next", generation)
    try:
        job.engine.test_candidate(folder)
        if can_undo:
            put(folder / "next", folder)
        else:
            before = {path: path.read_bytes() for path in files_of(folder) if path.exists()}
            put(folder / "next", folder)
    finally:
        shutil.rmtree(folder / "next", ignore_errors=True)
    try:
        load(job, generation.id, when_read=lambda: put(folder / "back", folder) if can_undo else None)
    except ProxyError:
        if not can_undo:
            files.replace_all(before)
            job.engine.reload_proxy()
        raise
    finally:
        if can_undo:
            put(folder / "back", folder)
    if not can_undo:
        job.back_id = ""
        (folder / WATCHED).unlink(missing_ok=True)
    _follow_count(job, state, generation.id)
    forget_counts(job.settings, but=generation.id)


def _follow_count(job: Job, state: State, generation: str) -> None:
    """Let the watch read what nginx counts in this state."""
    if state.traffic.counted and job.watch:
        known = job.back.slots if job.back and len(state.slots) > 1 else {}
        new = next((slot for slot in state.slots if slot not in known), None)
        job.watch.follow(job.settings.counts / f"{generation}.log", state.traffic.of(new) if new else 0)


def _can_undo(back: State, state: State) -> bool:
    """Return whether an undo is possible and needed: its slot is still there, with other traffic."""
    return set(back.slots) <= set(state.slots) and state.traffic != back.traffic


def drain(job: Job, meanwhile: Callable[[], None]) -> None:
    """Wait until no worker of a former generation is left; `meanwhile` is called about every second.

    Where one never goes, nginx itself ends it after rollout.drain and proxy_timeout.
    """
    if not job.engine.observe().operator_port:
        return
    old = {pid for pid, leaving in job.engine.workers().items() if leaving}
    deadline = time.monotonic() + job.manifest.rollout.drain + job.manifest.nginx.proxy_timeout
    called = time.monotonic()
    said_at = called + DRAIN_SAID_AFTER
    while old & set(job.engine.workers()) and time.monotonic() < deadline:
        time.sleep(DRAIN_POLL)
        if time.monotonic() - called >= TICK:
            meanwhile()
            called = time.monotonic()
        if time.monotonic() >= said_at:
            job.say(_waited_for(job, deadline - time.monotonic()))
            said_at = time.monotonic() + DRAIN_SAID_EVERY


def _waited_for(job: Job, seconds: float) -> str:
    """Return the sentence on what a drain waits for."""
    many = job.engine.draining(job.manifest.nginx.port)
    what = (
        "open connections"
        if many is None
        else "1 open connection"
        if many == 1
        else f"{many} open connections"
    )
    return f"waiting for {what} of before; nginx ends what is left in {max(1, round(seconds))} s"
