"""The engine protocol: what every engine can do.

An engine starts, observes and stops components. It renders nothing, and it does not ask the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.release import Release, Slot
from swiftdeploy_tasks.model.state import Difference, Site, State

Say = Callable[[str], None]
# How many lines of the access log are read at most: some seconds of a busy service.
ACCESS_LINES = 20_000
ACCESS_BYTES = 150 * ACCESS_LINES


@dataclass(frozen=True)
class Facts:
    """What rendering needs to know of the place: nginx's site, and how nginx reaches each slot.

    `addresses` are host:port by slot, `images` ids by component (empty where there are none), and `mount`
    marks the folder that nginx has mounted: a recreated folder has another mark.
    """

    site: Site
    addresses: Mapping[Slot, str]
    images: Mapping[str, str]
    mount: str = ""


class Engine(Protocol):
    """One place to run nginx, OPA and two slots."""

    @property
    def name(self) -> str:
        """Return what the manifest calls it."""
        ...

    @property
    def gate(self) -> str:
        """Return the answerer that `gate: auto` stands for here: server or embedded."""
        ...

    def check(self, manifest: Manifest) -> tuple[Finding, ...]:
        """Make the checks `engine`, `image` and `compose` that are the engine's own."""
        ...

    def held_ports(self) -> frozenset[int]:
        """Return the host ports that our own running nginx and OPA hold."""
        ...

    def holder(self, port: int) -> str:
        """Return the component of this engine, of any project, that holds the host port, "" for none."""
        ...

    def test_nginx(self, manifest: Manifest, files: Mapping[str, str]) -> str:
        """Let the real nginx read candidate files, without network; return its version.

        Raises ProxyError when it refuses, PreflightError when it is too old.
        """
        ...

    def nginx_identity(self, manifest: Manifest) -> str:
        """Return what identifies this nginx (an image id, a binary), "" while it is not here."""
        ...

    def candidate_site(self, manifest: Manifest) -> Site:
        """Return a site with which files can be tested, also before anything of ours exists."""
        ...

    def review(self, manifest: Manifest) -> tuple[Site, str]:
        """Return the site of the files for review, and how nginx there reaches the app."""
        ...

    def to_obtain(self, manifest: Manifest) -> Mapping[str, str]:
        """Return what `obtain` would build or pull, by image, and why."""
        ...

    def obtain(self, manifest: Manifest, say: Say) -> None:
        """Build and pull what is missing; raises ImageError."""
        ...

    def release(self, manifest: Manifest) -> Release:
        """Return the release that the manifest gives now; raises PreflightError where nothing can run."""
        ...

    def keep(self, manifest: Manifest, release: Release) -> tuple[str, ...]:
        """Keep what the release needs to run again later; raises PreflightError when it changes meanwhile.

        Returns what to say of data that was moved aside for it.
        """
        ...

    def prepare(self, manifest: Manifest) -> None:
        """Make the networks, volumes and folders that are missing; raises PreflightError for another's."""
        ...

    def facts(self, manifest: Manifest) -> Facts:
        """Return what rendering needs; call after `prepare`."""
        ...

    def observe(self) -> State:
        """Return nginx and the slots as the engine sees them: no traffic and no health in it."""
        ...

    def address(self, slot: Slot, release: Release) -> str:
        """Return how nginx will reach the release in a slot that it does not run in yet."""
        ...

    def reach(self, slot: Slot) -> tuple[str, int]:
        """Return the (host, port) at which this host reaches the slot past nginx, ("", 0) where it cannot."""
        ...

    def listening(self, slot: Slot) -> frozenset[tuple[str, int]] | None:
        """Return the addresses and TCP ports on which the slot's app listens, None where that is not seen."""
        ...

    def differences(self, compose: str) -> Mapping[str, tuple[Difference, ...]]:
        """Return what was changed about each of `nginx`, `opa` and `app-<slot>` since it was started.

        `compose` is the applied compose file as it should be.
        """
        ...

    def missing(self, manifest: Manifest, *, with_opa: bool) -> tuple[str, ...]:
        """Return what `prepare` and `prepare_opa` would make, each as its kind and name."""
        ...

    def operator_port(self) -> int:
        """Return the operator port of the nginx that runs, 0 when none does."""
        ...

    def proxy_spec(self, manifest: Manifest, compose: str) -> str:
        """Return the digest of nginx's definition."""
        ...

    def slot_spec(self, slot: Slot, compose: str) -> str:
        """Return the digest of the slot's definition."""
        ...

    def start_proxy(self, project: str, spec: str, operator_port: int) -> None:
        """Start nginx on the applied files, in the place of one of ours that is there; raises ProxyError."""
        ...

    def test_candidate(self, folder: Path) -> None:
        """Let the running nginx read the candidate in `folder`/next; raises ProxyError."""
        ...

    def reload_proxy(self) -> None:
        """Make nginx read its applied files again; raises ProxyError."""
        ...

    def workers(self) -> Mapping[int, bool]:
        """Return nginx's workers by pid; True where one is shutting down."""
        ...

    def draining(self, port: int) -> int | None:
        """Return how many clients of this port nginx's leaving workers hold, None where it is not known."""
        ...

    def start_slot(
        self, manifest: Manifest, slot: Slot, release: Release, secrets: Mapping[str, str]
    ) -> None:
        """Start the release, which was kept, in the slot, which is free; `secrets` by the caller's names.

        Raises AppUnhealthy or EngineError.
        """
        ...

    def stop_slot(self, slot: Slot, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """End and remove whatever of ours is in the slot.

        Data that the app wrote is kept unless `discard_volumes`; returns what to say of it, and where it is.
        """
        ...

    def environment(self, slot: Slot) -> Mapping[str, str]:
        """Return the environment of what runs in the slot, empty when nothing does."""
        ...

    def has(self, release: Release) -> bool:
        """Return whether what the release runs is still kept."""
        ...

    def is_alive(self, slot: Slot) -> bool:
        """Return whether the slot's process or container runs."""
        ...

    def logs(self, component: str, *, lines: int = 20) -> tuple[str, ...]:
        """Return the last lines that `nginx`, `opa`, `app-blue` or `app-green` printed."""
        ...

    def access_log(self, seconds: float) -> tuple[str, ...]:
        """Return nginx's access log of about the last `seconds`, at most ACCESS_LINES and ACCESS_BYTES."""
        ...

    def prepare_opa(self, manifest: Manifest, say: Say) -> None:
        """Have what OPA needs to start; raises GateUnavailable when it cannot be had."""
        ...

    def opa_spec(self, manifest: Manifest, compose: str) -> str:
        """Return the digest of OPA's definition."""
        ...

    def has_opa(self) -> bool:
        """Return whether an OPA of ours is there, running or not."""
        ...

    def opa_fault(self, spec: str, compose: str) -> str:
        """Return why OPA must be restarted, "" when it runs by this definition."""
        ...

    def start_opa(self, manifest: Manifest, spec: str, say: Say) -> None:
        """Start OPA in this form on the applied bundle, in the place of one of ours that is there.

        Raises GateUnavailable.
        """
        ...

    def opa_identity(self, manifest: Manifest) -> str:
        """Return what identifies this version of OPA: an image id, "" while it is not here, or a binary.

        Raises GateUnavailable where there is no binary.
        """
        ...

    def run_opa(self, manifest: Manifest, files: Mapping[str, bytes], words: Sequence[str]) -> str:
        """Run `opa` with these words in a folder of these files and return what it prints; its input is `{}`.

        Raises GateUnavailable.
        """
        ...

    def opa_doubt(self, manifest: Manifest) -> str:
        """Return why what answers on OPA's port is not the OPA that we started, "" when it is."""
        ...

    def stop_opa(self) -> None:
        """End and remove OPA."""
        ...

    def disks(self) -> tuple[Path, ...]:
        """Return a path on each filesystem that running here writes to."""
        ...

    def quiesce(self) -> None:
        """End what a killed verb's own children still do, and wait until nothing changes any more."""
        ...

    def strangers(self) -> tuple[str, ...]:
        """Return the names of what carries our home and is none of our parts."""
        ...

    def remove_strangers(self) -> tuple[str, ...]:
        """End and remove those; return their names."""
        ...

    def volume_notice(self, manifest: Manifest) -> str:
        """Return a sentence on the volumes that the image declares, "" for none or while it is not here."""
        ...

    def data(self, slot: Slot) -> tuple[str, ...]:
        """Return each place in the slot that holds data which the next release would not have."""
        ...

    def remove_all(self, say: Say, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """Remove everything that carries our home, from any state; return the names removed.

        Data that an app wrote is kept and said, unless `discard_volumes`.
        """
        ...
