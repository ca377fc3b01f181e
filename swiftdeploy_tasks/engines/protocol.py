"""The engine protocol: what every engine can do.

An engine gets Specs; how it writes, starts and observes them is its own matter. It does not ask the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.metrics import AccessLog
from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.spec import Spec, Written
from swiftdeploy_tasks.model.state import Difference, Site, State
from swiftdeploy_tasks.proxy.publication import Configuration

Say = Callable[[str], None]
# The bounds of one read of the access log: some seconds of a busy service.
ACCESS_LINES = 20_000
ACCESS_BYTES = 150 * ACCESS_LINES


@dataclass(frozen=True)
class Facts:
    """What rendering and the host's policy need to know of the place.

    `site` is where nginx runs, and `candidate` one with which files can be tested before anything of ours
    exists. `addresses` are host:port of what runs in each slot, as nginx reaches it. `disks` has a path on
    each filesystem that running here writes to, and `notices` say what a person should know beforehand. nginx
    may open `open_files` files, None for unknown.
    """

    site: Site
    candidate: Site
    addresses: Mapping[Slot, str]
    disks: tuple[Path, ...]
    notices: tuple[str, ...] = ()
    open_files: int | None = None


@dataclass(frozen=True)
class Missing:
    """Something that is not here yet: what would be done about it (build, pull, create), to what, and why."""

    action: str
    name: str
    reason: str = "missing"


@dataclass(frozen=True)
class Ran:
    """How a one-off ended: its exit code, what it printed, and the name of what was run."""

    code: int
    output: str
    program: str


@dataclass(frozen=True)
class Inspection:
    """What takes more than a look at a slot.

    `listening` are the addresses and TCP ports on which its app listens, None where they cannot be seen.
    `data` names each place in it that holds data which the next release would not have.
    """

    listening: frozenset[tuple[str, int]] | None
    data: tuple[str, ...]


@dataclass(frozen=True)
class Leaving:
    """The workers that shut down, by pid, and how many connections to one slot they have (None: unknown)."""

    workers: frozenset[int]
    connections: int | None = None


class Engine(Protocol):
    """One place to run nginx, OPA and two slots."""

    @property
    def name(self) -> str:
        """Return what the manifest calls it."""
        ...

    def check(self, manifest: Manifest, *, with_opa: bool) -> tuple[Finding, ...]:
        """Make the checks `engine`, `image`, `port` and `compose`; only `engine` where it cannot be used.

        A failed `fields` is among them for a key that this engine does not support.
        """
        ...

    def missing(self, manifest: Manifest, *, with_opa: bool) -> tuple[Missing, ...]:
        """Return what `obtain` and `prepare` would build, pull and create."""
        ...

    def obtain(self, manifest: Manifest, say: Say) -> None:
        """Build and pull the images of nginx and the app that are missing; raises ImageError.

        Raises PreflightError for an image that cannot run with the manifest's keys.
        """
        ...

    def release(self, manifest: Manifest) -> Release:
        """Return the release that the manifest gives now; raises PreflightError where nothing can run."""
        ...

    def keep(self, manifest: Manifest, release: Release) -> tuple[str, ...]:
        """Keep what the release needs to run again later; raises PreflightError when it changes meanwhile.

        Returns sentences on data that was moved aside for it.
        """
        ...

    def identity(self, spec: Spec) -> str:
        """Return what identifies the program of this Spec, an image or a binary; "" while it is not here.

        Raises PreflightError or GateUnavailable where it can never be had here.
        """
        ...

    def prepare(self, specs: Sequence[Spec], say: Say) -> None:
        """Have the images, networks, volumes and folders of these Specs.

        Raises PreflightError for one that is another project's, GateUnavailable where OPA cannot be had.
        """
        ...

    def facts(self, manifest: Manifest) -> Facts:
        """Return what rendering needs; `site` is final after `prepare`."""
        ...

    def observe(self) -> State:
        """Return what stands as the engine sees it: no traffic and no health in it."""
        ...

    def written(self, specs: Sequence[Spec]) -> Written:
        """Return these Specs as they would be applied here."""
        ...

    def differences(self, written: Written) -> Mapping[str, tuple[Difference, ...]]:
        """Return what was changed about each component since it was started, compared with `written`."""
        ...

    def start(self, spec: Spec, secrets: Mapping[str, str]) -> None:
        """Start the component in the place of one that is there; `secrets` are by the caller's names.

        What `written` gives of it has been applied. Raises AppUnhealthy, GateUnavailable or EngineError.
        """
        ...

    def stop(self, component: str, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """End and remove a component, or a stranger that `observe` names.

        Data that the app wrote is kept unless `discard_volumes`; returns what to say of it, and where it is.
        """
        ...

    def run(self, spec: Spec, files: Mapping[str, bytes], words: Sequence[str]) -> Ran:
        """Run the program of this Spec once with these words, without network, in a folder of these files."""
        ...

    def publish(self, new: Configuration, *, back: Configuration | None = None) -> None:
        """Put nginx's configuration in force everywhere; raises ProxyError, with the former one in force.

        An nginx that starts again reads `back` from now on, `new` where it is None.
        """
        ...

    def leaving(self, slot: Slot | None = None) -> Leaving:
        """Return nginx's workers of former configurations, and how many connections to `slot` they have."""
        ...

    def logs(self, component: str, *, lines: int = 20) -> tuple[str, ...]:
        """Return the last lines that a component printed."""
        ...

    def access_log(self, seconds: float) -> AccessLog:
        """Return nginx's access log of the last `seconds`, at most ACCESS_LINES and ACCESS_BYTES.

        Older lines and lines of other logs may be among them.
        """
        ...

    def inspect(self, slot: Slot) -> Inspection:
        """Return what takes more than a look at what runs in the slot."""
        ...

    def quiesce(self) -> None:
        """End what a killed verb's own children still do, and wait until nothing changes any more."""
        ...

    def remove_all(
        self, say: Say, *, discard_volumes: bool = False, data_volumes: bool = False
    ) -> tuple[str, ...]:
        """Remove everything that carries our home, from any state; return the names removed.

        Data in a slot's own volumes is kept and named, unless `discard_volumes`; services.volumes are
        removed only with `data_volumes`.
        """
        ...
