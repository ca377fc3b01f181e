from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import Slot, from_label, from_manifest
from swiftdeploy_tasks.proxy import artifacts
from tests.lab import require
from tests.manifest.strategies import manifests
from tests.proxy import EXAMPLES, FEW_EXAMPLES, FOLDERS, accepted, root_files

HOME = "/srv/a $HOME \"shop\" #1: 'é'/.swiftdeploy"
IMAGES = {"nginx": "sha256:" + "a" * 64, "opa": "sha256:" + "b" * 64}
slot_sets: st.SearchStrategy[set[Slot]] = st.sets(st.sampled_from(("blue", "green")))


def applied(asked: Manifest, slots: set[Slot], *, with_opa: bool, home: str = HOME) -> str:
    release = from_manifest(asked, artifact="sha256:" + "c" * 64, process=())
    return artifacts.render_compose(
        asked,
        folders=FOLDERS,
        placed=dict.fromkeys(slots, release),
        with_opa=with_opa,
        images=IMAGES | {f"app-{slot}": release.artifact for slot in slots},
        home=home,
    )


def at_root(asked: Manifest, *, with_opa: bool = True) -> str:
    return root_files(asked, with_opa=with_opa)["docker-compose.yml"]


def parsed(text: str) -> Any:
    return yaml.safe_load(text)


def as_compose_reads(value: str) -> str:
    """The value of a parsed file after interpolation, which no lone dollar may be left to."""
    whole = value.replace("$$", "")
    assert "$" not in whole, f"compose would interpolate {value!r}"
    return value.replace("$$", "$")


def environment(asked: Manifest) -> dict[str, str]:
    """What the manifest says that the app gets, a secret as a reference to its source."""
    services = asked.services
    return {
        "MODE": services.mode,
        "APP_VERSION": services.version,
        "APP_PORT": str(services.port),
        "APP_HOST": "0.0.0.0",
        **{variable.name: variable.value or "" for variable in services.env if variable.from_env is None},
        **{
            variable.name: f"${{{artifacts.SECRET}{variable.from_env}}}"
            for variable in services.env
            if variable.from_env
        },
    }


@EXAMPLES
@given(manifests())
def test_the_app_gets_the_environment_of_the_manifest_and_no_other(data: dict[str, Any]) -> None:
    asked = accepted(data)
    found = parsed(at_root(asked))["services"]["app-blue"]["environment"]
    secret = {variable.name for variable in asked.services.env if variable.from_env}
    read = {name: value if name in secret else as_compose_reads(value) for name, value in found.items()}
    assert read == environment(asked)


@pytest.mark.parametrize("text", ["1.0", "1e3", "0x10", "007", "1_000", "2026-11-24", "null", "yes", "0o7"])
def test_text_that_yaml_could_take_for_something_else_stays_text(text: str) -> None:
    services = {"image": "shop:1", "port": 3000, "version": text, "env": {"VALUE": text}}
    network = {"name": text.replace("-", ""), "driver_type": "bridge"}
    asked = accepted({"services": services, "nginx": {"image": "nginx", "port": 8080}, "network": network})
    document = parsed(at_root(asked))
    app = document["services"]["app-blue"]
    assert (app["environment"]["APP_VERSION"], app["environment"]["VALUE"]) == (text, text)
    assert app["labels"]["swiftdeploy.version"] == text
    assert document["networks"]["app"]["name"] == network["name"]


@EXAMPLES
@given(manifests(), st.booleans())
def test_every_string_of_the_manifest_is_read_back_in_its_place(data: dict[str, Any], with_opa: bool) -> None:
    asked = accepted(data)
    document = parsed(at_root(asked, with_opa=with_opa))
    services = document["services"]
    assert services.keys() == {"nginx", "app-blue"} | ({"opa"} if with_opa else set())
    assert document["name"] == asked.name
    assert document["networks"]["app"] == {"name": asked.network.name, "driver": asked.network.driver_type}
    assert document["volumes"] == {"logs": {"name": asked.services.log_volume}}
    images = {name: service["image"] for name, service in services.items()}
    wanted = {"nginx": asked.nginx.image, "app-blue": asked.services.image}
    assert images == wanted | ({"opa": asked.opa.image} if with_opa else {})
    assert {name: service["container_name"] for name, service in services.items()} == {
        name: f"{asked.name}-{name}" for name in services
    }
    app = services["app-blue"]
    assert app["labels"] == {
        "swiftdeploy.project": asked.name,
        "swiftdeploy.slot": "blue",
        "swiftdeploy.mode": asked.services.mode,
        "swiftdeploy.version": asked.services.version,
    }
    limits = asked.services.resources
    assert (app["mem_limit"], app["cpus"]) == (limits.memory, limits.cpus)
    assert app["restart"] == asked.services.restart_policy


