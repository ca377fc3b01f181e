"""The app gets its variables unchanged, and a secret is nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from tests.e2e import apps
from tests.e2e.project import Project, docker

SECRET = "tr0ub4dor-and-3-horses"
PLAIN = "a$b ${HOME} $$c 'q' \"d\" #x: {y}"


def _environment(project: Project) -> dict[str, str]:
    """What the process of the app was started with."""
    part = next(part for part in project.running() if part.startswith("app-"))
    if project.engine == "local":
        return dict(psutil.Process(project.processes()[part]).environ())
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    found: dict[str, str] = json.loads(docker("exec", f"{project.name}-{part}", "python3", "-c", code))
    return found


def _files_that_hold(folder: Path, text: str) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


@pytest.fixture
def told(project: Project) -> Project:
    project.set(services__env={"PLAIN": PLAIN, "TOKEN": {"from_env": "E2E_TOKEN"}})
    return project


def test_values_reach_the_app_and_the_secret_no_file_and_no_line(told: Project) -> None:
    ended = told.deploy(E2E_TOKEN=SECRET, E2E_PRIVATE="of the caller")
    got = _environment(told)
    assert not {"E2E_TOKEN", "E2E_PRIVATE"} & set(got)
    assert (got["TOKEN"], got["PLAIN"]) == (SECRET, PLAIN)
    assert (got["MODE"], got["APP_VERSION"]) == ("stable", "1.0.0")
    more = [told.run(verb, "--json", E2E_TOKEN=SECRET) for verb in ("status", "plan")]
    assert SECRET not in "".join(one.said for one in [ended, *more])
    assert _files_that_hold(told.root, SECRET) == []
    if told.engine == "docker":
        part = told.inspect("app-blue")
        assert SECRET not in json.dumps(part["Config"]["Labels"]) + json.dumps(part["Args"])
        assert SECRET not in docker("history", "--no-trunc", part["Image"])
    assert told.run("deploy", E2E_TOKEN=SECRET).ok().out.count("nothing to do") == 1

    again = told.run("deploy")
    assert again.code == 2, again.said
    assert "E2E_TOKEN" in again.said
    assert _environment(told)["TOKEN"] == SECRET

    told.deploy(E2E_TOKEN=SECRET + "-2")
    assert _environment(told)["TOKEN"] == SECRET + "-2"
    assert _files_that_hold(told.root, SECRET) == []


def test_a_secret_that_is_not_set_stops_everything_before_it_moves(told: Project) -> None:
    ended = told.run("deploy")
    assert ended.code == 2, ended.said
    assert "E2E_TOKEN" in ended.err
    assert told.left() == []


def test_a_secret_that_the_app_prints_when_it_dies_is_kept_and_shown_masked(told: Project) -> None:
    told.use_app(apps.TELLS_ITS_SECRET)
    told.set(services__restart_policy="no")
    ended = told.run("deploy", "--json", E2E_TOKEN='pass"word-of-many-signs')
    assert ended.code == 6, ended.said
    end = told.history()[-1]
    assert end["log"] == ["cannot log in with [secret]", '{"token": "[secret]"}']
    assert "cannot log in with [secret]" in ended.err
    assert "word-of-many-signs" not in ended.said + (told.root / "history.jsonl").read_text()


KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nxyz\n-----END KEY-----\n"


def test_a_secret_of_several_lines_is_masked_in_the_log_of_an_app_that_dies(told: Project) -> None:
    told.use_app(apps.TELLS_ITS_SECRET)
    told.set(services__restart_policy="no")
    ended = told.run("deploy", "--json", E2E_TOKEN=KEY)
    assert ended.code == 6, ended.said
    written = ended.said + (told.root / "history.jsonl").read_text()
    assert told.history()[-1]["log"] == ["cannot log in with [secret]", '{"token": "[secret]"}']
    assert not [line for line in KEY.split() if line in written]


def test_a_short_secret_is_refused_before_anything_moves_unless_it_is_said_to_be_short(told: Project) -> None:
    ended = told.run("deploy", E2E_TOKEN="12345")
    assert ended.code == 2, ended.said
    assert "E2E_TOKEN, which has fewer than 6 characters and cannot be masked" in ended.err
    assert "services.env.TOKEN: {from_env: E2E_TOKEN, short: true}" in ended.err
    assert "12345" not in ended.said
    assert told.left() == []
    told.set(services__env={"TOKEN": {"from_env": "E2E_TOKEN", "short": True}})
    told.deploy(E2E_TOKEN="12345")
    assert _environment(told)["TOKEN"] == "12345"
    told.set(services__env={"TOKEN": {"from_env": "E2E_TOKEN"}})
    told.run("promote").ok()
    assert _environment(told)["TOKEN"] == "12345"
    told.run("promote", E2E_TOKEN="12345").ok()
    assert _environment(told)["TOKEN"] == "12345"
    told.run("rollback").ok()


def test_a_variable_that_compose_itself_reads_can_be_the_source_of_a_secret(project: Project) -> None:
    project.set(services__env={"TOKEN": {"from_env": "COMPOSE_PROJECT_NAME"}})
    project.environment["COMPOSE_PROJECT_NAME"] = SECRET
    project.deploy()
    assert _environment(project)["TOKEN"] == SECRET
    project.run("plan", "--check").ok()
