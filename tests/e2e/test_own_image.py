"""An image with its own user, command, writable folders and stop signal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.project import Project, docker

DOCKERFILE = """
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN echo 'shop:x:4321:8765::/srv:/bin/sh' >>/etc/passwd && mkdir /srv/cache && chown 4321:8765 /srv/cache
WORKDIR /srv
COPY app app
USER shop
CMD ["python3", "-c", "raise SystemExit('not this one')"]
"""
APP = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def stop(*_):
    print("stopped by SIGQUIT", flush=True)
    os._exit(0)

signal.signal(signal.SIGQUIT, stop)
signal.signal(signal.SIGTERM, lambda *_: print("SIGTERM is ignored", flush=True))

def can_write(folder):
    try:
        open(folder + "/probe", "w").close()
        return True
    except OSError:
        return False

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        found = {"uid": os.getuid(), "gid": os.getgid(), "argv": sys.argv[1:]}
        found |= {folder: can_write(folder) for folder in ("/tmp", "/run", "/srv", "/srv/cache", "/data")}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *words):
        pass

ThreadingHTTPServer((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def shop(new_project: Callable[..., Project]) -> Project:
    project = new_project(
        "docker",
        services__metrics={"path": None},
        services__command=["python3", "app/main.py", "one word"],
    )
    (project.root / "Dockerfile").write_text(DOCKERFILE)
    project.use_app(APP)
    return project


def test_the_app_runs_as_its_image_says_with_the_folders_it_needs(shop: Project) -> None:
    shop.set(
        services__user="image",
        services__read_only=False,
        services__tmpfs=["/tmp", "/run"],
        services__volumes=[{"name": "data", "path": "/data"}],
        rollout__overlap=True,
    )
    shop.deploy()
    assert shop.get("/").json() == {
        "uid": 4321,
        "gid": 8765,
        "argv": ["one word"],
        "/tmp": True,
        "/run": True,
        "/srv": False,
        "/srv/cache": True,
        "/data": True,
    }
    assert shop.inspect("app-blue")["Config"]["User"] == "4321:8765"
    assert shop.run("plan", "--check").code == 0
    shop.run("teardown", "--volumes", "--yes").ok()


def test_by_default_the_app_runs_as_10001_and_writes_to_tmp_alone(shop: Project) -> None:
    shop.deploy()
    found = shop.get("/").json()
    assert (found["uid"], found["/tmp"], found["/srv/cache"]) == (10001, True, False)


def test_an_image_whose_user_is_root_is_refused_unless_root_is_allowed(shop: Project) -> None:
    dockerfile = shop.root / "Dockerfile"
    dockerfile.write_text(DOCKERFILE.replace("USER shop", "USER root"))
    shop.set(services__user="image")
    ended = shop.run("deploy")
    assert ended.code == 2, ended.said
    assert "services.user is image, and the user of" in ended.said
    assert not shop.containers()
    shop.set(policy__isolation={"allow_root": True})
    shop.deploy()
    assert shop.get("/").json()["uid"] == 0


def test_root_by_number_is_refused_by_isolation(shop: Project) -> None:
    shop.set(services__user="0")
    ended = shop.run("deploy")
    assert ended.code == 3, ended.said
    assert "non_root: not in app-blue, app-green" in ended.said


def test_a_folder_in_memory_that_hides_the_app_is_refused(shop: Project) -> None:
    shop.set(services__tmpfs=["/tmp", "/srv"])
    ended = shop.run("deploy")
    assert ended.code == 2, ended.said
    assert "services.tmpfs has /srv, which hides /srv of the image" in ended.said


def test_the_app_is_stopped_by_its_own_signal(shop: Project) -> None:
    shop.set(services__stop={"signal": "SIGQUIT", "timeout": 60})
    shop.deploy()
    name = f"{shop.name}-app-blue"
    config = shop.inspect("app-blue")["Config"]
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGQUIT", 60)
    first = docker("inspect", "-f", "{{.Id}}", name).strip()
    shop.set(services__version="2.0.0")
    deployed = shop.deploy()
    assert first not in shop.containers().values()
    removal = next(r for r in reversed(shop.history()) if r.get("action") == "remove" and "seconds" in r)
    assert removal["seconds"] < 30, deployed.said
