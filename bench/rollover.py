"""Measures what a change of what runs costs the clients of the service.

    python -m bench.rollover

Each engine is measured in one run, beside what people use without SwiftDeploy. It refuses to judge: a bound
that does not hold is printed, and is no failure. A verb that fails where it should not ends the run.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from statistics import median

from bench import plain
from bench.load import Load, Plan, under_load
from bench.stack import Stack, stack
from bench.table import Row, holds, machine, show
from bench.tally import KINDS, Failure, Tally
from swiftdeploy_tasks.model.release import Slot
from swiftdeploy_tasks.proxy import probe

ENGINES = ("docker", "local")
SHARES = (10, 50, 90)
SIGMAS, SICK_SECONDS, STARTS = 3.0, 2.0, 2.0
PASSES, INTERVAL = 3, 1.0
FRESH, IDLE = 8, 2
# The machine's own slowness must not refuse a promote here; errors still do.
CANARY = {"max_error_rate": 0.01, "max_p99_ms": 60000, "window": 1}
HOLD = 60
LOAD_HEAD = (
    "requests that failed",
    "sent",
    "/s",
    "failed",
    *KINDS,
    "outage s",
    "closed idle",
    "p99 ms",
    "bound",
    "",
)


@dataclass(frozen=True)
class Extent:
    """How much is measured: requests/s, roll-overs a run, runs, sick canaries, requests a share, promotes."""

    rate: float = 1000.0
    rolls: int = 5
    runs: int = 1
    canaries: int = 5
    requests: int = 4000
    promotes: int = 5


SIZES = {
    "short": Extent(rate=200.0, rolls=1, canaries=1, requests=800, promotes=2),
    "usual": Extent(),
    "full": Extent(runs=5, canaries=20),
}


def main(engines: Iterable[str] = ENGINES, *, size: str = "usual", rate: float = 0.0, part: str = "") -> None:
    """Measure each engine in turn, and print a table for each thing that is promised.

    `size` is one of SIZES, and `rate` (requests/s), where it is given, replaces the rate of that size.
    `part` is one of PARTS, or "" for all of them.
    """
    extent = replace(SIZES[size], rate=rate or SIZES[size].rate)
    print(machine())
    for engine in engines:
        health = {"passes": PASSES, "interval": INTERVAL}
        with stack(engine, services__health=health, policy__canary=CANARY) as made:
            print(f"\n{engine}, {extent.rate:g} requests/s")
            for measure in [PARTS[part]] if part else PARTS.values():
                measure(made, extent)
    print(f"\n{machine()}, when it ended")


def _promotes(made: Stack, extent: Extent) -> None:
    """Promote there and back without load: the seconds by phase."""
    start = plain.seconds_to_healthy(made, passes=PASSES, interval=INTERVAL, times=extent.promotes)
    walls, own = [], []
    spent: dict[str, list[float]] = {}
    for _ in range(extent.promotes):
        ended = made.run("promote").ok()
        for name, seconds in ended.document["spent"].items():
            spent.setdefault(name, []).append(seconds)
        waited = sum(map(float, re.findall(r"measuring what serves now for (\S+) s", ended.told)))
        waited += sum(ended.document["spent"].get(name, 0.0) for name in ("gate", "drain"))
        walls.append(ended.seconds)
        own.append(ended.seconds - waited)
    rows: list[Row] = [
        ("start and health of the service alone", f"{start:.2f}", "", "", ""),
        ("promote, the whole process", f"{median(walls):.2f}", "", "", ""),
        _bounded_start("promote less window, interval, drain", median(own), start),
        *((f"  {name}", f"{median(seconds):.2f}", "", "", "") for name, seconds in spent.items()),
    ]
    show(("idle service, median", "s", "starts", "bound", ""), rows)


def _bounded_start(name: str, seconds: float, start: float) -> Row:
    ratio = seconds / start
    return (name, f"{seconds:.2f}", f"{ratio:.2f}", f"< {STARTS:g}", holds(ratio < STARTS))


def _rollovers(made: Stack, extent: Extent) -> None:
    plan = Plan(made.port, extent.rate, seconds=900)
    plans = {"kept-alive": plan, "with fresh and idling ones": replace(plan, fresh=FRESH, idle=IDLE)}
    rows = []
    versions = itertools.count(2)
    for name, shape in plans.items():
        for run in range(1, extent.runs + 1):
            tally = _changes(made, shape, extent.rolls, versions)
            rows.append(_load_row(f"{extent.rolls + 3} changes, {name}, run {run}", tally, is_bounded=True))
    if made.engine == "docker":
        tally = plain.force_recreate(made, plan, times=extent.rolls)
        rows.append(_load_row(f"{extent.rolls} x compose up --force-recreate", tally, is_bounded=False))
    show(LOAD_HEAD, rows)


def _changes(made: Stack, plan: Plan, rolls: int, versions: Iterator[int]) -> Tally:
    """Roll over to new versions, promote there and back, and go back one, all under this load."""
    with under_load(plan) as running:
        time.sleep(1)
        for _ in range(rolls):
            made.set(services__version=f"{next(versions)}.0.0", services__mode="stable")
            made.run("deploy").ok()
        for verb in ("promote", "promote", "rollback"):
            made.run(verb).ok()
        time.sleep(1)
    return running.tally


def _load_row(name: str, tally: Tally, *, is_bounded: bool) -> Row:
    failed = len(tally.failures)
    bound = ("0", holds(failed == 0)) if is_bounded else ("", "")
    counts = (str(tally.count(kind)) for kind in KINDS)
    figures = (f"{tally.outage:.2f}", str(tally.closed_idle), f"{tally.wait_ms(99):.0f}")
    sent = (str(tally.requests), f"{tally.requests / tally.seconds:.0f}")
    return (name, *sent, str(failed), *counts, *figures, *bound)


def _be_stable(made: Stack, *, steps: Iterable[int], interval: float) -> Slot:
    """Have a stable release serve, and the next promote take these steps; return its slot."""
    made.set(services__mode="stable", rollout={"steps": [100]})
    made.run("deploy", "--again").ok()
    made.set(rollout={"steps": [*steps, 100], "interval": interval})
    return made.other_slot()


def _split(made: Stack, extent: Extent) -> None:
    """Promote in steps, and count who answers while each lasts."""
    seconds = extent.requests / extent.rate
    slot = _be_stable(made, steps=SHARES, interval=round(2 * seconds + 4))
    verb = made.start("promote")
    rows = []
    for share in SHARES:
        verb.until_watched(slot, share)
        tally = Load(Plan(made.port, extent.rate, seconds)).run()
        found = probe.generation(made.operator_port)
        if found is None or found.traffic.of(slot) != share:
            raise RuntimeError(f"the step of {share} % ended before its requests were sent")
        rows.append(_split_row(share, tally))
    verb.end().ok()
    show(("share of the new slot, %", "requests", "to it", "expected", "sigmas", "bound", ""), rows)


def _split_row(share: int, tally: Tally) -> Row:
    part, seen = share / 100, tally.modes["canary"]
    expected = tally.good * part
    sigmas = abs(seen - expected) / (tally.good * part * (1 - part)) ** 0.5
    figures = (str(tally.good), str(seen), f"{expected:.0f}", f"{sigmas:.2f}")
    return (str(share), *figures, f"<= {SIGMAS:g}", holds(sigmas <= SIGMAS))


def _sick(made: Stack, extent: Extent) -> None:
    """Let canaries turn to errors at 10 and at 100 %, and see for how long they go on answering."""
    for share in (10, 100):
        _sick_at(share, made, extent)


def _sick_at(share: int, made: Stack, extent: Extent) -> None:
    lasts, idles, codes = [], [], Counter[int]()
    for _ in range(extent.canaries):
        slot = _be_stable(made, steps=(share,) if share < 100 else (), interval=HOLD)
        plan = Plan(made.port, extent.rate, seconds=900, fresh=FRESH, idle=IDLE)
        with under_load(plan) as running:
            verb = made.start("promote")
            verb.until_watched(slot, share)
            time.sleep(random.uniform(2, 3))  # somewhere between two looks
            hurt = made.break_slot(slot)
            codes[verb.end().code] += 1
            time.sleep(max(plan.pauses) + 1)
        errors = [one for one in running.tally.failures if one.kind == "5xx"]
        lasts.append(max((one.at - hurt for one in errors if one.sort != "idle"), default=0.0))
        idles.append(_most_on_one_lane(one for one in errors if one.sort == "idle"))
    many, told = str(len(lasts)), ", ".join(f"{code} x{count}" for code, count in codes.items())
    rows: list[Row] = [
        _sick_row("last answer, new and busy, s", lasts, SICK_SECONDS),
        _sick_row("most answers on one idle connection", idles, 1),
        (f"exit codes of {many} promotes: {told}", "", "", "", ""),
    ]
    show((f"canary turns sick at {share} %", "median", "worst", "bound", ""), rows)


def _sick_row(name: str, seen: list[float], bound: float) -> Row:
    worst = max(seen)
    return (name, f"{median(seen):.2f}", f"{worst:.2f}", f"<= {bound:g}", holds(worst <= bound))


def _most_on_one_lane(failures: Iterable[Failure]) -> float:
    return max(Counter(one.lane for one in failures).values(), default=0)


def _killed(made: Stack, extent: Extent) -> None:
    """Kill a canary that has half of the traffic."""
    slot = _be_stable(made, steps=(50,), interval=HOLD)
    with under_load(Plan(made.port, extent.rate, seconds=900, fresh=FRESH)) as running:
        verb = made.start("promote")
        verb.until_watched(slot, 50)
        time.sleep(2)
        made.kill_slot(slot)
        ended = verb.end()
        time.sleep(1)
    tally = running.tally
    rows: list[Row] = []
    for method in ("GET", "POST"):
        failed = [one for one in tally.failures if one.method == method]
        kinds = ", ".join(f"{kind} {count}" for kind, count in Counter(o.kind for o in failed).items())
        bound = ("0", holds(not failed)) if method == "GET" else ("", "")
        rows.append((method, str(tally.methods[method]), str(len(failed)), kinds, *bound))
    rows.append((f"promote ended with {ended.code}", "", "", "", "", ""))
    show(("kill -9 of the canary at 50 %", "sent", "failed", "as", "bound", ""), rows)


PARTS: dict[str, Callable[[Stack, Extent], None]] = {
    "promotes": _promotes,
    "rollovers": _rollovers,
    "split": _split,
    "sick": _sick,
    "killed": _killed,
}


if __name__ == "__main__":
    reader = argparse.ArgumentParser(prog="python -m bench.rollover")
    reader.add_argument("--engine", choices=ENGINES, help="one of the two; both without it")
    reader.add_argument("--size", choices=SIZES, default="usual")
    reader.add_argument("--rate", type=float, default=0.0, help="requests/s, instead of the size's own")
    reader.add_argument("--part", choices=PARTS, default="", help="one of them; all without it")
    asked = reader.parse_args()
    main([asked.engine] if asked.engine else ENGINES, size=asked.size, rate=asked.rate, part=asked.part)
