"""Puts a state of the traffic in force, and waits until the former one is drained.

After a reload nginx's old workers still answer. In force: the new generation answers and every serving worker
is new. Drained: no worker is left that could send a request to the slot.
"""

from __future__ import annotations

import os
import secrets as tokens
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import State
from swiftdeploy_tasks.proxy import generated_files, probe
from swiftdeploy_tasks.rollout import admission
from swiftdeploy_tasks.rollout.job import FormerProxy, Job, compose, render, write_compose
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import files

# A reload takes a part of a second, but on a busy host.
IN_FORCE_SECONDS = 90.0
ANSWER_TRIES = 3
COMING_BACK_SECONDS = 1.5  # the Docker Engine starts an nginx that has died again
DRAIN_POLL = 0.1
DRAIN_SAID_EVERY = 10.0
DRAIN_SAID_AFTER = 3.0
# Beside the applied nginx files: the id of the generation in force while those on disk are of the undo.
WATCHED = "watched"
TICK = 1.0


def loaded(engine: Engine) -> probe.Generation | None:
    """Return what nginx has loaded, None where it stays silent: one late answer is none yet."""
    for attempt in range(ANSWER_TRIES):
        port = engine.operator_port()
        if port and (found := probe.generation(port)):
            return found
        if attempt < ANSWER_TRIES - 1:
            time.sleep(COMING_BACK_SECONDS / ANSWER_TRIES)
    return None


def runs(engine: Engine) -> bool:
    """Return whether nginx runs, or comes back in a moment by itself."""
    return probe.until(lambda: bool(engine.operator_port()), seconds=COMING_BACK_SECONDS, every=0.2)


def refuse_dead_proxy(job: Job) -> None:
    """Raise ProxyError where nginx has died, so that no answer through it is waited for."""
    if not runs(job.engine):
        raise ProxyError("nginx does not run any more", "invoke deploy", log=job.engine.logs("nginx"))


def start_proxy(job: Job, state: State, spec: str) -> None:
    """Start nginx with this state's traffic, in the place of one that is there; raises ProxyError."""
    generation = _new_generation(job, state)
    _write(job, state, job.settings.nginx_folder, generation)
    write_compose(job, state)
    port = job.manifest.nginx.operator_port
    job.engine.start_proxy(job.manifest.name, spec, port)
    if not probe.until(lambda: _loaded(port) == generation.id, seconds=IN_FORCE_SECONDS):
        raise ProxyError(
            f"nginx was started and its operator port {port} does not answer within {IN_FORCE_SECONDS:g} s",
            "invoke validate",
            log=job.engine.logs("nginx"),
        )


def former(job: Job, in_force: Manifest | None) -> FormerProxy | None:
    """Return the nginx that runs, with all that it takes to start it again; None where none runs.

    Its compose file is rendered from the manifest in force: the one on disk may have the new one already.
    """
    there = job.engine.observe().proxy
    port = job.engine.operator_port()
    if there is None or not port:
        return None
    folder = job.settings.nginx_folder
    paths = (*_files(folder), job.settings.compose_file)
    kept = {path: path.read_bytes() for path in paths if path.exists()}
    if in_force:
        text = compose(replace(job, manifest=in_force), job.engine.observe())
        kept[job.settings.compose_file] = text.encode()
    return FormerProxy(kept, there.spec, port)


def restore_proxy(job: Job) -> None:
    """Start the nginx that ran before this change again where none runs now."""
    if job.former is None or runs(job.engine):
        return
    job.say("starting nginx again")
    files.replace_all(job.former.files)
    was = _former_generation(job)
    job.back_id = was.id if was and job.back and was.traffic == job.back.traffic else ""
    job.engine.start_proxy(job.manifest.name, job.former.spec, job.former.operator_port)


def route(job: Job, state: State) -> None:
    """Put the state's traffic in force: tested beside, renamed, reloaded, seen in every worker.

    While the change can be undone, the files on disk are those of the undo: an nginx that starts again
    meanwhile reads them.
    """
    folder = job.settings.nginx_folder
    generation = _new_generation(job, state)
    can_undo = job.back is not None and _can_undo(job.back, state)
    if job.back and can_undo:
        _write_back(job, job.back, generation.id)
    _write(job, state, folder / "next", generation)
    try:
        job.engine.test_candidate(folder)
        if can_undo:
            put(folder / "next", folder)
        else:
            before = {path: path.read_bytes() for path in _files(folder) if path.exists()}
            put(folder / "next", folder)
    finally:
        shutil.rmtree(folder / "next", ignore_errors=True)
    try:
        _load(job, generation.id, when_read=lambda: put(folder / "back", folder) if can_undo else None)
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


def _write_back(job: Job, back: State, generation: str) -> None:
    """Write the files of an undo beside the others, before `generation` is put in force."""
    folder = job.settings.nginx_folder
    if kept := _kept_files(job, back):
        job.back_id, contents = kept
        files.make_folder(folder / "back", mode=0o755)
        files.replace_all({folder / "back" / path.name: content for path, content in contents.items()})
    else:
        undone = _new_generation(job, back)
        _write(job, back, folder / "back", undone)
        job.back_id = undone.id
    files.replace(folder / WATCHED, generation)


