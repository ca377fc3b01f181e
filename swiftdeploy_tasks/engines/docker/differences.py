"""The differences between a container and its Spec as it was written.

Pure: the inputs are the written Spec, the engine's description of the container, and the image's defaults. A
key that no Spec has is not compared, nor is the value of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from swiftdeploy_tasks.model.spec import Document
from swiftdeploy_tasks.model.state import Difference

Form = Mapping[str, Any]

EVERYWHERE = "0.0.0.0"  # noqa: S104  (only named)
# What compose adds from `proxies` in Docker's config.json, unless the Spec has a value.
_PROXIES = {f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "FTP", "NO", "ALL")}
_NOT_COMPARED = object()
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")


def differences(document: Document, container: Form, image: Form) -> tuple[Difference, ...]:
    """Return how `container` differs from the Spec; container and image are as inspect gives them.

    `image` is the one that the Spec names.
    """
    wanted, found = _wanted(document, image), _found(container, image)
    return tuple(
        Difference(what, _shown(wanted[what]), _shown(found[what]))
        for what in wanted
        if wanted[what] is not _NOT_COMPARED and wanted[what] != found[what]
    ) + tuple(_variables(document, container, image))


def _wanted(own: Document, image: Form) -> dict[str, Any]:
    from docker.utils import parse_bytes

    defaults = image["Config"]
    entrypoint = own.get("entrypoint")
    return {
        "the image": own["image"] if str(own["image"]).startswith("sha256:") else image["Id"],
        "the entrypoint": _words(entrypoint) if entrypoint else _words(defaults.get("Entrypoint")),
        "the command": _words(own.get("command") or (None if entrypoint else defaults.get("Cmd"))),
        "the user": str(own.get("user") or defaults.get("User") or ""),
        "privileged": bool(own.get("privileged")),
        "the added capabilities": _capabilities(own.get("cap_add")),
        "the dropped capabilities": _capabilities(own.get("cap_drop")),
        "the security options": sorted(own.get("security_opt") or ()),
        "the read-only root": bool(own.get("read_only")),
        "the limit of processes": int(own.get("pids_limit") or 0),
        "the memory": _mebibytes(parse_bytes(own["mem_limit"]) if "mem_limit" in own else 0),
        "the number of CPUs": float(own.get("cpus") or 0),
        "the restart policy": str(own.get("restart") or "no"),
        "init": bool(own.get("init")),
        "the shared namespaces": sorted(
            f"{kind} {own[kind]}" for kind in ("pid", "ipc", "network_mode") if own.get(kind)
        ),
        "the devices": sorted(own.get("devices") or ()),
        "the published ports": _ports(own.get("ports") or ()),
        "the mounts": _mounts(own.get("volumes") or ()),
        "the networks": sorted(own.get("networks") or ()),
    }


def _found(container: Form, image: Form) -> dict[str, Any]:
    config, host = container["Config"], container["HostConfig"]
    of_the_image = image["Config"].get("Volumes") or {}
    return {
        "the image": container["Image"],
        "the entrypoint": _words(config.get("Entrypoint")),
        "the command": _words(config.get("Cmd")),
        "the user": config.get("User") or "",
        "privileged": bool(host.get("Privileged")),
        "the added capabilities": _capabilities(host.get("CapAdd")),
        "the dropped capabilities": _capabilities(host.get("CapDrop")),
        "the security options": sorted(host.get("SecurityOpt") or ()),
        "the read-only root": bool(host.get("ReadonlyRootfs")),
        "the limit of processes": int(host.get("PidsLimit") or 0),
        "the memory": _mebibytes(host.get("Memory") or 0),
        "the number of CPUs": (host.get("NanoCpus") or 0) / 1e9,
        "the restart policy": host.get("RestartPolicy", {}).get("Name") or "no",
        "init": bool(host.get("Init")),
        "the shared namespaces": sorted(_shared(host)),
        "the devices": sorted(device["PathOnHost"] for device in host.get("Devices") or ()),
        "the published ports": sorted(
            _port(held.get("HostIp"), held["HostPort"], inside)
            for inside, bindings in (host.get("PortBindings") or {}).items()
            for held in bindings or ()
        ),
        "the mounts": sorted(
            _mount(one.get("Name") or one["Source"], one["Destination"], writable=one["RW"])
            for one in container.get("Mounts") or ()
            if one["Destination"] not in of_the_image or not is_anonymous(one)
        ),
        "the networks": sorted(container["NetworkSettings"]["Networks"]),
    }


def _variables(own: Document, container: Form, image: Form) -> Iterator[Difference]:
    plain, secret = _environment(own.get("environment") or {}), (own.get("secrets") or {}).keys()
    wanted = _environment(image["Config"].get("Env") or ()) | plain
    found = _environment(container["Config"].get("Env") or ())
    for name in sorted(wanted.keys() | found.keys() | secret):
        if name.upper() in _PROXIES and name not in plain.keys() | secret:
            continue
        what = f"the variable {name}"
        if name not in found:
            yield Difference(what, "a value", "not set")
        elif name not in wanted and name not in secret:
            yield Difference(what, "none", "set")
        elif name in wanted and name not in secret and wanted[name] != found[name]:
            yield Difference(what, repr(wanted[name]), repr(found[name]))


def _environment(pairs: Any) -> dict[str, str]:
    if isinstance(pairs, Mapping):
        return {str(name): str(value) for name, value in pairs.items()}
    return {name: value for name, _, value in (str(pair).partition("=") for pair in pairs)}


def _words(command: Any) -> Any:
    return _NOT_COMPARED if isinstance(command, str) else [str(word) for word in command or ()]


def _capabilities(names: Any) -> list[str]:
    return sorted(str(name).upper().removeprefix("CAP_") for name in names or ())


def _ports(ports: Any) -> Any:
    if any(not isinstance(port, Mapping) for port in ports):
        return _NOT_COMPARED
    return sorted(
        _port(port.get("host_ip"), port["published"], f"{port['target']}/{port.get('protocol', 'tcp')}")
        for port in ports
    )


def _port(address: str | None, outside: Any, inside: str) -> str:
    return f"{address or EVERYWHERE}:{outside}->{inside}"


def _mounts(mounts: Any) -> Any:
    if any(not isinstance(one, Mapping) for one in mounts):
        return _NOT_COMPARED
    return sorted(_mount(one["source"], one["target"], writable=not one.get("read_only")) for one in mounts)


def is_anonymous(mount: Form) -> bool:
    """Return whether this is an anonymous volume, which the engine made for one container."""
    return mount.get("Type") == "volume" and bool(_ANONYMOUS.fullmatch(str(mount.get("Name"))))


def _mount(source: str, target: str, *, writable: bool) -> str:
    return f"{source} at {target} ({'rw' if writable else 'ro'})"


def _shared(host: Form) -> Iterator[str]:
    if pid := host.get("PidMode"):
        yield f"pid {pid}"
    if (ipc := host.get("IpcMode")) and ipc not in {"private", "shareable"}:
        yield f"ipc {ipc}"
    if (network := str(host.get("NetworkMode"))) == "host" or network.startswith("container:"):
        yield f"network_mode {network}"


def _mebibytes(count: float) -> str:
    return f"{count / 2**20:g} MiB" if count else "not limited"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"
