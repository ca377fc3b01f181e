"""The host names that nginx serves: as an expression for its configuration, and for our own requests."""

from __future__ import annotations

import re
from collections.abc import Collection

_BELOW = "[a-z0-9._-]+[.]"


def host_pattern(host: str) -> str:
    """Return a PCRE, to be used without regard to case, of the Host headers that name this host.

    `host` is a DNS name, or `*.` and one for every name below it.
    """
    below = _BELOW if host.startswith("*.") else ""
    name = host.removeprefix("*.").replace(".", "[.]")
    return f"^{below}{name}[.]?(?::[0-9]+)?$"


def is_served(name: str, hosts: Collection[str]) -> bool:
    """Return whether a request with this Host is served; with no `hosts` every one is."""
    return not hosts or any(re.search(host_pattern(host), name, re.IGNORECASE) for host in hosts)


def name_to_ask(wanted: str | None, hosts: tuple[str, ...]) -> str | None:
    """Return the Host for a request to the public port: `wanted` where it is served, else a name that is."""
    if not hosts or (wanted and is_served(wanted, hosts)):
        return wanted
    return hosts[0].replace("*", "www")
