"""In what a container differs from its definition, and in what it only seems to."""

from __future__ import annotations

from typing import Any

import pytest

from swiftdeploy_tasks.engines.docker import differences as docker_form

PROXIES = ("HTTP_PROXY", "https_proxy", "FTP_PROXY", "no_proxy", "ALL_PROXY")


def differences(given: dict[str, str], found: dict[str, str], image: tuple[str, ...] = ()) -> list[str]:
    """What is said of a container with the variables `found` whose definition has `given`."""
    document = {"image": "sha256:1", "environment": given}
    config = {"Env": [f"{name}={value}" for name, value in found.items()]}
    container: dict[str, Any] = {
        "Image": "sha256:1",
        "Config": config,
        "HostConfig": {},
        "NetworkSettings": {"Networks": {}},
    }
    known = {"Id": "sha256:1", "Config": {"Env": list(image)}}
    return [str(one) for one in docker_form.differences(document, container, known)]


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_that_compose_adds_from_the_docker_configuration_is_no_difference(name: str) -> None:
    assert differences({}, {name: "http://10.1.1.1:3128"}) == []
    assert differences({}, {name: "http://10.1.1.1:3128"}, image=(f"{name}=http://image:1",)) == []


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_that_the_definition_has_is_compared(name: str) -> None:
    said = differences({name: "http://wanted:1"}, {name: "http://other:1"})
    assert said == [f"the variable {name}: 'http://other:1' instead of 'http://wanted:1'"]


def test_another_variable_that_was_added_is_a_difference() -> None:
    assert differences({}, {"EXTRA": "1"}) == ["the variable EXTRA: set instead of none"]
