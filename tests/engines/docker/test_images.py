"""When an image is built, and which release it gives, on a real Docker Engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from swiftdeploy_tasks.engines.docker.docker_engine import DockerEngine
from swiftdeploy_tasks.errors import ImageError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.finding import Finding
from tests.e2e.project import docker
from tests.lab import IMAGES, require
from tests.proxy import accepted
from tests.proxy.test_rendered_root_files import BASE

NGINX = {"image": IMAGES["nginx"], "port": 8080}


@pytest.fixture
def name() -> Iterator[str]:
    require("docker")
    name = f"built-{secrets.token_hex(4)}"
    yield name
    if tags := docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"{name}-*").split():
        docker("rmi", *tags)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "app").mkdir(parents=True)
    (root / ".swiftdeploy").mkdir()
    (root / "app" / "main.py").write_text("print(1)\n")
    return root


def engine(root: Path) -> DockerEngine:
    """The engine as another invocation makes it."""
    return DockerEngine(root, root / ".swiftdeploy")


def asked(root: Path, name: str, dockerfile: str, base: str = "scratch") -> Manifest:
    (root / "Dockerfile").write_text(f"FROM {base}\nLABEL test={name}\n{dockerfile}")
    services = {**BASE["services"], "image": f"{name}-app:latest", "build": "."}
    return accepted(BASE | {"name": name, "services": services, "nginx": NGINX})


def image_check(root: Path, manifest: Manifest) -> Finding:
    (found,) = (one for one in engine(root).check(manifest, with_opa=True) if one.name == "image")
    return found


def to_obtain(one: DockerEngine, manifest: Manifest) -> list[str]:
    """The images that would be built or pulled."""
    missing = one.missing(manifest, with_opa=False)
    return [found.name for found in missing if found.action in {"build", "pull"}]


def obtained(root: Path, manifest: Manifest) -> str:
    """The release that another invocation builds."""
    one = engine(root)
    one.obtain(manifest, lambda words: None)
    assert to_obtain(one, manifest) == []
    return one.release(manifest).id


def test_a_change_that_does_not_reach_the_image_gives_the_same_release(root: Path, name: str) -> None:
    manifest = asked(root, name, "COPY app /srv\n")
    first = obtained(root, manifest)
    (root / "README.md").write_text("a file that nothing copies\n")
    assert to_obtain(engine(root), manifest) == [manifest.services.image]
    assert obtained(root, manifest) == first
    assert to_obtain(engine(root), manifest) == []
    (root / "app" / "main.py").write_text("print(2)\n")
    assert obtained(root, manifest) != first


def test_a_commit_builds_nothing(root: Path, name: str) -> None:
    (root / ".git").mkdir()
    manifest = asked(root, name, "COPY . /srv\n")
    first = obtained(root, manifest)
    (root / ".git" / "HEAD").write_text("another commit\n")
    assert to_obtain(engine(root), manifest) == []
    assert engine(root).release(manifest).id == first


def test_what_was_built_is_what_the_run_uses_though_the_context_changes_meanwhile(
    root: Path, name: str
) -> None:
    manifest, one = asked(root, name, "COPY . /srv\n"), engine(root)
    one.obtain(manifest, lambda words: None)
    (root / "deploy.log").write_text("building\n")
    assert to_obtain(one, manifest) == []
    built = docker("images", "-q", "--no-trunc", manifest.services.image).strip()
    assert one.release(manifest).artifact == built
    assert to_obtain(engine(root), manifest) == [manifest.services.image]


def test_a_foreign_image_under_the_name_is_replaced_by_a_build(root: Path, name: str) -> None:
    manifest = asked(root, name, "COPY app /srv\n")
    first = obtained(root, manifest)
    docker("tag", IMAGES["base"], manifest.services.image)
    assert to_obtain(engine(root), manifest) == [manifest.services.image]
    assert obtained(root, manifest) == first


def test_a_dockerfile_that_needs_buildkit_is_built_with_it(root: Path, name: str) -> None:
    manifest = asked(root, name, "RUN --mount=type=cache,target=/c echo a > /a\nCOPY . /b\n", IMAGES["base"])
    (root / "app" / "main.py").chmod(0o755)
    assert "with BuildKit (RUN --mount in line 3)" in image_check(root, manifest).message
    first = obtained(root, manifest)
    words = ("find", "/a", "/b/app", "-type", "f", "-perm", "/111", "-o", "-name", "a")
    assert docker("run", "--rm", manifest.services.image, *words).split() == ["/a", "/b/app/main.py"]
    docker("rmi", *docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"{name}-context").split())
    assert obtained(root, manifest) == first


def test_a_build_that_fails_in_buildkit_says_what_failed(root: Path, name: str) -> None:
    manifest = asked(root, name, "RUN --mount=type=cache,target=/c echo too bad; false\n", IMAGES["base"])
    with pytest.raises(ImageError, match=r"cannot be built: .*exit code: 1") as raised:
        obtained(root, manifest)
    assert any("too bad" in line for line in raised.value.log)


def test_validate_names_the_instruction_where_buildkit_is_switched_off(
    root: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    manifest = asked(root, name, "RUN --mount=type=cache,target=/c make\n", IMAGES["base"])
    found = image_check(root, manifest)
    assert found.passed is False
    assert found.message == (
        "Dockerfile needs BuildKit (RUN --mount in line 3), and DOCKER_BUILDKIT=0 switches it off"
    )
    assert found.next == "unset DOCKER_BUILDKIT, then: invoke validate"
