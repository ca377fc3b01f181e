"""The reasons of steps, in words. Pure."""

from __future__ import annotations

from dataclasses import fields

from swiftdeploy_tasks.model.release import SLOTS, Release, Slot
from swiftdeploy_tasks.model.state import Difference, Placement, State


def start_reason(placement: Placement, observed: State) -> str:
    """Return why a slot is started: what replaces what, or what is wrong with what runs."""
    wanted = placement.release
    if wanted is None:
        return "wanted"
    what = f"version {wanted.version} ({wanted.mode})"
    leader = observed.traffic.leader
    same = [slot for slot in SLOTS if observed.release_of(slot) == wanted]
    for slot in sorted(same, key=observed.traffic.of, reverse=True):
        return f"{what}; {fault(slot, observed) or f'app-{slot} runs it with another definition'}"
    running = observed.release_of(leader)
    if running is None:
        return f"{what}; app-{leader} is gone" if leader else what
    if (running.version, running.mode) != (wanted.version, wanted.mode):
        return f"{what} replaces {running.version} ({running.mode})"
    return f"{what}; changed: {changed_fields(running, wanted)}"


def changed_fields(running: Release, wanted: Release) -> str:
    """Return what differs between two releases, as a list in words; "" for nothing."""
    names = [field.name for field in fields(Release)]
    changed = [name for name in names if getattr(running, name) != getattr(wanted, name)]
    return ", ".join(name.replace("artifact", "image or source").replace("_", " ") for name in changed)


def fault(slot: Slot, observed: State) -> str:
    """Return what is wrong with what stands in a slot, "" when nothing is."""
    there = observed.slots[slot]
    if there.trouble:
        return f"app-{slot} {there.trouble}"
    if there.differences:
        return f"app-{slot} was changed: {listed(there.differences)}"
    if not there.live:
        return f"app-{slot} does not run"
    return f"app-{slot} is not healthy" if there.healthy is False else ""


def listed(differences: tuple[Difference, ...]) -> str:
    """Return the differences as a list in words."""
    return "; ".join(map(str, differences))