@EXAMPLES
@given(manifests(), st.booleans())
def test_only_nginx_and_opa_publish_ports_and_only_the_public_one_to_every_address(
    data: dict[str, Any], with_opa: bool
) -> None:
    asked = accepted(data)
    services = parsed(at_root(asked, with_opa=with_opa))["services"]
    published = {
        (name, port.get("host_ip"), port["published"], port["target"])
        for name, service in services.items()
        for port in service.get("ports", [])
    }
    public, operator, opa = asked.nginx.port, asked.nginx.operator_port, asked.opa.port
    wanted = {("nginx", None, str(public), public), ("nginx", "127.0.0.1", str(operator), operator)}
    assert published == wanted | ({("opa", "127.0.0.1", str(opa), 8181)} if with_opa else set())


@EXAMPLES
@given(manifests(), slot_sets, st.booleans())
def test_what_is_applied_names_home_image_ids_and_the_whole_release(
    data: dict[str, Any], slots: set[Slot], with_opa: bool
) -> None:
    asked = accepted(data)
    document = parsed(applied(asked, slots, with_opa=with_opa))
    services = document["services"]
    assert {name for name in services if name.startswith("app-")} == {f"app-{slot}" for slot in slots}
    for service in services.values():
        assert as_compose_reads(service["labels"]["swiftdeploy.home"]) == HOME
        assert service["image"].startswith("sha256:")
        assert service["pull_policy"] == "never"
    for slot in slots:
        label = as_compose_reads(services[f"app-{slot}"]["labels"]["swiftdeploy.release"])
        assert from_label(label) == from_manifest(asked, artifact="sha256:" + "c" * 64, process=())
    sources = [
        volume["source"]
        for service in services.values()
        for volume in service["volumes"]
        if volume["type"] == "bind"
    ]
    assert {as_compose_reads(source) for source in sources} == {f"{HOME}/nginx", f"{HOME}/counts"} | (
        {f"{HOME}/bundle"} if with_opa else set()
    )
    assert all(
        found.get("external") for found in (*document["networks"].values(), *document["volumes"].values())
    )


@EXAMPLES
@given(manifests())
def test_both_slots_are_run_in_the_same_way(data: dict[str, Any]) -> None:
    text = applied(accepted(data), {"blue", "green"}, with_opa=True)
    blue, green = (artifacts.spec_of(text, f"app-{slot}") for slot in ("blue", "green"))
    assert blue == green != ""


@EXAMPLES
@given(manifests(), st.booleans())
def test_every_container_is_confined(data: dict[str, Any], with_opa: bool) -> None:
    for service in parsed(at_root(accepted(data), with_opa=with_opa))["services"].values():
        assert (service["read_only"], service["init"], service["cap_drop"]) == (True, True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"].split(":")[0] not in {"", "0", "root"}
        assert service["pids_limit"] > 0 and service["mem_limit"] and service["cpus"] > 0
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
        assert "privileged" not in service and "cap_add" not in service


@pytest.fixture(scope="session")
def docker() -> str:
    require("docker")
    return shutil.which("docker") or "docker"


def configured(docker: str, text: str, folder: Path, secrets: dict[str, str]) -> Any:
    """The file as the real compose resolves it."""
    (folder / "compose.yml").write_text(text, encoding="utf-8")
    said = subprocess.run(
        [docker, "compose", "-f", str(folder / "compose.yml"), "config", "--format", "json"],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **secrets},
    )
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


@settings(FEW_EXAMPLES, max_examples=15)
@given(manifests(), st.booleans())
def test_the_real_compose_gives_the_app_what_the_manifest_says(
    docker: str, tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any], is_applied: bool
) -> None:
    asked = accepted(data)
    text = applied(asked, {"blue", "green"}, with_opa=True) if is_applied else at_root(asked)
    sources = {variable.from_env for variable in asked.services.env if variable.from_env}
    secrets = {source: f"secret of {source}: $HOME ${{PATH}} $$" for source in sources}
    given = {f"{artifacts.SECRET}{source}": value for source, value in secrets.items()}
    found = configured(docker, text, tmp_path_factory.mktemp("compose"), given)
    wanted = environment(asked)
    for variable in asked.services.env:
        if variable.from_env:
            wanted[variable.name] = secrets[variable.from_env]
    app = found["services"]["app-blue"]
    assert {name: value.replace("$$", "$") for name, value in app["environment"].items()} == wanted
    assert found["networks"]["app"]["name"] == asked.network.name
    assert app["container_name"] == f"{asked.name}-app-blue"
    if is_applied:
        assert app["labels"]["swiftdeploy.home"].replace("$$", "$") == HOME
