"""What deploy would do, without doing it: steps, images, networks, policies and files, in deploy's order.

`planner` knows nginx and the slots alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from swiftdeploy_tasks.errors import GateUnavailable, PreflightError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import generated_files, root_files
from swiftdeploy_tasks.proxy.generated_files import FileChange
from swiftdeploy_tasks.proxy.probe import Generation
from swiftdeploy_tasks.rollout import (
    executor,
    noting,
    observation,
    policies,
    recovery,
    release_store,
    review,
    slot_data,
)
from swiftdeploy_tasks.rollout.applied import in_mode
from swiftdeploy_tasks.rollout.job import Job, render, written
from swiftdeploy_tasks.rollout.noting import Drift
from swiftdeploy_tasks.rollout.planner import Deed, Goal, Step, plan
from swiftdeploy_tasks.rollout.project import engine_of, job_of, read_file, read_manifest
from swiftdeploy_tasks.rollout.recovery import Settlement
from swiftdeploy_tasks.session.run import Run

_HELD = "the rollout of release {release} is held: deploy or promote takes the next share, rollback goes back"


@dataclass(frozen=True)
class Prospect:
    """What deploy would do: files at the root, what is around, the steps, the applied files.

    `found` is what of it is there because something was changed since it was applied.
    """

    root: tuple[FileChange, ...]
    mends: tuple[Deed, ...]
    steps: tuple[Step, ...]
    applied: tuple[FileChange, ...]
    found: tuple[Drift, ...]
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> int:
        """How many things would change."""
        return sum(len(part) for part in (changed(self.root), self.mends, self.steps, changed(self.applied)))

    @property
    def deeds(self) -> tuple[Deed, ...]:
        """All that would be done, in order."""
        return (*self.mends, *self.steps)

    @property
    def drift(self) -> tuple[Deed, ...]:
        """What differs from the desired state: files first, but for those that follow from steps."""
        own = [change for change in self.applied if change.state == "mended" or not self.steps]
        files = changed((*self.root, *own))
        return (*(Deed("update", change.path.name, change.reason) for change in files), *self.deeds)

    def document(self) -> list[dict[str, str]]:
        """The form of `steps` in docs/ci.md."""
        return [deed.document() for deed in self.deeds]


def prospect(run: Run, seen: State) -> Prospect:
    """Return what deploy would do about what was seen."""
    asked, engine = read_manifest(run), engine_of(run)

    def job_under(manifest: Manifest) -> Job:
        return replace(job_of(run, manifest, engine), known=engine.facts(manifest))

    folder = run.settings.releases
    confirmed, removed = release_store.present(folder), frozenset[str]()
    settled = recovery.foreseen(run.settings, seen, job_under)
    if settled:
        seen, confirmed = settled.then, settled.confirmed
        asked = in_mode(asked, settled.mode) if settled.mode else asked
        if settled.release and settled.target.verb == "rollback":
            removed = release_store.above(folder, settled.release.id)
    held = recovery.held(run.settings)
    going_on = recovery.unchanged(read_file(run), held) if held else None
    job = job_under(going_on.manifest if going_on else asked)
    job.resumes = going_on is not None
    asked = job.manifest
    given = release = engine.release(asked)
    is_removed = release.id in removed or release_store.was_rolled_back(folder, release.id)
    kept = changes_nginx_alone(job, seen, confirmed) if is_removed else None
    release = kept or release
    before = observation.compared(job, seen, release)
    wanted = executor.goal(job, release, confirmed=confirmed)
    if settled and settled.job and before.proxy and any(step.target == "nginx" for step in settled.steps):
        config = executor.goal(settled.job, release, confirmed=confirmed).proxy.config
        before = replace(before, proxy=replace(before.proxy, config=config))
    steps = plan(before, wanted)
    published: tuple[Deed, ...] = ()
    unavailable = ""
    try:
        published = tuple(_policies(job, before))
    except GateUnavailable as error:
        unavailable = error.message
    notes = tuple(_refusals(job, before, steps, is_removed=is_removed and not kept, unavailable=unavailable))
    notes = (*notes, kept_instead(given, kept)) if kept else notes
    notes = (*notes, _HELD.format(release=held.release)) if held else notes
    places = (*_missing(job), *_strangers(seen))
    mends = (*published, *_settling(settled), *places)
    root, applied = _root_files(run, job), _applied_files(job, before, wanted, steps)
    found = (*_edited(root), *noting.drifted(before), *_edited(applied))
    if _is_in_force(run):
        lost = (deed for deed in (*published, *places) if deed.action not in {"build", "pull"})
        found += tuple(Drift(deed.target, "the state", deed.reason) for deed in lost)
    return Prospect(root, mends, steps, applied, found, notes)


def changes_nginx_alone(job: Job, seen: State, confirmed: str) -> Release | None:
    """Return the running release where the rest of the manifest changes nginx and nothing else."""
    running = seen.release_of(seen.traffic.leader)
    if running is None or running.id != confirmed:
        return None
    steps = plan(observation.compared(job, seen, running), executor.goal(job, running, confirmed=confirmed))
    return running if steps and all(step.slot is None for step in steps) else None


def kept_instead(given: Release, kept: Release) -> str:
    """Return the sentence that a removed release stays removed while the nginx settings are changed."""
    return (
        f"release {given.id}, version {given.version}, was last removed by a rollback and needs --again; "
        f"version {kept.version} stays, and only nginx changes"
    )


def _refusals(
    job: Job, before: State, steps: tuple[Step, ...], *, is_removed: bool, unavailable: str
) -> Iterator[str]:
    """Yield why deploy would refuse, in sentences; `unavailable` says why the gate does not answer."""
    if steps and is_removed:
        yield "deploy refuses this release until --again is given: it was last removed by a rollback"
    if unavailable:
        yield f"deploy would be refused: {unavailable}"
    places = job.settings
    try:
        root_files.refuse_foreign(job.manifest.rendered, root=places.root, state=places.state)
    except PreflightError as error:
        yield f"deploy would be refused: {error.message}"
    if loss := slot_data.lost(job, before, steps):
        yield f"deploy would be refused without --discard-volumes: {loss}"


def _edited(files: tuple[FileChange, ...]) -> Iterator[Drift]:
    for change in files:
        if change.state == "mended":
            yield Drift(change.path.name, "the content", "edited by hand")


def _is_in_force(run: Run) -> bool:
    """Return whether the manifest is the one that was deployed last: what differs is then no wish of it."""
    try:
        return run.settings.applied.read_bytes() == read_file(run).content
    except OSError:
        return False


def _settling(settled: Settlement | None) -> Iterator[Deed]:
    if settled:
        yield Deed("recover", settled.target.verb, f"it was interrupted: {settled.ending}")
        yield from settled.steps


def _missing(job: Job) -> Iterator[Deed]:
    for one in job.engine.missing(job.manifest, with_opa=job.with_opa):
        yield Deed(one.action, one.name, one.reason)


def _strangers(seen: State) -> Iterator[Deed]:
    for name in seen.strangers:
        yield Deed("remove", name, "labelled as ours but not a known component")


def _policies(job: Job, seen: State) -> Iterator[Deed]:
    rules = policies.bundle(job.settings, job.manifest)
    if stale := policies.unpublished(job.settings, rules):
        yield Deed("publish", "policies", stale)
    there = seen.policy
    if not job.with_opa:
        if there:
            yield Deed("remove", "opa", "the embedded engine answers")
        return
    if fault := policies.fault(job.manifest, job.engine, there, written(job, seen)):
        yield Deed("recreate" if there else "start", "opa", fault)
    elif not stale and (other := policies.other_revision(rules, job.manifest, job.engine)):
        yield Deed("recreate", "opa", other)


def _root_files(run: Run, job: Job) -> tuple[FileChange, ...]:
    rendered = review.render(job.manifest, job.engine, run.settings.template_folders)
    places = run.settings
    try:
        folder = root_files.folder_of(job.manifest.rendered, root=places.root, state=places.state)
    except PreflightError:
        return ()
    foreign = {path.name for path in root_files.foreign_files(folder)}
    return generated_files.compare(
        folder, {name: text for name, text in rendered.items() if name not in foreign}
    )


def _applied_files(job: Job, before: State, wanted: Goal, steps: tuple[Step, ...]) -> tuple[FileChange, ...]:
    """Return how the applied files would differ once the steps are done."""
    last = steps[-1].then if steps else before
    text = Generation(last.traffic, wanted.proxy.config, "next").text
    there = before.proxy
    if there and (there.config, before.traffic) == (wanted.proxy.config, last.traffic):
        text = there.generation
    rendered = render(job, last, text, foreseen=True)
    files = generated_files.compare(job.settings.nginx_folder, rendered)
    return (*files, *generated_files.compare(job.settings.state, written(job, last).files))


def changed(changes: tuple[FileChange, ...]) -> tuple[FileChange, ...]:
    """Return the files that would be written."""
    return tuple(change for change in changes if change.state != "unchanged")
