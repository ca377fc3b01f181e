"""Reads manifest.yaml, by its schema, into a Manifest."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from swiftdeploy_tasks.errors import ManifestError
from swiftdeploy_tasks.manifest.model import (
    Build,
    EnvVar,
    Health,
    HistoryLimits,
    Manifest,
    MetricsPage,
    Network,
    Nginx,
    Opa,
    Resources,
    Rollout,
    Route,
    Services,
    Stop,
    Volume,
)
from swiftdeploy_tasks.manifest.source import Problem, Source, parse, read
from swiftdeploy_tasks.manifest.validation import check, with_defaults
from swiftdeploy_tasks.system.environ import as_path


class ManifestProblems(ManifestError):
    """A ManifestError with every problem; its message has the first."""

    log_title = "all of them"

    def __init__(self, path: Path, problems: tuple[Problem, ...]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(
            f"{path.name}: {problems[0].text}{more}",
            f"correct {path.name}, then: invoke validate",
            log=tuple(problem.text for problem in problems) if more else (),
        )
        self.problems = problems

    @property
    def kind(self) -> str:
        """The name of the class that scripts know."""
        return ManifestError.__name__


def problems(path: Path, *, schema: Path) -> tuple[Problem, ...]:
    """All that is wrong with the manifest at `path`, in the order of its lines; empty when it is valid.

    Raises ManifestError when the schema itself cannot be read.
    """
    return check(read(path), rules(schema))


def load(path: Path, *, schema: Path) -> Manifest:
    """The manifest at `path`. Raises ManifestProblems, a ManifestError, with all that is wrong."""
    source, known = read(path), rules(schema)
    if found := check(source, known):
        raise ManifestProblems(path, found)
    return build(source, known)


def history_limits(path: Path) -> HistoryLimits:
    """What the manifest at `path` says of the history, whatever else is wrong with it; never raises.

    A value that is not a right one counts as absent: a record is written before a manifest is judged.
    """
    section = _given(path, "history")
    said = section if isinstance(section, dict) else {}
    return _history({key: value for key, value in said.items() if _is_limit(key, value)})


def project_name(path: Path) -> str:
    """The name that the manifest at `path` gives, whatever else is wrong, "" for none; never raises."""
    name = _given(path, "name")
    return name if isinstance(name, str) else ""


def rendered_folder(path: Path) -> str:
    """The folder that the manifest at `path` names for the rendered files, "." without one; never raises."""
    folder = _given(path, "rendered")
    return as_path(folder) if isinstance(folder, str) and folder else "."


def _given(path: Path, key: str) -> object:
    """What stands under a key of the manifest, None where nothing does or nothing can be read."""
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:
        content = b""
    found = parse(content).data if key.encode() in content else None
    return (found or {}).get(key)


def rules(path: Path) -> dict[str, Any]:
    """The schema at `path`, as `check` and `build` want it; raises ManifestError when it cannot be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"the schema {path} cannot be read: {error}", "invoke validate") from None
    return found


def build(source: Source, schema: Mapping[str, Any]) -> Manifest:
    """The Manifest of a Source that `check` found nothing wrong with, against the same schema.

    Raises ManifestError when a project's own schema leaves out a default.
    """
    try:
        return _manifest(source, with_defaults(source.data or {}, schema))
    except KeyError as error:
        message = f"neither the manifest nor the schema gives a value for {error}"
        raise ManifestError(message, "invoke validate") from None


def _manifest(source: Source, data: Mapping[str, Any]) -> Manifest:
    return Manifest(
        name=data["name"],
        services=_services(
            data["services"], name=data["name"], source_named=("services", "source") in source.lines
        ),
        nginx=_nginx(data["nginx"]),
        opa=Opa(image=data["opa"]["image"], port=int(data["opa"]["port"])),
        network=_network(data["network"], name=data["name"]),
        contact=data["contact"],
        engine=data["engine"],
        gate=data["gate"],
        rollout=_rollout(data["rollout"]),
        policy=_policy(data["policy"]),
        history=_history(data["history"]),
        rendered=as_path(data["rendered"]),
        digest=source.digest,
    )


