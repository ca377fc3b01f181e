"""Run the steps of a plan against an engine, each seen in force before the next, and undo on failure.

Stands apart so that every verb changes what runs in one way. It decides neither what is wanted nor
whether it may be: the plan and the gate did.
"""

from __future__ import annotations

import dataclasses
import os
import secrets as tokens
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swiftdeploy_tasks import artifacts, files, probe
from swiftdeploy_tasks.engines.protocol import Engine, Say
from swiftdeploy_tasks.errors import AppUnhealthy, ProxyError
from swiftdeploy_tasks.manifest import Manifest
from swiftdeploy_tasks.plan import Goal, Step, plan
from swiftdeploy_tasks.release import Placement, Proxy, Release, Slot, State, Traffic
from swiftdeploy_tasks.settings import Settings

IN_FORCE_SECONDS = 15.0
CONFIRMATIONS = 5
_PHASES = {"start": "start", "health": "health", "route": "switch", "confirm": "confirm", "remove": "drain"}


@dataclass(frozen=True)
class FormerProxy:
    """The nginx that stood before this change: its applied files and how it was started."""

    files: Mapping[Path, bytes]
    spec: str
    operator_port: int


@dataclass
class Job:
    """One change of what runs: what is asked for, where, and how its course is told and recorded."""

    settings: Settings
    manifest: Manifest
    engine: Engine
    with_opa: bool
    say: Say
    record: Callable[..., object]
    secrets: Mapping[str, str] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    former: FormerProxy | None = None


def look(engine: Engine) -> State:
    """Return what stands on the engine, with the traffic that nginx has loaded and each slot's health."""
    seen = engine.observe()
    port = engine.operator_port()
    loaded = probe.generation(port) if port else None
    slots = {
        slot: dataclasses.replace(there, healthy=_is_healthy(port, slot, there))
        for slot, there in seen.slots.items()
    }
    if seen.proxy is None:
        return State(None, slots, Traffic())
    if loaded is None:
        return State(dataclasses.replace(seen.proxy, live=False), slots, Traffic())
    return State(dataclasses.replace(seen.proxy, config=loaded.config), slots, loaded.traffic)


def goal(job: Job, release: Release, *, confirmed: str) -> Goal:
    """Return the goal that this release runs alone, as the manifest and the place have it."""
    alone = State(None, {"blue": Placement(release, "")}, Traffic())
    text = compose(job, alone)
    config = artifacts.content_digest(render(job, alone)["nginx.conf"])
    proxy = Proxy(job.engine.proxy_spec(job.manifest, text), config)
    wanted = Placement(release, job.engine.slot_spec("blue", text))
    return Goal(proxy, wanted, job.manifest.rollout.steps, confirmed)


def render(job: Job, state: State, generation: str = "") -> dict[str, str]:
    """Return the nginx files as they are applied for this state."""
    facts = job.engine.facts(job.manifest)
    return artifacts.render_nginx(
        job.manifest,
        facts.site,
        folders=job.settings.template_folders,
        addresses={slot: address for slot, address in facts.addresses.items() if slot in state.slots},
        traffic=state.traffic,
        generation=generation,
    )


def apply(job: Job, steps: Iterable[Step]) -> None:
    """Run the steps in order; each is told, recorded and seen in force before the next."""
    for step in steps:
        job.say(f"{step.action} {step.target}: {step.reason}")
        job.record(
            "step",
            action=step.action,
            target=step.target,
            reason=step.reason,
            weights=dict(step.then.traffic.weights),
        )
        began = time.monotonic()
        _DO[step.action](job, step)
        phase = _PHASES.get(step.action, "switch")
        job.spent[phase] = round(job.spent.get(phase, 0.0) + time.monotonic() - began, 3)


def undo(job: Job, before: State) -> None:
    """Bring back what stood `before`: the release that served takes all, what was added is removed.

    Where nothing stood, nothing is left.
    """
    if before.proxy is None and not before.slots:
        job.say("nothing ran before: removing what was started")
        job.engine.remove_all(job.say)
        return
    _restore_proxy(job)
    now = look(job.engine)
    serving = before.traffic.leader
    if now.proxy is None or serving is None or serving not in now.slots:
        for slot in now.slots:
            if slot not in before.slots:
                job.engine.stop_slot(slot)
        return
    served = now.slots[serving]
    back = Goal(now.proxy, served, (100,), served.release.id if served.release else "")
    job.say(f"going back: app-{serving} takes all traffic")
    apply(job, [step for step in plan(now, back) if step.action in {"route", "remove"}])


