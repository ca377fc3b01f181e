"""What does a look at nginx's access log cost at 1,000 requests a second, and is its window true?

    python -m bench.log_looks                              # as often as by the dashboard
    python -m bench.log_looks --engine docker --every 1

On a stack whose `services.metrics` is `{from: nginx}`, under load, the log is looked at again and again:
processor time of a look, and the rate and length of the window beside what was sent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from contextlib import chdir
from statistics import median

from bench.load import Plan, under_load
from bench.stack import Stack, stack
from bench.table import Row, holds, machine, show
from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.manifest import loading
from swiftdeploy_tasks.metrics import LogWindows, Window
from swiftdeploy_tasks.rollout import observation, slot_metrics

ENGINES = ("local", "docker")
# The window, and the time between two looks of a dashboard, in seconds.
SECONDS, EVERY = 30.0, 5.0
PERCENT = 5.0


def main(
    engines: Iterable[str] = ENGINES, *, rate: float = 1000.0, looks: int = 8, every: float = EVERY
) -> None:
    """Deploy on each engine in turn, and print what a look takes."""
    print(machine())
    for engine in engines:
        with stack(engine, services__metrics={"from": "nginx"}) as made, chdir(made.place.root):
            _show(made, rate, looks, every)
    print(f"\n{machine()}, when it ended")


def _show(made: Stack, rate: float, looks: int, every: float) -> None:
    windows = LogWindows()
    plan = Plan(made.port, rate, seconds=SECONDS + 2 * max(EVERY, every) * looks)
    with under_load(plan) as running:
        time.sleep(SECONDS)
        first, early = _look(windows)
        spent, last = [], early
        for _ in range(looks):
            time.sleep(every)
            milliseconds, last = _look(windows)
            spent.append(milliseconds)
        running.stop()
    tally = running.tally
    share = median(spent) / (10 * every)
    rows: list[Row] = [
        ("requests sent, /s", f"{tally.requests / tally.seconds:.0f}", "", ""),
        ("first look, cpu ms", f"{first:.0f}", "", ""),
        ("  its window, s", f"{early.seconds:.1f}", "", ""),
        ("  its rate, /s", f"{early.rate:.0f}", "", ""),
        ("a later look, median cpu ms", f"{median(spent):.0f}", "", ""),
        (f"  % of a core, each {every:g} s", f"{share:.1f}", f"<= {PERCENT:g}", holds(share <= PERCENT)),
        ("  window of the last, s", f"{last.seconds:.1f}", "", ""),
        ("  its rate, /s", f"{last.rate:.0f}", "", ""),
    ]
    show((made.engine, "", "bound", ""), rows)


def _look(windows: LogWindows) -> tuple[float, Window]:
    """Look once; return the processor time of this thread in ms, and the window of the slot that serves."""
    places = settings.find()
    manifest = loading.load(places.applied, schema=places.schema)
    engine = registry.make(registry.recorded(places), places)
    seen = observation.look(engine, places)
    assert seen.traffic.leader
    began = time.thread_time()
    slot_metrics.read_log(manifest, engine, windows, seconds=SECONDS)
    found = slot_metrics.logged_window(seen, seen.traffic.leader, windows, seconds=SECONDS)
    return (time.thread_time() - began) * 1000, found.window


if __name__ == "__main__":
    reader = argparse.ArgumentParser(prog="python -m bench.log_looks")
    reader.add_argument("--engine", choices=ENGINES, help="one of the two; both without it")
    reader.add_argument("--every", type=float, default=EVERY, help="seconds between two looks")
    reader.add_argument("--looks", type=int, default=8)
    asked = reader.parse_args()
    main([asked.engine] if asked.engine else ENGINES, looks=asked.looks, every=asked.every)