def _services(data: Mapping[str, Any], *, name: str, source_named: bool) -> Services:
    process, command = data.get("process"), data.get("command")
    return Services(
        image=data["image"],
        port=int(data["port"]),
        mode=data["mode"],
        version=data["version"],
        restart_policy=data["restart_policy"],
        log_volume=data.get("log_volume") or f"{name}-logs",
        build=_build(data.get("build")),
        source=as_path(data["source"]),
        source_named=source_named,
        process=None if process is None else tuple(process),
        command=None if command is None else tuple(command),
        user=str(data["user"]),
        read_only=data["read_only"],
        tmpfs=tuple(data["tmpfs"]),
        volumes=tuple(Volume(one["name"], one["path"]) for one in data["volumes"]),
        stop=Stop(data["stop"]["signal"], int(data["stop"]["timeout"])),
        env=tuple(_env(name, value) for name, value in sorted(data["env"].items())),
        health=_health(data["health"]),
        metrics=_metrics(data["metrics"]),
        resources=_resources(data["resources"]),
    )


def _resources(data: Mapping[str, Any]) -> Resources:
    return Resources(None if data["cpus"] is None else float(data["cpus"]), data["memory"].lower())


def _is_limit(key: str, value: object) -> bool:
    if key == "witness":
        return isinstance(value, str) and value != ""
    least, most = {"max_bytes": (10_000, 50_000_000), "keep": (1, 100_000)}.get(key, (1, 0))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least <= value <= most and value == int(value)


def _policy(data: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, float]]:
    """Return the limits by domain as the policies name them."""
    found = {domain: dict(limits) for domain, limits in data.items()}
    if found.pop("isolation", {}).get("allow_root"):
        found["isolation"] = {"non_root": False}
    return found


def _history(data: Mapping[str, Any]) -> HistoryLimits:
    default = HistoryLimits()
    return HistoryLimits(
        max_bytes=int(data.get("max_bytes", default.max_bytes)),
        keep=int(data.get("keep", default.keep)),
        witness=as_path(data["witness"]) if data.get("witness") else None,
    )


def _env(name: str, value: str | Mapping[str, Any]) -> EnvVar:
    if isinstance(value, str):
        return EnvVar(name, value, None)
    return EnvVar(name, None, value["from_env"], value.get("short", False))


def _build(data: str | Mapping[str, Any] | None) -> Build | None:
    if data is None:
        return None
    if isinstance(data, str):
        return Build(as_path(data), "Dockerfile", ())
    return Build(as_path(data["context"]), as_path(data["dockerfile"]), tuple(sorted(data["args"].items())))


def _metrics(data: Mapping[str, Any] | None) -> MetricsPage | Literal["nginx"] | None:
    if data is None:
        return None
    if "from" in data:
        return "nginx"
    return MetricsPage(data["path"]) if data["path"] else None


def _health(data: Mapping[str, Any]) -> Health:
    times = float(data["interval"]), int(data["passes"]), float(data["timeout"])
    return Health(data["path"], *times, data.get("host"))


def _nginx(data: Mapping[str, Any]) -> Nginx:
    return Nginx(
        image=data["image"],
        port=int(data["port"]),
        operator_port=int(data["operator_port"]),
        proxy_timeout=_whole_seconds(data["proxy_timeout"]),
        private=tuple(data["private"]),
        sockets=int(data["sockets"]),
        body_size=_body_size(data["body_size"]),
        routes=tuple(_route(route, data) for route in data["routes"]),
        hosts=tuple(host.lower() for host in data["hosts"]),
        connections=int(data["connections"]),
        resources=_resources(data["resources"]),
        trusted_proxies=tuple(str(ipaddress.ip_network(text)) for text in data["trusted_proxies"]),
    )


def _route(data: Mapping[str, Any], nginx: Mapping[str, Any]) -> Route:
    return Route(
        path=data["path"],
        proxy_timeout=_whole_seconds(data.get("proxy_timeout", nginx["proxy_timeout"])),
        body_size=_body_size(data.get("body_size", nginx["body_size"])),
        buffering=data.get("buffering", True),
    )


def _whole_seconds(value: float | str) -> int:
    return int(str(value).removesuffix("s").partition(".")[0])


def _body_size(value: float | str) -> str:
    return value.lower() if isinstance(value, str) else "0"


def _network(data: Mapping[str, Any], *, name: str) -> Network:
    return Network(data.get("name") or f"{name}-net", data["driver_type"])


def _rollout(data: Mapping[str, Any]) -> Rollout:
    interval, is_proven = float(data["interval"]), data["advance"] == "proven"
    return Rollout(
        steps=tuple(int(step) for step in data["steps"]),
        interval=interval,
        drain=int(data["drain"]),
        min_requests=int(data["min_requests"]),
        overlap=data.get("overlap") is not False,
        advance=data["advance"],
        undecided=data["undecided"] or ("rollback" if is_proven else "advance"),
        patience=max(interval, float(data["patience"])),
        warmup=float(data["warmup"]),
        sticky=data["sticky"],
    )
