"""The host names that nginx serves: a regular expression for nginx.conf, and the Host of our own requests."""

from __future__ import annotations

import re
from collections.abc import Collection

_SUBDOMAINS = "[a-z0-9._-]+[.]"


def host_pattern(host: str) -> str:
    """Return a case-insensitive PCRE for the Host headers that name this host.

    `host` is a DNS name, or `*.` and a DNS name for all names below it.
    """
    prefix = _SUBDOMAINS if host.startswith("*.") else ""
    name = host.removeprefix("*.").replace(".", "[.]")
    return f"^{prefix}{name}[.]?(?::[0-9]+)?$"


def is_served(name: str, hosts: Collection[str]) -> bool:
    """Return whether a request with this Host is served; with no `hosts` every one is."""
    return not hosts or any(re.search(host_pattern(host), name, re.IGNORECASE) for host in hosts)


def host_header(wanted: str | None, hosts: tuple[str, ...]) -> str | None:
    """Return the Host of our request to the public port: `wanted` where served, else the first host."""
    if not hosts or (wanted and is_served(wanted, hosts)):
        return wanted
    return hosts[0].replace("*", "www")
