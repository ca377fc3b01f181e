"""Starts verbs by forking a Python that has imported them, which saves half a second of processor time each.

The verb is a process of its own with its own session, environment, folder and streams, and a child of the
test's process. `packaging` tests the command as it is installed.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

# From <sys/prctl.h>: orphans become children of this process.
PR_SET_CHILD_SUBREAPER = 36
REQUEST_BYTES = 1 << 20


class Verb(subprocess.Popen[str]):
    """A verb that was forked; `args[0]` names the command and is not executed."""

    def _execute_child(self, args: list[str], *options: Any) -> None:
        cwd, env = options[4:6]
        p2cread, _, _, c2pwrite, _, errwrite = options[9:15]
        request = json.dumps({"argv": args, "cwd": str(cwd), "env": dict(env)}).encode()
        to = _server()
        _adopt_orphans(yes=True)
        try:
            socket.send_fds(to, [request], [p2cread, c2pwrite, errwrite])
            self.pid = int(to.recv(32))
        finally:
            _adopt_orphans(yes=False)
        self._child_created = True
        self._close_pipe_fds(*options[9:15])  # type: ignore[attr-defined]


@cache
def _server() -> socket.socket:
    """Start the server of this test process; it ends when this process does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        root = Path(__file__).parents[2]
        subprocess.Popen(command, cwd=root, pass_fds=[theirs.fileno()], start_new_session=True)
    return ours


def _adopt_orphans(*, yes: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def serve(descriptor: int) -> dict[str, Any]:
    """Fork for each request; returns the request, with its streams in place, in the process that runs it."""
    here = socket.socket(fileno=descriptor)
    while True:
        request, streams, _, _ = socket.recv_fds(here, REQUEST_BYTES, 3)
        if not request:
            os._exit(0)
        told, telling = os.pipe()
        between = os.fork()
        if between:
            # The verb is a child of the test's process as soon as the one between has ended.
            os.waitpid(between, 0)
            here.send(os.read(told, 32))
            for number in (told, telling, *streams):
                os.close(number)
            continue
        if pid := os.fork():
            os.write(telling, str(pid).encode())
            os._exit(0)
        os.close(told)
        os.close(telling)
        here.detach()
        os.close(descriptor)
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        found: dict[str, Any] = json.loads(request)
        return found


def main() -> None:
    """Import what verbs use, and run the verb of each request in a process of its own."""
    import docker
    import jinja2.sandbox
    import jsonschema
    import requests

    from swiftdeploy_tasks.cli import program
    from swiftdeploy_tasks.engines import registry
    from swiftdeploy_tasks.engines.docker import docker_engine
    from swiftdeploy_tasks.engines.local import local_engine
    from swiftdeploy_tasks.session import invocation

    gc.freeze()
    assert docker and jinja2 and jsonschema and requests and registry and docker_engine and local_engine
    asked = serve(int(sys.argv[1]))
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = asked["argv"]
    invocation.INVOCATION.__init__()  # type: ignore[misc]
    try:
        program.main()
        code: Any = 0
    except SystemExit as ended:
        code = ended.code or 0
    # All that the end of an interpreter does but to free each object by itself.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
