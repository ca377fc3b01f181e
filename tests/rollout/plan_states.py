"""What stands and what is wanted, in the few words in which the tests of planning speak of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from swiftdeploy_tasks.manifest.model import Health, Resources
from swiftdeploy_tasks.model.release import SLOTS, Release, Slot
from swiftdeploy_tasks.model.state import Placement, Proxy, State, Traffic
from swiftdeploy_tasks.rollout.planner import Goal, Step

SPEC = "how a slot is run"
NGINX = Proxy("how nginx is run", "its configuration")
OTHER_CONFIG = replace(NGINX, config="former configuration")
OTHER_PORTS = replace(NGINX, spec="former ports")
HUNG = replace(NGINX, config="", live=False)


def release(version: str, mode: str = "stable") -> Release:
    return Release(
        artifact="sha256:1",
        version=version,
        mode=mode,
        env=(),
        secrets=(),
        port=3000,
        process=(),
        health=Health("/healthz", 1.0, 3, 60.0),
        resources=Resources(1.0, "256m"),
        restart_policy="always",
    )


OLD, NEW, THIRD = release("1"), release("2"), release("3")


def occupied(by: Release, *, spec: str = SPEC, live: bool = True, healthy: bool | None = True) -> Placement:
    return Placement(by, spec, live, healthy, address="10.0.0.2:3000", since=1.0)


def standing(
    blue: Placement | None = None,
    green: Placement | None = None,
    *,
    shares: tuple[int, int] = (0, 0),
    backup: Slot | None = None,
    proxy: Proxy | None = NGINX,
) -> State:
    slots = {slot: there for slot, there in zip(SLOTS, (blue, green), strict=True) if there}
    weights = {slot: share for slot, share in zip(SLOTS, shares, strict=True) if share}
    return State(proxy, slots, Traffic(weights, backup))


def wanted(
    what: Release = NEW,
    *,
    shares: tuple[int, ...] = (100,),
    confirmed: str = OLD.id,
    watched: bool = False,
) -> Goal:
    return Goal(NGINX, Placement(what, SPEC), shares, confirmed, watched)


def told(steps: Iterable[Step], *, waiting: bool = False) -> list[str]:
    """Each step in a few words, a route by its shares; those that only wait are left out unless asked for."""
    return [
        f"route: {step.then.traffic}" if step.action == "route" else f"{step.action} {step.target}"
        for step in steps
        if waiting or step.action not in {"watch", "drain"}
    ]
