"""Finds what a killed verb was doing, and confirms its release or goes back.

The target is noted before anything moves and removed when the verb has ended; one that is still there was cut
off.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.errors import AppUnhealthy, EngineError, ManifestError
from swiftdeploy_tasks.manifest import edit
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.state import Placement, Proxy, State
from swiftdeploy_tasks.rollout import applied, ending, executor, observation, release_store, write_back
from swiftdeploy_tasks.rollout.applied import ManifestFile
from swiftdeploy_tasks.rollout.job import Job
from swiftdeploy_tasks.rollout.planner import Goal, Step, plan
from swiftdeploy_tasks.rollout.project import forget_engine, forget_manifest, job_of, quiet, refuse_another
from swiftdeploy_tasks.session.events import Recovered, Settling
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import files


@dataclass(frozen=True)
class Target:
    """What a verb set out for: the verb, the release by id, its mode, and the manifest it worked under.

    `held` says that the verb has ended, and left its rollout where it was.
    """

    verb: str
    release: str
    mode: str
    manifest: str
    held: bool = False


def note(settings: Settings, target: Target) -> None:
    """Note the target before anything moves."""
    files.replace(settings.target, json.dumps(asdict(target)), mode=0o600)


def forget(settings: Settings) -> None:
    """Note that the verb has ended."""
    settings.target.unlink(missing_ok=True)


@dataclass(frozen=True)
class Settlement:
    """How a killed verb is completed: `release` is the target when it has taken over, None for an undo.

    `steps` leave the `confirmed` release (an id, "" for none) alone with all traffic, and end in `then`; the
    `job` carries them out, under the manifest that goes with that release. Without steps there is none.
    """

    target: Target
    release: Release | None
    confirmed: str
    steps: tuple[Step, ...]
    then: State
    job: Job | None

    @property
    def ending(self) -> str:
        """How it is completed, in a few words."""
        if self.release:
            return "confirm its release, which serves"
        return "undo it" if self.job else "no release runs that could take the traffic"

    @property
    def mode(self) -> str:
        """The mode that services.mode will name, "" where it is left as it is."""
        return self.release.mode if self.release and self.target.verb != "deploy" else ""


def foreseen(places: Settings, seen: State, job_under: Callable[[Manifest], Job]) -> Settlement | None:
    """Return how a killed verb will be completed or undone; None when none was killed.

    When the target alone has traffic and is healthy, it is confirmed; else the traffic goes back to the
    release confirmed last. An nginx that does not answer is started again; a slot that runs alone gets the
    traffic. Nothing here needs manifest.yaml: `job_under` gets the kept manifest.
    """
    cut_off = cut_off_verb(places)
    if cut_off is None:
        return None
    release = seen.release_of(_alone(seen))
    done = release if release and release.id == cut_off.release else None
    confirmed = done.id if done else release_store.present(places.releases)
    there = _standing(seen, confirmed)
    if there is None:
        return Settlement(cut_off, done, confirmed, (), seen, None)
    job = job_under(applied.in_force(places, first=cut_off.manifest.encode() if done else None)[0].manifest)
    steps = _back(job, seen, there, confirmed)
    return Settlement(cut_off, done, confirmed, steps, steps[-1].then if steps else seen, job)


@dataclass
class Settled:
    """Whether this invocation has settled what a killed verb left behind, and what that verb's target was."""

    is_done: bool = False
    target: Target | None = None


def settle(run: Run) -> Run:
    """Settle what a killed verb left behind, after the lock is taken and before manifest.yaml is read.

    When nginx or an app fails meanwhile, that is recorded and the verb continues with what runs.
    """
    settled = run.invocation.shared(Settled)
    if run.invocation.held is None or settled.is_done:
        return run
    cut_off = cut_off_verb(run.settings)
    if cut_off:
        refuse_another(run)
        run.emit(Settling(verb=cut_off.verb), needs_history=run.invocation.needs_history)
        _settle(run, cut_off)
        forget_manifest(run)
        forget_engine(run)
    settled.is_done, settled.target = True, cut_off
    return run


def settled(run: Run) -> Target | None:
    """Return the target of the killed verb that this invocation has settled, None where there was none."""
    return run.invocation.shared(Settled).target


