"""The observed state: the engine's, with the traffic that nginx has loaded and the health of each slot."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.state import Difference, Placement, Proxy, State, Traffic
from swiftdeploy_tasks.proxy import generated_files, health, probe, publication
from swiftdeploy_tasks.rollout import generation
from swiftdeploy_tasks.rollout.job import Job, render, written
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import environ


def look(engine: Engine, settings: Settings) -> State:
    """Return the engine's state, with the traffic that nginx has loaded and each slot's health.

    When the applied files are not those that nginx has loaded, its configuration counts as unknown. When
    nginx does not answer, the slots are asked directly.
    """
    seen = engine.observe()
    loaded = generation.loaded(engine) if seen.proxy else None
    port = seen.operator_port if loaded else 0
    slots = {
        slot: dataclasses.replace(there, healthy=_is_healthy(port, slot, there))
        for slot, there in seen.slots.items()
    }
    if seen.proxy is None:
        return dataclasses.replace(seen, slots=slots)
    if loaded is None:
        return dataclasses.replace(seen, proxy=dataclasses.replace(seen.proxy, live=False), slots=slots)
    config = loaded.config if _is_applied(loaded, settings.nginx_folder) else ""
    proxy = dataclasses.replace(seen.proxy, config=config, generation=loaded.text)
    return dataclasses.replace(seen, proxy=proxy, slots=slots, traffic=loaded.traffic)


def is_settled(job: Job, wanted: Traffic) -> bool:
    """Return whether this traffic is in force and no reload to another one is pending."""
    loaded = probe.generation(job.engine.observe().operator_port)
    return loaded is not None and loaded.traffic == wanted and _is_applied(loaded, job.settings.nginx_folder)


def _is_applied(loaded: probe.Generation, folder: Path) -> bool:
    """Return whether the files on disk are those of this generation, or of the undo of its change."""
    paths = (folder / "nginx.conf", folder / "upstream.conf")
    if not all(map(generated_files.is_intact, paths)):
        return False
    return _is_watched(loaded.id, folder) or loaded.id in paths[1].read_text(encoding="utf-8")


def _is_watched(generation_id: str, folder: Path) -> bool:
    """Return whether this generation is that of a step that is watched or held, beside the undo's files."""
    with suppress(OSError):
        return (folder / publication.WATCHED).read_text(encoding="ascii") == generation_id
    return False


def compared(job: Job, seen: State, wanted: Release) -> State:
    """Return what stands, with what was changed about it since it was started.

    A definition that is not the one it was started by is no such change: that is for the plan to see. A
    secret is compared where `wanted` runs and the variable that it comes from is set here.
    """
    specs = written(job, seen)
    found, digests = job.engine.differences(specs), specs.digests
    proxy = seen.proxy
    if proxy and proxy.config and not _knows_the_slots(job, seen, proxy):
        proxy = dataclasses.replace(proxy, config="")
    if proxy and proxy.spec == digests[components.NGINX]:
        proxy = dataclasses.replace(proxy, differences=found.get(components.NGINX, ()))
    slots = {}
    for slot, there in seen.slots.items():
        other = _secrets_changed(there) if there.release == wanted else ()
        if there.release and there.spec == digests[components.app(slot)]:
            other += found.get(components.app(slot), ())
        slots[slot] = dataclasses.replace(there, differences=other)
    return dataclasses.replace(seen, proxy=proxy, slots=slots)


def _knows_the_slots(job: Job, seen: State, proxy: Proxy) -> bool:
    """Return whether upstream.conf names these slots; nginx.conf is compared by its digest."""
    if _is_watched(proxy.generation.rpartition("id=")[2], job.settings.nginx_folder):
        return True
    wanted = render(job, seen, proxy.generation)["upstream.conf"]
    (change,) = generated_files.compare(job.settings.nginx_folder, {"upstream.conf": wanted})
    return change.state == "unchanged"


def _secrets_changed(there: Placement) -> tuple[Difference, ...]:
    if there.release is None or not there.release.secrets:
        return ()
    has = there.environment
    if "MODE" not in has:
        # The process has overwritten its environment: nothing in it can be compared.
        return ()
    return tuple(
        Difference(f"the variable {name}", f"the value of {source}", "another")
        for name, source in there.release.secrets
        if environ.of_caller(source) not in {None, has.get(name)}
    )


def _is_healthy(port: int, slot: Slot, there: Placement) -> bool | None:
    """Return what its health path says: through the operator port, or without one (0) past nginx.

    None where it cannot be asked: this host need not reach a container.
    """
    if there.release is None:
        return None
    limits, pace = there.release.health, probe.Pace()
    host, own = (probe.HOST, port) if port else there.reach
    if not host:
        return None

    def ask() -> probe.Reply:
        if port:
            return pace.of(probe.health(port, slot, limits, timeout=pace.timeout))
        headers = {"Host": limits.host} if limits.host else {}
        return pace.of(probe.ask(own, limits.path, host=host, headers=headers, timeout=pace.timeout))

    reply = ask()
    if reply.late and there.live:
        reply = ask()
    if reply.status is None and not port:
        return None
    return there.live and not health.problem(reply, there.release)
