"""How nginx is sized for the connections that it must hold."""

from __future__ import annotations

from typing import Any

import pytest

from swiftdeploy_tasks.manifest.model import Nginx
from swiftdeploy_tasks.proxy.sizing import fits_in_memory, size_of
from tests.proxy import accepted
from tests.proxy.test_rendered_root_files import BASE


def nginx(**keys: Any) -> Nginx:
    return accepted(BASE | {"nginx": {**BASE["nginx"], **keys}}).nginx


@pytest.mark.parametrize(
    ("cpus", "cores", "workers"),
    [(None, 0, "auto"), (None, 4, "4"), (1.5, 4, "2"), (0.5, 0, "1"), (None, 96, "15")],
)
def test_there_is_a_worker_for_each_core_as_far_as_the_memory_goes(
    cpus: float | None, cores: int, workers: str
) -> None:
    assert size_of(nginx(resources={"cpus": cpus}), cores).workers == workers


def test_one_worker_can_hold_every_client_and_its_connection_to_the_app() -> None:
    for connections in (1, 10_000, 50_000):
        size = size_of(nginx(connections=connections), 2)
        assert 2 * connections < size.connections < size.files
        assert connections <= size.backlog <= 65_535


@pytest.mark.parametrize(
    ("size", "fits"), [("8m", True), ("256m", True), ("257m", False), ("1g", False), ("0", False)]
)
def test_a_body_is_kept_only_where_half_of_the_memory_holds_it(size: str, fits: bool) -> None:
    assert fits_in_memory(nginx(), size) is fits
