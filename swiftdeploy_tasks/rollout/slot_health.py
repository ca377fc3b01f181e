"""Waits until a slot is healthy, asks the public port, and names what is wrong."""

from __future__ import annotations

import time

from swiftdeploy_tasks.errors import AppUnhealthy
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.proxy import health, probe
from swiftdeploy_tasks.proxy.hosts import host_header
from swiftdeploy_tasks.proxy.private_paths import is_private
from swiftdeploy_tasks.rollout import generation
from swiftdeploy_tasks.rollout.job import Job
from swiftdeploy_tasks.rollout.planner import Step

CONFIRMATIONS = 5


# How long an answer that is late or wrong is followed by further ones.
CONFIRM_SECONDS = 5.0


LATE_SECONDS = 2.0


LATE_TRIES = 3


# How often health.timeout a rollback waits for a release that only answers late.
ROLLBACK_PATIENCE = 3


def wait_healthy(job: Job, step: Step) -> None:
    """Wait until the slot passed its health check so often in a row; raises AppUnhealthy."""
    slot, release = target_of(step)
    limits = release.health
    port = job.manifest.nginx.operator_port
    deadline = time.monotonic() + limits.timeout
    latest = deadline + (ROLLBACK_PATIENCE - 1) * limits.timeout * job.at_once
    passes, last, reply = 0, "no answer yet", probe.Reply(None)
    while passes < limits.passes:
        if not job.engine.observe().is_alive(slot):
            raise _unhealthy(
                job, slot, release, f"it died before it passed {limits.passes} health checks in a row"
            )
        seconds = min(job.pace.timeout, max(1.0, deadline - time.monotonic()))
        reply = job.pace.of(probe.health(port, slot, limits, timeout=seconds))
        if reply.status is None:
            generation.refuse_dead_proxy(job)
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
    if name := host_header(release.health.host, job.manifest.nginx.hosts):
        headers["Host"] = name
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


def refuse_sick(job: Job, slot: Slot, release: Release) -> None:
    """Raise AppUnhealthy where what serves does not answer its health path; one late answer is none yet.

    It was healthy before: a rollback is not undone by answers that are late.
    """
    if not job.engine.observe().operator_port:
        return
    port = job.manifest.nginx.operator_port
    deadline, tries = time.monotonic() + LATE_SECONDS, 0
    while True:
        reply = job.pace.of(probe.health(port, slot, release.health, timeout=job.pace.timeout))
        problem, tries = _problem(job, reply, release), tries + 1
        if not problem or (job.at_once and reply.late):
            return
        if time.monotonic() >= deadline and tries >= LATE_TRIES:
            raise _unhealthy(job, slot, release, f"it became unhealthy after it took over: {problem}")
        time.sleep(0.3)


def _problem(job: Job, reply: probe.Reply, release: Release) -> str:
    """See `health.problem`: what it quotes is without the secrets of this job."""
    return health.problem(reply, release, secrets=job.secrets.values())


def _unheard(job: Job, slot: Slot, reply: probe.Reply) -> str:
    """Return why nginx cannot connect to the app, "" where it can or that cannot be seen."""
    host, port = job.engine.observe().reach(slot)
    if reply.status != 502 or not port:
        return ""
    loopback = host == probe.HOST
    return health.where_it_listens(port, job.engine.inspect(slot).listening, loopback=loopback)


def target_of(step: Step) -> tuple[Slot, Release]:
    """Return the slot of the step and the release that runs in it after the step."""
    release = step.then.release_of(step.slot)
    assert step.slot is not None and release is not None
    return step.slot, release


def _unhealthy(job: Job, slot: Slot, release: Release, why: str) -> AppUnhealthy:
    return AppUnhealthy(
        f"app-{slot}, version {release.version} ({release.mode}), cannot serve: {why}",
        "correct the app or manifest.yaml, then: invoke deploy",
        log=job.engine.logs(f"app-{slot}"),
    )
