"""What promote accepts and what it refuses, each time before anything moves."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project, make, used
from tests.e2e.rollover.course import CANARY, Course, alone, see


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stable release that serves; each test leaves it so."""
    for project in used(make(tmp_path_factory.mktemp("e2e"), "local", policy__canary=CANARY)):
        project.deploy()
        yield project


def refused(course: Course, code: int, *words: str, next: str) -> None:
    error = course.document["error"]
    assert course.ended.code == code, course.ended.said
    assert [word for word in words if word not in error["message"]] == [], error
    assert next in error["next"]
    assert course.after == course.before


def rewritten(project: Project, before: str, after: str) -> Iterator[None]:
    path = project.root / "manifest.yaml"
    was = path.read_text()
    assert was.count(before) == 1
    path.write_text(was.replace(before, after))
    yield
    path.write_text(was)


def test_a_mode_that_does_not_exist_is_named_with_those_that_do(stable: Project) -> None:
    refused(alone(stable, "promote", "--mode", "beta"), 1, "'beta'", "stable", "canary", next="promote")


def test_to_the_mode_that_it_has_is_done_already(stable: Project) -> None:
    course = alone(stable, "promote", "--mode", "stable")
    assert "stable already" in course.ended.ok().err
    assert course.document["release"] == course.document["previous"]
    assert course.after == course.before


def test_nothing_can_be_promoted_before_the_first_deploy(new_project: Callable[..., Project]) -> None:
    project = new_project("local")
    ended = project.run("promote", "--json")
    assert ended.code == 2, ended.said
    assert "invoke deploy" in ended.document()["error"]["next"]
    assert project.left() == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("services__version", "9.0.0"),
        ("services__env", {"NEW": "value"}),
        ("nginx__proxy_timeout", 17),
        ("contact", "other@example.org"),
        ("rollout__sticky", "client"),
    ],
)
def test_a_manifest_that_gives_more_than_a_mode_is_deployed_first(
    stable: Project, key: str, value: object
) -> None:
    before = (stable.root / "manifest.yaml").read_bytes()
    stable.set(**{key: value})
    try:
        refused(alone(stable, "promote"), 2, "manifest.yaml gives", next="invoke deploy")
    finally:
        (stable.root / "manifest.yaml").write_bytes(before)
        stable.manifest["contact"] = "desk@example.org"
        stable.set(
            services__version="1.0.0", services__env=None, nginx__proxy_timeout=None, rollout__sticky=None
        )


def test_a_changed_source_is_deployed_first(stable: Project) -> None:
    path = stable.root / "app" / "main.py"
    was = path.read_text()
    path.write_text(was + "\n# another\n")
    try:
        refused(alone(stable, "promote"), 2, "another release", next="invoke deploy")
    finally:
        path.write_text(was)


def test_an_aliased_mode_is_refused_before_anything_moves(stable: Project) -> None:
    for _ in rewritten(stable, "services:\n", "services:\n  env: {KIND: &kind stable}\n  mode: *kind\n"):
        stable_env = alone(stable, "promote")
        assert stable_env.ended.code == 2, stable_env.ended.said
        assert stable_env.after == stable_env.before
    for _ in rewritten(stable, "services:\n", "services:\n  mode: &kind stable\n"):
        refused(alone(stable, "promote"), 2, "services.mode", next="mode:")


@pytest.fixture
def read_only(stable: Project) -> Iterator[Path]:
    """The manifest as a mount that not even root can write."""
    path = stable.root / "manifest.yaml"
    mounts = [["mount", "--bind", str(path), str(path)], ["mount", "-o", "remount,bind,ro", str(path)]]
    if any(subprocess.run(words, capture_output=True).returncode for words in mounts):
        subprocess.run(["umount", path], capture_output=True)
        pytest.skip("this user may not mount")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_manifest_that_cannot_be_written_is_refused_before_anything_moves(
    stable: Project, read_only: Path
) -> None:
    refused(alone(stable, "promote"), 2, str(read_only), next="writable")


def test_policy_rollout_and_history_may_differ_and_a_missing_mode_is_added(stable: Project) -> None:
    stable.set(
        policy__canary={**CANARY, "max_error_rate": 0.5},
        rollout={"steps": [100], "interval": 1},
        history={"keep": 7},
    )
    first = alone(stable, "promote")
    first.ended.ok()
    assert first.after.answer == ("1.0.0", "canary", ("canary",))
    before, after = (sight.manifest.decode().splitlines() for sight in (first.before, first.after))
    assert "  mode: canary" in after
    assert [line for line in after if line != "  mode: canary"] == before
    assert stable.run("plan", "--json").ok().document()["in_sync"]
    second = stable.run("promote", "stable")
    assert second.ok()
    assert see(stable).answer == ("1.0.0", "stable", ())


def test_an_idle_service_may_change_its_mode_and_the_verdict_says_that_it_saw_nothing(
    stable: Project,
) -> None:
    course = alone(stable, "promote", "--mode", "canary")
    assert course.ended.ok()
    checks = course.document["verdicts"][0]["checks"]
    assert {check["rule"] for check in checks} == {
        "max_client_error_rise",
        "max_error_rate",
        "max_error_ratio",
        "max_p99_ms",
        "max_slow_ratio",
        "min_requests",
    }
    assert "requests over" in checks[0]["message"]
    stable.set(policy__canary={**CANARY, "min_requests": 100_000})
    stable.manifest["services"]["mode"] = "canary"
    stable.write()
    refused(alone(stable, "promote"), 3, "min_requests", "at least 100000 wanted", next="invoke rollback")
