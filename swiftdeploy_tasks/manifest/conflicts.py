"""Conflicts between values of a manifest, which the schema cannot express.

The data has its defaults and need not fit the schema: a value of another type is skipped here, because the
schema reports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from swiftdeploy_tasks.manifest import mount_conflicts, nginx_conflicts
from swiftdeploy_tasks.manifest.source import Conflict, Source, Where, dotted

_HOST_PORTS: tuple[Where, ...] = (("nginx", "port"), ("nginx", "operator_port"), ("opa", "port"))


def all_of(source: Source, data: Mapping[str, Any]) -> Iterator[Conflict]:
    """Yield every conflict; `source` says which values were written and which are defaults."""
    yield from _ports(source, data)
    yield from _steps(data)
    yield from _patience(source, data)
    yield from _networks(data)
    yield from _metrics(source, data)
    yield from mount_conflicts.all_of(data)
    yield from nginx_conflicts.all_of(data)


def _ports(source: Source, data: Mapping[str, Any]) -> Iterator[Conflict]:
    ports = {where: _at(data, where) for where in _HOST_PORTS}
    for index, where in enumerate(_HOST_PORTS):
        for other in _HOST_PORTS[:index]:
            if isinstance(ports[where], int | float) and ports[where] == ports[other]:
                written, second = (where, other) if where in source.lines else (other, where)
                message = f"is also {dotted(second)}" + ("" if second in source.lines else ", by default")
                fix = "give nginx.port, nginx.operator_port and opa.port each its own"
                yield Conflict(written, ports[where], message, fix)


def _steps(data: Mapping[str, Any]) -> Iterator[Conflict]:
    where: Where = ("rollout", "steps")
    steps = _at(data, where)
    if not isinstance(steps, list) or not steps or not all(isinstance(step, int | float) for step in steps):
        return
    if steps != sorted(set(steps)) or steps[-1] != 100:
        yield Conflict(where, steps, "does not rise to 100", "write rising percents, such as [10, 50, 100]")


def _patience(source: Source, data: Mapping[str, Any]) -> Iterator[Conflict]:
    where, other = ("rollout", "patience"), ("rollout", "interval")
    patience, interval = _at(data, where), _at(data, other)
    both = isinstance(patience, int | float) and isinstance(interval, int | float)
    if where in source.lines and both and patience < interval:
        message = f"is less than {dotted(other)}, {interval:.15g}"
        yield Conflict(where, patience, message, f"write at least {interval:.15g}")


def _networks(data: Mapping[str, Any]) -> Iterator[Conflict]:
    where: Where = ("network", "name")
    network = _at(data, where)
    if isinstance(network, str) and network == f"{data.get('name')}-opa":
        message = "is the name of the network that only OPA is on"
        yield Conflict(where, network, message, "give it another name")


def _metrics(source: Source, data: Mapping[str, Any]) -> Iterator[Conflict]:
    path, other = ("services", "metrics", "path"), ("services", "metrics", "from")
    if path in source.lines and other in source.lines:
        message = f"cannot stand beside {dotted(path)}"
        yield Conflict(other, _at(data, other), message, "keep one of the two")


def _at(data: Mapping[str, Any], where: Where) -> Any:
    here: Any = data
    for step in where:
        here = here.get(step) if isinstance(here, dict) else None
    return here
