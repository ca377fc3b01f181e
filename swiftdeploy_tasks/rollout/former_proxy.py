"""The nginx from before a change: its files are kept, and an undo restores it and its traffic."""

from __future__ import annotations

from dataclasses import replace

from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
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
    start_nginx,
    write_way_back,
)
from swiftdeploy_tasks.rollout.job import FormerProxy, Job, written
from swiftdeploy_tasks.rollout.traffic import route
from swiftdeploy_tasks.system import files


def former(job: Job, in_force: Manifest | None) -> FormerProxy | None:
    """Return the nginx that runs, with all that it takes to start it again; None where none runs.

    Its Spec is that of the manifest in force: the one on disk may be the new one already.
    """
    seen = job.engine.observe()
    there = seen.proxy
    if there is None or not there.operator_port:
        return None
    kept = {path: path.read_bytes() for path in files_of(job.settings.nginx_folder) if path.exists()}
    was = replace(job, manifest=in_force or job.manifest)
    files_then = written(was, seen).files
    kept |= {job.settings.state / name: text.encode() for name, text in files_then.items()}
    spec = components.nginx(was.manifest, job.settings.home)
    return FormerProxy(kept, spec, there.spec, there.operator_port)


def restore_proxy(job: Job) -> None:
    """Start the nginx that ran before this change again where none runs now."""
    if job.former is None or runs(job.engine):
        return
    job.say("starting nginx again")
    files.replace_all(job.former.files)
    was = _former_generation(job)
    job.back_id = was.id if was and job.back and was.traffic == job.back.traffic else ""
    start_nginx(job.engine, job.former.spec)


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
        if loaded_id(job.engine.observe().operator_port) != job.back_id:
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
    now = probe.generation(job.former.operator_port) if there.spec == job.former.digest else None
    return was is not None and now is not None and now.config == was.config


def _former_generation(job: Job) -> probe.Generation | None:
    """Return the generation of the nginx that ran before this change, None where its files do not show it."""
    _, upstream = files_of(job.settings.nginx_folder)
    content = job.former.files.get(upstream, b"") if job.former else b""
    return probe.generation_in(content.decode("utf-8", "replace"))


def _restart_former(job: Job) -> bool:
    """Restart nginx in its form before this change; False where its form did not change."""
    there = job.engine.observe().proxy
    if job.former is None or there is None or there.spec == job.former.digest:
        return False
    job.say("starting nginx with its former definition; open connections are cut")
    files.replace_all(job.former.files)
    start_nginx(job.engine, job.former.spec)
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
