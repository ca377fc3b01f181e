"""Suggests what to write in place of an unknown key of the manifest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from swiftdeploy_tasks.manifest.source import Source, Where, dotted

_NEAR = 0.75
_MOST = 3

# Keys that other manifests of this kind use for the same thing.
_SAME = {
    "name": "name app_name application_name project project_name service_name container_name stack",
    "contact": "contact contact_email email maintainer owner support admin_email",
    "services": "service app application",
    "services.env": "environment env_vars environment_variables variables",
    "services.health": "healthcheck health_check liveness readiness",
    "services.health.path": "health_endpoint health_url healthcheck_path health_check_path",
    "services.health.timeout": "startup_timeout start_timeout",
    "services.log_volume": "logs_volume volume_name",
    "services.port": "container_port internal_port app_port target_port service_port",
    "services.resources": "limits",
    "services.resources.cpus": "cpu cpu_limit cpu_limits cpus_limit",
    "services.resources.memory": "mem mem_limit memory_limit",
    "services.restart_policy": "restart",
    "services.command": "cmd entrypoint",
    "services.user": "user_id uid run_as",
    "services.stop.signal": "stop_signal",
    "services.stop.timeout": "stop_timeout",
    "nginx": "proxy reverse_proxy gateway load_balancer loadbalancer",
    "nginx.operator_port": "admin_port management_port",
    "nginx.body_size": "client_max_body_size max_body_size max_request_size",
    "nginx.connections": "worker_connections max_connections",
    "nginx.hosts": "server_name server_names domains hostnames",
    "nginx.proxy_timeout": "read_timeout request_timeout upstream_timeout",
    "nginx.trusted_proxies": "set_real_ip_from",
    "nginx.port": "listen listen_port public_port host_port external_port http_port",
    "network": "networks",
    "policy": "policies thresholds",
    "rollout.drain": "drain_timeout grace_period stop_grace_period shutdown_timeout",
    "rollout.sticky": "affinity session_affinity sticky_session sticky_sessions stickiness",
    "rollout.steps": "weights canary_weight canary_percent traffic_steps",
}
_VARIANTS = {word: tuple(place.split(".")) for place, words in _SAME.items() for word in words.split()}
_REMOVED = {
    "policy_dir": "the policies are the files of the folder policies/",
    "replicas": "one slot runs one container",
    "min_memory_free_percent": "policy.infrastructure.max_memory_used_percent is the limit of what is used",
}
_REMOVED["min_free_memory_percent"] = _REMOVED["min_memory_free_percent"]
_REMOVED |= dict.fromkeys(
    ("policies", "policies_dir", "policy_path", "policies_path"), _REMOVED["policy_dir"]
)

# The words for a unit at the end of a key or a value: what it measures, and in which proportion.
_UNITS = {
    **dict.fromkeys(("ms", "millis", "milliseconds"), ("time", 0.001)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), ("time", 1.0)),
    **dict.fromkeys(("min", "mins", "minutes"), ("time", 60.0)),
    **dict.fromkeys(("percent", "pct", "percentage"), ("share", 0.01)),
    **dict.fromkeys(("ratio", "fraction"), ("share", 1.0)),
    **dict.fromkeys(("mb", "mib"), ("size", 0.001)),
    **dict.fromkeys(("gb", "gib"), ("size", 1.0)),
}
_OWN_UNITS = {
    "services.health.interval": ("in seconds", "s"),
    "services.health.timeout": ("in seconds", "s"),
    "nginx.proxy_timeout": ("in seconds", "s"),
    "nginx.sockets": ("in seconds", "s"),
    "rollout.interval": ("in seconds", "s"),
    "rollout.drain": ("in seconds", "s"),
    "rollout.patience": ("in seconds", "s"),
    "rollout.warmup": ("in seconds", "s"),
    "policy.canary.window": ("in seconds", "s"),
    "policy.canary.max_p99_ms": ("in milliseconds", "ms"),
    "policy.canary.max_error_rate": ("a fraction of 1", "fraction"),
    "policy.canary.max_error_ratio": ("how many times as often as the old slot", ""),
    "policy.canary.max_slow_ratio": ("how many times as often as the old slot", ""),
    "policy.infrastructure.max_load_per_core": ("the load of 5 minutes divided by the cores", ""),
    "policy.infrastructure.max_memory_used_percent": ("in percent", "percent"),
    "policy.infrastructure.min_disk_free_gb": ("in gigabytes", "gb"),
}
_NOISE = {"threshold", "limit", "latency", "value"}


@dataclass(frozen=True)
class _Key:
    """A key in its parts: `words` without units, and the `unit` that ends it, "" without one."""

    words: frozenset[str]
    unit: str


def suggestion(
    where: Where, value: object, same_level: Iterable[str], known: list[Where], source: Source
) -> str:
    """What to do about the unknown key at `where`, as the end of a sentence; `known` are all keys."""
    key = _joined(str(where[-1]))
    if key in _REMOVED and not isinstance(value, Mapping):
        return f"remove it: {_REMOVED[key]}"
    fitting = [place for place in known if _fits(place, value, known)]
    level = [place for name in same_level if (place := (*where[:-1], name)) in fitting or place not in known]
    if places := _places(where, key, level, fitting):
        return _told(where, value, _deepened(places, value, known), source)
    if isinstance(value, Mapping) and (moved := list(_below(where, value, known))):
        return f"write its {', its '.join(moved)}"
    return "remove it"


def every_key(rule: Mapping[str, Any], where: Where = ()) -> Iterator[Where]:
    """All keys that the schema names, from the top downwards."""
    for key, below in rule.get("properties", {}).items():
        yield (*where, key)
        yield from every_key(below, (*where, key))


def _below(where: Where, value: Mapping[str, Any], known: list[Where]) -> Iterator[str]:
    for name in value:
        fitting = [place for place in known if _fits(place, value[name], known)]
        if places := _places((*where, str(name)), _joined(str(name)), [], fitting):
            yield f"{name} as {_listed(places)}"


def _fits(place: Where, value: object, known: list[Where]) -> bool:
    """Whether a value of this shape can stand at `place`."""
    below = [other for other in known if other[:-1] == place]
    if isinstance(value, Mapping):
        return bool(below) or place[-1] in {"env", "args"}
    return not below or place[-1] == "build" or _deeper(place) in below


def _deeper(place: Where) -> Where:
    """The key below a section that its plain value is for."""
    return (*place, "steps" if place[-1] == "rollout" else "path")


def _joined(key: str) -> str:
    """The key in lower case with `_` between its words: `proxyTimeout` and `proxy-timeout` are the same."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-\s.]+", "_", key).lower()


