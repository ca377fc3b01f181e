"""Files in the project's folder: ours by their mark, and the folder that `rendered` may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.proxy import generated_files, root_files
from tests.proxy import accepted
from tests.proxy import root_files as rendered_files
from tests.proxy.test_rendered_root_files import BASE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    return root


def _foreign(root: Path) -> list[str]:
    return [path.name for path in root_files.foreign_files(root)]


def test_a_file_that_we_rendered_is_ours_also_when_it_was_edited(root: Path) -> None:
    files = rendered_files(accepted(BASE))
    generated_files.write(generated_files.compare(root, files), aside=root / "aside")
    assert _foreign(root) == []
    (root / "nginx.conf").write_text(files["nginx.conf"] + "# mine\n")
    assert _foreign(root) == []


@pytest.mark.parametrize(
    "content", [b"", b"events {}\n", b"# a sum sha256:0123456789abcdef\n", b"\xff\xfe\x00"]
)
def test_a_file_without_our_first_line_is_not_ours(root: Path, content: bytes) -> None:
    (root / "nginx.conf").write_bytes(content)
    assert _foreign(root) == ["nginx.conf"]


def test_a_link_is_not_ours_wherever_it_leads(root: Path, tmp_path: Path) -> None:
    (root / "nginx.conf").symlink_to(tmp_path / "nowhere")
    ours = tmp_path / "ours.yml"
    ours.write_text(rendered_files(accepted(BASE))["docker-compose.yml"])
    (root / "docker-compose.yml").symlink_to(ours)
    assert _foreign(root) == ["nginx.conf", "docker-compose.yml"]


def test_a_folder_with_the_name_of_a_rendered_file_is_not_ours(root: Path) -> None:
    (root / "docker-compose.yml").mkdir()
    assert _foreign(root) == ["docker-compose.yml"]


@pytest.mark.parametrize("rendered", [".", "deploy", "deploy/", "./deploy/made"])
def test_a_folder_inside_the_project_may_be_named(root: Path, rendered: str) -> None:
    found = root_files.folder_of(rendered, root=root, state=root / ".swiftdeploy")
    assert found == (root / rendered).resolve()


@pytest.mark.parametrize(
    "rendered", [".swiftdeploy", ".swiftdeploy/nginx", "state/x", "out", "out/deeper", "note"]
)
def test_a_folder_elsewhere_in_the_state_or_that_is_a_file_may_not_be_named(
    root: Path, tmp_path: Path, rendered: str
) -> None:
    (root / "out").symlink_to(tmp_path)
    (root / "note").write_text("mine")
    with pytest.raises(PreflightError) as refused:
        root_files.folder_of(rendered, root=root, state=root / "state")
    assert repr(rendered) in refused.value.message
    assert "rendered: deploy/" in refused.value.next


def test_the_review_compose_file_names_the_state_folder_from_where_it_lies() -> None:
    text = rendered_files(accepted(BASE | {"rendered": "deploy/made/"}))["docker-compose.yml"]
    assert '"../../.swiftdeploy/nginx"' in text
