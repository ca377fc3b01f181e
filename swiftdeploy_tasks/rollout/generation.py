"""A generation of nginx's configuration: made for a state, and looked for in the nginx that runs."""

from __future__ import annotations

import os
import secrets as tokens
import time
from dataclasses import replace

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import EngineError, ProxyError
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.spec import Spec
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import generated_files, probe, publication
from swiftdeploy_tasks.proxy.publication import COMING_BACK_SECONDS, Configuration
from swiftdeploy_tasks.rollout import admission
from swiftdeploy_tasks.rollout.job import Job, render
from swiftdeploy_tasks.settings import Settings

ANSWER_TRIES = 3
TICK = 1.0


def start_nginx(engine: Engine, spec: Spec) -> None:
    """Start nginx on the applied files, in the place of one that is there; raises ProxyError."""
    try:
        engine.start(spec, {})
    except ProxyError:
        raise
    except EngineError as error:
        log = error.log or engine.logs(components.NGINX)
        raise ProxyError(error.message, error.next, log=log) from None


def loaded(engine: Engine) -> probe.Generation | None:
    """Return what nginx has loaded, None where it stays silent: one late answer is none yet."""
    for attempt in range(ANSWER_TRIES):
        port = engine.observe().operator_port
        if port and (found := probe.generation(port)):
            return found
        if attempt < ANSWER_TRIES - 1:
            time.sleep(COMING_BACK_SECONDS / ANSWER_TRIES)
    return None


def runs(engine: Engine) -> bool:
    """Return whether nginx runs, or comes back in a moment by itself."""
    return probe.until(lambda: bool(engine.observe().operator_port), seconds=COMING_BACK_SECONDS, every=0.2)


def refuse_dead_proxy(job: Job) -> None:
    """Raise ProxyError where nginx has died, so that no answer through it is waited for."""
    if not runs(job.engine):
        log = job.engine.logs(components.NGINX)
        raise ProxyError("nginx does not run any more", "invoke deploy", log=log)


def configuration(job: Job, state: State) -> Configuration:
    """Return nginx's files for this state as a new generation; raises PolicyRefused for unasked ones."""
    plain = replace(state, traffic=replace(state.traffic, counted=False))
    digest = generated_files.content_digest(render(job, plain)["nginx.conf"])
    new = probe.Generation(state.traffic, digest, f"{os.getpid():x}{tokens.token_hex(4)}")
    rendered = render(job, state, new.text, generation_id=new.id)
    port = job.manifest.nginx.operator_port
    admission.refuse_unasked(admission.nginx_parts("\n".join(rendered.values()), port), job.admitted)
    return Configuration(new.id, {name: text.encode() for name, text in rendered.items()})


def former_configuration(job: Job, back: State) -> Configuration | None:
    """Return the files that were in force before this change, where they are those of the undo to `back`.

    They are not where nginx was started in another form since, or where other traffic was in force.
    """
    there = job.engine.observe().proxy
    if job.former is None or there is None or there.spec != job.former.digest:
        return None
    folder = job.settings.nginx_folder
    kept = {name: job.former.files.get(folder / name, b"") for name in publication.NAMES}
    texts = [content.decode("utf-8", "replace") for content in kept.values()]
    found = probe.generation_in(texts[-1])
    if not all(map(generated_files.is_whole, texts)) or found is None or found.traffic != back.traffic:
        return None
    return Configuration(found.id, kept, is_tested=True)


def forget_counts(settings: Settings, *, but: str = "") -> None:
    """Remove the files in which nginx counted requests, except that of the generation `but`."""
    for path in settings.counts.glob("*.log*"):
        if path.name.partition(".")[0] != but:
            path.unlink(missing_ok=True)
