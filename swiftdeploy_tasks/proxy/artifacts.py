"""Renders nginx.conf, upstream.conf and docker-compose.yml, for review at the root and as applied.

Pure, but for reading the templates.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import SLOTS, Release, Slot, from_manifest
from swiftdeploy_tasks.model.state import Site, Traffic
from swiftdeploy_tasks.proxy import templates
from swiftdeploy_tasks.proxy.generated_files import digest_of, headed
from swiftdeploy_tasks.proxy.private_paths import HIDDEN_PARENT, spellings

if TYPE_CHECKING:
    from jinja2 import Environment

NGINX_MOUNT = "/etc/swiftdeploy/nginx"
COUNTS_MOUNT = "/var/lib/swiftdeploy/counts"
ROOT_FILES = ("nginx.conf", "docker-compose.yml")
# Before the name of a secret's source where compose gets its value: a name of compose's own, or PATH, would
# have another meaning there.
SECRET = "SWIFTDEPLOY_SECRET_"  # noqa: S105  (a name)
ANSWERS = {
    400: "the request is malformed",
    404: "there is nothing here",
    405: "the method is not allowed",
    413: "the request body is larger than 8 MiB",
    414: "the request line is longer than 8 KiB",
    431: "a header is longer than 36 KiB, or all together are longer than 144 KiB",
    500: "the proxy could not handle the request",
    501: "the request is encoded in a way that is not understood",
    502: "the service did not answer",
    503: "no release is serving yet",
    504: "the service took too long to answer",
    505: "this version of HTTP is not spoken here",
}
REQUESTS = 10_000
"""How many requests each nginx worker has on their way at once; a further one gets 503."""
PATH_BYTES = 8192
OPA_HEALTH = (
    'r := http.send({"method":"GET","url":"http://127.0.0.1:8181/health?bundles"}); r.status_code == 200'
)
CONTAINER_SITE = Site(
    bind="",
    operators=(),
    resolver="127.0.0.11",
    pid="/tmp/nginx.pid",  # noqa: S108  (in the container: its only writable folder)
    temp="/tmp",  # noqa: S108
    error_log="/dev/stderr",
    access_logs=("/dev/stdout", "/var/log/swiftdeploy/access.log"),
)


def render_nginx(
    manifest: Manifest,
    site: Site,
    *,
    folders: tuple[Path, ...],
    addresses: Mapping[Slot, str],
    traffic: Traffic,
    generation: str,
    generation_id: str = "",
) -> dict[str, str]:
    """Return `nginx.conf`, and `upstream.conf` unless the site wants it inline; `addresses` are host:port.

    Where the traffic is counted, the lines go to a file named by `generation_id`.
    """
    environment = _environment(folders)
    service = manifest.name
    count = f"{site.counts}/{generation_id}.log" if traffic.counted and site.counts else ""
    values = {
        "manifest": manifest,
        "nginx": manifest.nginx,
        "rollout": manifest.rollout,
        "site": site,
        "slots": SLOTS,
        "addresses": addresses,
        "traffic": traffic,
        "generation": generation,
        "generation_id": generation_id,
        "count": count,
        "answers": ANSWERS,
        "requests": REQUESTS,
        "path_bytes": PATH_BYTES,
        "hidden_parent": HIDDEN_PARENT,
        "body": functools.partial(_error_body, service=service, contact=manifest.contact),
    }
    names = ("nginx.conf",) if site.inline else ("nginx.conf", "upstream.conf")
    return {name: headed(templates.fill(environment, f"{name}.j2", values)) for name in names}


def render_compose(
    manifest: Manifest,
    *,
    folders: tuple[Path, ...],
    placed: Mapping[Slot, Release],
    with_opa: bool,
    images: Mapping[str, str],
    home: str,
    mount: str = "",
) -> str:
    """Return the compose file: for review at the root when `home` is "", else as it is applied.

    `images` maps a component (`nginx`, `opa`, `app-blue`, `app-green`) to the id of its image, and `mount`
    marks the folder that nginx will have mounted. Each
    applied service carries a digest of its own definition, by which a change is seen.
    """
    environment = _environment(folders)
    values = {
        "manifest": manifest,
        "services": manifest.services,
        "nginx": manifest.nginx,
        "opa": manifest.opa,
        "network": manifest.network,
        "placed": [(slot, placed[slot]) for slot in SLOTS if slot in placed],
        "with_opa": with_opa,
        "images": images,
        "home": home,
        "mount": mount,
        "applied": bool(home),
        "state": home or f"{_way_up(manifest.rendered)}/.swiftdeploy",
        "nginx_mount": NGINX_MOUNT,
        "counts_mount": COUNTS_MOUNT,
        "secret": SECRET,
        "opa_health": json.dumps(["CMD", "/opa", "eval", "--fail", OPA_HEALTH]),
    }
    first = templates.fill(environment, "docker-compose.yml.j2", values | {"specs": {}})
    if not home:
        return headed(first)
    document = parse_compose(first)
    specs = {service: _spec(document, service) for service in document["services"]}
    return headed(templates.fill(environment, "docker-compose.yml.j2", values | {"specs": specs}))


def render_root(
    manifest: Manifest, *, folders: tuple[Path, ...], review: tuple[Site, str], with_opa: bool
) -> dict[str, str]:
    """Return the two files for people and reviews: what a first deploy makes, with blue at 100.

    They depend on the manifest and the engine alone; `review` is the engine's site for them, and how nginx
    there reaches blue.
    """
    site, address = review
    rendered = render_nginx(
        manifest,
        site,
        folders=folders,
        addresses={"blue": address},
        traffic=Traffic({"blue": 100}),
        generation="root",
    )
    rendered["docker-compose.yml"] = render_compose(
        manifest,
        folders=folders,
        placed={"blue": from_manifest(manifest, artifact="", process=())},
        with_opa=with_opa,
        images={},
        home="",
    )
    return rendered


def _way_up(rendered: str) -> str:
    """Return the way from the folder of the rendered files to the project's."""
    return "/".join([".."] * len(PurePosixPath(rendered).parts)) or "."


