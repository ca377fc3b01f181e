"""Bundles: what is in them, how they reach a folder, and how a watching server takes them up."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import Bundle, keep, package_statement, publish, read_bundle, worker
from swiftdeploy_tasks.gate.embedded import CHECK_SECONDS, EVERY, ask_embedded, load
from swiftdeploy_tasks.gate.opa_server import ask_server
from swiftdeploy_tasks.proxy.probe import until
from tests.gate import case_files
from tests.gate.conftest import POLICIES, Ask, WatchingServer
from tests.lab import require


def test_tests_of_the_policies_are_no_part_of_it(bundle: Bundle) -> None:
    assert [name for name, _ in bundle.modules] == [
        "canary.rego",
        "canary_evidence.rego",
        "infrastructure.rego",
        "isolation.rego",
    ]
    assert bundle.domains == ("canary", "infrastructure", "isolation")


def _own(folder: Path) -> Path:
    """A copy of the shipped policies."""
    for path in POLICIES.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


FREEZE = """package swiftdeploy.infrastructure

decision := {"allow": false, "checks": [freeze]}

freeze := {"rule": "freeze", "passed": false, "observed": null, "limit": null, "message": "no deploys today"}
"""


def test_a_policy_in_a_sub_folder_is_part_of_it(tmp_path: Path, ask: Ask) -> None:
    folder = _own(tmp_path)
    (folder / "infrastructure.rego").unlink()
    (folder / "team").mkdir()
    (folder / "team" / "freeze.rego").write_text(FREEZE)
    verdict = ask(case_files.question("host_sound"), read_bundle(folder, {}))
    assert [check.rule for check in verdict.failed] == ["freeze"]


def test_a_policy_in_a_sub_folder_that_contradicts_another_is_no_verdict(tmp_path: Path, ask: Ask) -> None:
    folder = _own(tmp_path)
    (folder / "team").mkdir()
    (folder / "team" / "freeze.rego").write_text(FREEZE)
    with pytest.raises(GateUnavailable, match=r"contradicts itself|eval_conflict_error"):
        ask(case_files.question("host_sound"), read_bundle(folder, {}))


def test_data_in_a_sub_folder_lies_under_the_path_of_the_folder(tmp_path: Path, ask: Ask) -> None:
    folder = _own(tmp_path)
    (folder / "team" / "days").mkdir(parents=True)
    (folder / "team" / "days" / "data.json").write_text('{"frozen": true}')
    policy = FREEZE.replace("decision := ", "decision := x if {\n\tdata.team.days.frozen == true\n\tx := ")
    (folder / "infrastructure.rego").write_text(policy.replace("[freeze]}", "[freeze]}\n}"))
    verdict = ask(case_files.question("host_sound"), read_bundle(folder, {}))
    assert [check.rule for check in verdict.failed] == ["freeze"]


def test_data_that_would_not_be_read_is_refused(tmp_path: Path) -> None:
    folder = _own(tmp_path)
    (folder / "limits").mkdir()
    (folder / "limits" / "data.json").write_text('{"canary": {"window": 1}}')
    with pytest.raises(GateUnavailable, match=r"limits/data\.json .* gives data\.limits\.canary\.window"):
        read_bundle(folder, {})
    (folder / "limits" / "data.json").unlink()
    (folder / "limits" / "data.yaml").write_text("a: 1")
    with pytest.raises(GateUnavailable, match=r"limits/data\.yaml in .* is not read"):
        read_bundle(folder, {})
    (folder / "limits" / "data.yaml").unlink()
    (folder / "team").symlink_to(POLICIES)
    with pytest.raises(GateUnavailable, match=r"team in .* is a link to a folder"):
        read_bundle(folder, {})


def test_a_bundle_with_sub_folders_is_published_whole_and_reads_back(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    folder = _own(tmp_path / "own")
    (folder / "team" / "deep").mkdir(parents=True)
    (folder / "team" / "deep" / "lib.rego").write_text("package lib\n")
    bundle = read_bundle(folder, {})
    published = tmp_path / "bundle"
    (published / "team" / "old").mkdir(parents=True)
    (published / "team" / "old" / "old.rego").write_text("package old\n")
    publish(bundle, published)
    assert {path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file()} == set(
        bundle.files()
    )
    assert (published / "team" / "deep").stat().st_mode & 0o777 == 0o755
    assert not (published / "team" / "old").exists()
    assert read_bundle(published, {}) == bundle


# The spellings of a package statement that OPA takes: the path that each gives.
SPELLINGS = {
    "package swiftdeploy.trial # ours": ("swiftdeploy", "trial"),
    "\ufeffpackage swiftdeploy.trial": ("swiftdeploy", "trial"),
    "package\n  swiftdeploy.trial": ("swiftdeploy", "trial"),
    "# first\n\n  package # second\n\tswiftdeploy.trial": ("swiftdeploy", "trial"),
    'package swiftdeploy["trial"]': ("swiftdeploy", "trial"),
    "package swiftdeploy[`trial`]": ("swiftdeploy", "trial"),
    'package swiftdeploy[\n"trial" # here\n]': ("swiftdeploy", "trial"),
    'package swiftdeploy["tri\\u0061l"]': ("swiftdeploy", "trial"),
    "package swiftdeploy.trial\r\n": ("swiftdeploy", "trial"),
    "package swiftdeploy.if.in": ("swiftdeploy", "if", "in"),
    'package swiftdeploy["tri al"]': ("swiftdeploy", "tri al"),
    "package swiftdeploy.trial decision := 1 #": ("swiftdeploy", "trial"),
}
MISSPELLINGS = [
    "",
    "decision := 1",
    "packages.trial",
    "package swiftdeploy . trial",
    "package swiftdeploy.\ntrial",
    'package swiftdeploy ["trial"]',
    'package ["swiftdeploy"].trial',
    "package swiftdeploy[trial]",
    "package swiftdeploy.trial; decision := 1",
]


def _packages(folder: Path, text: str) -> list[str]:
    """What packages OPA finds in a file."""
    (folder / "x.rego").write_text(f"{text}\nx := 1\n", newline="")
    words = [require("opa"), "inspect", "--format", "json", str(folder)]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60)
    return list(json.loads(said.stdout)["namespaces"]) if said.returncode == 0 else []


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_of_a_package_that_opa_takes_is_read_and_compiles(text: str, tmp_path: Path) -> None:
    found = package_statement.read(f"{text}\nx := 1\n")
    assert found.package == SPELLINGS[text]
    assert _packages(tmp_path, text)[-1:] == _packages(tmp_path, found.text.partition("x := 1")[0])[-1:]
    assert _packages(tmp_path, text)
    bundle = Bundle((("x.rego", f"{text}\nx := 1\n"),), '{"limits": {}}', "0")
    # In a child, as always: the native engine may damage the memory of the process that loads it.
    assert isinstance(worker.decide(load, bundle, EVERY, "{}", seconds=CHECK_SECONDS), dict)


@pytest.mark.parametrize("text", MISSPELLINGS)
def test_a_package_statement_that_opa_refuses_is_refused(text: str, tmp_path: Path) -> None:
    assert _packages(tmp_path, text) == []
    with pytest.raises(ValueError, match="package statement"):
        package_statement.read(f"{text}\nx := 1\n")


def test_a_comment_behind_the_package_hides_no_domain(tmp_path: Path, ask: Ask) -> None:
    folder = _own(tmp_path)
    text = (folder / "infrastructure.rego").read_text()
    (folder / "infrastructure.rego").write_text(
        text.replace("package swiftdeploy.infrastructure", "package swiftdeploy.infrastructure # the host")
    )
    bundle = read_bundle(folder, {})
    assert bundle.domains == ("canary", "infrastructure", "isolation")
    assert ask(case_files.question("host_sound"), bundle).allow


def test_revision_follows_the_content(bundle: Bundle) -> None:
    again = read_bundle(POLICIES, {"infrastructure": {"min_disk_free_gb": 10}})
    other = read_bundle(POLICIES, {"infrastructure": {"min_disk_free_gb": 11}})
    assert again == bundle
    assert other.revision != bundle.revision
    assert len(bundle.revision) == 16
    assert int(bundle.revision, 16) >= 0


def test_override_replaces_its_limit_only(bundle: Bundle) -> None:
    other = read_bundle(POLICIES, {"infrastructure": {"min_disk_free_gb": 11}})
    assert other.limits("infrastructure") == bundle.limits("infrastructure") | {"min_disk_free_gb": 11}
    assert other.limits("isolation") == bundle.limits("isolation")
    assert other.limits("unknown") == {}


def test_override_decides(ask: Ask) -> None:
    question = case_files.question("host_sound")
    for limit, allowed in ((12.3, True), (12.31, False)):
        verdict = ask(question, read_bundle(POLICIES, {"infrastructure": {"min_disk_free_gb": limit}}))
        assert verdict.allow is allowed
        assert {check.rule: check.limit for check in verdict.checks}["min_disk_free_gb"] == limit


def test_tiny_limit_is_read_by_both_answerers(ask: Ask) -> None:
    bundle = read_bundle(POLICIES, {"infrastructure": {"max_load_per_core": 1e-7}})
    (check,) = ask(case_files.question("host_sound"), bundle).failed
    assert (check.rule, check.limit) == ("max_load_per_core", 1e-7)


def test_published_folder_is_a_bundle_for_any_user(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "a bundle"
    before = os.umask(0o077)
    try:
        publish(bundle, folder)
    finally:
        os.umask(before)
    assert {path.name for path in folder.iterdir()} == {
        ".manifest",
        "canary.rego",
        "canary_evidence.rego",
        "data.json",
        "infrastructure.rego",
        "isolation.rego",
    }
    assert json.loads((folder / ".manifest").read_text()) == {"revision": bundle.revision}
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


def test_publishing_keeps_the_folder_and_drops_what_is_no_longer_part(bundle: Bundle, tmp_path: Path) -> None:
    publish(bundle, tmp_path)
    inode = tmp_path.stat().st_ino
    (tmp_path / "old.rego").write_text("package swiftdeploy.old\n")
    (tmp_path / ".data.json.new").write_text("left by a killed run")
    publish(bundle, tmp_path)
    assert tmp_path.stat().st_ino == inode
    assert {path.name for path in tmp_path.iterdir()} == set(bundle.files())


def test_publishing_again_writes_only_what_is_not_as_it_should_be(bundle: Bundle, tmp_path: Path) -> None:
    publish(bundle, tmp_path)
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    (tmp_path / "canary.rego").chmod(0o600)
    (tmp_path / "data.json").write_text("{}")
    link = tmp_path / "isolation.rego"
    (tmp_path.parent / "elsewhere").write_bytes(link.read_bytes())
    link.unlink()
    link.symlink_to(tmp_path.parent / "elsewhere")
    publish(bundle, tmp_path)
    after = {path.name: path.lstat().st_ino for path in tmp_path.iterdir()}
    written = {"canary.rego", "data.json", "isolation.rego"}
    assert {name for name in after if after[name] != before[name]} == written
    assert {name: (tmp_path / name).read_bytes() for name in after} == bundle.files()


def test_manifest_comes_last(bundle: Bundle, tmp_path: Path) -> None:
    publish(bundle, tmp_path)
    (tmp_path / "old.rego").write_text("package swiftdeploy.old\n")
    changed = read_bundle(POLICIES, {"infrastructure": {"min_disk_free_gb": 77}})
    publish(changed, tmp_path)
    changes = {path.name: path.stat().st_ctime_ns for path in tmp_path.iterdir()}
    assert max(changes, key=lambda name: changes[name]) == ".manifest"
    assert (
        json.loads((tmp_path / "data.json").read_text())["limits"]["infrastructure"]["min_disk_free_gb"] == 77
    )


def test_kept_bundle_is_found_by_its_revision_and_reads_back(bundle: Bundle, tmp_path: Path) -> None:
    keep(bundle, tmp_path)
    keep(bundle, tmp_path)
    assert read_bundle(tmp_path / bundle.revision, {}) == bundle


def test_watching_server_never_answers_with_mixed_rules(opa: WatchingServer, bundle: Bundle) -> None:
    """While bundles follow each other, every answer under a revision has that revision's limit."""
    question = case_files.question("host_sound")
    bundles = [
        read_bundle(POLICIES, {"infrastructure": {"min_disk_free_gb": 1 + step}}) for step in range(20)
    ]
    last = bundles[-1]
    over = threading.Event()
    limits: list[float] = []

    def watch() -> None:
        while not over.is_set():
            try:
                verdict = ask_server(question, url=opa.url, revision=last.revision, rules=None)
            except GateUnavailable:
                continue
            limits.extend(check.limit for check in verdict.checks if check.rule == "min_disk_free_gb")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for each in bundles:
            opa.serve(each)
        opa.ask(question, last)
        assert until(lambda: bool(limits), seconds=10)
    finally:
        over.set()
        watcher.join()
    assert set(limits) == {last.limits("infrastructure")["min_disk_free_gb"]}
    assert opa.ask(question, bundle).revision == bundle.revision


def test_embedded_engine_forgets_the_last_question(bundle: Bundle) -> None:
    sound, missing = case_files.question("host_sound"), case_files.question("host_missing")
    assert [ask_embedded(each, bundle).allow for each in (sound, missing, sound)] == [True, False, True]
