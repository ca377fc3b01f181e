"""The manifest that a rollback runs under: which copy is used when others are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from swiftdeploy_tasks.errors import ManifestError
from swiftdeploy_tasks.manifest.model import Health, Resources
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.rollout import applied, release_store
from swiftdeploy_tasks.settings import Settings, find

TEXT = """\
services: {{image: "shop:1", port: 3000, version: "{version}"}}
nginx: {{image: "nginx:1", port: 8080}}
network: {{name: shop-net, driver_type: bridge}}
"""
BROKEN = b"services: ["


def text(version: str) -> bytes:
    return TEXT.format(version=version).encode()


def confirm(places: Settings, version: str) -> str:
    """Confirm a release of this version, and keep the manifest that it runs under."""
    health, resources = Health("/healthz", 1.0, 3, 60.0), Resources(1.0, "256m")
    release = Release("sha256:1", version, "stable", (), (), 3000, (), health, resources, "no")
    release_store.confirm(places.releases, release)
    applied.keep(places, release.id, text(version))
    return release.id


@pytest.fixture
def places(tmp_path: Path) -> Settings:
    """A project in which 1.0.0 and then 2.0.0 were confirmed, and whose manifest.yaml says 3.0.0."""
    (tmp_path / "manifest.yaml").write_bytes(text("3.0.0"))
    (tmp_path / ".swiftdeploy").mkdir()
    found = find(tmp_path)
    confirm(found, "1.0.0")
    confirm(found, "2.0.0")
    return found


def version(places: Settings) -> tuple[str, str]:
    """Which version's manifest is in force, and what is said of it."""
    file, told = applied.in_force(places)
    assert text(file.manifest.services.version) == file.content
    return file.manifest.services.version, told


def copies(places: Settings) -> list[Path]:
    """The copies of the confirmed releases, the newest first."""
    held = release_store.stack(release_store.confirmations(places.releases))
    return [places.releases / row.release / applied.COPY for row in reversed(held)]


def test_what_was_applied_last_is_in_force_without_a_word(places: Settings) -> None:
    assert version(places) == ("2.0.0", "")


@pytest.mark.parametrize("damage", [BROKEN, b"", b"other: file\n", b"\xff\xfe", None])
def test_where_applied_yaml_is_damaged_or_gone_the_copy_of_what_runs_is_used_and_named(
    places: Settings, damage: bytes | None
) -> None:
    places.applied.unlink() if damage is None else places.applied.write_bytes(damage)
    found, told = version(places)
    assert found == "2.0.0"
    assert ("is missing" if damage is None else "is not a valid manifest") in told
    assert str(copies(places)[0].relative_to(places.state)) in told


def test_where_that_copy_is_damaged_too_the_copy_before_it_is_used_and_manifest_yaml_last(
    places: Settings,
) -> None:
    places.applied.write_bytes(BROKEN)
    copies(places)[0].write_bytes(BROKEN)
    assert version(places)[0] == "1.0.0"
    copies(places)[1].write_bytes(BROKEN)
    found, told = version(places)
    assert found == "3.0.0"
    assert told.endswith("manifest.yaml is used instead")


def test_what_was_kept_is_used_although_the_project_s_schema_refuses_it(places: Settings) -> None:
    (places.root / "schema").mkdir()
    schema = places.root / "schema" / "manifest.schema.json"
    for broken in ("{", '{"type": "string"}', '{"properties": []}'):
        schema.write_text(broken)
        assert version(places) == ("2.0.0", "")


def test_a_copy_that_todays_schema_does_not_know_is_used_before_manifest_yaml(places: Settings) -> None:
    older = text("2.0.0") + b"former_key: 1\n"
    places.applied.write_bytes(older)
    for copy in copies(places):
        copy.unlink()
    file, told = applied.in_force(places)
    assert (file.manifest.services.version, file.content, told) == ("2.0.0", older, "")


def test_where_none_can_be_used_the_next_step_is_named(places: Settings) -> None:
    for path in (places.applied, places.manifest, *copies(places)):
        path.write_bytes(BROKEN)
    with pytest.raises(ManifestError) as caught:
        applied.in_force(places)
    assert "correct manifest.yaml" in caught.value.next


def test_the_manifest_of_a_killed_verb_comes_first(places: Settings) -> None:
    file, told = applied.in_force(places, first=text("4.0.0"))
    assert (file.manifest.services.version, told) == ("4.0.0", "")


def test_another_mode_changes_the_bytes_and_the_manifest_alike(places: Settings) -> None:
    file = applied.in_force(places)[0].in_mode("canary")
    places.applied.write_bytes(file.content)
    assert applied.in_force(places)[0] == file
    assert file.manifest.services.mode == "canary"
