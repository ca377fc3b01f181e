"""The values of a manifest: what the operator asked for, each inside its bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


def mebibytes(size: str) -> float:
    """Return a size such as `512k`, `8m` or `1g` in MiB."""
    return int(size[:-1]) * {"k": 2**-10, "m": 1, "g": 2**10}[size[-1]]


@dataclass(frozen=True)
class EnvVar:
    """One variable of the app: a plain `value`, or the name of the caller's variable that holds a secret.

    A `short` secret is allowed to have too few characters to be masked.
    """

    name: str
    value: str | None
    from_env: str | None
    short: bool = False


@dataclass(frozen=True)
class Build:
    """How the image is made: `context` is relative to the project, `dockerfile` to the context."""

    context: str
    dockerfile: str
    args: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Health:
    """A slot is healthy after `passes` good answers in a row; `interval` and `timeout` are seconds.

    `host` is the Host that the app sees, None for the address that is asked.
    """

    path: str
    interval: float
    passes: int
    timeout: float
    host: str | None = None


@dataclass(frozen=True)
class Resources:
    """What a component may use: `cpus` in cores, None for all, `memory` as the engine writes it (`256m`)."""

    cpus: float | None
    memory: str


@dataclass(frozen=True)
class Stop:
    """How an app is stopped: the signal, and the seconds until it is killed."""

    signal: str = "SIGTERM"
    timeout: int = 15


@dataclass(frozen=True)
class Volume:
    """A folder that outlives every release, and its `path` in the container."""

    name: str
    path: str


@dataclass(frozen=True)
class MetricsPage:
    """The page of the app's own metrics, in the Prometheus text format."""

    path: str


@dataclass(frozen=True)
class Services:
    """The one service. `process` and `command` are None when the operator gave none.

    env and build args are by name. `user` is uid[:gid] or `image`, the image's own; `tmpfs` are folders in
    memory. `metrics` is where a slot's windows come from: the app's page, nginx's access log, or nothing.
    """

    image: str
    port: int
    mode: Literal["stable", "canary"]
    version: str
    restart_policy: Literal["no", "always", "on-failure", "unless-stopped"]
    log_volume: str
    build: Build | None
    source: str
    source_named: bool
    process: tuple[str, ...] | None
    command: tuple[str, ...] | None
    user: str
    read_only: bool
    tmpfs: tuple[str, ...]
    volumes: tuple[Volume, ...]
    stop: Stop
    env: tuple[EnvVar, ...]
    health: Health
    metrics: MetricsPage | Literal["nginx"] | None
    resources: Resources


@dataclass(frozen=True)
class Route:
    """The values for requests whose path begins with `path`.

    `body_size` is as nginx writes it (`8m`, `0` for no limit). Without `buffering` the app gets the body of a
    request as it arrives.
    """

    path: str
    proxy_timeout: int
    body_size: str
    buffering: bool


@dataclass(frozen=True)
class Nginx:
    """The proxy in front: two host ports, `proxy_timeout` in seconds, paths the public port refuses.

    `sockets` is how many seconds an upgraded connection may live on after its slot lost its traffic, and
    `body_size` as that of a Route. `hosts` are the names that are served, none for every one. A proxy in
    `trusted_proxies` may name the client behind it. `connections` are the clients held at once.
    """

    image: str
    port: int
    operator_port: int
    proxy_timeout: int
    private: tuple[str, ...]
    sockets: int
    body_size: str
    routes: tuple[Route, ...]
    hosts: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    connections: int
    resources: Resources

    @property
    def temporary_mib(self) -> int:
        """How many MiB nginx has for the bodies of requests: its temporary folder is memory."""
        return int(mebibytes(self.resources.memory) / 2)

    @property
    def longest_timeout(self) -> int:
        """The longest proxy_timeout of all paths, in seconds."""
        return max([self.proxy_timeout, *(route.proxy_timeout for route in self.routes)])


@dataclass(frozen=True)
class Opa:
    """The policy server's image and its port on 127.0.0.1."""

    image: str
    port: int


@dataclass(frozen=True)
class Network:
    """The network nginx and the app share; its name is literal."""

    name: str
    driver_type: Literal["bridge"]


@dataclass(frozen=True)
class Rollout:
    """How traffic moves: rising percents that end in 100; `interval` and `drain` are seconds.

    Without `overlap` the old release stops before the new one starts. A step ends by `advance`, at the latest
    after `patience` seconds, and where it is undecided then, `undecided` follows. The latency of the first
    `warmup` seconds is not judged. `sticky` is what keeps a client on one release.
    """

    steps: tuple[int, ...]
    interval: float
    drain: int
    min_requests: int
    overlap: bool
    advance: Literal["unrefuted", "proven"]
    undecided: Literal["advance", "rollback", "hold"]
    patience: float
    warmup: float
    sticky: Literal["none", "client", "cookie"]


@dataclass(frozen=True)
class HistoryLimits:
    """The size at which history.jsonl is rotated (bytes), how many rotated files stay, and the witness.

    `witness` is a file, relative to the project. The defaults, which are the schema's, hold where no manifest
    can be read: what is recorded then must not depend on it.
    """

    max_bytes: int = 10_000_000
    keep: int = 100
    witness: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The whole manifest with its defaults; `policy` holds only the limits that the operator wrote.

    `rendered` is the folder for the files of review, relative to the project, and `digest` the SHA-256, in
    hex, of the file's bytes.
    """

    name: str
    services: Services
    nginx: Nginx
    opa: Opa
    network: Network
    contact: str
    engine: Literal["auto", "docker", "local"]
    gate: Literal["auto", "server", "embedded"]
    rollout: Rollout
    policy: Mapping[str, Mapping[str, float]]
    history: HistoryLimits
    rendered: str
    digest: str
