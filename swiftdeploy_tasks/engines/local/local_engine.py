"""The local engine: nginx, OPA and two slots as processes on 127.0.0.1.

It is for developers' machines and CI. A process that dies stays dead until the next deploy, and
`services.resources` and `services.restart_policy` are not enforced.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from swiftdeploy_tasks.engines.local import (
    launch,
    policy_process,
    process_checks,
    processes,
    proxy_process,
    source_copy,
)
from swiftdeploy_tasks.engines.protocol import ACCESS_BYTES, ACCESS_LINES, Facts, Say
from swiftdeploy_tasks.errors import AppUnhealthy, EngineError, ProxyError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.release import Release, Slot, from_label, from_manifest
from swiftdeploy_tasks.model.state import Difference, Placement, Proxy, Site, State
from swiftdeploy_tasks.proxy import artifacts, root_files
from swiftdeploy_tasks.system import files

HOST = "127.0.0.1"
_SHOWN = 5
# An app may print lines without an end: this much of a log is read for its last ones.
LOG_BYTES = 1 << 18
_PORT = "port-"


@dataclass(frozen=True)
class LocalEngine:
    """Processes that carry `home`, run from copies kept below it; `root` is the project's folder."""

    root: Path
    home: Path
    name: str = "local"
    gate: str = "embedded"

    def check(self, manifest: Manifest) -> tuple[Finding, ...]:
        """See `Engine.check`."""
        return process_checks.all_of(manifest, self.root, self.home)

    def held_ports(self) -> frozenset[int]:
        """See `Engine.held_ports`."""
        master = proxy_process.master(self._nginx)
        nginx = [master] if master else proxy_process.orphans(self._nginx)
        held = [processes.listening(process) for process in nginx]
        held.append(processes.listening_of(policy_process.noted(self.home)))
        return frozenset(port for found in held for _, port in found)

    def holder(self, port: int) -> str:
        """See `Engine.holder`: an nginx is identified by its prefix."""
        return proxy_process.listener(port)

    def test_nginx(self, manifest: Manifest, files: Mapping[str, str]) -> str:
        """See `Engine.test_nginx`."""
        with tempfile.TemporaryDirectory(prefix="swiftdeploy-") as folder:
            for name, text in files.items():
                Path(folder, name).write_text(text, encoding="utf-8")
            proxy_process.test(Path(folder), Path(folder, "nginx.conf"))
        return proxy_process.find_nginx()

    def nginx_identity(self, manifest: Manifest) -> str:
        """See `Engine.nginx_identity`."""
        binary = Path(proxy_process.find_nginx())
        seen = binary.stat()
        return f"{binary}:{seen.st_size}:{seen.st_mtime_ns}"

    def candidate_site(self, manifest: Manifest) -> Site:
        """See `Engine.candidate_site`: files that nginx may open and leave behind nowhere."""
        return Site(
            bind=f"{HOST}:",
            operators=(HOST,),
            resolver="",
            pid="nginx.pid",
            temp=".",
            error_log="stderr",
            access_logs=("/dev/null",),
        )

    def review(self, manifest: Manifest) -> tuple[Site, str]:
        """See `Engine.review`."""
        site = dataclasses.replace(
            artifacts.CONTAINER_SITE, bind=f"{HOST}:", operators=(HOST,), resolver="", inline=True
        )
        return site, f"{HOST}:{manifest.services.port}"

    def obtain(self, manifest: Manifest, say: Say) -> None:
        """See `Engine.obtain`: there is nothing to build or pull."""

    def release(self, manifest: Manifest) -> Release:
        """See `Engine.release`."""
        words = source_copy.process(manifest, self.root)
        ours = root_files.made(manifest, root=self.root, home=self.home)
        artifact = source_copy.digest(source_copy.source(manifest, self.root), ours)
        return from_manifest(manifest, artifact=artifact, process=words)

    def keep(self, manifest: Manifest, release: Release) -> tuple[str, ...]:
        """See `Engine.keep`."""
        aside = source_copy.data_folder(self.home, release.id)
        moved = source_copy.copy(
            source_copy.source(manifest, self.root),
            self._copy(release),
            expected=release.artifact,
            name=manifest.services.source,
            aside=aside,
            ours=root_files.made(manifest, root=self.root, home=self.home),
        )
        return (f"{_files(moved)} changed in the copy of the source: moved to {aside}",) if moved else ()

    def prepare(self, manifest: Manifest) -> None:
        """See `Engine.prepare`."""
        for folder in (self._nginx, self._run, self._logs, self._counts):
            files.make_folder(folder)

    def facts(self, manifest: Manifest) -> Facts:
        """See `Engine.facts`."""
        site = Site(
            bind=f"{HOST}:",
            operators=(HOST,),
            resolver="",
            pid=str(self._run / "nginx.pid"),
            temp=str(self._run),
            error_log=str(self._logs / "nginx.log"),
            access_logs=(str(self._logs / "access.log"),),
            counts=str(self._counts),
        )
        placed = self.observe().slots
        return Facts(site, {slot: there.address for slot, there in placed.items() if there.address}, {})

    def observe(self) -> State:
        """See `Engine.observe`."""
        found = processes.heads(self._ours())
        slots = {slot: self._placement(one) for slot, one in processes.by_slot(found).items()}
        master = proxy_process.master(self._nginx)
        return State(self._proxy(master) if master else None, slots)

    def _proxy(self, master: psutil.Process) -> Proxy:
        former = proxy_process.former_prefix(master, self._nginx)
        trouble = f"was started as {former}, before the project's folder was renamed" if former else ""
        return Proxy(proxy_process.facts(master)[0], "", trouble=trouble)

    def _placement(self, one: processes.Found) -> Placement:
        """Return what this process is; one that was started under a former path is in another form."""
        port = one.environment.get(processes.PORT, "")
        moved = one.environment.get(processes.HOME) != str(self.home)
        return Placement(
            release=from_label(one.environment.get(processes.RELEASE, "")),
            spec="moved" if moved else _form(one.environment.get(processes.PROJECT, "")),
            live=one.runs,
            trouble="" if one.runs else "was stopped by a signal",
            address=f"{HOST}:{port}" if port else "",
            since=one.since,
        )

    def address(self, slot: Slot, release: Release) -> str:
        """See `Engine.address`: the port is a free one, found when the process starts."""
        return f"{HOST}:PORT"

    def reach(self, slot: Slot) -> tuple[str, int]:
        """See `Engine.reach`."""
        port = self.environment(slot).get(processes.PORT, "")
        return (HOST, int(port)) if port.isdecimal() else ("", 0)

    def listening(self, slot: Slot) -> frozenset[tuple[str, int]] | None:
        """See `Engine.listening`."""
        there = [one for one in self._ours() if one.environment.get(processes.SLOT) == slot]
        return processes.listening_of_all(there)

    def differences(self, compose: str) -> Mapping[str, tuple[Difference, ...]]:
        """See `Engine.differences`: what can change about a process is the copy that it runs from."""
        changed = Difference("the copy of the source", "unchanged", "changed or missing")
        placed = self.observe().slots.items()
        return {
            f"app-{slot}": (changed,)
            for slot, there in placed
            if there.release and not self.has(there.release)
        }

    def missing(self, manifest: Manifest, *, with_opa: bool) -> tuple[str, ...]:
        """See `Engine.missing`: nothing is shared between processes."""
        return ()

    def to_obtain(self, manifest: Manifest) -> Mapping[str, str]:
        """See `Engine.to_obtain`."""
        return {}

    def operator_port(self) -> int:
        """See `Engine.operator_port`."""
        master = proxy_process.master(self._nginx)
        return proxy_process.facts(master)[1] if master else 0

    def proxy_spec(self, manifest: Manifest, compose: str) -> str:
        """See `Engine.proxy_spec`."""
        made_of = [
            manifest.name,
            manifest.nginx.port,
            manifest.nginx.operator_port,
            self.nginx_identity(manifest),
        ]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]

    def slot_spec(self, slot: Slot, compose: str) -> str:
        """See `Engine.slot_spec`: the rest of what makes a process is in its release."""
        return _form(str(artifacts.parse_compose(compose)["name"]))

    def start_proxy(self, project: str, spec: str, operator_port: int) -> None:
        """See `Engine.start_proxy`."""
        proxy_process.end(self._nginx)
        proxy_process.start(self._nginx, self._logs / "nginx.log", spec=spec, operator_port=operator_port)

    def test_candidate(self, folder: Path) -> None:
        """See `Engine.test_candidate`."""
        proxy_process.test(self._nginx, folder / "next" / "nginx.conf")

    def reload_proxy(self) -> None:
        """See `Engine.reload_proxy`."""
        proxy_process.reload(self._master())

    def workers(self) -> Mapping[int, bool]:
        """See `Engine.workers`."""
        return proxy_process.workers(self._master())

    def draining(self, port: int) -> int | None:
        """See `Engine.draining`."""
        return proxy_process.draining(self._master(), port)

    def _master(self) -> psutil.Process:
        master = proxy_process.master(self._nginx)
        if master is None:
            raise ProxyError("nginx does not run any more", "invoke deploy", log=self.logs("nginx"))
        return master

    def start_slot(
        self, manifest: Manifest, slot: Slot, release: Release, secrets: Mapping[str, str]
    ) -> None:
        """See `Engine.start_slot`."""
        copy = self._copy(release)
        environment = self._environment(slot, release, secrets)
        try:
            launch.start(
                launch.expanded(release.process, environment),
                environment={processes.PROJECT: manifest.name, **environment},
                folder=copy if any(copy.iterdir()) else self.root,
                log=self._logs / f"app-{slot}.log",
            )
        except OSError as error:
            raise AppUnhealthy(
                f"app-{slot} cannot be started: {release.process[0]}: {error.strerror}",
                "correct services.process in manifest.yaml",
            ) from None

    def _environment(self, slot: Slot, release: Release, secrets: Mapping[str, str]) -> dict[str, str]:
        plain = {name: value for name, value in release.env if value is not None}
        secret = {name: secrets[source] for name, source in release.secrets}
        return {
            **plain,
            **secret,
            "MODE": release.mode,
            "APP_VERSION": release.version,
            processes.PORT: str(launch.free_port()),
            "APP_HOST": HOST,
            processes.HOME: str(self.home),
            processes.PART: "app",
            processes.SLOT: slot,
            processes.RELEASE: release.label,
        }

    def stop_slot(self, slot: Slot, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """See `Engine.stop_slot`: what was written stays in the release's copy of the source."""
        return self._end(lambda one: one.environment.get(processes.SLOT) == slot)

    def volume_notice(self, manifest: Manifest) -> str:
        """See `Engine.volume_notice`: there is no image."""
        return ""

    def data(self, slot: Slot) -> tuple[str, ...]:
        """See `Engine.data`: what the app writes into its copy stays with the release."""
        return ()

    def _end(self, chosen: Callable[[processes.Found], bool]) -> tuple[str, ...]:
        """End these processes; return what to say of the files that they wrote into their copies.

        Raises EngineError for a process that lives on.
        """
        placed, said = processes.by_slot([one for one in self._ours() if chosen(one)]), []
        if left := processes.end_all(str(self.home), chosen):
            pids = " ".join(str(one.process.pid) for one in left)
            raise EngineError(f"{', '.join(map(_name, left))} did not end after SIGKILL", f"kill -9 {pids}")
        for slot, one in placed.items():
            release = from_label(one.environment.get(processes.RELEASE, ""))
            copy = self._copy(release) if release else None
            if copy and (names := source_copy.written(copy)):
                said.append(
                    f"app-{slot} wrote {_files(names)} into its copy of the source, which no other release "
                    f"gets: {copy}"
                )
        return tuple(said)

    def _end_part(self, part: str) -> tuple[str, ...]:
        return self._end(lambda one: _part(one) == part)

    def environment(self, slot: Slot) -> Mapping[str, str]:
        """See `Engine.environment`."""
        there = [one for one in self._ours() if one.environment.get(processes.SLOT) == slot]
        ranked = sorted(processes.heads(there) + there, key=lambda one: not one.carries)
        return dict(ranked[0].environment) if ranked else {}

    def has(self, release: Release) -> bool:
        """See `Engine.has`."""
        return source_copy.is_intact(self._copy(release))

    def is_alive(self, slot: Slot) -> bool:
        """See `Engine.is_alive`."""
        return any(o.runs for o in self._ours() if o.environment.get(processes.SLOT) == slot)

    def logs(self, component: str, *, lines: int = 20) -> tuple[str, ...]:
        """See `Engine.logs`."""
        return files.last_lines(self._logs / f"{component}.log", lines, most=LOG_BYTES)

    def access_log(self, seconds: float) -> tuple[str, ...]:
        """See `Engine.access_log`: what is older is among the lines, each of which has its time."""
        return files.last_lines(self._logs / "access.log", ACCESS_LINES, most=ACCESS_BYTES)

    def prepare_opa(self, manifest: Manifest, say: Say) -> None:
        """See `Engine.prepare_opa`."""
        policy_process.binary()
        files.make_folder(self._logs)

    def opa_spec(self, manifest: Manifest, compose: str) -> str:
        """See `Engine.opa_spec`."""
        return f"{_PORT}{manifest.opa.port}"

    def has_opa(self) -> bool:
        """See `Engine.has_opa`."""
        return bool(self._of_part("opa"))

    def opa_fault(self, spec: str, compose: str) -> str:
        """See `Engine.opa_fault`."""
        port = int(spec.removeprefix(_PORT))
        return policy_process.fault(self._of_part("opa"), self.home, spec, port)

    def start_opa(self, manifest: Manifest, spec: str, say: Say) -> None:
        """See `Engine.start_opa`."""
        self.stop_opa()
        say(f"starting opa on {HOST}:{manifest.opa.port}")
        policy_process.start(manifest, self.home, spec=spec, log=self._logs / "opa.log")

    def opa_identity(self, manifest: Manifest) -> str:
        """See `Engine.opa_identity`."""
        return policy_process.identity()

    def run_opa(self, manifest: Manifest, files: Mapping[str, bytes], words: Sequence[str]) -> str:
        """See `Engine.run_opa`."""
        return policy_process.run(files, words)

    def opa_doubt(self, manifest: Manifest) -> str:
        """See `Engine.opa_doubt`."""
        return policy_process.doubt(self.home, manifest.opa.port)

    def stop_opa(self) -> None:
        """See `Engine.stop_opa`."""
        self._end(lambda one: one.environment.get(processes.PART) == "opa")

    def disks(self) -> tuple[Path, ...]:
        """See `Engine.disks`."""
        return (self.root, self.home)

    def quiesce(self) -> None:
        """See `Engine.quiesce`: a verb leaves no child process behind."""

    def strangers(self) -> tuple[str, ...]:
        """See `Engine.strangers`."""
        return tuple(map(_name, processes.strangers(self._ours())))

    def remove_strangers(self) -> tuple[str, ...]:
        """See `Engine.remove_strangers`."""
        found = processes.strangers(self._ours())
        gone = {one.process for one in found}
        self._end(lambda one: one.process in gone)
        return tuple(map(_name, found))

    def remove_all(self, say: Say, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """See `Engine.remove_all`."""
        removed = []
        if proxy_process.end(self._nginx):
            say("stopped nginx")
            removed.append("nginx")
        found = self._ours()
        for part in sorted({_part(one) for one in found}):
            say(f"stopping {part}")
            for sentence in self._end_part(part):
                say(sentence)
            removed.append(part)
        return tuple(removed)

    def _of_part(self, part: str) -> list[processes.Found]:
        return [one for one in self._ours() if one.environment.get(processes.PART) == part]

    def _ours(self) -> list[processes.Found]:
        return processes.ours(str(self.home))

    def _copy(self, release: Release) -> Path:
        return self.home / "releases" / release.id / "source"

    @property
    def _nginx(self) -> Path:
        return self.home / "nginx"

    @property
    def _run(self) -> Path:
        return self.home / "run"

    @property
    def _counts(self) -> Path:
        return self.home / "counts"

    @property
    def _logs(self) -> Path:
        return self.home / "logs"


def _files(names: tuple[str, ...]) -> str:
    """Return how many files these are and the first of their names."""
    shown, more = ", ".join(names[:_SHOWN]), len(names) - _SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return f"{len(names)} file{'s' if len(names) > 1 else ''} ({shown}{rest})"


def _part(one: processes.Found) -> str:
    slot = one.environment.get(processes.SLOT)
    return f"app-{slot}" if slot else one.environment.get(processes.PART, "process")


def _name(one: processes.Found) -> str:
    return f"{_part(one)} (pid {one.process.pid})"


def _form(project: str) -> str:
    return f"process of {project}"
