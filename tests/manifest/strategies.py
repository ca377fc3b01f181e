"""Manifests that the schema accepts, written from its bounds: each one must load, render and parse."""

from __future__ import annotations

import ipaddress
import string
from typing import Any

import yaml
from hypothesis import strategies as st

from swiftdeploy_tasks.manifest.source import CoreLoader

Strategy = st.SearchStrategy[Any]

LOWER = string.ascii_lowercase + string.digits
ALNUM = string.ascii_letters + string.digits
RESERVED = {"MODE", "APP_VERSION", "APP_PORT", "APP_HOST"}


class CoreDumper(yaml.SafeDumper):
    """Quotes what the manifest's reader would take for something other than text."""

    yaml_implicit_resolvers = CoreLoader.yaml_implicit_resolvers


def as_yaml(manifest: dict[str, Any]) -> bytes:
    """The manifest as the bytes of a file, in the order of its keys."""
    return bytes(yaml.dump(manifest, Dumper=CoreDumper, sort_keys=False, encoding="utf-8"))


def words(first: str, rest: str, longest: int) -> st.SearchStrategy[str]:
    return st.builds(str.__add__, st.sampled_from(first), st.text(rest, max_size=longest - 1))


def texts(longest: int, barred: str = "", also: str = "") -> st.SearchStrategy[str]:
    """Any text without control characters, surrogates, and what YAML does not call printable."""
    plain = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff" + barred)
    return st.text(plain | st.sampled_from(also) if also else plain, max_size=longest)


def some(required: dict[str, Strategy], optional: dict[str, Strategy]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


names = words(LOWER, LOWER + "-_", 31)
object_names = words(ALNUM, ALNUM + "_.-", 64)
components = st.lists(words(LOWER, LOWER, 8), min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([".", "_", "__", "-", "---"]).map(lambda mark: mark.join(parts))
)
images = st.builds(
    lambda host, parts, tag, digest: host + "/".join(parts) + tag + digest,
    st.sampled_from(["", "localhost:5000/", "Registry.example.org/"]),
    st.lists(components, min_size=1, max_size=3),
    st.just("") | words(ALNUM + "_", ALNUM + "_.-", 30).map(lambda tag: f":{tag}"),
    st.just("") | st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda hexes: f"@sha256:{hexes}"),
)
versions = words(ALNUM + "_", ALNUM + "_.+-", 64)
segments = st.text(ALNUM + "._~-", min_size=1, max_size=12).filter(lambda word: word not in {".", ".."})
below_root = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
url_paths = st.just("/") | below_root | below_root.map(lambda path: path + "/")
inside_paths = st.lists(
    texts(12, barred='/-\\:*?"<>|`$').filter(lambda word: word not in {"", ".."}), min_size=1, max_size=3
).map("/".join)
variables = words(string.ascii_letters + "_", ALNUM + "_", 20)
app_variables = variables.filter(lambda name: name not in RESERVED and not name.startswith("SWIFTDEPLOY_"))
values = texts(60, also="\t\n$\"'\\{}%#: ")
contacts = texts(60, barred="\u2028\u2029\"'`\\${}").filter(bool)
memories = st.integers(6, 999_999).map(lambda size: f"{size}m") | st.integers(1, 9999).map(lambda n: f"{n}G")
ports = st.integers(1, 65535)
bridges = st.fixed_dictionaries({"name": object_names, "driver_type": st.just("bridge")})


def numbers(low: float, high: float) -> Strategy:
    return st.floats(low, high, allow_nan=False) | st.integers(int(low) + 1, int(high))


