"""The user of an image is the one as which the Docker Engine runs it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from swiftdeploy_tasks.engines.docker import image_user
from tests.e2e.project import docker
from tests.lab import IMAGES, require

# Two rows have a number for a name, and the numbers of root.
DOCKERFILE = """
FROM {base}
USER root
RUN printf '10001:x:0:0::/:/bin/sh\\nshop:x:4321:8765::/:/bin/sh\\n' >>/etc/passwd \
 && printf '8765:x:0:\\ncrew:x:555:\\n' >>/etc/group
USER {user}
"""


@pytest.fixture
def image() -> Iterator[str]:
    require("docker")
    name = f"user-{secrets.token_hex(4)}"
    yield name
    docker("rmi", name)


@pytest.mark.parametrize("user", ["shop", "shop:crew", "4321", "10001", "10001:8765", "shop:8765", "root"])
def test_it_is_resolved_as_the_engine_does_and_a_number_is_never_a_name(
    image: str, user: str, tmp_path: Path
) -> None:
    docker("build", "-q", "-t", image, "-", input=DOCKERFILE.format(base=IMAGES["base"], user=user))
    ran = docker("run", "--rm", "--entrypoint", "sh", image, "-c", "echo $(id -u):$(id -g)").strip()
    assert image_user.as_numbers(image, image, tmp_path) == ran
