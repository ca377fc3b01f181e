"""The Docker Engine of this host: its address, the client, and the labels of our objects.

Every object carries the labels `swiftdeploy.project` and `swiftdeploy.home`; the home alone decides
ownership.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from swiftdeploy_tasks.errors import EngineError, PreflightError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.tls import TLSConfig

SOCKET = "unix:///var/run/docker.sock"
PROJECT, HOME = "swiftdeploy.project", "swiftdeploy.home"
# The label of a data volume: one of services.volumes.
DATA = "swiftdeploy.data"
FORBIDDEN = "permission denied: this user may not use it"
FIRST_SECONDS = 5
SECONDS = 60
# A container may print lines without an end.
LOG_BYTES = 1 << 18
_HERE = ("127.0.0.1", "localhost", "::1")


def address() -> str:
    """Return the engine's address, found as the docker client finds it.

    Raises PreflightError when it is not on this host.
    """
    found, named, cure = _asked()
    try:
        parts = urlsplit(found)
        is_here = parts.scheme == "unix" or (parts.scheme in {"tcp", "http"} and parts.hostname in _HERE)
        is_here = is_here and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise PreflightError(f"{named} is {found!r}, which is not a valid address: {error}", cure) from None
    if not is_here:
        raise PreflightError(
            f"{named} is {found!r}, which is another host; SwiftDeploy deploys to this host only", cure
        )
    return found


def context() -> str:
    """Return the name of the docker context that is in force, "" for the default one."""
    name = os.environ.get("DOCKER_CONTEXT")
    if not name:
        with suppress(OSError, ValueError, AttributeError):
            name = json.loads((_configuration() / "config.json").read_bytes()).get("currentContext")
    return "" if not name or name == "default" else str(name)


def certificates() -> Path | None:
    """Return the folder with ca.pem, cert.pem and key.pem for the engine, None without TLS."""
    if os.environ.get("DOCKER_HOST"):
        wanted = os.environ.get("DOCKER_TLS_VERIFY")
        return Path(os.environ.get("DOCKER_CERT_PATH") or _configuration()) if wanted else None
    folder = _configuration() / "contexts" / "tls" / _digest(context()) / "docker"
    return folder if context() and folder.is_dir() else None


def environment() -> dict[str, str]:
    """Return the variables by which a docker command reaches the same engine in the same way."""
    found = {"DOCKER_HOST": address()}
    if folder := certificates():
        found |= {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}
    return found


def _digest(context: str) -> str:
    return hashlib.sha256(context.encode()).hexdigest()


def _asked() -> tuple[str, str, str]:
    """Return the address, the variable or context that names it, and the command that unsets it."""
    if host := os.environ.get("DOCKER_HOST"):
        return host, "DOCKER_HOST", "unset DOCKER_HOST"
    name = context()
    cure = "unset DOCKER_CONTEXT" if os.environ.get("DOCKER_CONTEXT") else "docker context use default"
    if not name:
        return SOCKET, "the default address", cure
    about = _configuration() / "contexts" / "meta" / _digest(name) / "meta.json"
    try:
        host = str(json.loads(about.read_bytes())["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = "there is no such context" if isinstance(error, FileNotFoundError) else f"{about}: {error}"
        raise PreflightError(f"the docker context {name!r} cannot be used: {why}", cure) from None
    return host, f"the docker context {name!r}", cure


def _configuration() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path(os.environ.get("HOME") or "/") / ".docker")


@functools.cache
def client() -> DockerClient:
    """Return the client, having spoken to the engine once; raises EngineError when it does not answer."""
    import docker
    import requests
    from docker.constants import DEFAULT_DOCKER_API_VERSION
    from docker.errors import DockerException

    where = address()
    try:
        found = docker.DockerClient(
            base_url=where, version=DEFAULT_DOCKER_API_VERSION, timeout=FIRST_SECONDS, tls=_tls() or False
        )
        # The engine is on this host: a proxy of the environment is not for it, and to look for one costs a
        # third of each question. The client would ask for the version before this can be said.
        found.api.trust_env = False
        found.api._version = found.api.version(api_version=False)["ApiVersion"]  # type: ignore[attr-defined]
    except (DockerException, requests.RequestException, OSError) as error:
        raise _unreachable(where, reason(error)) from None
    found.api.timeout = SECONDS
    return found


def _tls() -> TLSConfig | None:
    """Return the certificates for a client; raises a DockerException where one is missing."""
    from docker.tls import TLSConfig

    folder = certificates()
    if folder is None:
        return None
    own = str(folder / "cert.pem"), str(folder / "key.pem")
    return TLSConfig(client_cert=own, ca_cert=str(folder / "ca.pem"), verify=True)


def _unreachable(where: str, why: str) -> EngineError:
    cure = "add this user to the group docker" if why == FORBIDDEN else "start the Docker Engine"
    return EngineError(
        f"the Docker Engine at {where} cannot be used: {why}",
        f"{cure}, or set engine: local in manifest.yaml",
    )


@contextmanager
def translated(
    what: str, *, kind: type[EngineError] = EngineError, next: str = "invoke validate"
) -> Iterator[None]:
    """Turn the engine's own errors into ours: `what` says what was tried."""
    import requests
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise kind(f"{what}: {reason(error)}", next) from None


def reason(error: Exception) -> str:
    """Return what the engine said, in one line."""
    text = str(getattr(error, "explanation", None) or error)
    if "FileNotFoundError" in text:
        return "there is no such socket"
    if "Connection refused" in text or "ConnectionRefusedError" in text:
        return "nothing listens there"
    if "timed out" in text:
        return "no answer in time"
    if "PermissionError" in text:
        return FORBIDDEN
    return re.sub(r"\s+", " ", text).strip()[:400]


def last_output(container: Container, *, most: int = LOG_BYTES, **options: Any) -> str:
    """Return the last `most` bytes of what the container printed; `options` are those of docker's logs."""
    last = bytearray()
    for chunk in container.logs(stream=True, follow=False, **options):
        last += chunk
        if len(last) > 2 * most:
            del last[:-most]
    return last[-most:].decode("utf-8", "replace")


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of these files by their paths, which every user may read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            packed.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@functools.cache
def data_root() -> Path:
    """Return the folder in which the engine keeps its data."""
    with translated("the engine's data root cannot be asked"):
        return Path(client().info()["DockerRootDir"])


def labels(project: str, home: str) -> dict[str, str]:
    """Return the labels of an object of ours."""
    return {PROJECT: project, HOME: home}


def refuse_stranger(
    what: str, name: str, found: Mapping[str, Any], home: str, *, cure: str = "choose another name"
) -> None:
    """Raise PreflightError when an object that we want by name belongs to another project or program."""
    owner = found.get(HOME)
    if owner == home:
        return
    whose = f"belongs to the project whose state is {owner}" if owner else "was not made by SwiftDeploy"
    way_out = f"{cure} in manifest.yaml"
    if owner and not Path(owner).exists():
        whose += ", which is not here any more"
    if owner and not Path(owner).exists():
        remove = f"docker {what} rm {'-f ' if what == 'container' else ''}{name}"
        # Only from the same path this data is within reach.
        back = f"move the project's folder back to {Path(owner).parent}"
        way_out += f", or: {back if DATA in found else remove}"
    raise PreflightError(f"the {what} {name} exists and {whose}", way_out)
