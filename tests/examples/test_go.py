"""examples/go: a static binary without metrics or a health path, judged by nginx's access log."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import SOURCE, Project
from tests.examples import course
from tests.lab import IMAGES, require

EXAMPLE = SOURCE / "examples" / "go"


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service as `go build` makes it."""
    built = tmp_path_factory.mktemp("go") / "shop"
    environment = {**os.environ, "CGO_ENABLED": "0"}
    subprocess.run([require("go"), "build", "-o", str(built), "."], cwd=EXAMPLE, env=environment, check=True)
    return built


@pytest.fixture(params=["local", "docker"])
def project(request: pytest.FixtureRequest, binary: Path, tmp_path: Path) -> Iterator[Project]:
    images = {"nginx__image": IMAGES["nginx"], "opa__image": IMAGES["opa"]}
    for copy in course.copy_of("go", tmp_path, engine=request.param, **images):
        (copy.root / "shop").write_bytes(binary.read_bytes())
        (copy.root / "shop").chmod(0o755)
        copy.set(services__image=f"{copy.name}-app:latest")
        _use_binary(copy.root)
        yield copy


def _use_binary(root: Path) -> None:
    """Replace the stage that compiles, for which the lab has no image, by what the host compiled."""
    compiles, scratch, rest = (root / "Dockerfile").read_text().partition("FROM scratch\n")
    assert " AS build\n" in compiles
    (root / "Dockerfile").write_text(f"FROM scratch AS build\nCOPY shop /out/shop\n{scratch}{rest}")
    (root / ".dockerignore").write_text("*\n!shop\n")


def test_it_takes_the_course_without_a_failed_request(project: Project) -> None:
    course.take(project)


def test_nginx_counts_its_requests_and_promote_is_judged_by_them(project: Project) -> None:
    project.set(policy__canary={"window": 300})
    project.deploy()
    # SwiftDeploy's own looks at `/` are not counted; a client cannot pass for them.
    for forged in ["1", "x a,id=x"] * 5:
        answer = project.get("/any/path", headers={"X-SwiftDeploy-Probe": forged})
        assert answer.json() == {"version": "1.0.0"}
    document = project.run("promote", "canary", "--json").ok().document()
    checks = {check["rule"]: check for check in document["verdicts"][0]["checks"]}
    assert " in 10 requests over " in checks["max_error_rate"]["message"]
    assert 0 < checks["max_p99_ms"]["observed"] <= 500
