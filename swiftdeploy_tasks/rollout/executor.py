"""Executes the steps of a plan on an engine, waits until each is in force, and undoes on failure."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import AppUnhealthy, EngineError
from swiftdeploy_tasks.model.release import Difference, Placement, Proxy, Release, Slot, State, Traffic
from swiftdeploy_tasks.proxy import generated_files, health, probe
from swiftdeploy_tasks.proxy.private_paths import is_private
from swiftdeploy_tasks.rollout import traffic
from swiftdeploy_tasks.rollout.job import Job, Watch, compose, render, write_compose
from swiftdeploy_tasks.rollout.planner import Goal, Step
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import environ, files

CONFIRMATIONS = 5
# How long an answer that is late or wrong is followed by further ones.
CONFIRM_SECONDS = 5.0
LATE_SECONDS = 2.0
LATE_TRIES = 3
# How often health.timeout a rollback waits for a release that only answers late.
ROLLBACK_PATIENCE = 3
# How long to wait for a first request where none came before the switch.
FIRST_REQUEST_SECONDS = 0.3
# How long an undo waits for an engine that restarts: a daemon with many containers restarts slowly.
ENGINE_SECONDS = 120.0
_PHASES = {
    "start": "start",
    "health": "health",
    "hold": "gate",
    "confirm": "confirm",
    "drain": "drain",
    "remove": "remove",
}


def boundary(name: str) -> None:
    """Stand between two effects, by name: tests put a function here that kills the process."""


def look(engine: Engine, settings: Settings) -> State:
    """Return what stands on the engine, with the traffic that nginx has loaded and each slot's health.

    Where the applied files are not those that nginx has loaded, its configuration counts as unknown. One
    that stays silent is told from one that is late; the slots are then asked past it.
    """
    seen = engine.observe()
    loaded = traffic.loaded(engine) if seen.proxy else None
    port = engine.operator_port() if loaded else 0
    slots = {
        slot: dataclasses.replace(there, healthy=_is_healthy(engine, port, slot, there))
        for slot, there in seen.slots.items()
    }
    if seen.proxy is None:
        return State(None, slots, Traffic())
    if loaded is None:
        return State(dataclasses.replace(seen.proxy, live=False), slots, Traffic())
    config = loaded.config if _is_applied(loaded, settings.nginx_folder) else ""
    proxy = dataclasses.replace(seen.proxy, config=config, generation=loaded.text)
    return State(proxy, slots, loaded.traffic)


def _is_settled(job: Job, wanted: Traffic) -> bool:
    """Return whether this traffic is in force and no other is on its way: a reload may have been told."""
    loaded = probe.generation(job.engine.operator_port())
    return loaded is not None and loaded.traffic == wanted and _is_applied(loaded, job.settings.nginx_folder)


def _is_applied(loaded: probe.Generation, folder: Path) -> bool:
    """Return whether the files on disk are those of this generation, or of the undo of its change."""
    paths = (folder / "nginx.conf", folder / "upstream.conf")
    if not all(map(generated_files.is_intact, paths)):
        return False
    with suppress(OSError):
        if (folder / traffic.WATCHED).read_text(encoding="ascii") == loaded.id:
            return True
    return loaded.id in paths[1].read_text(encoding="utf-8")


def compared(job: Job, seen: State, wanted: Release) -> State:
    """Return what stands, with what was changed about it since it was started.

    A definition that is not the one it was started by is no such change: that is for the plan to see. A
    secret is compared where `wanted` runs and the variable that it comes from is set here.
    """
    text = compose(job, seen)
    found = job.engine.differences(text)
    proxy = seen.proxy
    if proxy and proxy.config and not _knows_the_slots(job, seen, proxy):
        proxy = dataclasses.replace(proxy, config="")
    if proxy and proxy.spec == job.engine.proxy_spec(job.manifest, text):
        proxy = dataclasses.replace(proxy, differences=found.get("nginx", ()))
    slots = {}
    for slot, there in seen.slots.items():
        other = _secrets_changed(job, slot, there) if there.release == wanted else ()
        if there.release and there.spec == job.engine.slot_spec(slot, text):
            other += found.get(f"app-{slot}", ())
        slots[slot] = dataclasses.replace(there, differences=other)
    return State(proxy, slots, seen.traffic)


def _knows_the_slots(job: Job, seen: State, proxy: Proxy) -> bool:
    """Return whether upstream.conf is what these slots call for; nginx.conf is told by its digest."""
    wanted = render(job, seen, proxy.generation)["upstream.conf"]
    (change,) = generated_files.compare(job.settings.nginx_folder, {"upstream.conf": wanted})
    return change.state == "unchanged"


def _secrets_changed(job: Job, slot: Slot, there: Placement) -> tuple[Difference, ...]:
    if there.release is None or not there.release.secrets:
        return ()
    has = job.engine.environment(slot)
    if "MODE" not in has:
        # The process has overwritten its environment: nothing in it can be compared.
        return ()
    return tuple(
        Difference(f"the variable {name}", f"the value of {source}", "another")
        for name, source in there.release.secrets
        if environ.of_caller(source) not in {None, has.get(name)}
    )


def goal(job: Job, release: Release, *, confirmed: str) -> Goal:
    """Return the goal that this release runs alone, as the manifest and the place have it."""
    alone = State(None, {"blue": Placement(release, "")}, Traffic())
    text = compose(job, alone)
    config = generated_files.content_digest(render(job, alone)["nginx.conf"])
    proxy = Proxy(job.engine.proxy_spec(job.manifest, text), config)
    wanted = Placement(release, job.engine.slot_spec("blue", text))
    shares = (100,) if job.at_once else job.manifest.rollout.steps
    return Goal(proxy, wanted, shares, confirmed, watched=not job.at_once)


def apply(job: Job, steps: Iterable[Step]) -> None:
    """Execute the steps in order; each is printed, recorded and in force before the next."""
    for step in steps:
        boundary(f"{step.action} {step.target}")
        job.say(str(step))
        with _recorded(job, step.action, step.target, step.reason, step.then.traffic):
            _DO[step.action](job, step)
    boundary("applied")


@contextmanager
def _recorded(job: Job, action: str, target: str, reason: str, then: Traffic) -> Iterator[None]:
    """Record a step that begins, and how it ended; `then` is the traffic after it."""
    job.record("step", action=action, target=target, reason=reason, weights=dict(then.weights))
    job.given.update(slot for slot, share in then.weights.items() if share)
    began, outcome = time.monotonic(), "failed"
    try:
        yield
        outcome = "done"
    finally:
        seconds = round(time.monotonic() - began, 3)
        phase = _PHASES.get(action, "switch")
        job.spent[phase] = round(job.spent.get(phase, 0.0) + seconds, 3)
        job.record("step", outcome, action=action, target=target, seconds=seconds)


def undo(job: Job, before: State, serving: Slot | None) -> float | None:
    """Bring back what stood `before`: `serving`, who served then, takes all, and what was added is removed.

    Where nothing stood, nothing is left. The traffic moves first, without asking the slot that failed. Where
    who served has died meanwhile there is nothing to go back to, and what took its place stays.
    Returns when (monotonic) the one that served had all traffic again, None where none did.
    """
    job.watch = None
    _wait_for_engine(job)
    if before.proxy is None and not before.slots:
        job.say("nothing ran before: removing what was started")
        job.engine.remove_all(job.say, discard_volumes=not job.given)
        return None
    traffic.restore_proxy(job)
    now = job.engine.observe()
    if serving and not (serving in now.slots and now.slots[serving].live):
        job.say(f"app-{serving}, which served, is gone: what was started keeps the traffic, unconfirmed")
        _keep_what_is_left(job, now)
        return None
    added = [slot for slot, there in now.slots.items() if slot != serving and _is_new(there, before, slot)]
    kept = {slot: there for slot, there in now.slots.items() if slot not in added}
    whole = State(now.proxy, kept, Traffic({serving: 100} if serving else {}))
    if now.proxy and (added or not traffic.is_former(job) or not _is_settled(job, whole.traffic)):
        reason = f"going back: {f'app-{serving}' if serving else 'nobody'} takes all traffic"
        job.say(reason)
        with _recorded(job, "route", "nginx", reason, whole.traffic):
            traffic.go_back(job, whole)
    back = time.monotonic()
    for slot in added:
        reason = "going back: it was added"
        with _recorded(job, "drain", f"app-{slot}", reason, whole.traffic):
            traffic.drain(job, _nothing)
        job.say(f"removing app-{slot}")
        with _recorded(job, "remove", f"app-{slot}", reason, whole.traffic):
            _say_all(job, job.engine.stop_slot(slot, discard_volumes=slot not in job.given))
    _restore_compose(job, before, whole)
    return back if serving else None


def _restore_compose(job: Job, before: State, whole: State) -> None:
    """Write the compose file of what stands again: the one from before the change, where it fits."""
    path = job.settings.compose_file
    if job.former and path in job.former.files and set(before.slots) == set(whole.slots):
        files.replace(path, job.former.files[path], mode=0o600)
    else:
        write_compose(job, whole)


def _keep_what_is_left(job: Job, now: State) -> None:
    """Give all traffic to the slot that still runs: the files on disk are those of one that does not."""
    job.back, job.back_id = None, ""
    left = {slot: there for slot, there in now.slots.items() if there.live}
    if now.proxy and len(left) == 1:
        traffic.route(job, State(now.proxy, left, Traffic(dict.fromkeys(left, 100))))
    write_compose(job, now)


def _wait_for_engine(job: Job) -> None:
    """Wait for an engine that restarts; raises EngineError after ENGINE_SECONDS."""
    deadline = time.monotonic() + ENGINE_SECONDS
    is_announced = False
    while True:
        try:
            job.engine.observe()
            return
        except EngineError:
            if time.monotonic() >= deadline:
                raise
        if not is_announced:
            job.say(f"the engine does not answer: waiting for it, at most {ENGINE_SECONDS:g} s")
            is_announced = True
        time.sleep(traffic.TICK)


def _is_new(there: Placement, before: State, slot: Slot) -> bool:
    """Return whether this is another one than stood in the slot before."""
    former = before.slots.get(slot)
    return former is None or (former.release, former.since) != (there.release, there.since)


def _start_proxy(job: Job, step: Step) -> None:
    assert step.then.proxy is not None
    traffic.start_proxy(job, step.then, step.then.proxy.spec)


def _start_slot(job: Job, step: Step) -> None:
    slot, release = _target(step)
    _say_all(job, job.engine.keep(job.manifest, release))
    write_compose(job, step.then)
    job.engine.start_slot(job.manifest, slot, release, job.secrets)
    traffic.route(job, step.then)


def _wait_healthy(job: Job, step: Step) -> None:
    slot, release = _target(step)
    limits = release.health
    port = job.manifest.nginx.operator_port
    deadline = time.monotonic() + limits.timeout
    latest = deadline + (ROLLBACK_PATIENCE - 1) * limits.timeout * job.at_once
    passes, last, reply = 0, "no answer yet", probe.Reply(None)
    while passes < limits.passes:
        if not job.engine.is_alive(slot):
            raise _unhealthy(
                job, slot, release, f"it died before it was healthy {limits.passes} times in a row"
            )
        seconds = min(job.pace.timeout, max(1.0, deadline - time.monotonic()))
        reply = job.pace.of(probe.health(port, slot, limits, timeout=seconds))
        if reply.status is None:
            traffic.refuse_dead_proxy(job)
        problem = _problem(job, reply, release)
        passes = 0 if problem else passes + 1
        last = problem or last
        if time.monotonic() > (latest if reply.late else deadline):
            last = _unheard(job, slot, reply) or last
            raise _unhealthy(job, slot, release, f"it was not healthy within {limits.timeout:g} s: {last}")
        if passes < limits.passes:
            time.sleep(limits.interval if passes else min(limits.interval, 0.1))


def confirm(job: Job, slot: Slot, release: Release) -> None:
    """Ask the public port, as a user does, until most answers are this release's; raises AppUnhealthy.

    On a slow host answers are late, and further ones decide. Late ones undo no rollback.
    """
    good = bad = late = 0
    deadline = time.monotonic() + CONFIRM_SECONDS
    while good < CONFIRMATIONS or good <= bad:
        reply = _ask_public(job, release)
        problem = _public_problem(job, reply, release)
        if not problem:
            good += 1
            continue
        bad, late = bad + 1, late + reply.late
        if time.monotonic() < deadline or good + bad < CONFIRMATIONS:
            time.sleep(0.3)
            continue
        if good > bad:
            return
        port = job.manifest.nginx.port
        if not (job.at_once and late == bad):
            raise _unhealthy(job, slot, release, f"on the public port {port}: {problem}")
        job.say(f"public port {port}  {bad} of {good + bad} answers are late; the rollback stays")
        return


def _ask_public(job: Job, release: Release) -> probe.Reply:
    loaded = probe.generation(job.manifest.nginx.operator_port)
    headers = {probe.PROBE: loaded.id if loaded else "1"}
    if release.health.host:
        headers["Host"] = release.health.host
    path = "/" if _is_hidden(job, release) else release.health.path
    return job.pace.of(probe.ask(job.manifest.nginx.port, path, timeout=job.pace.timeout, headers=headers))


def _is_hidden(job: Job, release: Release) -> bool:
    return bool(is_private(release.health.path, job.manifest.nginx.private))


def _public_problem(job: Job, reply: probe.Reply, release: Release) -> str:
    """Return what is wrong with an answer of the public port, "" for nothing."""
    is_answered = _is_hidden(job, release) and reply.status is not None and reply.status < 500
    if problem := "" if is_answered else _problem(job, reply, release):
        return problem
    if reply.headers.get("X-Deployed-By") != "swiftdeploy":
        return "the answer did not come through our nginx: X-Deployed-By is missing"
    return ""


def _hold(job: Job, step: Step) -> None:
    """Watch the new slot for one interval; with too few requests, for one more.

    A slot that has all traffic is not watched while no client sends requests.
    """
    if job.watch is None:
        return
    slot, release = _target(step)
    is_alone = step.then.traffic.of(slot) == 100
    if is_alone and not probe.until(job.watch.sees_traffic, seconds=FIRST_REQUEST_SECONDS, every=0.1):
        job.say("no requests come in: nothing to watch")
        return
    job.watch.begin(slot, release)
    for last in (False, True):
        _tick_for(job.watch, job.manifest.rollout.interval)
        _wait_for_answers(job, slot)
        if job.watch.end_step(last=last):
            return
        job.say(f"too few requests in app-{slot} to judge it: watching for another interval")


def _tick_for(watch: Watch, seconds: float) -> None:
    due = time.monotonic()
    ends = due + seconds
    while (left := ends - time.monotonic()) > 0:
        due += traffic.TICK
        time.sleep(max(0.0, min(due - time.monotonic(), left)))
        watch.tick()


def _wait_for_answers(job: Job, slot: Slot) -> None:
    """Watch until the requests of the step are answered, or their time at nginx is over."""
    assert job.watch is not None
    began_by = time.time()
    deadline = time.monotonic() + job.manifest.nginx.proxy_timeout + traffic.TICK
    is_announced = False
    while (waiting := job.watch.waiting(began_by)) and time.monotonic() < deadline:
        if not is_announced:
            left = deadline - time.monotonic()
            job.say(f"app-{slot} has not answered {waiting}: watching on, at most {left:.0f} s")
            is_announced = True
        _tick_for(job.watch, traffic.TICK)


def _drain(job: Job, step: Step) -> None:
    """Let the requests that are on their way to the slot be answered; watch its successor meanwhile.

    The slot goes next, and with it the way back: who serves in its place is looked at once more.
    """
    leader = step.then.traffic.leader
    release = step.then.release_of(leader)
    if leader is None or release is None or leader == step.slot or step.then.slots[leader].healthy is False:
        return traffic.drain(job, _nothing)
    if job.watch:
        job.watch.begin(leader, release)
    traffic.drain(job, job.watch.tick if job.watch else _nothing)
    return refuse_sick(job, leader, release)


def refuse_sick(job: Job, slot: Slot, release: Release) -> None:
    """Raise AppUnhealthy where what serves does not answer its health path; one late answer is none yet.

    It was healthy before: a rollback is not undone by answers that are late.
    """
    if not job.engine.operator_port():
        return
    port = job.manifest.nginx.operator_port
    deadline, tries = time.monotonic() + LATE_SECONDS, 0
    while True:
        reply = job.pace.of(probe.health(port, slot, release.health, timeout=job.pace.timeout))
        problem, tries = _problem(job, reply, release), tries + 1
        if not problem or (job.at_once and reply.late):
            return
        if time.monotonic() >= deadline and tries >= LATE_TRIES:
            raise _unhealthy(job, slot, release, f"it fell ill after it had taken over: {problem}")
        time.sleep(0.3)


def _remove(job: Job, step: Step) -> None:
    assert step.slot is not None
    _say_all(job, job.engine.stop_slot(step.slot, discard_volumes=job.discard_volumes))
    write_compose(job, step.then)


def _say_all(job: Job, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        job.say(sentence)


def _is_healthy(engine: Engine, port: int, slot: Slot, there: Placement) -> bool | None:
    """Return what its health path says: through the operator port, or without one (0) past nginx.

    None where it cannot be asked: this host need not reach a container.
    """
    if there.release is None:
        return None
    limits, pace = there.release.health, probe.Pace()
    host, own = (probe.HOST, port) if port else engine.reach(slot)
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


def _problem(job: Job, reply: probe.Reply, release: Release) -> str:
    """See `health.problem`: what it quotes is without the secrets of this job."""
    return health.problem(reply, release, secrets=job.secrets.values())


def _unheard(job: Job, slot: Slot, reply: probe.Reply) -> str:
    """Return why nginx cannot connect to the app, "" where it can or that cannot be seen."""
    host, port = job.engine.reach(slot)
    if reply.status != 502 or not port:
        return ""
    loopback = host == probe.HOST
    return health.where_it_listens(port, job.engine.listening(slot), loopback=loopback)


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


def _nothing() -> None:
    """There is no slot to watch."""


_DO: Mapping[str, Callable[[Job, Step], None]] = {
    "start": lambda job, step: _start_slot(job, step) if step.slot else _start_proxy(job, step),
    "recreate": _start_proxy,
    "reload": lambda job, step: traffic.route(job, step.then),
    "route": lambda job, step: traffic.route(job, step.then),
    "health": _wait_healthy,
    "confirm": lambda job, step: confirm(job, *_target(step)),
    "hold": _hold,
    "drain": _drain,
    "remove": _remove,
}
