"""What was a verb about when it was killed, and is it done or undone?

Stands apart because every verb that changes what runs has to ask this first. The target is noted before
anything moves and forgotten when the verb has ended, well or not; one that is still noted was cut off.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from swiftdeploy_tasks import apply, files, manifest_edit, noting, releases, verbs
from swiftdeploy_tasks.job import Job
from swiftdeploy_tasks.plan import Goal, plan
from swiftdeploy_tasks.recording import Run
from swiftdeploy_tasks.release import Release, Slot, State
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


def settle(run: Run, job: Job) -> Target | None:
    """Bring what a killed verb left behind to its end or back; return its target, None when there is none.

    Where the target alone has traffic and is healthy, it is confirmed, and services.mode rewritten where the
    verb would have; else the traffic goes back to the release confirmed last.
    """
    cut_off = noted(run.settings)
    if cut_off is None:
        return None
    seen = apply.look(job.engine, run.settings)
    leader = seen.traffic.leader
    release = seen.release_of(leader)
    alone = leader is not None and seen.traffic.of(leader) == 100 and seen.slots[leader].healthy is True
    if alone and release and release.id == cut_off.release:
        run.say(f"{cut_off.verb} was cut off after version {release.version} took over: confirming it")
        _confirm(run, cut_off, release)
        if cut_off.verb != "deploy":
            verbs.try_to_write_mode(run, release.mode)
        _leave_alone(job, seen, release.id)
    else:
        run.say(f"{cut_off.verb} was cut off before its release was confirmed: what it left behind goes")
        _leave_alone(job, seen, releases.present(run.settings.releases))
    run.note("recovered", "done", verb=cut_off.verb, release=cut_off.release)
    forget(run.settings)
    return cut_off


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


def _leave_alone(job: Job, seen: State, confirmed: str) -> None:
    """Give the confirmed release all traffic, and remove what stands beside it."""
    slot: Slot | None = next(
        (
            s
            for s, there in seen.slots.items()
            if there.live and there.release and there.release.id == confirmed
        ),
        None,
    )
    if slot is None or seen.proxy is None or not seen.proxy.live:
        return
    back = Goal(seen.proxy, seen.slots[slot], (100,), confirmed)
    steps = plan(seen, back)
    apply.apply(job, [step for step in steps if step.action in {"route", "drain", "remove"}])


def noted(settings: Settings) -> Target | None:
    """Return what a verb set out for whose end is not on record, None where every one has ended."""
    try:
        return Target(**json.loads(settings.target.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
