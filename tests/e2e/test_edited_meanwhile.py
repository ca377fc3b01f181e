"""manifest.yaml is saved by an editor, or damaged, while verbs work: what was asked about is what runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.chaos.trial import LAUNCH
from tests.e2e.project import Ended, Project, until

MEDDLING = Path(__file__).with_name("meddling.py")


def meddled(project: Project, boundary: str, text: str, *words: str) -> Ended:
    """Run a verb, and save `text` as manifest.yaml when it comes to the boundary."""
    saved = project.root.parent / "saved"  # outside the context that the image is built from
    saved.write_text(text)
    ended = project.start_as([sys.executable, str(MEDDLING), boundary, str(saved)], *words).end()
    assert not saved.exists(), f"the verb never came to {boundary}\n{ended.said}"
    return ended


def edited(project: Project, **changes: Any) -> str:
    """The manifest as it is on disk, with other values."""
    found = yaml.safe_load((project.root / "manifest.yaml").read_text())
    for path, value in changes.items():
        section, key = path.split("__")
        found[section][key] = value
    return yaml.safe_dump(found, sort_keys=False)


def on_disk(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((project.root / "manifest.yaml").read_text())
    return found


def test_an_edit_made_during_a_promote_stays_in_the_file_and_is_applied_by_neither_promote_nor_rollback(
    new_project: Callable[..., Project], engine: str
) -> None:
    project = new_project(engine, policy__canary={"window": 1})
    project.deploy()
    ended = meddled(project, "wait app-*", edited(project, nginx__private=[]), "promote").ok()
    assert "manifest.yaml was edited while promote ran" in ended.said
    assert (on_disk(project)["nginx"]["private"], on_disk(project)["services"]["mode"]) == ([], "canary")
    assert project.get("/metrics").status == 403
    assert project.run("plan", "--check").code == 9
    project.run("rollback").ok()
    assert project.get("/").json()["mode"] == "stable"
    assert project.get("/metrics").status == 403
    assert (on_disk(project)["nginx"]["private"], on_disk(project)["services"]["mode"]) == ([], "stable")


def test_a_typo_saved_during_a_promote_stops_no_rollback(
    new_project: Callable[..., Project], engine: str
) -> None:
    project = new_project(engine, policy__canary={"window": 1})
    project.deploy()
    ended = meddled(project, "wait app-*", "services: [", "promote")
    assert ended.code == 2, ended.said
    assert "services.mode could not be rewritten" in ended.said
    assert project.get("/").json()["mode"] == "canary"
    project.run("rollback").ok()
    assert project.get("/").json()["mode"] == "stable"
    assert (project.root / "manifest.yaml").read_text() == "services: ["


def test_a_kept_manifest_that_does_not_parse_stops_no_rollback(
    new_project: Callable[..., Project], engine: str
) -> None:
    project = new_project(engine)
    project.deploy()
    project.set(services__version="2.0.0")
    project.deploy()
    for path in (project.state / "applied.yaml", project.root / "manifest.yaml"):
        path.write_text("services: [")
    ended = project.run("rollback").ok()
    assert "applied.yaml, is not a valid manifest; releases/" in ended.said
    assert project.get("/").json()["version"] == "1.0.0"
    assert project.get("/metrics").status == 403


def test_a_deploy_that_waited_for_a_promote_reads_what_the_promote_wrote(
    new_project: Callable[..., Project], engine: str
) -> None:
    project = new_project(engine, policy__canary={"window": 1})
    project.deploy()
    promote = project.start("promote")
    until(lambda: "app-green" in project.running(), "the canary starts", seconds=60)
    project.run("deploy", "--wait", "90").ok()
    promote.end().ok()
    assert on_disk(project)["services"]["mode"] == "canary"
    assert project.get("/").json()["mode"] == "canary"


def test_an_edit_made_during_a_recovery_is_asked_about_before_it_is_deployed(
    new_project: Callable[..., Project], engine: str
) -> None:
    project = new_project(engine, policy__canary={"window": 1})
    project.deploy()
    struck = project.start_as([sys.executable, str(LAUNCH), "wait app-*"], "promote").end()
    assert struck.code == -signal.SIGKILL, struck.said
    before = len(project.history())
    text = edited(project, services__env={"EDITED": "yes"})
    meddled(project, "applied", text, "deploy").ok()
    (asked,) = [
        record["input"]["specs"]["app-blue"]["environment"]
        for record in project.history()[before:]
        if (record["task"], record["event"], record.get("domain")) == ("policy-check", "verdict", "isolation")
    ]
    assert asked.get("EDITED") == "yes"
    project.run("plan", "--check").ok()


def test_a_killed_verb_is_settled_before_manifest_yaml_is_read(
    new_project: Callable[..., Project], engine: str
) -> None:
    """It is settled under the manifest that was kept, so one that is not valid does not keep it waiting."""
    project = new_project(engine, policy__canary={"window": 1})
    project.deploy()
    struck = project.start_as([sys.executable, str(LAUNCH), "wait app-*"], "promote").end()
    assert struck.code == -signal.SIGKILL, struck.said
    assert "app-green" in project.running()
    text = (project.root / "manifest.yaml").read_text()
    (project.root / "manifest.yaml").write_text("services: [")
    assert project.run("deploy").code == 2
    assert "app-green" not in project.running()
    (project.root / "manifest.yaml").write_text(text)
    project.run("plan", "--check").ok()
