"""The status of a project as one value, and the exit code that it calls for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from swiftdeploy_tasks.errors import (
    AppUnhealthy,
    GateUnavailable,
    PolicyRefused,
    SwiftDeployError,
    WouldChange,
)
from swiftdeploy_tasks.model.release import SLOTS, Slot
from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.report.audit_report import TimelineEvent
from swiftdeploy_tasks.report.recorded_evidence import RecordedEvidence
from swiftdeploy_tasks.rollout.gap import Gap
from swiftdeploy_tasks.rollout.planner import Deed, Step
from swiftdeploy_tasks.rollout.sampling import Sample
from swiftdeploy_tasks.status.compliance import Standing, Unanswered

_FOLLOWING = frozenset({"wait", "route", "verify", "watch", "drain", "remove"})


@dataclass(frozen=True)
class Picture:
    """One look at a project.

    `at_work` is the verb that is changing it, `confirmed` the id of the release confirmed last, and `since`
    when the one that serves was confirmed (RFC 3339). `rates` are requests per second of the last looks,
    oldest first, None without a window. `proxy` is the fault of nginx, `drift_unknown` why the drift is not
    known, and `problems` what could not be observed. `evidence` is that of the change under way, None where
    there is none. `can_go_back` says that a rollback has a target, and `gap` why no slot has traffic. With
    nothing deployed the rest is empty.
    """

    time: str
    project: str
    engine: str
    is_deployed: bool = False
    url: str | None = None
    at_work: str = ""
    confirmed: str = ""
    traffic: Traffic = field(default_factory=Traffic)
    since: str | None = None
    proxy: str = ""
    slots: Mapping[Slot, Sample | None] = field(default_factory=lambda: dict.fromkeys(SLOTS))
    rates: Mapping[Slot, tuple[float | None, ...]] = field(default_factory=dict)
    compliance: tuple[Standing, ...] = ()
    host: Mapping[str, Any] = field(default_factory=dict)
    drift: tuple[Deed, ...] = ()
    drift_unknown: str = ""
    problems: tuple[str, ...] = ()
    events: tuple[TimelineEvent, ...] = ()
    evidence: RecordedEvidence | None = None
    can_go_back: bool = True
    gap: Gap | None = None

    @property
    def causes(self) -> tuple[Deed, ...]:
        """The drift without the steps of a roll-over that only follow from it."""
        return tuple(deed for deed in self.drift if not _follows(deed))

    @property
    def serving(self) -> Sample | None:
        """The confirmed release while it has traffic, else what has most of it; None where nothing stands."""
        shares = {slot: self.slots.get(slot) for slot in SLOTS if self.traffic.of(slot)}
        confirmed = [there for there in shares.values() if there and there.is_of(self.confirmed)]
        leader = self.traffic.leader
        return confirmed[0] if confirmed else shares[leader] if leader else None

    def document(self) -> dict[str, Any]:
        """The fields of `status` in docs/ci.md."""
        release = self.serving.release if self.serving else None
        return {
            "mode": release.mode if release else None,
            "version": release.version if release else None,
            "url": self.url if release else None,
            "slots": {slot: there.document() if there else None for slot, there in self.slots.items()},
            "compliance": [standing.document() for standing in self.compliance],
            "drift": [deed.document() for deed in self.drift],
        }


def _follows(deed: Deed) -> bool:
    return isinstance(deed, Step) and deed.action in _FOLLOWING


def concern(picture: Picture) -> SwiftDeployError | None:
    """Return the most severe problem, None when there is none."""
    if not picture.is_deployed:
        return None
    return _unhealthy(picture) or _unasked(picture) or _refused(picture) or _drifted(picture)


def _unhealthy(picture: Picture) -> SwiftDeployError | None:
    for slot, share in picture.traffic.weights.items():
        there = picture.slots.get(slot)
        if there is None or not there.healthy:
            what = "is not healthy" if there else "is gone"
            back = "invoke rollback" if picture.can_go_back else "correct the app, then: invoke deploy"
            return AppUnhealthy(f"app-{slot}, which has {share} % of the traffic, {what}", back)
    if picture.gap:
        return AppUnhealthy(picture.gap.message, picture.gap.next)
    if picture.traffic.leader is None:
        why = f"nginx {picture.proxy}" if picture.proxy else "no slot has traffic"
        return AppUnhealthy(f"no release serves: {why}", "invoke deploy")
    return None


def _unasked(picture: Picture) -> SwiftDeployError | None:
    for standing in picture.compliance:
        if isinstance(standing, Unanswered) and not standing.early:
            is_old = any(deed.action == "publish" for deed in picture.drift)
            next_command = "invoke deploy" if is_old else "invoke validate"
            return GateUnavailable(f"{standing.domain} cannot be asked: {standing.reason}", next_command)
    return None


def _refused(picture: Picture) -> SwiftDeployError | None:
    for standing in picture.compliance:
        if not isinstance(standing, Unanswered) and standing.failed:
            return PolicyRefused(standing.failed[0].sentence, "correct what the rule names")
    return None


def _drifted(picture: Picture) -> SwiftDeployError | None:
    if not picture.drift:
        return None
    more = f" (and {len(picture.drift) - 1} more)" if len(picture.drift) > 1 else ""
    return WouldChange(f"{picture.drift[0]}{more}", "invoke plan")
