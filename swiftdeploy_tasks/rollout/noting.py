"""The records of a change: its target, the drift that it found, and its ending."""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.errors import SwiftDeployError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.model.state import Placement, Proxy, State
from swiftdeploy_tasks.rollout.release_store import Confirmation
from swiftdeploy_tasks.session.events import Confirmed, Drifted, ModeChanged, RolledBack, TargetSet
from swiftdeploy_tasks.session.run import Run


def target(run: Run, before: State, release: Release, asked: Manifest) -> None:
    """Emit which release shall run, before anything changes."""
    previous = before.release_of(before.traffic.leader)
    run.emit(
        TargetSet(
            release=named(release),
            before=named(previous),
            slot=before.traffic.leader,
            url=url_of(asked),
        )
    )


def url_of(asked: Manifest) -> str:
    """Return the public address on this host."""
    return f"http://127.0.0.1:{asked.nginx.port}/"


def confirmed(run: Run, former: Release | Confirmation | None, release: Release) -> None:
    """Put on record that the release was confirmed after a former one, and a change of mode."""
    run.emit(Confirmed(release=named(release), before=named(former)))
    if former and former.mode != release.mode:
        run.emit(
            ModeChanged(release=release.id, version=release.version, former=former.mode, mode=release.mode)
        )


def way_back(
    run: Run, before: State, problem: SwiftDeployError, seconds: float, *, had_traffic: bool
) -> None:
    """Record an automatic rollback: why, to what, and how long after the breach all traffic was back.

    `had_traffic` says whether the release that failed ever had any.
    """
    run.emit(
        RolledBack(
            reason={"kind": problem.kind, "message": run.masked(problem.message)},
            to=named(before.release_of(before.traffic.leader)),
            seconds=round(seconds, 3),
            had_traffic=had_traffic,
        )
    )


@dataclass(frozen=True)
class Drift:
    """A part's difference from what was applied; `expected` is "" where it is obvious."""

    target: str
    what: str
    found: str
    expected: str = ""

    def document(self) -> dict[str, str]:
        """What a record says of it."""
        told = {"target": self.target, "what": self.what, "found": self.found}
        return told | ({"expected": self.expected} if self.expected else {})


def drifted(before: State) -> list[Drift]:
    """Return what was changed about what stands since it was applied."""
    parts: dict[str, Placement | Proxy] = {f"app-{slot}": there for slot, there in before.slots.items()}
    if before.proxy:
        parts["nginx"] = before.proxy
    served = before.traffic.leader
    gone = [f"app-{served}"] if served and served not in before.slots else []
    gone += ["nginx"] if before.slots and not before.proxy else []
    found = [Drift(target, "the state", "gone", "running") for target in gone]
    for target, there in parts.items():
        found += [Drift(target, one.what, one.found, one.expected) for one in there.differences]
        if not there.live:
            found.append(Drift(target, "the state", there.trouble or "no answer", "running"))
    return found


def drift(run: Run, before: State) -> list[str]:
    """Record what differs from what was applied; return the parts that have drifted."""
    found = drifted(before)
    for one in found:
        run.emit(Drifted(outcome="found", difference=one.document()))
    return list(dict.fromkeys(one.target for one in found))


def named(release: Release | Confirmation | None) -> dict[str, str]:
    """Return what a record says of a release, nothing where there is none."""
    if release is None:
        return {}
    name = release.id if isinstance(release, Release) else release.release
    return {"release": name, "version": release.version, "mode": release.mode}
