"""The first deploy reads the metrics page as later changes will, and says what it can judge."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e import apps
from tests.e2e.project import Project


def test_a_first_deploy_names_what_is_read_of_the_page(project: Project) -> None:
    ended = project.deploy()
    assert (
        "metrics  errors are judged by http_requests_total, the latency by http_request_duration_seconds"
        in ended.said
    )
    assert "metrics  " not in project.deploy().said


def test_a_page_that_can_judge_nothing_is_named_at_once_and_the_next_command_is_possible(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local")
    project.use_app(apps.WITHOUT_COUNTER)
    ended = project.deploy()
    assert "the metrics have no request counter" in ended.said
    assert "the next deploy or promote is refused" in ended.said
    refused = project.run("promote", "--mode", "canary")
    assert refused.code == 3, refused.said
    assert "services.metrics: {from: nginx}, then: " in refused.err
    assert "rollback" not in refused.err.split("\nnext: ")[1]
    project.set(services__mode="canary")
    project.manifest["services"]["metrics"] = None
    project.write()
    project.deploy()
    sick = project.run("status", "--exit-code", "--once")
    assert sick.code in (0, 9), sick.said
