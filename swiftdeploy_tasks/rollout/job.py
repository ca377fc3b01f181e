"""A change's manifest, engine and applied files, shared by its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from swiftdeploy_tasks.engines.protocol import Engine, Facts
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.spec import Spec, Written
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.proxy import configuration
from swiftdeploy_tasks.proxy.probe import Pace
from swiftdeploy_tasks.proxy.publication import Configuration
from swiftdeploy_tasks.rollout.admission import Part, refuse_unasked, spec_parts
from swiftdeploy_tasks.session.event import Event
from swiftdeploy_tasks.session.events import Said
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import files


class Watch(Protocol):
    """Watches a new slot while it takes traffic; each call raises when it is not well."""

    def follow(self, log: Path, share: int, new: Slot | None) -> None:
        """Read nginx's count from this file from now on; the `new` slot has `share` percent meanwhile."""
        ...

    def begin(self, slot: Slot, release: Release) -> None:
        """Begin to count what the slot sees."""
        ...

    def sees_traffic(self) -> bool:
        """Return whether a client asked for anything since the change began."""
        ...

    def waiting(self, before: float) -> str:
        """Return which requests that began before then (unix seconds) keep the step open, "" for none."""
        ...

    def tick(self) -> None:
        """Look once, about every second."""
        ...

    def end_step(self, *, last: bool) -> bool:
        """Judge the step; False when it saw too few requests and `last` is not given."""
        ...


@dataclass(frozen=True)
class FormerProxy:
    """The nginx that stood before this change: the applied files, and how it was started.

    `digest` is that of its Spec as it was started.
    """

    files: Mapping[Path, bytes]
    spec: Spec
    digest: str
    operator_port: int


@dataclass
class Job:
    """One change of what runs: the manifest, the engine, and how its steps are printed and recorded.

    `back` is the state that an undo goes to, and that nginx starts from while another one is in force: what
    served before, alone. `way_back` are nginx's files of it, None before they were made.
    `gap_since` is when (monotonic) the old release lost its traffic, while no other release has it.
    `given` are the slots that a step was to give traffic to. `known` are the place's facts where nothing is
    going to change; without it they are asked for each time. `discard_volumes` says that what a slot holds
    in volumes of its own goes with it. `pace` is how long the app's answers are waited for. `admitted` are
    the parts of the applied files that the isolation policy allowed: no other one is written. None allows
    all.
    """

    settings: Settings
    manifest: Manifest
    engine: Engine
    with_opa: bool
    emit: Callable[[Event], None]
    secrets: Mapping[str, str] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    given: set[Slot] = field(default_factory=set)
    gap_since: float | None = None
    former: FormerProxy | None = None
    back: State | None = None
    way_back: Configuration | None = None
    watch: Watch | None = None
    at_once: bool = False
    known: Facts | None = None
    discard_volumes: bool = False
    pace: Pace = field(default_factory=Pace)
    admitted: frozenset[Part] | None = None

    def say(self, text: str) -> None:
        """Print a sentence for the operator."""
        self.emit(Said(text=text))


def render(
    job: Job, state: State, generation: str = "", *, generation_id: str = "", foreseen: bool = False
) -> dict[str, str]:
    """Return the nginx files as they are applied for this state; see `configuration.render`.

    With `foreseen`, a slot that nothing runs in yet stands at the address that it would get.
    """
    facts = job.known or job.engine.facts(job.manifest)
    future = {
        slot: facts.site.address.format(slot=slot, port=there.release.port)
        for slot, there in state.slots.items()
        if foreseen and there.release
    }
    return configuration.render(
        job.manifest,
        facts.site,
        folders=job.settings.template_folders,
        addresses=future | {s: address for s, address in facts.addresses.items() if s in state.slots},
        traffic=state.traffic,
        generation=generation,
        generation_id=generation_id,
    )


def written(job: Job, state: State) -> Written:
    """Return the Specs of this state as they are applied."""
    placed = {slot: there.release for slot, there in state.slots.items() if there.release}
    specs = components.specs(job.manifest, placed, state=job.settings.home, with_opa=job.with_opa)
    return job.engine.written(specs)


def write_specs(job: Job, state: State) -> Written:
    """Write the Specs of this state where the engine reads them; raises PolicyRefused for unasked ones."""
    found = written(job, state)
    refuse_unasked(spec_parts(found), job.admitted)
    for name, text in found.files.items():
        files.replace(job.settings.state / name, text, mode=0o600)
    return found
