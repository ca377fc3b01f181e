"""The files for review depend on the manifest alone, and are never overwritten unseen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftdeploy_tasks.proxy import generated_files
from swiftdeploy_tasks.proxy.root_files import ROOT_FILES
from tests.engines.docker.test_compose_file import parsed
from tests.manifest.strategies import manifests
from tests.proxy import EXAMPLES, accepted, root_files
from tests.proxy.nginx_conf import read

engines = st.sampled_from(["docker", "local"])


@EXAMPLES
@given(manifests(), engines, st.booleans())
def test_they_carry_no_home_gateway_generation_user_or_path_of_this_host(
    data: dict[str, Any], engine: str, with_opa: bool
) -> None:
    files = root_files(accepted(data), engine=engine, with_opa=with_opa)
    assert files.keys() == set(ROOT_FILES)
    conf = read(files["nginx.conf"])
    assert not list(conf.all("user")) and not list(conf.all("include"))
    (operators,) = [found for found in conf.all("geo") if found.arguments == ("$sd_operator",)]
    allowed = [inner.name for inner in operators.block or () if inner.arguments == ("1",)]
    assert allowed == (["127.0.0.1"] if engine == "local" else [])
    (generation,) = [found for found in conf.all("map") if found.arguments == ("", "$sd_generation")]
    assert [inner.arguments for inner in generation.block or ()] == [("root",)]
    for service in parsed(files["docker-compose.yml"])["services"].values():
        assert not service["labels"].keys() & {"swiftdeploy.home", "swiftdeploy.release", "swiftdeploy.spec"}
        binds = [volume["source"] for volume in service["volumes"] if volume["type"] == "bind"]
        assert all(re.match(r"(\.|\.\.(/\.\.)*)/\.swiftdeploy/", source) for source in binds)


@EXAMPLES
@given(manifests(), engines)
def test_blue_has_all_the_traffic_as_after_a_first_deploy(data: dict[str, Any], engine: str) -> None:
    files = root_files(accepted(data), engine=engine)
    (app,) = [found for found in read(files["nginx.conf"]).all("upstream") if found.arguments == ("app",)]
    (peer,) = app.all("server")
    assert "weight=100" in peer.arguments
    slots = [name for name in parsed(files["docker-compose.yml"])["services"] if name.startswith("app-")]
    assert slots == ["app-blue"]


@EXAMPLES
@given(manifests(), engines, st.booleans())
def test_they_name_their_source_and_the_digest_of_their_content(
    data: dict[str, Any], engine: str, with_opa: bool
) -> None:
    files = root_files(accepted(data), engine=engine, with_opa=with_opa)
    assert files == root_files(accepted(data), engine=engine, with_opa=with_opa)
    for text in files.values():
        assert re.match(r"# .*manifest\.yaml.* sha256:[0-9a-f]{16}\n", text)
        assert generated_files.content_digest(text) == generated_files.digest_of(text.partition("\n")[2])


BASE: dict[str, Any] = {
    "services": {"image": "shop:1", "port": 3000},
    "nginx": {"image": "nginx", "port": 8080},
    "network": {"name": "net", "driver_type": "bridge"},
}


def states(folder: Path, files: dict[str, str]) -> dict[str, str]:
    return {change.path.name: change.state for change in generated_files.compare(folder, files)}


@pytest.fixture
def files() -> dict[str, str]:
    return root_files(accepted(BASE))


@pytest.fixture
def newer_files() -> dict[str, str]:
    return root_files(accepted(BASE | {"contact": "new@example.org"}))


def test_they_are_created_and_then_unchanged(tmp_path: Path, files: dict[str, str]) -> None:
    assert set(states(tmp_path, files).values()) == {"created"}
    generated_files.write(generated_files.compare(tmp_path, files), aside=tmp_path / "aside")
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in files} == files
    assert set(states(tmp_path, files).values()) == {"unchanged"}
    assert not (tmp_path / "aside").exists()


def test_one_that_we_wrote_is_updated_and_not_kept(
    tmp_path: Path, files: dict[str, str], newer_files: dict[str, str]
) -> None:
    generated_files.write(generated_files.compare(tmp_path, files), aside=tmp_path / "aside")
    changes = generated_files.compare(tmp_path, newer_files)
    by_name = {change.path.name: change for change in changes}
    assert by_name["nginx.conf"].state == "updated"
    assert re.search(r"(?m)^\+.*new@example\.org", by_name["nginx.conf"].diff)
    assert by_name["docker-compose.yml"].state == "unchanged"
    generated_files.write(changes, aside=tmp_path / "aside")
    assert "new@example.org" in (tmp_path / "nginx.conf").read_text(encoding="utf-8")
    assert not (tmp_path / "aside").exists()


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text.replace("worker_processes auto", "worker_processes 8"),
        lambda text: text.partition("\n")[2],
        lambda text: "",
        lambda text: text + "\n",
        lambda text: text.replace("\n", "\r\n"),
    ],
    ids=["a value", "the first line gone", "emptied", "a line more", "line ends"],
)
def test_one_that_was_edited_by_hand_is_mended_and_kept_aside(
    tmp_path: Path, files: dict[str, str], edited: Any
) -> None:
    generated_files.write(generated_files.compare(tmp_path, files), aside=tmp_path / "aside")
    by_hand = edited(files["nginx.conf"]).encode()
    (tmp_path / "nginx.conf").write_bytes(by_hand)
    assert states(tmp_path, files) == {"nginx.conf": "mended", "docker-compose.yml": "unchanged"}
    generated_files.write(generated_files.compare(tmp_path, files), aside=tmp_path / "aside")
    assert (tmp_path / "nginx.conf").read_bytes() == files["nginx.conf"].encode()
    (kept,) = (tmp_path / "aside").iterdir()
    assert kept.read_bytes() == by_hand
    assert kept.stat().st_mode & 0o777 == 0o600


def test_one_that_is_no_text_is_mended_and_kept_aside(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "nginx.conf").write_bytes(b"\xff\xfe\x00")
    generated_files.write(generated_files.compare(tmp_path, files), aside=tmp_path / "aside")
    (kept,) = (tmp_path / "aside").iterdir()
    assert kept.read_bytes() == b"\xff\xfe\x00"


def test_neither_is_written_when_one_cannot_be(tmp_path: Path, files: dict[str, str]) -> None:
    changes = generated_files.compare(tmp_path, files)
    elsewhere = [*changes[:1], generated_files.FileChange(tmp_path / "no" / "folder", "x", "created", "")]
    with pytest.raises(OSError, match="no/"):
        generated_files.write(elsewhere, aside=tmp_path / "aside")
    assert list(tmp_path.iterdir()) == []
