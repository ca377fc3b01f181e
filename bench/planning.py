"""What does `plan` cost on a stack that runs, and how much of that is asking the engine?

    python -m bench.planning

A whole process is compared with its floor, as in `bench.foundation`; both take turns. What the Docker Engine
is asked is measured apart, inside one such process: the seconds between each request and its answer.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from statistics import median

from bench.foundation import FLOOR
from bench.sandbox import COMMAND
from bench.stack import Stack, stack
from bench.table import Row, holds, machine, show

ENGINES = ("local", "docker")
FLOORS, ASKED_MS = 2.5, 1000.0
IN_A_ROW = 200  # plans that have to find nothing where nothing was touched

# Runs plan as the command does, and prints the milliseconds that its requests to the engine took.
ASKED = """
import sys, time
from docker.api.client import APIClient
spent, send = [], APIClient.send
def timed(self, *args, **words):
    began = time.perf_counter()
    try:
        return send(self, *args, **words)
    finally:
        spent.append(time.perf_counter() - began)
APIClient.send = timed
from swiftdeploy_tasks.cli.program import main
try:
    main(["swiftdeploy", "plan"], exit=False)
finally:
    print(f"{sum(spent) * 1000:.1f} {len(spent)}", file=sys.stderr)
"""


def main(engines: Iterable[str] = ENGINES, *, rounds: int = 15, in_a_row: int = IN_A_ROW) -> None:
    """Deploy on each engine in turn, and print what a plan that finds nothing takes.

    It raises RuntimeError where one of them finds something after all.
    """
    print(machine())
    for engine in engines:
        with stack(engine) as made:
            made.run("plan", "--check").ok()
            _show(made, rounds, in_a_row)


def _show(made: Stack, rounds: int, in_a_row: int) -> None:
    spent: dict[str, list[float]] = {"floor": [], "plan": []}
    for _ in range(rounds):
        for name, words in (("floor", FLOOR), ("plan", (str(COMMAND), "plan", "--check"))):
            began = time.perf_counter()
            made.place.run(words)
            spent[name].append((time.perf_counter() - began) * 1000)
    floor, plan = median(spent["floor"]), median(spent["plan"])
    bound: Row = (
        (f"<= {FLOORS:g} floors", holds(plan <= FLOORS * floor)) if made.engine == "local" else ("", "")
    )
    rows: list[Row] = [
        ("floor", f"{floor:.0f}", "1.00", "", ""),
        ("plan, nothing to change", f"{plan:.0f}", f"{plan / floor:.2f}", *bound),
    ]
    if made.engine == "docker":
        asked, times = _asked(made, rounds)
        name = f"  of it, asking the engine {times} times"
        rows.append((name, f"{asked:.0f}", "", f"<= {ASKED_MS:g} ms", holds(asked <= ASKED_MS)))
    for _ in range(in_a_row - rounds):
        made.place.run((str(COMMAND), "plan", "--check"))
    rows.append(("plans in a row that found nothing", str(max(rounds, in_a_row)), "", "all", holds(True)))
    show((made.engine, "median ms", "floors", "bound", ""), rows)


def _asked(made: Stack, rounds: int) -> tuple[float, int]:
    """Return the median of the milliseconds that the engine's answers took, and how many they were."""
    figures = []
    for _ in range(rounds):
        words = [sys.executable, "-c", ASKED]
        ended = subprocess.run(words, cwd=made.place.root, capture_output=True, text=True, check=True)
        figures.append(ended.stderr.split()[-2:])
    return median(float(spent) for spent, _ in figures), int(figures[0][1])


if __name__ == "__main__":
    main()
