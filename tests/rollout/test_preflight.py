"""What a failed check proposes."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from swiftdeploy_tasks.engines import port_check
from swiftdeploy_tasks.rollout import preflight
from tests.ports import free_port
from tests.proxy import accepted
from tests.proxy.test_rendered_root_files import BASE


@pytest.fixture
def taken() -> Iterator[list[int]]:
    """Two ports on which another program listens."""
    here = "127.0.0.1"
    with socket.create_server((here, free_port())) as one, socket.create_server((here, free_port())) as two:
        yield [one.getsockname()[1], two.getsockname()[1]]


def test_for_each_port_that_is_taken_a_free_one_is_proposed(taken: list[int]) -> None:
    nginx = {**BASE["nginx"], "port": free_port(), "operator_port": taken[0]}
    manifest = accepted(BASE | {"gate": "server", "nginx": nginx, "opa": {"port": taken[1]}})
    found = port_check.check(manifest, with_opa=True, ours=frozenset(), holder=lambda port: "")
    assert found.passed is False
    pattern = r"end what holds it, or set nginx.operator_port: (\d+), opa.port: (\d+) in manifest.yaml"
    proposed = re.fullmatch(pattern, found.next)
    assert proposed, found.next
    ports = {int(port) for port in proposed.groups()}
    assert len(ports) == 2
    assert not ports & {*taken, manifest.nginx.port}
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_a_limit_of_open_files_that_is_too_low_is_named_with_what_fits() -> None:
    found = preflight.too_few_files(accepted(BASE), 4096)
    assert found.message == (
        "nginx.connections is 10000, for which nginx opens 10512 files, "
        "and this user may open 4096 (ulimit -Hn)"
    )
    assert found.next == "raise the limit, or set nginx.connections: 3584"
