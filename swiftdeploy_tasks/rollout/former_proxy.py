"""The nginx from before a change: its files are kept, and an undo restores it and its traffic."""

from __future__ import annotations

from dataclasses import replace

from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import probe
from swiftdeploy_tasks.rollout.generation import (
    IN_FORCE_SECONDS,
    WATCHED,
    files_of,
    forget_counts,
    kept_files,
    load,
    loaded_id,
    put,
    runs,
    write_way_back,
)
from swiftdeploy_tasks.rollout.job import FormerProxy, Job, compose
from swiftdeploy_tasks.rollout.traffic import route
from swiftdeploy_tasks.system import files


def former(job: Job, in_force: Manifest | None) -> FormerProxy | None:
    """Return the nginx that runs, with all that it takes to start it again; None where none runs.

    Its compose file is rendered from the manifest in force: the one on disk may have the new one already.
    """
    there = job.engine.observe().proxy
    port = job.engine.operator_port()
    if there is None or not port:
        return None
    folder = job.settings.nginx_folder
    paths = (*files_of(folder), job.settings.compose_file)
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


def go_back(job: Job, whole: State) -> None:
    """Undo the change of traffic: by a reload of the files that lie on disk, else by writing `whole`.

    An nginx that this change started in another form is replaced by one in the form that it had.
    """
    if _restart_former(job):
        return
    if not job.back_id and job.back and kept_files(job, job.back):
        write_way_back(job, job.back, "")
    if not job.back_id:
        route(job, whole)
        return
    folder = job.settings.nginx_folder
    put(folder / "back", folder)
    try:
        # An nginx that started again has read these files already.
        if loaded_id(job.engine.operator_port()) != job.back_id:
            load(job, job.back_id)
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
    """Return the generation of the nginx that ran before this change, None where its files do not show it."""
    _, upstream = files_of(job.settings.nginx_folder)
    content = job.former.files.get(upstream, b"") if job.former else b""
    return probe.generation_in(content.decode("utf-8", "replace"))


def _restart_former(job: Job) -> bool:
    """Restart nginx in its form before this change; False where its form did not change."""
    there = job.engine.observe().proxy
    if job.former is None or there is None or there.spec == job.former.spec:
        return False
    job.say("starting nginx with its former definition; open connections are cut")
    files.replace_all(job.former.files)
    job.engine.start_proxy(job.manifest.name, job.former.spec, job.former.operator_port)
    port = job.former.operator_port
    if not probe.until(lambda: bool(loaded_id(port)), seconds=IN_FORCE_SECONDS):
        raise ProxyError(
            f"nginx was started and its operator port {port} does not answer within {IN_FORCE_SECONDS:g} s",
            "invoke validate",
            log=job.engine.logs("nginx"),
        )
    (job.settings.nginx_folder / WATCHED).unlink(missing_ok=True)
    forget_counts(job.settings)
    return True
