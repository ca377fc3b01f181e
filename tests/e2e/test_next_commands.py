"""The command that an error names next works in the state at hand.

Each test brings about an error, does what its words ask for first, and runs the command as it is printed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.project import Ended, Project, make, used

_COMMAND = re.compile(r"\bswiftdeploy [a-z-]+(?: --[a-z]+(?: [a-z0-9]+)?)*$")
EXITS = 'import os, sys\nif os.environ.get("FAULT"):\n    sys.exit(3)\n'


@pytest.fixture(scope="module")
def engine() -> str:
    return "local"


def make_able_to_fail(project: Project) -> Project:
    """Let the app exit at once where FAULT is in its environment."""
    program = project.root / "app" / "main.py"
    head, _, rest = program.read_text().partition("from __future__ import annotations\n")
    program.write_text(f"{head}from __future__ import annotations\n{EXITS}{rest}")
    return project


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Two releases were deployed, so there is one to go back to."""
    for project in used(make(tmp_path_factory.mktemp("next"), "local")):
        make_able_to_fail(project).deploy()
        project.set(services__version="2.0.0")
        project.deploy()
        yield project


def command_of(ended: Ended) -> list[str]:
    """The words of the command that the error names, without the program; fails where it names none."""
    lines = [line.removeprefix("next: ") for line in ended.err.splitlines() if line.startswith("next: ")]
    assert len(lines) == 1, ended.said
    found = _COMMAND.search(lines[0])
    assert found, lines[0]
    return shlex.split(found[0])[1:]


def follow(project: Project, ended: Ended, *, code: int) -> Ended:
    """Check the error's exit code and run what it names next, which works."""
    assert ended.code == code, ended.said
    return project.run(*command_of(ended)).ok()


@pytest.mark.parametrize(
    ("words", "code"),
    [("promote canary", 2), ("rollback", 2), ("rollback --to 0123456789ab", 2), ("plan --check", 9)],
)
def test_where_nothing_runs(project: Project, words: str, code: int) -> None:
    follow(project, project.run(*words.split()), code=code)


def test_after_a_first_release_that_is_sick(project: Project) -> None:
    make_able_to_fail(project).set(services__env={"FAULT": "1"})
    ended = project.run("deploy")
    project.set(services__env={})
    follow(project, ended, code=6)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("status --interval 0", 1),
        ("audit --since tomorrow", 1),
        ("audit --since 2031-01-01 --until 2030-01-01", 1),
        ("rollback --to 0123456789ab", 2),
        ("--dry deploy", 1),
    ],
)
def test_after_words_that_do_not_fit(serving: Project, words: str, code: int) -> None:
    follow(serving, serving.run(*words.split()), code=code)


def test_after_a_mode_that_is_none(serving: Project) -> None:
    follow(serving, serving.run("promote", "--mode", "blue"), code=1)
    assert serving.get().json()["mode"] == "canary"
    serving.run("promote", "stable").ok()


@pytest.mark.parametrize("verb", ["validate", "plan", "deploy", "status", "policy-check", "promote canary"])
def test_after_a_manifest_that_is_wrong(serving: Project, verb: str) -> None:
    serving.set(foo=1)
    ended = serving.run(*verb.split())
    serving.set(foo=None)
    follow(serving, ended, code=2)


def test_after_a_release_that_was_removed_by_a_rollback(serving: Project) -> None:
    serving.set(services__version="3.0.0")
    serving.deploy()
    serving.run("rollback").ok()
    follow(serving, serving.run("deploy"), code=2)


def test_after_a_promote_of_what_the_manifest_does_not_give(serving: Project) -> None:
    serving.set(services__version="4.0.0")
    follow(serving, serving.run("promote", "canary"), code=2)


def test_after_a_release_that_is_sick(serving: Project) -> None:
    serving.set(services__version="5.0.0", services__env={"FAULT": "1"})
    ended = serving.run("deploy")
    serving.set(services__env={})
    follow(serving, ended, code=6)


@pytest.mark.parametrize("words", ["status --exit-code", "promote canary"])
@pytest.mark.parametrize("part", ["nginx", "app"])
def test_after_a_part_died(serving: Project, part: str, words: str) -> None:
    serving.stop(part if part == "nginx" else slot_of(serving))
    ended = serving.run(*words.split())
    assert ended.code, ended.said
    serving.run(*command_of(ended)).ok()
    assert serving.get().status == 200
    # The command may have been a rollback, which bars the release that the manifest gives.
    serving.run("deploy", "--again").ok()


def test_after_the_only_release_died(new_project: Callable[..., Project]) -> None:
    project = new_project("local")
    project.deploy()
    project.stop(slot_of(project))
    follow(project, project.run("status", "--exit-code"), code=6)
    assert project.get().status == 200


def slot_of(project: Project) -> str:
    return next(part for part in project.processes() if part.startswith("app-"))
