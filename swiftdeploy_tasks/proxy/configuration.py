"""Renders nginx.conf and upstream.conf, for review at the root and as applied.

Pure, but for reading the templates.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from swiftdeploy_tasks.manifest.model import Manifest, Nginx, Route
from swiftdeploy_tasks.model.release import SLOTS, Slot
from swiftdeploy_tasks.model.state import Site, Traffic
from swiftdeploy_tasks.proxy import templates
from swiftdeploy_tasks.proxy.generated_files import headed
from swiftdeploy_tasks.proxy.hosts import host_pattern
from swiftdeploy_tasks.proxy.private_paths import HIDDEN_PARENT, spellings
from swiftdeploy_tasks.proxy.sizing import fits_in_memory, size_of
from swiftdeploy_tasks.settings import LOGS_MOUNT

ANSWERS = {
    400: "the request is malformed",
    404: "not found",
    405: "the method is not allowed",
    413: "the request body is larger than $sd_body_bound",
    414: "the request line is longer than 8 KiB",
    421: "this host is not served here",
    431: "a header is longer than 36 KiB, or all together are longer than 144 KiB",
    500: "the proxy could not handle the request",
    501: "this transfer encoding is not supported",
    502: "the service did not answer",
    503: "no release is serving yet",
    504: "the service took too long to answer",
    505: "this version of HTTP is not supported",
}
DROPPED = (
    *("Forwarded", "X-Forwarded", "Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port"),
    *("X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Protocol"),
    *("X-Forwarded-Prefix", "X-Original-Forwarded-For", "X-Scheme", "X-Url-Scheme", "Front-End-Https"),
    *("Proxy", "Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP"),
    *("CF-Connecting-IPv6", "Fastly-Client-IP", "X-Original-Host", "X-Host"),
    *("X-Original-URL", "X-Rewrite-URL"),
)
"""Headers that never reach the app: some frameworks trust them, and any client can send them."""
PATH_BYTES = 8192
UPGRADED_SECONDS = 3600
"""How long an upgraded connection may be silent."""
CONTAINER_SITE = Site(
    bind="",
    operators=(),
    resolver="127.0.0.11",
    pid="/tmp/nginx.pid",  # noqa: S108  (in the container: its only writable folder)
    temp="/tmp",  # noqa: S108
    error_log="/dev/stderr",
    access_logs=("/dev/stdout", f"{LOGS_MOUNT}/access.log"),
)


def render(
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
    environment = templates.for_text(folders, spellings=spellings, host_pattern=host_pattern)
    service = manifest.name
    count = f"{site.counts}/{generation_id}.log" if traffic.counted and site.counts else ""
    routes = _routes(manifest.nginx)
    bounds = _body_bounds(routes)
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
        "answers": _answers(manifest.nginx, bounds),
        "dropped": DROPPED,
        "routes": routes,
        "bounds": bounds,
        "size": size_of(manifest.nginx, site.cores),
        "upgraded_seconds": UPGRADED_SECONDS,
        "leaving_seconds": _leaving_seconds(manifest),
        "path_bytes": PATH_BYTES,
        "hidden_parent": HIDDEN_PARENT,
        "body": functools.partial(_error_body, service=service, contact=manifest.contact),
    }
    names = ("nginx.conf",) if site.inline else ("nginx.conf", "upstream.conf")
    return {name: headed(templates.fill(environment, f"{name}.j2", values)) for name in names}


def _routes(nginx: Nginx) -> list[Route]:
    """Return the routes by falling length of their path; the last one, `/`, is for every other path.

    A body that may be larger than nginx's memory for bodies is not buffered.
    """
    rest = Route("/", nginx.proxy_timeout, nginx.body_size, buffering=True)
    found = [*sorted(nginx.routes, key=lambda route: (-len(route.path), route.path)), rest]
    return [replace(one, buffering=one.buffering and fits_in_memory(nginx, one.body_size)) for one in found]


def _body_bounds(routes: list[Route]) -> dict[str, str]:
    """Return the bound of a body in words by path, of "/" alone where all are the same."""
    bounds = {route.path: _size_in_words(route.body_size) for route in routes}
    return bounds if len(set(bounds.values())) > 1 else {"/": bounds["/"]}


def _answers(nginx: Nginx, bounds: Mapping[str, str]) -> dict[int, str]:
    """Return the words of each error that nginx answers, with the body's bound where all paths share it."""
    found = {code: words for code, words in ANSWERS.items() if code != 421 or nginx.hosts}
    if len(bounds) > 1:
        return found
    return {code: words.replace("$sd_body_bound", bounds["/"]) for code, words in found.items()}


def _size_in_words(size: str) -> str:
    units = {"k": "KiB", "m": "MiB", "g": "GiB"}
    return f"{size[:-1]} {units[size[-1]]}" if size[-1] in units else "any size"


def _leaving_seconds(manifest: Manifest) -> int:
    """Return how long a worker of a former configuration may stay: an hour, or the longest change.

    In a change each share is watched for at most two intervals and one late answer.
    """
    health, rollout, nginx = manifest.services.health, manifest.rollout, manifest.nginx
    watched = len(rollout.steps) * (2 * rollout.interval + nginx.longest_timeout)
    change = health.timeout + watched + rollout.drain + nginx.longest_timeout + nginx.sockets
    return max(3600, math.ceil(change))


def _error_body(code: int, words: str, *, service: str, contact: str) -> str:
    return json.dumps(
        {"error": words, "code": code, "service": service, "contact": contact}, ensure_ascii=False
    )