volume_names = st.from_regex(r"[a-z0-9]{1,9}(-[a-z0-9]{1,9})?", fullmatch=True).filter(
    lambda name: name != "logs"
)
builds = inside_paths | some(
    {"context": inside_paths},
    {"dockerfile": inside_paths, "args": st.dictionaries(variables, values, max_size=3)},
)
services = some(
    {"image": images, "port": ports},
    {
        "mode": st.sampled_from(["stable", "canary"]),
        "version": versions,
        "restart_policy": st.sampled_from(["no", "always", "on-failure", "unless-stopped"]),
        "log_volume": object_names,
        "build": builds,
        "source": inside_paths,
        "process": st.builds(
            lambda first, rest: [first, *rest], texts(20).filter(bool), st.lists(texts(20), max_size=4)
        ),
        "command": st.none()
        | st.builds(
            lambda first, rest: [first, *rest], texts(20).filter(bool), st.lists(texts(20), max_size=4)
        ),
        "user": st.just("image") | st.from_regex(r"[1-9][0-9]{0,8}(:[1-9][0-9]{0,8})?", fullmatch=True),
        "read_only": st.booleans(),
        "tmpfs": st.lists(below_root, max_size=3, unique=True),
        "volumes": st.lists(volume_names, max_size=3, unique=True).map(
            lambda names: [{"name": name, "path": f"/srv/volumes/{name}"} for name in names]
        ),
        "stop": some({}, {"signal": st.sampled_from(["SIGINT", "SIGUSR2"]), "timeout": st.integers(1, 3600)}),
        "env": st.dictionaries(
            app_variables,
            values | st.fixed_dictionaries({"from_env": variables}, optional={"short": st.booleans()}),
            max_size=5,
        ),
        "health": some(
            {},
            {
                "path": url_paths,
                "interval": numbers(0.1, 300),
                "passes": st.integers(1, 100),
                "timeout": numbers(1, 3600),
            },
        ),
        "metrics": st.none() | st.just({"from": "nginx"}) | some({}, {"path": st.none() | below_root}),
        "resources": some({}, {"cpus": numbers(0.01, 1024), "memory": memories}),
    },
)
rollouts = some(
    {},
    {
        "steps": st.sets(st.integers(1, 99), max_size=5).map(lambda steps: [*sorted(steps), 100]),
        "interval": numbers(0.001, 3600),
        "drain": st.integers(12, 3600),
        "min_requests": st.integers(0, 10**9),
        "overlap": st.booleans(),
        "advance": st.sampled_from(["unrefuted", "proven"]),
        "undecided": st.sampled_from([None, "advance", "rollback", "hold"]),
        "patience": numbers(3600, 86_400),
        "warmup": numbers(0, 3600),
        "sticky": st.sampled_from(["none", "client", "cookie"]),
    },
)
policies = some(
    {},
    {
        "infrastructure": some(
            {},
            {
                "min_disk_free_gb": numbers(0, 10**9),
                "max_load_per_core": numbers(0, 10**6),
                "max_memory_used_percent": numbers(0, 100),
            },
        ),
        "canary": some(
            {},
            {
                "max_error_rate": st.floats(0, 1),
                "max_error_ratio": numbers(1, 10**6),
                "max_p99_ms": numbers(0, 3_600_000),
                "max_slow_ratio": numbers(1, 10**6),
                "evidence": numbers(1.001, 10**9),
                "window": numbers(0.001, 3600),
                "min_requests": st.integers(0, 10**9),
            },
        ),
    },
)


labels = words(ALNUM, ALNUM + "-", 20).map(lambda label: label.rstrip("-"))
names_of_hosts = st.lists(labels, min_size=1, max_size=5).map(".".join)
hosts = st.builds("{}{}".format, st.sampled_from(["", "*."]), names_of_hosts)
networks = st.one_of(st.ip_addresses(), st.builds(ipaddress.ip_network, st.ip_addresses())).map(str)
body_sizes = st.just(0) | st.builds(
    "{}{}".format, st.integers(1, 999_999), st.sampled_from(["k", "m", "g", "K", "M", "G"])
)
# Below a folder that no private path has.
routes = some(
    {"path": below_root.map(lambda path: f"/routes{path}")},
    {"proxy_timeout": st.integers(1, 3600), "body_size": body_sizes, "buffering": st.booleans()},
)


def is_closed(route: str, private: list[str]) -> bool:
    return any(f"{route.lower()}/".startswith(f"{path.lower()}/") for path in private)


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """A manifest as the dict that its YAML holds; some keys are left to their defaults."""
    public, operator, opa = draw(st.lists(ports, min_size=3, max_size=3, unique=True))
    timeouts = st.integers(1, 3600)
    proxy = some(
        {"image": images, "port": st.just(public), "operator_port": st.just(operator)},
        {
            "proxy_timeout": timeouts | timeouts.map(lambda seconds: f"{seconds}s"),
            "private": st.lists(below_root, max_size=4, unique=True),
            "sockets": st.integers(0, 86400),
            "connections": st.integers(1, 50_000),
            "resources": some(
                {"memory": st.integers(500, 9999).map("{}m".format)},
                {"cpus": st.none() | numbers(0.01, 1024)},
            ),
            "body_size": body_sizes,
            "hosts": st.lists(hosts, max_size=3, unique=True),
            "trusted_proxies": st.lists(networks, max_size=3, unique=True),
            "routes": st.lists(routes, max_size=3, unique_by=lambda route: route["path"]),
        },
    )
    top = {
        "name": names,
        "contact": contacts,
        "rendered": st.sampled_from([".", "deploy", "./made/for review/"]),
        "engine": st.sampled_from(["auto", "docker", "local"]),
        "gate": st.sampled_from(["auto", "server", "embedded"]),
        "rollout": rollouts,
        "policy": policies,
        "history": some({}, {"max_bytes": st.integers(10_000, 50_000_000), "keep": st.integers(1, 100_000)}),
    }
    needed = {
        "services": services,
        "nginx": proxy,
        "opa": some({"port": st.just(opa)}, {"image": images}),
        "network": bridges,
    }
    manifest = draw(some(needed, top))
    nginx = manifest["nginx"]
    private = nginx.get("private", ["/metrics"])
    nginx["routes"] = [one for one in nginx.get("routes", []) if not is_closed(one["path"], private)]
    if manifest["network"]["name"] == f"{manifest.get('name', 'swiftdeploy')}-opa":
        manifest["network"]["name"] = "net"
    if manifest["services"].get("volumes"):
        manifest.setdefault("rollout", {}).setdefault("overlap", True)
    return manifest
