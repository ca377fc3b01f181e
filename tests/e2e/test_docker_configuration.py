"""What Docker's own configuration of the operator adds to containers is no drift."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.e2e.project import Project

PROXIES = {"default": {"httpProxy": "http://127.0.0.1:9", "noProxy": "localhost,127.0.0.1"}}


def test_proxies_in_the_docker_configuration_leave_nothing_to_change(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("docker")
    configuration = project.root / ".docker"
    configuration.mkdir()
    (configuration / "config.json").write_text(json.dumps({"proxies": PROXIES}))
    project.environment["DOCKER_CONFIG"] = str(configuration)
    project.deploy()
    for part in project.running():
        assert "HTTP_PROXY=http://127.0.0.1:9" in project.inspect(part)["Config"]["Env"]
    project.run("plan", "--check").ok()
