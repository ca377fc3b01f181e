"""The verbs of the collection are those of the README, of docs/verbs.md and of docs/ci.md."""

from __future__ import annotations

import re

from swiftdeploy_tasks.cli.collection import ns
from tests.docs import ROOT, sections_of

VERBS = {str(name): ns[name] for name in ns.task_names}
ROW = re.compile(r"^\| `([a-z-]+)`", re.MULTILINE)


def test_the_readme_has_a_line_for_every_verb() -> None:
    assert set(ROW.findall(sections_of(ROOT / "README.md")["The verbs"])) == VERBS.keys()


def test_the_page_has_a_section_for_every_verb_with_every_option() -> None:
    sections = sections_of(ROOT / "docs" / "verbs.md")
    assert sections.keys() == VERBS.keys()
    missing = [
        f"{verb} --{option}"
        for verb, task in VERBS.items()
        for option in (argument.name for argument in task.get_arguments())
        if option not in {"json", "wait"} and f"`--{option.replace('_', '-')}" not in sections[verb]
    ]
    assert missing == []


def test_the_page_says_which_verbs_run_first() -> None:
    page = (ROOT / "docs" / "verbs.md").read_text(encoding="utf-8")
    first = dict(re.findall(r"^\| \[([a-z-]+)\].*?\| *(.*?) *\|", page, re.MULTILINE))
    assert first == {verb: ", ".join(before.verb for before in task.pre) for verb, task in VERBS.items()}
