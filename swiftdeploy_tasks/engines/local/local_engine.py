"""The local engine: nginx, OPA and two slots as processes on 127.0.0.1.

It is for developers' machines and CI. A process that dies stays dead until the next deploy, and
`services.resources` and `services.restart_policy` are not enforced.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swiftdeploy_tasks.engines.local import (
    access_log_file,
    app_process,
    binaries,
    policy_process,
    process_checks,
    process_state,
    processes,
    proxy_process,
    source_copy,
    volume_folders,
)
from swiftdeploy_tasks.engines.local.own_nginx import OwnNginx
from swiftdeploy_tasks.engines.protocol import (
    Facts,
    Inspection,
    Leaving,
    Missing,
    Ran,
    Say,
)
from swiftdeploy_tasks.errors import EngineError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.metrics import AccessLog
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.release import Release, Slot, from_label, from_manifest
from swiftdeploy_tasks.model.spec import Spec, Written, documents
from swiftdeploy_tasks.model.state import Difference, Site, State
from swiftdeploy_tasks.proxy import publication, root_files
from swiftdeploy_tasks.proxy.publication import Configuration
from swiftdeploy_tasks.system import files

HOST = components.LOOPBACK
# An app may print lines without an end: this much of a log is read for its last ones.
LOG_BYTES = 1 << 18


@dataclass(frozen=True)
class LocalEngine:
    """Processes that carry `home`, run from copies kept below it; `root` is the project's folder."""

    root: Path
    home: Path
    name: str = "local"

    def check(self, manifest: Manifest, *, with_opa: bool) -> tuple[Finding, ...]:
        """See `Engine.check`."""
        return process_checks.all_of(manifest, self.root, self.home, with_opa=with_opa)

    def missing(self, manifest: Manifest, *, with_opa: bool) -> tuple[Missing, ...]:
        """See `Engine.missing`: nothing is built, and nothing is shared between processes."""
        return ()

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
            source_copy.folder(self.home, release),
            expected=release.artifact,
            name=manifest.services.source,
            aside=aside,
            ours=root_files.made(manifest, root=self.root, home=self.home),
        )
        said = f"{source_copy.listed(moved)} changed in the copy of the source: moved to {aside}"
        return (said,) if moved else ()

    def identity(self, spec: Spec) -> str:
        """See `Engine.identity`: that of an app is the copy that it runs from."""
        if spec.release:
            is_here = source_copy.is_intact(source_copy.folder(self.home, spec.release))
            return spec.release.artifact if is_here else ""
        return binaries.identity(spec.component)

    def prepare(self, specs: Sequence[Spec], say: Say) -> None:
        """See `Engine.prepare`."""
        for spec in specs:
            if not spec.release:
                binaries.path(spec.component)
            for volume in spec.release.volumes if spec.release else ():
                files.make_folder(volume_folders.place(self.home, volume.name))
        for folder in (self._nginx, self._run, self._logs, self._counts):
            files.make_folder(folder)

    def facts(self, manifest: Manifest) -> Facts:
        """See `Engine.facts`: nginx may open the candidate's files, and leaves them behind nowhere."""
        site = Site(
            bind=f"{HOST}:",
            operators=(HOST,),
            resolver="",
            pid=str(self._run / "nginx.pid"),
            temp=str(self._run),
            error_log=str(self._logs / "nginx.log"),
            access_logs=(str(self._access_log),),
            counts=str(self._counts),
            # The port is a free one, found when the process starts.
            address=f"{HOST}:PORT",
            cores=os.cpu_count() or 0,
        )
        placed = self.observe().slots
        return Facts(
            site=site,
            candidate=dataclasses.replace(
                site, pid="nginx.pid", temp=".", error_log="stderr", access_logs=("/dev/null",), counts=""
            ),
            addresses={slot: there.address for slot, there in placed.items() if there.address},
            disks=(self.root, self.home),
            open_files=proxy_process.open_files_limit(),
        )

    def observe(self) -> State:
        """See `Engine.observe`."""
        return process_state.observe(self.home)

    def written(self, specs: Sequence[Spec]) -> Written:
        """See `Engine.written`: no file says how a process runs, and most of an app's is in its release."""
        return Written(documents(specs), {spec.component: self._digest(spec) for spec in specs})

    def _digest(self, spec: Spec) -> str:
        if spec.release:
            return process_state.form(spec.project)
        ports = [port.published for port in spec.ports]
        if spec.component == components.OPA:
            return f"port-{ports[0]}"
        made_of = [spec.project, *ports, self.identity(spec)]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]

    def differences(self, written: Written) -> Mapping[str, tuple[Difference, ...]]:
        """See `Engine.differences`: what can change about a process is the copy that it runs from."""
        changed = Difference("the copy of the source", "unchanged", "changed or missing")
        placed = self.observe().slots.items()
        return {
            components.app(slot): (changed,)
            for slot, there in placed
            if there.release and not source_copy.is_intact(source_copy.folder(self.home, there.release))
        }

    def start(self, spec: Spec, secrets: Mapping[str, str]) -> None:
        """See `Engine.start`."""
        if spec.component == components.NGINX:
            proxy_process.end(self._nginx)
            proxy_process.start(self._nginx, self._log(spec), spec=self._digest(spec), ports=spec.ports)
        elif spec.component == components.OPA:
            self.stop(spec.component)
            policy_process.start(spec, self.home, digest=self._digest(spec), log=self._log(spec))
        else:
            app_process.start(spec, secrets, root=self.root, home=self.home, log=self._log(spec))

    def stop(self, component: str, *, discard_volumes: bool = False) -> tuple[str, ...]:
        """See `Engine.stop`: what was written stays in the release's copy of the source."""
        strangers = {
            one.process
            for one in processes.strangers(self._ours())
            if process_state.name_of(one) == component
        }
        return self._end(lambda one: process_state.part(one) == component or one.process in strangers)

    def _end(self, chosen: Callable[[processes.Found], bool]) -> tuple[str, ...]:
        """End these processes; return what to say of the files that they wrote into their copies.

        Raises EngineError for a process that lives on.
        """
        placed, said = processes.by_slot([one for one in self._ours() if chosen(one)]), []
        if left := processes.end_all(str(self.home), chosen):
            pids = " ".join(str(one.process.pid) for one in left)
            raise EngineError(
                f"{', '.join(map(process_state.name_of, left))} did not end after SIGKILL", f"kill -9 {pids}"
            )
        for slot, one in placed.items():
            release = from_label(one.environment.get(processes.RELEASE, ""))
            copy = source_copy.folder(self.home, release) if release else None
            if copy and (names := source_copy.written(copy)):
                said.append(
                    f"{components.app(slot)} wrote {source_copy.listed(names)} into its copy of the source, "
                    f"which no other release gets: {copy}"
                )
        return tuple(said)

    def run(self, spec: Spec, files: Mapping[str, bytes], words: Sequence[str]) -> Ran:
        """See `Engine.run`."""
        return binaries.run(spec.component, files, words)

    def publish(self, new: Configuration, *, back: Configuration | None = None) -> None:
        """See `Engine.publish`: nginx opens its log again when it loads the configuration."""
        access_log_file.rotate(self._access_log)
        publication.publish(self._own_nginx, self._nginx, new, back=back)

    def leaving(self, slot: Slot | None = None) -> Leaving:
        """See `Engine.leaving`."""
        nginx = self._own_nginx
        workers = frozenset(pid for pid, leaves in nginx.workers().items() if leaves)
        _, port = self.observe().reach(slot)
        return Leaving(workers, nginx.draining_connections(port) if port else None)

    def logs(self, component: str, *, lines: int = 20) -> tuple[str, ...]:
        """See `Engine.logs`."""
        return files.last_lines(self._logs / f"{component}.log", lines, most=LOG_BYTES)

    def access_log(self, seconds: float) -> AccessLog:
        """See `Engine.access_log`."""
        return access_log_file.read(self._access_log, seconds)

    def inspect(self, slot: Slot) -> Inspection:
        """See `Engine.inspect`: what the app writes into its copy stays with the release."""
        there = [one for one in self._ours() if process_state.is_in(one, slot)]
        return Inspection(processes.listening_of_all(there), ())

    def quiesce(self) -> None:
        """See `Engine.quiesce`: a verb leaves no child process behind."""

    def remove_all(
        self, say: Say, *, discard_volumes: bool = False, data_volumes: bool = False
    ) -> tuple[str, ...]:
        """See `Engine.remove_all`."""
        removed = []
        if proxy_process.end(self._nginx):
            say("stopped nginx")
            removed.append(components.NGINX)
        for part in sorted({process_state.part(one) for one in self._ours()}):
            say(f"stopping {part}")
            for sentence in self._end(lambda one, part=part: process_state.part(one) == part):  # type: ignore[misc]
                say(sentence)
            removed.append(part)
        removed += volume_folders.remove_all(self.home, say) if data_volumes else ()
        if not data_volumes:
            volume_folders.say_kept(self.home, say)
        return tuple(removed)

    def _ours(self) -> list[processes.Found]:
        return processes.ours(str(self.home))

    @property
    def _own_nginx(self) -> OwnNginx:
        return OwnNginx(self._nginx, self._logs / "nginx.log")

    def _log(self, spec: Spec) -> Path:
        return self._logs / f"{spec.component}.log"

    @property
    def _access_log(self) -> Path:
        return self._logs / "access.log"

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