def _start_proxy(job: Job, step: Step) -> None:
    assert step.then.proxy is not None
    generation = _new_generation(job, step.then)
    job.former = _former(job)
    _write(job, step.then, job.settings.nginx_folder, generation)
    write_compose(job, step.then)
    port = job.manifest.nginx.operator_port
    job.engine.start_proxy(job.manifest.name, step.then.proxy.spec, port)
    if not probe.until(lambda: _loaded(port) == generation.id, seconds=IN_FORCE_SECONDS):
        raise ProxyError(
            f"nginx was started and its operator port {port} does not answer within {IN_FORCE_SECONDS:g} s",
            "invoke validate",
            log=job.engine.logs("nginx"),
        )


def _former(job: Job) -> FormerProxy | None:
    there = job.engine.observe().proxy
    port = job.engine.operator_port()
    if there is None or not port:
        return None
    folder = job.settings.nginx_folder
    paths = (folder / "nginx.conf", folder / "upstream.conf", job.settings.compose_file)
    return FormerProxy({path: path.read_bytes() for path in paths if path.exists()}, there.spec, port)


def _restore_proxy(job: Job) -> None:
    """Start the former nginx again where the one that took its place does not run."""
    if job.former is None or job.engine.operator_port():
        return
    files.replace_all(job.former.files)
    job.engine.start_proxy(job.manifest.name, job.former.spec, job.former.operator_port)


def _route(job: Job, step: Step) -> None:
    """Put the state's traffic in force: tested beside, renamed, reloaded, seen in every worker."""
    folder = job.settings.nginx_folder
    generation = _new_generation(job, step.then)
    _write(job, step.then, folder / "next", generation)
    try:
        job.engine.test_candidate(folder)
        before = {name: (folder / name).read_bytes() for name in ("nginx.conf", "upstream.conf")}
        for name in before:
            (folder / "next" / name).replace(folder / name)
    finally:
        shutil.rmtree(folder / "next", ignore_errors=True)
    old = set(job.engine.workers())
    job.engine.reload_proxy()

    def in_force() -> bool:
        if _loaded(job.engine.operator_port()) != generation.id:
            return False
        serving = {pid for pid, leaving in job.engine.workers().items() if not leaving}
        return bool(serving) and not serving & old

    if not probe.until(in_force, seconds=IN_FORCE_SECONDS):
        for name, text in before.items():
            files.replace(folder / name, text)
        job.engine.reload_proxy()
        raise ProxyError(
            f"nginx did not load the new files within {IN_FORCE_SECONDS:g} s; the old ones were put back",
            "invoke validate",
            log=job.engine.logs("nginx"),
        )


def _start_slot(job: Job, step: Step) -> None:
    slot, release = _target(step)
    job.engine.keep(job.manifest, release)
    write_compose(job, step.then)
    job.engine.start_slot(job.manifest, slot, release, job.secrets)
    _route(job, step)


def _wait_healthy(job: Job, step: Step) -> None:
    slot, release = _target(step)
    limits = release.health
    port = job.manifest.nginx.operator_port
    deadline = time.monotonic() + limits.timeout
    passes, last = 0, "no answer yet"
    while passes < limits.passes:
        if not job.engine.is_alive(slot):
            raise _unhealthy(
                job, slot, release, f"it died before it was healthy {limits.passes} times in a row"
            )
        problem = _difference(probe.health(port, slot, limits.path), release)
        passes = 0 if problem else passes + 1
        last = problem or last
        if time.monotonic() > deadline:
            raise _unhealthy(job, slot, release, f"it was not healthy within {limits.timeout:g} s: {last}")
        if passes < limits.passes:
            time.sleep(limits.interval if passes else min(limits.interval, 0.1))


