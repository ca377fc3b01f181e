"""The nginx from before a change: its files are kept, and an undo restores it and its traffic."""

from __future__ import annotations

from dataclasses import replace

from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import probe, publication
from swiftdeploy_tasks.rollout.generation import forget_counts, former_configuration, runs, start_nginx
from swiftdeploy_tasks.rollout.job import FormerProxy, Job, written
from swiftdeploy_tasks.rollout.traffic import route, wait_for
from swiftdeploy_tasks.system import files


def former(job: Job, in_force: Manifest | None) -> FormerProxy | None:
    """Return the nginx that runs, with all that it takes to start it again; None where none runs.

    Its Spec is that of the manifest in force: the one on disk may be the new one already.
    """
    seen = job.engine.observe()
    there = seen.proxy
    if there is None or not there.operator_port:
        return None
    folder = job.settings.nginx_folder
    was = replace(job, manifest=in_force or job.manifest)
    kept = {folder / name: content for name, content in publication.read(folder).items()}
    kept |= {job.settings.state / name: text.encode() for name, text in written(was, seen).files.items()}
    spec = components.nginx(was.manifest, job.settings.home)
    return FormerProxy(kept, spec, there.spec, there.operator_port)


def restore_proxy(job: Job) -> None:
    """Start the nginx that ran before this change again where none runs now."""
    if job.former is None or runs(job.engine):
        return
    job.say("starting nginx again")
    files.replace_all(job.former.files)
    start_nginx(job.engine, job.former.spec)
    job.way_back = former_configuration(job, job.back) if job.back else None


def go_back(job: Job, whole: State) -> None:
    """Undo the change of traffic: by the files that were in force before, else by those of `whole`.

    An nginx that this change started in another form is replaced by one in the form that it had.
    """
    if _restart_former(job):
        return
    way_back = job.way_back or (former_configuration(job, job.back) if job.back else None)
    if way_back is None:
        route(job, whole)
        return
    try:
        job.engine.publish(way_back)
    except ProxyError as error:
        job.say(f"{error.message}; writing the configuration again")
        route(job, whole)
        return
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
    upstream = job.settings.nginx_folder / publication.NAMES[-1]
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
    wait_for(job, job.former.operator_port)
    (job.settings.nginx_folder / publication.WATCHED).unlink(missing_ok=True)
    forget_counts(job.settings)
    return True
