"""One generation of nginx's configuration: written, loaded by nginx, and waited for until in force."""

from __future__ import annotations

import os
import secrets as tokens
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import EngineError, ProxyError
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.spec import Spec
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import generated_files, probe
from swiftdeploy_tasks.rollout import admission
from swiftdeploy_tasks.rollout.job import Job, render
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import files

# A reload takes a part of a second, but on a busy host.
IN_FORCE_SECONDS = 90.0


ANSWER_TRIES = 3


COMING_BACK_SECONDS = 1.5  # the Docker Engine starts an nginx that has died again


# Beside the applied nginx files: the id of the generation in force while those on disk are of the undo.
WATCHED = "watched"


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
        raise ProxyError("nginx does not run any more", "invoke deploy", log=job.engine.logs("nginx"))


def write_way_back(job: Job, back: State, generation: str) -> None:
    """Write the files of an undo beside the others, before `generation` is put in force."""
    folder = job.settings.nginx_folder
    if kept := kept_files(job, back):
        job.back_id, contents = kept
        files.make_folder(folder / "back", mode=0o755)
        files.replace_all({folder / "back" / path.name: content for path, content in contents.items()})
    else:
        undone = new_generation(job, back)
        write(job, back, folder / "back", undone)
        job.back_id = undone.id
    files.replace(folder / WATCHED, generation)


def kept_files(job: Job, back: State) -> tuple[str, Mapping[Path, bytes]] | None:
    """Return the files that were in force before this change and their generation, where they are the undo.

    They are not where nginx was started in another form since, or where other traffic was in force.
    """
    there = job.engine.observe().proxy
    if job.former is None or there is None or there.spec != job.former.digest:
        return None
    paths = files_of(job.settings.nginx_folder)
    contents = {path: job.former.files[path] for path in paths if path in job.former.files}
    texts = [content.decode("utf-8", "replace") for content in contents.values()]
    if len(texts) < len(paths) or not all(map(generated_files.is_whole, texts)):
        return None
    found = probe.generation_in(texts[-1])
    return (found.id, contents) if found and found.traffic == back.traffic else None


def put(source: Path, folder: Path) -> None:
    """Rename the files that nginx reads from `source` into `folder`; one that was renamed already is left."""
    for path in files_of(source):
        with suppress(FileNotFoundError):
            path.replace(folder / path.name)


def forget_counts(settings: Settings, *, but: str = "") -> None:
    """Remove the files in which nginx counted requests, except that of the generation `but`."""
    for path in settings.counts.glob("*.log*"):
        if path.name.partition(".")[0] != but:
            path.unlink(missing_ok=True)


def files_of(folder: Path) -> tuple[Path, Path]:
    """Return the paths of nginx.conf and upstream.conf in the folder."""
    return folder / "nginx.conf", folder / "upstream.conf"


def load(job: Job, generation: str, *, when_read: Callable[[], None] = lambda: None) -> None:
    """Reload nginx and wait until every worker that serves has this generation; raises ProxyError.

    `when_read` is called, once or more, when nginx has read its files: other ones may lie there from then on.
    """
    old = set(job.engine.workers())
    job.engine.reload_proxy()

    def loaded_by_all() -> bool:
        port = job.engine.observe().operator_port
        if loaded_id(port) != generation:
            if not port:
                refuse_dead_proxy(job)
            return False
        when_read()
        serving = {pid for pid, leaving in job.engine.workers().items() if not leaving}
        return bool(serving) and not serving & old

    if not probe.until(loaded_by_all, seconds=IN_FORCE_SECONDS):
        raise ProxyError(
            f"nginx did not load generation {generation} within {IN_FORCE_SECONDS:g} s",
            "invoke validate",
            log=job.engine.logs("nginx"),
        )


def write(job: Job, state: State, folder: Path, generation: probe.Generation) -> None:
    """Write the configuration of this state into the folder, as this generation."""
    rendered = render(job, state, generation.text, generation_id=generation.id)
    port = job.manifest.nginx.operator_port
    admission.refuse_unasked(admission.nginx_parts("\n".join(rendered.values()), port), job.admitted)
    files.make_folder(folder, mode=0o755)
    files.replace_all({folder / name: content for name, content in rendered.items()})


def new_generation(job: Job, state: State) -> probe.Generation:
    """Return a new generation for this state, with the digest of its nginx.conf."""
    plain = replace(state, traffic=replace(state.traffic, counted=False))
    config = generated_files.content_digest(render(job, plain)["nginx.conf"])
    return probe.Generation(state.traffic, config, f"{os.getpid():x}{tokens.token_hex(4)}")


def loaded_id(port: int) -> str:
    """Return the id of the generation that answers on the operator port, "" for none."""
    found = probe.generation(port)
    return found.id if found else ""
