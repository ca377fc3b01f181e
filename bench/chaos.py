"""Is everything put right, wherever a verb is killed? Many trials in a row on one project an engine.

    python -m bench.chaos --engine local --trials 100 --seed 1

Every boundary between two effects first, of each verb; then random instants, requests to end, and on docker
the compose child. A light load runs meanwhile, and what it lost is counted by its cause. A trial that breaks
an invariant is told with the words that repeat it, and the next one begins with a new project.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.table import Row, holds, machine, show
from tests.e2e.chaos.trial import BOUNDARIES, Fault, Recovery, begin, strike
from tests.e2e.project import Project, make, used

ENGINES = ("local", "docker")
SECONDS = {"local": 2.5, "docker": 6.0}  # how long a verb takes, and so when it can be struck
ENDINGS = ((signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGHUP,), (signal.SIGTERM,))


def main(engines: Iterable[str] = ENGINES, *, trials: int = 100, seed: int = 1) -> int:
    """Strike `trials` verbs on each engine and print what came of it; return how many broke an invariant."""
    print(machine())
    broken = 0
    for engine in engines:
        recoveries, problems = _trials(engine, list(itertools.islice(_faults(engine, seed), trials)))
        _show(engine, recoveries, problems)
        broken += len(problems)
    return broken


def _faults(engine: str, seed: int) -> Iterator[Fault]:
    """Yield every boundary of every verb, and then strikes at random for ever."""
    chance = random.Random(seed)
    yield from (Fault(verb, at=name) for verb, names in BOUNDARIES.items() for name in names)
    while True:
        verb = chance.choice(list(BOUNDARIES))
        kind, seconds = chance.random(), chance.uniform(0.1, SECONDS[engine])
        if kind < 0.1 and engine == "docker":
            yield Fault(verb, compose=True)
        elif kind < 0.25:
            yield Fault(verb, seconds=seconds, signals=chance.choice(ENDINGS))
        else:
            yield Fault(verb, seconds=seconds)


def _trials(engine: str, faults: list[Fault]) -> tuple[list[Recovery], list[str]]:
    recoveries: list[Recovery] = []
    problems: list[str] = []
    while faults:
        with _project(engine) as project:
            for number in itertools.count(1):
                if not faults:
                    break
                fault = faults.pop(0)
                try:
                    begin(project, number)
                    recoveries.append(strike(project, fault))
                except AssertionError as error:
                    problems.append(f"{fault}: {str(error).strip()[-1500:]}")
                    print(f"\nBROKEN {engine}: {problems[-1]}", flush=True)
                    break
    return recoveries, problems


@contextmanager
def _project(engine: str) -> Iterator[Project]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        made = make(Path(folder), engine, policy__canary={"window": 1})
        yield from used(made)


def _show(engine: str, recoveries: list[Recovery], problems: list[str]) -> None:
    lost = Counter(words.split(":")[0] for one in recoveries for words in one.failed)
    struck = [one for one in recoveries if one.code]
    answered = sum(one.answered for one in recoveries)
    slowest = max((one.seconds for one in recoveries), default=0.0)
    rows: list[Row] = [
        ("trials", str(len(recoveries) + len(problems)), "", ""),
        ("  struck before the verb had ended", str(len(struck)), "", ""),
        ("put right by the next verb", str(len(recoveries)), "all", holds(not problems)),
        ("slowest recovery, s", f"{slowest:.1f}", "", ""),
        ("requests answered", str(answered), "", ""),
        ("requests lost", str(lost.total()), "0", holds(not lost)),
        *((f"  {cause}", str(count), "", "") for cause, count in lost.items()),
    ]
    show((engine, "", "bound", ""), rows)


if __name__ == "__main__":
    reader = argparse.ArgumentParser(prog="python -m bench.chaos")
    reader.add_argument("--engine", choices=ENGINES, help="one of the two; both without it")
    reader.add_argument("--trials", type=int, default=100, help="on each engine")
    reader.add_argument("--seed", type=int, default=1, help="repeats a run")
    asked = reader.parse_args()
    raise SystemExit(
        bool(main([asked.engine] if asked.engine else ENGINES, trials=asked.trials, seed=asked.seed))
    )
