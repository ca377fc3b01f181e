"""Judges the answers on a health path, and words what is wrong with one."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.proxy.probe import Reply
from swiftdeploy_tasks.system.redaction import masked

MODES = ("stable", "canary")
# How many bytes of an answer, and of its Location, a message quotes.
QUOTED = 200
LOOPBACK = ("127.", "::1")
ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104
# Statuses by which an app or its framework refuses a Host that it does not know.
_OF_HOSTS = (301, 302, 307, 308, 400, 403, 421)


def is_good(reply: Reply) -> bool:
    """Return whether the status says that the app is well."""
    return reply.status is not None and 200 <= reply.status <= 299


def problem(reply: Reply, release: Release, *, secrets: Iterable[str] = ()) -> str:
    """Return what is wrong with an answer on the health path, "" when it is one of this release.

    What it quotes is masked before it is cut.
    """
    path = release.health.path
    if reply.status is None:
        return reply.error
    if not is_good(reply):
        return f"{path} answers {reply.status}{_described(reply, release, tuple(secrets))}"
    for key, wanted in (("mode", release.mode), ("version", release.version)):
        said = reply.said.get(key, wanted)
        if _takes_ours(reply) and said != wanted:
            return f"{path} says {key} {said!r}, and the release's is {wanted!r}"
    return ""


def _takes_ours(reply: Reply) -> bool:
    """Return whether the app takes mode and version from us: only then are they those of the release.

    Its answer then has a mode that is one of ours. A version alone is the app's own.
    """
    return reply.said.get("mode") in MODES


def _described(reply: Reply, release: Release, secrets: Collection[str]) -> str:
    found = []
    if "Location" in reply.headers:
        found.append(f"with Location {_quoted(reply.headers['Location'], secrets)}")
    if reply.host:
        found.append(f"to a request for Host {reply.host}")
    words = " ".join(["", *found])
    if reply.status in _OF_HOSTS and not release.health.host:
        words += " (services.health.host sets another)"
    text = reply.body.decode("utf-8", "replace").strip()
    return f"{words}: {_quoted(text, secrets)}" if text else words


def _quoted(text: str, secrets: Collection[str]) -> str:
    shown = masked(text, secrets)
    content = shown.encode()
    cut = content[:QUOTED].decode("utf-8", "ignore")
    return repr(cut) + ("…" if len(content) > QUOTED else "")


def where_it_listens(port: int, found: Collection[tuple[str, int]] | None, *, loopback: bool) -> str:
    """Return why nginx cannot connect to the app's `port`, "" where it can or that cannot be known.

    `found` are the addresses on which the app listens, None where they cannot be seen. With `loopback` a
    loopback address is one that nginx reaches.
    """
    if found is None:
        return ""
    at_port = [address for address, own in found if own == port]
    if any(loopback or not address.startswith(LOOPBACK) for address in at_port):
        return ""
    listed = ", ".join(sorted(_joined(address, own) for address, own in found))
    if at_port:
        return f"the app listens on {listed}, not on {ANYWHERE[0]}:{port}, where nginx asks"
    return f"nothing listens on APP_PORT {port}" + (f"; the app listens on {listed}" if listed else "")


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
