"""The law of the rooms: which room imports which, held by reading the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "swiftdeploy_tasks"

# A room imports the rooms of the lines above its own, and no other.
LAW = (
    {"errors"},
    {"settings"},
    {"system"},
    {"manifest"},
    {"model"},
    {"history", "proxy", "metrics"},
    {"gate", "engines", "report"},
    {"session"},
    {"rollout"},
    {"verbs", "status"},
    {"cli"},
)

# The modules or folders that may import an outside library.
DOORS = {
    "invoke": {"session.arguments", "session.task", "cli"},
    "docker": {"engines.docker"},
    "requests": {"gate.opa_server", "engines.docker"},
    "regopy": {"gate.embedded"},
    "jsonschema": {"manifest.validation"},
    "jinja2": {"proxy.templates"},
    "matplotlib": {"report.canvas"},
    "yaml": {"manifest.source", "engines.docker.compose_file"},
    "prometheus_client": {"metrics.exposition"},
    "rich": {"session.console", "status.screen", "status.terminal"},
    "psutil": {"system.host", "engines"},
}
COSTLY = {"docker", "requests", "regopy", "jsonschema", "jinja2", "rich", "matplotlib"}
ENGINES = {path.name for path in (PACKAGE / "engines").iterdir() if (path / "__init__.py").is_file()}


def name_of(path: Path) -> str:
    """The module's name below the package; a folder's `__init__` has the folder's."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
MODULES = sorted(SOURCES.keys() - {"__init__"})


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


def imported(module: str) -> set[str]:
    """The modules of the package that this one imports."""
    prefix = f"{PACKAGE.name}."
    names = {name.removeprefix(prefix) for name in imports(SOURCES[module]) if name.startswith(prefix)}
    return {name if name in SOURCES else name.rpartition(".")[0] for name in names}


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_is_in_the_law() -> None:
    assert set().union(*LAW) == {room_of(module) for module in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_its_own_room_and_those_above(module: str) -> None:
    line = next(number for number, rooms in enumerate(LAW) if room_of(module) in rooms)
    above = set().union(*LAW[:line])
    assert {room_of(other) for other in imported(module)} - {room_of(module)} <= above


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: imported(module) - {module.rpartition(".")[0]} for module in MODULES}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("library", DOORS)
def test_a_library_is_imported_by_its_doors_only(library: str) -> None:
    users = {
        module for module in MODULES if library in {name.split(".")[0] for name in imports(SOURCES[module])}
    }
    doors = {next((d for d in DOORS[library] if f"{user}.".startswith(f"{d}.")), user) for user in users}
    assert doors == DOORS[library]


def test_what_is_costly_is_not_loaded_before_it_is_used() -> None:
    loaded = f"import swiftdeploy_tasks.cli.collection, sys; print(*sorted({COSTLY!r} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_only_the_registry_compares_the_name_of_an_engine() -> None:
    comparing = {
        f"{module}:{node.lineno}"
        for module in MODULES
        if module != "engines.registry"
        for node in ast.walk(SOURCES[module])
        if isinstance(node, ast.Compare | ast.MatchValue)
        for operand in ast.walk(node)
        if isinstance(operand, ast.Constant) and operand.value in ENGINES
    }
    assert comparing == set()


def test_no_two_modules_share_a_name() -> None:
    names = Counter(path.stem for path in PACKAGE.rglob("*.py") if path.stem != "__init__")
    assert {name for name, count in names.items() if count > 1} == set()


def test_the_protocol_of_an_engine_is_small_and_speaks_of_no_engine_s_own_means() -> None:
    tree = SOURCES["engines.protocol"]
    (engine,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Engine")
    members = [node.name for node in engine.body if isinstance(node, ast.FunctionDef)]
    assert 0 < len(members) <= 22
    assert not {word for name in members for word in name.split("_")} & {"compose", "pid", "exec", "workers"}


def test_no_two_classes_share_a_name() -> None:
    names = Counter(
        node.name for tree in SOURCES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} == set()
