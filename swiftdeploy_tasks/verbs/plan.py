"""Plan: prints what deploy would do, and changes nothing."""

from __future__ import annotations

from swiftdeploy_tasks.errors import WouldChange
from swiftdeploy_tasks.rollout import gap, observation
from swiftdeploy_tasks.rollout.planner import effect_on_requests
from swiftdeploy_tasks.rollout.preview import changed, prospect
from swiftdeploy_tasks.rollout.project import engine_of, read_manifest
from swiftdeploy_tasks.session.run import Run


def show(run: Run, *, check: bool) -> None:
    """Print what deploy would do; with `check`, raises WouldChange when that is anything."""
    seen = observation.look(engine_of(run), run.settings)
    found = prospect(run, seen)
    run.screen.diffs(changed(found.root))
    for deed in found.deeds:
        run.screen.row(deed.target, deed.action, deed.reason)
    run.screen.diffs(changed(found.applied))
    if effect := effect_on_requests(found.steps):
        run.say(effect)
    if left := gap.found(run.settings, seen):
        run.say(str(left), "warn")
    for note in (*found.notes, *engine_of(run).facts(read_manifest(run)).notices):
        run.say(note, "warn")
    run.report(
        in_sync=found.changes == 0,
        steps=found.document(),
        files=[change.document() for change in (*found.root, *found.applied)],
    )
    if found.changes == 0:
        run.say("nothing would change")
    elif check:
        things = "thing" if found.changes == 1 else "things"
        raise WouldChange(f"{found.changes} {things} would change", "invoke deploy")