def _confirm(job: Job, step: Step) -> None:
    """Look again, as a user would: the public port shall answer as the release, several times in a row."""
    slot, release = _target(step)
    path = release.health.path
    hidden = any(path == p or path.startswith((f"{p}/", f"{p};")) for p in job.manifest.nginx.private)
    for _ in range(CONFIRMATIONS):
        reply = probe.ask(job.manifest.nginx.port, "/" if hidden else path)
        ours = reply.headers.get("X-Deployed-By") == "swiftdeploy"
        answered = reply.status is not None and reply.status < 500 if hidden else None
        problem = ("" if answered else _difference(reply, release)) or (
            "" if ours else "the answer did not come through our nginx: X-Deployed-By is missing"
        )
        if problem:
            raise _unhealthy(job, slot, release, f"on the public port {job.manifest.nginx.port}: {problem}")


def _remove(job: Job, step: Step) -> None:
    """Remove a slot once no nginx worker is left that could still send it a request."""
    assert step.slot is not None
    old = (
        {pid for pid, leaving in job.engine.workers().items() if leaving}
        if job.engine.operator_port()
        else set()
    )
    longest = job.manifest.rollout.drain + job.manifest.nginx.proxy_timeout
    probe.until(lambda: not old & set(job.engine.workers()), seconds=longest, every=0.1) if old else None
    job.engine.stop_slot(step.slot)
    write_compose(job, step.then)


_DO: Mapping[str, Callable[[Job, Step], None]] = {
    "start": lambda job, step: (_start_slot if step.slot else _start_proxy)(job, step),
    "recreate": _start_proxy,
    "reload": _route,
    "route": _route,
    "health": _wait_healthy,
    "confirm": _confirm,
    "remove": _remove,
}


def _write(job: Job, state: State, folder: Path, generation: probe.Generation) -> None:
    files.make_folder(folder, mode=0o755)
    for name, text in render(job, state, generation.text).items():
        files.replace(folder / name, text)


def write_compose(job: Job, state: State) -> None:
    """Write the applied compose file with the slots that are occupied in this state."""
    files.replace(job.settings.compose_file, compose(job, state), mode=0o600)


def compose(job: Job, state: State) -> str:
    """Return the compose file as it is applied for this state."""
    placed = {slot: there.release for slot, there in state.slots.items() if there.release}
    own = {f"app-{slot}": release.artifact for slot, release in placed.items()}
    return artifacts.render_compose(
        job.manifest,
        folders=job.settings.template_folders,
        placed=placed,
        with_opa=job.with_opa,
        images={**job.engine.facts(job.manifest).images, **own},
        home=job.settings.home,
    )


def _new_generation(job: Job, state: State) -> probe.Generation:
    config = artifacts.content_digest(render(job, state)["nginx.conf"])
    return probe.Generation(state.traffic, config, f"{os.getpid():x}{tokens.token_hex(4)}")


def _loaded(port: int) -> str:
    found = probe.generation(port)
    return found.id if found else ""


def _is_healthy(port: int, slot: Slot, there: Placement) -> bool | None:
    if not port or there.release is None:
        return None
    return there.live and not _difference(probe.health(port, slot, there.release.health.path), there.release)


def _difference(reply: probe.Reply, release: Release) -> str:
    """Return what an answer on the health path says that the release is not, "" when it is well."""
    if reply.status is None:
        return reply.error
    if reply.status != 200:
        return f"{release.health.path} answers {reply.status}"
    for key, wanted in (("mode", release.mode), ("version", release.version)):
        said = reply.said.get(key, wanted)
        if said != wanted:
            return f"{release.health.path} says {key} {said!r}, and the release's is {wanted!r}"
    return ""


def _target(step: Step) -> tuple[Slot, Release]:
    release = step.then.release_of(step.slot)
    assert step.slot is not None and release is not None
    return step.slot, release


def _unhealthy(job: Job, slot: Slot, release: Release, why: str) -> AppUnhealthy:
    return AppUnhealthy(
        f"app-{slot}, version {release.version} ({release.mode}), is not fit to serve: {why}",
        "correct the app or manifest.yaml, then: invoke deploy",
        log=job.engine.logs(f"app-{slot}"),
    )
