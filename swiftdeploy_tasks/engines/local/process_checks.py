"""The local engine's pre-flight checks: `engine`, `image` and `port`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from swiftdeploy_tasks.engines import port_check
from swiftdeploy_tasks.engines.local import policy_process, processes, proxy_process, source_copy
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.finding import Finding
from swiftdeploy_tasks.model.release import LATER_FIELDS

_UNREADABLE = '"$\\{};\n*?['


def all_of(manifest: Manifest, root: Path, home: Path, *, with_opa: bool) -> tuple[Finding, ...]:
    """Make the checks `engine`, `image`, `port` and `compose`; `fields` fails for each unsupported key."""
    compose = Finding("compose", None, "not checked: the local engine does not use compose")
    port = port_check.check(manifest, with_opa=with_opa, ours=_held(home), holder=proxy_process.listener)
    return (*_fields(manifest), _engine(manifest, str(home)), _source(manifest, root, home), port, compose)


def _fields(manifest: Manifest) -> Iterator[Finding]:
    """Yield a failed check for each key that the local engine does not support."""
    given = {"services.user": manifest.services.user, "services.tmpfs": manifest.services.tmpfs}
    for path, value in given.items():
        default = LATER_FIELDS[path.removeprefix("services.")]
        if value != default:
            message = f"{path} is {_as_yaml(value)}, which the docker engine alone supports"
            way_out = f"set engine: docker, or remove {path} ({_as_yaml(default)})"
            yield Finding("fields", False, message, way_out)


def _as_yaml(value: object) -> str:
    """Return a value as it is written in a manifest."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _held(home: Path) -> frozenset[int]:
    """Return the ports that our own nginx and OPA hold."""
    prefix = home / "nginx"
    master = proxy_process.master(prefix)
    nginx = [master] if master else proxy_process.orphans(prefix)
    held = [processes.listening(process) for process in nginx]
    held.append(processes.listening_of(policy_process.noted(home)))
    return frozenset(port for found in held for _, port in found)


def _engine(manifest: Manifest, home: str) -> Finding:
    if unusable := sorted({sign for sign in _UNREADABLE if sign in home}):
        return Finding(
            "engine",
            False,
            f"the state folder {home} holds {' '.join(unusable)}, which nginx cannot read in a path",
            "move the project, or set INVOKE_SWIFTDEPLOY_STATE",
        )
    other, pids = processes.other_home(manifest.name, home)
    if other and not Path(other).exists():
        master = proxy_process.master(Path(other, "nginx"))
        left = " ".join(map(str, [*pids, *([master.pid] if master else [])]))
        message = f"processes of {manifest.name!r} run (pid {left}), and their state folder {other} is gone"
        return Finding("engine", False, message, f"kill {left}")
    if other:
        message = f"the name {manifest.name!r} is taken: the project whose state is {other} runs under it"
        return Finding("engine", False, message, "choose another name in manifest.yaml")
    return Finding("engine", True, "local: processes on 127.0.0.1")


def _source(manifest: Manifest, root: Path, home: Path) -> Finding:
    try:
        words = source_copy.process(manifest, root)
        kept = source_copy.source(manifest, root)
        why = _lacks(words[0], manifest, root, home)
    except PreflightError as error:
        return Finding("image", False, error.message, error.next)
    except OSError as error:
        message = f"services.source cannot be read: {error.filename}: {error.strerror}"
        return Finding("image", False, message, "make it readable for this user")
    if why:
        return Finding(
            "image",
            False,
            f"services.process starts {words[0]!r}, and {why}",
            "correct services.process or services.source in manifest.yaml",
        )
    source = f", from a copy of {kept.name}" if kept else ""
    return Finding("image", True, f"will run: {' '.join(words)}{source}")


def _lacks(word: str, manifest: Manifest, root: Path, home: Path) -> str:
    """Return why this program cannot be started, "" when it can; a path is one in the folder it runs in."""
    if "/" in word:
        return source_copy.lacks(word, manifest, root, home)
    return "" if word == "python" or shutil.which(word) else "there is no such program on PATH"
