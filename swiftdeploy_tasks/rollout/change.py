"""One change of what runs, for deploy, promote and rollback: its steps, its undo and its ending."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.errors import Held, ManifestError, PreflightError, ProxyError, SwiftDeployError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import SLOTS, Release, Slot
from swiftdeploy_tasks.model.state import State, Traffic
from swiftdeploy_tasks.rollout import (
    applied,
    ending,
    executor,
    former_proxy,
    generation,
    noting,
    observation,
    opa_process,
    recovery,
    release_store,
    scrape_records,
    slot_health,
    undo,
)
from swiftdeploy_tasks.rollout.admission import Part
from swiftdeploy_tasks.rollout.applied import ManifestFile
from swiftdeploy_tasks.rollout.job import Job, write_specs
from swiftdeploy_tasks.rollout.planner import Step, plan
from swiftdeploy_tasks.rollout.release_store import Confirmation
from swiftdeploy_tasks.rollout.serving import confirmed_slot, serving_slot
from swiftdeploy_tasks.session.events import ChangeEnded, Drifted, RolloutHeld, Undone
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.system import reserved_space, signals

# Returns the parts of files that the change may write, None for all.
Ask = Callable[[Run, Job, Iterable[State]], frozenset[Part] | None]


@dataclass(frozen=True)
class Aim:
    """What a verb wants: `release` runs, under the manifest `file`, in the place of what stands `before`.

    `former` is the release that it follows, None for none. `ask` asks the gate about the files that are
    written. `back_to` is the confirmation that a rollback goes back to. `write_mode` rewrites services.mode.
    """

    before: State
    release: Release
    file: ManifestFile
    former: Release | None
    ask: Ask
    back_to: Confirmation | None = None
    write_mode: Callable[[], None] = lambda: None


def execute(run: Run, job: Job, aim: Aim) -> Slot:
    """Reach the aim and confirm its release, or undo the change and raise what failed.

    Returns the slot that serves.
    """
    serving = _apply(run, job, aim)
    problem: SwiftDeployError | OSError | None = None

    def write_mode() -> None:
        nonlocal problem
        try:
            aim.write_mode()
        except (SwiftDeployError, OSError) as error:
            problem = error

    release = aim.release
    with signals.undisturbed():
        # The release serves: where its ending fails, on a full disk, OPA still stays with it.
        opa_process.keep_opa(run)
        ending.confirm(
            run, release, aim.file.content, former=aim.former, back_to=aim.back_to, write_mode=write_mode
        )
        scrape_records.record_scrape(run, job.manifest, job.engine)
        recovery.forget(run.settings)
    if problem:
        raise PreflightError(
            f"version {release.version} ({release.mode}) serves and is confirmed, but"
            f" services.mode could not be rewritten, or a file made from manifest.yaml could not: {problem}",
            f"set services.mode: {release.mode} in manifest.yaml, then: invoke render",
        )
    return serving


def _apply(run: Run, job: Job, aim: Aim) -> Slot:
    """Execute the steps to the aim and return what serves; undo them and raise when something fails."""
    before, release = aim.before, aim.release
    began = time.monotonic()
    serving: Slot | None = None
    drifted = noting.drift(run, before)
    registry.record(run.settings, job.engine.name)
    steps = _admitted_steps(run, job, aim)
    target = recovery.Target(run.task, release.id, release.mode, aim.file.content.decode())
    recovery.note(run.settings, target)
    try:
        job.former = former_proxy.former(job, _in_force(run))
        present = release_store.present(run.settings.releases)
        stays = confirmed_slot(before, present) if job.resumes else serving_slot(before, present)
        job.back = way_back(before, stays)
        drifted += _remove_strangers(job)
        with run.screen.working(f"{run.task}: version {release.version} ({release.mode})"):
            executor.apply(job, steps)
            stands = observation.look(job.engine, run.settings)
            serving = stands.traffic.leader
            if serving is None:
                raise ProxyError("nginx sends traffic to no slot", "invoke deploy")
            was_asked = any(step.action == "verify" for step in steps)
            (slot_health.refuse_sick if was_asked else slot_health.confirm)(job, serving, release)
            write_specs(job, stands)
            if not job.with_opa:
                job.engine.stop(components.OPA)
    except Held as problem:
        opa_process.keep_opa(run)
        recovery.note(run.settings, replace(target, held=True))
        run.emit(RolloutHeld(release=noting.named(release), reason=run.masked(problem.message)))
        raise
    except BaseException as problem:
        # The gate was not asked about the files of an undo, and must not stop it.
        job.admitted = None
        _go_back(run, job, job.back if job.resumes and job.back else before, problem)
        raise
    finally:
        generation.forget_counts(run.settings)
        seconds = round(time.monotonic() - began, 3)
        run.emit(ChangeEnded(spent=job.spent, seconds=seconds, slot=serving or ""))
    if drifted:
        run.emit(Drifted(outcome="mended", difference={"targets": drifted}))
    rest = "" if steps else ": nothing to do"
    if gap := job.spent.get("gap"):
        run.say(f"requests got 503 for {gap:.1f} s: rollout.overlap is false")
    where = f"at {noting.url_of(job.manifest)} from app-{serving}"
    run.say(f"version {release.version} ({release.mode}) serves {where}{rest}", "pass")
    return serving


def _remove_strangers(job: Job) -> tuple[str, ...]:
    """Remove what is labelled as ours and is no component; return the names."""
    strangers = job.engine.observe().strangers
    for name in strangers:
        job.engine.stop(name)
    return strangers


def _admitted_steps(run: Run, job: Job, aim: Aim) -> tuple[Step, ...]:
    """Return the steps after the gate allowed the files that they write.

    When it does not and nothing ran before, what was prepared is removed.
    """
    before = aim.before
    try:
        nginx = components.nginx(job.manifest, job.settings.home)
        job.engine.prepare((nginx, components.app_in(job.manifest, "blue", aim.release)), job.say)
        wanted = executor.goal(job, aim.release, confirmed=release_store.present(run.settings.releases))
        steps = plan(before, wanted)
        job.admitted = aim.ask(run, job, [before, *(step.then for step in steps)])
    except BaseException:
        if before.proxy is None and not before.slots:
            with signals.deferred():
                job.engine.remove_all(job.say)
                registry.forget(run.settings)
        raise
    return steps


def _in_force(run: Run) -> Manifest | None:
    """Return the manifest that what runs was started under; None where no copy of it can be read."""
    try:
        return applied.in_force(run.settings)[0].manifest
    except ManifestError:
        return None


def way_back(before: State, serving: Slot | None) -> State | None:
    """Return the state that an undo goes to: what served before, alone; None where nothing did."""
    if serving is None:
        return None
    return State(before.proxy, {serving: before.slots[serving]}, Traffic({serving: 100}))


def _go_back(run: Run, job: Job, before: State, problem: BaseException) -> None:
    """Undo; an undo that fails is printed and does not hide the first error."""
    noticed, traffic = time.monotonic(), dict[str, str]()
    try:
        with signals.deferred(lambda: run.say("undoing the change first; this takes some seconds")):
            reserved_space.open_for_use(run.settings.state)
            serving = serving_slot(before, release_store.present(run.settings.releases))
            back = undo.undo(job, before, serving, in_force=_in_force(run))
            if back is not None and isinstance(problem, SwiftDeployError):
                others = job.given.union(filter(before.traffic.of, SLOTS)) - {serving}
                noting.way_back(run, before, problem, back - noticed, had_traffic=bool(others))
            elif back is not None:
                traffic = {"traffic": str(Traffic({serving: 100} if serving else {}))}
            if before.proxy is None and not before.slots:
                registry.forget(run.settings)
            recovery.forget(run.settings)
            run.emit(Undone(outcome="done", more=traffic))
    except (SwiftDeployError, OSError) as error:
        run.emit(Undone(outcome="failed", more={"error": run.masked(str(error))}))
        run.say(f"the undo failed too: {run.masked(str(error))}; run: invoke deploy", "fail")
