"""The values that move: Release, Slot, State and Traffic. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from swiftdeploy_tasks.manifest.model import Health, Manifest, Resources, Stop, Volume

Slot = Literal["blue", "green"]
SLOTS: tuple[Slot, ...] = get_args(Slot)


def other(slot: Slot) -> Slot:
    """Return the slot beside this one."""
    return "green" if slot == "blue" else "blue"


# The fields of a release's label, of which its id is the digest. This list is never changed.
FIELDS = (
    "artifact",
    "version",
    "mode",
    "env",
    "secrets",
    "port",
    "process",
    "health.path",
    "health.interval",
    "health.passes",
    "health.timeout",
    "resources.cpus",
    "resources.memory",
    "restart_policy",
)
# Fields that were added later, with their defaults. A default stands in no label: a new field changes no
# known id, and a label without it is read with the default.
LATER_FIELDS: Mapping[str, Any] = {
    "health.host": None,
    "user": "10001:10001",
    "read_only": True,
    "tmpfs": ("/tmp",),  # noqa: S108  (in the container)
    "volumes": (),
    "stop.signal": "SIGTERM",
    "stop.timeout": 15,
}


@dataclass(frozen=True)
class Release:
    """One version to run, whole and without secrets.

    `artifact` is the image's id, or on the local engine the digest of the source. `env` holds
    (name, value); a secret's value is None and `secrets` says which variable of the caller it comes from.
    `process` are the words that start the app, empty for the image's own.
    """

    artifact: str
    version: str
    mode: str
    env: tuple[tuple[str, str | None], ...]
    secrets: tuple[tuple[str, str], ...]
    port: int
    process: tuple[str, ...]
    health: Health
    resources: Resources
    restart_policy: str
    user: str = LATER_FIELDS["user"]
    read_only: bool = LATER_FIELDS["read_only"]
    tmpfs: tuple[str, ...] = LATER_FIELDS["tmpfs"]
    volumes: tuple[Volume, ...] = LATER_FIELDS["volumes"]
    stop: Stop = field(default_factory=Stop)

    @property
    def id(self) -> str:
        """A short hash of everything above: the same content is the same release."""
        return hashlib.sha256(self.label.encode()).hexdigest()[:12]

    @property
    def label(self) -> str:
        """The release as one line of JSON, for the label of what runs it."""
        values, content = _flat(asdict(self)), dict[str, Any]()
        for path in (*FIELDS, *LATER_FIELDS):
            if path in FIELDS or values[path] != LATER_FIELDS[path]:
                section, _, key = path.rpartition(".")
                (content.setdefault(section, {}) if section else content)[key] = values[path]
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by path: `health.path` is the key `path` of `health`."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            found |= {f"{key}.{inner}": own for inner, own in value.items()}
        else:
            found[key] = value
    return found


def from_manifest(manifest: Manifest, *, artifact: str, process: tuple[str, ...] | None = None) -> Release:
    """Return the release that the manifest gives; without a `process` it is `services.command`."""
    services = manifest.services
    return Release(
        artifact=artifact,
        version=services.version,
        mode=services.mode,
        env=tuple((variable.name, variable.value) for variable in services.env),
        secrets=tuple((v.name, v.from_env) for v in services.env if v.from_env is not None),
        port=services.port,
        process=(services.command or ()) if process is None else process,
        health=services.health,
        resources=services.resources,
        restart_policy=services.restart_policy,
        user=services.user,
        read_only=services.read_only,
        tmpfs=services.tmpfs,
        volumes=services.volumes,
        stop=services.stop,
    )


def from_label(text: str) -> Release | None:
    """Return the release that a label holds; None for one that we did not write, or with unknown fields."""
    try:
        found: dict[str, Any] = json.loads(text)
        if not _flat(found).keys() <= {*FIELDS, *LATER_FIELDS}:
            return None
        return Release(
            artifact=str(found["artifact"]),
            version=str(found["version"]),
            mode=str(found["mode"]),
            env=tuple((str(name), value) for name, value in found["env"]),
            secrets=tuple((str(name), str(source)) for name, source in found["secrets"]),
            port=int(found["port"]),
            process=tuple(found["process"]),
            health=Health(**found["health"]),
            resources=Resources(**found["resources"]),
            restart_policy=str(found["restart_policy"]),
            user=str(found.get("user", LATER_FIELDS["user"])),
            read_only=bool(found.get("read_only", LATER_FIELDS["read_only"])),
            tmpfs=tuple(found.get("tmpfs", LATER_FIELDS["tmpfs"])),
            volumes=tuple(Volume(**one) for one in found.get("volumes", ())),
            stop=Stop(**found.get("stop", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
