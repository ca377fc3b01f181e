"""examples/django: uploads, its own names and its data over an upgrade, and no request is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.project import Project
from tests.e2e.wire import Answer
from tests.examples import course

SHOP = "shop.example.com"
EDGE = "----edge"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    for project in course.copy_of("django", tmp_path):
        project.environment["DJANGO_SECRET_KEY"] = "a key for the tests"
        yield project


def test_it_takes_the_course_without_a_failed_request(project: Project) -> None:
    course.take(project, host=SHOP)


def test_an_upload_of_20_mb_is_whole_and_there_after_an_upgrade(project: Project) -> None:
    project.deploy()
    sent = os.urandom(20_000_000)
    assert upload(project, "first", sent).status == 201
    project.set(services__version="2.0.0")
    with course.load_on(project, host=SHOP):
        project.deploy()
    uploads = [{"name": "first", "size": len(sent)}]
    assert index(project) == {"version": "2.0.0", "uploads": uploads}
    assert (project.state / "volumes" / "data" / "uploads" / "first").read_bytes() == sent
    assert upload(project, "second", b"more").status == 201
    project.run("rollback").ok()
    assert index(project) == {"version": "1.0.0", "uploads": [*uploads, {"name": "second", "size": 4}]}


def test_a_foreign_host_is_refused_by_nginx_and_by_django(project: Project) -> None:
    project.deploy()
    foreign = {"Host": "evil.example.net"}
    assert project.get("/", headers={"Host": SHOP}).status == 200
    assert project.get("/", headers=foreign).status == 421
    project.set(nginx__hosts=[])
    project.deploy()
    assert project.get("/", headers=foreign).status == 400


def test_a_large_body_is_taken_by_the_upload_alone(project: Project) -> None:
    project.deploy()
    assert upload(project, "big", bytes(33 << 20)).status == 413
    large = {"method": "POST", "body": bytes(9 << 20), "headers": {"Host": SHOP}}
    assert project.get("/", **large).status == 413


def test_teardown_ends_processes_that_changed_their_titles(project: Project) -> None:
    project.deploy()
    assert sorted(titles(project)) == ["gunicorn: master [shop.wsgi]", *["gunicorn: worker [shop.wsgi]"] * 2]
    project.run("teardown").ok()
    assert titles(project) == []


def titles(project: Project) -> list[str]:
    """What runs in the project's folder under gunicorn's title, which overwrites the environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            title = " ".join(process.cmdline()).rstrip()
            if title.startswith("gunicorn: ") and Path(process.cwd()).is_relative_to(project.root):
                found.append(title)
    return found


def upload(project: Project, name: str, content: bytes) -> Answer:
    """Send a file as a form does."""
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{EDGE}--\r\n".encode()
    headers = {"Host": SHOP, "Content-Type": f"multipart/form-data; boundary={EDGE}"}
    return project.get("/upload", method="POST", body=body, headers=headers)


def index(project: Project) -> dict[str, Any]:
    return project.get("/", headers={"Host": SHOP}).json()
