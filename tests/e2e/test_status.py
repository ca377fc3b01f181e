"""status on both engines: what it shows, what it records, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.e2e.project import Project, docker, pause, until
from tests.e2e.terminal import Terminal

Make = Callable[..., Project]
LIMIT = "policy__infrastructure__min_disk_free_gb"


def told(project: Project, *, code: int = 0, **environment: str) -> dict[str, Any]:
    ended = project.run("status", "--json", "--exit-code", folder=None, **environment)
    assert ended.code == code, ended.said
    return ended.document()


def records(project: Project, event: str) -> list[dict[str, Any]]:
    return [record for record in project.history() if record["event"] == event]


@contextmanager
def frozen(project: Project, part: str) -> Iterator[None]:
    """A part that runs and does not answer."""
    if project.engine == "docker":
        pause(f"{project.name}-{part}")
    else:
        psutil.Process(project.processes()[part]).suspend()
    try:
        yield
    finally:
        if project.engine == "docker":
            docker("unpause", f"{project.name}-{part}")
        else:
            psutil.Process(project.processes()[part]).resume()


def test_nothing_deployed_is_said_and_is_no_problem(project: Project) -> None:
    assert told(project)["slots"] == {"blue": None, "green": None}
    assert "nothing is deployed" in project.run("status").ok().said


def test_a_look_shows_what_was_asked_since_the_last_one_and_records_it(deployed: Project) -> None:
    told(deployed)
    for _ in range(7):
        assert deployed.get("/").status == 200
    document = told(deployed)
    window = document["slots"]["blue"]["window"]
    assert window["requests"] >= 7 and window["error_rate"] == 0
    assert 0 < window["p50_ms"] <= window["p95_ms"] <= window["p99_ms"]
    last = records(deployed, "scrape")[-1]
    assert last["outcome"] == "done"
    assert last["slots"]["blue"]["window"] == window
    assert last["slots"]["blue"]["counters"]["ok"] >= 7
    assert last["slots"]["green"] is None


def test_every_rule_of_every_domain_is_judged(deployed: Project) -> None:
    compliance = {verdict["domain"]: verdict for verdict in told(deployed)["compliance"]}
    assert set(compliance) == {"infrastructure", "isolation", "canary"}
    assert all(verdict["allow"] is True for verdict in compliance.values())
    assert {check["rule"] for check in compliance["canary"]["checks"]} >= {"max_error_rate", "max_p99_ms"}


def test_in_a_pipe_it_is_plain_text_in_one_go(deployed: Project) -> None:
    ended = deployed.run("status").ok()
    assert "\x1b" not in ended.out
    for words in ("1.0.0 stable", "healthy", "min_disk_free_gb", "non_root", "max_p99_ms", "drift"):
        assert words in ended.out, ended.out
    assert f"http://127.0.0.1:{deployed.port}/" in ended.out


def test_once_on_a_terminal_it_is_plain_text_too(deployed: Project) -> None:
    shown = Terminal(deployed.root, "status", "--once")
    assert shown.process.wait(timeout=20) == 0
    until(lambda: "isolation" in shown.drawn, "it was shown")
    shown.close()
    assert "healthy" in shown.drawn
    assert "\x1b" not in shown.drawn


def test_drift_is_named_and_recorded_and_so_is_its_end(deployed: Project) -> None:
    path = deployed.root / "nginx.conf"
    whole = path.read_text()
    path.write_text(whole + "# mine\n")
    document = told(deployed, code=9)
    path.write_text(whole)
    assert [(one["target"], one["reason"]) for one in document["drift"]] == [("nginx.conf", "edited by hand")]
    assert records(deployed, "drift")[-1]["outcome"] == "found"
    assert told(deployed)["drift"] == []
    last = records(deployed, "drift")[-1]
    assert (last["outcome"], last["target"]) == ("gone", "nginx.conf")


def test_what_has_not_changed_is_not_recorded_again(deployed: Project) -> None:
    path = deployed.root / "nginx.conf"
    whole = path.read_text()
    path.write_text(whole + "# mine\n")
    told(deployed, code=9)
    before = len(records(deployed, "drift"))
    for _ in range(2):
        told(deployed, code=9)
        assert not {"verdicts", "drift"} & records(deployed, "scrape")[-1].keys()
    assert len(records(deployed, "drift")) == before
    path.write_text(whole)
    told(deployed)
    assert records(deployed, "scrape")[-1]["drift"] == []


def test_the_url_is_that_of_what_runs(deployed: Project) -> None:
    port = deployed.port
    deployed.set(nginx__port=1024)
    assert told(deployed, code=9)["url"] == f"http://127.0.0.1:{port}/"
    deployed.set(nginx__port=port)


def test_a_page_takes_no_other_files_place(new_project: Make) -> None:
    project = new_project("local")
    before = (project.root / "manifest.yaml").read_bytes()
    for name in ("history.jsonl", "manifest.yaml", "/dev/full", "app", "there.html"):
        (project.root / "there.html").mkdir(exist_ok=True)
        ended = project.run("status", "--html", name)
        assert ended.code == 1 and "--html" in ended.err and name in ended.err
    assert (project.root / "manifest.yaml").read_bytes() == before
    assert records(project, "started")


def test_a_rule_that_fails_comes_before_drift(deployed: Project) -> None:
    was = deployed.manifest["policy"]["infrastructure"]["min_disk_free_gb"]
    path = deployed.root / "nginx.conf"
    whole = path.read_text()
    path.write_text(whole + "# mine\n")
    if deployed.engine == "local":
        deployed.set(**{LIMIT: 10**9})
        failed = told(deployed, code=3)["compliance"]
        rules = {c["rule"] for verdict in failed for c in verdict["checks"] if not c["passed"]}
        assert rules == {"min_disk_free_gb"}
    else:
        # The server goes on with the limits that were published: nobody vouches for the new ones.
        deployed.set(**{LIMIT: 10**9})
        assert {verdict["allow"] for verdict in told(deployed, code=4)["compliance"]} == {None}
    deployed.set(**{LIMIT: was})
    path.write_text(whole)


def test_a_slot_that_does_not_answer_comes_before_all(deployed: Project) -> None:
    with frozen(deployed, "app-blue"):
        document = told(deployed, code=6)
    assert document["slots"]["blue"]["healthy"] is False
    assert document["slots"]["blue"]["window"] is None
    assert told(deployed)["slots"]["blue"]["healthy"] is True


def test_a_slot_that_is_gone_is_exit_6(deployed: Project) -> None:
    deployed.stop("app-blue")
    document = told(deployed, code=6)
    assert document["drift"]
    deployed.deploy()


def test_an_opa_that_is_down_is_a_gate_that_cannot_be_asked(new_project: Make) -> None:
    project = new_project("docker")
    project.deploy()
    project.stop("opa")
    document = told(project, code=4)
    assert {verdict["allow"] for verdict in document["compliance"]} == {None}
    assert document["slots"]["blue"]["healthy"] is True
    assert "unknown" in project.run("status").ok().out
    assert "opa" in project.run("status").ok().out
    project.stop("nginx")
    assert "no release serves" in project.run("status").ok().out
    assert project.run("status", "--exit-code").code == 6


def test_a_manifest_that_cannot_be_used_is_said_beside_what_runs(deployed: Project) -> None:
    path = deployed.root / "manifest.yaml"
    whole = path.read_text()
    path.write_text("services: [\n")
    ended = deployed.run("status")
    path.write_text(whole)
    assert ended.code == 2
    assert "healthy" in ended.out and "manifest.yaml cannot be used" in ended.out


def test_chaos_is_seen_once_and_its_end_too(new_project: Make) -> None:
    project = new_project("local", services__mode="canary")
    project.deploy()
    faults: list[tuple[dict[str, Any], str]] = [
        ({"mode": "slow", "duration": 0.01}, "slow"),
        ({"mode": "recover"}, "none"),
    ]
    for fault, shown in faults:
        project.operator("/slots/blue/chaos", method="POST", body=json.dumps(fault).encode())
        for _ in range(2):
            assert told(project)["slots"]["blue"]["chaos"] == shown
    seen = [(r["outcome"], r["kind"], r["slot"]) for r in records(project, "chaos")]
    assert seen == [("seen", "slow", "blue"), ("gone", "slow", "blue")]


def test_on_a_terminal_it_goes_on_until_ctrl_c_whatever_goes_down(new_project: Make) -> None:
    project = new_project("local")
    project.deploy()
    shown = Terminal(project.root, "status", "--interval", "1")
    try:
        shown.shows("Ctrl-C ends it")
        shown.shows("healthy")
        project.kill("app-blue")
        shown.shows("GONE")
        project.stop("nginx")
        shown.shows("no release serves")
        shown.shows("not running")
        (project.root / "manifest.yaml").write_text("services: [\n")
        shown.shows("manifest.yaml cannot be used")
        project.write()
        project.deploy()
        shown.shows("healthy")
    finally:
        code = shown.end()
    assert code == 0
    finished = [r for r in records(project, "finished") if r["task"] == "status"]
    assert finished[-1]["outcome"] == "done"
    assert len([r for r in records(project, "scrape") if r["task"] == "status"]) >= 5


def test_a_terminal_that_is_closed_ends_it(new_project: Make) -> None:
    project = new_project("local")
    shown = Terminal(project.root, "status", "--interval", "1")
    shown.shows("nothing is deployed")
    shown.close()
    assert shown.process.wait(timeout=20) == 0
    assert records(project, "finished")[-1]["outcome"] == "done"


@pytest.mark.parametrize("interval", ["0", "-1", "soon"])
def test_an_interval_below_a_second_is_refused(new_project: Make, interval: str) -> None:
    ended = new_project("local").run("status", "--interval", interval)
    assert ended.code == 1
    assert "--interval" in ended.err and interval in ended.err
