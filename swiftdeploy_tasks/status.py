"""What runs, and is it what manifest.yaml gives? Printed once."""

from __future__ import annotations

from typing import Any

from swiftdeploy_tasks import apply, manifest, planning
from swiftdeploy_tasks.engines import choice
from swiftdeploy_tasks.errors import ManifestError
from swiftdeploy_tasks.manifest import Manifest
from swiftdeploy_tasks.project import engine_of, read_manifest
from swiftdeploy_tasks.recording import Run
from swiftdeploy_tasks.release import SLOTS, Placement, Slot, State


def show(run: Run) -> None:
    """Print what runs, once; with a manifest that cannot be used, say so when that is done."""
    name = choice.recorded(run.settings)
    problem: ManifestError | None = None
    try:
        asked = read_manifest(run)
    except ManifestError as error:
        if not name or not run.settings.applied.is_file():
            raise
        problem = error
        asked = manifest.load(run.settings.applied, schema=run.settings.schema)
    engine = choice.make(name, run.settings) if name else engine_of(run)
    run.document["engine"] = engine.name
    seen = apply.look(engine, run.settings)
    stands = _show(run, asked, seen)
    if problem:
        raise problem
    if stands:
        _show_drift(run, seen)


def _show(run: Run, asked: Manifest, seen: State) -> bool:
    """Print what runs; return whether anything does."""
    leader = seen.release_of(seen.traffic.leader)
    slots: dict[Slot, Any] = {slot: _slot_document(seen, slot) for slot in SLOTS}
    run.document["slots"] = slots
    if seen.proxy is None and not seen.slots:
        run.say(f"nothing is deployed on the {run.document['engine']} engine; next: invoke deploy")
        return False
    if leader:
        url = f"http://127.0.0.1:{asked.nginx.port}/"
        run.document |= {"mode": leader.mode, "version": leader.version, "url": url}
        run.say(f"engine {run.document['engine']}, {url}, version {leader.version} ({leader.mode})")
    else:
        run.screen.line(f"  engine {run.document['engine']}: nobody serves", "fail")
    for slot, there in slots.items():
        if there:
            health = "healthy" if there["healthy"] else "NOT healthy"
            share = f"weight {there['weight']}, {health}"
            run.say(f"app-{slot}: version {there['version']} ({there['mode']}), {share}")
    return True


def _show_drift(run: Run, seen: State) -> None:
    found = planning.prospect(run, seen)
    run.document["drift"] = found.document()
    for deed in found.deeds[:1]:
        run.screen.line(f"  not as manifest.yaml gives it: {deed}", "warn")
    if found.changes:
        run.say("all of it: invoke plan")


def _slot_document(seen: State, slot: Slot) -> dict[str, Any] | None:
    there: Placement | None = seen.slots.get(slot)
    if there is None:
        return None
    release = there.release
    return {
        "release": release.id if release else None,
        "mode": release.mode if release else None,
        "version": release.version if release else None,
        "weight": seen.traffic.of(slot),
        "healthy": bool(there.healthy),
        "chaos": None,
        "window": None,
    }
