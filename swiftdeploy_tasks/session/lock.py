"""The project's lock: one invocation writes at a time.

An flock on a file in the state folder, which the kernel releases with its process. Children do not inherit
it, and readers do not take it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pwd
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.errors import LockHeld, PreflightError
from swiftdeploy_tasks.proxy import probe
from swiftdeploy_tasks.system import files

# Which variable names the run, by CI system; GITHUB_RUN_ID is Gitea's and Forgejo's too.
CI_RUNS = {
    "GitHub": "GITHUB_RUN_ID",
    "GitLab": "CI_JOB_ID",
    "Buildkite": "BUILDKITE_BUILD_ID",
    "CircleCI": "CIRCLE_BUILD_NUM",
    "Azure": "BUILD_BUILDID",
    "Bitbucket": "BITBUCKET_BUILD_NUMBER",
    "Jenkins": "BUILD_TAG",
}

# Bytes of a holder's JSON at most: nine claims of 100 characters, each escaped, and the rest.
LONGEST_HOLDER = 1 << 14

# The variables in which sudo and CI systems name a person; any user can set them.
CLAIMS = (
    "SUDO_USER",
    "DOAS_USER",
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BUILDKITE_BUILD_CREATOR",
    "CIRCLE_USERNAME",
    "BUILD_REQUESTEDFOR",
    "BITBUCKET_STEP_TRIGGERER_UUID",
    "BUILD_USER_ID",
)
LONGEST_CLAIM = 100


@dataclass(frozen=True)
class Holder:
    """Who holds the lock: a user on a host, in a process, for a verb, since (RFC 3339).

    `claimed` is what the holder's environment says of the person; older versions wrote none.
    """

    verb: str
    user: str
    host: str
    pid: int
    since: str
    claimed: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        claims = "".join(f", claims {name}={value}" for name, value in self.claimed.items())
        return f"{self.verb} (user {self.user} on {self.host}{claims}, pid {self.pid}, since {self.since})"


@dataclass(frozen=True)
class HeldLock:
    """The lock, held while its descriptor is open; `cut_off` is a former holder that was killed."""

    descriptor: int
    cut_off: Holder | None = None

    def sign_off(self) -> None:
        """Say that the holder has come to its end; the kernel frees the lock when the process is gone."""
        os.ftruncate(self.descriptor, 0)


def acquire(state: Path, *, verb: str, wait: float) -> HeldLock:
    """Take the project's lock, to be held while writing.

    Waits up to `wait` seconds. Raises LockHeld, which names the holder, and PreflightError where the state
    folder cannot be made.
    """
    try:
        files.make_folder(state)
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "its file `lock` is not a regular file")
    except OSError as error:
        raise PreflightError(
            f"the state folder {state} cannot be written: {error.strerror}",
            "make the folder writable, or set INVOKE_SWIFTDEPLOY_STATE",
        ) from None
    if not probe.until(lambda: _try(descriptor), seconds=wait, every=0.1):
        holder = _holder(descriptor)
        os.close(descriptor)
        waited = f"; waited {wait:g} s" if wait else ""
        raise LockHeld(
            f"the project is locked by {holder or 'another invocation'}{waited}",
            f"invoke {verb} --wait 60",
            holder=asdict(holder) if holder else None,
        )
    cut_off = _holder(descriptor)
    name = json.dumps(asdict(_me(verb))).encode()
    # Written over the former name, not after removing it: killed in between, one of the two still stands.
    # On a full disk the lock is held, but its holder's name is not written.
    with suppress(OSError):
        os.pwrite(descriptor, name, 0)
        os.ftruncate(descriptor, len(name))
    return HeldLock(descriptor, cut_off)


def at_work(state: Path) -> str:
    """Return the holder of the lock, "" for none, without taking it."""
    if not _is_held(state):
        return ""
    with suppress(OSError), (state / "lock").open("rb") as file:
        return str(_holder(file.fileno()) or "another invocation")
    return "another invocation"


def _is_held(state: Path) -> bool:
    """Return whether the kernel says so."""
    try:
        inode = (state / "lock").stat().st_ino
        held = [line.split() for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return False
    # "1: FLOCK ADVISORY WRITE 6198 fe:00:10559937 0 EOF"; one who waits has an arrow after the number.
    return any("FLOCK" in words and words[5].endswith(f":{inode}") for words in held if "->" not in words)


def who() -> dict[str, Any]:
    """Return who acts: login name and uid as the system has them, the host, and the CI run if there is one.

    `claimed` is what the environment says of the person; nothing proves it.
    """
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    runs = [f"{system} {os.environ[name]}" for system, name in CI_RUNS.items() if os.environ.get(name)]
    claimed = {name: _printable(os.environ[name]) for name in CLAIMS if os.environ.get(name)}
    return {
        "user": user,
        "uid": uid,
        "host": socket.gethostname(),
        **({"ci": runs[0]} if runs else {}),
        **({"claimed": claimed} if claimed else {}),
    }


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text[:LONGEST_CLAIM])


def _me(verb: str) -> Holder:
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    me = who()
    return Holder(verb, me["user"], me["host"], os.getpid(), since, me.get("claimed", {}))


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> Holder | None:
    try:
        found, _ = json.JSONDecoder().raw_decode(os.pread(descriptor, LONGEST_HOLDER, 0).decode())
        holder = Holder(**found)
        return holder if isinstance(holder.claimed, dict) else None
    except (ValueError, TypeError):
        return None