def _kept_files(job: Job, back: State) -> tuple[str, Mapping[Path, bytes]] | None:
    """Return the files that were in force before this change and their generation, where they are the undo.

    They are not where nginx was started in another form since, or where other traffic was in force.
    """
    there = job.engine.observe().proxy
    if job.former is None or there is None or there.spec != job.former.spec:
        return None
    paths = _files(job.settings.nginx_folder)
    contents = {path: job.former.files[path] for path in paths if path in job.former.files}
    texts = [content.decode("utf-8", "replace") for content in contents.values()]
    if len(texts) < len(paths) or not all(map(generated_files.is_whole, texts)):
        return None
    found = probe.generation_in(texts[-1])
    return (found.id, contents) if found and found.traffic == back.traffic else None


def _follow_count(job: Job, state: State, generation: str) -> None:
    """Let the watch read what nginx counts in this state."""
    if state.traffic.counted and job.watch:
        known = job.back.slots if job.back and len(state.slots) > 1 else {}
        new = next((slot for slot in state.slots if slot not in known), None)
        job.watch.follow(job.settings.counts / f"{generation}.log", state.traffic.of(new) if new else 0)


def go_back(job: Job, whole: State) -> None:
    """Undo the change of traffic: by a reload of the files that lie on disk, else by writing `whole`.

    An nginx that this change started in another form is replaced by one in the form that it had.
    """
    if _restart_former(job):
        return
    if not job.back_id and job.back and _kept_files(job, job.back):
        _write_back(job, job.back, "")
    if not job.back_id:
        route(job, whole)
        return
    folder = job.settings.nginx_folder
    put(folder / "back", folder)
    try:
        # An nginx that started again has read these files already.
        if _loaded(job.engine.operator_port()) != job.back_id:
            _load(job, job.back_id)
    except ProxyError as error:
        job.say(f"{error.message}; writing the configuration again")
        route(job, whole)
        return
    (folder / WATCHED).unlink(missing_ok=True)
    forget_counts(job.settings)


def is_former(job: Job) -> bool:
    """Return whether nginx runs in the form, and has loaded the settings, from before this change."""
    there = job.engine.observe().proxy
    if job.former is None or there is None:
        return True
    was = _former_generation(job)
    now = probe.generation(job.former.operator_port) if there.spec == job.former.spec else None
    return was is not None and now is not None and now.config == was.config


def _former_generation(job: Job) -> probe.Generation | None:
    """Return the generation of the nginx that ran before this change, None where its files do not tell."""
    _, upstream = _files(job.settings.nginx_folder)
    content = job.former.files.get(upstream, b"") if job.former else b""
    return probe.generation_in(content.decode("utf-8", "replace"))


def _restart_former(job: Job) -> bool:
    """Restart nginx in its form before this change; False where its form did not change."""
    there = job.engine.observe().proxy
    if job.former is None or there is None or there.spec == job.former.spec:
        return False
    job.say("starting nginx as it was before; open connections are cut")
    files.replace_all(job.former.files)
    job.engine.start_proxy(job.manifest.name, job.former.spec, job.former.operator_port)
    port = job.former.operator_port
    if not probe.until(lambda: bool(_loaded(port)), seconds=IN_FORCE_SECONDS):
        raise ProxyError(
            f"nginx was started and its operator port {port} does not answer within {IN_FORCE_SECONDS:g} s",
            "invoke validate",
            log=job.engine.logs("nginx"),
        )
    (job.settings.nginx_folder / WATCHED).unlink(missing_ok=True)
    forget_counts(job.settings)
    return True


def put(source: Path, folder: Path) -> None:
    """Rename the files that nginx reads from `source` into `folder`; one that was renamed already is left."""
    for path in _files(source):
        with suppress(FileNotFoundError):
            path.replace(folder / path.name)


def forget_counts(settings: Settings, *, but: str = "") -> None:
    """Remove the files in which nginx counted requests, except that of the generation `but`."""
    for path in settings.counts.glob("*.log*"):
        if path.name.partition(".")[0] != but:
            path.unlink(missing_ok=True)


def _can_undo(back: State, state: State) -> bool:
    """Return whether an undo is possible and needed: its slot is still there, with other traffic."""
    return set(back.slots) <= set(state.slots) and state.traffic != back.traffic


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / "nginx.conf", folder / "upstream.conf"


def _load(job: Job, generation: str, *, when_read: Callable[[], None] = lambda: None) -> None:
    """Reload nginx and wait until every worker that serves has this generation; raises ProxyError.

    `when_read` is called, once or more, when nginx has read its files: other ones may lie there from then on.
    """
    old = set(job.engine.workers())
    job.engine.reload_proxy()

    def loaded_by_all() -> bool:
        port = job.engine.operator_port()
        if _loaded(port) != generation:
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


def drain(job: Job, meanwhile: Callable[[], None]) -> None:
    """Wait until no worker of a former generation is left; `meanwhile` is called about every second.

    Where one never goes, nginx itself ends it after rollout.drain and proxy_timeout.
    """
    if not job.engine.operator_port():
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


def _write(job: Job, state: State, folder: Path, generation: probe.Generation) -> None:
    rendered = render(job, state, generation.text, generation_id=generation.id)
    port = job.manifest.nginx.operator_port
    admission.refuse_unasked(admission.nginx_parts("\n".join(rendered.values()), port), job.admitted)
    files.make_folder(folder, mode=0o755)
    files.replace_all({folder / name: content for name, content in rendered.items()})


def _new_generation(job: Job, state: State) -> probe.Generation:
    plain = replace(state, traffic=replace(state.traffic, counted=False))
    config = generated_files.content_digest(render(job, plain)["nginx.conf"])
    return probe.Generation(state.traffic, config, f"{os.getpid():x}{tokens.token_hex(4)}")


def _loaded(port: int) -> str:
    found = probe.generation(port)
    return found.id if found else ""
