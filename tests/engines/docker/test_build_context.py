"""What of a project is sent to the build of its image, and what of it makes the image stale."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.engines.docker import build_context
from swiftdeploy_tasks.engines.docker.build_context import BuildContext
from swiftdeploy_tasks.proxy import generated_files
from tests.proxy import accepted
from tests.proxy import root_files as rendered_files
from tests.proxy.test_rendered_root_files import BASE

PAGE = '<!doctype html>\n<meta name="generator" content="SwiftDeploy">\n'
REPORT = "# Audit report of shop\n\nA history. Made at 2026-11-24. All times are UTC.\n"
RECORD = '{"v":1,"seq":1,"prev":"0","hash":"1"}\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "app").mkdir(parents=True)
    put(
        root,
        {
            "Dockerfile": "FROM scratch\nCOPY . .\n",
            "app/main.py": "print(1)\n",
            "manifest.yaml": "name: shop\n",
        },
    )
    return root


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def read(root: Path, *, state: str = ".swiftdeploy", build: str = ".", **more: Any) -> BuildContext:
    services = {**BASE["services"], "build": build}
    manifest = accepted(BASE | {"services": services} | more)
    assert manifest.services.build
    return build_context.read(manifest, manifest.services.build, root=root, home=root / state)


def sent(context: BuildContext) -> set[str]:
    """The files that reach the engine."""
    with context.archive() as archive, tarfile.open(fileobj=archive) as tar:
        return {member.name for member in tar if not member.isdir()}


OWN = {"Dockerfile", "app/main.py"}


@pytest.mark.parametrize(
    "made",
    [
        {".swiftdeploy/applied.yaml": "a secret"},
        {"history.jsonl": RECORD},
        {"audit_report.md": REPORT},
        {"audit_report.html": PAGE},
        {"public/now.html": PAGE},
        {".manifest.yaml.swiftdeploy-new": "a secret"},
        {"heads": "{}", "heads.old": "{}"},
        rendered_files(accepted(BASE)),
        {f"deploy/{name}": text for name, text in rendered_files(accepted(BASE)).items()},
    ],
    ids=", ".join,
)
def test_what_we_make_is_neither_sent_nor_counted(root: Path, made: dict[str, str]) -> None:
    keys: dict[str, Any] = {"rendered": "deploy", "history": {"witness": "heads"}}
    before = read(root, **keys).digest()
    put(root, made)
    after = read(root, **keys)
    assert sent(after) == OWN
    assert after.digest() == before


def test_a_state_folder_elsewhere_in_the_project_is_not_sent(root: Path) -> None:
    put(root, {"var/state/history.jsonl": RECORD, "var/state/applied.yaml": "a secret", "var/own": "mine"})
    assert sent(read(root, state="var/state")) == OWN | {"var/own"}


@pytest.mark.parametrize(
    ("own", "state"),
    [
        ("nginx.conf", ".swiftdeploy"),
        ("docker-compose.yml", ".swiftdeploy"),
        ("audit_report.md", ".swiftdeploy"),
        ("audit_report.html", ".swiftdeploy"),
        ("history.jsonl", "var/state"),
        ("app/manifest.yaml", ".swiftdeploy"),
        ("app/history.jsonl", ".swiftdeploy"),
        ("app/nginx.conf", ".swiftdeploy"),
        ("app/shipped.pyc", ".swiftdeploy"),
    ],
)
def test_a_file_of_a_person_with_a_name_of_ours_is_sent_and_its_change_counts(
    root: Path, own: str, state: str
) -> None:
    put(root, {own: "mine\n"})
    before = read(root, state=state).digest()
    assert sent(read(root, state=state)) == OWN | {own}
    put(root, {own: "mine, changed\n"})
    assert read(root, state=state).digest() != before


def test_in_a_context_below_the_project_every_file_of_theirs_is_sent(root: Path) -> None:
    names = ("Dockerfile", "manifest.yaml", "nginx.conf", "history.jsonl", "audit_report.md")
    put(root, {f"app/{name}": "mine\n" for name in names})
    assert sent(read(root, build="app")) == {*names, "main.py"}


def test_a_rendered_file_that_was_edited_is_still_ours(root: Path) -> None:
    files = rendered_files(accepted(BASE))
    generated_files.write(generated_files.compare(root, files), aside=root / "aside")
    (root / "nginx.conf").write_text(files["nginx.conf"] + "# mine\n")
    assert sent(read(root)) == OWN


def test_a_dockerignore_holds_and_brings_nothing_of_ours(root: Path) -> None:
    put(
        root,
        {".dockerignore": "*.log\n!.swiftdeploy\n", "a.log": "x", ".swiftdeploy/applied.yaml": "a secret"},
    )
    assert sent(read(root)) == OWN | {".dockerignore"}


def test_a_commit_is_no_change_of_the_context(root: Path) -> None:
    put(root, {".git/HEAD": "ref: refs/heads/main\n", "lib/.git": "gitdir: ../.git/modules/lib\n"})
    before = read(root).digest()
    put(root, {".git/HEAD": "0" * 40, ".git/objects/1": "a commit", "lib/.git": "gitdir: elsewhere\n"})
    assert read(root).digest() == before
    put(root, {".gitignore": "*.log\n"})
    assert read(root).digest() != before


@pytest.mark.parametrize(
    "line", ["COPY .git .git", "RUN --mount=type=bind,source=.git,target=.git git describe"]
)
def test_a_commit_counts_where_the_dockerfile_names_the_repository(root: Path, line: str) -> None:
    put(root, {".git/HEAD": "ref: refs/heads/main\n", "Dockerfile": f"FROM scratch\n{line}\n"})
    before = read(root).digest()
    put(root, {".git/HEAD": "0" * 40})
    assert read(root).digest() != before


def test_the_digest_of_what_is_sent_is_that_of_the_folder(root: Path) -> None:
    put(root, {"run.sh": "exit 0\n", "äö/ü": "x", ".git/HEAD": "1", "__pycache__/a.pyc": "x"})
    (root / "run.sh").chmod(0o700)
    (root / "link").symlink_to("run.sh")
    (root / "hard").hardlink_to(root / "run.sh")
    context = read(root)
    with context.archive() as archive:
        assert build_context.digest_of(archive, context.build) == context.digest()


def test_what_is_gone_or_no_file_when_the_context_is_packed_is_left_out(root: Path) -> None:
    put(root, {"app/.main.py.swp": "an editor's\n"})
    os.mkfifo(root / "app" / "pipe")
    context = read(root)
    (root / "app" / ".main.py.swp").unlink()
    assert sent(context) == OWN
    assert context.digest() == read(root).digest()


def test_the_file_that_takes_the_output_of_a_run_is_in_no_build(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".swiftdeploy").mkdir()
    before, log = read(root).digest(), root / "deploy.log"
    log.write_text("validated\n")
    said: list[str] = []
    with monkeypatch.context() as held:
        held.setattr(build_context, "_outputs", lambda: iter([log]))
        context = read(root)
        assert (sent(context), context.digest()) == (OWN, before)
        build_context.leave_out_outputs(context.build, root=root, home=root / ".swiftdeploy", say=said.append)
    assert said == ["deploy.log takes the output of this run and is left out of the build"]
    assert read(root).digest() == before