def _parts(key: str) -> _Key:
    words = _joined(key).split("_")
    unit = words.pop() if len(words) > 1 and words[-1] in _UNITS else ""
    if "latency" in words and "p99" not in words:
        words.append("p99")
    if "load" in words and "cpu" in words:
        words.remove("cpu")
    plain = {"mem": "memory"}
    return _Key(frozenset(plain.get(word, word) for word in words if word not in _NOISE), unit)


def _places(where: Where, key: str, level: list[Where], known: list[Where]) -> list[Where]:
    """The known keys that may be meant, the surest rule first; empty where none is near."""
    others = [place for place in known if place not in level]
    exact = [place for place in others if place[-1] == key]
    inside = [place for place in exact if place[0] == where[0] and len(where) > 1]
    variant = _VARIANTS.get(key, ())
    return (
        [place for place in known if place == variant and variant != where[: len(variant)]]
        or [place for place in known if len(place) > 1 and _joined("_".join(map(str, place[-2:]))) == key]
        or _spelled(key, level)
        or _worded(key, level, extra=1)
        or inside
        or exact
        or _worded(key, others, extra=0)
        or _spelled(key, others)
    )


def _spelled(key: str, places: list[Where]) -> list[Where]:
    by_name = {str(place[-1]): place for place in reversed(places)}
    return [by_name[name] for name in difflib.get_close_matches(key, by_name, n=1, cutoff=_NEAR)]


def _worded(key: str, places: list[Where], *, extra: int) -> list[Where]:
    """The keys that have all words of this one, or, with `extra`, all but so many."""
    mine = _parts(key).words
    if not mine or mine <= {"max", "min", "p"}:
        return []
    theirs = {place: _parts(str(place[-1])).words for place in places}
    return [place for place, words in theirs.items() if mine <= words] or [
        place for place, words in theirs.items() if words and words < mine and len(mine - words) <= extra
    ]


def _deepened(places: list[Where], value: object, known: list[Where]) -> list[Where]:
    """`services.health` as `services.health.path` where the value is a path and no mapping."""
    if isinstance(value, Mapping) or len(places) != 1:
        return places
    return [_deeper(place) if _deeper(place) in known else place for place in places]


def _told(where: Where, value: object, places: list[Where], source: Source) -> str:
    place = places[0]
    if len(places) > 1:
        return f"move it to {_listed(places)}"
    if place in source.lines:
        return f"remove it: {dotted(place)} is given on line {source.lines[place]}"
    if converted := _converted(str(where[-1]), value, place):
        return converted
    if place[-1] == where[-1]:
        return "move it to the top level" if len(place) == 1 else f"move it to {dotted(place)}"
    return f"the nearest known one is {dotted(place)}" + (
        " at the top level" if len(place) == 1 < len(where) else ""
    )


def _listed(places: list[Where]) -> str:
    return " or ".join(dotted(place) for place in places[:_MOST])


def _converted(key: str, value: object, place: Where) -> str:
    """The known key with the value in its own unit, where the unit of the unknown one is another."""
    named, unit = _OWN_UNITS.get(dotted(place), ("", ""))
    given, number = _measured(_parts(key).unit, value)
    is_plain = isinstance(value, int | float)
    if not named or (unit and is_plain and given in {"", unit}):
        return ""
    amount = _amount(given, unit, number)
    told = f": {amount:.15g}" if amount is not None else ""
    return f"write {dotted(place)}{told}, {named}"


def _measured(unit: str, value: object) -> tuple[str, float | None]:
    """The unit and the number of a value, such as `500ms`, whose key may name the unit too."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return unit, float(value)
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([a-z%]*)", str(value).strip().lower())
    if not found:
        return unit, None
    return found[2].replace("%", "percent") or unit, float(found[1])


def _amount(given: str, unit: str, number: float | None) -> float | None:
    if number is None or given not in _UNITS or unit not in _UNITS or _UNITS[given][0] != _UNITS[unit][0]:
        return None
    return round(number * _UNITS[given][1] / _UNITS[unit][1], 9)
