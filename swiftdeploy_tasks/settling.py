"""What was a verb about when it was killed, and is it done or undone?

Stands apart because every verb that changes what runs has to ask this first. The target is noted before
anything moves and forgotten when the verb has ended, well or not; one that is still noted was cut off.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from swiftdeploy_tasks import apply, files, manifest_edit, noting, releases, verbs
from swiftdeploy_tasks.errors import AppUnhealthy, EngineError
from swiftdeploy_tasks.job import Job
from swiftdeploy_tasks.plan import Goal, Step, plan
from swiftdeploy_tasks.recording import Run
from swiftdeploy_tasks.release import Proxy, Release, Slot, State
from swiftdeploy_tasks.settings import Settings


@dataclass(frozen=True)
class Target:
    """What a verb set out for: the verb, the release by id, its mode, and the manifest it worked under."""

    verb: str
    release: str
    mode: str
    manifest: str


def note(settings: Settings, target: Target) -> None:
    """Note the target before anything moves."""
    files.replace(settings.target, json.dumps(asdict(target)), mode=0o600)


def forget(settings: Settings) -> None:
    """Note that the verb has ended."""
    settings.target.unlink(missing_ok=True)


@dataclass(frozen=True)
class Settlement:
    """How a killed verb is ended: `release` is the target where it has taken over, None where it goes back.

    `steps` leave the `confirmed` release (an id, "" for none) alone with all traffic, and end in `then`.
    """

    target: Target
    release: Release | None
    confirmed: str
    steps: tuple[Step, ...]
    then: State

    @property
    def mode(self) -> str:
        """The mode that services.mode will name, "" where it is left as it is."""
        return self.release.mode if self.release and self.target.verb != "deploy" else ""


def foreseen(job: Job, seen: State) -> Settlement | None:
    """Return how what a killed verb left behind will be brought to its end, or back; None without one.

    Where the target alone has traffic and is healthy, it is confirmed; else the traffic goes back to the
    release confirmed last. A silent nginx is started again for it, and who is alone then has the traffic.
    """
    cut_off = noted(job.settings)
    if cut_off is None:
        return None
    release = seen.release_of(_alone(seen))
    done = release if release and release.id == cut_off.release else None
    confirmed = done.id if done else releases.present(job.settings.releases)
    steps = _back(job, seen, confirmed)
    return Settlement(cut_off, done, confirmed, steps, steps[-1].then if steps else seen)


def settle(run: Run, job: Job) -> Target | None:
    """Do what `foreseen` says; return the killed verb's target, None when there is none.

    An nginx or an app that fails meanwhile stops none of it: the verb itself goes on from what is there.
    """
    found = foreseen(job, apply.look(job.engine, run.settings))
    if found is None:
        return None
    cut_off, told = found.target, {}
    if found.release:
        version = found.release.version
        run.say(f"{cut_off.verb} was cut off after version {version} took over: confirming it")
        _confirm(run, cut_off, found.release)
        if found.mode:
            verbs.try_to_write_mode(run, found.mode)
    else:
        run.say(f"{cut_off.verb} was cut off before its release was confirmed: what it left behind goes")
    try:
        if found.steps:
            job.engine.prepare(job.manifest)
        apply.apply(job, found.steps)
    except (EngineError, AppUnhealthy) as error:
        told = {"error": error.message}
        run.screen.line(f"  {error.message}; {run.task} goes on from what is there", "warn")
    run.note("recovered", "done", verb=cut_off.verb, release=cut_off.release, **told)
    forget(run.settings)
    return cut_off


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
    return apply.goal(job, release, confirmed="").proxy


def _answers(seen: State) -> bool:
    return seen.proxy is not None and seen.proxy.live


def _back(job: Job, seen: State, confirmed: str) -> tuple[Step, ...]:
    """Return the steps that give the confirmed release all traffic and remove what stands beside it.

    None where it is not there or not well: then the verb that follows finds who can serve.
    """
    for there in seen.slots.values():
        if there.live and there.release and there.release.id == confirmed and there.healthy is not False:
            goal = Goal(_proxy(job, seen, there.release), there, (100,), confirmed)
            steps = plan(seen, goal)
            return tuple(step for step in steps if step.action not in {"confirm", "hold"})
    return ()


def _confirm(run: Run, cut_off: Target, release: Release) -> None:
    folder = run.settings.releases
    held = releases.stack(releases.confirmations(folder))
    is_on_top = bool(held) and held[-1].release == release.id
    below = [row for row in held[:-1] if row.release == release.id and not is_on_top]
    if cut_off.verb == "rollback" and below:
        releases.roll_back(folder, below[-1])
    else:
        releases.confirm(folder, release)
    # Killed after it was confirmed, the verb may not have put it on record.
    noting.confirmed(run, held[-1] if held and not is_on_top else None, release)
    files.replace(
        run.settings.applied, manifest_edit.set_mode(cut_off.manifest.encode(), release.mode), mode=0o600
    )


def noted(settings: Settings) -> Target | None:
    """Return what a verb set out for whose end is not on record, None where every one has ended."""
    try:
        return Target(**json.loads(settings.target.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
