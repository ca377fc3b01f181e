"""Conflicts in the section `nginx`: paths of routes, networks of proxies, memory for the connections."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from swiftdeploy_tasks.manifest.model import mebibytes
from swiftdeploy_tasks.manifest.source import Conflict, Where

# nginx answers these paths itself.
_OWN = "/swiftdeploy"
# nginx takes this address for a malformed one.
_BROADCAST = ipaddress.ip_network("255.255.255.255")
_MEMORY = re.compile(r"\d{1,6}[mMgG]")
# nginx needs this much without clients, and then 1 MiB (its own and the kernel's) for so many connections.
_BASE_MIB, _CONNECTIONS_PER_MIB = 64, 128


def all_of(data: Mapping[str, Any]) -> Iterator[Conflict]:
    """Yield each conflict in the section `nginx`."""
    nginx = data.get("nginx")
    if isinstance(nginx, dict):
        yield from _routes(nginx)
        yield from _networks(nginx)
        yield from _memory(nginx)


def _routes(nginx: Mapping[str, Any]) -> Iterator[Conflict]:
    private = _texts(nginx, "private")
    found: list[str] = []
    for index, route in enumerate(_list(nginx, "routes")):
        path = route.get("path") if isinstance(route, dict) else None
        if not isinstance(path, str):
            continue
        where: Where = ("nginx", "routes", index, "path")
        private_path = next((one for one in private if _is_below(path, one)), None)
        if path in found:
            yield Conflict(where, path, "is the path of another route", "keep one of them")
        elif private_path:
            message = f"is private: {private_path} in nginx.private is answered with 403"
            yield Conflict(where, path, message, f"remove it, or {private_path} from nginx.private")
        elif _is_below(path, _OWN):
            yield Conflict(where, path, "is nginx's own, and never reaches the app", "remove it")
        found.append(path)


def _is_below(path: str, other: str) -> bool:
    return f"{path.lower()}/".startswith(f"{other.lower()}/")


def _networks(nginx: Mapping[str, Any]) -> Iterator[Conflict]:
    for index, text in enumerate(_list(nginx, "trusted_proxies")):
        if not isinstance(text, str):
            continue
        where: Where = ("nginx", "trusted_proxies", index)
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            yield Conflict(where, text, "is not a network", "write one such as 10.0.0.0/8 or 2001:db8::/32")
            continue
        if "/" in text and ipaddress.ip_interface(text).ip != network.network_address:
            yield Conflict(where, text, "is an address inside a network", f"write {network}")
        elif network == _BROADCAST:
            yield Conflict(where, text, "is the broadcast address, from which no request comes", "remove it")


def _memory(nginx: Mapping[str, Any]) -> Iterator[Conflict]:
    resources, connections = nginx.get("resources"), nginx.get("connections")
    memory = resources.get("memory") if isinstance(resources, dict) else None
    if not isinstance(connections, int) or not isinstance(memory, str) or not _MEMORY.fullmatch(memory):
        return
    least = _BASE_MIB + connections // _CONNECTIONS_PER_MIB
    if mebibytes(memory.lower()) < least:
        message = f"is too little for {connections} connections"
        fix = f"write at least {least}m, or lower nginx.connections"
        yield Conflict(("nginx", "resources", "memory"), memory, message, fix)


def _list(nginx: Mapping[str, Any], key: str) -> list[Any]:
    found = nginx.get(key)
    return found if isinstance(found, list) else []


def _texts(nginx: Mapping[str, Any], key: str) -> list[str]:
    return [one for one in _list(nginx, key) if isinstance(one, str)]
