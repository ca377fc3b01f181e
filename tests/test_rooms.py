"""The law of the rooms: who may import whom, held by reading the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "swiftdeploy_tasks"

# A room imports only rooms above it.
ORDER = """
    libraries errors settings reserve files signals memory called masking core_dumps variables
    manifest_text manifest_edit manifest_nearest manifest_check manifest preflight release plan
    private_paths sandbox artifacts root_files probe health
    metrics.scrape metrics.page metrics.window metrics.count metrics
    gate.verdict gate.belief gate.header gate.bundle gate.declared gate.cell gate.statements
    gate.kinds gate.compiled gate.source gate.embedded gate.opa_check gate.opa gate
    engines engines.protocol
    engines.local_source engines.local_table engines.local_started engines.local_processes
    engines.local_nginx engines.local_opa
    engines.local_checks engines.local
    engines.docker_client engines.docker_containers engines.docker_compose engines.docker_places
    engines.docker_context engines.docker_buildkit engines.docker_images engines.docker_form
    engines.docker_nginx engines.docker_opa engines.docker_sockets engines.docker_volumes
    engines.docker_checks engines.docker
    engines.choice
    host chain walk flaws proof lines foreign_bytes rotation witness snapshot turn history
    report report.words report.integrity report.stretch report.course report.story report.fields
    report.gathering report.runs report.sentences report.news report.scrapes report.telling
    report.cells report.tables report.markdown report.inline report.density report.figures report.seen
    report.charts report.paper report.page
    releases applied watch sampling admission checks job traffic apply
    access lock screen recording project noting asking verbs settling change slot_data planning
    compliance recent picture dashboard live_page status deploying promoting going_back
    auditing lifecycle program dev __init__
"""
ROOMS = ORDER.split()

# Effects live in these; verbs carry values between them.
APART = {"gate", "engines", "host", "history"}

# Where each outside library comes in.
DOORS = {
    "invoke": {"recording", "lifecycle", "program", "dev"},
    "docker": {
        "engines.docker_client",
        "engines.docker_places",
        "engines.docker_context",
        "engines.docker_images",
        "engines.docker_form",
        "engines.docker_volumes",
        "engines.docker",
    },
    "requests": {"gate.opa", "engines.docker_client"},
    "regopy": {"gate.embedded"},
    "jsonschema": {"manifest_check"},
    "jinja2": {"sandbox"},
    "matplotlib": {"report.figures"},
    "yaml": {"manifest_text", "artifacts"},
    "prometheus_client": {"metrics.page"},
    "rich": {"screen", "dashboard"},
    "psutil": {
        "host",
        "checks",
        "engines.docker_containers",
        "engines.docker_compose",
        "engines.local",
        "engines.local_nginx",
        "engines.local_processes",
    },
}
COSTLY = {"docker", "requests", "regopy", "jsonschema", "jinja2", "rich", "matplotlib"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def imports(tree: ast.AST) -> Iterator[str]:
    """The full name of everything imported at run time: what serves only the type checker is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "an import is written from the package's root"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imports(node)


def rooms_used(room: str) -> set[str]:
    prefix = f"{PACKAGE.name}."
    used = {name.removeprefix(prefix) for name in imports(SOURCES[room]) if name.startswith(prefix)}
    return {name if name in SOURCES else name.rpartition(".")[0] or "__init__" for name in used}


def test_every_room_has_its_place() -> None:
    assert sorted(ROOMS) == sorted(SOURCES)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_above_it(room: str) -> None:
    assert rooms_used(room) <= set(ROOMS[: ROOMS.index(room)])


def test_rooms_with_effects_do_not_know_each_other() -> None:
    for room in SOURCES:
        own = room.partition(".")[0]
        if own in APART:
            assert {used.partition(".")[0] for used in rooms_used(room)} & APART <= {own}, room


@pytest.mark.parametrize("library", DOORS)
def test_a_library_comes_in_by_its_doors_only(library: str) -> None:
    users = {room for room, tree in SOURCES.items() if library in {n.split(".")[0] for n in imports(tree)}}
    assert users == DOORS[library]


def test_what_is_costly_is_not_loaded_before_it_is_used() -> None:
    loaded = f"import swiftdeploy_tasks.lifecycle, sys; print(*sorted({COSTLY!r} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_only_the_engines_ask_which_engine_it_is() -> None:
    asking = {
        f"{room}:{node.lineno}"
        for room, tree in SOURCES.items()
        if not room.startswith("engines")
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for operand in (node.left, *node.comparators)
        if isinstance(operand, ast.Constant) and operand.value in {"docker", "local"}
    }
    assert asking == set()
