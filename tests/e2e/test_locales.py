"""Text of the manifest and the environment in a locale that does not have its letters."""

from __future__ import annotations

import pytest

from tests.e2e.apps import FOREIGN
from tests.e2e.project import Project

ASCII_ONLY = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def ascii_project(project: Project) -> Project:
    project.environment |= ASCII_ONLY | {"OWNER": "Łódź 12"}
    project.use_app(FOREIGN)
    project.set(
        contact="Zespół",
        services__env={"GREETING": "Zażółć", "OWNER": {"from_env": "OWNER"}},
        nginx__private=["/private"],
    )
    return project


def test_letters_that_the_locale_lacks_reach_the_app_and_the_error_pages(ascii_project: Project) -> None:
    ascii_project.deploy()
    given = ascii_project.get("/environment").json()
    assert (given["GREETING"], given["OWNER"]) == ("Zażółć", "Łódź 12")
    assert ascii_project.get("/private").json()["contact"] == "Zespół"
    again = ascii_project.run("plan", "--check", LC_ALL="C.UTF-8", PYTHONUTF8="1")
    assert again.code == 0, again.said