def _settle(run: Run, cut_off: Target) -> None:
    name, failure = registry.recorded(run.settings), ""
    if name:
        engine = quiet(run, registry.make(name, run.settings))
        seen = observation.look(engine, run.settings)
        found = foreseen(run.settings, seen, lambda asked: job_of(run, asked, engine))
        assert found is not None
        if found.release:
            version = found.release.version
            run.say(f"{cut_off.verb} was interrupted after version {version} took over; confirming it")
            _confirm(run, cut_off, found.release)
            if found.mode:
                write_back.try_to_write_mode(run, found.mode)
        elif found.job:
            run.say(f"{cut_off.verb} was interrupted before confirmation; removing what it started")
        else:
            run.say(f"{cut_off.verb} was interrupted before confirmation; {found.ending}")
        try:
            if found.job and found.steps:
                nginx = components.nginx(found.job.manifest, run.settings.home)
                found.job.engine.prepare((nginx,), run.say)
                executor.apply(found.job, found.steps)
        except (EngineError, AppUnhealthy) as error:
            failure = error.message
            run.say(f"{error.message}; {run.task} continues with what runs", "warn")
    run.emit(Recovered(verb=cut_off.verb, release=cut_off.release, error=failure))
    forget(run.settings)


def _alone(seen: State) -> Slot | None:
    """Return the healthy slot that has all traffic; past a silent nginx, the only one that runs."""
    leader = seen.traffic.leader
    if not _answers(seen):
        running = [slot for slot, there in seen.slots.items() if there.live]
        leader = running[0] if len(running) == 1 else None
    elif leader and seen.traffic.of(leader) < 100:
        return None
    there = seen.slots.get(leader) if leader else None
    return leader if there and there.healthy else None


def _proxy(job: Job, seen: State, release: Release) -> Proxy:
    """Return the nginx that runs, or the one that is wanted where it stays silent."""
    if seen.proxy and _answers(seen):
        return seen.proxy
    return executor.goal(job, release, confirmed="").proxy


def _answers(seen: State) -> bool:
    return seen.proxy is not None and seen.proxy.live


def _standing(seen: State, confirmed: str) -> Placement | None:
    """Return the confirmed release in its slot, None where it is dead or unhealthy."""
    for there in seen.slots.values():
        if there.live and there.release and there.release.id == confirmed and there.healthy is not False:
            return there
    return None


def _back(job: Job, seen: State, there: Placement, confirmed: str) -> tuple[Step, ...]:
    """Return the steps that give the confirmed release all traffic and remove what stands beside it."""
    assert there.release is not None
    steps = plan(seen, Goal(_proxy(job, seen, there.release), there, (100,), confirmed))
    return tuple(step for step in steps if step.action not in {"verify", "watch"})


def _confirm(run: Run, cut_off: Target, release: Release) -> None:
    folder = run.settings.releases
    held = release_store.stack(release_store.confirmations(folder))
    is_on_top = bool(held) and held[-1].release == release.id
    below = [row for row in held[:-1] if row.release == release.id and not is_on_top]
    content = cut_off.manifest.encode()
    with suppress(ManifestError):
        content = edit.set_mode(content, release.mode)
    ending.confirm(
        run,
        release,
        content,
        former=held[-1] if held and not is_on_top else None,
        back_to=below[-1] if cut_off.verb == "rollback" and below else None,
    )


def cut_off_verb(settings: Settings) -> Target | None:
    """Return what a killed verb set out for, None where every verb has ended."""
    found = noted(settings)
    return None if found and found.held else found


def held(settings: Settings) -> Target | None:
    """Return the target of a rollout that is held, None where none is."""
    found = noted(settings)
    return found if found and found.held else None


def unchanged(file: ManifestFile, held: Target) -> ManifestFile | None:
    """Return the manifest of the rollout, None where manifest.yaml no longer gives it."""
    content = held.manifest.encode()
    if file.content == content:
        return file
    wanted = file.in_mode(held.mode)
    return wanted if wanted.content == content else None


def noted(settings: Settings) -> Target | None:
    """Return the target that is noted, None for none."""
    try:
        return Target(**json.loads(settings.target.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