def _spec(document: Mapping[str, Any], service: str) -> str:
    """Return the digest of how a service is run, names of network and volume included; one for both slots."""
    found = document["services"][service]
    own = {key: value for key, value in found.items() if key not in {"container_name", "labels"}}
    around = [document["name"], document["networks"], document["volumes"]]
    return digest_of(json.dumps([own, around], sort_keys=True))


def _error_body(code: int, words: str, *, service: str, contact: str) -> str:
    return json.dumps(
        {"error": words, "code": code, "service": service, "contact": contact}, ensure_ascii=False
    )


@functools.lru_cache(maxsize=1024)
def _yaml(value: str) -> str:
    """Quote a string so that YAML and compose both read it back as it is."""
    import yaml

    dumped = yaml.safe_dump(value.replace("$", "$$"), default_style='"', allow_unicode=True, width=2**31)
    return dumped.rstrip("\n")


def forget_templates() -> None:
    """Read each template again when it is next used."""
    _environment.cache_clear()


@functools.lru_cache(maxsize=4)
def _environment(folders: tuple[Path, ...]) -> Environment:
    # nginx and YAML, not HTML; every value is bounded by the schema.
    environment = templates.environment(folders, keep_trailing_newline=True, autoescape=False)
    environment.filters["yaml"] = _yaml
    environment.filters["spellings"] = spellings
    return environment


def spec_of(compose: str, service: str) -> str:
    """Return the digest that an applied compose file carries for a service, "" where it has none."""
    found = parse_compose(compose)["services"].get(service) or {}
    return str(found.get("labels", {}).get("swiftdeploy.spec", ""))


def parse_compose(text: str) -> Any:
    """Return a rendered compose file as data, as the isolation policy judges it."""
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (a safe loader)
