"""The volumes of the app beside those that a teardown removes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from swiftdeploy_tasks.engines.docker import client, networks
from swiftdeploy_tasks.errors import PreflightError
from tests.e2e.project import docker
from tests.lab import IMAGES, require


@pytest.fixture
def name() -> Iterator[str]:
    require("docker")
    chosen = f"shop-{secrets.token_hex(4)}"
    yield chosen
    docker("volume", "rm", "-f", chosen)


def test_a_volume_that_a_teardown_removes_becomes_none_of_the_app(name: str, tmp_path: Path) -> None:
    networks.make_volume("shop", name, IMAGES["nginx"], tmp_path)
    with pytest.raises(PreflightError, match=f"{name} was made for logs"):
        networks.make_volume("shop", name, IMAGES["nginx"], tmp_path, owner="10001:10001")


@pytest.mark.parametrize(
    ("label", "way_out"),
    [({client.DATA: "true"}, "move the project's folder back to /gone"), ({}, "volume rm")],
)
def test_the_data_of_a_folder_that_moved_is_reached_by_moving_it_back(
    label: dict[str, str], way_out: str
) -> None:
    found = {client.HOME: "/gone/.swiftdeploy", **label}
    with pytest.raises(PreflightError) as raised:
        client.refuse_stranger("volume", "shop-data", found, "/here/.swiftdeploy")
    assert way_out in raised.value.next
    assert ("volume rm" in raised.value.next) is not bool(label)
