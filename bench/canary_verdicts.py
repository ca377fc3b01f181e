"""Measures how often the evidence fails a good release, and how soon a bad one.

    python -m bench.canary_verdicts [--quick]

Nothing runs: traffic is simulated with fixed seeds, so the tables are the same each time. Beside the evidence
is the old policy, which compared the figures of a step up to now with the limits, each second.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from bench.canary_traffic import Behaviour, Outcome, Scene, Step, simulate
from bench.many_changes import Floats
from bench.table import Row, holds, machine, show
from swiftdeploy_tasks.metrics.slot_tally import BOUNDS

Table = tuple[Row, list[Row]]

TIMED = ("failed", "median s", "worst s", "old policy", "median s", "worst s")

FEW_REQUESTS = 500
MOST_FALSE, LEAST_FOUND = 0.01, 0.99
# By their p99: 64 ms, 323 ms, and the limit of 500 ms.
FAST, USUAL, AT_LIMIT = (
    Behaviour(),
    Behaviour(median_ms=80, spread=0.6),
    Behaviour(median_ms=100, spread=0.6918),
)
# New and stable error rate, percent of new, requests a second, seconds.
FAULTS = (
    (0.5, 0.001, 10, 20, 300),
    (0.5, 0.001, 10, 500, 300),
    (1.0, 0.0, 10, 20, 300),
    (0.2, 0.001, 10, 20, 300),
    (0.06, 0.01, 10, 20, 600),
    (0.05, 0.0, 10, 100, 300),
    (0.02, 0.002, 50, 100, 600),
    (0.009, 0.001, 50, 100, 600),
)


@dataclass(frozen=True)
class Size:
    """How much is simulated: changes and ramps a row, seconds at a share, and what the ramps are run with.

    `patience` is how many seconds a fault is waited for.
    """

    changes: int
    ramps: int
    step: int
    rates: tuple[int, ...]
    errors: tuple[float, ...]
    patience: int


FULL = Size(1000, 2000, 60, (5, 20, 100, 500), (0, 0.001, 0.005, 0.01), 3600)
QUICK = Size(300, 1000, 20, (5, 500), (0.001, 0.01), 600)


def main(size: Size = FULL) -> None:
    """Print every table."""
    print(machine())
    for table in (_well, _faults, _few_requests, _slow, _shared, _how_long):
        show(*table(size))
    print(f"\n{machine()}, when it ended")


def _well(size: Size) -> Table:
    """Releases that are at most at the limits, so that every failure is false."""
    ten, fifty = ((percent, 5 * size.step) for percent in (10, 50))
    ramp = tuple((percent, size.step) for percent in (10, 50, 100))
    rows: list[Row] = []
    for errors in (*((errors, errors) for errors in size.errors), (0.01, 0.005)):
        new, stable = (replace(AT_LIMIT, errors=one) for one in errors)
        for rate in size.rates:
            fixed = [_run(size.changes, rate, (step,), new, stable, bounds=BOUNDS) for step in (ten, fifty)]
            seen = _run(size.ramps, rate, ramp, new, stable, bounds=BOUNDS)
            upper = binomtest(_count(seen.evidence), size.ramps).proportion_ci(0.95, "exact").high
            rows.append(
                (
                    f"{new.errors:.1%} / {stable.errors:.1%}, {rate}/s",
                    *(_failed(one.evidence) for one in (*fixed, seen)),
                    f"{upper:.2%}",
                    holds(upper <= MOST_FALSE),
                    _failed(seen.error_rate),
                )
            )
    return ("within the limits", "10 %", "50 %", "ramp", "95 % below", "<= 1 %", "old policy, ramp"), rows


def _faults(size: Size) -> Table:
    rows: list[Row] = []
    for new, stable, percent, rate, seconds in FAULTS:
        seen = _run(size.changes, rate, ((percent, seconds),), Behaviour(new), Behaviour(stable))
        name = f"{new:.1%} / {stable:.1%}, {percent} %, {rate}/s"
        rows.append((name, *_timed(seen.evidence), *_timed(seen.error_rate)))
    return ("errors of new / stable", *TIMED), rows


def _few_requests(size: Size) -> Table:
    """Five points more errors than stable, judged by the first requests of the new slot."""
    rows: list[Row] = []
    for stable in (0, 0.001, 0.005, 0.01):
        for percent in (10, 50):
            new = Behaviour(stable + 0.05)
            # Ten requests a second for the new slot.
            seen = _run(size.changes, 1000 / percent, ((percent, 120),), new, Behaviour(stable))
            needed = seen.requests[np.isfinite(seen.requests)]
            found = int((seen.requests <= FEW_REQUESTS).sum())
            rows.append(
                (
                    f"{new.errors:.1%} / {stable:.1%}, {percent} %",
                    f"{found} of {size.changes}",
                    holds(found >= LEAST_FOUND * size.changes),
                    f"{np.median(needed):.0f}" if needed.size else "-",
                    f"{np.quantile(seen.requests, 0.99, method='higher'):.0f}",
                )
            )
    head = ("five points more", f"within {FEW_REQUESTS} requests", ">= 99 %", "median", "99 % within")
    return head, rows


def _slow(size: Size) -> Table:
    faults = (
        ("twice as slow, p99 128 ms", FAST, replace(FAST, median_ms=40)),
        ("twice as slow, p99 646 ms", USUAL, replace(USUAL, median_ms=160)),
        ("3 % a second longer", USUAL, replace(USUAL, delayed=0.03)),
    )
    rows: list[Row] = []
    for name, stable, new in faults:
        for percent, rate in ((10, 20), (10, 100), (50, 100)):
            seen = _run(size.changes, rate, ((percent, 300),), new, stable, bounds=BOUNDS)
            rows.append((f"{name}, {percent} %, {rate}/s", *_timed(seen.evidence), *_timed(seen.p99)))
    return ("latency of new", *TIMED), rows


def _shared(size: Size) -> Table:
    """Both slots in trouble for 20 s; `by ratios` is what the comparisons with stable fail by themselves."""
    troubles = (
        ("0.9 % errors", replace(USUAL, errors=0.009)),
        ("10 % errors", replace(USUAL, errors=0.1)),
        ("60 % errors", replace(USUAL, errors=0.6)),
        ("twice as slow, p99 646 ms", replace(USUAL, median_ms=160)),
        ("30 times as slow, p99 10 s", replace(USUAL, median_ms=2400)),
    )
    usual = replace(USUAL, errors=0.001)
    rows: list[Row] = []
    for name, both in troubles:
        for percent in (10, 50):
            scene = Scene(
                100, ((percent, 120),), usual, usual, troubled=both, when=range(20, 40), bounds=BOUNDS
            )
            seen = simulate(scene, size.changes)
            old = np.minimum(seen.error_rate, seen.p99)
            by_ratios = _count(seen.ratios) <= MOST_FALSE * size.changes
            failed = (_failed(seen.ratios), holds(by_ratios), _failed(seen.evidence), _failed(old))
            rows.append((f"{name}, {percent} %", *failed))
    return ("trouble of both slots", "by ratios", "<= 1 %", "in all", "old policy"), rows


def _how_long(size: Size) -> Table:
    """Seconds until half of the faults are found, and 95 % of them; stable fails 0.1 % of its requests."""
    rows: list[Row] = []
    for rate in (1, 10, 1000):
        for percent in (10, 50):
            cells = []
            for errors in (0.02, 0.05, 0.2):
                steps = ((percent, size.patience),)
                seen = _run(size.changes, rate, steps, Behaviour(errors), Behaviour(0.001))
                at = np.quantile(seen.evidence, (0.5, 0.95), method="higher")
                cells.append(" / ".join(f"{one:.0f}" if one < np.inf else f"> {size.patience}" for one in at))
            rows.append((f"{rate}/s, {percent} %", *cells))
    return ("seconds until found, 50 % / 95 %", "2 % errors", "5 % errors", "20 % errors"), rows


def _run(
    changes: int,
    rate: float,
    steps: tuple[Step, ...],
    new: Behaviour,
    stable: Behaviour,
    *,
    bounds: tuple[float, ...] = (),
) -> Outcome:
    return simulate(Scene(rate, steps, new, stable, bounds=bounds), changes)


def _count(at: Floats) -> int:
    return int(np.isfinite(at).sum())


def _failed(at: Floats) -> str:
    return f"{_count(at)} of {at.size}"


def _timed(at: Floats) -> Row:
    found = at[np.isfinite(at)]
    times = (np.median(found), found.max()) if found.size else ()
    return _failed(at), *(f"{time:.0f}" for time in times), *("-" for _ in range(2 - len(times)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Simulate canaries and print how they are judged.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter changes, within a minute")
    main(QUICK if parser.parse_args().quick else FULL)
