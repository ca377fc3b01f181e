"""A key that the local engine does not support is refused with the engine that supports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.project import Project


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"services__user": "1000:1000"}, "services.user is 1000:1000"),
        ({"services__user": "image"}, "services.user is image"),
        ({"services__tmpfs": ["/tmp", "/run"]}, "services.tmpfs is [/tmp, /run]"),
    ],
)
def test_a_key_that_only_containers_support_is_a_failed_check(
    new_project: Callable[..., Project], changes: dict[str, Any], words: str
) -> None:
    project = new_project("local", **changes)
    ended = project.run("validate")
    assert ended.code == 2, ended.said
    assert f"{words}, which the docker engine alone supports" in ended.said
    assert "set engine: docker" in ended.said


def test_services_command_starts_the_process_where_services_process_is_missing(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", services__command=["python", "app/main.py"], services__read_only=False)
    project.deploy()
    assert project.get("/healthz").status == 200


def test_one_failed_field_does_not_hide_another(new_project: Callable[..., Project]) -> None:
    project = new_project("local", services__user="1000", services__tmpfs=["/run"])
    (project.root / "nginx.conf").write_text("events {}\n")
    said = project.run("validate").said
    for words in ("services.user is 1000", "services.tmpfs is [/run]", "nginx.conf"):
        assert words in next(line for line in said.splitlines() if " fields " in line)
