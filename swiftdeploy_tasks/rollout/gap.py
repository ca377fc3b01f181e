"""The gap between two releases, where no slot has traffic, and the command that ends it."""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.rollout import recovery, release_store
from swiftdeploy_tasks.settings import Settings


@dataclass(frozen=True)
class Gap:
    """The cause and the cure in a sentence, and the command of the cure."""

    message: str
    next: str

    def __str__(self) -> str:
        return f"{self.message}; next: {self.next}"


def is_open(seen: State) -> bool:
    """Return whether nginx sends traffic to no slot; one that does not answer counts where no slot runs."""
    if seen.proxy is None or seen.traffic.leader:
        return False
    return seen.proxy.live or not seen.slots


def found(settings: Settings, seen: State) -> Gap | None:
    """Return the gap that a change left open, None for none.

    A rollback starts the release confirmed last, and no policy bars it. Where that release still runs, every
    verb returns the traffic to it first, and a rollback would then go below it.
    """
    cut_off = recovery.noted(settings)
    is_rollback = cut_off is not None and cut_off.verb == "rollback"
    name = cut_off.release if cut_off and is_rollback else release_store.present(settings.releases)
    release = release_store.description(settings.releases, name) if name else None
    if release is None or not is_open(seen):
        return None
    cause = f"{cut_off.verb} was interrupted between two releases: " if cut_off else ""
    version = f"version {release.version} ({release.mode})"
    runs = any(there.live and there.release == release for there in seen.slots.values())
    cure = f"deploy first returns the traffic to {version}" if runs else f"rollback starts {version}"
    message = f"{cause}no release serves, requests get 503, and {cure}"
    return Gap(message, "invoke deploy" if runs else "invoke rollback")
