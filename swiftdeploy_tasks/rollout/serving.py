"""Which slot serves, as a change sees it."""

from __future__ import annotations

from swiftdeploy_tasks.model.release import Slot
from swiftdeploy_tasks.model.state import State


def confirmed_slot(observed: State, confirmed: str) -> Slot | None:
    """Return the slot of the confirmed release, None where it does not run."""
    for slot, there in observed.slots.items():
        if there.live and there.release and there.release.id == confirmed:
            return slot
    return None


def serving_slot(observed: State, confirmed: str) -> Slot | None:
    """Return the slot that keeps serving during the change: a healthy one before one that serves now.

    Of two that serve, the confirmed release before the larger share. When nginx does not answer, the
    confirmed release counts as serving, and so does a slot that answered directly.
    """
    is_silent = observed.proxy is None or not observed.proxy.live

    def trusted(slot: Slot) -> bool:
        release = observed.slots[slot].release
        return release is not None and release.id == confirmed

    def rank(slot: Slot) -> tuple[bool, bool, bool, int]:
        share = observed.traffic.of(slot)
        return (observed.slots[slot].healthy is not False, share > 0, trusted(slot), share)

    able = [
        slot
        for slot, there in observed.slots.items()
        if there.live and (observed.traffic.of(slot) or trusted(slot) or (is_silent and there.healthy))
    ]
    return max(able, key=rank, default=None)
