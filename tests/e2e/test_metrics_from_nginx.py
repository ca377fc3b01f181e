"""services.metrics {from: nginx}: windows from nginx's access log everywhere a metrics page is used."""

from __future__ import annotations

import os
import signal
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.metrics.slot_tally import BOUNDS
from tests.e2e import apps
from tests.e2e.project import Project, docker, until

FROM_NGINX = {"from": "nginx"}


def window(project: Project) -> dict[str, Any]:
    """The window of the slot that serves, as status shows it."""
    slots = project.run("status", "--json").ok().document()["slots"]
    found: dict[str, Any] = next(slot for slot in slots.values() if slot and slot["weight"])["window"]
    return found


def ask(project: Project, path: str = "/", times: int = 1) -> None:
    for _ in range(times):
        project.get(path)


def bucket(milliseconds: float) -> int:
    return bisect_left(BOUNDS, milliseconds / 1000)


def nginx_pid(project: Project) -> int:
    return project.processes()["nginx"]


def test_nginx_measures_the_same_as_the_app_s_page_and_promote_is_refused_by_it(project: Project) -> None:
    project.use_app(apps.MEASURED)
    # A window that holds everything from the first request on.
    project.set(policy__canary={"window": 300})
    project.deploy()
    ask(project, "/", 90)
    ask(project, "/error", 3)
    ask(project, "/slow", 4)
    # The health check of a load balancer is not a request of a client.
    ask(project, "/healthz", 5)
    page = window(project)
    project.set(services__metrics=FROM_NGINX)
    project.deploy()
    ours = window(project)
    print(f"{page=}\n{ours=}")
    assert (ours["requests"], ours["error_rate"]) == (page["requests"], page["error_rate"]) == (97, 3 / 97)
    assert abs(bucket(ours["p99_ms"]) - bucket(page["p99_ms"])) <= 1
    last = [record for record in project.history() if record["event"] == "scrape"][-1]["slots"]
    assert next(slot for slot in last.values() if slot)["window"] == ours
    refused = project.run("promote", "--mode", "canary", "--json")
    assert refused.code == 3, refused.said
    (verdict,) = refused.document()["verdicts"]
    failed = {check["rule"]: check["observed"] for check in verdict["checks"] if not check["passed"]}
    assert failed == {"max_error_rate": pytest.approx(3 / 97)}


def test_a_promote_is_allowed_by_what_nginx_measured(new_project: Callable[..., Project]) -> None:
    project = new_project("local", services__metrics=FROM_NGINX, policy__canary={"window": 300})
    project.use_app(apps.FOREIGN)
    assert "metrics  errors and latency are judged by nginx's access log" in project.deploy().said
    ask(project, "/environment", 20)
    document = project.run("promote", "--mode", "canary", "--json").ok().document()
    checks = {check["rule"]: check for check in document["verdicts"][0]["checks"]}
    assert checks["max_error_rate"]["observed"] == 0
    assert 0 < checks["max_p99_ms"]["observed"] <= 500


def test_a_missing_metrics_page_proposes_metrics_from_nginx(new_project: Callable[..., Project]) -> None:
    project = new_project("local")
    project.use_app(apps.FOREIGN)
    said = project.deploy().said
    assert "/metrics of app-blue: it answers 404; where an app has no metrics page, set `services.m" in said
    refused = project.run("promote", "--mode", "canary")
    assert refused.code == 3 and "services.metrics: {from: nginx}" in refused.err.split("\nnext: ")[1]


def test_a_restart_of_nginx_neither_loses_nor_doubles_a_request(project: Project) -> None:
    project.use_app(apps.FOREIGN)
    project.set(services__metrics=FROM_NGINX, policy__canary={"window": 300})
    project.deploy()
    ask(project, "/environment", 10)
    if project.engine == "docker":
        docker("restart", "-t", "1", f"{project.name}-nginx")
    else:
        project.stop("nginx")
        project.deploy()
    until(lambda: status(project) == 200 and served(project) > 10, "nginx answers again and logs it")
    found = window(project)
    assert found["requests"] == served(project), found


def served(project: Project) -> int:
    return sum(" | 200 | " in line and "/environment" in line for line in project.access_log())


def status(project: Project) -> int:
    try:
        return project.get("/environment").status
    except OSError:
        return 0


def test_a_rotation_of_the_log_neither_loses_nor_doubles_a_request(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", services__metrics=FROM_NGINX, policy__canary={"window": 300})
    project.use_app(apps.FOREIGN)
    project.deploy()
    log = project.state / "logs" / "access.log"
    ask(project, "/environment", 10)
    log.rename(log.with_name("access.log.1"))
    ask(project, "/environment", 5)
    os.kill(nginx_pid(project), signal.SIGUSR1)
    until(log.exists, "nginx has opened its log again")
    ask(project, "/environment", 3)
    assert window(project)["requests"] == 18


def test_a_change_sets_a_large_log_aside_and_the_window_goes_on(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", services__metrics=FROM_NGINX, policy__canary={"window": 300})
    project.use_app(apps.FOREIGN)
    project.deploy()
    log = project.state / "logs" / "access.log"
    _fill(log, 10_000_000)
    ask(project, "/environment", 10)
    project.set(nginx__proxy_timeout=31)
    project.deploy()
    ask(project, "/environment", 3)
    assert log.with_name("access.log.1").stat().st_size > 9_000_000 > log.stat().st_size
    found = window(project)
    assert found["requests"] == 13, found


def _fill(log: Path, size: int) -> None:
    old = "2026-01-01T00:00:00+00:00 | 500 | 0.001s | 127.0.0.1:9 | GET / HTTP/1.1\n"
    with log.open("a", encoding="utf-8") as file:
        file.write(old * (size // len(old)))


def test_a_missing_log_is_a_problem_and_not_an_idle_service(new_project: Callable[..., Project]) -> None:
    project = new_project("local", services__metrics=FROM_NGINX)
    project.use_app(apps.FOREIGN)
    project.deploy()
    (project.state / "logs" / "access.log").unlink()
    assert "nginx's access log does not show what app-blue answered" in project.run("status").said
    refused = project.run("promote", "--mode", "canary")
    assert refused.code == 3 and "access log" in refused.err
