"""A project's template can fill in text, and nothing else."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.proxy import configuration, templates
from tests.proxy import FOLDERS, accepted, root_files

NGINX = {"services": {"image": "shop:1", "port": 3000}, "nginx": {"image": "nginx", "port": 8080}}
SHELL = "cycler.__init__.__globals__.os.popen('touch FILE').read()"
ESCAPES = [
    SHELL,
    "lipsum.__globals__['os'].popen('touch FILE').read()",
    "''.__class__.__mro__[1].__subclasses__()",
    "''|attr('__class__')|attr('__mro__')",
    "[traffic]|map(attribute='__class__')|first",
    "'{0.__class__}'.format(traffic)",
    "traffic.of.__func__.__globals__",
    "self._TemplateReference__context",
    "body.func('x')",
    "body.keywords",
    "place.read_text()",
    "place.parent",
    "made.append(1)",
]


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("options", [{}, {"autoescape": True}], ids=["text", "HTML"])
def test_a_template_that_reaches_beyond_its_values_is_refused_by_name_and_line(
    tmp_path: Path, escape: str, options: dict[str, bool]
) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "own.j2").write_text("one\n{{ " + escape.replace("FILE", str(touched)) + " }}\n")
    values = {"traffic": Traffic(), "body": functools.partial(open, "/"), "place": tmp_path, "made": [0]}
    with pytest.raises(PreflightError) as caught:
        templates.fill(templates.environment((tmp_path,), **options), "own.j2", values)
    assert caught.value.message.startswith("the template own.j2, line 2: ")
    assert caught.value.next == "correct templates/own.j2"
    assert not touched.exists()
    assert values["made"] == [0]


@pytest.mark.parametrize("named", ["../secret", "/secret", "link.j2"])
def test_a_template_reads_no_file_outside_its_folder(tmp_path: Path, named: str) -> None:
    (tmp_path / "secret").write_text("hunter2")
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "link.j2").symlink_to(tmp_path / "secret")
    (folder / "own.j2").write_text(f"{{% include '{named}' %}}")
    environment = templates.environment((folder,))
    for name in ("own.j2", "link.j2"):
        with pytest.raises(PreflightError, match="the template"):
            templates.fill(environment, name, {})
    with pytest.raises(PreflightError, match="outside the templates"):
        templates.source(environment, "link.j2")


def test_a_folder_of_templates_may_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "own.j2").write_text("fine")
    (tmp_path / "templates").symlink_to(tmp_path / "shared")
    assert templates.fill(templates.environment((tmp_path / "templates",)), "own.j2", {}) == "fine"


def test_a_template_compiled_without_a_sandbox_before_is_not_used(tmp_path: Path) -> None:
    from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader

    (tmp_path / "own.j2").write_text("{{ made.append(1) }}")
    made = [0]
    free = Environment(loader=FileSystemLoader((tmp_path,)), bytecode_cache=FileSystemBytecodeCache())
    assert free.get_template("own.j2").render(made=made) == "None"
    with pytest.raises(PreflightError):
        templates.fill(templates.environment((tmp_path,)), "own.j2", {"made": made})
    assert made == [0, 1]


@pytest.mark.parametrize(
    "mistake", ["{{ 1 // 0 }}", "{{ absent }}", "{% if %}", "{{ [] | first + 1 }}", "{{ 3() }}"]
)
def test_the_error_for_a_mistake_in_an_included_template_names_it_and_the_line(
    tmp_path: Path, mistake: str
) -> None:
    (tmp_path / "inner.j2").write_text(f"\n\n{mistake}")
    (tmp_path / "own.j2").write_text("{% include 'inner.j2' %}")
    with pytest.raises(PreflightError, match=r"the template inner\.j2, line 3: "):
        templates.fill(templates.environment((tmp_path,)), "own.j2", {})


def test_a_project_s_nginx_template_runs_no_shell(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "nginx.conf.j2").write_text("\n{{ " + SHELL.replace("FILE", str(touched)) + " }}\n")
    asked = accepted({**NGINX, "network": {"name": "net", "driver_type": "bridge"}})
    assert "worker_processes" in root_files(asked)["nginx.conf"]
    with pytest.raises(PreflightError, match=r"nginx\.conf\.j2, line 2"):
        configuration.render(
            asked,
            configuration.CONTAINER_SITE,
            folders=(tmp_path, *FOLDERS),
            addresses={},
            traffic=Traffic(),
            generation="g",
        )
    assert not touched.exists()
