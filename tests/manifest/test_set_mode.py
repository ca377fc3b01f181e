from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.errors import ManifestError
from swiftdeploy_tasks.manifest.edit import can_set_mode, set_mode, write_mode
from swiftdeploy_tasks.manifest.source import parse
from tests.manifest.strategies import CoreDumper, manifests

CASES = sorted((Path(__file__).parent / "set_mode_cases").iterdir())
STABLE = b"services:\n  image: shop:1\n  mode: stable  # here\n  port: 3000\n"
CANARY = STABLE.replace(b"stable", b"canary")
DAMAGED = (
    b"contact: &c a\nservices:  # c\n  env: {mode: b}\n  mode: 'stable'  # d\n  image: shop:1\nname: *c\n"
)
NOBODY = 65534

MODES = st.sampled_from(["stable", "canary"])
ENDINGS = st.sampled_from(["\n", "\r\n", "\r"])
COMMENTS = st.sampled_from(
    ["", "\n", "# mode: stable\n", "    # services: {mode: canary}\n", "\n# é 🚢 'mode: \"\n"]
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away or mount one")


def expected(case: Path) -> bytes | list[str]:
    refused = case / "error.txt"
    if refused.exists():
        return refused.read_text(encoding="utf-8").splitlines()
    return (case / "after.yaml").read_bytes()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_manifest_becomes_the_one_beside_it_or_is_refused_with_that_sentence(case: Path) -> None:
    before, mode = (case / "before.yaml").read_bytes(), (case / "mode.txt").read_text().strip()
    found: bytes | list[str]
    try:
        found = set_mode(before, mode)
    except ManifestError as error:
        found = [error.message, error.next]
    assert found == expected(case)


def dumped(data: dict[str, Any], *, flow: bool) -> str:
    """On as few lines as can be, so that only the keys of the file and of its mappings begin a line."""
    return str(yaml.dump(data, Dumper=CoreDumper, sort_keys=False, default_flow_style=flow, width=10**9))


def as_file(text: str, *, ending: str, marked: bool, ended: bool) -> bytes:
    text = text if ended else text.rstrip("\n")
    return text.replace("\n", ending).encode("utf-8-sig" if marked else "utf-8")


def with_mode(data: dict[str, Any], mode: str) -> dict[str, Any]:
    return {**data, "services": {**data["services"], "mode": mode}}


@settings(deadline=None)
@given(manifests(), MODES, MODES, st.sampled_from(["", "'", '"']), st.data())
def test_the_mode_alone_changes_whatever_stands_around_it_and_back_again(
    data: dict[str, Any], old: str, new: str, quote: str, drawn: st.DataObject
) -> None:
    text = dumped(with_mode(data, old), flow=False)
    text = re.sub(r"(?m)^(?= {0,2}[a-z_])", lambda _: drawn.draw(COMMENTS), text)
    before, around, after = re.split(r"(?m)^(  mode: )\w+$", text)
    style = {name: drawn.draw(st.booleans()) for name in ("marked", "ended")}
    ending = drawn.draw(ENDINGS)
    ours, theirs = (
        as_file(f"{before}{around}{quote}{mode}{quote}{after}", ending=ending, **style) for mode in (old, new)
    )
    assert set_mode(ours, new) == theirs
    assert set_mode(theirs, old) == ours


@settings(deadline=None)
@given(manifests(), MODES, st.booleans(), ENDINGS, st.booleans(), st.booleans())
def test_a_missing_mode_becomes_the_first_key_in_the_style_of_its_neighbours(
    data: dict[str, Any], mode: str, flow: bool, ending: str, marked: bool, ended: bool
) -> None:
    data["services"].pop("mode", None)
    first = {**data, "services": {"mode": mode, **data["services"]}}
    ours, theirs = (
        as_file(dumped(each, flow=flow), ending=ending, marked=marked, ended=ended) for each in (data, first)
    )
    assert set_mode(ours, mode) == theirs


def alike(left: bytes, right: bytes) -> int:
    """How many bytes both begin with."""
    pairs = zip(left, right, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


@settings(deadline=None, max_examples=500)
@given(
    st.integers(0, len(DAMAGED) - 1), st.text("&*!|>'\"{}?:- \n\rms", max_size=4), st.integers(0, 9), MODES
)
def test_a_damaged_manifest_is_refused_or_only_its_mode_changes(
    place: int, put: str, cut: int, mode: str
) -> None:
    text = DAMAGED[:place] + put.encode() + DAMAGED[place + cut :]
    try:
        changed = set_mode(text, mode)
    except ManifestError as error:
        assert error.message.isprintable()
        return
    before, after = parse(text).data, parse(changed).data
    assert before is not None
    assert after == with_mode(before, mode)
    kept = alike(text, changed)
    kept += alike(text[kept:][::-1], changed[kept:][::-1])
    assert len(text) - kept <= len("stable")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="set mode ") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def any_user_but_root() -> Iterator[None]:
    """Permission bits do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def manifest_in(folder: Path, text: bytes = STABLE, *, mode: int = 0o640) -> Path:
    path = folder / "manifest.yaml"
    path.write_bytes(text)
    path.chmod(mode)
    return path


def refusal(change: Callable[..., object], *arguments: Path | str) -> str:
    with pytest.raises(ManifestError) as raised:
        change(*arguments)
    assert raised.value.next
    return raised.value.message


def test_a_file_keeps_its_permissions_and_nothing_is_left_beside_it(folder: Path) -> None:
    path = manifest_in(folder, mode=0o640)
    can_set_mode(path)
    assert path.read_bytes() == STABLE
    write_mode(path, "canary")
    assert path.read_bytes() == CANARY
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(folder.iterdir()) == [path]


def test_a_file_that_has_the_mode_is_not_written(folder: Path) -> None:
    path = manifest_in(folder)
    before = path.stat()
    write_mode(path, "stable")
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_link_stays_a_link_and_what_it_points_at_changes(folder: Path) -> None:
    (folder / "kept").mkdir()
    real, link = manifest_in(folder / "kept"), folder / "manifest.yaml"
    link.symlink_to("kept/manifest.yaml")
    can_set_mode(link)
    write_mode(link, "canary")
    assert link.readlink() == Path("kept/manifest.yaml")
    assert real.read_bytes() == CANARY
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


@as_root
def test_a_file_keeps_its_owner_and_group(folder: Path) -> None:
    path = manifest_in(folder)
    os.chown(path, 12345, 23456)
    write_mode(path, "canary")
    now = path.stat()
    assert (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (12345, 23456, 0o640)


def test_a_mode_that_cannot_be_rewritten_is_refused_before_and_leaves_the_file(folder: Path) -> None:
    text = STABLE.replace(b"stable", b"&m stable")
    path = manifest_in(folder, text)
    assert 'services.mode is "&m stable"' in refusal(can_set_mode, path)
    assert 'services.mode is "&m stable"' in refusal(write_mode, path, "canary")
    assert path.read_bytes() == text


def test_a_link_to_nothing_is_refused(folder: Path) -> None:
    link = folder / "manifest.yaml"
    link.symlink_to("gone.yaml")
    assert refusal(can_set_mode, link) == f"{link} cannot be read: No such file or directory"
    assert not (folder / "gone.yaml").exists()


def test_a_read_only_file_is_refused(folder: Path) -> None:
    path = manifest_in(folder, mode=0o444)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
        os.chown(folder, NOBODY, NOBODY)
    with any_user_but_root():
        assert "read-only" in refusal(can_set_mode, path)
        assert "read-only" in refusal(write_mode, path, "canary")
    assert path.read_bytes() == STABLE


def test_a_file_in_a_read_only_folder_is_refused_through_a_link_from_elsewhere_too(folder: Path) -> None:
    (folder / "kept").mkdir()
    real, link = manifest_in(folder / "kept", mode=0o600), folder / "manifest.yaml"
    link.symlink_to(real)
    folder.chmod(0o777)
    real.parent.chmod(0o555)
    if os.geteuid() == 0:
        os.chown(real, NOBODY, NOBODY)
    with any_user_but_root():
        for path in (real, link):
            assert "Permission denied" in refusal(can_set_mode, path)
            assert "Permission denied" in refusal(write_mode, path, "canary")
    real.parent.chmod(0o755)
    assert real.read_bytes() == STABLE


@as_root
@pytest.mark.parametrize("owner", [(0, NOBODY), (NOBODY, 0)], ids=["user", "group"])
def test_a_file_whose_owner_could_not_be_kept_is_refused(folder: Path, owner: tuple[int, int]) -> None:
    path = manifest_in(folder, mode=0o666)
    folder.chmod(0o777)
    os.chown(path, *owner)
    with any_user_but_root():
        assert "owner" in refusal(can_set_mode, path)
        assert "owner" in refusal(write_mode, path, "canary")
    now = path.stat()
    assert (now.st_uid, now.st_gid, path.read_bytes()) == (*owner, STABLE)
    assert list(folder.iterdir()) == [path]


MOUNTED = {
    "the file is read-only": 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"',
    "the file is a mount of its own": (
        'mkdir "$1/m" && mount -t tmpfs tmpfs "$1/m" && cp "$1/manifest.yaml" "$1/m/f"'
        ' && mount --bind "$1/m/f" "$1/manifest.yaml"'
    ),
}
ASKING = """
import sys
from pathlib import Path
from swiftdeploy_tasks.errors import ManifestError
from swiftdeploy_tasks.manifest.edit import can_set_mode
try:
    can_set_mode(Path(sys.argv[1]))
except ManifestError as error:
    print(error.message)
"""


@as_root
@pytest.mark.parametrize("reason", MOUNTED)
def test_a_mount_that_cannot_be_replaced_is_refused_for_root_too(folder: Path, reason: str) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("this root may not mount")
    path = manifest_in(folder)
    script = f'{MOUNTED[reason]} && exec "$2" -c "$3" "$1/manifest.yaml"'
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(folder), sys.executable, ASKING],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert ended.stderr == ""
    assert reason in ended.stdout
    assert path.read_bytes() == STABLE
