"""The image that is built from the whole project, as Docker has it."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.project import COMMAND, Project, docker

OWN = {"nginx.conf": "events {}\n", "docker-compose.yml": "services: {}\n"}
DOCKERFILE = """
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
WORKDIR /srv
COPY . .
CMD ["python3", "app/main.py"]
"""


def _in_the_image(project: Project, *words: str) -> str:
    image = str(project.manifest["services"]["image"])
    return docker("run", "--rm", "--network", "none", "--entrypoint", words[0], image, *words[1:])


def test_nothing_of_ours_is_in_an_image_made_of_the_whole_project_and_all_of_theirs_is(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("docker", rendered="deploy")
    (project.root / "Dockerfile").write_text(DOCKERFILE)
    for name, text in OWN.items():
        (project.root / name).write_text(text)
    project.run("render").ok()
    project.run("audit").ok()
    project.deploy()
    here = _in_the_image(project, "find", "/srv", "-type", "f").split()
    theirs = {
        str(path.relative_to(project.root)) for path in (project.root / "app").rglob("*") if path.is_file()
    }
    assert {path.removeprefix("/srv/") for path in here} == {"Dockerfile", *OWN, *theirs}
    assert _in_the_image(project, "cat", "/srv/nginx.conf") == OWN["nginx.conf"]
    assert project.run("plan", "--check").code == 0
    (project.root / "nginx.conf").write_text("events {worker_connections 9;}\n")
    image = project.manifest["services"]["image"]
    steps = project.run("plan", "--json").ok().document()["steps"]
    assert {"action": "build", "target": image} in [
        {k: step[k] for k in ("action", "target")} for step in steps
    ]


def test_a_log_of_the_deploy_in_the_context_stops_nothing_and_leaves_nothing_to_change(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("docker")
    (project.root / "Dockerfile").write_text(DOCKERFILE)
    into_a_log = ["sh", "-c", 'exec "$0" deploy > deploy.log 2>&1', str(COMMAND)]
    ended = project.start_as(into_a_log).end()
    assert ended.code == 0, (project.root / "deploy.log").read_text()
    project.run("plan", "--check").ok()
    running = project.running()
    assert project.start_as(into_a_log).end().code == 0
    assert project.running() == running
