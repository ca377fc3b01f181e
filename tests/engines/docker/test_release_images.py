"""The images that are kept for a rollback, by the tags that Docker has."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from swiftdeploy_tasks.engines.docker import images
from tests.e2e.project import docker
from tests.lab import require


@pytest.fixture
def name() -> Iterator[str]:
    require("docker")
    name = f"kept-{secrets.token_hex(4)}"
    yield name
    tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"{name}-*").split()
    docker("rmi", *tags)


def _image(name: str, number: int) -> str:
    words = ("build", "-q", "-t", f"{name}-app:{number}", "-")
    return docker(*words, input=f"FROM scratch\nLABEL number={name}-{number}\n").split()[-1]


def _tags(name: str) -> set[str]:
    return set(docker("images", "--format", "{{.Tag}}", f"{name}-release").split())


def test_the_oldest_release_tags_go_and_an_image_of_a_person_beside_them_stays(name: str) -> None:
    docker("tag", _image(name, 0), f"{name}-release:2024")
    ids = [f"{number:012x}" for number in range(1, images.KEPT + 3)]
    for number, release in enumerate(ids, 1):
        images.keep(name, _image(name, number), release)
    assert _tags(name) == {"2024", *ids[-images.KEPT :]}
