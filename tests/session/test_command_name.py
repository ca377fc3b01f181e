"""What is printed as the next command is what its reader can type."""

from __future__ import annotations

import pytest

from swiftdeploy_tasks.cli.collection import ns
from swiftdeploy_tasks.session import command_name

TWO = "invoke teardown, then: invoke policy-check"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/usr/bin/invoke", "deploy"], TWO),
        (["/lib/invoke/__main__.py", "-c", "my.tasks", "deploy", "--json"], TWO),
        (["inv", "ship.deploy", "--json"], "invoke ship.teardown, then: invoke ship.policy-check"),
        (["invoke", "--echo", "a.b.policy_check"], "invoke a.b.teardown, then: invoke a.b.policy-check"),
        (["/venv/bin/swiftdeploy", "deploy"], "swiftdeploy teardown, then: swiftdeploy policy-check"),
        ([], TWO),
    ],
)
def test_a_command_is_named_as_the_process_was_called(words: list[str], told: str) -> None:
    assert command_name.named(TWO, words) == told


def test_the_script_beside_the_project_tells_how_it_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWIFTDEPLOY_COMMAND", "../swiftdeploy")
    assert command_name.named("run: invoke deploy", ["/x/swiftdeploy"]) == "run: ../swiftdeploy deploy"


def test_what_is_no_command_stays_as_it_is() -> None:
    text = "pip install invoke; reinvoke deploy; invoke"
    assert command_name.named(text, ["swiftdeploy"]) == text


def test_every_verb_is_known_by_each_of_its_names() -> None:
    names = {name for primary, aliases in ns.task_names.items() for name in (primary, *aliases)}
    assert names == command_name.VERBS
