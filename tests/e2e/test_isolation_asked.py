"""Isolation is asked about the files that are going to be applied, whatever a template makes of them."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.project import SOURCE, Project

USER = "    user: {{ spec.user|yaml }}\n"
LISTEN = "listen {{ site.bind }}{{ nginx.port }} default_server backlog={{ size.backlog }};"
EVERYWHERE = "listen {{ nginx.port }} default_server;"


def use_template(project: Project, name: str, own: str, other: str) -> None:
    """Give the project a template of its own, with `other` where ours says `own`."""
    text = (SOURCE / "templates" / name).read_text()
    assert own in text
    (project.root / "templates").mkdir(exist_ok=True)
    (project.root / "templates" / name).write_text(text.replace(own, other))


def domains(project: Project) -> list[tuple[str, str, str]]:
    """Which task asked what, and what was answered."""
    return [
        (record["task"], record["domain"], record["outcome"])
        for record in project.history()
        if record["event"] == "verdict"
    ]


def test_a_canary_that_a_template_makes_root_is_refused_by_promote(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("docker", policy__canary={"window": 1})
    canary = 'spec.release and spec.release.mode == "canary"'
    root = f'    user: "{{{{ "0:0" if {canary} else spec.user }}}}"\n'
    use_template(project, "docker-compose.yml.j2", USER, root)
    project.deploy()
    before = project.running()
    ended = project.run("promote", "--json")
    assert ended.code == 3, ended.said
    verdict = ended.document()["verdicts"][-1]
    assert verdict["domain"] == "isolation"
    assert [check["rule"] for check in verdict["checks"] if not check["passed"]] == ["non_root"]
    assert project.running() == before
    assert project.get("/").json()["mode"] == "stable"


def test_a_canary_that_a_template_opens_to_the_network_is_refused_by_promote(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", policy__canary={"window": 1})
    opened = f'{{% if manifest.services.mode == "canary" %}}{EVERYWHERE}{{% else %}}{LISTEN}{{% endif %}}'
    use_template(project, "nginx.conf.j2", LISTEN, opened + "\n")
    project.deploy()
    ended = project.run("promote", "--json")
    assert ended.code == 3, ended.said
    failed = [check["rule"] for check in ended.document()["verdicts"][-1]["checks"] if not check["passed"]]
    assert failed == ["local_bind"]
    assert project.get("/").json()["mode"] == "stable"


def test_isolation_is_asked_about_the_applied_file_of_a_template_that_shows_it_another_one(
    new_project: Callable[..., Project],
) -> None:
    """policy-check sees the name of an image that is not built yet, and deploy its id."""
    project = new_project("docker")
    use_template(
        project,
        "docker-compose.yml.j2",
        USER,
        '    user: "{{ "0:0" if spec.release and spec.image.startswith("sha256:") else spec.user }}"\n',
    )
    ended = project.run("deploy", "--json")
    assert ended.code == 3, ended.said
    assert ended.document()["task"] == "deploy"
    assert "non_root" in ended.document()["error"]["message"]
    assert project.left() == []


def test_a_file_that_differs_from_what_was_asked_is_not_written(new_project: Callable[..., Project]) -> None:
    """What is asked about names no port of a process that has yet to start: a template can notice that."""
    project = new_project("local")
    noticing = '{% if "PORT" not in addresses.get("blue", "PORT") %}'
    use_template(
        project, "nginx.conf.j2", LISTEN, f"{noticing}{EVERYWHERE}{{% else %}}{LISTEN}{{% endif %}}\n"
    )
    ended = project.run("deploy")
    assert ended.code == 3, ended.said
    assert "nginx's listen" in ended.err
    assert project.left() == []


def test_what_upstream_conf_listens_on_is_asked_about_too(new_project: Callable[..., Project]) -> None:
    project = new_project("local")
    use_template(
        project,
        "upstream.conf.j2",
        'map "" $sd_serving {',
        'server { listen 0.0.0.0:{{ nginx.port + 1 }}; }\n\nmap "" $sd_serving {',
    )
    ended = project.run("policy-check", "--json")
    assert ended.code == 3, ended.said
    assert "local_bind" in ended.document()["error"]["message"]


def test_every_verb_that_writes_asks_isolation_and_a_rollback_goes_on_when_it_refuses(
    new_project: Callable[..., Project],
) -> None:
    project = new_project("local", policy__canary={"window": 1})
    project.deploy()
    project.run("promote").ok()
    hosts = "server_name 127.0.0.1 localhost"
    use_template(project, "nginx.conf.j2", hosts, f"{hosts} ops.example.org")
    ended = project.run("rollback", "--json").ok()
    assert [(v["domain"], v["allow"]) for v in ended.document()["verdicts"]] == [
        ("canary", True),
        ("isolation", False),
    ]
    assert "the rollback continues" in ended.err
    asked = [(task, outcome) for task, domain, outcome in domains(project) if domain == "isolation"]
    assert asked == [
        ("policy-check", "allowed"),
        ("deploy", "allowed"),
        ("promote", "allowed"),
        ("rollback", "refused"),
    ]
