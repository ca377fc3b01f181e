"""nginx's own check of candidate files: its arguments and what it says."""

from __future__ import annotations

import re

from swiftdeploy_tasks.errors import PreflightError, ProxyError

OLDEST = (1, 27, 4)
# To be run in the folder that holds nginx.conf.
WORDS = ("-v", "-t", "-q", "-e", "stderr", "-p", "./", "-c", "nginx.conf")


def version_in(said: str) -> tuple[int, ...]:
    """Return the version that nginx prints, () where it prints none."""
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else ()


def accepted_by(code: int, said: str, program: str) -> str:
    """Return which nginx accepted the files; `program` is its image or path.

    Raises ProxyError where it refuses them, PreflightError where it is too old.
    """
    version = version_in(said)
    shown, wanted = (".".join(map(str, numbers)) for numbers in (version, OLDEST))
    if not version:
        raise PreflightError(
            f"{program} does not say which nginx it is: {said[:200]!r}", "correct nginx.image"
        )
    if version < OLDEST:
        message = f"{program} is nginx/{shown}, and at least {wanted} is needed"
        raise PreflightError(message, "choose a newer nginx.image")
    if code:
        log = tuple(said.splitlines())
        message = f"nginx refuses the configuration: {first_complaint(said)}"
        raise ProxyError(message, "invoke validate", log=log)
    return f"nginx {shown} ({program})"


def first_complaint(said: str) -> str:
    """Return what nginx complains about, without its date, level and pid."""
    for line in said.splitlines():
        found = re.search(r"\[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.*)", line)
        if found:
            return found[1]
    return said.strip().splitlines()[-1] if said.strip() else "it printed nothing"
