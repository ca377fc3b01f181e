"""Measures nginx's workers and memory over many changes, while WebSockets are open.

    python -m bench.open_sockets

On the local engine. The sockets are always open: one that nginx closes is opened again, and every second the
oldest one is replaced, so that each former configuration of nginx has some. First each change is another
version, so that every socket loses its slot; then each is another setting of nginx, and none does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import psutil

from bench.held_sockets import BEAT, Sockets, held_open
from bench.stack import Stack, memory_of, stack
from bench.table import Row, holds, machine, show
from tests.e2e import apps

CHANGES, SOCKETS = 20, 100
KINDS = ("version", "setting")
# nginx.sockets, in seconds.
LIFE = 16
# How many times the memory of the earlier half of the changes the later half may need.
GROWTH = 1.2
# All sockets may be opened at the same moment.
_APP = apps.SOCKETS.replace(
    "ThreadingHTTPServer((", "ThreadingHTTPServer.request_queue_size = 1024\nThreadingHTTPServer(("
)
_HEAD = (
    *("workers, most", "after", "shutting down, most", "after", "MiB, most", "after"),
    *("answering", "closed", "s without traffic", "cut"),
)


@dataclass
class Most:
    """The most that nginx had at once: workers, those of them that shut down, and MiB of memory."""

    workers: int = 0
    leaving: int = 0
    memory: float = 0.0

    def note(self, made: Stack) -> None:
        """Add what it has now."""
        found = made.nginx()
        self.workers = max(self.workers, len(found) - 1)
        self.leaving = max(self.leaving, sum(map(_is_leaving, found)))
        self.memory = max(self.memory, memory_of(found))


def _is_leaving(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "shutting down" in " ".join(process.cmdline())
    return False


@dataclass(frozen=True)
class Change:
    """One change: `lives` are the seconds for which each closed socket outlived the traffic of its slot.

    `cut` are sockets that were closed although their slot had traffic.
    """

    during: Most
    after: Most
    answering: int
    lives: tuple[float, ...]
    cut: int

    def row(self, number: int) -> Row:
        """Return its row of the table."""
        lives = f"{min(self.lives):.1f} to {max(self.lives):.1f}" if self.lives else ""
        most, after = self.during, self.after
        counts = (most.workers, after.workers, most.leaving, after.leaving)
        memory = (f"{most.memory:.1f}", f"{after.memory:.1f}")
        sockets = (f"{self.answering}", f"{len(self.lives)}", lives, f"{self.cut}")
        return (f"{number}", *map(str, counts), *memory, *sockets)


def main(*, changes: int = CHANGES, sockets: int = SOCKETS, life: int = LIFE) -> None:
    """Print a row for each change of either kind, and whether the memory is bounded."""
    print(machine())
    rollout = {"interval": 1, "min_requests": 0, "drain": 12}
    with stack("local", services__metrics=None, nginx__sockets=life, rollout=rollout) as made:
        (made.place.root / "app" / "main.py").write_text(_APP, encoding="utf-8")
        for kind in KINDS:
            made.set(services__version=f"0-{kind}", services__health={"interval": 0.2})
            made.set(nginx__proxy_timeout=1)
            made.run("deploy").ok()
            seen, refused = asyncio.run(_measure(made, kind, changes, sockets))
            show((f"another {kind}", *_HEAD), [one.row(number) for number, one in enumerate(seen, 1)])
            rows = [*_judged(seen, life), ("sockets not opened", f"{refused}", "0", holds(refused == 0))]
            show(("over all changes", "", "bound", ""), rows)
    print(f"\n{machine()}, when it ended")


async def _measure(made: Stack, kind: str, changes: int, sockets: int) -> tuple[list[Change], int]:
    """Make the changes; return what was seen, and how many sockets could not be opened."""
    async with held_open(made.port, sockets) as held:
        seen = [await _change(made, held, kind, number) for number in range(1, changes + 1)]
    return seen, held.refused


async def _change(made: Stack, held: Sockets, kind: str, number: int) -> Change:
    """Make one change, and look at nginx twice a second meanwhile and once after it."""
    during, after, known = Most(), Most(), len(held.closed)
    former = str(made.manifest["services"]["version"])
    if kind == "version":
        made.set(services__version=f"{number}-{kind}")
    else:
        made.set(nginx__proxy_timeout=1 + number % 2)
    deploy = asyncio.ensure_future(asyncio.to_thread(made.run, "deploy"))
    while not deploy.done():
        during.note(made)
        await asyncio.wait({deploy}, timeout=0.5)
    deploy.result().ok()
    await asyncio.sleep(3 * BEAT)
    after.note(made)
    closed = held.closed[known:]
    lost = _lost_traffic(made) if kind == "version" else None
    lives = tuple(at - lost for version, at in closed if lost and version == former)
    return Change(during, after, held.answering(), lives, len(closed) - len(lives))


def _lost_traffic(made: Stack) -> float:
    """Return when (unix s) the old slot of the last change had lost its traffic: its drain began."""
    lines = (made.place.root / "history.jsonl").read_text(encoding="utf-8").splitlines()
    began = [one for one in map(json.loads, lines) if one.get("action") == "drain" and "seconds" not in one]
    return datetime.fromisoformat(began[-1]["time"]).timestamp()


def _judged(seen: list[Change], life: int) -> Iterator[Row]:
    half = (len(seen) + 1) // 2
    first = max(change.during.memory for change in seen[:half])
    last = max(change.during.memory for change in seen[-half:])
    bound = GROWTH * first
    yield (f"most memory in the first {half} changes, MiB", f"{first:.1f}", "", "")
    yield (f"  in the last {half}", f"{last:.1f}", f"<= {bound:.1f}", holds(last <= bound))
    if lives := [one for change in seen for one in change.lives]:
        least = min(lives)
        yield ("shortest life without traffic, s", f"{least:.1f}", f">= {life}", holds(least >= life))
    cut = sum(change.cut for change in seen)
    yield ("sockets cut while their slot had traffic", f"{cut}", "0", holds(cut == 0))


if __name__ == "__main__":
    main()
