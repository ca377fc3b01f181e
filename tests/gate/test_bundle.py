"""Bundles: what is in them, how they reach a folder, and how a watching server takes them up."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import Bundle, ask_embedded, ask_server, keep, publish, read_bundle
from swiftdeploy_tasks.probe import until
from tests.gate import case_files
from tests.gate.conftest import POLICIES, Ask, WatchingServer


def test_tests_of_the_policies_are_no_part_of_it(bundle: Bundle) -> None:
    assert [name for name, _ in bundle.modules] == ["canary.rego", "infrastructure.rego", "isolation.rego"]
    assert bundle.domains == ("canary", "infrastructure", "isolation")


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
