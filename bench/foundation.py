"""What do the verbs that only look cost, and what does one question to the gate?

    python -m bench.foundation

A whole process is compared with its floor: an interpreter that only imports the libraries it cannot do
without. The measured commands take turns, so that a machine that slows down slows down all of them alike. A
ratio therefore says more than the milliseconds beside it.

It refuses to judge: a bound that does not hold is printed, and is no failure.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

from bench.sandbox import COMMAND, Sandbox, opa_server, sandbox
from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.engines.docker import compose_file
from swiftdeploy_tasks.gate import Question, Verdict
from swiftdeploy_tasks.gate.embedded import ask_embedded
from swiftdeploy_tasks.gate.opa_server import ask_server
from swiftdeploy_tasks.manifest import loading
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.rollout import admission, policies, review
from swiftdeploy_tasks.settings import Settings
from swiftdeploy_tasks.system import host

COLD, WARM = 2.0, 1.5
RENDER_MS, GATE_MS = 10.0, 50.0
ENGINE = "docker"  # of the two, the one whose files and questions are the larger; nothing of it runs
LIBRARIES = ("invoke", "PyYAML", "Jinja2", "jsonschema", "regopy", "requests", "psutil")
FLOOR = (sys.executable, "-c", "import invoke, yaml, jinja2, jsonschema")
VALIDATE, RENDER = (str(COMMAND), "validate"), (str(COMMAND), "render")

Row = tuple[str, ...]


@dataclass(frozen=True)
class Turn:
    """A command whose process is measured; `bound` is how many floors it may take."""

    name: str
    words: tuple[str, ...]
    bound: float
    cold: bool = False


@dataclass(frozen=True)
class Spent:
    """Milliseconds by the clock, and of the processors: those say more on a machine that others use too."""

    wall: float
    cpu: float


TURNS = (
    Turn("floor", FLOOR, 1.0),
    Turn("validate, first time", VALIDATE, COLD, cold=True),
    Turn("validate, nothing changed", VALIDATE, WARM),
    Turn("render, first time", RENDER, COLD, cold=True),
    Turn("render, nothing changed", RENDER, WARM),
)


def main(rounds: int = 15, questions: int = 1000) -> None:
    """Measure `rounds` turns of every process and `questions` asked of each answerer, and print both."""
    print("\n".join(_machine()))
    with sandbox() as place:
        _print(
            ("process", "median ms", "floors", "cpu ms", "cpu floors", "bound", ""), _processes(place, rounds)
        )
        project = settings.find(place.root)
        asked = loading.load(project.manifest, schema=project.schema)
        rows = _rendering(project, asked, questions)
        _print(("rendering", "p50 ms", "p99", "slowest", "bound", ""), rows)
        rows = _gate(place, project, asked, questions)
        _print(("one question", "p50 ms", "p99", "slowest", "bound", ""), rows)
    print(f"\n{_load()} when it ended")


def _machine() -> Iterable[str]:
    usable = len(os.sched_getaffinity(0))
    yield f"{platform.system()} {platform.machine()}, {usable} cores, {_load()} when it began"
    yield f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def _processes(place: Sandbox, rounds: int) -> list[Row]:
    spent: dict[str, list[Spent]] = {turn.name: [] for turn in TURNS}
    for number in range(rounds + 1):
        for turn in TURNS:
            if turn.cold:
                place.forget()
            cost = _process(place, turn.words)
            if number:  # the first round only fills the caches of the file system
                spent[turn.name].append(cost)
    floor = _middle(spent["floor"])
    return [_against(floor, turn, _middle(spent[turn.name])) for turn in TURNS]


def _process(place: Sandbox, words: tuple[str, ...]) -> Spent:
    before = _cpu_of_children()
    wall = _timed(functools.partial(place.run, words))
    return Spent(wall, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def _middle(spent: list[Spent]) -> Spent:
    return Spent(median(one.wall for one in spent), median(one.cpu for one in spent))


def _against(floor: Spent, turn: Turn, spent: Spent) -> Row:
    wall, cpu = spent.wall / floor.wall, spent.cpu / floor.cpu
    figures = (turn.name, f"{spent.wall:.0f}", f"{wall:.2f}", f"{spent.cpu:.0f}", f"{cpu:.2f}")
    if turn.words is FLOOR:
        return (*figures, "", "")
    return (*figures, f"<= {turn.bound:g} floors", _holds(wall <= turn.bound))


def _rendering(project: Settings, asked: Manifest, times: int) -> list[Row]:
    """Both root files from a manifest in memory: first as a new process does it, then again."""
    render = _renderer(project, asked)
    first: list[float] = []
    again: list[float] = []
    for number in range(max(times // 10, 1)):
        # Folders that were not asked for before have no compiled templates; the last one does not exist.
        folders = (*project.template_folders, Path(f"none-{number}"))
        for spent in (first, again):
            spent.append(_timed(functools.partial(render, folders)))
    return [
        _in_process("both files, templates loaded too", first, None),
        _in_process("both files", again, RENDER_MS),
    ]


def _renderer(project: Settings, asked: Manifest) -> Callable[[tuple[Path, ...]], dict[str, str]]:
    engine, gated = registry.make(ENGINE, project), dataclasses.replace(asked, gate="server")
    return lambda folders: review.render(gated, engine, folders)


def _gate(place: Sandbox, project: Settings, asked: Manifest, times: int) -> list[Row]:
    rules = policies.bundle(project, asked)
    about = _questions(project, asked)
    spent = _ask_in_turn("embedded", functools.partial(ask_embedded, bundle=rules), about, times)
    if shutil.which("opa"):
        with opa_server(place, rules) as url:
            ask = functools.partial(ask_server, url=url, revision=rules.revision, rules=None)
            spent |= _ask_in_turn("server", ask, about, times)
    rows = [_in_process(name, figures, GATE_MS) for name, figures in spent.items()]
    return rows if shutil.which("opa") else [*rows, ("server: left out, no opa on PATH",)]


def _questions(project: Settings, asked: Manifest) -> tuple[Question, ...]:
    """The two questions before a deploy."""
    nginx = _renderer(project, asked)(project.template_folders)["nginx.conf"]
    specs = components.for_review(asked, with_opa=True)
    written = compose_file.as_applied(specs, project.template_folders, home=project.home, mark="")
    return (
        admission.about_host(ENGINE, host.measure((project.root,))),
        admission.about_isolation(ENGINE, asked, written=written, nginx=nginx, home=project.home),
    )


def _ask_in_turn(
    name: str, ask: Callable[[Question], Verdict], about: tuple[Question, ...], times: int
) -> dict[str, list[float]]:
    spent: dict[str, list[float]] = {f"{name}, {question.domain}": [] for question in about}
    for _ in range(times):
        for question in about:
            spent[f"{name}, {question.domain}"].append(_timed(lambda q=question: ask(q)))  # type: ignore[misc]
    return spent


def _in_process(name: str, spent: list[float], bound: float | None) -> Row:
    slow = _cut(spent, 99)
    figures = (name, f"{median(spent):.2f}", f"{slow:.2f}", f"{max(spent):.2f}")
    return (*figures, "", "") if bound is None else (*figures, f"p99 < {bound:g}", _holds(slow < bound))


def _timed(work: Callable[[], object]) -> float:
    """Return how many milliseconds it took."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _cut(spent: list[float], percent: int) -> float:
    return quantiles(spent, n=100, method="inclusive")[percent - 1] if len(spent) > 1 else spent[0]


def _holds(is_kept: bool) -> str:
    return "holds" if is_kept else "DOES NOT HOLD"


def _print(head: Row, rows: list[Row]) -> None:
    full = [row for row in (head, *rows) if len(row) == len(head)]
    widths = [max(len(row[column]) for row in full) for column in range(len(head))]
    print()
    for row in (head, *rows):
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False))
        print("  ".join((row[0].ljust(widths[0]), *cells)).rstrip())


if __name__ == "__main__":
    main()
