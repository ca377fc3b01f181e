"""What the processes of a project are: nginx, OPA, the app of each slot, and strangers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from swiftdeploy_tasks.engines.local import policy_process, processes, proxy_process
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.components import LOOPBACK
from swiftdeploy_tasks.model.release import Slot, from_label
from swiftdeploy_tasks.model.state import Placement, PolicyServer, Proxy, State


def observe(home: Path) -> State:
    """See `Engine.observe`."""
    found = processes.ours(str(home))
    placed = processes.by_slot(processes.heads(found))
    return State(
        proxy=_proxy(home / "nginx"),
        slots={slot: _placement(slot, one, found, home) for slot, one in placed.items()},
        policy=_policy_server([one for one in found if part(one) == components.OPA], home),
        strangers=tuple(map(name_of, processes.strangers(found))),
    )


def part(one: processes.Found) -> str:
    """Return the component that the process belongs to, "process" for none."""
    slot = one.environment.get(processes.SLOT)
    return f"app-{slot}" if slot else one.environment.get(processes.PART, "process")


def is_in(one: processes.Found, slot: Slot) -> bool:
    """Return whether the process belongs to the app in this slot."""
    return one.environment.get(processes.SLOT) == slot


def name_of(one: processes.Found) -> str:
    """Return the name of one process."""
    return f"{part(one)} (pid {one.process.pid})"


def form(project: str) -> str:
    """Return the digest of an app's Spec: all but the project is in its release."""
    return f"process of {project}"


def _proxy(prefix: Path) -> Proxy | None:
    master = proxy_process.master(prefix)
    if master is None:
        return None
    former = proxy_process.former_prefix(master, prefix)
    trouble = f"was started as {former}, before the project's folder was renamed" if former else ""
    spec, port = proxy_process.facts(master)
    return Proxy(spec, "", trouble=trouble, operator_port=port)


def _policy_server(there: Sequence[processes.Found], home: Path) -> PolicyServer | None:
    """Return the OPA that was started from here; variables can be forged, so its note identifies it."""
    if not there:
        return None
    pid = policy_process.noted(home)
    own = next((one for one in there if one.process.pid == pid), None)
    if own is None:
        return PolicyServer("", live=False, trouble="was not started from this state folder")
    spec = own.environment.get(processes.SPEC, "")
    trouble = "" if own.runs else "was stopped by a signal"
    return PolicyServer(spec, own.runs, trouble, processes.listening_of(pid))


def _placement(slot: Slot, one: processes.Found, found: Sequence[processes.Found], home: Path) -> Placement:
    """Return what this process is; one that was started under a former path is in another form."""
    port = one.environment.get(processes.PORT, "")
    moved = one.environment.get(processes.HOME) != str(home)
    own = [other for other in found if is_in(other, slot)]
    # The head of a launch may be a shell that runs the app, and an app may have erased its environment.
    carrying = next((other for other in (one, *own) if other.carries), one)
    return Placement(
        release=from_label(one.environment.get(processes.RELEASE, "")),
        spec="moved" if moved else form(one.environment.get(processes.PROJECT, "")),
        live=one.runs,
        trouble="" if one.runs else "was stopped by a signal",
        address=f"{LOOPBACK}:{port}" if port else "",
        since=one.since,
        has_died=not any(other.runs for other in own),
        reach=(LOOPBACK, int(port)) if port.isdecimal() else ("", 0),
        environment=dict(carrying.environment),
    )
