"""The isolation policy beside the template that ships: what it lists as good is what is rendered, no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.gate import Bundle, Question, read_bundle
from swiftdeploy_tasks.gate.embedded import ask_embedded
from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.proxy import configuration
from swiftdeploy_tasks.rollout import admission
from tests.engines.docker.test_compose_file import HOME, written
from tests.gate.conftest import POLICIES, Ask
from tests.proxy import FOLDERS, accepted

MANIFEST = {
    "services": {"image": "shop:1", "port": 3000, "env": {"A": "$b", "SECRET": {"from_env": "OTHER"}}},
    "nginx": {"image": "nginx:1", "port": 8080},
    "network": {"name": "shop-net", "driver_type": "bridge"},
}


def _question(*, with_opa: bool = True, home: str = HOME) -> Question:
    asked = accepted(MANIFEST)
    found = written(asked, {"blue", "green"}, with_opa=with_opa, home=home)
    site = configuration.CONTAINER_SITE
    nginx = configuration.render(
        asked, site, folders=FOLDERS, addresses={}, traffic=Traffic(), generation="asked"
    )["nginx.conf"]
    return admission.about_isolation("docker", asked, written=found, nginx=nginx, home=home)


@pytest.mark.parametrize("with_opa", [True, False])
@pytest.mark.parametrize("home", [HOME, "/srv/größe $$x/.swiftdeploy", "/s"])
def test_what_the_shipped_template_renders_is_allowed(
    home: str, with_opa: bool, ask: Ask, bundle: Bundle
) -> None:
    verdict = ask(_question(with_opa=with_opa, home=home), bundle)
    assert [check.message for check in verdict.failed] == []
    assert verdict.allow


def test_what_is_mounted_from_another_home_is_refused(bundle: Bundle) -> None:
    question = _question()
    elsewhere = Question("isolation", {**question.input, "home": str(Path(HOME).parent / "other")})
    assert [check.rule for check in ask_embedded(elsewhere, bundle).failed] == ["own_mounts"]


def test_known_keys_are_those_of_the_shipped_template_and_no_other(bundle: Bundle) -> None:
    specs: dict[str, Any] = _question().input["specs"]
    used = {f"*.{key}" for spec in specs.values() for key in spec}
    assert sorted(bundle.limits("isolation")["known_keys"]) == sorted(used)


@pytest.mark.parametrize(("name", "is_allowed"), [("app-blue", True), ("nginx", False), ("opa", False)])
def test_only_the_app_may_be_allowed_to_run_as_root(name: str, is_allowed: bool, ask: Ask) -> None:
    asked: dict[str, Any] = dict(_question().input)
    asked["specs"] = {**asked["specs"], name: {**asked["specs"][name], "user": "0:0"}}
    bundle = read_bundle(POLICIES, {"isolation": {"non_root": False}})
    assert ask(Question("isolation", asked), bundle).allow == is_allowed
