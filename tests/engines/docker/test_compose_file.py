"""docker-compose.yml: what the Specs say, for review and as applied, and what a project's template adds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.engines.docker import compose_file
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import Slot, from_label, from_manifest
from swiftdeploy_tasks.model.spec import Spec, Written, documents
from tests.lab import require
from tests.manifest.strategies import manifests
from tests.proxy import EXAMPLES, FEW_EXAMPLES, FOLDERS, accepted, root_files

HOME = "/srv/a $HOME \"shop\" #1: 'é'/.swiftdeploy"
IMAGES = {"nginx": "sha256:" + "a" * 64, "opa": "sha256:" + "b" * 64}
slot_sets: st.SearchStrategy[set[Slot]] = st.sets(st.sampled_from(("blue", "green")))


def applied(asked: Manifest, slots: set[Slot], *, with_opa: bool, home: str = HOME) -> str:
    return written(asked, slots, with_opa=with_opa, home=home).files["compose.yml"]


def specs(asked: Manifest, slots: set[Slot], *, with_opa: bool = True, home: str = HOME) -> tuple[Spec, ...]:
    """The Specs of a project whose images are here."""
    release = from_manifest(asked, artifact="sha256:" + "c" * 64, process=())
    found = components.specs(asked, dict.fromkeys(slots, release), state=home, with_opa=with_opa)
    return tuple(replace(spec, image=IMAGES.get(spec.component, spec.image)) for spec in found)


def written(asked: Manifest, slots: set[Slot], *, with_opa: bool = True, home: str = HOME) -> Written:
    given = specs(asked, slots, with_opa=with_opa, home=home)
    return compose_file.as_applied(given, FOLDERS, home=home, mark="mark")


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
        **{f"APP_VOLUME_{one.name.upper().replace('-', '_')}": one.path for one in services.volumes},
        **{variable.name: variable.value or "" for variable in services.env if variable.from_env is None},
        **{
            variable.name: f"${{{compose_file.SECRET}{variable.from_env}}}"
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
    assert document["networks"][network["name"]]["name"] == network["name"]


@EXAMPLES
@given(manifests(), st.booleans())
def test_every_string_of_the_manifest_is_read_back_in_its_place(data: dict[str, Any], with_opa: bool) -> None:
    asked = accepted(data)
    document = parsed(at_root(asked, with_opa=with_opa))
    services = document["services"]
    assert services.keys() == {"nginx", "app-blue"} | ({"opa"} if with_opa else set())
    assert document["name"] == asked.name
    assert document["networks"][asked.network.name] == {
        "name": asked.network.name,
        "driver": asked.network.driver_type,
    }
    volumes = [asked.services.log_volume, *(f"{asked.name}-{one.name}" for one in asked.services.volumes)]
    assert document["volumes"] == {name: {"name": name} for name in volumes}
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
    digests = written(accepted(data), {"blue", "green"}).digests
    assert digests["app-blue"] == digests["app-green"] != ""


@EXAMPLES
@given(manifests(), slot_sets, st.booleans())
def test_what_is_read_back_from_the_file_is_what_the_specs_say(
    data: dict[str, Any], slots: set[Slot], with_opa: bool
) -> None:
    asked = accepted(data)
    given, found = specs(asked, slots, with_opa=with_opa), written(asked, slots, with_opa=with_opa)
    logging = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    assert found.documents == {
        name: {**document, "logging": logging} for name, document in documents(given).items()
    }
    assert found.beyond == ()


BASE = {
    "services": {"image": "shop:1", "port": 3000, "env": {"A": "1"}},
    "nginx": {"image": "nginx:1", "port": 8080},
    "network": {"name": "shop-net", "driver_type": "bridge"},
}


def test_a_digest_covers_what_its_own_component_uses_and_no_more() -> None:
    asked = accepted(BASE)
    before = written(asked, {"blue"}).digests
    logs = replace(asked, services=replace(asked.services, log_volume="other"))
    after = written(logs, {"blue"}).digests
    assert {name for name, digest in after.items() if digest != before[name]} == {"nginx", "app-blue"}
    port = replace(asked, opa=replace(asked.opa, port=asked.opa.port + 1))
    after = written(port, {"blue"}).digests
    assert {name for name, digest in after.items() if digest != before[name]} == {"opa"}
    alone = written(asked, {"blue"}, with_opa=False).digests
    assert all(before[name] == digest for name, digest in alone.items())


def own_template(folder: Path, text: str, *, after: str) -> tuple[Path, ...]:
    """The folders of a project whose template says `text` after this line of ours."""
    ours = (FOLDERS[0] / compose_file.TEMPLATE).read_text()
    assert after in ours
    (folder / compose_file.TEMPLATE).write_text(ours.replace(after, after + text))
    return (folder, *FOLDERS)


@pytest.mark.parametrize(
    ("after", "text", "where"),
    [
        ("services:\n", "  other: {image: x}\n", "services.other"),
        ("name: {{ project|yaml }}\n", "include: [other.yml]\n", "include"),
        ("    external: true\n", "    driver_opts: {o: bind}\n", "networks.shop-net.driver_opts"),
        ("    init: {{ spec.init|tojson }}\n", "    hostname: $HOME\n", "app-blue.hostname"),
        ("    init: {{ spec.init|tojson }}\n", '    hostname: "${HOME}"\n', "nginx.hostname"),
    ],
)
def test_what_a_template_of_the_project_says_beyond_the_specs_is_named(
    tmp_path: Path, after: str, text: str, where: str
) -> None:
    folders = own_template(tmp_path, text, after=after)
    found = compose_file.as_applied(specs(accepted(BASE), {"blue"}), folders, home=HOME, mark="mark")
    assert where in found.beyond


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("services: [nginx]\n", "gives no mappings"),
        ("services: {}\nnetworks: [a]\n", "gives no mappings"),
        ("just text\n", "gives no mappings"),
        ("services: {\n", "gives no YAML"),
        ("name: shop\n", "leaves out app-blue, nginx, opa"),
    ],
)
def test_a_template_that_gives_no_compose_file_is_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / compose_file.TEMPLATE).write_text(text)
    with pytest.raises(PreflightError, match=why):
        given = specs(accepted(BASE), {"blue"})
        compose_file.as_applied(given, (tmp_path, *FOLDERS), home=HOME, mark="mark")


def test_what_a_template_of_the_project_adds_to_a_component_is_in_its_document(tmp_path: Path) -> None:
    folders = own_template(tmp_path, "    privileged: true\n", after="    init: {{ spec.init|tojson }}\n")
    found = compose_file.as_applied(specs(accepted(BASE), {"blue"}), folders, home=HOME, mark="mark")
    assert found.documents["app-blue"]["privileged"] is True
    assert found.digests != written(accepted(BASE), {"blue"}).digests


@EXAMPLES
@given(manifests(), st.booleans())
def test_every_container_is_confined(data: dict[str, Any], with_opa: bool) -> None:
    asked = accepted(data)
    app = asked.services
    own: dict[str, tuple[bool, str | None]] = {"nginx": (True, "101:101"), "opa": (True, "1000:1000")}
    own["app-blue"] = (app.read_only, None if app.user == "image" else app.user)
    for name, service in parsed(at_root(asked, with_opa=with_opa))["services"].items():
        assert (service["read_only"], service.get("user")) == own[name]
        assert (service["init"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] > 0 and service["mem_limit"] and service.get("cpus", 1) > 0
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
    given = {f"{compose_file.SECRET}{source}": value for source, value in secrets.items()}
    found = configured(docker, text, tmp_path_factory.mktemp("compose"), given)
    wanted = environment(asked)
    for variable in asked.services.env:
        if variable.from_env:
            wanted[variable.name] = secrets[variable.from_env]
    app = found["services"]["app-blue"]
    assert {name: value.replace("$$", "$") for name, value in app["environment"].items()} == wanted
    assert found["networks"][asked.network.name]["name"] == asked.network.name
    assert app["container_name"] == f"{asked.name}-app-blue"
    if is_applied:
        assert app["labels"]["swiftdeploy.home"].replace("$$", "$") == HOME
